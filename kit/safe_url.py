"""Hosts that users may name: never loopback, link-local or private addresses, also not behind a name (SEC-2)."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable

Resolver = Callable[[str], Iterable[str]]


def is_public_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    inner = getattr(address, "ipv4_mapped", None) or address
    return inner.is_global and not inner.is_multicast


def is_private_literal(host: str) -> bool:
    """True for a host that needs no look-up to be refused: an address of ours, or `localhost`.

    Old spellings the C library still takes for IPv4 (`127.1`, `0x7f000001`, `2130706433`) count as addresses.
    """
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith((".localhost", ".local", ".internal")):
        return True
    try:
        return not is_public_address(str(ipaddress.ip_address(name.partition("%")[0])))
    except ValueError:
        return _is_private_old_spelling(name)


def _is_private_old_spelling(name: str) -> bool:
    try:
        packed = socket.inet_aton(name)
    except OSError:
        return False
    return not is_public_address(socket.inet_ntoa(packed))


def resolve(host: str) -> list[str]:
    """All addresses of a host; empty when it has none (or the name server does not answer)."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return sorted({str(entry[4][0]) for entry in found})


def leads_inside(host: str, resolver: Resolver = resolve) -> bool:
    """True when any address behind the host is not public. A name without addresses leads nowhere."""
    return is_private_literal(host) or any(not is_public_address(address) for address in resolver(host))
