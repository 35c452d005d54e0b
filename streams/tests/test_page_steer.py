"""Steering and arranging as the page asks for it: by form, in place, by strangers, by two at once."""

import json
import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from agent.protocol import DestinationState, InputState
from streams import pages
from streams.models import Destination, Run, RunEvent, Stream, Via
from streams.tests import build
from streams.tests.pages import browser, said
from streams.tests.steering import answering, on_air

HTMX = {"HTTP_HX_REQUEST": "true"}


def url(name, stream, *more) -> str:
    return reverse(f"streams:{name}", args=[stream.pk, *more])


def page_of(stream, user) -> str:
    return browser(user).get(url("show", stream)).content.decode()


def section(html, name) -> str:
    return html.partition(f'id="stream-{name}"')[2].partition("</section>")[0]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("who", ["alice", "operator"])
def test_the_owner_and_an_operator_steer(request, stream, vps, who):
    on_air(stream, vps)
    second = stream.items.last()
    with answering(vps, lambda _command: {"item_id": second.pk}):
        answer = browser(request.getfixturevalue(who)).post(
            url("steer", stream), {"order": "next", "next": url("show", stream)}, follow=True
        )
    assert said(answer) == ["Now playing «clip 1»."]
    assert "Skipped to the next item" in answer.content.decode()


@pytest.mark.django_db(transaction=True)
def test_in_place_it_answers_with_fresh_parts_and_words(stream, vps, alice):
    on_air(stream, vps)
    second = stream.items.last()
    with answering(vps):
        html = browser(alice).post(url("steer_item", stream, second.pk), {"order": "jump"}, **HTMX).content.decode()
    assert "Now playing «clip 1»." in html
    assert "clip 1" in section(html, "now")
    assert 'id="stream-state" hx-swap-oob="true"' in html


def test_what_is_older_than_the_stream_is_words_and_a_page(stream, vps, alice):
    on_air(stream, vps)
    gone = stream.items.first().pk
    stream.items.filter(pk=gone).delete()
    client, back = browser(alice), {"next": url("show", stream)}
    for name, fields in [("steer_item", {"order": "jump"}), ("move_item", {"way": "up"}), ("remove_item", {})]:
        answer = client.post(url(name, stream, gone), fields | back, follow=True)
        assert (answer.status_code, said(answer)) == (200, ["That item is no longer in the playlist."])
    answer = client.post(url("remove_output", stream, 10**6), back, follow=True)
    assert said(answer) == ["That destination is not part of this stream any more."]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("steer", {}),
        ("steer", {"order": "explode"}),
        ("steer", {"order": "jump", "item": "x" * 5000}),
        ("steer", {"order": "jump", "item": "9" * 18}),
        ("insert", {"file": "-1"}),
        ("insert", {"file": "٣"}),
        ("playing", {"order": "\x00"}),
        ("playing", {"loop": "maybe"}),
        ("add_output", {"destination": "9" * 40}),
    ],
)
@pytest.mark.parametrize("extra", [{}, HTMX])
def test_nonsense_is_never_a_crash(stream, vps, alice, name, fields, extra):
    on_air(stream, vps)
    assert browser(alice).post(url(name, stream), fields, **extra).status_code in (200, 302)


def test_moving_removing_and_switches_by_form(stream, alice):
    client = browser(alice)
    first, second = stream.items.all()
    client.post(url("move_item", stream, second.pk), {"way": "up"})
    assert stream.items.first() == second
    client.post(url("move_item", stream, second.pk), {"to": "1"})
    client.post(url("remove_item", stream, first.pk))
    client.post(url("playing", stream), {"loop": "0"})
    client.post(url("playing", stream), {"order": "random"})
    stream.refresh_from_db()
    assert ([item.pk for item in stream.items.all()], stream.loop, stream.order) == ([second.pk], False, "random")


def test_destinations_come_and_go_by_form(stream, alice):
    place = build.destination(alice, "Harbour")
    assert "Harbour" in page_of(stream, alice)
    browser(alice).post(url("add_output", stream), {"destination": place.pk})
    assert "Harbour" in section(page_of(stream, alice), "destinations")
    output = stream.outputs.get(destination=place)
    browser(alice).post(url("remove_output", stream, output.pk))
    assert "Harbour" not in section(page_of(stream, alice), "destinations")


def test_the_buttons_are_there_when_they_work(stream, vps, alice):
    assert url("steer", stream) not in page_of(stream, alice)
    run = on_air(stream, vps)
    html = page_of(stream, alice)
    for order in ("previous", "pause", "next", "jump", "play_next"):
        assert f'name="order" value="{order}"' in html
    Run.objects.filter(pk=run.pk).update(reported_at=build.ago(3600))
    assert 'value="pause"' not in page_of(stream, alice)


def test_the_library_to_insert_from(stream, vps, alice, bob):
    on_air(stream, vps)
    build.file(alice, "Evening news")
    build.file(alice, "Not ready", status="processing")
    build.file(bob, "Bobs news")
    whole = browser(alice).get(url("pick_next", stream)).content.decode()
    assert "Evening news" in whole
    assert "<form" in whole
    found = browser(alice).get(url("pick_next", stream), {"q": "news\x00"}, **HTMX).content.decode()
    assert "Evening news" in found
    for absent in ("Bobs news", "Not ready", "clip 0", "<html"):
        assert absent not in found
    assert "No video" in browser(alice).get(url("pick_next", stream), {"q": "zzz"}, **HTMX).content.decode()


def test_the_slate_has_a_look_of_its_own(stream, vps, alice):
    on_air(stream, vps, slate="the file is still being downloaded")
    html = page_of(stream, alice)
    assert "is-slate" in html
    assert "the file is still being downloaded" in section(html, "now")
    assert "state-card tone-warning" in html


def test_a_pause_is_told_from_other_slates(stream, vps, alice):
    on_air(stream, vps, slate="paused", paused=True)
    html = page_of(stream, alice)
    assert "until you press Resume" in section(html, "now")
    assert 'value="resume"' in html
    assert "Paused: the slate is on air" in html


def test_a_live_input_that_is_away_is_said(stream, vps, alice):
    item = stream.items.last()
    on_air(stream, vps, input=InputState(item_id=item.pk, state="away", since=1.7e9, reason="no data for 5 s"))
    now = section(page_of(stream, alice), "now")
    assert "The live input is away. no data for 5 s" in now


def test_lag_and_the_way_it_is_pushed_are_shown(stream, vps, alice):
    one, two = stream.outputs.all()
    Destination.objects.filter(pk=one.destination_id).update(via=Via.FFMPEG)
    states = (
        DestinationState(id=one.pk, state="live", since=1.7e9, bitrate_kbps=2900.0, lag_ms=1400),
        DestinationState(id=two.pk, state="live", since=1.7e9, bitrate_kbps=2900.0, lag_ms=40),
    )
    on_air(stream, vps, destinations=states)
    html = section(page_of(stream, alice), "destinations")
    assert html.count("behind") == 1
    assert "1.4 s behind" in html
    assert html.count("pushed by FFmpeg") == 1


def test_a_long_playlist_is_a_window_around_what_plays(alice, vps):
    stream = build.stream(alice, files=120)
    at = stream.items.all()[80]
    on_air(stream, vps, item_id=at.pk)
    html = section(page_of(stream, alice), "playlist")
    rows = [int(number) for number in re.findall(r'data-index="(\d+)"', html)]
    assert (rows[0], len(rows)) == (120 - pages.ITEMS_SHOWN, pages.ITEMS_SHOWN)
    assert "70 items before" in html


def test_steered_and_told_are_one_timeline(stream, vps, alice):
    run = on_air(stream, vps)
    facts = {"output": 1, "name": "YouTube", "state": "live", "off_s": 23.0}
    RunEvent.objects.create(
        stream=stream, run=run, kind="destination", facts=facts, at=timezone.now() + timedelta(seconds=1)
    )
    html = section(page_of(stream, alice), "timeline")
    words = [html.index(line) for line in ("YouTube: back on air after 23 s off air", "On air: the first bytes")]
    assert words == sorted(words)


@pytest.mark.parametrize("rows", [1, 60])
def test_the_page_costs_the_same_whatever_happened(alice, vps, client, django_assert_max_num_queries, rows):
    stream = build.stream(alice, files=rows)
    run = on_air(stream, vps)
    RunEvent.objects.bulk_create(
        RunEvent(stream=stream, run=run, kind="steered", actor=alice, facts={"order": "next"}) for _ in range(rows)
    )
    client.force_login(alice)
    with django_assert_max_num_queries(20):
        html = client.get(url("show", stream)).content.decode()
    assert section(html, "timeline").count("<li") <= 50


# ------------------------------------------------------------------------------------------------ a past run


def test_the_page_of_a_run(stream, vps, alice, bob, operator):
    run = on_air(stream, vps)
    one = stream.outputs.first()
    memory = {"outputs": {str(one.pk): {"off_s": 65.0, "off_since": None, "at": 1.0, "name": "place 0"}}}
    report = Run.objects.get(pk=run.pk).report | {"memory": memory, "items_played": 7}
    Run.objects.filter(pk=run.pk).update(report=report, log_tail=["[FFMPEG] a line"], reconnects=3)
    RunEvent.objects.create(stream=stream, run=run, kind="steered", facts={"order": "pause"}, actor=alice)
    for user in (alice, operator):
        html = browser(user).get(url("run", stream, run.pk)).content.decode()
        for words in ("1 min 5 s", "place 0", "Paused: the slate is on air", "[FFMPEG] a line", "vps-1", str(run.pk)):
            assert words in html
    assert browser(bob).get(url("run", stream, run.pk)).status_code == 404
    assert "1 min 5 s" in section(page_of(stream, alice), "runs")
    assert url("run", stream, run.pk) in page_of(stream, alice)


def test_a_run_that_never_came_on_air_has_a_page(stream, alice):
    run = build.starting_run(stream)
    assert browser(alice).get(url("run", stream, run.pk)).status_code == 200


def test_another_streams_run_is_not_this_ones(stream, vps, alice):
    run = build.running(build.stream(alice), vps)
    assert browser(alice).get(url("run", stream, run.pk)).status_code == 404


# ------------------------------------------------------------------------------------------------ by API


def post(client, path, body, method="post"):
    return getattr(client, method)(path, json.dumps(body), content_type="application/json")


@pytest.mark.django_db(transaction=True)
def test_steering_by_api(stream, vps, alice):
    on_air(stream, vps)
    client, base = browser(alice), f"/api/streams/{stream.pk}"
    second = stream.items.last()
    with answering(vps):
        answer = post(client, f"{base}/steer", {"order": "jump", "item_id": second.pk})
        assert answer.json() == {"message": "Now playing «clip 1».", "answered": True, "item_id": second.pk}
        inserted = post(client, f"{base}/insert", {"file_id": build.file(alice, "news").pk})
        assert inserted.json()["message"] == "«news» plays next."
    now = client.get(base).json()
    assert (now["now_playing"], now["now_playing_item"], now["paused"]) == ("clip 1", second.pk, False)
    assert [item["title"] for item in now["items"]] == ["clip 0", "clip 1", "news"]


def test_arranging_by_api(stream, vps, alice):
    client, base = browser(alice), f"/api/streams/{stream.pk}"
    file, place = build.file(alice, "new"), build.destination(alice, "New")
    assert [i["title"] for i in post(client, f"{base}/playlist", {"file_ids": [file.pk]}).json()["items"]] == ["new"]
    changed = post(client, base, {"loop": False, "order": "random"}, "patch").json()
    assert (changed["loop"], changed["order"]) == (False, "random")
    outputs = post(client, f"{base}/outputs", {"destination_id": place.pk}).json()["destinations"]
    new = next(each["id"] for each in outputs if each["name"] == "New")
    off = post(client, f"{base}/outputs/{new}", {"enabled": False}).json()["destinations"]
    assert next(each["enabled"] for each in off if each["id"] == new) is False
    assert len(client.delete(f"{base}/outputs/{new}").json()["destinations"]) == 2


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("steer", {"order": "explode"}, 422, "malformed"),
        ("steer", {"order": "next"}, 409, "wrong_state"),
        ("playlist", {"file_ids": []}, 422, "invalid"),
        ("playlist", {"file_ids": ["x"]}, 422, "malformed"),
        ("playlist", {"file_ids": [10**30]}, 422, "malformed"),
        ("outputs", {"destination_id": 10**9}, 409, "gone"),
        ("insert", {"file_id": 1}, 409, "wrong_state"),
    ],
)
def test_refusals_by_api(stream, alice, path, body, status, code):
    answer = post(browser(alice), f"/api/streams/{stream.pk}/{path}", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_the_api_says_what_it_takes(alice):
    schema = browser(alice).get("/api/openapi.json").json()
    steer = schema["paths"]["/api/streams/{stream_id}/steer"]["post"]
    assert "what really happened" in steer["description"]
    assert schema["components"]["schemas"]["SteerIn"]["properties"]["order"]["enum"] == [
        "next", "previous", "jump", "play_next", "pause", "resume",
    ]  # fmt: skip
    assert not Stream.objects.exists()
