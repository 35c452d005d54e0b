"""The list, its rows, one file; renaming and reading again."""

import pytest
from django.urls import reverse
from django.utils import timezone
from model_bakery import baker

from accounts.models import AuditEntry
from media_library import actions
from media_library.models import Upload, VideoFile
from media_library.storage import media_storage
from streams.models import PlaylistItem, Stream


def many(owner, n, **fields):
    now = timezone.now()
    return VideoFile.objects.bulk_create(
        VideoFile(
            owner=owner, title=f"Film {i:03}", original_name=f"film{i}.mp4", stored_name=f"{owner.pk}_{i}.mp4",
            size=1000 + i, status="completed", duration_s=i, processed_at=now, thumbnail="t.jpg", **fields,
        )
        for i in range(n)
    )  # fmt: skip


def titles(page):
    return [file.title for file in page.context["page"]]


def listing(client, **query):
    return client.get(reverse("library:list"), query)


def test_the_list_shows_ones_own(client_of, alice, bob):
    many(alice, 2)
    many(bob, 1)
    page = listing(client_of(alice))
    assert titles(page) == ["Film 001", "Film 000"]
    assert page.context["page"].paginator.count == 2


@pytest.mark.parametrize("n", [1, 60])
def test_the_list_needs_few_queries(client_of, alice, django_assert_max_num_queries, n):
    stream = baker.make(Stream, owner=alice)
    files = many(alice, n)
    PlaylistItem.objects.bulk_create(PlaylistItem(stream=stream, file=f, position=i) for i, f in enumerate(files))
    waiting = VideoFile.objects.create(owner=alice, title="Up", original_name="u.mp4", stored_name="u", size=9)
    Upload.objects.create(owner=alice, file=waiting, length=9)
    client = client_of(alice)
    with django_assert_max_num_queries(8):
        assert listing(client).status_code == 200


def test_search_sort_filter_and_pages(client_of, alice):
    many(alice, 30)
    VideoFile.objects.filter(title="Film 007").update(status="failed", failure_reason="Cut off.")
    client = client_of(alice)
    assert titles(listing(client, q="film 01")) == [f"Film 0{n}" for n in range(19, 9, -1)]
    assert titles(listing(client, sort="name"))[0] == "Film 000"
    assert titles(listing(client, sort="largest"))[0] == "Film 029"
    assert titles(listing(client, state="failed")) == ["Film 007"]
    assert titles(listing(client, sort="name", page=2))[0] == "Film 024"
    assert titles(listing(client, sort="drop table", state="x", page="y"))[0] == "Film 029"
    assert "Nothing found" in listing(client, q="zzz").content.decode()
    assert "Cut off." in listing(client, state="failed").content.decode()


def test_empty_library(client_of, alice):
    page = listing(client_of(alice)).content.decode()
    assert "No videos yet" in page
    assert "Uploading needs JavaScript" in page


def test_htmx_gets_the_list_alone(client_of, alice):
    many(alice, 1)
    headers = {"HX-Request": "true", "HX-Target": "files"}
    page = client_of(alice).get(reverse("library:list"), headers=headers).content.decode()
    assert "<html" not in page
    assert page.strip().startswith('<div id="files"')
    assert 'hx-swap-oob="true"' in page


def test_a_row_asks_again_only_while_in_flight(tus, clip):
    file = tus.send(clip.read_bytes())
    url = reverse("library:row", args=[file.pk])
    assert 'hx-trigger="every 2s"' in tus.client.get(url).content.decode()
    actions.process(file.pk)
    page = tus.client.get(url).content.decode()
    assert "every 2s" not in page
    assert "ready" in page


def test_an_interrupted_upload_says_how_to_go_on(tus):
    tus.patch(tus.begin(length=10), 0, b"0123")
    Upload.objects.update(touched_at=timezone.now() - timezone.timedelta(minutes=5))
    assert "Stopped at 40 %. To go on, choose the same file again." in listing(tus.client).content.decode()


def test_the_page_of_a_file(tus, ready, alice):
    for position in (1, 2):
        stream, _ = Stream.objects.get_or_create(owner=alice, title="Night loop")
        PlaylistItem.objects.create(stream=stream, file=ready, position=position)
    VideoFile.objects.filter(pk=ready.pk).update(key_frame_interval_s=9.5)
    page = tus.client.get(reverse("library:show", args=[ready.pk])).content.decode()
    assert "320×180" in page
    assert "Up to 9.5 s pass without one." in page
    assert page.count("Night loop") == 1
    assert "Convert" not in page


def test_markup_in_a_name_stays_text(tus):
    tus.begin("<script>alert(1)</script>.mp4".replace("/", ""))
    assert "<script>alert" not in listing(tus.client).content.decode()


def test_renaming(tus, ready):
    url = reverse("library:rename", args=[ready.pk])
    assert "<html" in tus.client.get(url).content.decode()
    assert tus.client.post(url, {"title": "Sea"})["Location"] == reverse("library:show", args=[ready.pk])
    ready.refresh_from_db()
    assert (ready.title, ready.original_name) == ("Sea", "holiday.mp4")
    assert AuditEntry.objects.filter(verb="rename", details={"old": "holiday"}).exists()
    for bad in ("", "x" * 256):
        assert "invalid-feedback" in tus.client.post(url, {"title": bad}).content.decode()
    ready.refresh_from_db()
    assert ready.title == "Sea"


def test_renaming_in_place(tus, ready):
    url, htmx = reverse("library:rename", args=[ready.pk]), {"HX-Request": "true"}
    assert "autofocus" in tus.client.get(url, headers=htmx).content.decode()
    assert "Sea" in tus.client.post(url, {"title": "Sea"}, headers=htmx).content.decode()
    assert "<form" in tus.client.post(url, {"title": ""}, headers=htmx).content.decode()
    assert "<form" not in tus.client.get(url, {"cancel": 1}, headers=htmx).content.decode()


def test_reading_again(tus, ready):
    VideoFile.objects.filter(pk=ready.pk).update(width=1, thumbnail="")
    url = reverse("library:refresh", args=[ready.pk])
    assert tus.client.post(url).status_code == 302
    ready.refresh_from_db()
    assert ready.is_refreshing
    actions.reload_facts(ready.pk)
    ready.refresh_from_db()
    assert (ready.width, ready.status, ready.is_refreshing) == (320, "completed", False)
    assert ready.thumbnail


def test_reading_again_what_was_lost_says_so(tus, ready):
    media_storage("local").delete(ready.stored_name)
    actions.refresh(ready, ready.owner)
    actions.reload_facts(ready.pk)
    ready.refresh_from_db()
    assert ready.status == "completed"
    assert "does not have this file" in ready.failure_reason


def test_reading_again_needs_a_ready_file(tus):
    file = tus.send(b"x")
    page = tus.client.post(reverse("library:refresh", args=[file.pk]), follow=True).content.decode()
    assert "Only videos that are ready" in page


@pytest.mark.parametrize("name", ["show", "row", "rename", "delete", "refresh", "play", "thumbnail"])
def test_a_stranger_finds_nothing_and_nobody_is_sent_to_sign_in(ready, client_of, bob, client, name):
    url = reverse(f"library:{name}", args=[ready.pk])
    ask = "post" if name == "refresh" else "get"
    assert getattr(client_of(bob), ask)(url).status_code == 404
    assert getattr(client, ask)(url).status_code == 302


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("show", "post"),
        ("row", "post"),
        ("refresh", "get"),
        ("play", "post"),
        ("thumbnail", "post"),
        ("rename", "put"),
    ],
)
def test_wrong_methods(tus, ready, name, method):
    assert getattr(tus.client, method)(reverse(f"library:{name}", args=[ready.pk])).status_code == 405


def test_operators_look_at_everything(ready, client_of, operator, alice):
    many(alice, 40, disk="local")
    client = client_of(operator)
    page = client.get("/admin/media_library/videofile/", {"q": "holiday"})
    assert page.status_code == 200
    assert b"holiday" in page.content
    for model in ("upload", "deletion"):
        assert client.get(f"/admin/media_library/{model}/").status_code == 200
    chosen = {"action": "process_again", "_selected_action": [ready.pk]}
    assert client.post("/admin/media_library/videofile/", chosen).status_code == 302
    ready.refresh_from_db()
    assert ready.is_refreshing


def test_the_admin_needs_few_queries(client_of, operator, alice, django_assert_max_num_queries):
    many(alice, 100)
    client = client_of(operator)
    with django_assert_max_num_queries(12):
        assert client.get("/admin/media_library/videofile/").status_code == 200


def test_deleting_in_the_admin_goes_through_the_action(ready, client_of, operator, alice):
    chosen = {"action": "delete_selected", "_selected_action": [ready.pk], "post": "yes"}
    client_of(operator).post("/admin/media_library/videofile/", chosen)
    alice.refresh_from_db()
    assert alice.storage_used == 0
    assert not VideoFile.objects.exists()


def test_a_row_that_came_to_rest_brings_the_storage_it_took(client_of, alice, ready):
    part = client_of(alice).get(reverse("library:row", args=[ready.pk])).content.decode()
    assert 'id="quota" hx-swap-oob="true"' in part
    VideoFile.objects.filter(pk=ready.pk).update(status="processing")
    part = client_of(alice).get(reverse("library:row", args=[ready.pk])).content.decode()
    assert "quota" not in part
