"""Beginning an upload, sending chunks, asking for the offset."""

import base64
from datetime import timedelta

import pytest
from django.conf import settings
from django.urls import reverse
from django.utils import timezone
from dramatiq.brokers.redis import RedisBroker
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import AuditEntry, Package, User
from conftest import make_user
from lab.races import at_once
from media_library import actions, incoming, names, tasks, tus
from media_library.errors import NoRoom
from media_library.models import FileStatus, Upload, VideoFile
from media_library.tests.conftest import Tus, upload_at

GIB = 1024**3


def test_it_begins(tus, alice):
    answer = tus.create("../Büro/Sommer 2026.MP4", 1000)
    assert answer.status_code == 201
    upload = upload_at(answer["Location"])
    file = upload.file
    assert (file.owner, file.status, file.size) == (alice, "uploading", 1000)
    assert (file.title, file.original_name) == ("Sommer 2026", "Sommer 2026.MP4")
    assert file.stored_name.endswith(f"_{alice.pk}_Sommer-2026.mp4")
    assert upload.last_modified == 123
    alice.refresh_from_db()
    assert (alice.storage_reserved, alice.storage_used) == (1000, 0)
    assert incoming.received(upload.pk) == 0
    assert AuditEntry.objects.get().verb == "upload"


@pytest.mark.parametrize(
    ("name", "length", "status", "word"),
    [
        ("film.mov", 10, 415, ".mp4"),
        ("film.mp4.exe", 10, 415, ".mp4"),
        ("", 10, 415, ".mp4"),
        ("film.mp4", 0, 400, "empty"),
        ("film.mp4", 10 * GIB + 1, 413, "10 GiB"),
    ],
)
def test_it_is_refused_before_a_byte_is_sent(tus, alice, name, length, status, word):
    answer = tus.create(name, length)
    assert answer.status_code == status
    assert word in answer.content.decode()
    assert_nothing_made(alice)


def test_ten_gibibytes_are_allowed_and_operators_have_no_limit(tus, client_of, operator):
    assert tus.create("film.mp4", 10 * GIB).status_code == 201
    assert Tus(client_of(operator)).create("film.mp4", 40 * GIB).status_code == 201


def test_over_quota(tus, alice):
    alice.storage_used = alice.plan.max_storage - 999
    alice.save()
    answer = tus.create("film.mp4", 1000)
    assert answer.status_code == 413
    assert "999 B of your 50 GiB are free" in answer.content.decode()
    assert_nothing_made(alice)
    assert tus.create("film.mp4", 999).status_code == 201
    assert tus.create("film.mp4", 1).status_code == 413


def test_too_many_at_once(tus, monkeypatch):
    monkeypatch.setattr("media_library.actions.uploading.MAX_OPEN_UPLOADS", 1)
    tus.begin()
    assert tus.create("film.mp4", 10).status_code == 429


def assert_nothing_made(user):
    user.refresh_from_db()
    assert user.storage_reserved == 0
    assert not VideoFile.objects.exists()
    assert not list(settings.UPLOAD_DIR.iterdir())


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Tus-Resumable": "0.2.0"}, 412),
        ({"Upload-Length": "ten"}, 400),
        ({"Upload-Length": "-5"}, 400),
        ({"Upload-Length": "9" * 30}, 400),
        ({"Upload-Metadata": "filename ???"}, 400),
        ({"Upload-Metadata": "filename /w=="}, 400),
    ],
)
def test_malformed_creation(tus, alice, headers, status):
    assert tus.create("film.mp4", 10, **headers).status_code == status
    assert_nothing_made(alice)


def test_chunks_add_up_and_the_last_one_hands_over(tus):
    url = tus.begin(length=10)
    assert tus.patch(url, 0, b"01234").headers["Upload-Offset"] == "5"
    assert tus.head(url).headers["Upload-Offset"] == "5"
    assert tus.head(url).headers["Upload-Length"] == "10"
    assert upload_at(url).offset == 5
    assert upload_at(url).file.status == "uploading"
    assert tus.patch(url, 5, b"56789").status_code == 204
    upload = upload_at(url)
    assert upload.file.status == "processing"
    assert incoming.path_of(upload.pk).read_bytes() == b"0123456789"
    assert tus.head(url).headers["Upload-Offset"] == "10"


@pytest.mark.django_db(transaction=True)
def test_the_last_chunk_is_taken_while_the_queue_is_away(tus, monkeypatch):
    monkeypatch.setattr(tasks.process, "broker", RedisBroker(url="redis://127.0.0.1:1/0", middleware=[]))
    url = tus.begin(length=4)
    assert tus.patch(url, 0, b"1234").status_code == 204
    monkeypatch.undo()
    assert upload_at(url).file.state is FileStatus.PROCESSING
    assert actions.requeue_stuck(timezone.now() + timedelta(hours=1)) == 1


@pytest.mark.parametrize("offset", [0, 4, 6, 10])
def test_a_chunk_at_a_wrong_offset(tus, offset):
    url = tus.begin(length=10)
    tus.patch(url, 0, b"01234")
    answer = tus.patch(url, offset, b"x")
    assert answer.status_code == 409
    assert answer["Upload-Offset"] == "5"
    assert tus.head(url)["Upload-Offset"] == "5"


def test_a_chunk_past_the_end(tus):
    url = tus.begin(length=10)
    assert tus.patch(url, 0, b"x" * 11).status_code == 413
    assert tus.head(url)["Upload-Offset"] == "0"


def test_a_chunk_too_large(tus):
    url = tus.begin(length=20 * 1024**2)
    assert tus.patch(url, 0, bytes(8 * 1024**2 + 1)).status_code == 413
    assert tus.patch(url, 0, bytes(8 * 1024**2)).status_code == 204


def test_a_chunk_of_another_type(tus):
    url = tus.begin()
    answer = tus.client.patch(url, b"x", headers={"Tus-Resumable": "1.0.0", "Upload-Offset": "0"})
    assert answer.status_code == 415


def test_the_file_on_the_disk_says_how_far_it_is(tus):
    """The server was killed after the bytes reached the disk and before the row said so."""
    url = tus.begin(length=10)
    incoming.path_of(upload_at(url).pk).write_bytes(b"0123456")
    assert tus.head(url)["Upload-Offset"] == "7"
    assert tus.patch(url, 7, b"789").status_code == 204
    assert upload_at(url).file.status == "processing"


def test_a_complete_file_is_handed_over_when_asked(tus):
    """The server was killed between the last byte and the hand-over."""
    url = tus.begin(length=4)
    incoming.path_of(upload_at(url).pk).write_bytes(b"0123")
    assert tus.head(url)["Upload-Offset"] == "4"
    assert upload_at(url).file.status == "processing"


def test_two_writers_are_kept_apart(tus):
    url = tus.begin(length=10)
    with incoming.locked(upload_at(url).pk):
        assert tus.patch(url, 0, b"x").status_code == 423


def test_a_full_disk_is_said(tus, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    url = tus.begin(length=10)
    monkeypatch.setattr("media_library.incoming._write_all", full)
    answer = tus.patch(url, 0, b"x")
    assert answer.status_code == 507
    assert "No space left" in answer.content.decode()


def test_a_chunk_after_the_end_of_it(tus, ready):
    url = reverse("library:upload_one", args=[ready.upload.pk])
    assert tus.patch(url, 0, b"x").status_code == 410
    assert tus.head(url)["Upload-Offset"] == str(ready.upload.length)


def test_open_uploads_are_listed_for_another_window(tus, client_of, bob):
    url = tus.begin("a.mp4", 10)
    tus.patch(url, 0, b"012")
    found = tus.client.get(reverse("library:upload")).json()["uploads"]
    assert found == [{"url": url, "name": "a.mp4", "size": 10, "offset": 3, "last_modified": 123}]
    assert client_of(bob).get(reverse("library:upload")).json()["uploads"] == []
    tus.patch(url, 3, b"3456789")
    assert tus.client.get(reverse("library:upload")).json()["uploads"] == []


def test_options(tus, client_of, operator):
    answer = tus.client.options(reverse("library:upload"))
    assert answer.status_code == 204
    assert answer["Tus-Extension"] == "creation,termination,expiration"
    assert answer["Tus-Max-Size"] == str(10 * GIB)
    assert "Tus-Max-Size" not in client_of(operator).options(reverse("library:upload"))


def test_a_stranger_finds_nothing(tus, client_of, bob):
    url = tus.begin()
    other = Tus(client_of(bob))
    assert other.head(url).status_code == 404
    assert other.patch(url, 0, b"x").status_code == 404
    assert other.delete(url).status_code == 404
    assert tus.head(url)["Upload-Offset"] == "0"


def test_nobody_is_told_to_log_in(tus, client):
    url = tus.begin()
    nobody = Tus(client)
    for answer in (nobody.create("a.mp4", 1), nobody.patch(url, 0, b"x"), nobody.head(url), nobody.delete(url)):
        assert answer.status_code == 401


def test_wrong_methods(tus):
    assert tus.client.put(reverse("library:upload")).status_code == 405
    assert tus.client.get(tus.begin()).status_code == 405


def test_csrf_is_checked(alice):
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    assert Tus(client).create("a.mp4", 1).status_code == 403


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_uploads_racing_for_the_last_bytes():
    package = Package.objects.create(name="Tiny", max_storage=1000, max_concurrent_streams=1)
    user = make_user("race@example.org", "Race", package=package)

    outcomes = at_once(12, lambda: actions.create_upload(user, "a.mp4", 400, timezone.now()))
    assert outcomes.count(None) == 2
    assert sum(isinstance(outcome, NoRoom) for outcome in outcomes) == 10
    assert User.objects.get(pk=user.pk).storage_reserved == 800
    assert Upload.objects.count() == VideoFile.objects.filter(status=FileStatus.UPLOADING).count() == 2


@given(st.text(max_size=400))
def test_any_name_becomes_a_safe_one(raw):
    stored = names.stored_name(timezone.now(), 7, names.shown_name(raw))
    stem = stored.removesuffix(".mp4")
    assert stored.isascii()
    assert len(stored) < 200
    assert set(stem) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert ".." not in stored
    assert "/" not in names.shown_name(raw)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,10}", fullmatch=True), st.text(max_size=40), max_size=5))
def test_metadata_is_read_as_it_was_meant(pairs):
    header = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items())
    assert tus.metadata(header) == pairs


@given(st.text(max_size=80))
def test_rubbish_metadata_is_refused_or_read(header):
    try:
        assert isinstance(tus.metadata(header), dict)
    except tus.Malformed as refusal:
        assert refusal.http_status == 400  # noqa: PT017
