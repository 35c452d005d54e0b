"""Streams, their playlists and destinations, and the runs in which they are on air.

`Stream.status` has one writer: `streams.lifecycle`. What a stream is doing at this moment beyond its status
(reconnecting, hanging, position, bitrate) is computed from the run's last report, never stored as a state.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from fleet.models import Vps
from kit.choices import TonedChoices
from kit.crypto import seal, unseal
from media_library.models import VideoFile

LONGEST_BROADCAST_H: Final = 168


class Status(TonedChoices):
    INACTIVE = "INACTIVE", _("off air")
    STARTING = "STARTING", _("starting")
    STREAMING = "STREAMING", _("on air")
    STOPPING = "STOPPING", _("stopping")
    ERROR = "ERROR", _("failed")

    @classmethod
    def tones(cls) -> dict[str, str]:
        return {"STARTING": "info", "STREAMING": "live", "STOPPING": "warning", "ERROR": "danger"}

    @property
    def is_resting(self) -> bool:
        return self in (Status.INACTIVE, Status.ERROR)


ON_AIR: Final = tuple(status for status in Status if not status.is_resting)
"""What holds or is about to hold a VPS."""


class Order(models.TextChoices):
    SEQUENTIAL = "sequential", _("in order")
    RANDOM = "random", _("shuffled")


class Platform(models.TextChoices):
    YOUTUBE = "youtube", "YouTube"
    TWITCH = "twitch", "Twitch"
    FACEBOOK = "facebook", "Facebook"
    KICK = "kick", "Kick"
    TROVO = "trovo", "Trovo"
    CUSTOM = "custom", _("Other RTMP server")


class Via(models.TextChoices):
    """How a destination is pushed (`agent.protocol.VIAS`)."""

    NATIVE = "native", _("EZStream's own client")
    FFMPEG = "ffmpeg", _("FFmpeg")
    NGINX = "nginx", _("nginx on the VPS")


class DestinationState(TonedChoices):
    """What a destination is doing now, by its agent's word (`agent.protocol.DestinationState.state`)."""

    CONNECTING = "connecting", _("connecting")
    LIVE = "live", _("live")
    RECONNECTING = "reconnecting", _("reconnecting")
    RENEWING = "renewing", _("renewing")
    REFUSED = "refused", _("refused")
    FAILED = "failed", _("failed")
    DISABLED = "disabled", _("switched off")
    IDLE = "idle", _("off air")

    @classmethod
    def tones(cls) -> dict[str, str]:
        return {
            "connecting": "info",
            "live": "live",
            "reconnecting": "warning",
            "renewing": "info",
            "refused": "danger",
            "failed": "danger",
        }


class StreamQuerySet(models.QuerySet["Stream"]):
    def of(self, user: User) -> StreamQuerySet:
        return self.filter(owner=user)

    def on_air(self) -> StreamQuerySet:
        """Counted against `max_concurrent_streams`."""
        return self.filter(status__in=ON_AIR)


class Stream(models.Model):
    """What a user configures and starts."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="streams")
    title = models.CharField(_("title"), max_length=255)
    description = models.TextField(_("description"), blank=True)
    loop = models.BooleanField(_("start over at the end"), default=True)
    order = models.CharField(_("order"), max_length=12, choices=Order.choices, default=Order.SEQUENTIAL)
    keep_files_after_stop = models.BooleanField(_("keep files on the VPS after stopping"), default=False)
    preferred_vps = models.ForeignKey(
        Vps, verbose_name=_("preferred VPS"), null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    files = models.ManyToManyField(VideoFile, through="PlaylistItem", related_name="streams")
    slate_clip = models.ForeignKey(
        VideoFile, verbose_name=_("clip"), null=True, blank=True, on_delete=models.PROTECT, related_name="slate_of"
    )
    """Plays whenever nothing else can; None: the picture, or the slate that is made by itself (EDGE-5)."""
    max_restarts = models.PositiveSmallIntegerField(
        _("tries to bring it back on air"), default=30, validators=[MaxValueValidator(1000)]
    )
    """In a row (STR-13): 30 take about an hour."""
    restart_every_h = models.PositiveSmallIntegerField(
        _("planned restart every (h)"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(LONGEST_BROADCAST_H)],
    )
    """All of it begins anew after so long at most, at an item's end; None: never."""
    status = models.CharField(
        _("status"), max_length=12, choices=Status.choices, default=Status.INACTIVE, editable=False, db_index=True
    )
    status_since = models.DateTimeField(default=timezone.now, editable=False)
    failure_reason = models.CharField(_("what went wrong"), max_length=500, blank=True, editable=False)
    run = models.ForeignKey("Run", null=True, editable=False, on_delete=models.SET_NULL, related_name="+")
    """The current run, or the last one."""
    last_started_at = models.DateTimeField(null=True, editable=False)
    last_stopped_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = StreamQuerySet.as_manager()

    class Meta:
        verbose_name = _("stream")
        verbose_name_plural = _("streams")
        ordering = ["-created_at", "-id"]
        indexes = [models.Index(fields=["owner", "-created_at"], name="stream_owner_newest")]

    def __str__(self) -> str:
        return self.title

    @property
    def state(self) -> Status:
        return Status(self.status)


class SlatePicture(models.Model):
    """A picture of the owner's, shown whenever nothing else can play."""

    stream = models.OneToOneField(Stream, on_delete=models.CASCADE, related_name="slate_picture")
    disk = models.CharField(max_length=12, default="local")
    stored_name = models.CharField(max_length=400, unique=True)
    original_name = models.CharField(max_length=255)
    size = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.original_name


class LiveInputQuerySet(models.QuerySet["LiveInput"]):
    def of(self, user: User) -> LiveInputQuerySet:
        return self.filter(owner=user)


class LiveInput(models.Model):
    """An RTMP or HLS address that may stand in playlists. It may hold a key, so it is sealed."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="live_inputs")
    name = models.CharField(_("name"), max_length=80)
    secret_id = models.UUIDField(default=uuid.uuid4, editable=False)
    sealed_url = models.TextField(editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = LiveInputQuerySet.as_manager()

    class Meta:
        verbose_name = _("live input")
        verbose_name_plural = _("live inputs")
        ordering = ["name", "id"]

    def __str__(self) -> str:
        return self.name

    @property
    def _context(self) -> str:
        return f"streams_liveinput.url.{self.secret_id}"

    def set_url(self, url: str) -> None:
        self.sealed_url = seal(url, self._context, settings.FIELD_KEYS)

    def url(self) -> str:
        """The clear address. For the wire to the agent, nothing else."""
        return unseal(self.sealed_url, self._context, settings.FIELD_KEYS)


class PlaylistItem(models.Model):
    """One place in a playlist: a file or a live input. Either may stand in it more than once."""

    stream = models.ForeignKey(Stream, on_delete=models.CASCADE, related_name="items")
    file = models.ForeignKey(VideoFile, null=True, on_delete=models.PROTECT, related_name="playlist_items")
    live = models.ForeignKey(LiveInput, null=True, on_delete=models.PROTECT, related_name="playlist_items")
    position = models.PositiveIntegerField()

    @property
    def title(self) -> str:
        source = self.file.title if self.file else self.live.name if self.live else ""
        return str(source)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(
                fields=["stream", "position"],
                name="playlist_position_unique",
                deferrable=models.Deferrable.DEFERRED,
            ),
            models.CheckConstraint(
                condition=models.Q(file__isnull=False) ^ models.Q(live__isnull=False),
                name="playlist_item_file_or_live",
            ),
        ]


class DestinationQuerySet(models.QuerySet["Destination"]):
    def of(self, user: User) -> DestinationQuerySet:
        return self.filter(owner=user, deleted_at__isnull=True)


class Destination(models.Model):
    """One platform's ingest, reusable by several streams. The key is sealed and write-only."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="destinations")
    platform = models.CharField(_("platform"), max_length=12, choices=Platform.choices, default=Platform.CUSTOM)
    name = models.CharField(_("name"), max_length=80)
    url = models.CharField(_("server URL"), max_length=500)
    via = models.CharField(_("pushed by"), max_length=8, choices=Via.choices, default=Via.NATIVE)
    renew_every_h = models.PositiveSmallIntegerField(
        _("renewed every (h)"), null=True, blank=True, validators=[MaxValueValidator(LONGEST_BROADCAST_H)]
    )
    """The longest that one broadcast there gets (EDGE-3); None: what its platform allows, 0: as long as it likes."""
    secret_id = models.UUIDField(default=uuid.uuid4, editable=False)
    sealed_key = models.TextField(editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = DestinationQuerySet.as_manager()

    class Meta:
        verbose_name = _("destination")
        verbose_name_plural = _("destinations")
        ordering = ["name", "id"]

    def __str__(self) -> str:
        return self.name

    @property
    def _context(self) -> str:
        return f"streams_destination.key.{self.secret_id}"

    def set_key(self, key: str) -> None:
        self.sealed_key = seal(key, self._context, settings.FIELD_KEYS)

    def key(self) -> str:
        """The clear key. For the wire to the agent and the audited reveal, nothing else."""
        return unseal(self.sealed_key, self._context, settings.FIELD_KEYS)


class StreamDestination(models.Model):
    """A destination chosen for a stream. Its id is what agents report states under."""

    stream = models.ForeignKey(Stream, on_delete=models.CASCADE, related_name="outputs")
    destination = models.ForeignKey(Destination, on_delete=models.PROTECT, related_name="outputs")
    enabled = models.BooleanField(_("enabled"), default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["stream", "destination"], name="stream_destination_once")]


class EndReason(TonedChoices):
    STOPPED = "stopped", _("stopped")
    FINISHED = "finished", _("played to the end")
    FAILED = "failed", _("failed")
    NO_VPS = "no_vps", _("no VPS was free")
    SILENT = "silent", _("the VPS did not answer")
    LOST = "lost", _("the VPS was lost")
    SUPERSEDED = "superseded", _("a newer start took over")

    @classmethod
    def tones(cls) -> dict[str, str]:
        return {"failed": "danger", "no_vps": "danger", "silent": "warning", "lost": "danger"}


class RunQuerySet(models.QuerySet["Run"]):
    def holding(self) -> RunQuerySet:
        """Runs that hold a slot on a VPS."""
        return self.filter(vps__isnull=False, slot_released_at__isnull=True)

    def leaving(self) -> RunQuerySet:
        """Runs that are on the way to another VPS (`streams.moving`): they hold a slot where they come from, too."""
        return self.filter(moved_at__isnull=False, commanded_at__isnull=True, ended_at__isnull=True)


class Run(models.Model):
    """One stretch of a stream being on air. The VPS slot belongs to it, so a VPS's load is a count."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    stream = models.ForeignKey(Stream, on_delete=models.CASCADE, related_name="runs")
    vps = models.ForeignKey(Vps, null=True, on_delete=models.PROTECT, related_name="runs")
    epoch = models.PositiveIntegerField(default=1)
    """Goes up when the run moves to another VPS: an agent with an older one stops pushing."""
    requested_at = models.DateTimeField(auto_now_add=True)
    commanded_at = models.DateTimeField(null=True)
    tries = models.PositiveIntegerField(default=0)
    """How often it was interrupted since it was last on air for long (`streams.restart`)."""
    retry_at = models.DateTimeField(null=True)
    """Interrupted: when it is to be started again. None once that has been commanded."""
    left_vps = models.ForeignKey(Vps, null=True, on_delete=models.SET_NULL, related_name="left_runs")
    """Where it was interrupted last, or moved away from: it is put elsewhere if it can be."""
    moved_at = models.DateTimeField(null=True)
    """Told to leave `left_vps` for `vps` then; None once it is on air there."""
    tested_vps = models.ForeignKey(Vps, null=True, on_delete=models.SET_NULL, related_name="+")
    """An operator starts it on this one, to test it. Once it was interrupted it goes wherever it can."""
    interruption = models.CharField(max_length=500, blank=True)
    """Why, in words, until it is on air again."""
    first_item_id = models.PositiveBigIntegerField(null=True)
    """The playlist item it begins with: the one it was interrupted at."""
    first_position_s = models.FloatField(default=0.0)
    """How far into it."""
    fingerprint = models.CharField(max_length=16, blank=True)
    """Of the configuration last commanded: an agent that reports another has missed a change."""
    on_air_at = models.DateTimeField(null=True)
    live_since = models.DateTimeField(null=True)
    """On air since then without an interruption; None while it is not."""
    ended_at = models.DateTimeField(null=True)
    slot_released_at = models.DateTimeField(null=True)
    end_reason = models.CharField(max_length=12, choices=EndReason.choices, blank=True)
    end_message = models.CharField(max_length=500, blank=True)
    choice = models.JSONField(default=dict, blank=True)
    """Why this VPS: the scores of all candidates (FLT-2)."""
    report = models.JSONField(null=True)
    """The agent's last `RunReport`, and `reported_at` when it came."""
    reported_at = models.DateTimeField(null=True)
    reconnects = models.PositiveIntegerField(default=0)
    log_tail = models.JSONField(default=list, blank=True)

    objects = RunQuerySet.as_manager()

    class Meta:
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        ordering = ["-requested_at"]
        indexes = [
            models.Index(fields=["vps"], condition=models.Q(slot_released_at=None), name="run_slots_held"),
            models.Index(fields=["stream", "-requested_at"], name="run_stream_newest"),
            models.Index(fields=["-requested_at"], name="run_newest"),
            models.Index(
                fields=["ended_at", "vps", "on_air_at"], condition=models.Q(ended_at__isnull=False), name="run_history"
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def is_leaving(self) -> bool:
        """As `RunQuerySet.leaving`."""
        return self.moved_at is not None and self.commanded_at is None and self.ended_at is None

    @property
    def reason(self) -> EndReason | None:
        return EndReason(self.end_reason) if self.end_reason else None

    def duration(self, now: datetime | None = None) -> timedelta:
        """Time on air: zero until the first byte was accepted somewhere."""
        if self.on_air_at is None:
            return timedelta()
        return (self.ended_at or now or timezone.now()) - self.on_air_at


class Transition(models.Model):
    """One change of a stream's status: timeline, statistics and outbox at once."""

    stream = models.ForeignKey(Stream, on_delete=models.CASCADE, related_name="transitions")
    run = models.ForeignKey(Run, null=True, on_delete=models.SET_NULL, related_name="transitions")
    event = models.CharField(max_length=24)
    old = models.CharField(max_length=12, choices=Status.choices)
    new = models.CharField(max_length=12, choices=Status.choices)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    message = models.CharField(max_length=500, blank=True)
    at = models.DateTimeField(default=timezone.now, db_index=True)
    vps = models.ForeignKey("fleet.Vps", null=True, on_delete=models.SET_NULL, related_name="+")
    """Where its run was: a run moves, what happened stays there."""
    heard_at = models.DateTimeField(null=True)
    """It ended in silence: when the run was last heard of. What was on air since then nobody can say."""

    class Meta:
        verbose_name = _("transition")
        verbose_name_plural = _("transitions")
        ordering = ["-at", "-id"]
        indexes = [models.Index(fields=["stream", "-at"], name="transition_stream_newest")]

    @property
    def state(self) -> Status:
        return Status(self.new)


class RunEvent(models.Model):
    """What happened on air beyond the stream's status: the rest of its timeline. Written once, never changed."""

    class Kind(models.TextChoices):
        DESTINATION = "destination", _("a destination changed its state")
        SKIPPED = "skipped", _("an item was skipped")
        SLATE = "slate", _("the slate came or went")
        INPUT = "input", _("a live input came or went")
        STEERED = "steered", _("somebody steered")
        RESTARTED = "restarted", _("the playout was started again")
        RENEWED = "renewed", _("a destination was connected anew")

    stream = models.ForeignKey(Stream, on_delete=models.CASCADE, related_name="events")
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="events")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    facts = models.JSONField(default=dict)
    """By kind; see `streams.happenings`. Holds no secrets."""
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("event of a run")
        verbose_name_plural = _("events of runs")
        ordering = ["-at", "-id"]
        indexes = [
            models.Index(fields=["stream", "-at"], name="runevent_stream_newest"),
            models.Index(fields=["run", "-at"], name="runevent_run_newest"),
        ]


class Progress(models.Model):
    """Where a start has got to (STR-7). The newest row of a run counts; old ones are deleted after a week."""

    stream = models.ForeignKey(Stream, on_delete=models.CASCADE, related_name="progress_rows")
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="progress_rows")
    stage = models.CharField(max_length=20)
    percent = models.PositiveSmallIntegerField()
    message = models.CharField(max_length=300)
    at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [models.Index(fields=["stream", "-at"], name="progress_stream_newest")]


class Schedule(models.Model):
    """When a stream is wanted on air by the clock: rules in wall-clock time of one zone (`streams.schedule_spec`)."""

    stream = models.OneToOneField(Stream, on_delete=models.CASCADE, related_name="schedule")
    zone = models.CharField(_("time zone"), max_length=64)
    rules = models.JSONField(default=list)
    is_on = models.BooleanField(_("on"), default=True)
    seen_at = models.DateTimeField(default=timezone.now, editable=False)
    """Every window that began up to here has been dealt with."""
    look_at = models.DateTimeField(_("next look"), null=True, editable=False, db_index=True)
    """When there is something to do next; None: never again."""
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("schedule")
        verbose_name_plural = _("schedules")
        ordering = ["id"]

    def __str__(self) -> str:
        return str(self.stream)


class OccurrenceState(TonedChoices):
    WAITING = "waiting", _("not started yet")
    STARTED = "started", _("went on air")
    BY_HAND = "by_hand", _("was on air by hand")
    OVERRULED = "overruled", _("stopped by hand")
    MISSED = "missed", _("missed")

    @classmethod
    def tones(cls) -> dict[str, str]:
        return {"waiting": "warning", "by_hand": "info", "overruled": "info", "missed": "danger"}


class Occurrence(models.Model):
    """A window of a stream's schedule that opened. Its turn is taken once: the row is what schedulers race for."""

    stream = models.ForeignKey(Stream, on_delete=models.CASCADE, related_name="occurrences")
    starts_at = models.DateTimeField(_("from"))
    ends_at = models.DateTimeField(_("to"))
    state = models.CharField(
        _("what came of it"), max_length=12, choices=OccurrenceState.choices, default=OccurrenceState.WAITING
    )
    run = models.ForeignKey(Run, null=True, on_delete=models.SET_NULL, related_name="+")
    """What it put on air, or found there and took over."""
    note = models.CharField(_("note"), max_length=500, blank=True)
    closed_at = models.DateTimeField(_("closed"), null=True)
    """When its end was dealt with; None while it is open."""

    class Meta:
        verbose_name = _("window of a schedule")
        verbose_name_plural = _("windows of schedules")
        ordering = ["-starts_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["stream", "starts_at"], name="occurrence_once"),
            models.UniqueConstraint(fields=["stream"], condition=models.Q(closed_at=None), name="occurrence_one_open"),
            models.CheckConstraint(condition=models.Q(ends_at__gt=models.F("starts_at")), name="occurrence_has_length"),
        ]

    @property
    def what_came(self) -> OccurrenceState:
        return OccurrenceState(self.state)
