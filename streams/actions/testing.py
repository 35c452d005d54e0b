"""«Test connection»: a VPS opens a real session with a destination, sends no media and says what it met (DST-6).

Nothing waits here for the answer: what was asked lies in the cache, whoever looks at it takes the answer in.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlsplit

from django.core.cache import cache
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit, throttle
from accounts.models import User
from agent.protocol import TestDestination
from fleet import answers, commands, selection
from fleet.candidates import candidates
from fleet.selection import Candidate
from streams import rules
from streams.errors import NotReady, TooOften
from streams.models import Destination
from streams.spec import DestinationSpec

LIMIT_S: Final = 12.0
"""An agent that has said nothing by then is not waited for."""
WAIT_S: Final = 0.8
"""Who looks waits this long for the answer, in a thread of the request's own; then they look again."""
KEPT_S: Final = 600
RATE: Final = throttle.Limit("connection-test", attempts=10, window_s=60)
WAITING, SILENT = "waiting", "silent"


@dataclass(frozen=True, slots=True)
class ConnectionTest:
    """One test and what came of it: `waiting`, one of `agent.protocol.TEST_STATES`, or `silent`."""

    id: str
    owner_id: int
    server: str
    vps: str
    vps_id: int
    began: float
    state: str = WAITING
    message: str = ""
    took_ms: int = 0

    @property
    def is_over(self) -> bool:
        return self.state != WAITING


def test_destination(destination: Destination, actor: User) -> ConnectionTest:
    """Of a saved destination, as it is."""
    spec = DestinationSpec(destination.platform, destination.name, destination.url, via=destination.via)
    return test_typed(destination.owner, spec, actor, destination)


def test_typed(owner: User, spec: DestinationSpec, actor: User, destination: Destination | None) -> ConnectionTest:
    """Of what was typed, saved or not; an empty key stands for the one that is kept."""
    kept_key = destination.key() if destination else ""
    clean = rules.check_destination(replace(spec, name=spec.name.strip() or "–"), kept_key=kept_key)
    key, server = clean.key or kept_key, urlsplit(clean.url).hostname or ""
    rules.check_untouched(owner, clean.url, key)
    _check_rate(actor)
    audit.record(actor, "test", destination or owner, server=server, via=clean.via)
    asked = answers.new_id()
    vps = _ask(TestDestination(test_id=asked, url=clean.url, key=key, via=clean.via, timestamp=time.time()))
    test = ConnectionTest(asked, owner.pk, server, vps.name, vps.vps_id, time.time())
    cache.set(_key(test.id), test, KEPT_S)
    return test


def find_test(owner: User, test_id: str, wait_s: float = WAIT_S) -> ConnectionTest | None:
    """The test as it is now, after at most `wait_s`; None for one that is not this user's, or long over."""
    test: ConnectionTest | None = cache.get(_key(test_id))
    if test is None or test.owner_id != owner.pk:
        return None
    if not cache.get(_result_key(test_id)):
        found = _result(test, wait_s)
        if found is None:
            return test
        cache.add(_result_key(test_id), found, KEPT_S)  # whoever came first is right
    result: dict[str, Any] = cache.get(_result_key(test_id)) or {}
    return replace(test, **result)


def _result(test: ConnectionTest, wait_s: float) -> dict[str, Any] | None:
    left = test.began + LIMIT_S - time.time()
    answer = answers.wait(test.id, max(0.01, min(wait_s, left)), vps_id=test.vps_id)
    if answer is not None:
        return {name: answer[name] for name in ("state", "message", "took_ms")}
    return {"state": SILENT} if left <= wait_s else None


def _check_rate(actor: User) -> None:
    try:
        throttle.count(RATE, f"{RATE.name}:{actor.pk}", time.time())
    except throttle.LockedError as error:
        words = _("That were %(most)d tests in a minute. Wait a minute before the next one.")
        raise TooOften(words % {"most": RATE.attempts}) from error


def _ask(question: TestDestination) -> Candidate:
    """The VPS that heard it: the least loaded first, the next one when an agent is just away."""
    able = selection.for_a_question(candidates(timezone.now()))
    heard = next((vps for vps in able if commands.publish(vps.vps_id, question)), None)
    if heard is None:
        raise NotReady(_("No VPS can be reached at the moment, so nothing can be tested from one."))
    return heard


def _key(test_id: str) -> str:
    return f"connection-test:{test_id}"


def _result_key(test_id: str) -> str:
    return f"connection-test:{test_id}:result"
