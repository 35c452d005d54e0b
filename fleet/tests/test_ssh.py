"""What the wire can do to us, against a server that speaks SSH."""

import contextlib
import hashlib
import io
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import paramiko
import pytest

from fleet.provision import errors, ssh
from fleet.provision.dialing import Limits, Target
from fleet.provision.keys import fingerprint, make_private, public_line, read_private, written
from fleet.provision.ssh import connect, put_argv
from fleet.tests.ssh_server import PASSWORD, QUICK, fake_sudo, serving
from lab.processes import ROOM, wait_until


@pytest.fixture
def server():
    with serving() as server:
        yield server


def test_a_command_is_run_and_its_output_and_status_come_back(server):
    with connect(server.target(), QUICK) as ssh:
        result = ssh.run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (result.status, result.out, result.err) == (3, "out\n", "err\n")


@pytest.mark.parametrize(
    "word", ["it's", 'say "hi"', "$(id)", "`id`", "a;b|c&d", "  ", "", "*", "ü\n2", "--", "-n", "\\"]
)
def test_an_argument_arrives_as_it_was(server, word):
    with connect(server.target(), QUICK) as ssh:
        assert ssh.run(["printf", "%s", word]).out == word


@pytest.mark.parametrize("user", ["root", "deploy"])
def test_commands_speak_the_language_that_is_read_here(tmp_path, monkeypatch, user):
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    with serving(path=fake_sudo(tmp_path, "FREE")) as server, connect(server.target(user), QUICK) as ssh:
        assert ssh.run(["sh", "-c", "echo $LC_ALL"]).out == "C.UTF-8\n"


def test_what_is_put_is_there_whole_with_mode_and_owner(server, tmp_path):
    content = bytes(range(256)) * 20_000
    path = tmp_path / "it's a file"
    with connect(server.target(), QUICK) as ssh:
        ssh.put(str(path), content, mode=0o600, owner="root:root")
    assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(content).digest()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_put_that_is_cut_leaves_the_old_file(server, tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with connect(server.target(), QUICK) as ssh:
        ssh.run(["sh", "-c", "head -c 3 >/dev/null"], stdin=b"abc")  # warm
        server.hangs = "mktemp"
        threading.Timer(0.3, server.drop_all).start()
        with pytest.raises(errors.Lost):
            ssh.put(str(path), b"new" * 1000)
    assert path.read_text() == "old"


def test_where_it_cannot_be_put_it_is_said(server):
    with connect(server.target(), QUICK) as ssh, pytest.raises(errors.SshError, match=r"«/nowhere/file».*No such file"):
        ssh.put("/nowhere/file", b"x")


@pytest.fixture
def of_nobody():
    """A directory of a user of lesser rights, within their reach."""
    if os.getuid() != 0:
        pytest.skip("to write as another user needs root")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.chown(folder, "nobody")
        yield folder


def test_what_is_put_in_a_directory_of_another_user_is_theirs(server, of_nobody):
    with connect(server.target(), QUICK) as ssh:
        ssh.put(str(of_nobody / "file"), b"content", mode=0o640, owner="nobody:nogroup")
    (file,) = of_nobody.iterdir()
    assert (file.read_bytes(), file.owner(), file.stat().st_mode & 0o777) == (b"content", "nobody", 0o640)


def test_a_link_laid_while_bytes_come_leads_nowhere(of_nobody, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("of root")
    victim.chmod(0o600)
    content = b"x" * (len(str(victim)) + 100)
    argv = put_argv(str(of_nobody / "file"), len(content), 0o644, "nobody:nogroup")
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as put:
        wait_until(lambda: list(of_nobody.iterdir()), "the new file")
        (new,) = of_nobody.iterdir()
        new.unlink()
        new.symlink_to("/" * 100 + str(victim))
        put.communicate(content)
    assert put.returncode != 0
    assert (victim.read_text(), victim.owner(), victim.stat().st_mode & 0o777) == ("of root", "root", 0o600)


# ------------------------------------------------------------------------------------------------ who is there


def test_nothing_listens(server):
    target = server.target()
    server.close()
    with pytest.raises(errors.Refused, match="nothing listens on port"):
        connect(target, QUICK)


def test_a_name_nobody_knows():
    with pytest.raises(errors.NoRoute, match=r"no host named «nowhere\.invalid»|No name server"):
        connect(Target("nowhere.invalid", password="x"), QUICK)


def test_an_address_nothing_leads_to():
    with pytest.raises(errors.NoRoute, match=r"cannot be reached|No network leads"):
        connect(Target("255.255.255.255", password="x"), QUICK)


def test_a_host_that_does_not_answer():
    """Its queue of connections is full, so that more of them are dropped as by a firewall."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as waiting:
        for _ in range(3):
            sock = waiting.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
        with pytest.raises(errors.NoRoute, match="does not answer on port"):
            connect(Target("127.0.0.1", full.getsockname()[1], password="x"), Limits(connect_s=0.5))


@pytest.mark.parametrize(
    ("before", "kind", "words"),
    [
        ("silent", errors.Silent, "says nothing"),
        ("smtp", errors.Silent, "it is not SSH"),
        ("slow", errors.Silent, "nothing that is SSH"),
        ("banner", errors.Silent, "nothing that is SSH|not as we can"),
        ("closes", errors.Refused, "ends the connection at once"),
    ],
)
def test_who_does_not_speak_ssh(before, kind, words):
    with serving(before=before) as server, pytest.raises(kind, match=words):
        connect(server.target(), QUICK)


def test_an_ipv6_address_with_and_without_brackets():
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    with serving(host="::1") as server:
        for host in ("::1", "[::1]"):
            target = Target(host, server.port, password=PASSWORD, host_key=written(server.host_key))
            with connect(target, QUICK) as ssh:
                assert ssh.run(["true"]).is_ok


# ------------------------------------------------------------------------------------------------ keys and passwords


def test_a_wrong_password(server):
    with pytest.raises(errors.BadLogin, match="does not take the password of «root»") as caught:
        connect(server.target(password="wrong"), QUICK)
    assert "wrong" not in str(caught.value)


def test_a_wrong_key(server):
    with pytest.raises(errors.BadLogin, match="does not take the key"):
        connect(server.target(password="", private_key=make_private()), QUICK)


def test_a_server_that_takes_no_passwords():
    with (
        serving(password=None) as server,
        pytest.raises(errors.BadLogin, match=r"by a password there; it takes: publickey"),
    ):
        connect(server.target(), QUICK)


def test_nothing_to_sign_in_with(server):
    with pytest.raises(errors.BadLogin, match="neither a password nor a key"):
        connect(server.target(password=""), QUICK)


def rsa() -> str:
    text = io.StringIO()
    paramiko.RSAKey.generate(2048).write_private_key(text)
    return text.getvalue()


def ecdsa() -> str:
    text = io.StringIO()
    paramiko.ECDSAKey.generate(bits=384).write_private_key(text)
    return text.getvalue()


@pytest.mark.parametrize("make", [make_private, rsa, ecdsa])
def test_each_kind_of_key_opens(server, make):
    private = make()
    server.authorized = [public_line(private)]
    with connect(server.target(password="", private_key=private.replace("\n", "\r\n")), QUICK) as ssh:
        assert ssh.run(["true"]).is_ok


def test_a_key_is_tried_before_the_password(server):
    private = make_private()
    server.authorized = [public_line(private)]
    with connect(server.target(private_key=private), QUICK):
        assert server.passwords == []
    server.authorized = []
    with connect(server.target(private_key=private), QUICK):
        assert server.passwords == [PASSWORD]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no private key we can read"),
        ("hunter2", "no private key we can read"),
        ("ssh-ed25519 AAAA me", "This is a public key"),
        ("PuTTY-User-Key-File-3: ssh-ed25519", "key of PuTTY"),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\nnonsense\n-----END OPENSSH PRIVATE KEY-----",
            "no private key we can read",
        ),
    ],
)
def test_what_is_no_key_is_said(text, words):
    with pytest.raises(errors.BadLogin, match=words):
        read_private(text)


def test_a_key_with_a_passphrase_is_said():
    text = io.StringIO()
    paramiko.RSAKey.generate(2048).write_private_key(text, password="secret")
    with pytest.raises(errors.BadLogin, match="wants a passphrase"):
        read_private(text.getvalue())


# ------------------------------------------------------------------------------------------------ host keys


def test_a_changed_host_key_is_refused_before_the_password_is_sent(server):
    pinned = written(read_private(make_private()))
    with pytest.raises(errors.ChangedKey) as caught:
        connect(server.target(host_key=pinned), QUICK)
    assert fingerprint(pinned) in str(caught.value)
    assert fingerprint(written(server.host_key)) in str(caught.value)
    assert server.passwords == []


def test_a_host_key_of_another_kind_is_a_changed_one(server):
    server.host_key = paramiko.RSAKey.generate(2048)
    pinned = written(read_private(make_private()))
    with pytest.raises(errors.ChangedKey):
        connect(server.target(host_key=pinned), QUICK)


def test_an_unknown_host_key_is_shown_before_the_password_is_sent(server):
    with pytest.raises(errors.UnknownKey) as caught:
        connect(server.target(host_key=""), QUICK)
    assert caught.value.host_key == written(server.host_key)
    assert server.passwords == []


def test_by_setting_the_first_key_is_taken_and_told(server):
    with connect(server.target(host_key="", trust_first=True), QUICK) as ssh:
        assert ssh.host_key == written(server.host_key)


def test_each_kind_of_host_key_is_known_again():
    for key in (paramiko.RSAKey.generate(2048), paramiko.ECDSAKey.generate(), read_private(make_private())):
        with serving(host_key=key) as server, connect(server.target(), QUICK) as ssh:
            assert ssh.host_key == written(key)


# ------------------------------------------------------------------------------------------------ root


@pytest.mark.parametrize("mode", ["FREE", "ASKS"])
def test_another_user_becomes_root_by_sudo(tmp_path, mode):
    with serving(path=fake_sudo(tmp_path / "bin", mode)) as server, connect(server.target("deploy"), QUICK) as ssh:
        assert ssh.run(["cat"], stdin=b"its own input").out == "its own input"
        ssh.put(str(tmp_path / "file"), b"content")
        assert all(command.startswith("sudo ") for command in server.commands)
        assert not any(PASSWORD in command for command in server.commands)
    assert (tmp_path / "file").read_bytes() == b"content"


@pytest.mark.parametrize(
    ("mode", "fields", "words"),
    [("NEVER", {}, "may not become root"), ("ASKS", {"password": "", "private_key": "own"}, "we know a key only")],
)
def test_who_may_not_become_root(tmp_path, mode, fields, words):
    private = make_private()
    if "private_key" in fields:
        fields = fields | {"private_key": private}
    with serving(path=fake_sudo(tmp_path / "bin", mode), authorized=[public_line(private)]) as server:
        target = server.target("deploy", **fields)
        with connect(target, QUICK) as ssh, pytest.raises(errors.NoSudo, match=words):
            ssh.run(["id"])


def test_where_there_is_no_sudo(tmp_path):
    missing = tmp_path / "bin"
    missing.mkdir()
    (missing / "sudo").write_text("#!/bin/sh\nexit 127\n")
    (missing / "sudo").chmod(0o755)
    with (
        serving(path=str(missing)) as server,
        connect(server.target("deploy"), QUICK) as ssh,
        pytest.raises(errors.NoSudo, match="there is no sudo"),
    ):
        ssh.run(["id"])


# ------------------------------------------------------------------------------------------------ bad output, bad lines


def test_output_without_end_is_bounded_and_told_line_by_line(server):
    lines = 0

    def count(_line: str) -> None:
        nonlocal lines
        lines += 1

    with connect(server.target(), QUICK) as ssh:
        result = ssh.run(["sh", "-c", "yes 0123456789 | head -n 600000"], on_line=count, limit_s=60)
    assert lines == 600_000
    assert len(result.out) == 2_000_000


class Gushing:
    """A channel that has more to read, however much was read."""

    reads = 0

    def recv_ready(self):
        return True

    def recv(self, size):
        self.reads += 1
        assert self.reads < 10_000, "nobody looks at the clock"
        return b"x" * size

    recv_stderr_ready, recv_stderr = recv_ready, recv


def test_the_clock_is_looked_at_however_fast_things_are_said():
    assert ssh._drain(Gushing(), ssh._Stream(), ssh._Stream(), None)


def test_output_that_is_no_text_comes_through(server):
    said = []
    with connect(server.target(), QUICK) as ssh:
        result = ssh.run(["printf", r"\377\376caf\303\251\n\033[31mred\033[0m\r50%%\r100%%\n\000"], on_line=said.append)
    assert result.out.startswith("��café")
    assert said == ["��café", "100%"]


@pytest.mark.parametrize("given", [b"", bytes(5_000_000)], ids=["waiting", "giving it what it does not read"])
def test_a_command_that_does_not_end_is_given_up_in_time(server, given):
    began = time.monotonic()
    with connect(server.target(), QUICK) as ssh, pytest.raises(errors.TooSlow, match="«sleep» took longer than 1 s"):
        ssh.run(["sleep", "30"], stdin=given, limit_s=1)
    assert time.monotonic() - began < 3 * ROOM


def test_a_host_that_hangs_is_given_up_in_time(server):
    with connect(server.target(), QUICK) as ssh:
        server.hangs = "uptime"
        began = time.monotonic()
        with pytest.raises(errors.TooSlow):
            ssh.run(["uptime"], limit_s=1)
    assert time.monotonic() - began < 3 * ROOM


def test_all_stages_together_have_a_limit_too():
    """A key and then a password, each kept waiting: each has its limit, and both together no more than that."""
    whole_s = 5.0
    with serving(is_slow_to_let_in=True) as server:
        began = time.monotonic()
        with pytest.raises(errors.Silent, match="not done with our login in time"):
            connect(server.target(private_key=make_private()), Limits(total_s=whole_s))
    assert time.monotonic() - began < whole_s * 1.6


def test_several_commands_together_have_a_limit_too(tmp_path):
    """Nobody knows how often sudo is asked."""
    with serving(hangs="sudo") as server, connect(server.target("deploy"), QUICK) as ssh:
        ssh.until = time.monotonic() + 1
        began = time.monotonic()
        for _ in range(2):
            with pytest.raises(errors.TooSlow, match="longer than 1 s"):
                ssh.run(["id"], limit_s=30)
    assert time.monotonic() - began < 1 * ROOM


def test_a_daemon_that_keeps_the_output_open_holds_nobody_up(server):
    with connect(server.target(), QUICK) as ssh:
        began = time.monotonic()
        assert ssh.run(["sh", "-c", "sleep 30 & echo done"]).out == "done\n"
    assert time.monotonic() - began < 5 * ROOM


def test_a_connection_that_is_cut_is_said(server):
    server.cut_after = "half"
    with connect(server.target(), QUICK) as ssh:
        with pytest.raises(errors.Lost):
            ssh.run(["sh", "-c", "echo half; sleep 5; echo whole"])
        with pytest.raises(errors.Lost):
            ssh.run(["true"])


@pytest.mark.parametrize("given", [b"", bytes(5_000_000)], ids=["waiting", "giving it what it does not read"])
def test_while_a_command_runs_there_are_ticks_and_what_they_raise_ends_it(server, given):
    class Enough(Exception):
        pass

    def tick() -> None:
        if time.monotonic() > began + 1:
            raise Enough

    with connect(server.target(), QUICK) as ssh:
        began = time.monotonic()
        ssh.on_tick = tick
        with pytest.raises(Enough):
            ssh.run(["sleep", "20"], stdin=given)


def test_nothing_of_it_stays_behind(server):
    before = threading.active_count()
    for _ in range(3):
        with pytest.raises(errors.BadLogin):
            connect(server.target(password="wrong"), QUICK)
    wait_until(lambda: threading.active_count() <= before + 1, "its threads end")
