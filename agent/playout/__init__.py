"""The playout: the process that is on air for one stream.

Started by the agent as ``python -m agent.playout [--resume] RUN_DIR`` in a session of its own; it outlives
its agent. Standard library only; imports nothing outside this package. ``RUN_DIR`` is 0700 and holds:

``plan.json`` (0600, written by the agent, replaced atomically)
    ``{"stream_id": int, "run_id": str, "epoch": int, "loop": bool, "order": "sequential" | "random",
    "items": [{"item_id": int, "file_id": int, "title": str, "path": "/abs/x.flv", "ready": bool, "complete":
    bool, "duration_s": float | null, "failed": str | null, "slate": "/abs/slate.flv" | null, "live_url": str |
    null}], "destinations": [{"id": int, "name": str, "url": "rtmp[s]://host[:port]/app", "key": str, "enabled":
    bool, "via": "native" | "ffmpeg" | "nginx", "renew_every_s":
    float | null}]}`` Optional: ``"slate": "/abs/slate.flv"`` (shown when nothing was
    on air yet), ``"ffmpeg": str`` (the program), ``"ca_file": str`` (certificates trusted for RTMPS besides the
    system's), ``"reach_private": bool`` (loopback and private addresses are destinations too; false),
    ``"restart_every_s": float`` (the longest a run goes on before all of it begins anew: this process replaces itself),
    ``"begin": {"item_id": int, "position_s": float}`` (where a run that is not resumed begins). ``slate`` of
    an item is of the item's own profile and plays, over and over, when nothing can play after it. ``live_url``: the
    item is a live input read through FFmpeg, its path is empty. ``via`` «nginx»: url and key are those of the
    application on this machine that pushes on. ``ready``: the prepared FLV can be opened. ``complete``: it is
    written to its end; until a reload says so the end of the data means «wait for more». ``failed``: why this
    item cannot play.

``control.sock`` (0600): one JSON request per line, one JSON line as answer, ``{"ok": true, …}`` or
    ``{"ok": false, "error": "…"}``
    ``{"order": "reload"}``            read plan.json again and apply the difference
    ``{"order": "status"}``            ``{"ok": true, "status": STATUS}``
    ``{"order": "watch"}``             then a STATUS line at every change of phase, item or destination
                                       state, at least one per second; the answer is that of «status»
    ``{"order": "next"}``, ``{"order": "previous"}``, ``{"order": "jump", "item_id": n}``,
    ``{"order": "play_next", "item_id": n}`` (after the current item, then as before), ``{"order": "pause"}`` (the
    slate, until told otherwise), ``{"order": "resume"}`` (the item goes on where it was). Each is answered with
    ``{"ok": true, "item_id": int | null}`` when it has happened: what is on air now, null for the slate.
    ``{"order": "renew", "destination_id": n}`` closes it properly and connects it anew, or ends its wait for the next
    attempt; answered in the same way.
    ``{"order": "stop"}``              unpublish, close, end with code 0 (as SIGTERM does)

``status.json`` (0600): STATUS, at every change and every 5 s; ``--resume`` starts at the item and position in
it.

``ffmpeg-*.opt`` (0600): application and key for an FFmpeg that pushes, until it has read them; ``trusted.pem``: the
certificates it trusts.

``still.flv`` (0600): the newest key frame on air behind its codec header, every 10 s.

``exit.json`` (0600): ``{"code": int, "reason": str, "status": STATUS}``; reasons «finished» and «stopped»
(0), the
    name of the exception (1, a bug), «plan: …» (2), «running» (3, another playout holds this directory).

STATUS: ``{"phase": "waiting" | "playing" | "slate" | "stopping" | "ended", "slate": str | null (why it is on
air), "paused": bool, "input": null | {"item_id": int, "state": "on" | "away" | "returning", "since": unix s,
"reason": str | null}, "written_at": unix s, "started_at": unix s, "item_id": int | null,
"file_id": int | null, "title": str | null, "position_s": float, "duration_s": float | null, "items_played":
int, "next_item_ids": [up to 3], "skipped": [{"file_id": int, "reason": str}], "bitrate_kbps": float,
"restart": null | {"next_from": unix s, "next_by": unix s},
"destinations": [{"id": int, "name": str, "state": "connecting" | "live" | "reconnecting" | "renewing" | "refused" |
"failed" | "disabled", "since": unix s, "reason": str | null, "bytes_sent": int, "bytes_acked": int,
"queue_bytes": int, "bitrate_kbps": float, "reconnects": int, "drops": int, "lag_ms": int, "renewal":
{"age_s": float, "count": int, "at": unix s | null, "off_s": float, "asked": bool, "next_from": unix s | null,
"next_by": unix s | null}}]}``.
Also ``pid``, ``run_id``, ``stream_id`` and ``epoch``, so that an agent that adopts the process can see whose it is.
Keys never appear in it.

Logs: JSON lines on stderr, without keys.
"""
