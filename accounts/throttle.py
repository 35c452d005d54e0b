"""Limits on failed sign-ins, counted in the shared cache.

Failures are counted per account *and* address: somebody guessing from one address is locked there, while the
account's owner at another address is not (allauth's own `login_failed` limit counts per account over all
addresses). A second, wider limit counts what one address fails over all accounts.

An attempt is counted before the password is looked at and given back when it was right, so that a hundred attempts
sent at once are a hundred attempts.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from django.core.cache import cache


@dataclass(frozen=True)
class Limit:
    name: str
    attempts: int
    window_s: int


ACCOUNT_AT_ADDRESS: Final = Limit("account", attempts=5, window_s=15 * 60)
ADDRESS: Final = Limit("address", attempts=30, window_s=15 * 60)


class LockedError(Exception):
    """Too many failed attempts; `minutes` until the next one is looked at."""

    def __init__(self, seconds_left: float) -> None:
        self.minutes = max(1, math.ceil(seconds_left / 60))
        super().__init__(f"locked for {self.minutes} min")


def attempt(email: str, address: str, now: float) -> None:
    """Counts one attempt at `now` (seconds since the epoch); raises LockedError when it is one too many."""
    for limit, key in _counters(email, address):
        count(limit, key, now)


def succeeded(email: str, address: str) -> None:
    """The password was right: the address starts afresh for this account, and gets this one attempt back."""
    _, (_, of_address) = _counters(email, address)
    forget(email, address)
    with suppress(ValueError):  # the window may have ended in this very moment, and its counter with it
        cache.decr(f"{of_address}:{cache.get(of_address)}")


def forget(email: str, address: str) -> None:
    """Lifts the lock of this account at this address (its password was reset)."""
    (_, of_account), _ = _counters(email, address)
    cache.delete_many([f"{of_account}:{cache.get(of_account)}", of_account])


def _counters(email: str, address: str) -> tuple[tuple[Limit, str], tuple[Limit, str]]:
    network = _network(address)
    account = hashlib.sha256(email.strip().lower().encode()).hexdigest()[:32]
    return (
        (ACCOUNT_AT_ADDRESS, f"signin:{ACCOUNT_AT_ADDRESS.name}:{account}:{network}"),
        (ADDRESS, f"signin:{ADDRESS.name}:{network}"),
    )


def _network(address: str) -> str:
    """The address, or the /64 of an IPv6 one: a single customer has 2^64 of those."""
    parsed = ipaddress.ip_address(address)
    if parsed.version == 6:
        return str(ipaddress.ip_network(f"{parsed}/64", strict=False).network_address)
    return str(parsed)


def count(limit: Limit, key: str, now: float) -> None:
    """Counts one more of what `key` names; raises LockedError when it is one too many.

    A window opens with its first attempt; the count belongs to the window's start and outlives it.
    """
    started = float(cache.get_or_set(key, now, limit.window_s) or now)
    if now - started >= limit.window_s:
        started = now
        cache.set(key, started, limit.window_s)
    counter = f"{key}:{started}"
    cache.add(counter, 0, 2 * limit.window_s)
    if cache.incr(counter) > limit.attempts:
        raise LockedError(started + limit.window_s - now)
