"""Another agent on a server and the way back: what is read, what is decided, what the scripts do."""

import os
import subprocess
from pathlib import Path

import pytest

from fleet.provision import upgrade
from fleet.provision.upgrade import Installed, Verdict

A, B, C = ("/opt/ezstream/agent-aaaaaaaaaaaa.pyz", "/opt/ezstream/agent-bbbbbbbbbbbb.pyz", "/opt/ezstream/agent-c.pyz")


def run(argv: tuple[str, ...], folder: Path) -> subprocess.CompletedProcess[str]:
    """As it is run on a server, elsewhere."""
    there = [argument.replace(upgrade.FOLDER, str(folder)) for argument in argv]
    return subprocess.run(there, capture_output=True, text=True, timeout=30)


def put(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / Path(path).name).write_text("x")


def seen(folder: Path) -> Installed:
    return upgrade.read(run(upgrade.look(), folder).stdout.replace(str(folder), upgrade.FOLDER))


@pytest.mark.parametrize(
    ("said", "found", "way_back"),
    [
        ("", Installed(), ""),
        (
            f"current={B}\nprevious={A}\nrunning=active\nbundle={A}\nbundle={B}\n",
            Installed(current=B, previous=A, bundles=(A, B), is_running=True),
            A,
        ),
        (f"current={B}\nprevious=\nrunning=failed\nbundle={B}\n", Installed(current=B, bundles=(B,)), ""),
        (f"current={B}\nprevious={A}\nbundle={B}\n", Installed(current=B, previous=A, bundles=(B,)), ""),
        (f"current={A}\nprevious={A}\nbundle={A}\n", Installed(current=A, previous=A, bundles=(A,)), ""),
    ],
)
def test_what_is_there(said, found, way_back):
    assert upgrade.read(said) == found
    assert upgrade.read(said).way_back == way_back


@pytest.mark.parametrize(
    ("heard", "waited_s", "verdict"),
    [
        ([], 0.0, Verdict.WAIT),
        ([], upgrade.GATE_S, Verdict.WAIT),
        ([], upgrade.GATE_S + 0.1, Verdict.FAILED),
        (["0.1.0+aaaaaaaaaaaa"], 1.0, Verdict.WAIT),
        (["0.1.0+aaaaaaaaaaaa"], 99.0, Verdict.FAILED),
        (["0.1.0"], 99.0, Verdict.FAILED),
        (["0.1.0+aaaaaaaaaaaa", "9.0+bbbbbbbbbbbb"], 1.0, Verdict.PASSED),
        (["9.0+bbbbbbbbbbbb"], 99.0, Verdict.PASSED),
    ],
)
def test_the_gate(heard, waited_s, verdict):
    assert upgrade.gate("b" * 64, heard, waited_s) is verdict


def test_a_server_without_anything(tmp_path):
    assert seen(tmp_path / "none") == Installed()
    assert run(upgrade.prune(), tmp_path / "none").returncode == 0


def test_swapped_and_back(tmp_path):
    put(tmp_path, A, B)
    assert run(upgrade.swap(A), tmp_path).returncode == 0
    assert (seen(tmp_path).current, seen(tmp_path).previous) == (A, "")
    for _again in range(2):
        assert run(upgrade.swap(B), tmp_path).returncode == 0
        assert (seen(tmp_path).current, seen(tmp_path).way_back) == (B, A)
    assert run(upgrade.swap(seen(tmp_path).way_back), tmp_path).returncode == 0
    assert (seen(tmp_path).current, seen(tmp_path).way_back) == (A, B)


@pytest.mark.parametrize("state", ["missing", "empty"])
def test_nothing_is_swapped_to_a_file_that_is_not_there(state, tmp_path):
    put(tmp_path, A)
    run(upgrade.swap(A), tmp_path)
    if state == "empty":
        (tmp_path / Path(B).name).touch()
    assert run(upgrade.swap(B), tmp_path).returncode != 0
    assert seen(tmp_path).current == A


def test_what_nobody_reads_from_is_pruned(tmp_path):
    put(tmp_path, A, B, C, "agent-old.pyz", "notes.txt")
    run(upgrade.swap(A), tmp_path)
    run(upgrade.swap(B), tmp_path)
    playout = subprocess.Popen(["sleep", "60"], env=os.environ | {"PYTHONPATH": str(tmp_path / Path(C).name)})
    try:
        assert run(upgrade.prune(), tmp_path).returncode == 0
        assert seen(tmp_path).bundles == (A, B, C)
    finally:
        playout.kill()
        playout.wait()
    run(upgrade.prune(), tmp_path)
    assert seen(tmp_path).bundles == (A, B)
    assert (tmp_path / "notes.txt").exists()


def test_bundles_are_named_by_their_hash():
    assert upgrade.path_of("a" * 64) == A
    assert upgrade.path_of("a" * 12) == A
    assert A in upgrade.self_test(A)
