"""A real nginx that pushes: made, checked, loaded and removed, while what is on air goes on."""

# ruff: noqa: ASYNC110 - waiting for conditions of real processes

import asyncio
import contextlib
import logging
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent import nginx as module
from agent import nginx_conf, nginx_program
from agent.events import RelaysLoaded
from agent.nginx import Nginx
from agent.nginx_program import Program
from agent.playout.tests.clips import clip
from agent.playout.tests.servers import NGINX, NginxRtmp
from agent.protocol import PushUrl
from agent.tests.local_nginx import LocalNginx
from lab.processes import ROOM, wait_until

KEY = "k3y-that-must-not-leak"


class Scene:
    def __init__(self, local: LocalNginx) -> None:
        self.local = local
        self.said: list[RelaysLoaded] = []
        self.program = Program(NGINX, local.port)
        self.nginx = self.anew()

    def anew(self, **more) -> Nginx:
        """Another agent's, beside the same nginx."""
        return Nginx(self.program, self.local.conf, self.said.append, **({"reach_private": True} | more))

    async def make(self, wanted: dict[int, tuple[PushUrl, ...]]) -> dict[int, RelaysLoaded]:
        self.said.clear()
        self.nginx.want(wanted)
        await self.nginx.settle()
        return {each.stream_id: each for each in self.said}

    def file(self, stream_id: int) -> Path:
        return self.local.streams / f"stream_{stream_id}.conf"

    async def has(self, stream_id: int, destination_id: int) -> bool:
        return await self.program.answers(nginx_conf.application_name(stream_id, destination_id))


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalNginx]:
    with LocalNginx(tmp_path / "nginx") as server:
        yield server


@pytest.fixture
def scene(local: LocalNginx) -> Scene:
    return Scene(local)


def push(number: int, url: str, key: str = "", **more) -> PushUrl:
    return PushUrl(id=number, name=f"place {number}", url=url, key=key or f"{KEY}-{number}", via="nginx", **more)


@contextlib.contextmanager
def publisher(url: str, key: str) -> Iterator[subprocess.Popen[bytes]]:
    command = ["ffmpeg", "-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i", str(clip()), "-c", "copy"]
    process = subprocess.Popen([*command, "-f", "flv", f"{url}/{key}"])
    try:
        yield process
        assert process.poll() is None, "it went on to the end"
    finally:
        process.kill()
        process.wait()


def size(server: NginxRtmp, key: str) -> int:
    return sum(path.stat().st_size for path in server.recordings_of(key))


async def grows(server: NginxRtmp, key: str) -> None:
    before = size(server, key)
    await asyncio.to_thread(wait_until, lambda: size(server, key) > before + 5000, f"{key} growing")


async def test_what_is_published_here_arrives_there_under_its_key(scene: Scene, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    key = f"{KEY}?a=1&b=two"
    with NginxRtmp() as one, NginxRtmp() as two:
        said = await scene.make({42: (push(7, one.url, key), push(8, two.url))})
        assert said[42].failed == {}
        assert scene.file(42).stat().st_mode & 0o777 == 0o600
        assert scene.local.streams.stat().st_mode & 0o777 == 0o700
        with publisher(scene.local.url(42, 7), said[42].loaded[7]), publisher(scene.local.url(42, 8), "x"):
            await grows(one, KEY)
            await grows(two, f"{KEY}-8")
        assert not one.recordings_of(f"{KEY}-8"), "each place gets its own alone"
        assert KEY not in caplog.text


async def test_a_bad_one_is_refused_while_the_others_go_on_without_a_gap(scene: Scene) -> None:
    with NginxRtmp() as place:
        good = push(1, place.url)
        said = await scene.make({1: (good,)})
        with publisher(scene.local.url(1, 1), said[1].loaded[1]):
            await grows(place, good.key)
            bad = (
                push(2, "rtmp://no-such-host.invalid/app"),
                push(3, place.url, 'k; exec_static touch /tmp/x; #"'),
                push(4, place.url.replace("rtmp:", "rtmps:")),
                push(5, place.url),
            )
            said = await scene.make({1: (good,), 2: bad})
            assert said[1].failed == {}
            assert said[2].failed == {
                2: "the name «no-such-host.invalid» cannot be resolved",
                3: "its key has characters that nginx cannot be given: choose another way to push",
                4: "nginx cannot push to rtmps://: choose another way to push",
            }
            assert list(said[2].loaded) == [5]
            assert await scene.has(2, 5)
            await grows(place, good.key)
        assert len(place.recordings_of(good.key)) == 1, "the connection was never dropped"


async def test_reloads_while_streaming_lose_nothing(scene: Scene) -> None:
    with NginxRtmp() as place:
        said = await scene.make({1: (push(1, place.url),)})
        with publisher(scene.local.url(1, 1), said[1].loaded[1]):
            await grows(place, f"{KEY}-1")
            for number in range(2, 5):
                said = await scene.make({each: (push(each, place.url),) for each in range(1, number + 1)})
                assert not any(each.failed for each in said.values())
                with publisher(scene.local.url(number, number), "x"):
                    await grows(place, f"{KEY}-{number}")
            await scene.make({1: (push(1, place.url),)})
            await grows(place, f"{KEY}-1")
        assert len(place.recordings_of(f"{KEY}-1")) == 1


async def test_what_nginx_refuses_leaves_what_it_has(scene: Scene, monkeypatch) -> None:
    """Nothing that is rendered can be refused; if something could, it would be that stream's alone."""
    place = "rtmp://127.0.0.1:1/app"
    await scene.make({1: (push(1, place, "first"),)})
    before = scene.file(1).read_text()
    rendered = nginx_conf.application

    def broken(stream_id: int, *rest) -> str:
        text = rendered(stream_id, *rest)
        return text.replace("live on;", "live maybe;") if stream_id == 1 else text

    monkeypatch.setattr(nginx_conf, "application", broken)
    said = await scene.make({1: (push(1, place, "second-key"),), 2: (push(1, place),)})
    assert scene.file(1).read_text() == before
    assert "nginx refuses: invalid value" in said[1].failed[1]
    assert said[2].failed == {}
    assert await scene.has(1, 1)
    assert await scene.has(2, 1)
    assert not list(scene.local.conf.parent.glob(".check-*"))


async def test_a_main_file_that_is_broken_is_said_and_nothing_is_touched(scene: Scene) -> None:
    place = "rtmp://127.0.0.1:1/app"
    await scene.make({1: (push(1, place),)})
    reloads, whole = scene.local.reloads(), scene.local.conf.read_text()
    scene.local.conf.write_text(whole + f'nonsense "{KEY}-2";\n')
    said = await scene.make({1: (push(1, place),), 2: (push(2, place),)})
    assert said[1].failed == {}, "it is still pushed"
    assert said[2].failed[2].startswith('nginx refuses: unknown directive "nonsense"')
    assert not scene.file(2).exists()
    assert scene.local.reloads() == reloads
    scene.local.conf.write_text(whole)
    assert (await scene.make({1: (push(1, place),), 2: (push(2, place),)}))[2].failed == {}


async def test_what_ends_is_removed_and_the_rest_stays(scene: Scene) -> None:
    place = "rtmp://127.0.0.1:1/app"
    await scene.make({1: (push(1, place), push(2, place)), 2: (push(3, place),)})
    await scene.make({1: (push(1, place),)})
    assert [await scene.has(*each) for each in ((1, 1), (1, 2), (2, 3))] == [True, False, False]
    assert not scene.file(2).exists()
    await scene.make({})
    assert not await scene.has(1, 1)
    assert not scene.file(1).exists()


async def test_a_new_key_is_a_new_local_key_and_goes_on_there(scene: Scene) -> None:
    with NginxRtmp() as place:
        first = await scene.make({1: (push(1, place.url, "first"),)})
        second = await scene.make({1: (push(1, place.url, "second"),)})
        assert first[1].loaded != second[1].loaded
        with publisher(scene.local.url(1, 1), second[1].loaded[1]):
            await grows(place, "second")
        assert not place.recordings_of("first")


async def test_nothing_new_is_no_reload(scene: Scene) -> None:
    wanted = {1: (push(1, "rtmp://127.0.0.1:1/app"),)}
    await scene.make(wanted)
    reloads = scene.local.reloads()
    scene.nginx = scene.anew()
    said = await scene.make({1: (push(1, "rtmp://127.0.0.1:1/app", enabled=False),)})
    assert said[1].failed == {}
    assert scene.local.reloads() == reloads, "an agent that begins anew finds it as it should be"


async def test_a_new_agent_removes_what_nobody_wants(scene: Scene) -> None:
    await scene.make({1: (push(1, "rtmp://127.0.0.1:1/app"),), 2: (push(2, "rtmp://127.0.0.1:1/app"),)})
    left = scene.local.conf.parent / ".check-left"
    left.mkdir()
    (left / "secret").touch()
    (scene.local.streams / ".stream_3.conf.draft").touch()
    (scene.local.streams / "own.conf").write_text("# the operator's own\n")
    scene.nginx = scene.anew()
    await scene.make({2: (push(2, "rtmp://127.0.0.1:1/app"),)})
    assert sorted(path.name for path in scene.local.streams.iterdir()) == ["own.conf", "ready.conf", "stream_2.conf"]
    assert not left.exists()
    assert [await scene.has(1, 1), await scene.has(2, 2)] == [False, True]


async def test_an_outage_of_the_name_server_takes_nothing_off_the_air(scene: Scene, monkeypatch) -> None:
    wanted = {1: (push(1, "rtmp://localhost:1/app"),)}
    await scene.make(wanted)
    before = scene.file(1).read_text()

    async def silence(*_, **__) -> None:
        raise socket.gaierror

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", silence)
    scene.nginx = scene.anew()
    said = await scene.make({1: (*wanted[1], push(2, "rtmp://localhost:1/app"))})
    assert said[1].failed == {2: "the name «localhost» cannot be resolved"}
    assert scene.file(1).read_text() == before


async def test_the_address_in_use_stays(scene: Scene, monkeypatch) -> None:
    addresses = ["127.0.0.1", "127.0.0.2"]

    async def turning(*_, **__) -> list:
        addresses.reverse()
        return [(0, 0, 0, "", (address, 1)) for address in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", turning)
    await scene.make({1: (push(1, "rtmp://turning.example:1/app"),)})
    before = scene.file(1).read_text()
    assert nginx_conf.addresses(before) == ["127.0.0.2"]
    scene.nginx = scene.anew()
    await scene.make({1: (push(1, "rtmp://turning.example:1/app"),)})
    assert scene.file(1).read_text() == before


async def test_a_private_network_is_refused(scene: Scene) -> None:
    scene.nginx = scene.anew(reach_private=False)
    said = await scene.make({1: (push(1, "rtmp://127.0.0.1:1/app"),)})
    assert said[1].failed == {1: "«127.0.0.1» leads inside a private network"}


async def test_without_nginx_it_is_said(tmp_path: Path) -> None:
    said: list[RelaysLoaded] = []
    nginx = Nginx(Program("nginx", 1), None, said.append)
    nginx.want({1: (push(1, "rtmp://place.example/app"),)})
    assert await nginx.settle()
    assert said == [RelaysLoaded(1, {}, {1: "this server has no nginx to push with"})]


async def test_an_nginx_that_is_not_there_is_said_and_tried_again(scene: Scene, monkeypatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.1)
    monkeypatch.setattr(nginx_program, "LOAD_SECONDS", 1.0)
    scene.local.stop()
    running = asyncio.create_task(scene.nginx.run())
    scene.nginx.want({1: (push(1, "rtmp://127.0.0.1:1/app"),)})
    await _until(lambda: scene.said)
    assert scene.said[0].failed[1].startswith("nginx refuses: ")
    scene.local.start()
    await _until(lambda: scene.said[-1].loaded)
    running.cancel()


async def test_a_program_that_is_none_is_said(scene: Scene) -> None:
    scene.program = Program("/nonexistent/nginx", scene.local.port)
    scene.nginx = scene.anew()
    said = await scene.make({1: (push(1, "rtmp://127.0.0.1:1/app"),)})
    assert said[1].failed == {1: "nginx cannot be run (No such file or directory)"}


async def test_a_directory_that_cannot_be_written_is_said(scene: Scene) -> None:
    scene.local.streams.write_text("a file")
    said = await scene.make({1: (push(1, "rtmp://127.0.0.1:1/app"),)})
    assert said[1].failed == {1: "nginx's files cannot be written (File exists)"}


async def test_changes_in_a_row_are_one_reload(scene: Scene) -> None:
    running = asyncio.create_task(scene.nginx.run())
    for number in range(1, 6):
        scene.nginx.want({each: (push(each, "rtmp://127.0.0.1:1/app"),) for each in range(1, number + 1)})
        await asyncio.sleep(0)
    await _until(lambda: {each.stream_id for each in scene.said if each.loaded} == {1, 2, 3, 4, 5})
    assert scene.local.reloads() == 1
    running.cancel()


async def test_at_the_end_nothing_that_ended_stays_behind(scene: Scene) -> None:
    await scene.make({1: (push(1, "rtmp://127.0.0.1:1/app"),)})
    scene.nginx.want({})
    await scene.nginx.close(within=2 * ROOM)
    assert not scene.file(1).exists()
    assert not await scene.has(1, 1)


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10 * ROOM):
        while not condition():
            await asyncio.sleep(0.01)


def test_what_nginx_says_is_told_without_keys() -> None:
    said = f'nginx: [warn] x\nnginx: [emerg] 12#12: unknown parameter "{KEY}" in /etc/n/a.conf:3\nnginx: it failed\n'
    assert nginx_program.plain(said, {KEY, ""}) == 'unknown parameter "•••" in a.conf:3'
    assert nginx_program.plain("", {KEY}) == "it does not say why"
    assert os.linesep not in nginx_program.plain("one\ntwo", set())
