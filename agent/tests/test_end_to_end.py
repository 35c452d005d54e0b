"""The whole agent against real neighbours: Redis, a file server, two RTMP receivers, FFmpeg."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from agent import procfs
from agent.flvscan import profile_at
from agent.playout.plan import Plan, read_plan
from agent.playout.tests.servers import NGINX, NginxRtmp
from agent.profile import DEFAULT
from agent.protocol import (
    Answered,
    DestinationTested,
    Heartbeat,
    Ping,
    Pong,
    PushUrl,
    Query,
    SlateFile,
    StartStream,
    Steered,
    SteerStream,
    StopStream,
    StreamConfig,
    StreamProgress,
    StreamStatus,
    TestDestination,
    UpdateStream,
    VideoFile,
)
from agent.tests.clips import make, plain
from agent.tests.local_nginx import LocalNginx
from agent.tests.servers import AgentProcess, Ear, FileServer, RedisServer, file_server
from lab.processes import ROOM, wait_until

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
def redis_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def ear(redis_server: RedisServer) -> Iterator[Ear]:
    ear = Ear(redis_server.url)
    yield ear
    ear.close()


@pytest.fixture
def agent(redis_server: RedisServer, files: FileServer, tmp_path: Path, ear: Ear) -> Iterator[AgentProcess]:
    agent = AgentProcess(redis_server.url, tmp_path / "work", files.host, VPS)
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
    return StreamConfig(id=42, run_id=run, **({"push_urls": tuple(pushes)} | known | more))


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


def test_a_stream_goes_on_air_survives_its_agent_and_stops(
    agent: AgentProcess, ear: Ear, files: FileServer, tmp_path: Path
) -> None:
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
        assert cold < 5 * ROOM, f"took {cold:.2f} s"
        readable = [path for path in tmp_path.joinpath("work").rglob("*") if path.lstat().st_mode & 0o077]
        assert readable == [], "keys and customers' videos are for the agent alone"

        (playout,) = agent.playouts()
        agent.end(signal.SIGKILL)
        grows(one, f"{KEY}-1")
        assert agent.playouts() == [playout]

        heard = ear.so_far()
        agent.start()
        beat = ear.wait_for(lambda m: isinstance(m, Heartbeat) and m.runs, since=heard)
        assert [(run.run_id, run.phase) for run in beat.runs] == [("run-1", "on_air")]
        grows(two, f"{KEY}-2")
        assert agent.playouts() == [playout]
        assert steer(ear, "jump", 2).ok
        ear.wait_for(beat_with(item_id=2), since=heard)
        assert len(one.recordings_of(f"{KEY}-1")) == 1, "the connection was never dropped"

        began = time.monotonic()
        ear.command(VPS, StopStream(stream_id=42, run_id="run-1", timestamp=time.time()))
        assert ear.wait_for(ended("STOPPED"), since=heard).message == "stopped"
        assert time.monotonic() - began < 2 * ROOM
        wait_until(lambda: not agent.playouts(), what="no playout left")
        assert KEY not in agent.log_path.read_text()
        assert not list((agent.work_dir / "runs").iterdir())
        assert not videos(agent)
    print(f"cold start {cold:.2f} s")


def videos(agent: AgentProcess) -> list[Path]:
    """What is in the cache but for slates, which stay for the next run."""
    return [path for path in (agent.work_dir / "cache").iterdir() if not path.name.startswith((".slate", "slate"))]


def whole(agent: AgentProcess) -> int:
    return sum(path.suffix == ".json" for path in videos(agent))


def steer(ear: Ear, order: str, item_id: int | None = None, run: str = "run-1") -> Steered:
    """What came of it, within the second that is promised."""
    heard = ear.so_far()
    order_id = f"order-{heard}"
    command = SteerStream(
        stream_id=42, run_id=run, order_id=order_id, order=order, item_id=item_id, timestamp=time.time()
    )
    began = time.monotonic()
    ear.command(VPS, command)
    answer = ear.wait_for(lambda m: isinstance(m, Steered) and m.order_id == order_id, since=heard)
    assert time.monotonic() - began < 1 * ROOM
    return answer


def start(ear: Ear, config: StreamConfig) -> None:
    ear.command(VPS, StartStream(config=config, timestamp=time.time()))


def stop(ear: Ear, run: str | None = None) -> StreamStatus:
    heard = ear.so_far()
    ear.command(VPS, StopStream(stream_id=42, run_id=run, timestamp=time.time()))
    return ear.wait_for(ended("STOPPED"), since=heard)


def beat_with(**wanted):
    def test(message) -> bool:
        return isinstance(message, Heartbeat) and any(
            all(getattr(run, name) == value for name, value in wanted.items()) for run in message.runs
        )

    return test


def test_nonsense_is_ignored_and_unknown_streams_are_answered(agent: AgentProcess, ear: Ear) -> None:
    for raw in ("{", "[]", '{"command":"START_STREAM"}', '{"command":"EXPLODE"}', "\0"):
        ear.say(VPS, raw)
    assert stop(ear, "never-was").run_id == "never-was"
    ear.command(VPS, Ping(timestamp=1.5))
    pong = ear.wait_for(lambda m: isinstance(m, Pong))
    assert (pong.ping_timestamp, pong.active_streams) == (1.5, 0)
    wait_until(lambda: sum("cannot be read" in line["message"] for line in agent.log()) == 5, what="counted")


def test_what_operators_ask_is_answered(agent: AgentProcess, ear: Ear, files: FileServer) -> None:
    def ask(what: str) -> Answered:
        heard = len(ear.heard)
        ear.command(VPS, Query(query_id=f"about {what}", what=what, timestamp=1.0))
        return ear.wait_for(lambda m: isinstance(m, Answered) and m.query_id == f"about {what}", since=heard)

    with NginxRtmp() as server:
        start(ear, config(files, server))
        ear.wait_for(streaming)
        found = ask("processes")
        by_kind = {each.kind: each for each in found.processes}
        assert {"agent", "nursery", "playout"} <= set(by_kind)
        assert by_kind["playout"].run_id == "run-1"
        assert by_kind["playout"].memory > 1_000_000
        assert agent.process is not None
        assert by_kind["agent"].pid == agent.process.pid
    assert ask("nginx").message == "this server has no nginx to push with"
    lines = ask("log").lines
    assert any("listening for commands" in line for line in lines)
    assert not any(KEY in line for line in lines)


def test_a_stream_is_stopped_while_it_is_fetched(agent: AgentProcess, ear: Ear, files: FileServer) -> None:
    files.bytes_per_second = 10_000
    with NginxRtmp() as server:
        start(ear, config(files, server))
        ear.wait_for(lambda m: isinstance(m, StreamProgress) and m.stage == "downloading" and m.progress > 10)
        began = time.monotonic()
        assert stop(ear).run_id == "run-1"
        assert time.monotonic() - began < 2 * ROOM
        wait_until(lambda: not agent.playouts(), what="no playout left")
        wait_until(lambda: not videos(agent), what="no video left in the cache")


def test_a_warm_start_is_quick_and_a_second_stream_needs_no_fetching(
    agent: AgentProcess, ear: Ear, files: FileServer
) -> None:
    with NginxRtmp() as server:
        start(ear, config(files, server, keep_files_after_stop=True))
        ear.wait_for(live_at(1))
        wait_until(
            lambda: len([each for each in videos(agent) if each.suffix == ".json"]) == 2, what="both files whole"
        )
        stop(ear, "run-1")
        asked = len(files.asked)
        heard = ear.so_far()
        began = time.monotonic()
        start(ear, config(files, server, run="run-2"))
        ear.wait_for(streaming, since=heard)
        assert time.monotonic() - began < 1.5 * ROOM
        assert len(files.asked) == asked
        stop(ear, "run-2")


def test_items_and_destinations_change_on_air(agent: AgentProcess, ear: Ear, files: FileServer) -> None:
    with NginxRtmp() as one, NginxRtmp() as two:
        only = (video(files, 1, "/a.mp4"),)
        start(ear, config(files, one, video_files=only))
        ear.wait_for(live_at(1))
        wanted = config(files, one, two, video_files=(*only, video(files, 2, "/b.mp4")))
        ear.command(VPS, UpdateStream(config=wanted, timestamp=time.time()))
        ear.wait_for(live_at(2))
        ear.wait_for(beat_with(fingerprint=wanted.fingerprint))
        ear.wait_for(beat_with(item_id=2))
        grows(two, f"{KEY}-2")
        assert len(one.recordings_of(f"{KEY}-1")) == 1, "the first connection was never dropped"
        stop(ear)


def test_a_list_that_ends_is_over(agent: AgentProcess, ear: Ear, files: FileServer) -> None:
    with NginxRtmp() as server:
        start(ear, config(files, server, loop=False, video_files=(video(files, 2, "/b.mp4"),)))
        assert ear.wait_for(ended("STOPPED")).message == "finished"
        wait_until(lambda: not agent.playouts(), what="no playout left")


def test_a_bad_file_is_passed_over_and_only_bad_ones_are_an_error(
    agent: AgentProcess, ear: Ear, files: FileServer
) -> None:
    files.files["/bad.mp4"] = b"nothing of a video " * 100
    bad = video(files, 9, "/bad.mp4")
    with NginxRtmp() as server:
        start(ear, config(files, server, video_files=(bad, video(files, 1, "/a.mp4"))))
        status = ear.wait_for(lambda m: streaming(m) and m.run.skipped)
        assert [each.item_id for each in status.run.skipped] == [9]
        assert "not a video" in status.run.skipped[0].reason
        stop(ear)
        start(ear, config(files, server, run="run-2", video_files=(bad,)))
        error = ear.wait_for(ended("ERROR"))
        assert "not a video" in error.message
        assert any("[FFMPEG]" in line for line in error.log_tail)
        wait_until(lambda: not agent.playouts(), what="no playout left")


def test_a_playout_that_is_killed_is_back_within_seconds_and_backed_off_from_when_it_goes_on(
    agent: AgentProcess, ear: Ear, files: FileServer
) -> None:
    with NginxRtmp() as server:
        start(ear, config(files, server))
        ear.wait_for(live_at(1))
        ear.wait_for(beat_with(item_id=2))
        (playout,) = agent.playouts()
        heard, before = ear.so_far(), set(server.recordings_of(f"{KEY}-1"))
        os.kill(playout, signal.SIGKILL)
        began = time.monotonic()

        def received() -> int:
            return sum(path.stat().st_size for path in set(server.recordings_of(f"{KEY}-1")) - before)

        wait_until(lambda: received() > 10_000, what="media again", limit_s=2)
        print(f"media again {time.monotonic() - began:.2f} s after the kill")
        back = ear.wait_for(beat_with(phase="on_air", restarts=1), since=heard)
        assert back.runs[0].item_id == 2, "where it was"
        ear.wait_for(lambda m: streaming(m) and m.run.restarts == 1, since=heard)
        os.kill(agent.playouts()[0], signal.SIGKILL)
        ear.wait_for(beat_with(phase="backing_off"), 2.0)
        assert steer(ear, "next").message == "nothing is on air at the moment"
        assert stop(ear).message == "stopped"


def test_what_is_on_air_is_steered(agent: AgentProcess, ear: Ear, files: FileServer) -> None:
    with NginxRtmp() as server:
        assert steer(ear, "next").message == "this stream is not held here"
        only = (video(files, 1, "/a.mp4"),)
        start(ear, config(files, server, video_files=only))
        ear.wait_for(live_at(1))
        assert steer(ear, "next", run="run-0").message == "another run of this stream is held here"
        assert steer(ear, "jump", 2).message == "there is no such item in the list"
        heard = ear.so_far()
        wanted = config(files, server, video_files=(*only, video(files, 2, "/b.mp4")))
        ear.command(VPS, UpdateStream(config=wanted, timestamp=time.time()))
        wait_until(
            lambda: len([each for each in videos(agent) if each.suffix == ".json"]) == 2, what="both files whole"
        )
        assert steer(ear, "jump", 2).ok
        ear.wait_for(beat_with(item_id=2), since=heard)
        assert len(server.recordings_of(f"{KEY}-1")) == 1, "one connection"
        stop(ear)


def picture(directory: Path) -> Path:
    path = directory / "own.png"
    command = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", "color=red:size=64x64", "-frames:v", "1", str(path)]
    subprocess.run(command, check=True)
    return path


def test_a_destination_that_cannot_be_is_said_at_once(agent: AgentProcess, ear: Ear) -> None:
    ear.command(VPS, TestDestination(test_id="t1", url="http://place.example/live", key=KEY, timestamp=time.time()))
    told = ear.wait_for(lambda m: isinstance(m, DestinationTested))
    assert (told.test_id, told.state) == ("t1", "failed")
    assert "rtmp://" in told.message


def test_a_destination_is_tried_before_it_is_used(agent: AgentProcess, ear: Ear) -> None:
    def tried(number: int, url: str, via: str = "native") -> DestinationTested:
        wanted = f"t{number}"
        ear.command(VPS, TestDestination(test_id=wanted, url=url, key=KEY, timestamp=time.time(), via=via))
        return ear.wait_for(lambda m: isinstance(m, DestinationTested) and m.test_id == wanted)

    with NginxRtmp() as server:
        assert tried(1, server.url).state == "ok"
        assert tried(2, server.url, "ffmpeg").state == "ok"
        assert recorded(server, KEY) < 1000, "no media was sent"
    gone = tried(3, server.url)
    assert gone.state == "unreachable"
    assert KEY not in repr(gone) + agent.log_path.read_text()


def test_slates_are_in_the_plan_as_soon_as_they_are_made(
    agent: AgentProcess, ear: Ear, files: FileServer, tmp_path: Path
) -> None:
    with NginxRtmp() as server:
        start(ear, config(files, server))
        ear.wait_for(live_at(1))

        def plan() -> Plan:
            return read_plan(agent.work_dir / "runs" / "run-1" / "plan.json")

        wait_until(lambda: plan().slate and all(each.slate for each in plan().items), what="slates")
        (shown,) = {each.slate for each in plan().items}
        assert profile_at(Path(shown)) == profile_at(Path(plan().items[0].path)), "as what is on air looks"
        assert profile_at(Path(plan().slate or "")) == DEFAULT
        assert plan().ffmpeg == "ffmpeg"

        files.files["/own.png"] = (own := picture(tmp_path)).read_bytes()
        place = files.url("/own.png")
        slate = SlateFile(file_id=9, kind="picture", filename="own.png", download_url=place, size=own.stat().st_size)
        ear.command(VPS, UpdateStream(config=config(files, server, slate=slate), timestamp=time.time()))
        wait_until(lambda: all("picture" in (each.slate or "") for each in [plan(), *plan().items]), what="the own one")
        assert profile_at(Path(plan().items[0].slate or "")) == profile_at(Path(shown))
        stop(ear)
        assert Path(shown).exists(), "for the next run"


def test_an_outage_of_redis_disturbs_nothing_on_air(
    agent: AgentProcess, ear: Ear, files: FileServer, redis_server: RedisServer
) -> None:
    with NginxRtmp() as server:
        start(ear, config(files, server))
        ear.wait_for(live_at(1))
        redis_server.stop()
        grows(server, f"{KEY}-1")
        redis_server.start()
        with contextlib.closing(Ear(redis_server.url)) as again:
            again.wait_for(beat_with(run_id="run-1", phase="on_air"))
            wait_until(lambda: agent.log()[-1] and _listens(redis_server), what="listening again")
            stop(again)
        assert len(server.recordings_of(f"{KEY}-1")) == 1


def _listens(server: RedisServer) -> bool:
    with redis.Redis.from_url(server.url) as client:
        return client.publish(f"vps-commands:{VPS}", "{}") > 0


@pytest.mark.parametrize("mode", ["handover", "stop"])
def test_a_graceful_end(redis_server: RedisServer, files: FileServer, tmp_path: Path, ear: Ear, mode: str) -> None:
    agent = AgentProcess(redis_server.url, tmp_path / "work", files.host, VPS, EZSTREAM_ON_EXIT=mode)
    agent.start()
    try:
        ear.wait_for(lambda m: isinstance(m, Heartbeat))
        with NginxRtmp() as server:
            start(ear, config(files, server))
            ear.wait_for(live_at(1))
            began = time.monotonic()
            assert agent.end() == 0
            assert time.monotonic() - began < 10 * ROOM
            ear.wait_for(lambda m: isinstance(m, Heartbeat) and not m.accepting)
            if mode == "stop":
                ear.wait_for(ended("STOPPED"))
                assert not agent.playouts()
                return
            grows(server, f"{KEY}-1")
            heard = ear.so_far()
            agent.start()
            ear.wait_for(beat_with(phase="on_air"), since=heard)
            stop(ear)
            assert len(server.recordings_of(f"{KEY}-1")) == 1
    finally:
        agent.clear_away()


def test_an_agent_killed_while_fetching_goes_on_where_it_was(agent: AgentProcess, ear: Ear, files: FileServer) -> None:
    files.bytes_per_second = 60_000
    with NginxRtmp() as server:
        start(ear, config(files, server))
        ear.wait_for(lambda m: isinstance(m, StreamProgress) and m.stage == "downloading" and m.progress > 10)
        wait_until(agent.playouts, what="a playout")
        (playout,) = agent.playouts()
        agent.end(signal.SIGKILL)
        files.bytes_per_second = None
        asked = len(files.asked)
        agent.start()
        ear.wait_for(streaming)
        assert agent.playouts() == [playout]
        assert any(wanted != "bytes=0-" for _, wanted in files.asked[asked:]), "resumed, not fetched anew"
        stop(ear)
        wait_until(lambda: not agent.playouts(), what="no playout left")


def test_a_killed_agent_leaves_no_ffmpeg_behind(
    redis_server: RedisServer, files: FileServer, tmp_path: Path, ear: Ear
) -> None:
    slow = tmp_path / "slow-ffmpeg"
    slow.write_text(f"#!/bin/sh\necho $$ >> {tmp_path}/pids\nexec sleep 600\n")
    slow.chmod(0o755)
    agent = AgentProcess(redis_server.url, tmp_path / "work", files.host, VPS, EZSTREAM_FFMPEG=str(slow))
    agent.start()
    try:
        ear.wait_for(lambda m: isinstance(m, Heartbeat))
        with NginxRtmp() as server:
            start(ear, config(files, server, video_files=(video(files, 1, "/a.mp4"),)))
            wait_until(lambda: len(pids_in(tmp_path / "pids")) >= 2, what="FFmpeg for the slate and for the file")
            pids = pids_in(tmp_path / "pids")
            assert all(os.getpriority(os.PRIO_PROCESS, pid) > 0 for pid in pids), "behind everything else"
            agent.end(signal.SIGKILL)
            wait_until(lambda: all(procfs.start_ticks(pid) is None for pid in pids), what="FFmpeg gone")
    finally:
        agent.clear_away()


def pids_in(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_nursery_ends_with_its_agent_and_its_playouts_are_adopted(
    agent: AgentProcess, ear: Ear, files: FileServer, number: int
) -> None:
    with NginxRtmp() as server:
        start(ear, config(files, server))
        ear.wait_for(live_at(1))
        (nursery,) = agent.nurseries()
        (playout,) = agent.playouts()
        assert f"PPid:\t{nursery}\n" in Path(f"/proc/{playout}/status").read_text()
        agent.end(number)
        wait_until(lambda: procfs.start_ticks(nursery) is None, what="the nursery gone")
        ended_at = time.time()
        agent.start()
        ear.wait_for(lambda m: isinstance(m, Heartbeat) and m.runs and m.timestamp > ended_at)
        wait_until(agent.nurseries, what="a nursery of its own")
        assert agent.playouts() == [playout]
        stop(ear)
        assert len(server.recordings_of(f"{KEY}-1")) == 1


def test_nginx_pushes_what_the_playout_gives_it(
    redis_server: RedisServer, files: FileServer, tmp_path: Path, ear: Ear
) -> None:
    with LocalNginx(tmp_path / "nginx") as local, NginxRtmp() as one, NginxRtmp() as two:
        settings = {"EZSTREAM_NGINX_CONF": str(local.conf), "EZSTREAM_NGINX_RTMP_PORT": str(local.port)}
        agent = AgentProcess(redis_server.url, tmp_path / "work", files.host, VPS, **settings, EZSTREAM_NGINX=NGINX)
        agent.start()
        try:
            ear.wait_for(lambda m: isinstance(m, Heartbeat))
            native, other = config(files, one, two).push_urls
            relayed = replace(other, via="nginx")
            bad = PushUrl(id=3, name="bad", url="rtmp://no-such-host.invalid/app", key=f"{KEY}-3", via="nginx")
            start(ear, config(files, push_urls=(native, relayed, bad)))
            said = ear.wait_for(live_at(2)).run.destinations
            assert [(each.id, each.reason) for each in said if each.state == "failed"] == [
                (3, "the name «no-such-host.invalid» cannot be resolved")
            ]
            grows(one, f"{KEY}-1")
            grows(two, f"{KEY}-2")
            agent.end(signal.SIGKILL)
            heard = ear.so_far()
            agent.start()
            ear.wait_for(beat_with(phase="on_air"), since=heard)
            again = config(files, push_urls=(native, replace(relayed, key=f"{KEY}-new")))
            ear.command(VPS, UpdateStream(config=again, timestamp=time.time()))
            wait_until(lambda: recorded(two, f"{KEY}-new") > 10_000, what="the new key pushed")
            assert len(two.recordings_of(f"{KEY}-2")) == 1, "adopted without dropping it"
            stop(ear)
            assert len(one.recordings_of(f"{KEY}-1")) == 1
            wait_until(lambda: not list(local.streams.glob("stream_*.conf")), what="its keys gone")
            assert KEY not in agent.log_path.read_text() + local.log()
        finally:
            agent.clear_away()


def test_two_agents_do_not_share_a_directory(agent: AgentProcess, redis_server: RedisServer, files: FileServer) -> None:
    second = AgentProcess(redis_server.url, agent.work_dir, files.host, 8)
    second.start()
    assert second.process is not None
    assert second.process.wait(10) == 3


def test_what_is_missing_is_said_at_once(redis_server: RedisServer, files: FileServer, tmp_path: Path) -> None:
    agent = AgentProcess(redis_server.url, tmp_path / "work", "", VPS)
    agent.start()
    assert agent.process is not None
    assert agent.process.wait(10) == 2
    assert agent.log_path.read_text() == "agent: EZSTREAM_TRUSTED_HOSTS is not set\n"


def test_a_file_half_prepared_by_a_killed_agent_does_not_hold_up_the_list(
    agent: AgentProcess, ear: Ear, files: FileServer, clips: Path
) -> None:
    busy = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25", "-b:v", "4M")
    files.files["/big.mp4"] = make(clips / "big.mp4", seconds=12, video=busy).read_bytes()
    items = (video(files, 1, "/big.mp4"), video(files, 2, "/b.mp4"))
    with NginxRtmp() as server:
        files.bytes_per_second = len(files.files["/big.mp4"]) / 10
        start(ear, config(files, server, video_files=items))
        ear.wait_for(beat_with(item_id=1, phase="on_air"))
        agent.end(signal.SIGKILL)
        files.bytes_per_second /= 4
        heard = ear.so_far()
        agent.start()
        ear.wait_for(beat_with(item_id=1), since=heard)
        ear.wait_for(beat_with(item_id=2), since=heard)
        assert any("ended with the agent before" in line["message"] for line in agent.log())
        assert len(server.recordings_of(f"{KEY}-1")) == 1
        stop(ear)
