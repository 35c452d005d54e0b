"""Pictures of what is on air: made by a real FFmpeg, sent to a real server, never in anybody's way."""

from __future__ import annotations

import asyncio
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent import pictures
from agent.downloads import Trust
from agent.ffmpeg import Ffmpeg
from agent.pictures import Pictures
from agent.playout import flv, still
from agent.playout.packets import Packetiser
from agent.playout.tests.clips import clip


class _Wall(http.server.BaseHTTPRequestHandler):
    """Keeps what is put."""

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.hung.append((self.path, body))  # type: ignore[attr-defined]
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def wall() -> Iterator[http.server.ThreadingHTTPServer]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Wall) as server:
        server.hung = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def write_still(run_dir: Path) -> None:
    packetiser = Packetiser()
    for tag in flv.FlvParser().feed(clip().read_bytes()):
        if tag.is_codec_header:
            packetiser.header(tag.kind, 0, tag.payload)
        elif tag.is_key_frame:
            run_dir.mkdir(exist_ok=True)
            (run_dir / pictures.STILL).write_bytes(still.as_flv(packetiser.media(tag, 0, may_join=True)))
            return


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "LOOK_EVERY_S", 0.02)


async def follow(tmp_path: Path, server: http.server.ThreadingHTTPServer, trusted: str, until: int) -> list[str]:
    """Runs until `until` pictures hang, or for half a second when none shall."""
    url = f"http://127.0.0.1:{server.server_port}/p/token"
    trust = Trust(frozenset({trusted}), frozenset({trusted}))
    taking = Pictures(Ffmpeg("ffmpeg"), trust, lambda run_id: tmp_path / run_id, lambda: {"r1": url})
    task = asyncio.create_task(taking.run())
    hung = server.hung  # type: ignore[attr-defined]
    try:
        async with asyncio.timeout(10 if until else 0.5):
            while len(hung) < max(until, 1):  # noqa: ASYNC110 (another thread fills it)
                await asyncio.sleep(0.02)
    except TimeoutError:
        assert not until, "no picture came"
    finally:
        task.cancel()
    return hung


def test_the_names_agree_with_the_playouts() -> None:
    assert pictures.STILL == still.NAME


def test_a_new_still_is_sent_once(tmp_path: Path) -> None:
    write_still(tmp_path / "r1")
    with wall() as server:
        [(path, jpeg)] = asyncio.run(follow(tmp_path, server, "127.0.0.1", until=1))
    assert path == "/p/token"
    assert jpeg.startswith(b"\xff\xd8\xff")
    assert len(jpeg) < 100_000


def test_nothing_is_sent_to_a_host_that_is_not_trusted(tmp_path: Path) -> None:
    write_still(tmp_path / "r1")
    with wall() as server:
        assert asyncio.run(follow(tmp_path, server, "media.example", until=0)) == []


def test_a_broken_still_or_none_harms_nobody(tmp_path: Path) -> None:
    (tmp_path / "r1").mkdir()
    (tmp_path / "r1" / pictures.STILL).write_bytes(b"FLV no more")
    with wall() as server:
        assert asyncio.run(follow(tmp_path, server, "127.0.0.1", until=0)) == []
