"""`bin/dev` after its set-up: a demo channel on air, and nothing left behind."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.ports import free_port
from lab.processes import wait_until
from lab.product import ROOT
from tests.env import OUTSIDE

pytestmark = pytest.mark.e2e


@pytest.fixture
def home() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="ezd-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def test_the_demo_is_on_air_and_ctrl_c_ends_everything(home: Path) -> None:
    for _start in ("first", "second"):
        with _dev(home) as running:
            banner = _banner(running)
            platform = _address(banner, "Demo platform")
            wait_until(lambda url=platform: len(_live(url)) == 2, "both platforms receive", limit_s=40)
            running.send_signal(signal.SIGINT)
            assert running.wait(20) == 0
        assert _processes_of(home) == []
    assert "demo@example.com" in banner
    assert "operator@example.com" in banner


def test_an_end_in_the_middle_of_the_start_leaves_nothing(home: Path) -> None:
    with _dev(home) as running:
        wait_until(lambda: (home / "valkey" / "redis.sock").exists(), "the start has begun", limit_s=20)
        running.send_signal(signal.SIGTERM)
        running.send_signal(signal.SIGTERM)
        running.wait(20)
    # What was being started at that very moment is ended by the kernel, which does not wait for it.
    wait_until(lambda: not _processes_of(home), "nothing is left", limit_s=5)


@contextmanager
def _dev(home: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "lab.dev", "--var", str(home), "--port", str(free_port())]
    with subprocess.Popen(command, cwd=ROOT, env=OUTSIDE, stdout=subprocess.PIPE, text=True) as running:
        try:
            yield running
        finally:
            running.terminate()


def _banner(running: subprocess.Popen[str]) -> str:
    lines = []
    for line in running.stdout or ():
        lines.append(line)
        if "Ctrl-C" in line:
            return "".join(lines)
    raise AssertionError(f"it ended before it was up: {''.join(lines)}")


def _address(banner: str, name: str) -> str:
    found = re.search(rf"{name}\s+(http://\S+)", banner)
    assert found, banner
    return found[1]


def _live(platform: str) -> list[dict[str, str]]:
    try:
        with urllib.request.urlopen(f"{platform}live.json", timeout=2) as answer:
            return list(json.load(answer))
    except urllib.error.URLError:
        return []


def _processes_of(home: Path) -> list[str]:
    """Command lines of processes that name the home: servers, agents, playouts."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(home) in line:
            found.append(line)
    return found
