"""The whole agent against real neighbours: Redis, a file server, two RTMP receivers, FFmpeg."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.playout.tests.servers import NginxRtmp, wait_until
from agent.protocol import (
    Heartbeat,
    PushUrl,
    StartStream,
    StopStream,
    StreamConfig,
    StreamProgress,
    StreamStatus,
    VideoFile,
)
from agent.tests.clips import plain
from agent.tests.servers import AgentProcess, Ear, FileServer, file_server, redis_server

VPS = 7
KEY = "k3y-that-must-not-leak"


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture
def files(clips: Path) -> Iterator[FileServer]:
    with file_server() as server:
        server.files["/a.mp4"] = plain(clips, 4)
        server.files["/b.mp4"] = plain(clips, 3)
        yield server


@pytest.fixture
def redis_url() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture
def ear(redis_url: str) -> Iterator[Ear]:
    ear = Ear(redis_url)
    yield ear
    ear.close()


@pytest.fixture
def agent(redis_url: str, files: FileServer, tmp_path: Path, ear: Ear) -> Iterator[AgentProcess]:
    agent = AgentProcess(redis_url, tmp_path / "work", files.host, VPS)
    agent.start()
    try:
        ear.wait_for(lambda m: isinstance(m, Heartbeat))
        yield agent
    finally:
        agent.clear_away()


def video(files: FileServer, number: int, path: str, **more) -> VideoFile:
    return VideoFile(
        item_id=number,
        file_id=number,
        filename=path.strip("/"),
        download_url=files.url(path),
        size=len(files.files[path]),
        video_codec="h264",
        pixel_format="yuv420p",
        audio_codec="aac",
        **more,
    )


def config(files: FileServer, *servers: NginxRtmp, run: str = "run-1", **more) -> StreamConfig:
    pushes = [
        PushUrl(id=number, name=f"place {number}", url=server.url, key=f"{KEY}-{number}")
        for number, server in enumerate(servers, 1)
    ]
    known = {"epoch": 1, "video_files": (video(files, 1, "/a.mp4"), video(files, 2, "/b.mp4"))}
    return StreamConfig(id=42, run_id=run, push_urls=tuple(pushes), **(known | more))


def streaming(message) -> bool:
    return isinstance(message, StreamStatus) and message.status == "STREAMING"


def live_at(count: int):
    def test(message) -> bool:
        run = message.run if isinstance(message, StreamStatus) else None
        return run is not None and sum(each.state == "live" for each in run.destinations) == count

    return test


def ended(status: str):
    return lambda message: isinstance(message, StreamStatus) and message.status == status


def recorded(server: NginxRtmp, key: str) -> int:
    return sum(path.stat().st_size for path in server.recordings_of(key))


def grows(server: NginxRtmp, key: str) -> None:
    before = recorded(server, key)
    wait_until(lambda: recorded(server, key) > before + 10_000, what=f"{key} growing")


def test_a_stream_goes_on_air_survives_its_agent_and_stops(agent: AgentProcess, ear: Ear, files: FileServer) -> None:
    with NginxRtmp() as one, NginxRtmp() as two:
        began = time.monotonic()
        ear.command(VPS, StartStream(config=config(files, one, two), timestamp=time.time()))
        status = ear.wait_for(streaming)
        cold = time.monotonic() - began
        assert status.run_id == "run-1"
        assert KEY not in repr(status)
        assert status.output_url == one.url
        ear.wait_for(live_at(2))
        for number, server in ((1, one), (2, two)):
            grows(server, f"{KEY}-{number}")
        stages = [m.stage for m in ear.heard if isinstance(m, StreamProgress)]
        assert list(dict.fromkeys(stages)) == [
            "downloading",
            "file_ready",
            "ffmpeg_starting",
            "ffmpeg_started",
            "streaming",
        ]
        assert cold < 5, f"took {cold:.2f} s"

        (playout,) = agent.playouts()
        agent.end(signal.SIGKILL)
        grows(one, f"{KEY}-1")
        assert agent.playouts() == [playout]

        heard = len(ear.heard)
        agent.start()
        beat = ear.wait_for(lambda m: isinstance(m, Heartbeat) and m.runs, since=heard)
        assert [(run.run_id, run.phase) for run in beat.runs] == [("run-1", "on_air")]
        grows(two, f"{KEY}-2")
        assert agent.playouts() == [playout]
        assert len(one.recordings_of(f"{KEY}-1")) == 1, "the connection was never dropped"

        began = time.monotonic()
        ear.command(VPS, StopStream(stream_id=42, run_id="run-1", timestamp=time.time()))
        assert ear.wait_for(ended("STOPPED"), since=heard).message == "stopped"
        assert time.monotonic() - began < 2
        wait_until(lambda: not agent.playouts(), what="no playout left")
        assert KEY not in agent.log_path.read_text()
        assert not list((agent.work_dir / "runs").iterdir())
        assert not list((agent.work_dir / "cache").iterdir())
    print(f"cold start {cold:.2f} s")
