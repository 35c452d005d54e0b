"""From what the agent knows to what it says: run reports, stages of progress, the playout's plan. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from agent import relays, shelf
from agent.journal import Record
from agent.profile import DEFAULT
from agent.protocol import DestinationState, PushUrl, RunReport, SkippedItem, StreamConfig, VideoFile
from agent.state import Media, Run, Slate
from agent.validate import bad_destination, cache_key

ORDER_OF_STAGES: Final = (
    "",
    "downloading",
    "file_ready",
    "ffmpeg_starting",
    "ffmpeg_started",
    "streaming",
)
PERCENT: Final = {"file_ready": 70, "ffmpeg_starting": 80, "ffmpeg_started": 90, "streaming": 100}
WORDS: Final = {
    "file_ready": "the first file is ready",
    "ffmpeg_starting": "starting to play",
    "ffmpeg_started": "playing, connecting to the destinations",
    "streaming": "on air",
}
MIB: Final = 1024 * 1024

Library = Mapping[str, Media]
Shelf = Mapping[str, Slate]


def phase_of(run: Run, media: Library) -> str:
    if run.stopping_since is not None:
        return "stopping"
    if run.retry_at is not None:
        return "backing_off"
    if run.on_air_since is not None:
        return "on_air"
    if _has_something(run, media):
        return "starting"
    found = [media[key] for key in run.files if key in media]
    return "preparing" if any(each.status == "preparing" for each in found) else "fetching"


def _has_something(run: Run, media: Library) -> bool:
    return run.order.has_live or _has_a_file(run, media)


def _has_a_file(run: Run, media: Library) -> bool:
    return any(key in media and media[key].playable for key in run.files)


def words_for(stage: str, run: Run, media: Library) -> str | None:
    """What is said of a stage that is reached or passed; None when nothing is."""
    if stage == "file_ready" and not _has_a_file(run, media):
        return None
    if stage == "streaming" and run.playing is not None and run.playing.slate is not None:
        return f"on air with the slate: {run.playing.slate}"
    return WORDS.get(stage)


def stage_of(run: Run, media: Library) -> str:
    """How far the start has come: one of ORDER_OF_STAGES."""
    if run.on_air_since is not None:
        return "streaming"
    if not _has_something(run, media):
        return "downloading"
    return "ffmpeg_started" if run.playing else "ffmpeg_starting" if run.has_process else "file_ready"


def downloading(run: Run, media: Library) -> tuple[int, str]:
    """(progress 10–60, words) of the first file that is still on its way."""
    for key, item in run.files.items():
        one = media.get(key)
        if one is None or one.status in ("fetching", "preparing"):
            done = min(one.done, item.size) if one else 0
            percent = 10 + round(50 * done / item.size) if item.size > 0 else 10
            verb = "preparing" if one and one.status == "preparing" else "fetching"
            return percent, f"{verb} «{item.filename}»: {_amount(done, item.size)}"
    return 10, "fetching the files"


def _amount(done: int, total: int) -> str:
    if total < MIB:
        return f"{done // 1024} of {max(1, total // 1024)} KiB"
    return f"{done // MIB} of {total // MIB} MiB"


def run_report(run: Run, media: Library) -> RunReport:
    playing = run.playing
    return RunReport(
        stream_id=run.stream_id,
        run_id=run.run_id,
        epoch=run.config.epoch,
        phase=phase_of(run, media),
        fingerprint=run.order.fingerprint,
        item_id=playing.item_id if playing else None,
        file_id=playing.file_id if playing else None,
        position_s=playing.position_s if playing else 0.0,
        duration_s=playing.duration_s if playing else None,
        next_item_ids=playing.next_item_ids if playing else (),
        items_played=playing.items_played if playing else 0,
        bitrate_kbps=playing.bitrate_kbps if playing else 0.0,
        on_air_since=run.on_air_since,
        restarts=run.restarts,
        restart_reason=run.restart_reason,
        skipped=_skipped(run, media),
        slate=playing.slate if playing else None,
        paused=playing.paused if playing else False,
        input=playing.input if playing else None,
        restart_from=playing.restart_from if playing else None,
        restart_by=playing.restart_by if playing else None,
        destinations=_destinations(run),
    )


def _skipped(run: Run, media: Library) -> tuple[SkippedItem, ...]:
    """Items that do not play: those whose file failed here, and those the playout could not play."""
    by_file = dict(run.playing.skipped) if run.playing else {}
    found = []
    for item in run.config.video_files:
        reason = failure(run, media, item) or by_file.get(item.file_id)
        if reason:
            found.append(SkippedItem(item_id=item.item_id, reason=reason))
    return tuple(found)


def failure(run: Run, media: Library, item: VideoFile) -> str | None:
    """Why an item does not play, in plain words; None when it does, or may yet."""
    one = media.get(cache_key(item))
    if one is not None and one.status == "failed":
        return one.reason
    return run.order.bad_items.get(item.item_id)


def _destinations(run: Run) -> tuple[DestinationState, ...]:
    """As the playout says; before it says anything, as they are bound to begin."""
    said = {each.id: each for each in run.playing.destinations} if run.playing else {}
    return tuple(said.get(push.id) or _untold(run, push) for push in run.config.push_urls)


def _untold(run: Run, push: PushUrl) -> DestinationState:
    bad = bad_destination(push) or relays.failure(run, push)
    state = "failed" if bad else "connecting" if push.enabled else "disabled"
    return DestinationState(id=push.id, state=state, since=run.begun_at, reason=bad)


def visible(run: Run, media: Library) -> tuple[Any, ...]:
    """What is worth a heartbeat of its own when it changes (counters and positions are not)."""
    report = run_report(run, media)
    states = tuple(
        (each.id, each.state, each.reason, each.renewal and each.renewal.count) for each in report.destinations
    )
    live = report.input and (report.input.item_id, report.input.state, report.input.reason)
    return (
        report.run_id,
        report.epoch,
        report.phase,
        report.item_id,
        report.fingerprint,
        report.skipped,
        report.slate,
        report.paused,
        live,
        states,
    )


def plan_of(run: Run, media: Library, slates: Shelf, nginx_port: int) -> dict[str, Any]:
    """The playout's plan.json, but for the settings of this agent. nginx listens on this port."""
    config = run.config
    return {
        "stream_id": config.id,
        "run_id": config.run_id,
        "epoch": config.epoch,
        "loop": config.loop,
        "order": config.order,
        "slate": shelf.path_for(run.order, DEFAULT, slates),
        "restart_every_s": config.restart_every_s,
        "begin": _begin(config),
        "items": [_plan_item(run, item, media, slates) for item in config.video_files],
        "destinations": [
            {
                "id": push.id,
                "name": push.name,
                "enabled": push.enabled,
                "via": push.via,
                "renew_every_s": push.renew_every_s,
            }
            | relays.place(run, push, nginx_port)
            for push in config.push_urls
            if bad_destination(push) is None and not relays.waits(run, push)
        ],
    }


def _begin(config: StreamConfig) -> dict[str, Any] | None:
    if config.begin_item_id is None:
        return None
    return {"item_id": config.begin_item_id, "position_s": config.begin_at_s}


def _plan_item(run: Run, item: VideoFile, media: Library, slates: Shelf) -> dict[str, Any]:
    one = media.get(cache_key(item), Media())
    return {
        "item_id": item.item_id,
        "file_id": item.file_id,
        "title": item.title or item.filename,
        "path": one.path,
        "ready": one.playable or bool(item.live_url),
        "complete": one.status == "complete",
        "duration_s": one.duration_s or item.duration_s,
        "failed": failure(run, media, item),
        "slate": shelf.path_for(run.order, one.profile, slates),
        "live_url": item.live_url or None,
    }


def record_of(run: Run) -> Record:
    return Record(
        config=run.config,
        said_at=run.order.said_at,
        pid=run.pid,
        ticks=run.ticks,
        stopping=run.stopping_since is not None,
        on_air_since=run.on_air_since,
        failures=run.failures,
        hurried=run.hurried,
        restarts=run.restarts,
    )


def output_url(config: StreamConfig) -> str | None:
    """Scheme, host and application of the first destination: no user, no query, no key."""
    for push in config.push_urls:
        if bad_destination(push):
            continue
        parts = urlsplit(push.url)
        host = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{host}{parts.path}"
    return None
