"""Periodic jobs and the lease that keeps two schedulers from running one twice."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db import models
from django.utils.translation import gettext_lazy as _

LATE: Final = timedelta(minutes=1)


class Job(models.Model):
    """What is known of one periodic job. `ops.schedule` says which there are."""

    name = models.CharField(_("job"), max_length=60, primary_key=True)
    next_run_at = models.DateTimeField(_("next run"), db_index=True)
    last_started_at = models.DateTimeField(_("last run"), null=True)
    last_duration_s = models.FloatField(_("took (s)"), null=True)
    last_result = models.CharField(_("result"), max_length=500, blank=True)
    last_succeeded = models.BooleanField(_("succeeded"), null=True)

    class Meta:
        verbose_name = _("periodic job")
        verbose_name_plural = _("periodic jobs")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def is_late(self, now: datetime) -> bool:
        """By more than a few looks of the scheduler: nobody runs it."""
        return self.next_run_at < now - LATE


class Process(models.Model):
    """When each kind of process of the control plane was last seen alive."""

    kind = models.CharField(_("process"), max_length=20)
    instance = models.CharField(_("instance"), max_length=120)
    seen_at = models.DateTimeField(_("last seen"), db_index=True)

    class Meta:
        verbose_name = _("process")
        verbose_name_plural = _("processes")
        constraints = [models.UniqueConstraint(fields=["kind", "instance"], name="process_once")]
