"""Incidents and uptime as a page and as CSV, for the owner and for operators."""

import csv
import io
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from streams import interrupting, snapshot
from streams.models import Run, RunEvent, Status, Stream, Transition
from streams.restart import Cause
from streams.tests import build

KIND = RunEvent.Kind


def moved(run, seconds_ago, event, old, new, message=""):
    return Transition.objects.create(
        stream=run.stream, run=run, event=event, old=old, new=new, message=message, at=build.ago(seconds_ago)
    )


def bad_day(stream, vps=None):
    """On air for an hour, lost for ten minutes, one destination away for a minute, on air since."""
    run = Run.objects.create(stream=stream, vps=vps, log_tail=["the last line"])
    moved(run, 3600, "live", "STARTING", "STREAMING")
    output = stream.outputs.first()
    away = {"output": output.pk, "name": output.destination.name}
    facts = [(2000, {"state": "refused", "reason": "Wrong key."}), (1940, {"state": "live", "off_s": 60.0})]
    for ago, more in facts:
        RunEvent.objects.create(stream=stream, run=run, kind=KIND.DESTINATION, facts=away | more, at=build.ago(ago))
    moved(run, 1600, "timed_out", "STREAMING", "ERROR", "Nothing was heard of «fra-1».")
    Run.objects.filter(pk=run.pk).update(ended_at=build.ago(1600))
    moved(run, 1000, "live", "STARTING", "STREAMING")
    stream.outputs.update(created_at=build.ago(10_000))
    return run


def rows(answer):
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.content.decode())))


def test_the_page_tells_what_why_where_and_how_long(client_of, alice):
    stream = build.stream(alice, title="Night train")
    bad_day(stream, build.vps("fra-1"))
    page = client_of(alice).get(reverse("streams:incidents", args=[stream.pk])).content.decode()
    for words in ["Off air as a whole", "Nothing was heard of «fra-1».", "10 min", "place 0: off air", "Wrong key.",
                  "1 min", "the last line", "on fra-1"]:  # fmt: skip
        assert words in page, words
    streams_page = client_of(alice).get(f"/streams/{stream.pk}/").content.decode()
    assert reverse("streams:incidents", args=[stream.pk]) in streams_page


def test_where_it_happened_is_not_where_the_run_is_now(client_of, alice):
    """The first server falls silent, the run goes on at the second, whose player then ends."""
    stream = build.stream(alice)
    first, second = build.vps("fra-1"), build.vps("fra-2")
    run = build.running(stream, first)
    interrupting.interrupt(run, Cause.LOST, "nothing was heard", timezone.now(), heard_at=run.on_air_at)
    Run.objects.filter(pk=run.pk).update(vps=second)
    interrupting.on_air(Run.objects.get(), timezone.now())
    RunEvent.objects.create(stream=stream, run=run, kind=KIND.RESTARTED, facts={"times": 1}, at=timezone.now())
    found = rows(client_of(alice).get(reverse("streams:incidents_csv", args=[stream.pk])))
    assert [(row["what"], row["vps"]) for row in found[::2]] == [
        ("The player ended and was started again", "fra-2"),
        ("Off air as a whole", "fra-1"),
    ]


def test_how_long_the_slate_was_on_air_is_said_and_a_moment_is_one_time(client_of, alice):
    stream = build.stream(alice)
    run = bad_day(stream)
    for ago, seconds in ((300, 125.0), (200, 0.0)):
        facts = {"reason": "nothing to play", "seconds": seconds}
        RunEvent.objects.create(stream=stream, run=run, kind=KIND.SLATE, facts=facts, at=build.ago(ago))
    page = client_of(alice).get(reverse("streams:incidents", args=[stream.pk])).content.decode()
    moment, longer = page.split("<strong>The slate was on air</strong>")[1:3]
    assert " – <time" not in moment.split("</li>")[0]
    assert "2 min 5 s" in longer.split("</li>")[0]


def test_the_streams_page_counts_the_run_as_off_air_while_it_was_interrupted(client_of, alice):
    """Each of two destinations for a minute; the third was switched off."""
    stream = build.stream(alice, outputs=3)
    run = Run.objects.create(stream=stream, vps=build.vps(), on_air_at=build.ago(1000))
    places = {str(n): {"state": state, "at": 0, "off_s": 0.0} for n, state in enumerate(["live", "live", "disabled"])}
    Run.objects.update(report={"memory": {"outputs": places}})
    moved(run, 1000, "live", "STARTING", "STREAMING")
    moved(run, 500, "interrupted", "STREAMING", "STARTING")
    moved(run, 440, "live", "STARTING", "STREAMING")
    Run.objects.update(ended_at=build.ago(100), end_reason="stopped")
    page = client_of(alice).get(f"/streams/{stream.pk}/")
    assert [round(row.off_air_s) for row in page.context["runs"]] == [120]
    past = client_of(alice).get(reverse("streams:run", args=[stream.pk, run.pk]))
    assert [round(row["off_air_s"]) for row in past.context["destinations"]] == [60, 60, 0]


def test_while_it_is_interrupted_it_is_not_on_air_for_so_and_so_long(client_of, alice):
    run = build.running(build.stream(alice), build.vps())
    assert snapshot.load(run.stream, timezone.now()).uptime_s is not None
    interrupting.interrupt(run, Cause.LOST, "nothing was heard", timezone.now())
    fresh = Stream.objects.select_related("run").get()
    assert snapshot.load(fresh, timezone.now()).uptime_s is None


def test_a_stream_without_history_has_none(client_of, alice):
    stream = build.stream(alice)
    answer = client_of(alice).get(reverse("streams:incidents", args=[stream.pk]))
    assert "Nothing went wrong." in answer.content.decode()
    assert {day.tone for day in answer.context["days"]} == {"none"}


def test_uptime_of_what_was_on_air_before_the_page_looks_back(client_of, alice):
    stream = build.stream(alice)
    stream.outputs.update(created_at=build.ago(200 * 86_400))
    run = Run.objects.create(stream=stream)
    moved(run, 150 * 86_400, "live", "STARTING", "STREAMING")
    answer = client_of(alice).get(reverse("streams:incidents", args=[stream.pk]))
    assert [day.words for day in answer.context["days"]] == ["100 %"] * 30
    assert answer.context["days"][5].up.wanted_s == 2 * 86_400


def test_the_days_are_those_of_who_looks(client_of, alice):
    alice.time_zone = "Asia/Ho_Chi_Minh"
    alice.save()
    answer = client_of(alice).get(reverse("streams:incidents", args=[build.stream(alice).pk]))
    hanoi = (timezone.now() + timedelta(hours=7)).date()
    assert answer.context["days"][-1].day == hanoi


def test_csv_has_a_row_for_each_destination_that_was_off(client_of, alice):
    stream = build.stream(alice, title="=cmd()")
    run = bad_day(stream)
    found = rows(client_of(alice).get(reverse("streams:incidents_csv", args=[stream.pk])))
    assert [(row["what"], row["destination"], row["off_air_s"]) for row in found] == [
        ("Off air as a whole", "place 0", "600.0"),
        ("Off air as a whole", "place 1", "600.0"),
        ("place 0: off air", "place 0", "60.0"),
    ]
    assert found[0]["stream"] == "'=cmd()"
    assert found[0]["run"] == str(run.pk)


def test_operators_see_everybodys_with_what_was_off_air_first(client_of, alice, bob, operator):
    for owner, title in ((alice, "Night train"), (bob, "Bells")):
        run = bad_day(build.stream(owner, title=title))
    RunEvent.objects.create(stream=run.stream, run=run, kind=KIND.SKIPPED, facts={"name": "x.mp4"}, at=build.ago(50))
    client = client_of(operator)
    page = client.get(reverse("admin:incidents")).content.decode()
    assert all(words in page for words in ["Night train", "Bells", bob.email, "Wrong key."])
    assert "x.mp4" not in page
    assert "x.mp4" in client.get(reverse("admin:incidents") + "?all=1&days=1").content.decode()
    assert len(rows(client.get(reverse("admin:incidents_csv")))) == 6
    assert len(rows(client.get(reverse("admin:incidents_csv") + "?all=1"))) == 7


@pytest.mark.parametrize("address", ["admin:incidents", "admin:incidents_csv"])
def test_users_do_not_see_everybodys(client_of, alice, address):
    assert client_of(alice).get(reverse(address)).status_code in (302, 403)


def queries(client, address):
    with CaptureQueriesContext(connection) as found:
        assert client.get(address).status_code == 200
    return len(found)


def test_queries_do_not_grow_with_the_history(client_of, alice, operator):
    vps = build.vps()
    first, second = build.stream(alice), build.stream(alice)
    bad_day(first, vps)
    taken = [queries(client_of(alice), reverse("streams:incidents", args=[first.pk]))]
    console = [queries(client_of(operator), reverse("admin:incidents"))]
    for _ in range(5):
        bad_day(first, vps)
        bad_day(second, vps)
    taken.append(queries(client_of(alice), reverse("streams:incidents", args=[first.pk])))
    console.append(queries(client_of(operator), reverse("admin:incidents")))
    assert taken[0] == taken[1]
    assert console[0] == console[1]


def test_a_row_that_is_not_understood_breaks_nothing(client_of, alice):
    """Rows outlive the version that wrote them."""
    stream = build.stream(alice)
    run = bad_day(stream)
    for facts in ({}, {"output": "x"}, {"output": 1, "off_s": "long"}, {"times": None}):
        for kind in KIND:
            RunEvent.objects.create(stream=stream, run=run, kind=kind, facts=facts, at=build.ago(30))
    answer = client_of(alice).get(reverse("streams:incidents", args=[stream.pk]))
    assert answer.status_code == 200
    assert Status.ERROR in {row.new for row in stream.transitions.all()}
