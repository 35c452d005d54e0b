import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from streams.models import PlaylistItem, Status, Stream, StreamDestination
from streams.tests import build
from streams.tests.pages import assert_login_wanted, browser, said

URL = reverse("streams:list")
MOST_QUERIES = 12


def titles(answer) -> list[str]:
    return [stream.title for stream, *_ in answer.context["rows"]]


def many(owner, number) -> list[Stream]:
    """Streams in bulk that share a video and two destinations."""
    file, places = build.file(owner), [build.destination(owner, f"place {n}") for n in range(2)]
    rows = Stream.objects.bulk_create(Stream(owner=owner, title=f"Channel {n:04}") for n in range(number))
    PlaylistItem.objects.bulk_create(PlaylistItem(stream=row, file=file, position=n) for row in rows for n in range(3))
    StreamDestination.objects.bulk_create(StreamDestination(stream=row, destination=p) for row in rows for p in places)
    return rows


@pytest.mark.parametrize("name", ["list", "rows"])
def test_who_may_and_how(alice, name):
    target = reverse(f"streams:{name}")
    assert_login_wanted(target)
    assert browser(alice).post(target).status_code == 405


@pytest.mark.parametrize("with_files", [False, True])
def test_a_new_user_is_led(alice, with_files):
    if with_files:
        build.file(alice)
    answer = browser(alice).get(URL)
    assert "Your first channel, in three steps" in answer.content.decode()
    assert answer.context["has_files"] is with_files


def test_everybody_sees_their_own(alice, bob, operator):
    build.stream(alice, title="Hers")
    build.stream(bob, title="His")
    assert titles(browser(alice).get(URL)) == ["Hers"]
    assert "His" not in browser(alice).get(reverse("streams:rows")).content.decode()
    assert browser(operator).get(URL).context["total"] == 0


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"q": "TRAIN"}, ["Night train"]),
        ({"state": "on_air"}, ["Night train"]),
        ({"state": "failed"}, ["Bells"]),
        ({"state": "off_air"}, ["Clouds"]),
        ({"sort": "title"}, ["Bells", "Clouds", "Night train"]),
        ({"sort": "nonsense", "state": "nonsense", "page": "nonsense"}, ["Clouds", "Bells", "Night train"]),
        ({"q": "nothing like it"}, []),
    ],
)
def test_search_filter_and_order(alice, query, found):
    Stream.objects.create(owner=alice, title="Night train", status=Status.STREAMING)
    Stream.objects.create(owner=alice, title="Bells", status=Status.ERROR, failure_reason="No VPS")
    Stream.objects.create(owner=alice, title="Clouds")
    answer = browser(alice).get(URL, query)
    assert titles(answer) == found
    assert [state["number"] for state in answer.context["states"]] == [3, 1, 1, 1]


def test_200_streams_take_no_more_queries_than_2(alice, vps):
    rows = many(alice, 200)
    for row in rows[-3:]:
        build.running(row, vps)
    build.starting_run(rows[-4], vps)
    client = browser(alice)
    with CaptureQueriesContext(
        connection,
    ) as taken:
        answer = client.get(URL)
    assert len(answer.context["rows"]) == 50
    assert len(taken) <= MOST_QUERIES, [query["sql"][:120] for query in taken]


def test_pages_of_fifty(alice):
    many(alice, 60)
    assert len(browser(alice).get(URL, {"page": 2}).context["rows"]) == 10


def test_an_open_list_takes_what_came_meanwhile(alice):
    build.stream(alice, title="New one")
    part = browser(alice).get(reverse("streams:rows")).content.decode()
    assert 'id="stream-list" hx-swap-oob="true"' in part
    assert "New one" in part
    assert 'id="stream-number-all">1<' in part


# ------------------------------------------------------------------------------------------------ bulk


def test_bulk_wants_a_login_and_a_post(alice):
    assert_login_wanted(reverse("streams:bulk"), "post")
    assert browser(alice).get(reverse("streams:bulk")).status_code == 405


def bulk(user, verb, *streams):
    form = {"do": verb, "stream": [stream.pk for stream in streams]}
    return browser(user).post(reverse("streams:bulk"), form, follow=True)


def test_bulk_start_does_what_it_can_and_says_the_rest(alice):
    good, empty = build.stream(alice, title="Good"), build.stream(alice, title="Empty", files=0)
    words = said(bulk(alice, "start", good, empty))
    good.refresh_from_db()
    empty.refresh_from_db()
    assert (good.state, empty.state) == (Status.STARTING, Status.INACTIVE)
    assert "«Empty»: The playlist is empty" in words[0]
    assert words[1] == "1 stream is starting."


def test_bulk_stop(alice, vps):
    one, two = build.stream(alice), build.stream(alice)
    build.running(one, vps)
    build.running(two, vps)
    asked = bulk(alice, "stop", one, two)
    assert "Stop 2 streams?" in asked.content.decode()
    assert Stream.objects.filter(status=Status.STREAMING).count() == 2
    form = asked.context["form"].initial | {"confirmed": "1"}
    answer = browser(alice).post(reverse("streams:bulk"), form, follow=True)
    assert said(answer) == ["2 streams are stopping."]


def test_bulk_stop_of_what_is_off_air_asks_nothing(alice):
    assert "off air" in said(bulk(alice, "stop", build.stream(alice)))[0]


def test_bulk_leaves_strangers_alone(alice, bob):
    his = build.stream(bob)
    words = said(bulk(alice, "start", his))
    his.refresh_from_db()
    assert his.state is Status.INACTIVE
    assert words == ["Tick the streams first."]


@pytest.mark.parametrize("verb", ["", "delete"])
def test_bulk_knows_two_verbs(alice, verb):
    stream = build.stream(alice)
    assert said(bulk(alice, verb, stream)) == ["Tick the streams first."]
    assert Stream.objects.filter(pk=stream.pk).exists()
