"""The servers streams run on."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from kit.choices import TonedChoices
from kit.crypto import seal, unseal


class VpsStatus(TonedChoices):
    ACTIVE = "ACTIVE", _("active")
    INACTIVE = "INACTIVE", _("inactive")
    PROVISIONING = "PROVISIONING", _("provisioning")
    DRAINING = "DRAINING", _("draining")
    ERROR = "ERROR", _("error")

    @classmethod
    def tones(cls) -> dict[str, str]:
        return {"ACTIVE": "live", "PROVISIONING": "info", "DRAINING": "warning", "ERROR": "danger"}


class VpsQuerySet(models.QuerySet["Vps"]):
    def with_current_streams(self) -> VpsQuerySet:
        """Adds `current_streams`: the runs whose slot is held. A count, never a counter, so it cannot drift."""
        held = models.FilteredRelation("runs", condition=models.Q(runs__slot_released_at__isnull=True))
        return self.annotate(held_runs=held, current_streams=models.Count("held_runs", distinct=True))

    def reachable(self, now: datetime) -> VpsQuerySet:
        return self.filter(heard_lately(now))


def heard_lately(now: datetime) -> models.Q:
    return models.Q(last_heartbeat_at__gte=now - settings.HEARTBEAT_FRESH)


_Vpses = models.Manager.from_queryset(VpsQuerySet)


class VpsManager(_Vpses["Vps"]):
    """Those that are in the fleet. One that was removed is named by the runs it carried, and by nothing else."""

    def get_queryset(self) -> VpsQuerySet:
        return VpsQuerySet(self.model, using=self._db).filter(removed_at=None)


def _percent(label: object) -> models.FloatField[float | None, float | None]:
    return models.FloatField(
        label,  # type: ignore[arg-type]
        null=True,
        blank=True,
        editable=False,
        validators=[MinValueValidator(0), MaxValueValidator(100)],
    )


class Vps(models.Model):
    """One server of the fleet and what its agent last said of it."""

    name = models.CharField(_("name"), max_length=80)
    host = models.CharField(_("IP address or host name"), max_length=253)
    region = models.CharField(_("region"), max_length=40, blank=True)
    ssh_user = models.CharField(_("SSH user"), max_length=64, default="root")
    ssh_port = models.PositiveIntegerField(
        _("SSH port"), default=22, validators=[MinValueValidator(1), MaxValueValidator(65535)]
    )
    secret_id = models.UUIDField(default=uuid.uuid4, editable=False)
    sealed_password = models.TextField(blank=True, editable=False)
    sealed_private_key = models.TextField(blank=True, editable=False)
    host_key = models.TextField(_("pinned host key"), blank=True)
    status = models.CharField(
        _("status"), max_length=12, choices=VpsStatus.choices, default=VpsStatus.INACTIVE, db_index=True
    )
    status_message = models.CharField(_("status message"), max_length=500, blank=True)
    max_streams = models.PositiveIntegerField(_("streams at most"), default=4)
    supports_multistream = models.BooleanField(_("several destinations per stream"), default=True)
    uplink_mbit = models.PositiveIntegerField(_("uplink limit (Mbit/s)"), null=True, blank=True)
    traffic_gb = models.PositiveIntegerField(
        _("traffic per month (GB)"), null=True, blank=True,
        help_text=_("What its contract allows to be sent. Near its end there are no new streams. Empty: no limit."),
    )  # fmt: skip
    price = models.DecimalField(
        _("price per month"), max_digits=9, decimal_places=2, null=True, blank=True, validators=[MinValueValidator(0)],
        help_text=_("One currency for the whole fleet. Of two that are as good, the cheaper per stream is taken."),
    )  # fmt: skip
    is_local = models.BooleanField(_("this machine"), default=False, editable=False)

    cpu = _percent(_("CPU %"))
    memory = _percent(_("memory %"))
    disk = _percent(_("disk %"))
    network_mbit = models.FloatField(_("network (Mbit/s)"), null=True, blank=True, editable=False)
    latency_ms = models.FloatField(_("latency (ms)"), null=True, blank=True, editable=False)
    busy = _percent(_("CPU % over minutes"))
    """What `cpu` was, each heartbeat weighing a twentieth: a file being prepared is no overload."""
    clock_offset_s = models.FloatField(_("clock ahead by (s)"), null=True, blank=True, editable=False)
    agent_version = models.CharField(_("agent"), max_length=40, blank=True, editable=False)
    agent_protocol = models.PositiveIntegerField(_("protocol"), null=True, blank=True, editable=False)
    accepting = models.BooleanField(default=True, editable=False)
    last_heartbeat_at = models.DateTimeField(_("last heartbeat"), null=True, blank=True, editable=False)
    unhealthy = models.CharField(_("unhealthy because"), max_length=500, blank=True, editable=False)
    """What the last health check found (`fleet.health`); empty: well, or no reason to look."""
    last_health_check_at = models.DateTimeField(_("last health check"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("added"), auto_now_add=True)
    removed_at = models.DateTimeField(null=True, editable=False)

    objects = VpsManager()

    class Meta:
        verbose_name = _("VPS")
        verbose_name_plural = _("VPSes")
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["name"],
                condition=models.Q(removed_at=None),
                name="vps_name_once",
                violation_error_message=_("There is a VPS of this name."),
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def state(self) -> VpsStatus:
        return VpsStatus(self.status)

    def is_reachable(self, now: datetime | None = None) -> bool:
        """A heartbeat came lately. Computed, never stored."""
        now = now or timezone.now()
        return bool(self.last_heartbeat_at and self.last_heartbeat_at >= now - settings.HEARTBEAT_FRESH)

    @property
    def allowed_bytes(self) -> int | None:
        """To be sent in a month; None: without a limit."""
        return None if self.traffic_gb is None else self.traffic_gb * 10**9

    def _context(self, column: str) -> str:
        return f"fleet_vps.{column}.{self.secret_id}"

    def set_password(self, password: str) -> None:
        self.sealed_password = seal(password, self._context("password"), settings.FIELD_KEYS)

    def password(self) -> str:
        return unseal(self.sealed_password, self._context("password"), settings.FIELD_KEYS)

    def set_private_key(self, private_key: str) -> None:
        self.sealed_private_key = seal(private_key, self._context("private_key"), settings.FIELD_KEYS)

    def private_key(self) -> str:
        return unseal(self.sealed_private_key, self._context("private_key"), settings.FIELD_KEYS)


class MonthTraffic(models.Model):
    """What a VPS sent in one month of UTC, as `fleet.traffic` adds it up."""

    vps = models.ForeignKey(Vps, on_delete=models.CASCADE, related_name="traffic")
    month = models.DateField()
    """Its first day."""
    sent_bytes = models.BigIntegerField(default=0)
    counter = models.BigIntegerField(null=True)
    """What the agent's counter stood at when it was last looked at, and `said_at` when it said so by its clock."""
    said_at = models.FloatField(null=True)

    class Meta:
        ordering = ["-month"]
        constraints = [models.UniqueConstraint(fields=["vps", "month"], name="traffic_month_once")]
