"""Deleting a user from the console: everything of theirs goes, bytes too, or nothing with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from accounts.models import AuditEntry, User
from media_library.models import Deletion, FileStatus, VideoFile
from streams.models import Destination, Status, Stream
from streams.tests import build

URL = "/admin/accounts/user/"


@pytest.fixture
def bytes_of(settings, tmp_path: Path):
    settings.MEDIA_ROOT, settings.UPLOAD_DIR = tmp_path / "media", tmp_path / "uploads"

    def write(file: VideoFile) -> Path:
        path = settings.MEDIA_ROOT / file.stored_name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"video")
        return path

    return write


def test_all_that_is_theirs_goes(client_of, operator, alice, bytes_of, django_capture_on_commit_callbacks):
    stream = build.stream(alice)
    kept = build.file(alice, status=FileStatus.FAILED)
    paths = [bytes_of(item.file) for item in stream.items.all()]
    User.objects.filter(pk=alice.pk).update(storage_used=1000 * len(paths))
    console, url = client_of(operator), f"{URL}{alice.pk}/delete/"
    assert "Streams: 1" in console.get(url).content.decode()
    with django_capture_on_commit_callbacks(execute=True):
        assert console.post(url, {"post": "yes"}).status_code == 302
    assert not User.objects.filter(pk=alice.pk).exists()
    assert not VideoFile.objects.filter(pk=kept.pk).exists()
    assert (Stream.objects.count(), Destination.objects.count(), Deletion.objects.count()) == (0, 0, 0)
    assert paths
    assert not any(path.exists() for path in paths)
    assert AuditEntry.objects.filter(verb="delete", target_name=alice.email).count() == 1


def test_refused_with_words_while_on_air(client_of, operator, alice):
    stream = build.stream(alice, title="Morning loop")
    Stream.objects.filter(pk=stream.pk).update(status=Status.STREAMING)
    console, url = client_of(operator), f"{URL}{alice.pk}/delete/"
    for answer in (console.get(url, follow=True), console.post(url, {"post": "yes"}, follow=True)):
        assert answer.redirect_chain == [(f"{URL}{alice.pk}/change/", 302)]
        assert "«Morning loop» on air" in answer.content.decode()
    assert VideoFile.objects.filter(owner=alice).exists()
    assert not AuditEntry.objects.filter(verb="delete").exists()


def test_a_customer_cannot(client_of, alice, bob):
    assert client_of(bob).post(f"{URL}{alice.pk}/delete/", {"post": "yes"}).status_code == 302
    assert User.objects.filter(pk=alice.pk).exists()
