"""Video files and the uploads they come from."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from kit.choices import TonedChoices


class FileStatus(TonedChoices):
    UPLOADING = "uploading", _("uploading")
    PROCESSING = "processing", _("processing")
    COMPLETED = "completed", _("ready")
    FAILED = "failed", _("failed")

    @classmethod
    def tones(cls) -> dict[str, str]:
        return {"uploading": "info", "processing": "info", "completed": "live", "failed": "danger"}


class VideoFileQuerySet(models.QuerySet["VideoFile"]):
    def of(self, user: User) -> VideoFileQuerySet:
        return self.filter(owner=user)

    def playable(self) -> VideoFileQuerySet:
        """What may go into a playlist."""
        return self.filter(status=FileStatus.COMPLETED)


class VideoFile(models.Model):
    """A video of a user. `size` counts against the quota: reserved while uploading, used once completed."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="video_files")
    title = models.CharField(_("title"), max_length=255)
    original_name = models.CharField(_("uploaded as"), max_length=255)
    stored_name = models.CharField(_("stored as"), max_length=400, unique=True)
    disk = models.CharField(_("storage"), max_length=12, default="local")
    size = models.BigIntegerField(_("size"))
    sha256 = models.CharField(max_length=64, blank=True)
    status = models.CharField(
        _("status"), max_length=12, choices=FileStatus.choices, default=FileStatus.UPLOADING, db_index=True
    )
    failure_reason = models.CharField(_("what went wrong"), max_length=500, blank=True)
    created_at = models.DateTimeField(_("uploaded"), auto_now_add=True)
    processed_at = models.DateTimeField(null=True, blank=True)

    duration_s = models.FloatField(_("duration"), null=True, blank=True)
    width = models.PositiveIntegerField(_("width"), null=True, blank=True)
    height = models.PositiveIntegerField(_("height"), null=True, blank=True)
    bitrate_kbps = models.PositiveIntegerField(_("bitrate"), null=True, blank=True)
    frame_rate = models.FloatField(_("frame rate"), null=True, blank=True)
    is_variable_rate = models.BooleanField(default=False)
    video_codec = models.CharField(_("video"), max_length=30, blank=True)
    pixel_format = models.CharField(max_length=30, blank=True)
    key_frame_interval_s = models.FloatField(_("key frames every"), null=True, blank=True)
    audio_codec = models.CharField(_("audio"), max_length=30, blank=True)
    sample_rate = models.PositiveIntegerField(null=True, blank=True)
    audio_channels = models.PositiveIntegerField(null=True, blank=True)
    thumbnail = models.CharField(max_length=400, blank=True)
    """Name of the picture in the storage; empty while there is none."""

    objects = VideoFileQuerySet.as_manager()

    class Meta:
        verbose_name = _("video file")
        verbose_name_plural = _("video files")
        ordering = ["-created_at", "-id"]
        indexes = [models.Index(fields=["owner", "-created_at"], name="file_owner_newest")]

    def __str__(self) -> str:
        return self.title

    @property
    def state(self) -> FileStatus:
        return FileStatus(self.status)

    @property
    def is_in_flight(self) -> bool:
        """Whether its state will change by itself."""
        return self.state in (FileStatus.UPLOADING, FileStatus.PROCESSING) or self.is_refreshing

    @property
    def is_refreshing(self) -> bool:
        return self.state is FileStatus.COMPLETED and self.processed_at is None

    @property
    def resolution(self) -> str:
        return f"{self.width}×{self.height}" if self.width and self.height else ""


PAUSED_AFTER = timedelta(minutes=2)


class Upload(models.Model):
    """A tus upload in flight. Its bytes grow in UPLOAD_DIR/{id}; its size is reserved in the quota."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="uploads")
    file = models.OneToOneField(VideoFile, on_delete=models.CASCADE, related_name="upload")
    length = models.BigIntegerField()
    offset = models.BigIntegerField(default=0)
    last_modified = models.BigIntegerField(null=True)
    """The file's own date in ms since 1970, by the browser: picked again, the same file goes on."""
    created_at = models.DateTimeField(auto_now_add=True)
    touched_at = models.DateTimeField(auto_now=True, db_index=True)

    class Meta:
        verbose_name = _("upload")
        verbose_name_plural = _("uploads")

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def is_waiting(self) -> bool:
        """Whether no window seems to send it: a chunk takes about a minute on a slow line (1 Mbit/s)."""
        return timezone.now() - self.touched_at > PAUSED_AFTER

    @property
    def percent(self) -> int:
        return self.offset * 100 // self.length


class Deletion(models.Model):
    """Bytes that must still go from the storage: the row outlives a failing storage and is tried again."""

    stored_name = models.CharField(max_length=400)
    disk = models.CharField(max_length=12, default="local")
    created_at = models.DateTimeField(auto_now_add=True)
    tries = models.PositiveIntegerField(default=0)
    last_error = models.CharField(max_length=500, blank=True)

    class Meta:
        verbose_name = _("pending deletion")
        verbose_name_plural = _("pending deletions")

    def __str__(self) -> str:
        return self.stored_name
