"""The examples in deploy/ name every variable that is read, and none that is not; and what they say holds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

import agent
from agent.config import from_environment

ROOT = Path(__file__).resolve().parent.parent
LINE = re.compile(r"#?([A-Za-z_]+)=(.*)")
READERS = {
    "env.example": ("ezstream/settings.py", r'\benv\.\w+\(\s*"(\w+)"', {"dramatiq_worker_timeout"}),
    "agent.env.example": ("agent/config.py", r'_read\(environ, "(\w+)"', set()),
}
"""By example: who reads the variables, how, and which are read by a library."""
FILLED_IN = {
    "SECRET_KEY": "x" * 60,
    "FIELD_KEYS": "t1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "EZSTREAM_VPS_ID": "7",
}


def lines(example: str) -> list[str]:
    return (ROOT / "deploy" / example).read_text().splitlines()


def set_in(example: str) -> dict[str, str]:
    """What a service started with the example has, once the empty lines are filled in."""
    pairs = [match.groups() for line in lines(example) if line[:1] != "#" and (match := LINE.fullmatch(line))]
    return {name: value.strip('"') or FILLED_IN[name] for name, value in pairs}


@pytest.mark.parametrize("example", READERS)
def test_every_variable_that_is_read_is_listed_and_no_other(example):
    source, how, others = READERS[example]
    read = set(re.findall(how, (ROOT / source).read_text())) | others
    listed = {match[1] for line in lines(example) if (match := LINE.fullmatch(line))}
    assert listed == read


@pytest.mark.parametrize("example", READERS)
def test_no_comment_stands_behind_a_value(example):
    """It would be part of the value: systemd knows comments on lines of their own only."""
    assert not [line for line in lines(example) if LINE.fullmatch(line) and " #" in line]


def test_the_agents_example_is_enough_for_an_agent():
    assert from_environment(set_in("agent.env.example")).vps_id == 7


def test_the_example_passes_the_deploy_check(tmp_path):
    here = {"VAR_DIR": str(tmp_path), "DATABASE_URL": f"sqlite:///{tmp_path}/db", "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT, env=set_in("env.example") | here | {"SECRET_KEY": "q8-Zr_" * 10}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_both_sides_and_the_changelog_name_one_version():
    assert agent.__version__ == settings.VERSION
    assert f"## {settings.VERSION}" in (ROOT / "CHANGELOG.md").read_text()
