"""Telling `decide` a history and asking what it did: for the tests of it."""

from dataclasses import replace

from agent import actions, events
from agent.decide import decide
from agent.journal import Record
from agent.protocol import (
    DestinationState,
    PushUrl,
    StartStream,
    StopStream,
    StreamConfig,
    StreamProgress,
    StreamStatus,
    UpdateStream,
    VideoFile,
)
from agent.state import Playing, State
from agent.validate import cache_key

SHA = "ab" * 32


def item(number: int, **more) -> VideoFile:
    known = {"item_id": number, "file_id": 100 + number, "filename": f"{number}.mp4", "size": 1_000_000}
    return VideoFile(**(known | {"download_url": f"https://files.example/{number}?sig=x"} | more))


def config(run: str = "r1", *, stream: int = 1, epoch: int = 1, items: int = 2, **more) -> StreamConfig:
    known = {
        "video_files": tuple(item(number) for number in range(1, items + 1)),
        "push_urls": (PushUrl(id=1, name="place", url="rtmp://place.example/live", key="secret"),),
    }
    return StreamConfig(id=stream, run_id=run, epoch=epoch, **(known | more))


def key(number: int) -> str:
    return cache_key(item(number))


def playing(item_id: int | None = 1, state: str = "live", sent: int = 1000, **more) -> Playing:
    destination = DestinationState(id=1, state=state, since=0.0, bytes_sent=sent)
    return Playing(phase="playing", item_id=item_id, destinations=(destination,), **more)


class History:
    """Time goes on only when told. `did` holds the actions of the last event, `all` those of every one."""

    def __init__(self, **settings) -> None:
        self.state = State(vps_id=7, **settings)
        self.now = 1000.0
        self.did: list[actions.Action] = []
        self.all: list[actions.Action] = []
        self.pids = iter(range(5000, 9999))

    def tell(self, event: events.Event, after: float = 0.0) -> list[actions.Action]:
        self.now += after
        self.state, self.did = decide(self.state, event, self.now)
        self.all += self.did
        return self.did

    def start(self, run: str = "r1", at: float | None = None, **more) -> list[actions.Action]:
        return self.tell(StartStream(config=config(run, **more), timestamp=at or self.now))

    def update(self, config: StreamConfig) -> list[actions.Action]:
        return self.tell(UpdateStream(config=config, timestamp=self.now))

    def stop(self, run: str | None = "r1", stream: int = 1) -> list[actions.Action]:
        return self.tell(StopStream(stream_id=stream, run_id=run, timestamp=self.now))

    def begun(self, run: str = "r1", stream: int = 1) -> int:
        pid = next(self.pids)
        self.tell(events.PlayoutStarted(stream, run, pid, ticks=pid * 10))
        return pid

    def exited(self, reason: str | None = None, run: str = "r1", stream: int = 1, after: float = 0.0) -> None:
        pid = self.state.runs[stream].pid
        self.tell(events.PlayoutExited(stream, run, pid, reason), after)

    def complete(self, number: int) -> None:
        self.tell(events.MediaComplete(key(number), f"/c/{number}.flv", 4.0))

    def on_air(self, run: str = "r1", **more) -> "History":
        self.start(run, **more)
        self.begun(run)
        self.complete(1)
        self.complete(2)
        self.tell(events.PlayoutStatus(run, playing()))
        return self

    def tick(self, after: float = 0.0) -> list[actions.Action]:
        return self.tell(events.Tick(), after)

    def of(self, kind: type, ever: bool = False) -> list:
        return [each for each in (self.all if ever else self.did) if isinstance(each, kind)]

    def said(self, ever: bool = False) -> list[tuple[str, str, str]]:
        """(status, run, message) of every status published."""
        return [(each.status, each.run_id, each.message) for each in self.statuses(ever)]

    def statuses(self, ever: bool = False) -> list[StreamStatus]:
        found = self.of((actions.Publish, actions.Report), ever)
        return [each.message for each in found if isinstance(each.message, StreamStatus)]

    def progress(self, ever: bool = False) -> list[tuple[str, int]]:
        found = [each.message for each in self.of(actions.Publish, ever)]
        return [(each.stage, each.progress) for each in found if isinstance(each, StreamProgress)]


def record(run: str = "r1", **more) -> Record:
    known = {"pid": 4000, "ticks": 77, "on_air_since": 900.0}
    return Record(config=config(run), said_at=900.0, **(known | more))


__all__ = ["History", "config", "item", "key", "playing", "record", "replace"]
