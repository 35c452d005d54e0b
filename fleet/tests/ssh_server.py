"""A server that speaks SSH, in this process: it really runs what it is told, as whoever runs the tests."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import paramiko

from fleet import tunnels
from fleet.provision.dialing import Limits, Target
from fleet.provision.keys import make_private, read_private, written

PASSWORD = "canary-ssh-password"
QUICK = Limits(connect_s=3, banner_s=2, auth_s=5, command_s=10, total_s=15)
SUDO = """\
#!/bin/sh
# What sudo does with the options we give it: FREE, ASKS (for the password) or NEVER.
mode={mode}
asks=
while [ $# -gt 0 ]; do
  case "$1" in
    -n) asks=no ;; -S) asks=yes ;; -k) ;; -p) shift ;; --) shift; break ;; *) break ;;
  esac
  shift
done
case $mode in
  FREE) exec "$@" ;;
  NEVER) echo "deploy is not in the sudoers file." >&2; exit 1 ;;
esac
[ "$asks" = yes ] || {{ echo "sudo: a password is required" >&2; exit 1; }}
IFS= read -r given
[ "$given" = "{password}" ] || {{ echo "Sorry, try again." >&2; exit 1; }}
exec "$@"
"""


@dataclass
class SshServer:
    """Set what it shall be like before it is asked. `commands` is what it was told to run."""

    host_key: paramiko.PKey = field(default_factory=lambda: read_private(make_private()))
    password: str | None = PASSWORD
    authorized: list[str] = field(default_factory=list)
    path: str = ""
    """In front of PATH for what it runs."""
    host: str = "127.0.0.1"
    before: str = ""
    """«silent», «closes», «smtp»: what happens before SSH would."""
    hangs: str = ""
    """A command that holds this word is never answered."""
    cut_after: str = ""
    """The connection breaks off once a command printed this."""
    commands: list[str] = field(default_factory=list)
    port: int = 0
    passwords: list[str] = field(default_factory=list)
    is_closed: threading.Event = field(default_factory=threading.Event)

    def target(self, user: str = "root", **fields: object) -> Target:
        values = {"password": PASSWORD, "host_key": written(self.host_key)} | fields
        return Target(self.host, self.port, user, **values)

    def drop_all(self) -> None:
        """Every connection breaks off; new ones are taken."""
        transports, self._transports = self._transports, []
        for transport in transports:
            transport.close()

    def close_door(self) -> None:
        """Nobody comes in any more; who is in stays."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def __post_init__(self) -> None:
        self._transports: list[paramiko.Transport] = []
        self._sockets: list[socket.socket] = []
        self.open_door()

    def open_door(self) -> None:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._listener = socket.create_server((self.host, self.port), family=family)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        self.is_closed.set()
        self.close_door()
        self.drop_all()
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            self._sockets.append(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        if self.before == "closes":
            sock.close()
        elif self.before == "smtp":
            sock.sendall(b"220 mail.example.org ESMTP\r\n")
        elif self.before == "slow":
            sock.sendall(b"SSH-2.0-sl")
        elif not self.before:
            transport = paramiko.Transport(sock)
            transport.add_server_key(self.host_key)
            self._transports.append(transport)
            with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
                transport.start_server(server=_Server(self, transport))


class _Server(paramiko.ServerInterface):
    def __init__(self, owner: SshServer, transport: paramiko.Transport) -> None:
        self.owner = owner
        self.transport = transport

    def get_allowed_auths(self, username: str) -> str:
        return "publickey" if self.owner.password is None else "password,publickey"

    def check_auth_password(self, username: str, password: str) -> int:
        self.owner.passwords.append(password)
        return paramiko.AUTH_SUCCESSFUL if password == self.owner.password else paramiko.AUTH_FAILED

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        known = any(line.split()[:2] == written(key).split() for line in self.owner.authorized)
        return paramiko.AUTH_SUCCESSFUL if known else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_port_forward_request(self, address: str, port: int) -> int | bool:
        """Listens as asked, and hands over what connects."""
        try:
            listener = socket.create_server((address, port))
        except OSError:
            return False
        self.owner._sockets.append(listener)
        threading.Thread(target=self._hand_over, args=(listener,), daemon=True).start()
        threading.Thread(target=self._until_gone, args=(listener,), daemon=True).start()
        return port

    def _until_gone(self, listener: socket.socket) -> None:
        self.transport.join()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()

    def _hand_over(self, listener: socket.socket) -> None:
        """One that the other side does not take, as while it gets ready, is let go; the next may be taken."""
        with contextlib.suppress(OSError):
            while True:
                sock, origin = listener.accept()
                self.owner._sockets.append(sock)
                try:
                    channel = self.transport.open_forwarded_tcpip_channel(origin, listener.getsockname())
                except (EOFError, paramiko.SSHException):
                    sock.close()
                    continue
                threading.Thread(target=tunnels.join, args=(channel, sock), daemon=True).start()

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.owner.commands.append(command.decode())
        if self.owner.hangs and self.owner.hangs in command.decode():
            self.owner.is_closed.wait(60)
            raise EOFError  # as when the connection ends: paramiko lets its thread end
        threading.Thread(target=self._run, args=(channel, command.decode()), daemon=True).start()
        return True

    def _run(self, channel: paramiko.Channel, command: str) -> None:
        env = os.environ | {
            "PATH": f"{self.owner.path}:{os.environ['PATH']}" if self.owner.path else os.environ["PATH"]
        }
        with subprocess.Popen(
            ["sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env,
            start_new_session=True,
        ) as process:  # fmt: skip
            threads = [
                threading.Thread(target=_feed, args=(channel, process), daemon=True),
                threading.Thread(target=_pump, args=(process.stderr, channel.sendall_stderr), daemon=True),
                threading.Thread(target=_pump, args=(process.stdout, self._telling(channel)), daemon=True),
            ]
            for thread in threads:
                thread.start()
            status = process.wait()
            for thread in threads[1:]:
                thread.join(0.5)
            with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
                channel.send_exit_status(status if status >= 0 else 128 - status)
                if not any(thread.is_alive() for thread in threads[1:]):
                    channel.close()

    def _telling(self, channel: paramiko.Channel) -> Callable[[bytes], None]:
        seen = b""

        def tell(data: bytes) -> None:
            nonlocal seen
            channel.sendall(data)
            seen = (seen + data)[-4096:]
            if self.owner.cut_after and self.owner.cut_after.encode() in seen:
                self.owner.cut_after = ""
                self.transport.close()

        return tell


def _feed(channel: paramiko.Channel, process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError, ValueError):
        while data := channel.recv(65536):
            process.stdin.write(data)
            process.stdin.flush()
        process.stdin.close()


def _pump(source, send) -> None:
    with contextlib.suppress(OSError, ValueError):
        for chunk in iter(lambda: source.read1(65536), b""):
            send(chunk)


@contextlib.contextmanager
def serving(**fields: object) -> Iterator[SshServer]:
    server = SshServer(**fields)
    try:
        yield server
    finally:
        server.close()


def fake_sudo(folder: Path, mode: str) -> str:
    """A directory for `SshServer.path` with a sudo that does as `mode` says."""
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "sudo"
    script.write_text(SUDO.format(mode=mode, password=PASSWORD))
    script.chmod(0o755)
    return str(folder)
