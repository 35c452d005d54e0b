"""What provisionings and commands that add servers leave behind, deleted when nobody asks for it any more."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import F, QuerySet, Window
from django.db.models.functions import RowNumber

from fleet.models import Enrolment, ProvisionRun

KEPT: Final = timedelta(days=90)
LAST: Final = 20
"""Provisionings of a VPS that stay, however old they are. One holds up to 700 kB of output."""
BATCH: Final = 100


def forget_old(now: datetime) -> int:
    """How many went. What is at work stays, and so does the command that added a VPS that is there."""
    before = now - KEPT
    nth = Window(RowNumber(), partition_by="vps", order_by=[F("requested_at").desc(), F("pk").desc()])
    last = ProvisionRun.objects.order_by().annotate(nth=nth).filter(nth__lte=LAST)
    runs = ProvisionRun.objects.filter(ended_at__lt=before).exclude(pk__in=last.values("pk"))
    return _delete(runs) + _delete(Enrolment.objects.filter(vps=None, expires_at__lt=before))


def _delete(rows: QuerySet[Any]) -> int:
    """In batches: no lock lasts long."""
    deleted = 0
    while keys := list(rows.values_list("pk", flat=True)[:BATCH]):
        rows.filter(pk__in=keys).delete()
        deleted += len(keys)
    return deleted
