import pytest
from django.urls import reverse

from streams.models import Destination, Status, Stream
from streams.tests import build
from streams.tests.pages import CANARY, assert_login_wanted, browser, form_of, said

URL = reverse("streams:new")


def test_it_asks_for_login():
    assert_login_wanted(URL)


def test_it_refuses_other_methods(alice):
    assert browser(alice).put(URL).status_code == 405


def test_it_shows_one_s_own_ready_videos_only(alice, bob):
    build.file(alice, "Sunrise")
    build.file(alice, "Unfinished", status="processing")
    build.file(bob, "Not yours")
    page = browser(alice).get(URL).content.decode()
    assert "Sunrise" in page
    assert "Unfinished" not in page
    assert "1 video is still being uploaded or checked" in page
    assert "Not yours" not in page


def test_it_makes_a_stream(alice):
    first, second = build.file(alice, "one"), build.file(alice, "two")
    on, off = build.destination(alice, "on"), build.destination(alice, "off")
    form = form_of(
        alice, playlist=[second.pk, first.pk, second.pk], outputs=[on.pk, off.pk], enabled=[on.pk], loop=None
    )
    answer = browser(alice).post(URL, form)
    stream = Stream.objects.get()
    assert answer["Location"] == reverse("streams:show", args=[stream.pk])
    assert (stream.owner, stream.title, stream.loop, stream.state) == (alice, "Harbour TV", False, Status.INACTIVE)
    assert list(stream.items.values_list("file_id", flat=True)) == [second.pk, first.pk, second.pk]
    assert dict(stream.outputs.values_list("destination_id", "enabled")) == {on.pk: True, off.pk: False}


def test_the_longest_playlist_is_taken_and_a_longer_one_is_refused_with_words(alice):
    file = build.file(alice)
    answer = browser(alice).post(URL, form_of(alice, playlist=[file.pk] * 1001))
    assert "at most 1000 items" in answer.content.decode()
    assert not Stream.objects.exists()
    browser(alice).post(URL, form_of(alice, playlist=[file.pk] * 1000))
    assert Stream.objects.get().items.count() == 1000


def test_it_starts_it_when_asked(alice):
    browser(alice).post(URL, form_of(alice, do="start"))
    assert Stream.objects.get().state is Status.STARTING


def test_a_start_that_is_refused_still_saves(alice):
    alice.package = build.package(0)
    alice.save()
    answer = browser(alice).post(URL, form_of(alice, do="start"), follow=True)
    assert Stream.objects.get().state is Status.INACTIVE
    assert "not started" in said(answer)[0]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("title", "", "Give the stream a title"),
        ("title", "x" * 256, "255"),
        ("playlist", [], "Add at least one video"),
        ("outputs", [], "Choose at least one destination"),
        ("order", "sideways", "valid choice"),
    ],
)
def test_errors_stand_beside_their_fields_and_nothing_is_lost(alice, field, value, words):
    form = form_of(alice, **{"title": "Kept", "description": "Kept, too", field: value})
    answer = browser(alice).post(URL, form)
    errors = answer.context["form"].errors
    assert words in str(errors[field])
    assert list(errors) == [field]
    assert Stream.objects.count() == 0
    page = answer.content.decode()
    assert "Kept, too" in page
    if field != "playlist":
        assert f'name="playlist" value="{form["playlist"][0]}"' in page


def test_a_stranger_s_video_is_refused(alice, bob):
    form = form_of(alice, playlist=[build.file(bob).pk])
    answer = browser(alice).post(URL, form)
    assert "not in your library" in str(answer.context["form"].errors["playlist"])
    assert Stream.objects.count() == 0


def test_a_stranger_s_destination_is_refused(alice, bob):
    answer = browser(alice).post(URL, form_of(alice, outputs=[build.destination(bob).pk]))
    assert "not there" in str(answer.context["form"].errors["outputs"])
    assert Stream.objects.count() == 0


def test_it_makes_the_destination_typed_in(alice):
    form = form_of(alice, outputs=[], name="My channel", platform="twitch", url="", key=CANARY)
    browser(alice).post(URL, form)
    made = Destination.objects.get(name="My channel")
    assert (made.url, made.key()) == ("rtmp://live.twitch.tv/app", CANARY)
    assert Stream.objects.get().outputs.get().destination == made


@pytest.mark.parametrize(
    ("field", "value"),
    [("url", "http://example.org/live"), ("url", "rtmp://example.org/a b"), ("key", ""), ("key", 'a"b')],
)
def test_a_bad_destination_saves_nothing_and_never_shows_the_key(alice, field, value):
    form = form_of(alice, **{"outputs": [], "name": "My channel", "key": CANARY, field: value})
    before = Destination.objects.count()
    answer = browser(alice).post(URL, form)
    assert field in answer.context["new_destination"].errors
    assert (Stream.objects.count(), Destination.objects.count()) == (0, before)
    page = answer.content.decode()
    assert "My channel" in page
    assert CANARY not in page
    assert "Paste the new destination" in page


def test_a_stream_that_fails_takes_its_new_destination_with_it(alice):
    form = form_of(alice, outputs=[], playlist=[10**9], name="My channel", key=CANARY)
    browser(alice).post(URL, form)
    assert not Destination.objects.filter(name="My channel").exists()


def test_add_this_destination_saves_it_and_keeps_what_was_typed(alice):
    form = form_of(alice, outputs=[], name="My channel", key=CANARY, do="destination", title="Half done")
    page = browser(alice).post(URL, form).content.decode()
    made = Destination.objects.get(name="My channel")
    assert f'name="outputs" value="{made.pk}" id="output-{made.pk}" checked' in page
    assert "Half done" in page
    assert CANARY not in page
    assert Stream.objects.count() == 0


@pytest.mark.parametrize(
    ("order", "after"), [("up:1", [1, 0, 2]), ("down:1", [0, 2, 1]), ("remove:0", [1, 2]), ("bogus", [0, 1, 2])]
)
def test_the_playlist_is_arranged_without_javascript(alice, order, after):
    files = [build.file(alice, f"file {n}") for n in range(3)]
    form = form_of(alice, playlist=[file.pk for file in files], do=order, title="Half done")
    answer = browser(alice).post(URL, form)
    assert [entry.file for entry in answer.context["entries"]] == [files[n] for n in after]
    assert "Half done" in answer.content.decode()
    assert Stream.objects.count() == 0


def test_a_video_is_added_twice_without_javascript(alice):
    file = build.file(alice)
    answer = browser(alice).post(URL, form_of(alice, playlist=[file.pk], do=f"add:{file.pk}"))
    assert [entry.file for entry in answer.context["entries"]] == [file, file]


def test_the_library_is_searched(alice):
    build.file(alice, "Sunrise")
    build.file(alice, "Night train")
    page = browser(alice).get(reverse("streams:pick"), {"q": "NIGHT"}).content.decode()
    assert "Night train" in page
    assert "Sunrise" not in page


def test_all_that_is_wrong_with_a_new_destination_is_said_at_once(alice):
    form = form_of(alice, do="destination", platform="custom", name="", url="http://a b", key="k e y")
    page = browser(alice).post(reverse("streams:new"), form).content.decode()
    for words in ["Give the destination a name", "An RTMP address has no spaces", "A stream key has no spaces"]:
        assert words in page
