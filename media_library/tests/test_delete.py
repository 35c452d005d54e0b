"""Deleting files, one and several."""

import pytest
from django.conf import settings
from django.urls import reverse
from model_bakery import baker

from media_library import actions
from media_library.models import Deletion, VideoFile
from media_library.storage import media_storage
from media_library.storage.errors import StorageUnreachable
from streams.models import PlaylistItem, Stream

pytestmark = pytest.mark.django_db(transaction=True)


def on_disk():
    return [path for path in settings.MEDIA_ROOT.rglob("*") if path.is_file()]


def used(user):
    user.refresh_from_db()
    return user.storage_used, user.storage_reserved


def delete(client, file):
    return client.post(reverse("library:delete", args=[file.pk]), follow=True)


def test_it_is_deleted(tus, ready, alice):
    assert len(on_disk()) == 2
    page = delete(tus.client, ready)
    assert "«holiday» is deleted." in page.content.decode()
    assert not VideoFile.objects.exists()
    assert not on_disk()
    assert not Deletion.objects.exists()
    assert used(alice) == (0, 0)
    assert delete(tus.client, ready).status_code == 404
    assert used(alice) == (0, 0)


def test_it_asks_first(tus, ready):
    page = tus.client.get(reverse("library:delete", args=[ready.pk]))
    assert "Delete «holiday»?" in page.content.decode()
    assert VideoFile.objects.exists()


@pytest.mark.parametrize("state", ["uploading", "processing"])
def test_in_flight_too(tus, alice, state):
    file = tus.send(b"0123456789") if state == "processing" else None
    if file is None:
        tus.begin(length=10)
        file = VideoFile.objects.get()
    assert used(alice) == (0, 10)
    delete(tus.client, file)
    assert used(alice) == (0, 0)
    assert not list(settings.UPLOAD_DIR.iterdir())


def test_in_use_is_refused_naming_the_streams(tus, ready, alice):
    for title in ("Night loop", "Morning"):
        PlaylistItem.objects.create(stream=baker.make(Stream, owner=alice, title=title), file=ready, position=1)
    page = delete(tus.client, ready)
    assert "«holiday» is used in «Morning» and «Night loop». Take it out there first." in page.content.decode()
    assert len(on_disk()) == 2
    assert used(alice) == (ready.size, 0)


def test_a_stranger_and_nobody(tus, ready, client_of, bob, client):
    assert client_of(bob).post(reverse("library:delete", args=[ready.pk])).status_code == 404
    assert client.post(reverse("library:delete", args=[ready.pk])).status_code == 302
    assert client_of(bob).delete(reverse("library:delete", args=[ready.pk])).status_code == 405
    client_of(bob).post(reverse("library:bulk_delete"), {"file": [ready.pk], "confirmed": 1})
    assert VideoFile.objects.filter(pk=ready.pk).exists()


def test_a_failing_storage_loses_neither_file_nor_count(tus, ready, alice, monkeypatch):
    def unreachable(*_):
        raise StorageUnreachable("timed out")

    with monkeypatch.context() as patch:
        patch.setattr(type(media_storage("local")), "delete", unreachable)
        delete(tus.client, ready)
        assert not VideoFile.objects.exists()
        assert used(alice) == (0, 0)
        assert actions.retry_deletions() == 0
    waiting = Deletion.objects.order_by("pk")
    assert [(row.stored_name, row.tries) for row in waiting] == [(ready.stored_name, 2), (ready.thumbnail, 2)]
    assert "does not answer" in waiting[0].last_error
    assert len(on_disk()) == 2
    assert actions.retry_deletions() == 2
    assert not on_disk()
    assert not Deletion.objects.exists()


def test_several(tus, ready, alice):
    other = tus.send(b"0123456789", "other.mp4")
    busy = tus.send(b"0123456789", "busy.mp4")
    PlaylistItem.objects.create(stream=baker.make(Stream, owner=alice, title="Loop"), file=busy, position=1)
    chosen = {"file": [ready.pk, other.pk, busy.pk, "x"], "next": "/library/?q=o"}
    asked = tus.client.post(reverse("library:bulk_delete"), chosen).content.decode()
    assert "Delete the chosen videos?" in asked
    assert VideoFile.objects.count() == 3
    answer = tus.client.post(reverse("library:bulk_delete"), chosen | {"confirmed": "1"})
    assert answer["Location"] == "/library/?q=o"
    page = tus.client.get(answer["Location"]).content.decode()
    assert "2 videos deleted." in page
    assert "«busy» is used in «Loop»" in page
    assert list(VideoFile.objects.all()) == [busy]
    assert used(alice) == (0, 10)


def test_next_leads_nowhere_else(tus, ready):
    answer = tus.client.post(reverse("library:delete", args=[ready.pk]), {"next": "https://evil.example/"})
    assert answer["Location"] == reverse("library:list")
