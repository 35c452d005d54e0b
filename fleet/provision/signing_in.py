"""From a socket to a signed-in connection: the host key first, then who we are; each failure by its own name."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Final

import paramiko
from django.utils.translation import gettext as _

from fleet.provision import dialing, keys
from fleet.provision.dialing import Limits, Target
from fleet.provision.errors import BadLogin, ChangedKey, Lost, Silent, SshError, UnknownKey

KEEPALIVE_S: Final = 10


class _Policy(paramiko.MissingHostKeyPolicy):
    def __init__(self, trust_first: bool) -> None:
        self._trust_first = trust_first

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        if not self._trust_first:
            shown = keys.written(key)
            raise UnknownKey(shown, keys.fingerprint(shown))


def sign_in(target: Target, limits: Limits) -> paramiko.SSHClient:
    """Raises one of `errors`, within `limits`."""
    until = limits.until()
    private = keys.read_private(target.private_key) if target.private_key else None
    with contextlib.ExitStack() as undo:
        sock = undo.enter_context(dialing.dial(target, limits, until))
        client = paramiko.SSHClient()
        undo.callback(client.close)
        client.set_missing_host_key_policy(_Policy(target.trust_first))
        _pin(client, target)
        with _at_most(sock, until):
            _authenticate(client, target, private, sock, limits, until)
        transport = client.get_transport()
        if transport is None:
            raise Lost(_("The connection was lost."))
        transport.set_keepalive(KEEPALIVE_S)
        undo.pop_all()
        return client


@contextlib.contextmanager
def _at_most(sock: socket.socket, until: float) -> Iterator[None]:
    """paramiko has a limit for each key, password and word of the beginning; one after another they are longer."""
    late = threading.Event()

    def end() -> None:
        late.set()
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    watch = threading.Timer(max(0.1, until - time.monotonic()), end)
    watch.daemon = True
    watch.start()
    try:
        yield
    except SshError:
        if late.is_set():
            raise Silent(_("It speaks SSH, and is not done with our login in time.")) from None
        raise
    finally:
        watch.cancel()


def shown_key(client: paramiko.SSHClient) -> str:
    """The server's, as it is pinned."""
    transport = client.get_transport()
    if transport is None:
        raise Lost(_("The connection was lost."))
    return keys.written(transport.get_remote_server_key())


def _pin(client: paramiko.SSHClient, target: Target) -> None:
    if not target.host_key:
        return
    try:
        key = keys.read_host_key(target.host_key)
    except ValueError:
        raise ChangedKey(_("what was confirmed is no key"), "", "–") from None
    client.get_host_keys().add(target.known_as, key.get_name(), key)


def _authenticate(
    client: paramiko.SSHClient,
    target: Target,
    private: paramiko.PKey | None,
    sock: socket.socket,
    limits: Limits,
    until: float,
) -> None:
    def left(limit_s: float) -> float:
        return max(0.1, min(limit_s, until - time.monotonic()))

    password = None if target.by_key_only else target.password or None
    try:
        client.connect(
            target.address, port=target.port, username=target.user, password=password, pkey=private,
            sock=sock, timeout=left(limits.banner_s), banner_timeout=left(limits.banner_s),
            auth_timeout=left(limits.auth_s), channel_timeout=limits.command_s,
            allow_agent=False, look_for_keys=False,
        )  # fmt: skip
    except paramiko.BadHostKeyException as error:
        shown = keys.written(error.key)
        raise ChangedKey(keys.fingerprint(target.host_key), shown, keys.fingerprint(shown)) from None
    except paramiko.AuthenticationException as error:
        raise _refusal(error, target, client) from None
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise _silence(error, client) from None


def _refusal(error: paramiko.AuthenticationException, target: Target, client: paramiko.SSHClient) -> SshError:
    if "timeout" in str(error).lower():
        return Silent(_("It took the login and did not answer in time."))
    transport = client.get_transport()
    if isinstance(error, paramiko.BadAuthenticationType):
        ways = ", ".join(error.allowed_types) or _("nothing we can")
        given = _("a key") if target.private_key and not target.password else _("a password")
        words = _("«%(user)s» may not sign in by %(given)s there; it takes: %(ways)s.")
        return BadLogin(words % {"user": target.user, "given": given, "ways": ways})
    if transport is not None and not transport.is_active() and "shut down" in str(error):
        return Lost(_("The connection was lost while signing in."))
    by_password = bool(target.password) and not target.by_key_only
    if target.private_key and by_password:
        return BadLogin(_("It took neither the key nor the password of «%(user)s».") % {"user": target.user})
    if target.private_key:
        return BadLogin(_("It does not take the key of «%(user)s».") % {"user": target.user})
    if by_password:
        return BadLogin(_("It does not take the password of «%(user)s».") % {"user": target.user})
    return BadLogin(_("There is neither a password nor a key to sign in with."))


def _silence(error: Exception, client: paramiko.SSHClient) -> SshError:
    """What paramiko says when the other side stays away, breaks off, or speaks something else."""
    if "no existing session" in str(error).lower() or "banner" in str(error).lower():
        return Silent(_("It takes the connection, and then says nothing that is SSH."))
    if "no authentication methods" in str(error).lower():
        return BadLogin(_("There is neither a password nor a key to sign in with."))
    if isinstance(error, paramiko.SSHException) and not isinstance(error.__cause__, OSError | EOFError):
        return Silent(_("It speaks SSH, but not as we can: %(why)s") % {"why": str(error)[:200]})
    return Lost(_("The connection was lost while it began."))
