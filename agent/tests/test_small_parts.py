"""Load, log and /proc: what they read and what they never say."""

import json
import logging
import os
import subprocess
import time
from pathlib import Path

from agent import procfs
from agent.load import LoadMeter
from agent.log import JsonFormatter, Redactor


def test_load_is_a_share_of_the_time_between_two_looks(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "meminfo").write_text("MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 250 kB\n")
    dev = "Inter\n face\n lo: 9 9 0 0 0 0 0 0 {0} 0\neth0: 5 5 0 0 0 0 0 0 {0} 0\n"

    def world(busy: int, idle: int, sent: int) -> None:
        (tmp_path / "stat").write_text(f"cpu {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 1\n")
        (tmp_path / "net" / "dev").write_text(dev.format(sent))

    meter = LoadMeter(tmp_path, proc=tmp_path)
    world(100, 100, 0)
    assert meter.sample(10.0).cpu == 0
    world(175, 125, 1_250_000)
    load = meter.sample(20.0)
    assert (load.cpu, load.memory, load.network_mbit, load.sent_bytes) == (75.0, 75.0, 1.0, 1_250_000)
    assert 0 < load.disk <= 100


def test_what_was_sent_is_added_up_whatever_interfaces_come_and_go(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "meminfo").write_text("MemTotal: 1000 kB\nMemAvailable: 250 kB\n")
    (tmp_path / "stat").write_text("cpu 1 0 0 1 0 0 0 0 0 0\n")
    meter = LoadMeter(tmp_path, proc=tmp_path)

    def sent_after(**interfaces: int) -> int | None:
        rows = "".join(f"{name}: 5 5 0 0 0 0 0 0 {sent} 0\n" for name, sent in interfaces.items())
        (tmp_path / "net" / "dev").write_text(f"Inter\n face\n{rows}")
        return meter.sample(1.0).sent_bytes

    assert sent_after(eth0=900, tun0=500, lo=9) == 0, "what was there before the agent began is not ours"
    assert sent_after(eth0=1000, tun0=600, lo=99) == 200
    assert sent_after(eth0=1100) == 300, "one that goes takes nothing away"
    assert sent_after(eth0=1100, tun0=50) == 350


def test_this_machine_is_read(tmp_path: Path) -> None:
    assert 0 < LoadMeter(tmp_path).sample(1.0).memory < 100


def test_secrets_are_struck_out_of_logs() -> None:
    redactor = Redactor()
    redactor.learn("r1", ("sesame-key", "x", ""))
    record = logging.LogRecord("a", logging.ERROR, "f", 1, "pushing %s", ("rtmp://h/sesame-key",), None)
    record.stream = 4
    line = json.loads(JsonFormatter(redactor).format(record))
    assert line["message"] == "pushing rtmp://h/•••"
    assert (line["level"], line["stream"]) == ("error", 4)
    redactor.forget("r1")
    assert redactor.clean("sesame-key") == "sesame-key"


def test_a_process_is_known_by_when_it_began() -> None:
    ticks = procfs.start_ticks(os.getpid())
    assert ticks is not None
    assert procfs.is_alive(os.getpid(), ticks)
    assert not procfs.is_alive(os.getpid(), ticks - 1)


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen(["true"])
    try:
        end = time.monotonic() + 5
        while procfs.start_ticks(child.pid) is not None:
            assert time.monotonic() < end
        assert Path(f"/proc/{child.pid}").exists()
    finally:
        child.wait()
