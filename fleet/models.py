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
        """Adds `current_streams`: the runs whose slot is held, and those that have not quite left for another VPS. A
        count, never a counter, so it cannot drift."""
        held = models.FilteredRelation("runs", condition=models.Q(runs__slot_released_at__isnull=True))
        left = models.FilteredRelation(
            "left_runs",
            condition=models.Q(
                left_runs__moved_at__isnull=False,
                left_runs__commanded_at__isnull=True,
                left_runs__ended_at__isnull=True,
            ),
        )
        count = models.Count("held_runs", distinct=True) + models.Count("leaving_runs", distinct=True)
        return self.annotate(held_runs=held, leaving_runs=left, current_streams=count)

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
    draining_since = models.DateTimeField(null=True, editable=False)
    drain_moves = models.BooleanField(default=False, editable=False)
    """Draining: its streams are moved to others; otherwise they stay until they end."""
    left_at = models.DateTimeField(null=True, editable=False)
    """When a stream was last taken away from it (`streams.evacuating`)."""
    status_message = models.CharField(_("status message"), max_length=500, blank=True)
    max_streams = models.PositiveIntegerField(_("streams at most"), default=4)
    use_key = models.BooleanField(
        _("replace the password by a key"), default=False,
        help_text=_("Provisioning puts a key of ours there; then the server takes no passwords any more."),
    )  # fmt: skip
    supports_multistream = models.BooleanField(_("several destinations per stream"), default=True)
    uplink_mbit = models.PositiveIntegerField(_("uplink limit (Mbit/s)"), null=True, blank=True)
    redis_by_tunnel = models.BooleanField(
        _("Redis by an SSH tunnel"),
        default=False,
        help_text=_("Its agent reaches Redis through our SSH connection (manage.py redis_tunnels): no open port here."),
    )
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
    harms_since = models.DateTimeField(null=True, editable=False)
    """Since then what is wrong with it harms streams on air, too."""
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
        """Empty: none is known."""
        if not self.sealed_password:
            return ""
        return unseal(self.sealed_password, self._context("password"), settings.FIELD_KEYS)

    def set_private_key(self, private_key: str) -> None:
        self.sealed_private_key = seal(private_key, self._context("private_key"), settings.FIELD_KEYS)

    def private_key(self) -> str:
        """Empty: none is known."""
        if not self.sealed_private_key:
            return ""
        return unseal(self.sealed_private_key, self._context("private_key"), settings.FIELD_KEYS)


class OutsideLook(models.Model):
    """How a VPS was when it was last looked at over SSH. `fleet.looking` alone writes.

    What a look that failed could not see stays as it was seen before, at `seen_at`.
    """

    vps = models.OneToOneField(Vps, models.CASCADE, primary_key=True, related_name="outside")
    looked_at = models.DateTimeField()
    seen_at = models.DateTimeField(null=True)
    trouble = models.CharField(max_length=500, blank=True)
    """Why the last look failed; empty: it did not. `trouble_kind` as of `fleet.provision.errors`."""
    trouble_kind = models.CharField(max_length=20, blank=True)
    trouble_since = models.DateTimeField(null=True)
    load = models.CharField(max_length=60, blank=True)
    cores = models.PositiveIntegerField(null=True)
    memory = models.FloatField(null=True)
    disk = models.FloatField(null=True)
    clock_offset_s = models.FloatField(null=True)
    agent = models.CharField(max_length=200, blank=True)
    nginx = models.CharField(max_length=200, blank=True)
    redis = models.CharField(max_length=200, blank=True)
    needs_reboot = models.BooleanField(default=False)
    """These as `fleet.provision.outside.Seen` has them."""

    def __str__(self) -> str:
        return f"{self.vps} · {self.looked_at:%Y-%m-%d %H:%M:%S}"


class RunKind(models.TextChoices):
    """What is done to a server over SSH, step by step."""

    PROVISION = "PROVISION", _("provisioning")
    UPGRADE = "UPGRADE", _("upgrade of its agent")
    DECOMMISSION = "DECOMMISSION", _("decommissioning")


class RunStatus(TonedChoices):
    """Of a provisioning, an upgrade, a decommissioning."""

    QUEUED = "QUEUED", _("waiting for a worker")
    RUNNING = "RUNNING", _("at work")
    DONE = "DONE", _("done")
    FAILED = "FAILED", _("failed")
    CANCELLED = "CANCELLED", _("cancelled")

    @classmethod
    def tones(cls) -> dict[str, str]:
        return {"QUEUED": "info", "RUNNING": "info", "DONE": "live", "FAILED": "danger", "CANCELLED": "warning"}


class StepStatus(TonedChoices):
    WAITING = "WAITING", _("waiting")
    RUNNING = "RUNNING", _("at work")
    CHANGED = "CHANGED", _("done")
    UNCHANGED = "UNCHANGED", _("unchanged")
    FAILED = "FAILED", _("failed")

    @classmethod
    def tones(cls) -> dict[str, str]:
        return {"RUNNING": "info", "CHANGED": "live", "FAILED": "danger"}


class RolloutStatus(TonedChoices):
    RUNNING = "RUNNING", _("at work")
    DONE = "DONE", _("done")
    FAILED = "FAILED", _("failed")
    CANCELLED = "CANCELLED", _("cancelled")

    @classmethod
    def tones(cls) -> dict[str, str]:
        return {"RUNNING": "info", "DONE": "live", "FAILED": "danger", "CANCELLED": "warning"}


class Rollout(models.Model):
    """Upgrades of several servers, one after another; each is a `ProvisionRun`. `fleet.rollouts.lifecycle` alone
    changes its status."""

    version = models.CharField(max_length=40)
    """Of the agent that is put there."""
    vpses = models.ManyToManyField(Vps, related_name="rollouts")
    status = models.CharField(max_length=10, choices=RolloutStatus.choices, default=RolloutStatus.RUNNING)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    requested_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-requested_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["status"], condition=models.Q(status=RolloutStatus.RUNNING), name="one_rollout_at_a_time"
            )
        ]

    def __str__(self) -> str:
        return self.version

    @property
    def state(self) -> RolloutStatus:
        return RolloutStatus(self.status)


class ProvisionRun(models.Model):
    """One provisioning of a server (or upgrade, or decommissioning: `kind`), with what it said.
    `fleet.provision.lifecycle` alone changes its status."""

    vps = models.ForeignKey(Vps, models.CASCADE, related_name="provisions", verbose_name=_("VPS"))
    kind = models.CharField(_("what"), max_length=12, choices=RunKind.choices, default=RunKind.PROVISION)
    rollout = models.ForeignKey(Rollout, models.SET_NULL, null=True, related_name="runs", editable=False)
    from_version = models.CharField(max_length=40, blank=True, editable=False)
    to_version = models.CharField(max_length=40, blank=True, editable=False)
    """Of an upgrade: what its agent called itself when it was asked for, and what it is to call itself."""
    place = models.CharField(_("server"), max_length=270, editable=False)
    """Host and port, as one: two rows of the same server are not provisioned at once either."""
    status = models.CharField(_("status"), max_length=10, choices=RunStatus.choices, default=RunStatus.QUEUED)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", verbose_name=_("asked for by")
    )
    requested_at = models.DateTimeField(_("asked for"), default=timezone.now)
    started_at = models.DateTimeField(_("begun"), null=True)
    ended_at = models.DateTimeField(_("ended"), null=True)
    touched_at = models.DateTimeField(default=timezone.now)
    """The last sign of life of the worker that has it."""
    worker = models.UUIDField(null=True)
    """Which worker has it: a new one each time it is taken up. What another writes is not taken."""
    takings = models.PositiveIntegerField(default=0)
    """How often a worker took it up since somebody asked for it."""
    cancel_asked = models.BooleanField(default=False)
    vps_was = models.CharField(max_length=12, choices=VpsStatus.choices, default=VpsStatus.INACTIVE, editable=False)
    """The status of the VPS when somebody asked for it."""
    reason = models.CharField(_("why it failed"), max_length=500, blank=True)

    class Meta:
        verbose_name = _("provisioning")
        verbose_name_plural = _("provisionings")
        ordering = ["-requested_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["place"], condition=models.Q(ended_at__isnull=True), name="one_provisioning_of_a_server"
            ),
            models.UniqueConstraint(
                fields=["rollout"], condition=models.Q(ended_at__isnull=True), name="one_upgrade_of_a_rollout"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.vps} · {self.requested_at:%Y-%m-%d %H:%M}"

    @property
    def state(self) -> RunStatus:
        return RunStatus(self.status)

    @property
    def is_over(self) -> bool:
        return self.ended_at is not None

    @property
    def what(self) -> RunKind:
        return RunKind(self.kind)

    @property
    def may_resume(self) -> bool:
        """The others take seconds and look at everything first: they are asked for anew."""
        return self.what is RunKind.PROVISION and self.state in (RunStatus.FAILED, RunStatus.CANCELLED)


class ProvisionStep(models.Model):
    """One step of it. `output` is bounded and free of secrets before it gets here."""

    run = models.ForeignKey(ProvisionRun, models.CASCADE, related_name="steps")
    name = models.CharField(max_length=40)
    title = models.CharField(max_length=120)
    position = models.PositiveIntegerField()
    status = models.CharField(max_length=10, choices=StepStatus.choices, default=StepStatus.WAITING)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    command = models.TextField(blank=True)
    """The one in hand, or the one that failed."""
    output = models.TextField(blank=True)
    note = models.CharField(max_length=500, blank=True)
    remedy = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["run", "name"], name="one_step_of_a_name")]

    def __str__(self) -> str:
        return self.title

    @property
    def state(self) -> StepStatus:
        return StepStatus(self.status)

    @property
    def seconds(self) -> float | None:
        """How long it took, or takes since."""
        if self.started_at is None:
            return None
        return ((self.ended_at or timezone.now()) - self.started_at).total_seconds()


class RedisUser(models.Model):
    """What the agent of a VPS signs in to Redis with: user `vps-{id}`. The row is what is wanted; `fleet.redis_users`
    makes Redis agree."""

    vps = models.OneToOneField(Vps, models.CASCADE, primary_key=True, related_name="redis_user")
    secret_id = models.UUIDField(default=uuid.uuid4, editable=False)
    sealed_password = models.TextField(editable=False)
    sealed_next_password = models.TextField(blank=True, editable=False)
    """While a password is being replaced: both are good until the agent uses this one."""
    cut_off_at = models.DateTimeField(_("cut off"), null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("Redis user of a VPS")
        verbose_name_plural = _("Redis users of VPSes")

    def __str__(self) -> str:
        return f"vps-{self.vps_id}"

    @property
    def _context(self) -> str:
        return f"fleet_redisuser.password.{self.secret_id}"

    def sealed(self, password: str) -> str:
        """Both columns have one context: the next password becomes the password by being copied."""
        return seal(password, self._context, settings.FIELD_KEYS)

    def passwords(self) -> list[str]:
        """All that are good, the one to be used last."""
        kept = [self.sealed_password, self.sealed_next_password]
        return [unseal(each, self._context, settings.FIELD_KEYS) for each in kept if each]


class EnrolmentState(TonedChoices):
    """Never stored: worked out from when what happened."""

    WAITING = "waiting", _("waiting for the server…")
    REGISTERED = "registered", _("registered, waiting for its first heartbeat…")
    DONE = "done", _("in the fleet")
    FAILED = "failed", _("failed")
    REVOKED = "revoked", _("revoked")
    EXPIRED = "expired", _("expired")

    @classmethod
    def tones(cls) -> dict[str, str]:
        return {"waiting": "info", "registered": "info", "done": "live", "failed": "danger", "expired": "warning"}

    @property
    def is_over(self) -> bool:
        return self not in (EnrolmentState.WAITING, EnrolmentState.REGISTERED)


class Enrolment(models.Model):
    """A server that adds itself, by a command with a token that is good once. `fleet.enrolling` alone writes."""

    token_digest = models.CharField(max_length=64, unique=True, editable=False)
    """SHA-256: whoever reads the database can use none."""
    name = models.CharField(_("name"), max_length=80, blank=True)
    region = models.CharField(_("region"), max_length=40, blank=True)
    max_streams = models.PositiveIntegerField(_("streams at most"), default=4, validators=[MinValueValidator(1)])
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", verbose_name=_("made by")
    )
    created_at = models.DateTimeField(_("made"), default=timezone.now)
    expires_at = models.DateTimeField(_("good until"))
    revoked_at = models.DateTimeField(_("revoked"), null=True)
    claimed_at = models.DateTimeField(_("registered"), null=True)
    claimed_from = models.GenericIPAddressField(_("from"), null=True)
    ended_at = models.DateTimeField(_("ended"), null=True)
    failure = models.CharField(_("why it failed"), max_length=500, blank=True)
    vps = models.ForeignKey(Vps, models.SET_NULL, null=True, related_name="enrolments", verbose_name=_("VPS"))

    class Meta:
        verbose_name = _("server added by a command")
        verbose_name_plural = _("servers added by a command")
        ordering = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return self.name or f"{self.created_at:%Y-%m-%d %H:%M}"

    def state(self, now: datetime | None = None) -> EnrolmentState:
        if self.revoked_at:
            return EnrolmentState.REVOKED
        if self.ended_at:
            return EnrolmentState.FAILED if self.failure else EnrolmentState.DONE
        if self.claimed_at:
            return EnrolmentState.REGISTERED
        is_over = self.expires_at <= (now or timezone.now())
        return EnrolmentState.EXPIRED if is_over else EnrolmentState.WAITING


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
