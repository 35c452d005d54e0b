"""What can go wrong between us and a server, each with words for the operator."""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext as _


class SshError(Exception):
    """`str()` is a sentence for people; `kind` names it for pages and tests. Neither holds a secret."""

    kind = "error"


class NoRoute(SshError):
    """The host is not there: its name is not known, no network leads to it, nothing answers."""

    kind = "no_route"


class Refused(SshError):
    """The host is there and takes no connection."""

    kind = "refused"


class Silent(SshError):
    """The connection stands and nobody speaks SSH on it, or not in time."""

    kind = "silent"


class UnknownKey(SshError):
    """No host key is pinned yet. Nothing secret was sent."""

    kind = "unknown_key"

    def __init__(self, host_key: str, fingerprint: str) -> None:
        super().__init__(_("Its host key is not confirmed yet: %(key)s.") % {"key": fingerprint})
        self.host_key = host_key
        self.fingerprint = fingerprint


class ChangedKey(SshError):
    """Another host key than the pinned one. Nothing secret was sent."""

    kind = "changed_key"

    def __init__(self, pinned: str, host_key: str, fingerprint: str) -> None:
        words = _(
            "Its host key has changed: %(pinned)s was confirmed, %(now)s answers. Either the server was installed "
            "anew, or somebody else answers in its place. No password was sent."
        )
        super().__init__(words % {"pinned": pinned, "now": fingerprint})
        self.host_key = host_key
        self.fingerprint = fingerprint


class BadLogin(SshError):
    """The password or key is not taken, or cannot be read."""

    kind = "bad_login"


class NoSudo(SshError):
    """The user is not root and may not become it."""

    kind = "no_sudo"


class Lost(SshError):
    """The connection went away in the middle of something."""

    kind = "lost"


class TooSlow(SshError):
    """A command took longer than it may."""

    kind = "too_slow"


ADVICE: Final = {
    "no_route": "Check the address, that the server is switched on, and that its provider's firewall lets SSH through.",
    "refused": "Check the SSH port, and that the SSH service runs there.",
    "silent": "The server may be overloaded, or another service has this port. Look at its console at the provider.",
    "unknown_key": "Compare it with what the provider shows or with `ssh-keygen -lf` on the server, then confirm it.",
    "changed_key": "If the server was installed anew, forget the old key and confirm the new. If not, do not go on.",
    "bad_login": "Check the user and the password or key; root may be kept from signing in by password there.",
    "no_sudo": "Use root, or let this user run everything by sudo, with this password or without one.",
    "lost": "Resume: what was begun there goes on, and is looked at first.",
    "too_slow": "Look at the server's load and disk, then resume.",
}
"""What to do, by kind."""
