"""Operators' pages for streams, runs and destinations."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import AuditEntry
from fleet import selection
from streams.models import Run, Status, Stream
from streams.tests import build
from streams.tests.pages import browser, said
from streams.tests.test_page_list import many

LIST = reverse("admin:streams_stream_changelist")
MOST_QUERIES = 12


def ask(operator, action, *streams, confirmed=False):
    form = {"action": action, "_selected_action": [stream.pk for stream in streams]}
    return browser(operator).post(LIST, form | ({"confirmed": "yes"} if confirmed else {}), follow=confirmed)


def test_2000_streams_take_few_queries(alice, operator, vps):
    for row in many(alice, 2000)[:3]:
        build.running(row, vps)
    client = browser(operator)
    with CaptureQueriesContext(connection) as taken:
        answer = client.get(LIST)
    assert answer.context["cl"].result_count == 2000
    assert len(taken) <= MOST_QUERIES, [query["sql"][:120] for query in taken]


@pytest.mark.parametrize("query", ["Night", "alice@", "{pk}"])
def test_streams_are_searched_by_title_owner_and_number(alice, bob, operator, query):
    wanted = build.stream(alice, title="Night train", outputs=0)
    build.stream(bob, title="Bells", outputs=0)
    answer = browser(operator).get(LIST, {"q": query.format(pk=wanted.pk)})
    assert list(answer.context["cl"].result_list) == [wanted]


@pytest.mark.parametrize("action", ["start_chosen", "stop_chosen", "force_stop_chosen"])
def test_every_verb_asks_first(stream, operator, vps, action):
    if action != "start_chosen":
        build.running(stream, vps)
    before = Stream.objects.get().status
    answer = ask(operator, action, stream)
    assert "Channel" in answer.content.decode()
    assert Stream.objects.get().status == before


@pytest.mark.parametrize(
    ("action", "after"),
    [("start_chosen", Status.STARTING), ("stop_chosen", Status.STOPPING), ("force_stop_chosen", Status.INACTIVE)],
)
def test_every_verb_is_done_when_confirmed(stream, operator, vps, action, after):
    if action != "start_chosen":
        build.running(stream, vps)
    assert said(ask(operator, action, stream, confirmed=True))[0].endswith(": done for 1 stream.")
    assert Stream.objects.get().state is after
    assert AuditEntry.objects.filter(actor=operator, target_id=str(stream.pk)).exists()


def test_what_is_refused_is_said_for_each(alice, operator, vps):
    busy, idle = build.stream(alice, title="Busy"), build.stream(alice, title="Idle")
    build.running(busy, vps)
    words = said(ask(operator, "force_stop_chosen", busy, idle, confirmed=True))
    assert len(words) == 2
    assert any("«Idle»" in each for each in words)
    assert Run.objects.get().slot_released_at is not None


def test_a_verb_on_the_stream_s_own_page(stream, operator, vps):
    build.running(stream, vps)
    target = reverse("admin:streams_stream_verb", args=[stream.pk, "force-stop"])
    client = browser(operator)
    assert "told again" in client.get(target).content.decode()
    client.post(target)
    assert Stream.objects.get().state is Status.STREAMING
    client.post(target, {"confirmed": "yes"})
    assert Stream.objects.get().state is Status.INACTIVE


@pytest.mark.parametrize("verb", ["explode", "delete"])
def test_an_unknown_verb_is_not_found(stream, operator, verb):
    target = reverse("admin:streams_stream_verb", args=[stream.pk, verb])
    assert browser(operator).post(target, {"confirmed": "yes"}).status_code == 404


def test_nobody_but_an_operator_does_it(stream, alice, vps):
    build.running(stream, vps)
    target = reverse("admin:streams_stream_verb", args=[stream.pk, "force-stop"])
    assert browser(alice).post(target, {"confirmed": "yes"}).status_code in (302, 403)
    assert Stream.objects.get().state is Status.STREAMING


def test_an_operator_changes_the_preferred_vps_alone(stream, operator, vps):
    target = reverse("admin:streams_stream_change", args=[stream.pk])
    form = {"preferred_vps": vps.pk, "title": "Hijacked", "status": "STREAMING"}
    inlines = {f"{name}-{what}_FORMS": 0 for name in ("outputs", "items") for what in ("TOTAL", "INITIAL")}
    browser(operator).post(target, form | inlines)
    stream.refresh_from_db()
    assert (stream.preferred_vps, stream.title, stream.state) == (vps, "Channel", Status.INACTIVE)


def test_a_stream_on_air_is_not_deleted(stream, operator, vps):
    build.running(stream, vps)
    target = reverse("admin:streams_stream_delete", args=[stream.pk])
    assert browser(operator).post(target, {"post": "yes"}).status_code == 403
    assert Stream.objects.exists()


def test_a_stream_at_rest_is_deleted_and_written_down(stream, operator):
    browser(operator).post(reverse("admin:streams_stream_delete", args=[stream.pk]), {"post": "yes"})
    assert not Stream.objects.exists()
    assert AuditEntry.objects.filter(actor=operator, verb="delete").exists()


def test_a_run_says_why_this_vps(stream, operator, vps):
    run = build.running(stream, vps)
    candidates = [
        selection.Candidate(vps_id=vps.pk, name="vps-1"),
        selection.Candidate(vps_id=99, name="far-away", is_reachable=False),
    ]
    Run.objects.filter(pk=run.pk).update(choice=selection.choose(candidates).as_json(), log_tail=["<b>line</b>"])
    page = browser(operator).get(reverse("admin:streams_run_change", args=[run.pk])).content.decode()
    assert "far-away" in page
    assert selection.why_not(candidates[1]) in page
    assert "&lt;b&gt;line" in page
    assert "on air" in page  # its transitions


def test_a_run_says_its_seconds_off_air_and_leads_to_its_timeline(stream, operator, vps):
    run = build.running(stream, vps)
    one = stream.outputs.first()
    outputs = {str(one.pk): {"off_s": 23.0, "off_since": None, "at": 1.0}, "999": {"off_s": 1.0, "off_since": None}}
    Run.objects.filter(pk=run.pk).update(report={"memory": {"outputs": outputs}})
    html = browser(operator).get(reverse("admin:streams_run_change", args=[run.pk])).content.decode()
    assert "place 0: 23 s" in html  # the order of the two is the database's
    assert "999: 1 s" in html
    assert reverse("streams:run", args=[stream.pk, run.pk]) in html
