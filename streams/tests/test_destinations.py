from dataclasses import replace

import pytest

from agent.protocol import UpdateStream
from kit.safe_url import is_private_literal, leads_inside
from streams import actions, rules
from streams.commanding import config_of
from streams.errors import InUse, Invalid, KeyInUse
from streams.models import Destination, StreamDestination
from streams.spec import DestinationSpec
from streams.tests import build

GOOD = DestinationSpec("youtube", "My YouTube", "rtmp://a.rtmp.youtube.com/live2", "abcd-1234")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/live",
        "file:///etc/passwd",
        "rtmp://",
        "rtmp:///live",
        "rtmp://example.org",
        "rtmp://example.org/",
        "rtmp://exa mple.org/live",
        "rtmp://example.org/li've",
        'rtmp://example.org/li"ve',
        "rtmp://example.org/live\nrtmp://other",
        "rtmp://example.org/live;push rtmp://x/y",
        "rtmp://example.org/{live}",
        "rtmp://example.org/live\x00",
        "rtmp://example.org:0/live",
        "rtmp://example.org:99999/live",
        "rtmp://user:word@example.org/live",
        "rtmp://bücher.example/live",
        "rtmp://[::1/live",
        "rtmp://example.org/" + "x" * 500,
        "rtmp://-example.org/live",
        "rtmp://example..org/live",
        "rtmp://*/live",
        "rtmp://example,org/live",
        "rtmp://%31%32/live",
        "rtmp://" + "a" * 64 + ".org/live",
        "rtmp://" + "a." * 127 + "org/live",
        "rtmp://example.org/live#part",
        "rtmp://example.org/live/../other",
    ],
)
def test_addresses_that_are_refused(alice, url):
    with pytest.raises(Invalid) as caught:
        actions.save_destination(alice, DestinationSpec("custom", "x", url, "key"), alice)
    assert set(caught.value.fields) == {"url"}
    assert not Destination.objects.exists()


@pytest.mark.parametrize(
    "url",
    [
        "rtmp://a.rtmp.youtube.com/live2",
        "rtmps://live-api-s.facebook.com:443/rtmp",
        "rtmp://b.rtmp.youtube.com/live2?backup=1",
        "rtmp://[2001:db8::1]:1935/app/instance",
        "rtmp://my_relay.example.org./live/",
        "RTMP://A.EXAMPLE.ORG/live",
    ],
)
def test_addresses_that_are_taken(settings, url):
    settings.ALLOW_PRIVATE_DESTINATIONS = True
    assert rules.url_problem(url) is None


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1", "10.1.2.3", "192.168.1.1", "169.254.169.254", "[::1]", "[fe80::1]",
     "0.0.0.0", "127.1", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]", "a.localhost", "224.0.0.1",
     "100.64.0.1"],
)  # fmt: skip
def test_private_addresses_are_refused_unless_allowed(settings, host):
    settings.ALLOW_PRIVATE_DESTINATIONS = False
    assert "private network" in (rules.url_problem(f"rtmp://{host}/live") or "")
    settings.ALLOW_PRIVATE_DESTINATIONS = True
    assert rules.url_problem(f"rtmp://{host}/live") is None


def test_a_name_is_followed_to_where_it_leads():
    assert leads_inside("evil.example", lambda host: ["93.184.216.34", "10.0.0.1"])
    assert not leads_inside("good.example", lambda host: ["93.184.216.34"])
    assert not leads_inside("nowhere.example", lambda host: [])
    assert not is_private_literal("93.184.216.34")


@pytest.mark.parametrize("key", ["", " ", None, "a b", "a'b", "x" * 501, "a\nb", "a;b", "ключ"])
def test_keys_that_are_refused(alice, key):
    with pytest.raises(Invalid) as caught:
        actions.save_destination(alice, DestinationSpec("custom", "x", "rtmp://h/live", key), alice)
    assert set(caught.value.fields) == {"key"}


def test_the_key_is_sealed_kept_and_never_shown(alice):
    row = actions.save_destination(alice, GOOD, alice)
    assert "abcd-1234" not in row.sealed_key
    assert "abcd" not in repr(GOOD)
    kept = actions.save_destination(alice, DestinationSpec("youtube", "New name", GOOD.url, None), alice, row)
    assert (kept.key(), kept.name) == ("abcd-1234", "New name")
    assert actions.reveal_key(row, alice) == "abcd-1234"
    assert alice.audit_entries.first().verb == "reveal key"
    assert not any("abcd" in str(entry.details) for entry in alice.audit_entries.all())


def test_a_key_stored_since_the_page_was_read_stays(alice):
    row = actions.save_destination(alice, GOOD, alice)
    stale = Destination.objects.get(pk=row.pk)
    actions.save_destination(alice, replace(GOOD, key="efgh-5678"), alice, row)
    actions.save_destination(alice, replace(GOOD, name="New name", key=None), alice, stale)
    assert Destination.objects.get(pk=row.pk).key() == "efgh-5678"


def test_a_new_key_reaches_the_streams_on_air(stream, alice, vps, ear, django_capture_on_commit_callbacks):
    build.running(stream, vps)
    place = stream.outputs.first().destination
    with django_capture_on_commit_callbacks(execute=True):
        actions.save_destination(alice, DestinationSpec("custom", "x", place.url, "new-key"), alice, place)
    [command] = ear.heard()
    assert isinstance(command, UpdateStream)
    assert command.config.push_urls[0].key == "new-key"


# ------------------------------------------------------------------------------------------------ how it is pushed


@pytest.mark.parametrize(
    ("via", "url", "key", "words"),
    [
        ("nginx", "rtmps://h.example/live", "key", "nginx cannot encrypt"),
        ("nginx", "RTMPS://h.example/live", "key", "nginx cannot encrypt"),
        ("nginx", "rtmp://h.example/live", "a$b", "«\\$» or «#»"),
        ("nginx", "rtmp://h.example/li$ve", "key", "«\\$» or «#»"),
        ("nginx", "rtmp://h.example/live", "a#b", "«\\$» or «#»"),
        ("smoke", "rtmp://h.example/live", "key", "Choose how"),
    ],
)
def test_ways_that_are_refused(alice, via, url, key, words):
    with pytest.raises(Invalid, match=words) as caught:
        actions.save_destination(alice, DestinationSpec("custom", "x", url, key, via), alice)
    assert set(caught.value.fields) == {"via"}


@pytest.mark.parametrize("via", ["native", "ffmpeg", "nginx"])
@pytest.mark.parametrize("bad", [*";'\"`{}<>|\\", "\n", "\r", " ", "\x00"])
def test_what_no_way_takes(alice, via, bad):
    for url, key in ((f"rtmp://h.example/li{bad}ve", "key"), ("rtmp://h.example/live", f"k{bad}y")):
        with pytest.raises(Invalid):
            actions.save_destination(alice, DestinationSpec("custom", "x", url, key, via), alice)


@pytest.mark.parametrize(("via", "key"), [("native", "a$b"), ("ffmpeg", "a$b"), ("nginx", "a-b_c?d=e&f=g")])
def test_ways_that_are_taken(alice, via, key):
    row = actions.save_destination(alice, DestinationSpec("custom", "x", "rtmp://h.example/live", key, via), alice)
    assert Destination.objects.get(pk=row.pk).via == via


def test_the_kept_key_must_do_for_the_new_way(alice):
    row = actions.save_destination(alice, DestinationSpec("custom", "x", "rtmp://h.example/live", "a$b"), alice)
    with pytest.raises(Invalid):
        actions.save_destination(
            alice, DestinationSpec("custom", "x", "rtmp://h.example/live", None, "nginx"), alice, row
        )


def test_another_way_on_air_is_told_of_that_destination_alone(
    stream, alice, vps, ear, django_capture_on_commit_callbacks
):
    run = build.running(stream, vps)
    before = {push.id: push for push in config_of(run).push_urls}
    place = stream.outputs.first().destination
    with django_capture_on_commit_callbacks(execute=True):
        actions.save_destination(alice, DestinationSpec("custom", "x", place.url, None, "ffmpeg"), alice, place)
    [command] = ear.heard()
    pushes = {push.id: push for push in command.config.push_urls}
    first, second = stream.outputs.all()
    assert pushes[first.pk] == replace(before[first.pk], via="ffmpeg", name="x")
    assert pushes[second.pk] == before[second.pk]
    stored = run.fingerprint
    run.refresh_from_db()
    assert run.fingerprint == command.config.fingerprint != stored


def test_a_new_key_that_is_on_air_elsewhere_is_refused(alice, vps):
    first, second = build.stream(alice, "first"), build.stream(alice, "second")
    build.running(first, vps)
    build.running(second, vps)
    taken = first.outputs.first().destination
    mine = second.outputs.first().destination
    before = mine.key()
    with pytest.raises(KeyInUse):
        actions.save_destination(alice, DestinationSpec("custom", "x", taken.url, taken.key()), alice, mine)
    assert Destination.objects.get(pk=mine.pk).key() == before


def test_deleting_is_soft_and_takes_it_out_of_streams_at_rest(stream, alice):
    place = stream.outputs.first().destination
    actions.delete_destination(place, alice)
    assert not Destination.objects.of(alice).filter(pk=place.pk).exists()
    assert Destination.objects.get(pk=place.pk).deleted_at is not None
    assert not StreamDestination.objects.filter(destination=place).exists()


def test_deleting_one_that_is_on_air_is_refused_with_the_name(stream, alice, vps):
    build.running(stream, vps)
    with pytest.raises(InUse, match="«Channel» is on air"):
        actions.delete_destination(stream.outputs.first().destination, alice)
    assert stream.outputs.count() == 2
