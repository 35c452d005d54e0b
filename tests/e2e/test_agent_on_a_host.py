"""The agent's bundle under systemd on a bare server: streams outlive its death, its silence, its upgrades."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.protocol import Heartbeat, PushUrl, StartStream, StopStream, StreamConfig, StreamStatus, VideoFile
from agent.tests.clips import plain
from agent.tests.servers import Ear, FileServer, RedisServer, file_server
from fleet.provision import bundle, unit, upgrade
from fleet.provision.bundle import Bundle
from fleet.provision.upgrade import Verdict
from lab.hosts import Host, Lab
from lab.processes import ROOM, wait_until
from lab.product import ROOT
from lab.receiver import Publish, Receiver
from tests.e2e.houses import says
from tests.e2e.installed import packages

pytestmark = pytest.mark.e2e

VPS = 7
STREAM = 42
APP = "live"
KEY = "k3y-that-must-not-leak"
PASSWORD = "word-that-must-not-leak"


@dataclass
class Server:
    """A host with an agent on it, and how it is seen from here."""

    host: Host
    ear: Ear
    receiver: Receiver
    files: FileServer
    runs: int = 0

    # ------------------------------------------------------------------------------------ as provisioning
    def put(self, path: str, content: bytes, mode: str = "0644", owner: str = "root:root") -> None:
        user, group = owner.split(":")
        self.host.run(["install", "-D", "-m", mode, "-o", user, "-g", group, "/dev/stdin", path], given=content)

    def upload(self, made: Bundle) -> str:
        path = upgrade.path_of(made.hash)
        self.put(path, made.content)
        return path

    def install(self, made: Bundle, environment: str) -> None:
        self.host.run(["useradd", "--system", "--user-group", "--no-create-home", upgrade.USER])
        self.host.run(["install", "-d", "-m", "0700", "-o", "ezstream", "-g", "ezstream", "/var/lib/ezstream-agent"])
        self.put(upgrade.CONFIG, environment.encode(), "0640", f"root:{upgrade.USER}")
        self.put(f"/etc/systemd/system/{unit.NAME}", unit.content())
        self.host.run(upgrade.swap(self.upload(made)))
        self.host.run(["systemctl", "enable", "--now", unit.NAME])

    def upgrade_to(self, path: str) -> None:
        self.host.run(upgrade.swap(path))
        # One that cannot start is for the gate to find.
        with contextlib.suppress(subprocess.CalledProcessError):
            self.host.run(upgrade.restart())

    def installed(self) -> upgrade.Installed:
        return upgrade.read(self.host.run(upgrade.look()))

    def passes_gate(self, made: Bundle, limit_s: float = upgrade.GATE_S * ROOM) -> bool:
        since, began = len(self.ear.heard), time.monotonic()
        while True:
            self.ear.listen()
            versions = [each.agent_version for each in self.ear.heard[since:] if isinstance(each, Heartbeat)]
            waited = (time.monotonic() - began) * upgrade.GATE_S / limit_s
            if (verdict := upgrade.gate(made.hash, versions, waited)) is not Verdict.WAIT:
                return verdict is Verdict.PASSED

    # --------------------------------------------------------------------------------------- as systemd
    def shown(self, name: str) -> str:
        return self.host.run(["systemctl", "show", "--value", "-p", name, unit.NAME]).strip()

    def journal(self) -> str:
        return self.host.run(["journalctl", "--no-pager", "-u", unit.NAME])

    def signal_agent(self, name: str) -> None:
        self.host.run(["systemctl", "kill", "--kill-whom=main", f"--signal={name}", unit.NAME])

    def comes_back(self, since: int) -> None:
        """Another agent than the one that was number `since` in systemd's count of restarts."""
        wait_until(lambda: int(self.shown("NRestarts")) > since, "restarted by systemd", limit_s=30)
        self.is_heard(on_air=True)

    def playouts(self) -> list[int]:
        return [int(pid) for pid in self.host.run(["sh", "-c", "pgrep -f 'agent[.]playout .*/runs/' || true"]).split()]

    # ------------------------------------------------------------------------------------- as its streams
    def is_heard(self, *, on_air: bool = False) -> Heartbeat:
        def held(message: object) -> bool:
            if not isinstance(message, Heartbeat) or message.timestamp < began:
                return False
            return not on_air or any(run.phase == "on_air" for run in message.runs)

        began = time.time()
        heartbeat: Heartbeat = self.ear.wait_for(held, limit_s=30, since=len(self.ear.heard))
        return heartbeat

    def start(self) -> Publish:
        self.runs += 1
        seen = len(self.receiver.of(APP))
        self.ear.command(VPS, StartStream(config=self.config(), timestamp=time.time()))
        self.ear.wait_for(lambda m: isinstance(m, StreamStatus) and m.status == "STREAMING" and m.run_id == self.run_id)
        wait_until(lambda: len(self.receiver.of(APP)) > seen, "published")
        publish = self.receiver.of(APP)[-1]
        flows(publish)
        return publish

    def stop(self) -> None:
        since = len(self.ear.heard)
        self.ear.command(VPS, StopStream(stream_id=STREAM, timestamp=time.time()))
        self.ear.wait_for(lambda m: isinstance(m, StreamStatus) and m.status == "STOPPED", since=since)

    @property
    def run_id(self) -> str:
        return f"run-{self.runs}"

    def config(self) -> StreamConfig:
        item = VideoFile(
            item_id=1, file_id=1, filename="a.mp4", download_url=self.files.url("/a.mp4"),
            size=len(self.files.files["/a.mp4"]), video_codec="h264", pixel_format="yuv420p", audio_codec="aac",
        )  # fmt: skip
        push = PushUrl(id=1, name="place", url=self.receiver.url(APP), key=KEY)
        return StreamConfig(id=STREAM, run_id=self.run_id, epoch=1, video_files=(item,), push_urls=(push,))


def flows(publish: Publish) -> None:
    before = len(publish.arrivals)
    wait_until(lambda: len(publish.arrivals) > before + 50, "what is on air arrives")
    assert publish.closed_at is None


@pytest.fixture(scope="module")
def made() -> Bundle:
    return bundle.current()


@pytest.fixture(scope="module")
def server(vps_lab: Lab, made: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    host = vps_lab.host("air", packages=packages())
    here = vps_lab.address
    with RedisServer(address=here, password=PASSWORD) as redis, file_server(here) as files, Receiver(here) as receiver:
        files.files["/a.mp4"] = plain(tmp_path_factory.mktemp("clips"), 4)
        with contextlib.closing(Ear(redis.url)) as ear:
            server = Server(host, ear, receiver, files)
            server.install(made, environment(redis.url, files.host))
            server.is_heard()
            yield server
    vps_lab.remove(host)


def environment(redis_url: str, files: str) -> str:
    settings = {
        "REDIS_URL": redis_url,
        "VPS_ID": VPS,
        "WORK_DIR": "/var/lib/ezstream-agent",
        "TRUSTED_HOSTS": files,
        "PLAIN_HTTP_HOSTS": files,
        "ALLOW_PRIVATE_DESTINATIONS": 1,
    }
    return "".join(f"EZSTREAM_{name}={value}\n" for name, value in settings.items())


@pytest.fixture
def publish(server: Server) -> Iterator[Publish]:
    """A stream on air; at the end it still is, over the same connection."""
    publish = server.start()
    yield publish
    server.stop()
    wait_until(lambda: not server.playouts(), "no playout left")


def other(folder: Path, change: Callable[[Path], object]) -> Bundle:
    """A bundle of another source."""
    source = folder / "agent"
    shutil.copytree(ROOT / "agent", source, ignore=shutil.ignore_patterns("tests", "__pycache__"))
    change(source)
    return bundle.make(source)


def test_it_is_ready_under_its_own_user_and_can_do_the_work(server: Server, made: Bundle) -> None:
    assert server.is_heard().agent_version == made.version
    assert server.shown("ActiveState") == "active"
    assert server.shown("User") == "ezstream"
    found = json.loads(server.host.run(upgrade.self_test(upgrade.path_of(made.hash))))
    assert found["ok"], found
    assert server.host.run(["/usr/bin/python3", upgrade.LINK, "--version"]).strip() == made.version


def test_it_holds_no_more_rights_than_it_needs(server: Server) -> None:
    pid = server.shown("MainPID")
    status = server.host.run(["cat", f"/proc/{pid}/status"])
    for line in ("NoNewPrivs:\t1", "CapEff:\t0000000000000000", "Seccomp:\t2"):
        assert line in status
    assert PASSWORD not in server.host.run(["cat", f"/proc/{pid}/environ", f"/proc/{pid}/cmdline"])
    exposure = server.host.run(["systemd-analyze", "security", "--no-pager", unit.NAME]).splitlines()[-1]
    assert float(exposure.split(":")[1].split()[0]) < 3.0, exposure


def test_a_killed_agent_is_started_again_and_the_stream_stays(server: Server, publish: Publish) -> None:
    playouts, restarts = server.playouts(), int(server.shown("NRestarts"))
    assert len(playouts) == 1
    server.signal_agent("KILL")
    server.comes_back(restarts)
    flows(publish)
    assert server.playouts() == playouts


def test_a_silent_agent_is_started_again_and_the_stream_stays(server: Server, publish: Publish) -> None:
    playouts, restarts = server.playouts(), int(server.shown("NRestarts"))
    server.signal_agent("STOP")
    server.comes_back(restarts)
    flows(publish)
    assert server.playouts() == playouts
    assert "Watchdog timeout" in server.journal()


def test_it_gives_signs_of_life(server: Server) -> None:
    before, pid = server.shown("WatchdogTimestampMonotonic"), server.shown("MainPID")
    wait_until(lambda: server.shown("WatchdogTimestampMonotonic") != before, "another sign of life", limit_s=10)
    assert server.shown("MainPID") == pid, "by itself, not by being started again"


def test_an_upgrade_and_the_way_back_leave_the_stream_on_air(
    server: Server, publish: Publish, made: Bundle, tmp_path: Path
) -> None:
    playouts = server.playouts()
    newer = other(tmp_path, says("99.0"))
    path = server.upload(newer)
    assert json.loads(server.host.run(upgrade.self_test(path)))["version"] == newer.version
    server.upgrade_to(path)
    assert server.passes_gate(newer)
    flows(publish)

    server.host.run(upgrade.prune())
    installed = server.installed()
    assert (installed.current, installed.way_back) == (path, upgrade.path_of(made.hash))
    server.upgrade_to(installed.way_back)
    assert server.passes_gate(made)
    server.is_heard(on_air=True)
    flows(publish)
    assert server.playouts() == playouts


def test_a_bundle_that_does_not_start_is_taken_back(
    server: Server, publish: Publish, made: Bundle, tmp_path: Path
) -> None:
    broken = other(tmp_path, lambda source: (source / "core.py").write_text("raise SystemExit(1)\n"))
    server.upgrade_to(server.upload(broken))
    assert not server.passes_gate(broken, limit_s=6.0)
    flows(publish)
    server.upgrade_to(server.installed().way_back)
    assert server.passes_gate(made)
    server.is_heard(on_air=True)
    flows(publish)


def test_bundles_that_playouts_began_from_are_kept(server: Server, made: Bundle, tmp_path: Path) -> None:
    """Two upgrades on: neither current nor previous, and still in use."""
    server.start()
    paths = [upgrade.path_of(made.hash)]
    for version in ("99.1", "99.2", "99.3"):
        newer = other(tmp_path / version, says(version))
        paths.append(server.upload(newer))
        server.upgrade_to(paths[-1])
        assert server.passes_gate(newer)
    server.host.run(upgrade.prune())
    assert sorted(server.installed().bundles) == sorted([paths[0], *paths[2:]])
    server.stop()
    wait_until(lambda: not server.playouts(), "no playout left")
    server.host.run(upgrade.prune())
    assert sorted(server.installed().bundles) == sorted(paths[2:])
    server.upgrade_to(server.upload(made))
    assert server.passes_gate(made)


def test_after_a_reboot_the_stream_returns(server: Server) -> None:
    server.start()
    seen = len(server.receiver.of(APP))
    server.host.reboot()
    wait_until(lambda: len(server.receiver.of(APP)) > seen, "published again", limit_s=30)
    flows(server.receiver.of(APP)[-1])
    server.is_heard(on_air=True)
    server.stop()


def test_no_secret_is_in_the_journal(server: Server) -> None:
    said = server.journal()
    assert "begins" in said
    assert "the nursery" not in said, "it works from inside the bundle too"
    assert KEY not in said
    assert PASSWORD not in said
