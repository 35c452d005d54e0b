"""The parts of `ezstream` (deploy/), run without a host."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("place", "database", "redis", "certificates", "install", "release", "backup", "service")
FAKE = {
    "install": 'for last in "$@"; do :; done; touch "$last"',
    "systemctl": ":",
    "rsync": ":",
    "chown": ":",
}
"""What needs root or systemd, or is not everywhere."""


@pytest.fixture
def shell(tmp_path):
    """Runs lines after the parts were read, with every place under `tmp_path`."""
    (tmp_path / "bin").mkdir()
    for name, body in FAKE.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "redis.conf").touch()

    def run(lines: str, **places: object) -> str:
        parts = "\n".join(f". {ROOT}/deploy/parts/{part}.sh" for part in PARTS)
        sets = "\n".join(f"{name}='{value}'" for name, value in places.items())
        return subprocess.run(
            ["sh", "-eu", "-c", f"PATH={tmp_path}/bin:$PATH\n{parts}\n{sets}\n{lines}"],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip

    return run


@pytest.fixture
def installed(tmp_path):
    """Places of an installation that `backup` and `restore` are content with."""
    release = tmp_path / "releases" / "r1"
    release.mkdir(parents=True)
    (release / "manage.py").touch()
    (tmp_path / "current").symlink_to(release)
    (tmp_path / "env").write_text("SECRET_KEY=s\nFIELD_KEYS=k\n")
    return {
        "BASE": tmp_path, "CURRENT": tmp_path / "current", "PREVIOUS": tmp_path / "previous",
        "SETTINGS": tmp_path / "env", "REDIS_TLS": tmp_path / "tls", "DATA": tmp_path / "data",
        "BACKUPS": tmp_path / "backups", "HERE": tmp_path,
    }  # fmt: skip
