"""Cancelling an upload, and giving up those nobody continues."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.core.management import call_command
from django.utils import timezone

from media_library import actions, incoming
from media_library.models import Upload, VideoFile
from media_library.tests.conftest import upload_at

pytestmark = pytest.mark.django_db(transaction=True)


def reserved(user):
    user.refresh_from_db()
    return user.storage_reserved


def test_it_is_cancelled(tus, alice):
    url = tus.begin(length=10)
    tus.patch(url, 0, b"01234")
    assert tus.delete(url).status_code == 204
    assert reserved(alice) == 0
    assert not VideoFile.objects.exists()
    assert not list(settings.UPLOAD_DIR.iterdir())
    assert tus.delete(url).status_code == 404
    assert tus.patch(url, 5, b"x").status_code == 404


def test_a_finished_one_cannot_be_cancelled(tus, alice):
    url = tus.begin(length=4)
    tus.patch(url, 0, b"0123")
    assert tus.delete(url).status_code == 409
    assert reserved(alice) == 4


def test_a_chunk_that_races_with_the_cancelling_leaves_no_file(tus, alice):
    from io import BytesIO

    from media_library.errors import Gone

    upload = upload_at(tus.begin(length=10))
    actions.cancel_upload(upload, alice)
    with pytest.raises(Gone):
        actions.receive(upload, 0, BytesIO(b"x"), 1, timezone.now())
    assert not list(settings.UPLOAD_DIR.iterdir())


def test_abandoned_uploads_expire(tus, alice):
    old, fresh = tus.begin("old.mp4", 10), tus.begin("fresh.mp4", 20)
    tus.patch(old, 0, b"012")
    Upload.objects.filter(pk=upload_at(old).pk).update(touched_at=timezone.now() - timedelta(hours=25))
    assert actions.expire_uploads(timezone.now()) == 1
    assert reserved(alice) == 20
    file = VideoFile.objects.get(title="old")
    assert (file.status, file.failure_reason) == (
        "failed",
        "The upload was not finished in time. Upload the file again.",
    )
    assert [path.name for path in settings.UPLOAD_DIR.iterdir()] == [str(upload_at(fresh).pk)]
    assert actions.expire_uploads(timezone.now()) == 0
    assert reserved(alice) == 20
    actions.delete(file, alice)
    assert reserved(alice) == 20


def test_a_complete_one_is_not_given_up(tus, alice):
    url = tus.begin(length=4)
    incoming.path_of(upload_at(url).pk).write_bytes(b"0123")
    Upload.objects.update(touched_at=timezone.now() - timedelta(hours=25))
    assert actions.expire_uploads(timezone.now()) == 0
    assert VideoFile.objects.get().status == "processing"
    assert reserved(alice) == 4


def test_stray_files_are_swept(tus):
    kept = upload_at(tus.begin()).pk
    stray = settings.UPLOAD_DIR / "11111111-1111-1111-1111-111111111111.moved"
    stray.write_bytes(b"x")
    actions.expire_uploads(timezone.now())
    assert stray.exists()
    actions.expire_uploads(timezone.now() + timedelta(hours=23))
    actions.expire_uploads(timezone.now() + timedelta(hours=25))
    assert not stray.exists()
    assert not incoming.path_of(kept).exists()  # expired with it


def test_the_commands(tus, capsys):
    tus.begin()
    call_command("library_expire_uploads")
    call_command("library_retry_deletions")
    assert capsys.readouterr().out == "0 expired\n0 removed\n"
