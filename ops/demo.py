"""The demo of `bin/dev`: two people, three clips from FFmpeg's sources, one channel on air. Safe to repeat."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.conf import settings
from django.utils import timezone

from accounts.models import Package, User
from media_library import actions as library
from media_library.models import VideoFile
from streams import actions
from streams.models import Stream
from streams.spec import DestinationSpec, OutputSpec, StreamSpec, videos

USER: Final = "demo@example.com"
OPERATOR: Final = "operator@example.com"
CHANNEL: Final = "Demo channel"


@dataclass(frozen=True, slots=True)
class Clip:
    title: str
    picture: str
    tone_hz: int


CLIPS: Final = (
    Clip("Test card", "testsrc2=s=854x480:r=30", 440),
    Clip("Colour bars", "smptehdbars=s=854x480:r=30", 554),
    Clip("Deep zoom", "mandelbrot=s=854x480:r=30:maxiter=400", 659),
)


def people() -> list[dict[str, str]]:
    """Makes the demo's user and operator; returns their roles, e-mails and passwords."""
    passwords = _passwords()
    user = _person(USER, "Demo User", passwords["user"], is_staff=False)
    _person(OPERATOR, "Demo Operator", passwords["operator"], is_staff=True)
    User.objects.filter(pk=user.pk, package=None).update(package=Package.objects.get(name="Premium"))
    return [
        {"role": "User", "email": USER, "password": passwords["user"]},
        {"role": "Operator", "email": OPERATOR, "password": passwords["operator"]},
    ]


def channel(ingest_urls: list[str], clip_seconds: int) -> Stream:
    """The demo user's channel, its destinations pointed at `ingest_urls` (their ports are new at each start)."""
    user = User.objects.get(email=USER)
    outputs = tuple(_output(user, url) for url in ingest_urls)
    existing = Stream.objects.of(user).filter(title=CHANNEL).first()
    if existing:
        return existing
    items = videos(_file(user, clip, clip_seconds).pk for clip in CLIPS)
    spec = StreamSpec(title=CHANNEL, items=items, outputs=outputs, keep_files_after_stop=True)
    return actions.create(user, spec, actor=user)


def start(stream: Stream) -> None:
    if stream.state.is_resting:
        actions.start(stream, actor=stream.owner)


def _passwords() -> dict[str, str]:
    """Made once and kept (0600), so that the second start prints the same."""
    path = Path(settings.VAR_DIR) / "demo.json"
    if not path.exists():
        made = {"user": secrets.token_urlsafe(9), "operator": secrets.token_urlsafe(9)}
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(made, file)
    kept: dict[str, str] = json.loads(path.read_text())
    return kept


def _person(email: str, name: str, password: str, *, is_staff: bool) -> User:
    existing = User.objects.filter(email=email).first()
    if existing:
        return existing
    return User.objects.create_user(email, password, name=name, is_staff=is_staff, is_superuser=is_staff)


def _output(user: User, url: str) -> OutputSpec:
    app = url.rpartition("/")[2]
    name = f"Demo {app}"
    existing = user.destinations.filter(name=name, deleted_at=None).first()
    if existing and existing.url == url:
        return OutputSpec(existing.pk)
    spec = DestinationSpec(platform="custom", name=name, url=url, key="channel-1")
    return OutputSpec(actions.save_destination(user, spec, actor=user, destination=existing).pk)


def _file(user: User, clip: Clip, seconds: int) -> VideoFile:
    existing = VideoFile.objects.of(user).playable().filter(title=clip.title).first()
    return existing or _uploaded(user, _made(clip, seconds))


def _uploaded(user: User, path: Path) -> VideoFile:
    """Through the same door as everybody's uploads, but processed here and now instead of by the worker."""
    now = timezone.now()
    size = path.stat().st_size
    upload = library.create_upload(user, path.name, size, now)
    with path.open("rb") as content:
        library.receive(upload, 0, content, size, now)
    library.process(upload.file_id)
    return VideoFile.objects.get(pk=upload.file_id)


def _made(clip: Clip, seconds: int) -> Path:
    folder = Path(settings.VAR_DIR) / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{clip.title}.mp4"
    video = ["-f", "lavfi", "-i", clip.picture]
    audio = ["-f", "lavfi", "-i", f"sine=frequency={clip.tone_hz}:sample_rate=44100"]
    x264 = ["-c:v", "libx264", "-preset", "superfast", "-pix_fmt", "yuv420p", "-g", "60", "-b:v", "1500k"]
    aac = ["-af", "volume=0.2", "-c:a", "aac", "-b:a", "128k", "-ac", "2"]
    out = [*x264, *aac, "-t", str(seconds), "-movflags", "+faststart", str(path)]
    subprocess.run([settings.FFMPEG, "-v", "error", "-nostdin", "-y", *video, *audio, *out], check=True)
    return path
