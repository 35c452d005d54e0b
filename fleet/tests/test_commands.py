"""The debug commands: what they print, for people and for programs, and how they end."""

import json

import pytest
from django.core.management import CommandError, call_command

from agent.protocol import Answered, ProcessFacts
from fleet import asking
from fleet.errors import NoAnswer, TooOld
from fleet.provision import bundle
from streams.tests import build


@pytest.fixture
def vps(db):
    return build.vps("fra-1", agent_version="0.1.0", agent_protocol=1)


@pytest.fixture
def say(monkeypatch):
    """What the agent answers, or is refused with."""

    def told(**answer):
        found = Answered(**({"vps_id": 1, "timestamp": 1, "query_id": "q", "ok": True} | answer))
        monkeypatch.setattr(asking, "ask", lambda *_args, **_more: found)

    return told


FACTS = (
    ProcessFacts(pid=1044, kind="ffmpeg", cpu=88.4, memory=96_468_992, age_s=12.7),
    ProcessFacts(pid=902, kind="playout", cpu=0.6, memory=21_135_360, age_s=3600.2, run_id="0f9b"),
)


def test_processes(vps, say, capsys):
    say(processes=FACTS)
    call_command("fleet_processes", "fra-1")
    assert capsys.readouterr().out == (
        " PID  kind     CPU %  memory    age      run\n"
        "1044  ffmpeg    88.4  92 MiB    0:12     –\n"
        " 902  playout    0.6  20.2 MiB  1:00:00  0f9b\n"
    )
    call_command("fleet_processes", "fra-1", "--json")
    assert [row["pid"] for row in json.loads(capsys.readouterr().out)] == [1044, 902]


def test_an_nginx_that_is_well(vps, say, capsys):
    say(message="nginx takes its configuration", lines=("stream_4.conf",))
    call_command("fleet_check_nginx", "fra-1")
    assert capsys.readouterr().out == "«fra-1»: nginx takes its configuration\n  stream_4.conf\n"


def test_an_nginx_that_is_not(vps, say, capsys):
    say(ok=False, message="nginx refuses: nonsense")
    with pytest.raises(CommandError, match="«fra-1»: nginx refuses: nonsense"):
        call_command("fleet_check_nginx", "fra-1", "--json")
    assert json.loads(capsys.readouterr().out) == {"ok": False, "message": "nginx refuses: nonsense", "files": []}


@pytest.mark.parametrize("command", ["fleet_processes", "fleet_check_nginx"])
@pytest.mark.parametrize("refusal", [TooOld("too old to say"), NoAnswer("did not answer")])
def test_what_refuses_ends_it_in_words(vps, monkeypatch, command, refusal):
    def refuse(*_args, **_more):
        raise refusal

    monkeypatch.setattr(asking, "ask", refuse)
    with pytest.raises(CommandError, match=refusal.message):
        call_command(command, "fra-1")


@pytest.mark.parametrize("command", ["fleet_processes", "fleet_check_nginx", "fleet_ping"])
def test_a_name_that_is_wrong_is_told_with_those_that_are_near(vps, command):
    with pytest.raises(CommandError, match="no VPS named «fra»; there is fra-1"):
        call_command(command, "fra")


@pytest.mark.parametrize("command", ["fleet_processes", "fleet_check_nginx"])
def test_a_redis_that_is_away_is_said(vps, no_redis, command):
    with pytest.raises(CommandError, match="Redis does not answer"):
        call_command(command, "fra-1")


def test_versions_are_compared(vps, settings, capsys):
    settings.VERSION = "0.1.0"
    build.vps("old", agent_version="0.0.9", agent_protocol=1)
    build.vps("quiet", last_heartbeat_at=None)
    call_command("fleet_versions")
    said = capsys.readouterr().out
    assert said.startswith(f"control plane 0.1.0, protocol 1; brings agent {bundle.version()}\n")
    for words in ("as this control plane", "older than this control plane", "never said"):
        assert words in said


def test_another_protocol_fails(vps, settings, capsys):
    settings.VERSION = "0.1.0"
    build.vps("new", agent_version="9.0", agent_protocol=3)
    with pytest.raises(CommandError, match="1 of 2 agents speak another protocol"):
        call_command("fleet_versions", "--json")
    agents = json.loads(capsys.readouterr().out)["agents"]
    assert [row["skew"] for row in agents] == ["same", "protocol"]
