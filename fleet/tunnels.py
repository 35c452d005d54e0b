"""Redis for servers that reach it by no open port: through our SSH connection, listening on their own loopback.

`Keeper` holds a tunnel for each VPS that wants one: connects, connects again with growing pauses, follows changes in
the database. One keeper at a time (a lease in Redis); another stands by.
"""

from __future__ import annotations

import contextlib
import random
import selectors
import socket
import threading
import time
import uuid
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

import paramiko
import redis
import structlog
from django.conf import settings
from django.db import DatabaseError, close_old_connections, connections
from django.db.models import QuerySet

from fleet.models import Vps
from fleet.provision import planning
from fleet.provision.dialing import Target
from fleet.provision.errors import SshError
from fleet.provision.ssh import Ssh, connect
from fleet.redis_users import TUNNEL_PORT
from kit.alive import say_alive
from kit.crypto import CannotOpenError

log = structlog.get_logger(__name__)
LOOK_S: Final = 3.0
LONGEST_PAUSE_S: Final = 30.0
LASTED_S: Final = 60.0
"""A tunnel that stood so long begins anew with short pauses."""
LEASE: Final = "lease:redis-tunnels"
LEASE_S: Final = 20
_CONNECT_S: Final = 5.0
_FREE: Final = """\
ss -Hltnp "sport = :$1" | grep '"sshd' | grep -o 'pid=[0-9]*' | cut -d = -f 2 | sort -u |
while read -r pid; do kill "$pid"; done
"""
"""sshd of a connection of ours that was cut without a word listens on, for as long as it believes in it."""


class Plug(Protocol):
    """What bytes come from and go to: a channel or a socket."""

    def recv(self, size: int, /) -> bytes: ...
    def sendall(self, data: bytes, /) -> None: ...
    def close(self) -> None: ...
    def fileno(self) -> int: ...


def join(one: Plug, other: Plug) -> None:
    """Carries bytes both ways until either side ends; closes both."""
    with contextlib.ExitStack() as end:
        end.enter_context(contextlib.suppress(OSError, EOFError))
        end.callback(one.close)
        end.callback(other.close)
        selector = end.enter_context(selectors.DefaultSelector())
        selector.register(one, selectors.EVENT_READ, (one, other))
        selector.register(other, selectors.EVENT_READ, (other, one))
        while all(_carry(*key.data) for key, _events in selector.select()):
            pass


def _carry(source: Plug, target: Plug) -> bool:
    data = source.recv(65536)
    if data:
        target.sendall(data)
    return bool(data)


def dial_redis() -> socket.socket:
    """Where AGENT_REDIS_URL points. Raises OSError."""
    parts = urlsplit(settings.AGENT_REDIS_URL)
    if parts.scheme == "unix":
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(_CONNECT_S)
        sock.connect(unquote(parts.path))
    else:
        sock = socket.create_connection((parts.hostname or "localhost", parts.port or 6379), _CONNECT_S)
    sock.settimeout(None)
    return sock


class Tunnel:
    """One, in a thread of its own. What it fails by is logged, and tried again."""

    def __init__(self, vps_id: int, target: Target, port: int) -> None:
        self.target = target
        self.stands = threading.Event()
        self._vps_id = vps_id
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"tunnel-{vps_id}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def join(self, limit_s: float) -> None:
        self._thread.join(limit_s)

    def _run(self) -> None:
        failures = 0
        while not self._stop.wait(pause_s(failures, random.random()) if failures else 0.0):  # noqa: S311 (jitter)
            began = time.monotonic()
            try:
                with connect(self.target) as ssh:
                    self._hold(ssh)
            except SshError as error:
                log.warning("tunnel.failed", vps=self._vps_id, kind=error.kind, why=str(error), failures=failures)
            finally:
                self.stands.clear()
            failures = 1 if time.monotonic() - began > LASTED_S else failures + 1

    def _hold(self, ssh: Ssh) -> None:
        try:
            ssh.take_from(self._port, self._serve)
        except SshError:
            ssh.run(("sh", "-c", _FREE, "free", str(self._port)))
            ssh.take_from(self._port, self._serve)
        log.info("tunnel.stands", vps=self._vps_id)
        self.stands.set()
        while ssh.is_open and not self._stop.wait(0.5):
            pass
        if not self._stop.is_set():
            log.warning("tunnel.lost", vps=self._vps_id)

    def _serve(self, channel: paramiko.Channel) -> None:
        threading.Thread(target=self._carry, args=(channel,), name=f"tunnel-{self._vps_id}-bytes", daemon=True).start()

    def _carry(self, channel: paramiko.Channel) -> None:
        try:
            sock = dial_redis()
        except OSError as error:
            log.warning("tunnel.no_redis", vps=self._vps_id, error=type(error).__name__)
            with contextlib.suppress(OSError, EOFError):  # it may be gone itself
                channel.close()
            return
        join(channel, sock)


class Keeper:
    """`run` until `stop` is set."""

    def __init__(self, port: int = TUNNEL_PORT) -> None:
        self.tunnels: dict[int, Tunnel] = {}
        self._port = port
        self._me = uuid.uuid4().hex

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self._look()
            stop.wait(LOOK_S)
        self._follow({})
        self._give_up_lease()
        connections.close_all()  # this thread's

    def _look(self) -> None:
        try:
            close_old_connections()
            say_alive("tunnels")
            self._follow(wanted() if self._is_ours() else {})
        except (DatabaseError, redis.RedisError) as error:  # what stands goes on standing
            log.warning("tunnels.cannot_look", error=type(error).__name__)

    def _follow(self, targets: dict[int, Target]) -> None:
        for vps_id, tunnel in list(self.tunnels.items()):
            if targets.get(vps_id) != tunnel.target:
                tunnel.stop()
                del self.tunnels[vps_id]
        for vps_id in targets.keys() - self.tunnels.keys():
            self.tunnels[vps_id] = Tunnel(vps_id, targets[vps_id], self._port)

    def _is_ours(self) -> bool:
        with _redis() as client:
            if client.set(LEASE, self._me, nx=True, ex=LEASE_S):
                return True
            return client.get(LEASE) == self._me and bool(client.expire(LEASE, LEASE_S))

    def _give_up_lease(self) -> None:
        with contextlib.suppress(redis.RedisError), _redis() as client:
            if client.get(LEASE) == self._me:
                client.delete(LEASE)


def wished() -> QuerySet[Vps]:
    """VPSes that are to have one."""
    return Vps.objects.filter(redis_by_tunnel=True).exclude(redis_user__cut_off_at__isnull=False)


def wanted() -> dict[int, Target]:
    """Whom to connect to, by VPS."""
    return {vps.pk: target for vps in wished() if (target := _target(vps))}


def _target(vps: Vps) -> Target | None:
    try:
        return planning.known_target_of(vps)
    except CannotOpenError:
        log.error("tunnel.cannot_open", vps=vps.pk)
        return None


def _redis() -> redis.Redis:
    limits = {"socket_timeout": _CONNECT_S, "socket_connect_timeout": _CONNECT_S}
    return redis.Redis.from_url(settings.AGENT_REDIS_URL, decode_responses=True, **limits)


def pause_s(failures: int, jitter: float) -> float:
    """Seconds before the next try: 1, 2, 4 … 30, with up to half of it taken off. `jitter` 0..1."""
    return float(min(LONGEST_PAUSE_S, 2.0 ** min(failures - 1, 10)) * (1 - jitter / 2))
