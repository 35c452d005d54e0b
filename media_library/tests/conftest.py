"""A library of its own for every test, and a way to upload into it."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from media_library import actions
from media_library.models import Upload, VideoFile
from media_library.tests import clips


@pytest.fixture(autouse=True)
def library(settings, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT, settings.UPLOAD_DIR = tmp_path / "media", tmp_path / "uploads"
    settings.MEDIA_ROOT.mkdir()
    settings.UPLOAD_DIR.mkdir()
    return tmp_path


@pytest.fixture(scope="session")
def clip(tmp_path_factory) -> Path:
    """2 s of 320×180 H.264 with sound, its index at the end."""
    return clips.make_clip(tmp_path_factory.mktemp("clip") / "holiday.mp4")


class Tus:
    """A tus client on Django's test client."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def create(self, name: str, length: int, **headers: str):
        meta = f"filename {base64.b64encode(name.encode()).decode()},filetype dmlkZW8vbXA0,lastmodified MTIz"
        sent = {"Tus-Resumable": "1.0.0", "Upload-Length": str(length), "Upload-Metadata": meta, **headers}
        return self.client.post(reverse("library:upload"), headers=sent, content_type="application/octet-stream")

    def patch(self, url: str, offset: int, data: bytes, **headers: str):
        sent = {"Tus-Resumable": "1.0.0", "Upload-Offset": str(offset), **headers}
        return self.client.patch(url, data, content_type="application/offset+octet-stream", headers=sent)

    def head(self, url: str):
        return self.client.head(url, headers={"Tus-Resumable": "1.0.0"})

    def delete(self, url: str):
        return self.client.delete(url, headers={"Tus-Resumable": "1.0.0"})

    def begin(self, name: str = "holiday.mp4", length: int = 1000) -> str:
        return self.create(name, length)["Location"]

    def send(self, data: bytes, name: str = "holiday.mp4") -> VideoFile:
        """A whole file in one chunk; it is `processing` then."""
        url = self.begin(name, len(data))
        assert self.patch(url, 0, data).status_code == 204
        return upload_at(url).file


def upload_at(url: str) -> Upload:
    return Upload.objects.get(pk=url.rstrip("/").rsplit("/", 1)[1])


@pytest.fixture
def tus(client_of, alice) -> Tus:
    return Tus(client_of(alice))


@pytest.fixture
def ready(tus: Tus, clip: Path) -> VideoFile:
    """A file of alice's, uploaded and processed."""
    file = tus.send(clip.read_bytes())
    actions.process(file.pk)
    file.refresh_from_db()
    return file
