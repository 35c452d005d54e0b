"""The chaos harness, as CI runs it: a short sequence, always the same one, with room for a busy machine."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from lab.postgres import PostgresMissingError, programs
from lab.processes import ROOM
from lab.product import ROOT
from tests.env import OUTSIDE

pytestmark = pytest.mark.e2e

FAULTS = ("agent killed", "playout killed", "VPS gone", "listener killed", "Redis killed", "database killed")
LIMIT_S = 120


@pytest.fixture(scope="module")
def has_postgres() -> None:
    try:
        programs()
    except PostgresMissingError as error:
        pytest.skip(str(error))


@pytest.mark.usefixtures("has_postgres")
def test_whatever_breaks_the_fleet_converges() -> None:
    only = [word for fault in FAULTS for word in ("--only", fault)]
    command = [sys.executable, "-m", "bench.chaos", "--short", "--seed", "7", "--room", str(ROOM), *only]
    done = subprocess.run(command, cwd=ROOT, env=OUTSIDE, capture_output=True, text=True, timeout=LIMIT_S * ROOM)
    assert done.returncode in (0, 1), done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["failed"], found["stuck"], found["double_push"]) == ([], 0, 0), done.stdout
    assert found["faults"] == len(FAULTS)
