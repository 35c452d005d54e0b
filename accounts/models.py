"""Users, packages, sign-ins and the audit log."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from accounts.user_agents import browser_name

GIB = 1024**3


class VideoQuality(models.TextChoices):
    HD = "720p", _("720p")
    FULL_HD = "1080p", _("1080p")
    UHD = "4K", _("4K")
    UNLIMITED = "unlimited", _("unlimited")

    @property
    def max_short_side(self) -> int | None:
        """The largest allowed shorter side of a picture in pixels (so portrait counts like landscape)."""
        return {"720p": 720, "1080p": 1080, "4K": 2160}.get(self.value)


class PackageQuerySet(models.QuerySet["Package"]):
    def default(self) -> Package:
        """The package of users who have none."""
        return self.get(is_default=True)


class Package(models.Model):
    """A plan and its limits."""

    name = models.CharField(_("name"), max_length=60, unique=True)
    max_storage = models.BigIntegerField(_("storage (bytes)"), validators=[MinValueValidator(0)])
    max_concurrent_streams = models.PositiveIntegerField(_("streams on air at once"))
    max_video_quality = models.CharField(
        _("best quality"), max_length=12, choices=VideoQuality.choices, default=VideoQuality.FULL_HD
    )
    price = models.DecimalField(_("price"), max_digits=10, decimal_places=2, default=Decimal(0))
    features = models.JSONField(_("features"), default=dict, blank=True)
    is_default = models.BooleanField(_("given to users without a package"), default=False)

    objects = PackageQuerySet.as_manager()

    class Meta:
        verbose_name = _("package")
        verbose_name_plural = _("packages")
        ordering = ["price", "name"]
        constraints = [
            models.UniqueConstraint(
                fields=["is_default"], condition=models.Q(is_default=True), name="one_default_package"
            )
        ]

    def __str__(self) -> str:
        return self.name


class LowerCaseEmailField(models.EmailField):  # type: ignore[type-arg]
    """An e-mail that is stored, and looked up, in lower case by whatever road it comes."""

    def get_prep_value(self, value: Any) -> Any:
        prepared = super().get_prep_value(value)
        return prepared.strip().lower() if isinstance(prepared, str) else prepared


class UserManager(BaseUserManager["User"]):
    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email=username)

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save()
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractBaseUser, PermissionsMixin):
    """Somebody with a library and streams. `is_staff` makes an operator."""

    name = models.CharField(_("name"), max_length=120)
    email = LowerCaseEmailField(_("e-mail"), max_length=254, unique=True)
    email_verified_at = models.DateTimeField(_("e-mail verified"), null=True, blank=True)
    package = models.ForeignKey(
        Package,
        verbose_name=_("package"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="users",
    )
    storage_used = models.BigIntegerField(_("storage used (bytes)"), default=0, editable=False)
    storage_reserved = models.BigIntegerField(_("storage reserved by uploads"), default=0, editable=False)
    time_zone = models.CharField(_("time zone"), max_length=64, default="", blank=True)
    """An IANA name; empty until known, then what the browser said at the first sign-in or what was chosen."""
    is_active = models.BooleanField(_("active"), default=True)
    is_staff = models.BooleanField(_("operator"), default=False)
    date_joined = models.DateTimeField(_("joined"), auto_now_add=True)

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS = ["name"]

    objects = UserManager()

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")
        ordering = ["email"]
        constraints = [
            models.UniqueConstraint(
                Lower("email"), name="user_email_unique", violation_error_message=_("This e-mail is taken.")
            ),
            models.CheckConstraint(
                condition=models.Q(storage_used__gte=0, storage_reserved__gte=0), name="storage_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return str(self.email)

    def clean(self) -> None:
        super().clean()
        self.email = self.email.strip().lower()
        if not self.name.strip():
            raise ValidationError({"name": _("Please tell us your name.")})

    def get_short_name(self) -> str:
        return self.name.split(" ")[0] if self.name else str(self.email)

    @property
    def plan(self) -> Package:
        """The package in force: the user's own, else the default one."""
        return self.package or Package.objects.default()

    @property
    def storage_taken(self) -> int:
        """Bytes that count against the quota: stored and reserved."""
        return self.storage_used + self.storage_reserved


class SignIn(models.Model):
    """One attempt to log in that named a known account."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sign_ins")
    at = models.DateTimeField(_("at"), auto_now_add=True)
    address = models.GenericIPAddressField(_("address"), null=True)
    user_agent = models.CharField(_("browser"), max_length=300, blank=True)
    succeeded = models.BooleanField(_("succeeded"))

    class Meta:
        verbose_name = _("sign-in")
        verbose_name_plural = _("sign-ins")
        ordering = ["-at", "-id"]

    def __str__(self) -> str:
        return f"{self.user} {self.at:%Y-%m-%d %H:%M}"

    @property
    def browser(self) -> str:
        return browser_name(self.user_agent)


_DONE: Final = {
    "add destination": _("Added a destination to"), "admit to redis": _("Admitted to Redis"),
    "cancel provisioning": _("Cancelled the provisioning of"), "cancel upload": _("Cancelled the upload of"),
    "cancel upgrade of agents": _("Cancelled the upgrades to"),
    "change": _("Changed"), "change account": _("Changed the account"), "change password": _("Changed the password"),
    "check health": _("Checked the health of"), "clear schedule": _("Cleared the schedule of"),
    "confirm host key": _("Confirmed the host key of"), "create": _("Created"),
    "cut off from redis": _("Cut off from Redis"), "decommission": _("Decommissioned"), "delete": _("Deleted"),
    "disable": _("Switched off"), "duplicate": _("Copied to"), "enable": _("Switched on"),
    "enrol": _("Registered by a command"), "force stop": _("Force-stopped"),
    "forget host key": _("Forgot the host key of"), "insert": _("Inserted into"), "leave on air": _("Left on air"),
    "log in": _("Signed in"), "log out": _("Signed out"), "make default": _("Made the default"),
    "make enrolment": _("Made a command to add"), "miss window": _("Missed a window of"),
    "move": _("Moved an item of"), "move elsewhere": _("Moved to another VPS"), "provision": _("Provisioned"),
    "refresh": _("Read again"), "refuse scheduled start": _("Could not start as planned"),
    "register": _("Registered"), "remove": _("Took an item from"),
    "remove destination": _("Took a destination from"), "rename": _("Renamed"),
    "renew": _("Connected a destination anew of"), "restart agent": _("Restarted the agent of"),
    "resume provisioning": _("Resumed the provisioning of"),
    "reveal key": _("Looked at the key of"), "revoke enrolment": _("Revoked the command to add"),
    "rotate redis password": _("Changed the Redis password of"), "set active": _("Put into service"),
    "set draining": _("Drained"), "set inactive": _("Took out of service"), "set password": _("Set the password of"),
    "set schedule": _("Set the schedule of"), "start": _("Started"), "steer": _("Steered"), "stop": _("Stopped"),
    "switch off": _("Switched off"), "switch on": _("Switched on"), "test": _("Tested"),
    "test connection": _("Tested the connection to"), "try now": _("Tried at once"),
    "upgrade agent": _("Upgraded the agent of"), "upgrade agents": _("Upgraded the agents to"), "upload": _("Uploaded"),
    "verify e-mail": _("Confirmed the e-mail of"),
}  # fmt: skip


def done_words() -> list[tuple[str, str]]:
    """Every verb that is written, with its words, by these."""
    return sorted(((verb, str(words)) for verb, words in _DONE.items()), key=lambda each: each[1])


class AuditEntry(models.Model):
    """Who did what to which object, from where. Written by `accounts.audit.record`, never changed."""

    at = models.DateTimeField(_("at"), auto_now_add=True, db_index=True)
    actor = models.ForeignKey(
        User, verbose_name=_("who"), null=True, on_delete=models.SET_NULL, related_name="audit_entries"
    )
    actor_email = models.CharField(max_length=254, blank=True)
    verb = models.CharField(_("did"), max_length=60)
    target_type = models.CharField(_("to a"), max_length=60)
    target_id = models.CharField(_("id"), max_length=60)
    target_name = models.CharField(_("named"), max_length=300, blank=True)
    address = models.GenericIPAddressField(_("from"), null=True)
    details = models.JSONField(_("details"), default=dict, blank=True)

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit log")
        ordering = ["-at", "-id"]
        indexes = [models.Index(fields=["target_type", "target_id"], name="audit_target")]

    def __str__(self) -> str:
        return f"{self.actor_email} {self.verb} {self.target_type} {self.target_id}"

    @property
    def done(self) -> str:
        """What was done, to be read before the object's name."""
        return str(_DONE.get(self.verb, self.verb.capitalize()))


class UsageReport(models.Model):
    """What somebody used in one week, from Sunday to Sunday in UTC (ACC-7). Written once by `ops.usage`."""

    LENGTH: Final = timedelta(days=7)

    user = models.ForeignKey(User, verbose_name=_("user"), on_delete=models.CASCADE, related_name="usage_reports")
    starts_on = models.DateField(_("week from"), db_index=True)
    streamed_s = models.BigIntegerField(_("on air (s)"), default=0)
    wanted_s = models.BigIntegerField(_("wanted on air (s)"), default=0)
    bytes_stored = models.BigIntegerField(_("stored (bytes)"), default=0)
    """When the report was made."""
    bytes_sent = models.BigIntegerField(_("sent (bytes)"), default=0)
    runs = models.PositiveIntegerField(_("runs"), default=0)
    failures = models.PositiveIntegerField(_("failures"), default=0)
    streams = models.JSONField(_("streams"), default=list)
    """The same figures of each stream, as `accounts.reports.StreamUsage`; titles as they were."""
    counted = models.JSONField(default=dict, editable=False)
    """Of runs that went on: the bytes that reports up to this one have counted."""
    created_at = models.DateTimeField(_("made"), auto_now_add=True)

    class Meta:
        verbose_name = _("usage report")
        verbose_name_plural = _("usage reports")
        ordering = ["-starts_on", "user__email"]
        constraints = [models.UniqueConstraint(fields=["user", "starts_on"], name="usage_report_once")]

    def __str__(self) -> str:
        return f"{self.user} {self.starts_on}"

    @property
    def uptime(self) -> float | None:
        """Percent of the time its streams were wanted on air that they were."""
        return round(min(100.0, self.streamed_s * 100 / self.wanted_s), 2) if self.wanted_s else None

    @property
    def last_day(self) -> date:
        return self.starts_on + self.LENGTH - timedelta(days=1)

    @property
    def ends_at(self) -> datetime:
        return datetime.combine(self.starts_on + self.LENGTH, time(), UTC)
