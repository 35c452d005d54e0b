"""A VPS's page: what it says, its curves, its buttons, and a stream started on it."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEntry
from agent.protocol import Answered, ProcessFacts
from fleet import asking, history
from fleet.errors import TooOld
from fleet.history import Reading
from fleet.models import OutsideLook, ProvisionRun, RedisUser, RunStatus, Vps, VpsStatus
from ops import vps_page, vps_views
from streams.models import EndReason, Run, Status
from streams.tests import build


@pytest.fixture
def client(client_of, operator):
    return client_of(operator)


@pytest.fixture
def vps(db):
    return build.vps("fra-1", agent_version="0.1.0", agent_protocol=1, clock_offset_s=0.25, latency_ms=23)


def address(name: str, vps, *more) -> str:
    return reverse(f"admin:{name}", args=[vps.pk, *more])


def text(answer) -> str:
    assert answer.status_code == 200
    return answer.content.decode()


def test_what_it_says(client, vps, alice):
    build.running(build.stream(alice, title="Night train"), vps)
    ended = build.running(build.stream(alice, title="Bells"), vps)
    now = timezone.now()
    Run.objects.filter(pk=ended.pk).update(
        ended_at=now, slot_released_at=now, end_reason=EndReason.LOST, end_message="nothing was heard"
    )
    Vps.objects.update(unhealthy="disk 97 % full", last_health_check_at=now - timedelta(minutes=3))
    page = text(client.get(address("vps", vps)))
    for words in [
        "Night train", "1<small> / 4", "disk 97 % full", "3 minutes ago", "protocol 1", "0.25 s ahead of ours",
        "23 ms", "Bells", "nothing was heard", "the VPS was lost", "Nothing to draw yet",
    ]:  # fmt: skip
        assert words in page


def test_its_queries_do_not_grow(client, vps, alice):
    def taken() -> int:
        with CaptureQueriesContext(connection) as queries:
            client.get(address("vps", vps))
        return len(queries)

    build.running(build.stream(alice), vps)
    one = taken()
    for number in range(3):
        build.running(build.stream(alice, title=f"more {number}"), vps)
    assert taken() == one <= 20


def test_it_stands_without_redis(client, vps, no_redis):
    assert "fra-1" in text(client.get(address("vps", vps)))
    assert client.get(address("vps_load", vps)).status_code == 503


# ------------------------------------------------------------------------------------------------ from outside


def look(vps, **fields) -> None:
    at = timezone.now() - timedelta(minutes=4)
    values = {"looked_at": at, "seen_at": at, "load": "0.52 0.48 0.40", "cores": 2, "memory": 25.4, "disk": 31.6}
    more = {"agent": "active", "nginx": "failed (exit-code)", "redis": "no answer in time", "clock_offset_s": -7.0}
    OutsideLook.objects.update_or_create(vps=vps, defaults=values | more | fields)
    Vps.objects.filter(pk=vps.pk).update(sealed_password="x")


def test_how_it_was_seen_from_outside(client, vps):
    look(vps, needs_reboot=True)
    page = text(client.get(address("vps", vps)))
    for words in [
        "4 minutes ago", "0.52 0.48 0.40", "2 cores", "25 %", "32 %", "failed (exit-code)", "no answer in time",
        "-7 s ahead of ours", "reboot it, and let it take streams",
    ]:  # fmt: skip
        assert words in page


def test_that_it_is_not_seen_is_said_with_when_it_was(client, vps):
    since = timezone.now() - timedelta(hours=3)
    look(vps, trouble="<b>It says nothing.", trouble_since=since, seen_at=since)
    page = text(client.get(address("vps", vps)))
    for words in [
        "SSH: &lt;b&gt;It says nothing.",
        "first failed 3 hours ago",
        "4 minutes ago",
        "is from then",
        "takes streams",
    ]:
        assert words in page
    look(vps, trouble="It says nothing.", trouble_since=since, seen_at=None)
    assert "0.52 0.48" not in text(client.get(address("vps", vps)))


def test_one_that_cannot_be_looked_at_says_so(client, vps):
    assert "No login is known: it is judged by its heartbeats alone." in text(client.get(address("vps", vps)))
    Vps.objects.update(sealed_password="x")
    assert "It was not looked at yet." in text(client.get(address("vps", vps)))
    Vps.objects.update(is_local=True)
    assert "This machine is not looked at by SSH" in text(client.get(address("vps", vps)))


# ------------------------------------------------------------------------------------------------ curves


def test_the_curves_of_an_hour_and_of_a_day(client, vps):
    minute = history.minute_of(timezone.now())
    history.keep({minute - back: {vps.pk: Reading(back % 4, 20, 30, 40, 2)} for back in range(1, 120)})
    hour = client.get(address("vps_load", vps)).json()
    assert len(hour["moments"]) == len(hour["cpu"]) == 60
    assert hour["moments"][-1] - hour["moments"][0] == 59 * 60
    assert (hour["mbit"][10], hour["streams"][10]) == (40, 2)
    day = client.get(address("vps_load", vps) + "?hours=24").json()
    assert len(day["moments"]) == vps_page.POINTS
    assert day["cpu"][0] is None
    assert day["cpu"][-2] == pytest.approx(1.5)
    assert client.get(address("vps_load", vps) + "?hours=9999").json()["moments"] == hour["moments"]


def test_the_hour_in_words(client, vps):
    minute = history.minute_of(timezone.now())
    history.keep({minute - back: {vps.pk: Reading(cpu, 20, 30, 40, 2)} for back, cpu in ((1, 10), (2, 30))})
    page = text(client.get(address("vps", vps)))
    assert "20.0 %" in page
    assert "30.0 %" in page


# ------------------------------------------------------------------------------------------------ asking


def test_what_its_agent_answers(client, vps, monkeypatch):
    facts = ProcessFacts(pid=811, kind="playout", cpu=1.25, memory=21_000_000, age_s=75, run_id="0f9b6c1e-6c0e")
    said = '{"time": 1790000000.5, "level": "warning", "message": "no connection", "stream": 4}'
    found = Answered(
        vps_id=1, timestamp=1, query_id="q", ok=True, message="1 process", processes=(facts,),
        lines=(said, "plain <b>", "rtmp://h/app/sesame"),
    )  # fmt: skip
    monkeypatch.setattr(asking, "ask", lambda *_args, **_more: found)
    page = text(client.get(address("vps_ask", vps, "log")))
    for words in ["811", "playout", "20 MiB", "1:15", "0f9b6c1e", "warning: no connection stream=4", "plain &lt;b&gt;"]:
        assert words in page
    assert "sesame" not in page
    part = client.get(address("vps_ask", vps, "log"), headers={"X-Live": "1"}).content.decode()
    assert "<html" not in part
    assert "811" in part


def test_one_that_cannot_say_is_told_in_words(client, vps, monkeypatch):
    def refuse(*_args, **_more):
        raise TooOld("The agent is too old to say.")

    monkeypatch.setattr(asking, "ask", refuse)
    assert "too old to say" in text(client.get(address("vps_ask", vps, "nginx")))


def test_one_that_is_not_there_and_what_nobody_asks(client, vps):
    assert "No agent listens" in text(client.get(address("vps_ask", vps, "log")))
    assert client.get(address("vps_ask", vps, "weather")).status_code == 404


def test_it_is_said_when_redis_is_away(client, vps, no_redis):
    assert "Redis does not answer." in text(client.get(address("vps_ask", vps, "log")))


@pytest.mark.parametrize(
    "line", ["", "{", "[]", "{}", '{"time": "x"}', '{"time": 1e300, "level": "a", "message": "b"}']
)
def test_any_line_is_told(line):
    assert vps_views.told(line) == line


# ------------------------------------------------------------------------------------------------ buttons


@pytest.mark.parametrize(
    ("before", "verb", "after"),
    [
        (VpsStatus.ACTIVE, "drain", VpsStatus.DRAINING),
        (VpsStatus.ACTIVE, "evacuate", VpsStatus.DRAINING),
        (VpsStatus.DRAINING, "activate", VpsStatus.ACTIVE),
        (VpsStatus.ACTIVE, "deactivate", VpsStatus.INACTIVE),
    ],
)
def test_get_asks_and_post_does(client, vps, alice, before, verb, after):
    Vps.objects.update(status=before)
    build.running(build.stream(alice, title="Night train"), vps)
    assert "Night train" in text(client.get(address("vps_verb", vps, verb)))
    vps.refresh_from_db()
    assert vps.state is before
    answer = client.post(address("vps_verb", vps, verb), follow=True)
    assert f"«fra-1» is {after.label} now." in text(answer)
    vps.refresh_from_db()
    assert vps.state is after
    assert AuditEntry.objects.filter(verb=f"set {after.value.lower()}", target_id=str(vps.pk)).count() == 1


def test_health_is_checked_now(client, vps):
    Vps.objects.update(disk=99, sealed_password="old9:AAAA")
    page = text(client.post(address("vps_verb", vps, "check"), follow=True))
    assert "disk 99 % full" in page
    assert "SSH: Its password or key does not open" in page
    assert AuditEntry.objects.filter(verb="check health").exists()


def test_remove_is_refused_in_words_while_something_is_on_it(client, vps, alice):
    run = build.running(build.stream(alice), vps)
    page = text(client.post(address("vps_verb", vps, "remove"), follow=True))
    assert "carries 1 stream. Drain it" in page
    Run.objects.filter(pk=run.pk).update(slot_released_at=timezone.now())
    answer = client.post(address("vps_verb", vps, "remove"), follow=True)
    assert answer.redirect_chain[-1][0] == reverse("admin:fleet")
    assert "«fra-1» is removed." in text(answer)
    assert client.get(address("vps", vps)).status_code == 404


def test_what_is_no_verb_is_not_there(client, vps):
    assert client.get(address("vps_verb", vps, "explode")).status_code == 404


def test_buttons_that_would_change_nothing_are_not_offered(client, vps):
    page = text(client.get(address("vps", vps)))
    assert address("vps_verb", vps, "drain") in page
    assert address("vps_verb", vps, "activate") not in page


def test_its_way_into_redis_is_closed_and_opened_again(client, vps, no_redis):
    RedisUser.objects.create(vps=vps, sealed_password="")
    done = []
    for verb in ("rotate-redis", "cut-off", "admit"):
        assert address("vps_verb", vps, verb) in text(client.get(address("vps", vps)))
        text(client.post(address("vps_verb", vps, verb), follow=True))
        done += [(RedisUser.objects.get().cut_off_at is not None, bool(RedisUser.objects.get().sealed_next_password))]
    assert done == [(False, True), (True, True), (False, False)]
    assert address("vps_verb", vps, "admit") not in text(client.get(address("vps", vps)))


@pytest.mark.django_db(transaction=True)
def test_a_cut_off_that_redis_was_not_told_of_is_not_said_to_be_done(client, vps, no_redis):
    RedisUser.objects.create(vps=vps, sealed_password="")
    page = text(client.post(address("vps_verb", vps, "cut-off"), follow=True))
    assert "noted, not done: Redis does not answer" in page
    assert "is out of Redis" not in page


def test_one_without_a_login_is_not_reached_by_ssh(client, vps):
    assert address("vps_verb", vps, "restart-agent") not in text(client.get(address("vps", vps)))
    vps.set_password("pw")
    vps.save()
    assert address("vps_verb", vps, "restart-agent") in text(client.get(address("vps", vps)))


def test_its_provisionings_are_shown(client, vps, operator):
    assert "It was never provisioned from here." in text(client.get(address("vps", vps)))
    run = ProvisionRun.objects.create(
        vps=vps, place="fra-1:22", actor=operator, status=RunStatus.FAILED, reason="No room.", ended_at=timezone.now()
    )
    page = text(client.get(address("vps", vps)))
    for words in (reverse("admin:fleet_provisionrun_change", args=[run.pk]), "No room.", operator.email):
        assert words in page
    for name in ("fleet_vps_provision", "fleet_vps_connection"):
        assert address(name, vps) in page


def test_who_may_only_look_has_no_buttons(client_of, operator, vps):
    from django.contrib.auth.models import Permission

    type(operator).objects.filter(pk=operator.pk).update(is_superuser=False)
    operator.user_permissions.add(Permission.objects.get(codename="view_vps"))
    client = client_of(type(operator).objects.get(pk=operator.pk))
    assert address("vps_verb", vps, "drain") not in text(client.get(address("vps", vps)))
    assert client.post(address("vps_verb", vps, "drain")).status_code == 403
    assert client.post(address("vps_start", vps)).status_code == 403


def test_who_may_change_a_server_may_not_therefore_remove_it(client_of, operator, vps):
    from django.contrib.auth.models import Permission

    type(operator).objects.filter(pk=operator.pk).update(is_superuser=False)
    operator.user_permissions.add(*Permission.objects.filter(codename__in=["view_vps", "change_vps"]))
    client = client_of(type(operator).objects.get(pk=operator.pk))
    page = text(client.get(address("vps", vps)))
    assert address("vps_verb", vps, "drain") in page
    for verb in ("remove", "decommission"):
        assert address("vps_verb", vps, verb) not in page
        assert client.post(address("vps_verb", vps, verb)).status_code == 403


def test_who_may_only_look_at_a_provisioning_neither_resumes_nor_cancels_it(client_of, operator, vps):
    from django.contrib.auth.models import Permission

    run = ProvisionRun.objects.create(vps=vps, place="x:22")
    type(operator).objects.filter(pk=operator.pk).update(is_superuser=False)
    operator.user_permissions.add(*Permission.objects.filter(codename__in=["view_vps", "view_provisionrun"]))
    client = client_of(type(operator).objects.get(pk=operator.pk))
    assert client.get(reverse("admin:fleet_provisionrun_change", args=[run.pk])).status_code == 200
    for verb in ("resume", "cancel"):
        assert client.post(reverse("admin:fleet_provisionrun_verb", args=[run.pk, verb])).status_code == 403
    run.refresh_from_db()
    assert not run.cancel_asked


# ------------------------------------------------------------------------------------------------ start on it


def test_a_stream_at_rest_is_started_on_it(client, vps, alice):
    build.vps("better", cpu=0)
    resting = build.stream(alice, title="Night train")
    build.running(build.stream(alice, title="Bells"), vps)
    page = text(client.get(address("vps_start", vps)))
    assert "Night train" in page
    assert "Bells" not in page
    assert "Night train" not in text(client.get(address("vps_start", vps) + "?q=lighthouse"))
    answer = client.post(address("vps_start", vps), {"stream": resting.pk}, follow=True)
    assert "«Night train» starts on «fra-1»." in text(answer)
    resting.refresh_from_db()
    assert resting.state is Status.STARTING
    assert resting.run.tested_vps == vps
    assert AuditEntry.objects.get(verb="start").details["on"] == "fra-1"


def test_a_start_that_cannot_be_is_refused_in_words(client, vps, alice):
    resting = build.stream(alice, title="Night train")
    Vps.objects.update(max_streams=0)
    page = text(client.post(address("vps_start", vps), {"stream": resting.pk}, follow=True))
    assert "fra-1 (full, 0 of 0)" in page
    for nonsense in ("", "x", "9" * 40, "-1"):
        page = text(client.post(address("vps_start", vps), {"stream": nonsense}, follow=True))
        assert "not at rest any more" in page
