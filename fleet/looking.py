"""VPSes looked at over SSH, several at once (FLT-5). A server that hangs costs its own place for ten seconds, no more.

Not in the scheduler: it would stand still meanwhile, and have five seconds to end. It only queues (`fleet.actions.
check_all`); an actor of the `fleet` queue looks at a lot of them. Two hundred servers that all hang are four lots of 50
seconds, so that even a worker with a single thread is through within the five minutes of a round.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from fleet import checkups
from fleet.checkups import IN_SERVICE
from fleet.models import OutsideLook, Vps
from fleet.provision import outside, planning
from fleet.provision.dialing import Limits, Target
from fleet.provision.errors import BadLogin, SshError
from fleet.provision.lines import Redactor
from fleet.provision.outside import Nonsense, Seen
from fleet.provision.ssh import connect
from kit import bulk
from kit.conflicts import again_on_conflict
from kit.crypto import CannotOpenError

log = structlog.get_logger(__name__)
WHOLE_S: Final = 10.0
"""A look, from the first packet to the last."""
LIMITS: Final = Limits(connect_s=3.0, banner_s=2.0, auth_s=3.0, command_s=5.0, total_s=6.0)
AT_ONCE: Final = 10
"""Of a lot."""
LOT: Final = 50
MOST_READ: Final = 20_000
"""Characters: what we print comes last, after whatever greets who signs in."""
JUST_NOW: Final = timedelta(minutes=2)
"""Seen so lately, it is not looked at again: a worker that was away finds several rounds waiting."""
PATIENCE: Final = timedelta(hours=1)
"""After a login that was refused: a server bans who knocks too often (fail2ban)."""


@dataclass(frozen=True, slots=True)
class Look:
    """`kind` and `trouble` as of an `SshError`; empty when it was seen."""

    seen: Seen | None = None
    kind: str = ""
    trouble: str = ""
    clock_offset_s: float | None = None


def with_login() -> Q:
    """Those that can be looked at. The others are judged by their heartbeats alone."""
    return Q(is_local=False) & ~Q(sealed_password="", sealed_private_key="")


def has_login(vps: Vps) -> bool:
    return not vps.is_local and bool(vps.sealed_password or vps.sealed_private_key)


def due(now: datetime) -> list[int]:
    """Whose turn it is, by id."""
    seen = Q(outside__looked_at__gt=now - JUST_NOW)
    refused = Q(outside__trouble_kind=BadLogin.kind, outside__looked_at__gt=now - PATIENCE)
    wanted = Vps.objects.filter(with_login(), status__in=IN_SERVICE).exclude(seen | refused)
    return list(wanted.order_by("pk").values_list("pk", flat=True))


def look_at_due(vps_ids: Iterable[int], now: datetime) -> None:
    """Of these, those whose turn it still is."""
    look_at(Vps.objects.filter(pk__in=set(vps_ids) & set(due(now))))


def look_at(vpses: Iterable[Vps]) -> None:
    """Each is written down, and judged anew, as soon as it was seen. Those without a login are passed over."""
    chosen = [vps for vps in vpses if has_login(vps)]
    for vps, look in _side_by_side(chosen):
        _keep(vps, look, timezone.now())
        checkups.check([vps], timezone.now())


def _side_by_side(vpses: Sequence[Vps]) -> Iterator[tuple[Vps, Look]]:
    """As they come. The threads see no database: secrets are opened here, and what was seen is written here."""
    looks: dict[Future[Look], Vps] = {}
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="look")
    try:
        for vps in vpses:
            try:
                looks[pool.submit(look_once, planning.known_target_of(vps))] = vps
            except CannotOpenError as error:
                yield vps, Look(kind="sealed", trouble=_("Its password or key does not open: %s.") % error)
        for done in as_completed(looks):
            yield looks[done], done.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def look_once(target: Target) -> Look:
    """Within WHOLE_S, whatever is wrong; it never raises an `SshError`."""
    until = time.monotonic() + WHOLE_S
    shown = Redactor((target.password, target.private_key))
    try:
        with connect(target, LIMITS) as ssh:
            ssh.until = until
            before = _now()
            result = ssh.run(outside.ARGV)
            after = _now()
            seen = outside.read(shown(result.out[-MOST_READ:] or result.err[-MOST_READ:]))
    except SshError as error:
        return Look(kind=error.kind, trouble=shown(str(error)))
    except Nonsense as error:
        words = _("It does not do as it is told: «%(said)s».") % {"said": error}
        return Look(kind="nonsense", trouble=words)
    offset = None if seen.clock is None else outside.clock_offset_s(seen.clock, before, after)
    return Look(seen, clock_offset_s=offset)


def _now() -> float:
    return datetime.now(UTC).timestamp()


@again_on_conflict
@transaction.atomic
def _keep(vps: Vps, look: Look, now: datetime) -> None:
    """Behind the lock of its VPS, which may be gone by now."""
    if not bulk.locked(Vps, [vps.pk]).exists():
        return
    before = OutsideLook.objects.filter(pk=vps.pk).exclude(trouble="").first()
    if look.trouble and before is None:
        log.warning("fleet.not_seen", vps=vps.pk, kind=look.kind, why=look.trouble)
    since = (before.trouble_since if before else now) if look.trouble else None
    values = {"looked_at": now, "trouble": look.trouble[:500], "trouble_kind": look.kind, "trouble_since": since}
    OutsideLook.objects.update_or_create(vps=vps, defaults=values | _seen(look, now))


def _seen(look: Look, now: datetime) -> dict[str, Any]:
    if look.seen is None:
        return {}
    seen = asdict(look.seen)
    del seen["clock"]
    return seen | {"seen_at": now, "clock_offset_s": look.clock_offset_s}
