"""After a failure a stream goes on where it was, or begins anew; while it waits it may be tried at once."""

from dataclasses import asdict
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from streams import actions, interrupting, lifecycle, resume, starting
from streams.errors import WrongState
from streams.lifecycle import Event
from streams.models import EndReason, Run, Status, Stream
from streams.resume import Place
from streams.snapshot import load
from streams.tests import build
from streams.tests.pages import browser

ITEM = {"item_id": 7, "duration_s": 600.0, "next_item_ids": [8, 7]}
CASES = {
    "nothing was on air": ({"item_id": None}, 0.0, None),
    "in the middle": ({**ITEM, "position_s": 100.04}, 0.0, Place(7, 100.0)),
    "and a bit further": ({**ITEM, "position_s": 100.0}, 4.0, Place(7, 104.0)),
    "just begun: from its beginning": ({**ITEM, "position_s": 4.9}, 0.0, Place(7)),
    "as good as over: the next one": ({**ITEM, "position_s": 598.0}, 0.0, Place(8)),
    "over since": ({**ITEM, "position_s": 590.0}, 20.0, Place(8)),
    "the only one: over again": ({**ITEM, "position_s": 599.0, "next_item_ids": []}, 0.0, Place(7)),
    "a live input has no position": ({"item_id": 9, "position_s": 5000.0, "duration_s": None}, 0.0, Place(9)),
    "behind the slate time stands still": ({**ITEM, "position_s": 100.0, "slate": "why"}, 9.0, Place(7, 100.0)),
    "paused, too": ({**ITEM, "position_s": 100.0, "paused": True}, 9.0, Place(7, 100.0)),
}


@pytest.mark.parametrize("case", CASES)
def test_cases(case):
    report, elapsed_s, wanted = CASES[case]
    assert resume.place(report, elapsed_s) == wanted


@pytest.mark.parametrize(
    ("report", "elapsed_s", "left_s"),
    [
        ({**ITEM, "position_s": 590.0}, 4.0, 6.0),
        ({**ITEM, "position_s": 590.0}, 40.0, 0.0),
        ({**ITEM, "slate": "why"}, 0.0, None),
        ({"item_id": 9, "duration_s": None}, 0.0, None),
        ({}, 0.0, None),
    ],
)
def test_how_long_until_the_item_ends(report, elapsed_s, left_s):
    assert resume.left_s(report, elapsed_s) == left_s


@pytest.fixture
def failed(alice, vps):
    """Failed 65 s into its second video."""
    stream = build.stream(alice, files=3)
    run = build.running(stream, vps)
    item = stream.items.all()[1]
    report = build.report(run, item_id=item.pk, position_s=65.0, duration_s=600.0)
    Run.objects.filter(pk=run.pk).update(report=asdict(report))
    lifecycle.fire(stream.pk, Event.FAILED, run_id=run.pk, message="the playout failed 4 times: killed")
    return Stream.objects.select_related("run").get()


def test_it_goes_on_there(failed, alice, ear):
    run = build.start_fully(failed, alice)
    second = failed.items.all()[1].pk
    assert (run.first_item_id, run.first_position_s) == (second, 65.0)
    config = ear.heard()[-1].config
    assert (config.begin_item_id, config.begin_at_s) == (second, 65.0)


def test_or_from_the_beginning(failed, alice, ear):
    run = actions.start(failed, alice, from_beginning=True)
    starting.put_on_air(run.pk, build.no_sleep)
    config = ear.heard()[-1].config
    assert (config.begin_item_id, config.begin_at_s) == (None, 0.0)
    assert [file.item_id for file in config.video_files] == [item.pk for item in failed.items.all()]


def test_an_item_that_has_left_the_list_is_not_gone_on_with(failed, alice):
    failed.items.all()[1].delete()
    assert actions.start(failed, alice).first_item_id is None
    assert load(Stream.objects.get(), timezone.now()).resume is None


def test_one_that_fails_again_before_it_is_on_air_keeps_its_place(failed, alice, vps):
    run = build.start_fully(failed, alice)
    interrupting.interrupt(run, interrupting.Cause.HOPELESS, "no", timezone.now())
    assert load(Stream.objects.get(), timezone.now()).resume.position_s == 65.0


def test_the_page_offers_both_and_says_what_to_do(failed, alice):
    page = browser(alice).get(reverse("streams:show", args=[failed.pk])).content.decode()
    for words in [
        "the playout failed 4 times: killed",
        "Resume at «clip 1»",
        "It goes on 1:05 into the video.",
        "Start from the beginning",
        "What to do",
        "Put right what is named here",
    ]:
        assert words in page


@pytest.mark.parametrize("reason", [EndReason.NO_VPS, EndReason.LOST, EndReason.SILENT, EndReason.FAILED])
def test_there_is_something_to_do_about_every_failure(failed, reason):
    Run.objects.update(end_reason=reason)
    assert load(Stream.objects.get(), timezone.now()).advice


def test_by_button(failed, alice):
    start = reverse("streams:start", args=[failed.pk])
    browser(alice).post(start, {"from": "beginning"})
    assert Stream.objects.get().run.first_item_id is None


def test_by_api(failed, alice):
    client = browser(alice)
    shown = client.get(f"/api/streams/{failed.pk}").json()
    assert shown["resume"] == {"item_id": failed.items.all()[1].pk, "title": "clip 1", "position_s": 65.0}
    client.post(f"/api/streams/{failed.pk}/start?from_beginning=true")
    assert Stream.objects.get().run.first_item_id is None


def test_by_api_it_resumes_unless_told_otherwise(failed, alice):
    answer = browser(alice).post(f"/api/streams/{failed.pk}/start").json()
    assert answer["resume"] is None
    assert Stream.objects.get().run.first_position_s == 65.0


# ------------------------------------------------------------------------------------------------ the next try


@pytest.fixture
def waiting(stream, vps):
    run = build.running(stream, vps)
    interrupting.interrupt(run, interrupting.Cause.GAVE_UP, "the playout failed", timezone.now())
    return Run.objects.select_related("stream").get()


def test_it_is_tried_now_and_that_is_its_try(waiting, alice, ear):
    actions.try_now(waiting.stream, alice)
    starting.put_on_air(waiting.pk, build.no_sleep)
    waiting.refresh_from_db()
    assert len(ear.heard()) == 1
    assert (waiting.tries, waiting.retry_at, waiting.stream.state) == (1, None, Status.STARTING)


def test_who_does_not_wait_is_not_tried(stream, vps, alice):
    with pytest.raises(WrongState):
        actions.try_now(stream, alice)
    build.running(stream, vps)
    with pytest.raises(WrongState):
        actions.try_now(stream, alice)


def test_the_page_counts_down_and_offers_it(waiting, alice):
    Run.objects.update(retry_at=timezone.now() + timedelta(seconds=28.4))
    page = browser(alice).get(reverse("streams:show", args=[waiting.stream_id])).content.decode()
    assert "Try 1 of 30 at" in page
    assert 'data-countdown="28"' in page
    assert f'formaction="{reverse("streams:retry", args=[waiting.stream_id])}"' in page
    assert f'formaction="{reverse("streams:stop", args=[waiting.stream_id])}"' in page


def test_by_button_and_by_api(waiting, alice):
    client = browser(alice)
    assert client.get(f"/api/streams/{waiting.stream_id}").json()["retry"]["number"] == 1
    answer = client.post(f"/api/streams/{waiting.stream_id}/retry")
    assert (answer.status_code, answer.json()["retry"]) == (200, None)
    again = client.post(f"/api/streams/{waiting.stream_id}/retry")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "wrong_state")
    Run.objects.update(retry_at=timezone.now() + timedelta(seconds=30))
    client.post(reverse("streams:retry", args=[waiting.stream_id]))
    assert Run.objects.get().retry_at <= timezone.now()
