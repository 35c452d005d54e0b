"""Test connection, whatever is wrong: an answer within ten seconds, by its name, without a secret."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from django.conf import settings

from fleet.models import Vps
from fleet.provision import dialing, facts, keys, probing
from fleet.tests.ssh_server import PASSWORD, SshServer, fake_sudo, serving
from fleet.tests.test_adding import FACTS
from lab.processes import ROOM

pytestmark = pytest.mark.django_db
LIMIT_S = 10.0
FEDORA = ("printf", "%s", FACTS.replace("os=debian", "os=fedora"))
DEBIAN = ("printf", "%s", FACTS)


@dataclass
class Wrong:
    """What is wrong: the server, how we sign in, what it is asked; and by what name it is told."""

    kind: str
    words: str
    server: dict[str, object] = field(default_factory=dict)
    row: dict[str, object] = field(default_factory=dict)
    sudo: str = ""
    argv: tuple[str, ...] = DEBIAN
    around: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext


@contextlib.contextmanager
def names_are_not_told() -> Iterator[None]:
    """A name server that takes questions and gives no answers."""
    over = threading.Event()

    def ask(*_args: object, **_more: object) -> list[object]:
        over.wait(60)
        return []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dialing.socket, "getaddrinfo", ask)
        yield
        over.set()


@contextlib.contextmanager
def no_way() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:

        def connect(*_args: object) -> None:
            raise OSError(113, "No route to host")

        patch.setattr(dialing.socket.socket, "connect", connect)
        yield


def other_key() -> str:
    return keys.written(keys.read_private(keys.make_private()))


WRONG = {
    "nothing": Wrong("ok", "we may do everything there"),
    "nothing, by IPv6": Wrong("ok", "we may do everything there", server={"host": "::1"}),
    "no such name": Wrong("no_route", "nowhere.invalid", row={"host": "nowhere.invalid"}),
    "names are not told": Wrong("no_route", "No name server says where", around=names_are_not_told),
    "no way leads there": Wrong("no_route", "No network leads to", around=no_way),
    "nothing listens": Wrong("refused", "nothing listens on port 1", row={"ssh_port": 1}),
    "hangs after the connection": Wrong("silent", "says nothing", server={"before": "silent"}),
    "hangs in the middle of its greeting": Wrong("silent", "nothing that is SSH", server={"before": "slow"}),
    "hangs after its greeting": Wrong("silent", "SSH", server={"before": "banner"}),
    "is a mail server": Wrong("silent", "it is not SSH", server={"before": "smtp"}),
    "ends the connection": Wrong("refused", "ends the connection at once", server={"before": "closes"}),
    "wrong password": Wrong("bad_login", "does not take the password of «root»", server={"password": "another"}),
    "wrong key": Wrong("bad_login", "does not take the key", row={"key": "fresh", "sealed_password": ""}),
    "both wrong": Wrong("bad_login", "neither the key nor", row={"key": "fresh"}, server={"password": "another"}),
    "takes keys alone": Wrong("bad_login", "it takes: publickey", server={"password": None}),
    "no login at all": Wrong("bad_login", "neither a password nor a key", row={"sealed_password": ""}),
    "a login that does not open": Wrong("sealed", "does not open", row={"sealed_password": "old9:AAAA"}),
    "hangs while it lets us in": Wrong(
        "silent", "in time", server={"is_slow_to_let_in": True}, row={"key": "fresh"}
    ),
    "changed host key": Wrong("changed_key", "host key has changed", row={"host_key": other_key()}),
    "unknown host key": Wrong("unknown_key", "not confirmed yet", row={"host_key": ""}),
    "no sudo": Wrong("no_sudo", "may not become root", sudo="NEVER", row={"ssh_user": "deploy"}),
    "hangs in sudo": Wrong("too_slow", "took longer", server={"hangs": "sudo"}, row={"ssh_user": "deploy"}),
    "hangs in the command": Wrong("too_slow", "took longer", server={"hangs": "printf"}),
    "breaks off": Wrong("lost", "was lost", server={"cut_after": "os="}, argv=("sh", "-c", "echo os=; sleep 9")),
    "says things without end": Wrong("too_slow", "took longer", argv=("yes",)),
    "says nothing of itself": Wrong("unfit", "This is an unknown system", argv=("true",)),
    "says what is no text": Wrong("unfit", "This is an unknown system", argv=("printf", r"\377\376os=\000\n")),
    "is no Debian": Wrong("unfit", "EZStream runs on Debian and Ubuntu", argv=FEDORA),
}  # fmt: skip


def row(server: SshServer, wrong: Wrong) -> Vps:
    vps = Vps(name="it's «new»", host=server.host, ssh_port=server.port, host_key=server.target().host_key)
    vps.set_password(PASSWORD)
    for name, value in wrong.row.items():
        if name == "key":
            vps.set_private_key(keys.make_private())
        else:
            setattr(vps, name, value)
    vps.save()
    return vps


@pytest.mark.parametrize("what", WRONG)
def test_an_answer_within_ten_seconds(what, tmp_path, monkeypatch):
    wrong = WRONG[what]
    monkeypatch.setattr(facts, "ARGV", wrong.argv)
    path = fake_sudo(tmp_path / "bin", wrong.sudo) if wrong.sudo else ""
    with serving(path=path, **wrong.server) as server, wrong.around():
        vps = row(server, wrong)
        began = time.monotonic()
        found = probing.probe(vps)
        took_s = time.monotonic() - began
    assert (found.kind, wrong.words in found.words) == (wrong.kind, True), found.words
    assert took_s < LIMIT_S * ROOM
    assert bool(found.advice) == (found.kind != "ok")
    assert PASSWORD not in f"{found}"


def test_a_server_whose_firewall_drops_us():
    """Its queue of connections is full, so that more of them are dropped."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as waiting:
        for _ in range(3):
            sock = waiting.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
        vps = Vps.objects.create(name="dropped", host="127.0.0.1", ssh_port=full.getsockname()[1])
        began = time.monotonic()
        assert probing.probe(vps).kind == "no_route"
    assert time.monotonic() - began < LIMIT_S * ROOM


def test_the_limits_leave_room_for_the_page():
    """All waiting that may follow upon each other, by the limits alone."""
    assert probing.LIMITS.total_s < probing.WHOLE_S < LIMIT_S
    assert settings.SSH_TRUST_FIRST_USE is False
