"""Rows for `bench.fleet`: a fleet and its streams, on air or at rest, and people signed in. Run with the product's
environment; prints what the simulated agents and browsers need as one line of JSON.

    python -m bench.fleet_rows --agents 1000 --streams 10 [--resting 200 --slots 2]
"""

from __future__ import annotations

import argparse
import json
import os
import uuid
from collections.abc import Iterable
from itertools import count, islice
from typing import Any, Final

import django

STREAMS_PER_USER: Final = 50
ITEMS: Final = 3
OUTPUTS: Final = 2
FINGERPRINT: Final = "f" * 16
"""Of what all runs were commanded with: agents give it back, so nothing is to be updated."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, required=True)
    parser.add_argument("--streams", type=int, default=0, help="on air, of each agent")
    parser.add_argument("--resting", type=int, default=0, help="at rest, in all")
    parser.add_argument("--slots", type=int, default=0, help="of all VPSes together; 0: as many as there are streams")
    args = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ezstream.settings")
    django.setup()
    print(json.dumps(make(args.agents, args.streams, args.resting, args.slots)))


def make(agents: int, streams: int, resting: int, slots: int) -> dict[str, Any]:
    vpses = _vpses(agents, slots or agents * max(1, streams))
    users = _users(1 + (agents * streams + resting) // STREAMS_PER_USER)
    rows = _streams(users, agents * streams + resting)
    runs = _runs(rows[: agents * streams], vpses, streams)
    return {
        "vpses": [{"id": vps.pk, "max_streams": vps.max_streams} for vps in vpses],
        "runs": [
            {"vps": run.vps_id, "run": str(run.pk), "stream": row["stream"], "outputs": row["outputs"],
             "items": row["items"], "session": row["session"]}
            for run, row in zip(runs, rows, strict=False)
        ],
        "resting": rows[agents * streams :],
    }  # fmt: skip


def _vpses(number: int, slots: int) -> list[Any]:
    """Never heard of yet: who was heard of and is silent when the bench is slow to begin would lose its runs."""
    from fleet.models import Vps, VpsStatus

    some = [slots // number + (n < slots % number) for n in range(number)]
    return Vps.objects.bulk_create(
        Vps(name=f"sim-{n:04}", host="127.0.0.1", status=VpsStatus.ACTIVE, max_streams=some[n],
            cpu=20, memory=30, disk=40)
        for n in range(number)
    )  # fmt: skip


def _users(number: int) -> list[dict[str, Any]]:
    """Signed in, each with files and places of their own."""
    from accounts.models import Package, User
    from media_library.models import FileStatus, VideoFile
    from streams.models import Destination

    package = Package.objects.create(name="bench", max_storage=10**12, max_concurrent_streams=10**6)
    users = User.objects.bulk_create(
        User(email=f"u{n}@example.org", name=f"User {n}", password="!", package=package) for n in range(number)
    )
    files = VideoFile.objects.bulk_create(
        VideoFile(owner=user, title=f"clip {n}", original_name="clip.mp4", stored_name=f"{uuid.uuid4()}.mp4",
                  size=10**6, duration_s=600.0, status=FileStatus.COMPLETED)
        for user in users for n in range(ITEMS)
    )  # fmt: skip
    places = [
        Destination(owner=user, name=f"place {n}", url="rtmp://127.0.0.1/live")
        for user in users for n in range(STREAMS_PER_USER * OUTPUTS)
    ]  # fmt: skip
    for place in places:
        place.set_key(uuid.uuid4().hex)
    Destination.objects.bulk_create(places, batch_size=2000)
    return [
        {"user": user, "session": _session(user), "files": own, "places": iter(theirs)}
        for user, own, theirs in zip(
            users, _in_lots(files, ITEMS), _in_lots(places, STREAMS_PER_USER * OUTPUTS), strict=True
        )
    ]


def _in_lots(rows: Iterable[Any], of: int) -> list[list[Any]]:
    source = iter(rows)
    return list(iter(lambda: list(islice(source, of)), []))


def _session(user: Any) -> str:
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore

    store = SessionStore()
    store[SESSION_KEY] = str(user.pk)
    store[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.create()
    return str(store.session_key)


def _streams(users: list[dict[str, Any]], number: int) -> list[dict[str, Any]]:
    from streams.models import PlaylistItem, Stream, StreamDestination

    owners = [users[n // STREAMS_PER_USER] for n in range(number)]
    numbers = count(1)
    streams = Stream.objects.bulk_create(
        (Stream(owner=owner["user"], title=f"Channel {next(numbers)}") for owner in owners), batch_size=2000
    )
    items = PlaylistItem.objects.bulk_create(
        (
            PlaylistItem(stream=stream, file=file, position=at)
            for stream, owner in zip(streams, owners, strict=True)
            for at, file in enumerate(owner["files"])
        ),
        batch_size=5000,
    )
    outputs = StreamDestination.objects.bulk_create(
        (
            StreamDestination(stream=stream, destination=next(owner["places"]))
            for stream, owner in zip(streams, owners, strict=True)
            for _ in range(OUTPUTS)
        ),
        batch_size=5000,
    )
    return [
        {"stream": stream.pk, "session": owner["session"], "items": [each.pk for each in own_items],
         "outputs": [each.pk for each in own_outputs]}
        for stream, owner, own_items, own_outputs in zip(
            streams, owners, _in_lots(items, ITEMS), _in_lots(outputs, OUTPUTS), strict=True
        )
    ]  # fmt: skip


def _runs(rows: list[dict[str, Any]], vpses: list[Any], each: int) -> list[Any]:
    from django.db.models import OuterRef, Subquery
    from django.utils import timezone

    from streams.models import Run, Status, Stream, Transition

    now = timezone.now()
    runs = Run.objects.bulk_create(
        (
            Run(stream_id=row["stream"], vps=vpses[n // each], commanded_at=now, on_air_at=now, live_since=now,
                reported_at=now, fingerprint=FINGERPRINT)
            for n, row in enumerate(rows)
        ),
        batch_size=2000,
    )  # fmt: skip
    own = Run.objects.filter(stream=OuterRef("pk")).values("pk")[:1]
    Stream.objects.filter(pk__in=[row["stream"] for row in rows]).update(
        run_id=Subquery(own), status=Status.STREAMING, last_started_at=now
    )
    Transition.objects.bulk_create(
        (
            Transition(stream_id=run.stream_id, run=run, event=event, old=old, new=new, at=now)
            for run in runs
            for event, old, new in (("start", "INACTIVE", "STARTING"), ("live", "STARTING", "STREAMING"))
        ),
        batch_size=5000,
    )
    return runs


if __name__ == "__main__":
    main()
