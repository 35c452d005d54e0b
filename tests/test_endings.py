"""SIGTERM in the middle of work: scheduler, worker and listener end within eight seconds with nothing half done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis

from agent.protocol import Heartbeat, Load, encode, vps_channel
from lab.processes import ROOM, wait_until
from lab.valkey import Valkey

ROOT = Path(__file__).resolve().parent.parent
LIMIT_S = 8.0
FACTS = "import json; from tests.slow_work import facts; print(json.dumps(facts()))"
SCHEDULER = ["manage.py", "shell", "--no-imports", "-v", "0", "-c"]
SCHEDULER += ["from tests.slow_work import run_scheduler; run_scheduler()"]
WORKER = ["-m", "dramatiq", "ezstream.worker", "tests.slow_work", "--processes", "1", "--threads", "1"]
WORKER += ["--queues", "default", "--worker-shutdown-timeout", "5000"]
ADD_VPS = "from fleet.models import Vps; print(Vps.objects.create(name='v', host='127.0.0.1').pk)"
HEARD = "from fleet.models import Vps; print(Vps.objects.filter(last_heartbeat_at__isnull=False).count())"


@dataclass
class House:
    """A database and a Redis of their own, and processes in them."""

    home: Path
    env: dict[str, str]
    redis: redis.Redis
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, command: list[str], work_s: float = 0.0) -> subprocess.Popen[bytes]:
        env = self.env | {"SLOW_WORK_S": str(work_s)}
        with (self.home / "log").open("ab") as log:
            process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=env, stdout=log, stderr=log)
        self.started.append(process)
        return process

    def end(self) -> None:
        for process in self.started:
            process.kill()
            process.wait()

    def manage(self, *words: str) -> str:
        command = [sys.executable, "manage.py", *words]
        return subprocess.run(command, cwd=ROOT, env=self.env, check=True, stdout=subprocess.PIPE, text=True).stdout

    def shell(self, code: str) -> str:
        return self.manage("shell", "--no-imports", "-v", "0", "-c", code)

    def said(self, word: str) -> int:
        """How often work began, or was done."""
        path = self.home / word
        return len(path.read_text().split()) if path.exists() else 0

    def log(self) -> str:
        return (self.home / "log").read_text()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database, to be copied."""
    path = tmp_path_factory.mktemp("template") / "db.sqlite3"
    env = dict(os.environ) | {"DATABASE_URL": f"sqlite:///{path}"}
    subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], cwd=ROOT, env=env, check=True)
    return path


@pytest.fixture
def house(template: Path, tmp_path: Path) -> Iterator[House]:
    valkey = Valkey(tmp_path / "redis")
    valkey.start()
    (tmp_path / "db.sqlite3").write_bytes(template.read_bytes())
    env = dict(os.environ) | {
        "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}",
        "REDIS_URL": valkey.url,
        "VAR_DIR": str(tmp_path),
        "SLOW_WORK_DIR": str(tmp_path),
        "LOG_LEVEL": "INFO",
        "dramatiq_worker_timeout": "100",
    }
    env.pop("AGENT_REDIS_URL", None)
    with redis.Redis.from_url(valkey.url) as client:
        house = House(tmp_path, env, client)
        yield house
        house.end()
    valkey.stop()


def ended_within(process: subprocess.Popen[bytes], limit_s: float = LIMIT_S) -> int:
    """Tells it to end, and how it did."""
    began = time.monotonic()
    process.terminate()
    code = process.wait(limit_s * ROOM)
    assert time.monotonic() - began < limit_s * ROOM
    return code


def waits(condition: Callable[[], object], what: str) -> None:
    wait_until(condition, what, limit_s=20)


# ------------------------------------------------------------------------------------------------ scheduler


def test_a_scheduler_finishes_the_job_in_hand(house: House) -> None:
    process = house.start(SCHEDULER, work_s=1.5)
    waits(lambda: house.said("began"), "the job began")
    assert ended_within(process) == 0
    facts = json.loads(house.shell(FACTS))
    assert (house.said("done"), facts["half_done"], facts["succeeded"], facts["result"]) == (1, 1, True, "worked")
    assert facts["due_in_s"] > 3000


def test_a_job_that_takes_too_long_is_undone_and_due_at_once(house: House) -> None:
    process = house.start(SCHEDULER, work_s=60)
    waits(lambda: house.said("began"), "the job began")
    assert ended_within(process) == 0
    facts = json.loads(house.shell(FACTS))
    assert (house.said("done"), facts["half_done"], facts["succeeded"]) == (0, 0, False)
    assert "cut off" in facts["result"]
    assert facts["due_in_s"] <= 0


# ------------------------------------------------------------------------------------------------ worker


def queue(house: House) -> None:
    house.shell("import ezstream.worker; from tests.slow_work import act; act.send()")


def test_a_worker_finishes_the_actor_in_hand(house: House) -> None:
    queue(house)
    process = house.start(WORKER, work_s=1.5)
    waits(lambda: house.said("began"), "the actor began")
    assert ended_within(process) == 0
    assert house.said("done") == 1
    assert (house.redis.llen("dramatiq:default"), house.redis.hlen("dramatiq:default.msgs")) == (0, 0)


def test_an_actor_that_takes_too_long_goes_back_into_the_queue(house: House) -> None:
    queue(house)
    process = house.start(WORKER, work_s=60)
    waits(lambda: house.said("began"), "the actor began")
    ended_within(process)
    assert (house.said("done"), house.redis.llen("dramatiq:default")) == (0, 1)
    second = house.start(WORKER, work_s=0.1)
    waits(lambda: house.said("done"), "the next worker took it at once")
    assert ended_within(second) == 0
    assert (house.said("began"), house.said("done")) == (2, 1)


# ------------------------------------------------------------------------------------------------ listener


def beat(vps_id: int, number: int) -> str:
    load = Load(cpu=1.0, memory=2.0, disk=3.0)
    return encode(Heartbeat(vps_id=vps_id, timestamp=time.time(), agent_version=str(number), load=load))


def test_a_listener_ends_in_the_middle_of_messages(house: House) -> None:
    vps_id = int(house.shell(ADD_VPS))
    process = house.start(["manage.py", "stream_listen"])
    waits(lambda: house.redis.pubsub_numpat(), "the listener hears")
    stop = threading.Event()

    def talk() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            house.redis.publish(vps_channel(vps_id), beat(vps_id, number))

    talker = threading.Thread(target=talk)
    talker.start()
    try:
        waits(lambda: int(house.shell(HEARD)), "a heartbeat was written")
        assert ended_within(process) == 0
    finally:
        stop.set()
        talker.join()
    assert not {"cut_off", "Traceback", "locked"} & set(house.log().split())
