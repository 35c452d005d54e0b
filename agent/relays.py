"""The part of `decide` that looks after destinations pushed by nginx on this server. Pure.

Such a destination is in the playout's plan once nginx answers for its application, under the application's address and
a key that changes with what it stands for; what is wanted of nginx follows from the runs held.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from operator import is_not
from typing import Any, Final

from agent import nginx_conf
from agent.actions import Relay
from agent.events import RelaysLoaded
from agent.protocol import PushUrl, StreamConfig
from agent.state import Run
from agent.validate import bad_destination

VIA: Final = "nginx"
Wanted = dict[int, tuple[PushUrl, ...]]


def loaded(run: Run, event: RelaysLoaded) -> Run:
    """What was loaded and is not yet loaded anew goes on under its old key; a reason takes it off the air."""
    keys = {each: key for each, key in {**run.relays, **event.loaded}.items() if each not in event.failed}
    if (keys, event.failed) == (run.relays, run.relays_failed):
        return run
    return replace(run, relays=keys, relays_failed=dict(event.failed))


def follow(before: Mapping[int, Run], after: Mapping[int, Run]) -> list[Relay]:
    """Asked for when it differs, and for every new run: it has yet to hear what is loaded."""
    old, new = ([run.order for run in runs.values()] for runs in (before, after))
    if len(old) == len(new) and not any(map(is_not, old, new)):
        return []
    return [Relay(wanted(after))] if _by_run(after) != _by_run(before) else []


def wanted(runs: Mapping[int, Run]) -> Wanted:
    """By stream. Also of those that are switched off: switching them on needs no reload then."""
    found = {stream_id: _pushes(run.config) for stream_id, run in runs.items()}
    return {stream_id: pushes for stream_id, pushes in found.items() if pushes}


def assumed(config: StreamConfig) -> dict[int, str]:
    """For a playout that is adopted: what it pushes to now is left alone until nginx has been asked."""
    return {push.id: nginx_conf.local_key(push.url, push.key) for push in _pushes(config)}


def failure(run: Run, push: PushUrl) -> str | None:
    return run.relays_failed.get(push.id) if push.via == VIA else None


def waits(run: Run, push: PushUrl) -> bool:
    """nginx does not answer for it yet."""
    return push.via == VIA and push.id not in run.relays


def place(run: Run, push: PushUrl, port: int) -> dict[str, Any]:
    """Where the playout connects to."""
    if push.via != VIA:
        return {"url": push.url, "key": push.key}
    application = nginx_conf.application_name(run.stream_id, push.id)
    return {"url": f"rtmp://127.0.0.1:{port}/{application}", "key": run.relays[push.id]}


def _by_run(runs: Mapping[int, Run]) -> dict[str, tuple[PushUrl, ...]]:
    found = {run.run_id: _pushes(run.config) for run in runs.values()}
    return {run_id: pushes for run_id, pushes in found.items() if pushes}


def _pushes(config: StreamConfig) -> tuple[PushUrl, ...]:
    return tuple(push for push in config.push_urls if push.via == VIA and bad_destination(push) is None)
