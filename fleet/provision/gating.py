"""What a run waits for in our own database: that an agent is heard, and which one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from fleet.models import Vps
from fleet.provision import upgrade
from fleet.provision.step import Step
from fleet.provision.upgrade import Verdict


@dataclass(frozen=True, slots=True)
class Heard:
    """`unnamed`: streams on air there without a break since before the restart that no heartbeat has named since."""

    version: str
    unnamed: int = 0


def look(vps: Vps, since: datetime, restarted_at: datetime | None) -> Heard | None:
    """None: nothing was heard since."""
    version = (
        Vps.objects.filter(pk=vps.pk, last_heartbeat_at__gte=since).values_list("agent_version", flat=True).first()
    )
    if version is None:
        return None
    if restarted_at is None:
        return Heard(version)
    on_air = vps.runs.holding().filter(stream__status="STREAMING", live_since__lt=restarted_at)
    return Heard(version, on_air.filter(reported_at__lt=restarted_at).count())


def judge(step: Step, heard: Heard | None, waited_s: float) -> tuple[Verdict, str]:
    """With words for people: of what was heard, or why that will not do. Pure."""
    is_late = waited_s > step.limit_s
    if step.hears:
        verdict = upgrade.gate(step.hears, [heard.version] if heard else [], waited_s)
    else:
        verdict = Verdict.PASSED if heard else Verdict.FAILED if is_late else Verdict.WAIT
    if heard and verdict is Verdict.PASSED and step.hears and heard.unnamed:
        words = ngettext(
            "The new agent is heard, and does not name %(n)d stream that was on air.",
            "The new agent is heard, and does not name %(n)d streams that were on air.",
            heard.unnamed,
        )
        return Verdict.FAILED if is_late else Verdict.WAIT, words % {"n": heard.unnamed}
    if heard and verdict is Verdict.PASSED:
        return verdict, _("agent %(v)s") % {"v": heard.version or "–"}
    if heard and step.hears:
        return verdict, _("Within %(s)d s only agent %(v)s was heard.") % {"s": step.limit_s, "v": heard.version}
    return verdict, _("No heartbeat within %(s)d s.") % {"s": step.limit_s}
