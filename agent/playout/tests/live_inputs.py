"""Live inputs that really send, and a small stand-in for the programme that shows how it uses them."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self

from agent.playout import flv
from agent.playout.live import LiveInputs, LiveSource
from agent.playout.plan import Item
from agent.playout.playlist import Playlist
from agent.playout.source import Source
from agent.playout.target import Secret
from agent.playout.timeline import Timeline
from lab.processes import wait_until

LEAD_MS = 700


def live_item(item_id: int, url: str) -> Item:
    return Item(item_id, -item_id, f"live {item_id}", "", True, True, None, None, live_url=Secret(url))


def file_item(item_id: int, path: Path) -> Item:
    return Item(item_id, item_id, f"clip {item_id}", str(path), True, True, None, None)


class Sender:
    """An encoder: FFmpeg sending a moving picture as fast as time goes by. `freeze` and `go_on` as a network would."""

    def __init__(self, *where: str, sound: bool = True, video: str = "libx264", gop: int = 25) -> None:
        codec = ["-c:v", video, "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", str(gop)]
        picture = ["-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"]
        tone = ["-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"] if sound else []
        self._command = ["ffmpeg", "-v", "fatal", "-nostdin", *picture, *tone, *codec, "-c:a", "aac", *where]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command)

    def freeze(self) -> None:
        self._send(signal.SIGSTOP)

    def go_on(self) -> None:
        self._send(signal.SIGCONT)

    def stop(self) -> None:
        """As one who takes leave: an HLS playlist gets its end."""
        self._send(signal.SIGTERM)
        self._wait()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._wait()

    def _send(self, signum: int) -> None:
        assert self._process is not None
        self._process.send_signal(signum)

    def _wait(self) -> None:
        assert self._process is not None
        self._process.wait()
        self._process = None


def to_rtmp(url: str, **how: Any) -> Sender:
    return Sender("-f", "flv", url, **how)


def to_hls(directory: Path, **how: Any) -> Sender:
    flags = ["-f", "hls", "-hls_time", "2", "-hls_list_size", "4", "-hls_flags", "delete_segments+temp_file"]
    return Sender(*flags, str(directory / "live.m3u8"), **how)


def wait_for_segments(directory: Path, count: int = 2) -> None:
    def there() -> bool:
        with suppress(OSError):
            return (directory / "live.m3u8").read_text().count("#EXTINF") >= count
        return False

    wait_until(there, f"{count} segments")


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """A test has nothing to say to the terminal."""

    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, _Server)
        server.asked.append(self.path)
        if target := server.redirects.get(self.path.partition("?")[0]):
            self.send_response(302)
            self.send_header("Location", target)
            self.end_headers()
            return
        with suppress(ConnectionError):
            super().do_GET()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, directory: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(_Files, directory=str(directory)))
        self.asked: list[str] = []
        self.redirects: dict[str, str] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def web_server(directory: Path) -> Iterator[_Server]:
    with _Server(directory) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


@dataclass(frozen=True)
class Sent:
    """One tag as it would have gone out; `time` is the wall's, `stamp` the timeline's."""

    time: float
    item_id: int
    kind: int
    stamp: int
    own: int
    key_frame: bool
    payload: bytes


class StandIn:
    """The programme in small: a playlist with live items, played at the pace of the clock."""

    def __init__(self, items: Sequence[Item], live: LiveInputs) -> None:
        self.playlist = Playlist(items, "sequential", True, Random(1))
        self.live = live
        self.sent: list[Sent] = []
        self.headers: list[tuple[int, int, bytes]] = []
        self._timeline = Timeline()
        self._source: Source | LiveSource | None = None
        self._anchor = time.monotonic()

    @property
    def on_air(self) -> int | None:
        """The item's ID; None is where the slate would be."""
        return self._source.item.item_id if self._source else None

    def tick(self) -> None:
        now = time.monotonic()
        on_air = int((now - self._anchor) * 1000)
        self._pull(on_air + LEAD_MS)
        if self._timeline.end < on_air:
            self._anchor = now - self._timeline.end / 1000

    def next(self) -> None:
        if isinstance(self._source, LiveSource):
            self.live.release()
        self._leave()

    def jump(self, item: Item) -> None:
        self.live.release()
        self._leave()
        self.playlist.jump(item)
        self._begin(item)

    def close(self) -> None:
        self._leave()

    def _pull(self, limit: int) -> None:
        if not isinstance(self._source, LiveSource):
            self._start(self.live.source_if_ready())
        while source := self._source or self._open_next():
            tag = source.peek()
            if tag is None and not source.exhausted:
                return
            if tag is None:
                self._leave()
            elif tag.kind == flv.SCRIPT or tag.is_codec_header:
                self.headers.append((source.item.item_id, tag.kind, source.pop().payload))
            elif self._timeline.place(tag.kind, tag.timestamp) > limit:
                self._prepare()
                return
            else:
                source.pop()
                stamp = self._timeline.commit(tag.kind, tag.timestamp)
                facts = (source.item.item_id, tag.kind, stamp, tag.timestamp, tag.is_key_frame, tag.payload)
                self.sent.append(Sent(time.monotonic(), *facts))

    def _open_next(self) -> Source | LiveSource | None:
        item = self.playlist.advance(self._playable, lambda item: False)
        while item is not None and not self._begin(item):
            item = self.playlist.advance(self._playable, lambda item: False)
        return self._source

    def _begin(self, item: Item) -> bool:
        """Whether it is on air now; a live item that is not may come any time."""
        if item.live_url is None:
            self._start(Source(item, lambda: None))
            return True
        self.live.claim(item)
        self._start(self.live.source_if_ready())
        return self._source is not None

    def _prepare(self) -> None:
        following = self.playlist.upcoming(1, self._playable)
        item = self.playlist.find(following[0]) if following else None
        if item is not None and item.live_url is not None:
            self.live.prepare(item)

    def _playable(self, item: Item) -> bool:
        return item.playable and self.live.may_play(item)

    def _start(self, source: Source | LiveSource | None) -> None:
        if source is not None:
            self._leave()
            self._source = source
            self._timeline.begin_item()

    def _leave(self) -> None:
        if self._source is not None:
            self._source.close()
        self._source = None


def in_order(sent: Sequence[Sent]) -> list[int]:
    """The items in the order they were on air."""
    ids = [each.item_id for each in sent]
    return [item_id for at, item_id in enumerate(ids) if at == 0 or ids[at - 1] != item_id]


def of_item(sent: Sequence[Sent], item_id: int, kind: int) -> list[Sent]:
    return [each for each in sent if (each.item_id, each.kind) == (item_id, kind)]


def steps(sent: Sequence[Sent]) -> list[int]:
    """From each tag to the next, as the timeline places them."""
    return [after.stamp - before.stamp for before, after in pairwise(sent)]


def children() -> list[int]:
    """FFmpegs that this process started for live inputs, the dead ones that nobody reaped too."""
    listed = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in listed if _name(pid) in ("ffmpeg", "setpriv")]


def readers() -> list[int]:
    """Those of them that read a live input."""
    return [pid for pid in children() if b"concat" in _command(pid)]


def _command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _name(pid: str) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


Condition = Callable[[], object]
