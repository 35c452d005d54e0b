"""The page of a schedule, as a browser without JavaScript uses it."""

from datetime import UTC, datetime, time, timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEntry, User
from streams import actions, pages, schedule_spec, scheduling, stopping, upcoming
from streams.models import Occurrence, Run, Schedule, Status, Stream
from streams.schedule import Once, Weekly, daily
from streams.schedule_spec import ScheduleSpec
from streams.tests import build
from streams.tests.pages import assert_login_wanted, browser, said
from streams.views import schedule as schedule_page

TOMORROW = (timezone.now() + timedelta(days=1)).replace(second=0, microsecond=0, tzinfo=None)
EVENING = Weekly(frozenset([4, 5]), time(20), time(1))


def url(stream, name="schedule") -> str:
    return reverse(f"streams:{name}", args=[stream.pk])


def filled(weekly=(), once=(), zone="Europe/Berlin", remove=(), **more) -> dict:
    """What the page's form sends: each list of windows, and the blank one beneath."""
    sent = {"zone": zone} | more
    for prefix, rows in (("weekly", weekly), ("once", once)):
        sent |= {f"{prefix}-TOTAL_FORMS": len(rows) + 1, f"{prefix}-INITIAL_FORMS": len(rows) if remove else 0}
        for number, row in enumerate(rows):
            sent |= {f"{prefix}-{number}-{name}": value for name, value in row.items()}
    return sent | {f"{name}-DELETE": "on" for name in remove}


def week(days, opens, closes) -> dict:
    return {"days": [str(day) for day in days], "opens": opens, "closes": closes}


def single(starts: datetime, ends: datetime) -> dict:
    return {"starts": f"{starts:%Y-%m-%dT%H:%M}", "ends": f"{ends:%Y-%m-%dT%H:%M}"}


def save(user, stream, *args, **kwargs):
    return browser(user).post(url(stream), filled(*args, **kwargs), follow=True)


def stored(stream) -> ScheduleSpec:
    return schedule_spec.spec_of(Schedule.objects.get(stream=stream))


def page(user, stream, client=None) -> str:
    return " ".join((client or browser(user)).get(url(stream)).content.decode().split())


@pytest.fixture
def scheduled(stream, alice):
    actions.set_schedule(stream, ScheduleSpec("Europe/Berlin", (EVENING,)), alice)
    return stream


@pytest.mark.parametrize("name", ["schedule", "schedule_clear"])
def test_it_asks_for_login(stream, name):
    assert_login_wanted(url(stream, name))


@pytest.mark.parametrize("name", ["schedule", "schedule_clear"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_stranger_sees_and_changes_nothing(scheduled, bob, name, method):
    assert getattr(browser(bob), method)(url(scheduled, name), filled([week([0], "10:00", "11:00")])).status_code == 404
    assert stored(scheduled).rules == (EVENING,)


def test_other_methods_are_refused(stream, alice):
    assert browser(alice).delete(url(stream)).status_code == 405
    assert browser(alice).put(url(stream, "schedule_clear")).status_code == 405


def test_an_operator_sets_it_too_and_it_is_written_down(stream, operator):
    assert said(save(operator, stream, [week([0], "10:00", "11:00")])) == ["Schedule saved."]
    entry = AuditEntry.objects.get(verb="set schedule")
    assert (entry.actor, entry.target_id) == (operator, str(stream.pk))


def test_windows_of_both_kinds_are_saved(stream, alice):
    ends = TOMORROW + timedelta(hours=30)
    save(alice, stream, [week([4, 5], "20:00", "01:00"), week(range(7), "06:00", "07:30")], [single(TOMORROW, ends)])
    wanted = (EVENING, daily(time(6), time(7, 30)), Once(TOMORROW, ends))
    assert stored(stream) == ScheduleSpec("Europe/Berlin", wanted)


def test_what_is_shown_can_be_sent_back_and_nothing_has_moved(scheduled, alice):
    """From an account in another zone, at the other end of the world."""
    once = Once(TOMORROW, TOMORROW + timedelta(hours=2))
    actions.set_schedule(scheduled, ScheduleSpec("Europe/Berlin", (EVENING, once)), alice)
    before = Schedule.objects.values().get()
    User.objects.update(time_zone="Asia/Ho_Chi_Minh")
    form = browser(alice).get(url(scheduled)).context["forms"]
    sent = {"zone": form.zone["zone"].value()}
    for formset in (form.weekly, form.once):
        sent |= {f"{formset.prefix}-TOTAL_FORMS": 2, f"{formset.prefix}-INITIAL_FORMS": 1}
        shown = formset.initial_forms[0]
        for field in (field for field in shown if field.name != "DELETE"):
            value = field.value()
            sent[field.html_name] = value if isinstance(value, list) else field.field.widget.format_value(value)
    answer = browser(alice).post(url(scheduled), sent, follow=True)
    assert said(answer) == ["Schedule saved."]
    assert Schedule.objects.values().get() == before


def test_a_window_is_removed_and_the_last_one_cannot_be(scheduled, alice):
    two = [week([4, 5], "20:00", "01:00"), week([0], "10:00", "11:00")]
    save(alice, scheduled, two)
    save(alice, scheduled, two, remove=["weekly-0"])
    assert stored(scheduled).rules == (Weekly(frozenset([0]), time(10), time(11)),)
    answer = save(alice, scheduled, two[1:], remove=["weekly-0"])
    assert "Add at least one window." in answer.content.decode()
    assert len(stored(scheduled).rules) == 1


WRONG = [
    ({"weekly": [week([], "10:00", "11:00")]}, "Choose at least one day."),
    ({"weekly": [week([0], "", "11:00")]}, "When does it begin?"),
    ({"weekly": [week([0], "10:00", "")]}, "When does it end?"),
    ({"weekly": [week([0], "10:00", "25:00")]}, "Enter a valid time."),
    ({"weekly": [week([0], "10:00", "10:00")]}, "no length"),
    ({"weekly": [week([9], "10:00", "11:00")]}, "not one of the available choices"),
    ({"once": [single(TOMORROW, TOMORROW)]}, "The end must be after the start."),
    ({"once": [single(TOMORROW - timedelta(days=3), TOMORROW)]}, "The start is in the past."),
    ({"once": [{"starts": "tomorrow", "ends": "later"}]}, "Type a date and a time"),
    ({"weekly": [week([0], "10:00", "11:00")], "zone": "Mars/Olympus"}, "Select a valid choice."),
    ({"weekly": [week(range(7), "00:00", "12:00"), week(range(7), "12:00", "00:00")]}, "no gap"),
    ({}, "Add at least one window."),
]


@pytest.mark.parametrize(("typed", "words"), WRONG)
def test_what_is_wrong_is_said_and_what_was_typed_stays(stream, alice, typed, words):
    answer = save(alice, stream, **typed)
    html = answer.content.decode()
    assert words in html
    for row in typed.get("weekly", []):
        assert f'value="{row["opens"]}"' in html or not row["opens"]
    assert not Schedule.objects.exists()


def test_a_single_window_that_is_over_is_shown_among_the_past_not_in_the_form(scheduled, alice):
    over = {"kind": "once", "starts": "2001-01-01T10:00", "ends": "2001-01-01T11:00"}
    Schedule.objects.update(rules=[over])
    assert "2001-01-01" not in page(alice, scheduled)


def test_an_error_is_said_at_its_own_window(stream, alice):
    answer = save(
        alice, stream, [week([0], "10:00", "11:00"), week([0], "12:00", "12:00")], [single(TOMORROW, TOMORROW)]
    )
    weekly, once = answer.context["forms"].weekly, answer.context["forms"].once
    assert [bool(form.errors) for form in (*weekly, *once)] == [False, True, False, True, False]


def test_tampered_counts_are_no_crash(stream, alice):
    sent = filled([week([0], "10:00", "11:00")]) | {"weekly-TOTAL_FORMS": "many", "once-INITIAL_FORMS": "-3"}
    assert browser(alice).post(url(stream), sent).status_code == 200
    assert browser(alice).post(url(stream), {"zone": "UTC"}).status_code == 200
    assert not Schedule.objects.exists()


def test_it_is_switched_off_and_on(scheduled, alice):
    client = browser(alice)
    assert said(client.post(url(scheduled), {"do": "off"}, follow=True)) == ["The schedule is off. It is kept."]
    assert stored(scheduled) == ScheduleSpec("Europe/Berlin", (EVENING,), is_on=False)
    assert "Switch on" in page(alice, scheduled)
    assert said(client.post(url(scheduled), {"do": "on"}, follow=True)) == ["The schedule is on."]
    assert stored(scheduled).is_on


def test_saving_windows_leaves_the_switch_as_it_is(scheduled, alice):
    actions.switch_schedule(scheduled, False, alice)
    save(alice, scheduled, [week([0], "10:00", "11:00")])
    assert not stored(scheduled).is_on


def test_switching_without_one_is_said(stream, alice):
    answer = browser(alice).post(url(stream), {"do": "on"}, follow=True)
    assert said(answer) == ["This stream has no schedule."]


def test_it_is_taken_away_after_asking(scheduled, alice):
    client = browser(alice)
    assert "Its windows are forgotten" in client.get(url(scheduled, "schedule_clear")).content.decode()
    assert Schedule.objects.exists()
    client.post(url(scheduled, "schedule_clear"))
    assert not Schedule.objects.exists()


def test_a_token_is_wanted(scheduled, alice):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    for name in ("schedule", "schedule_clear"):
        assert client.post(url(scheduled, name), {"do": "off"}).status_code == 403
    assert stored(scheduled).is_on


def test_the_next_five_are_shown_in_both_zones(stream, alice, monkeypatch):
    now = datetime(2027, 3, 1, tzinfo=UTC)
    monkeypatch.setattr(schedule_page.timezone, "now", lambda: now)
    start = datetime.fromisoformat("2027-03-27T20:00")
    onces = tuple(Once(start + timedelta(days=day), start + timedelta(days=day, hours=2)) for day in range(6))
    actions.set_schedule(stream, ScheduleSpec("Europe/Berlin", onces), alice)
    User.objects.update(time_zone="America/New_York")
    html = page(alice, stream).replace(" 2027,", ",")  # said unless it is this year
    assert html.count("Europe/Berlin</span>") == 5
    for shown in ("Sat 27 Mar, 15:00", "Sun 28 Mar, 14:00", "Sun 28 Mar, 20:00"):  # Berlin's clocks change between
        assert f"{shown}</time>" in html
    assert "Thu 1 Apr" not in html


def test_in_ones_own_zone_each_is_shown_once(scheduled, alice):
    User.objects.update(time_zone="Europe/Berlin")
    assert "Europe/Berlin</span>" not in page(alice, scheduled)


def test_a_new_one_is_in_the_owners_zone_whoever_looks(stream, alice, operator):
    User.objects.filter(pk=alice.pk).update(time_zone="Asia/Tokyo")
    User.objects.filter(pk=operator.pk).update(time_zone="America/Lima")
    for user in (alice, operator):
        assert '<option value="Asia/Tokyo" selected>' in page(user, stream)


def test_queries_do_not_grow_with_windows(stream, alice, django_assert_max_num_queries):
    rules = tuple(Weekly(frozenset([day]), time(hour), time(hour + 1)) for day in range(4) for hour in (1, 5, 9, 13))
    actions.set_schedule(stream, ScheduleSpec("UTC", rules), alice)
    now = timezone.now()
    for day in range(1, 40):
        Occurrence.objects.create(
            stream=stream, starts_at=now - timedelta(days=day), ends_at=now, closed_at=now, state="missed"
        )
    client = browser(alice)
    with django_assert_max_num_queries(9):
        html = client.get(url(stream)).content.decode()
    assert html.count("status-danger") == 10


# ------------------------------------------------------------------------------------------------ in a line


@pytest.fixture
def now(db):
    return timezone.now()


@pytest.fixture
def opened(stream, alice, now):
    """A window from ten minutes ago for an hour."""
    start = (now - timedelta(minutes=10)).replace(second=0, microsecond=0)
    rule = daily(start.time(), (start + timedelta(hours=1)).time())
    actions.set_schedule(stream, ScheduleSpec("UTC", (rule,)), alice, now)
    return start


def label(stream) -> str:
    row = Stream.objects.select_related("run").get(pk=stream.pk)
    found = upcoming.of([row], timezone.now())
    return found[row.pk].label if found else ""


def test_before_the_look_it_is_due(opened, stream):
    assert label(stream) == "Due now, window open until"


def test_by_the_schedule_then_by_hand(opened, stream, alice, now):
    scheduling.check(now)
    assert label(stream) == "On air by the schedule until"
    actions.stop(stream, alice)
    stopping.take_off_air(Stream.objects.get().run_id, build.no_sleep)
    assert Stream.objects.get().state is Status.INACTIVE
    assert label(stream) == "Stopped by hand: off until"


def test_refused_it_says_why(opened, stream, alice, now):
    stream.outputs.update(enabled=False)
    scheduling.check(now)
    assert label(stream) == "Not started yet, tried until"
    assert "Every destination is switched off" in page(alice, stream)


def test_by_hand_from_before(opened, stream, vps, alice, now):
    build.running(stream, vps)
    Run.objects.update(requested_at=opened - timedelta(minutes=5))
    scheduling.check(now)
    assert label(stream) == "On air by hand: stays on air after"


def test_on_air_outside_of_every_window_is_said(scheduled, vps, alice):
    Schedule.objects.update(rules=[{"kind": "once", "starts": "2001-01-01T10:00", "ends": "2001-01-01T11:00"}])
    build.running(scheduled, vps)
    html = page(alice, scheduled)
    assert "on air outside these windows" in html
    assert "All of its windows are over." in html


def test_the_streams_page_and_the_list_say_it_too_and_lead_there(opened, stream, alice, now):
    scheduling.check(now)
    for name, args in (("show", [stream.pk]), ("list", [])):
        html = " ".join(browser(alice).get(reverse(f"streams:{name}", args=args)).content.decode().split())
        assert "On air by the schedule until" in html
    shown = pages.show_html(Stream.objects.select_related("run").get(), now)
    assert f'href="{url(stream)}"' in shown
    assert "On air by the schedule until" in shown
    assert "On air by the schedule until" in pages.rows_html([Stream.objects.select_related("run").get()], now)


def test_what_hands_did_in_a_window_is_said_on_the_streams_page(opened, stream, alice, now):
    scheduling.check(now)
    html = browser(alice).post(reverse("streams:stop", args=[stream.pk]), follow=True).content.decode()
    stopping.take_off_air(Stream.objects.get().run_id, build.no_sleep)
    html = browser(alice).get(reverse("streams:show", args=[stream.pk])).content.decode()
    assert "Stopped by hand: off until" in html


def test_without_a_schedule_the_streams_page_leads_to_one(stream, alice):
    html = browser(alice).get(reverse("streams:show", args=[stream.pk])).content.decode()
    assert f'href="{url(stream)}"' in html
    assert "next-occurrence" not in html


def test_a_window_of_another_year_says_the_year(stream, alice):
    far = TOMORROW.replace(month=1, day=15, year=TOMORROW.year + 1)
    near = Once(TOMORROW, TOMORROW + timedelta(hours=1))
    actions.set_schedule(stream, ScheduleSpec("UTC", (near, Once(far, far + timedelta(hours=1)))), alice)
    html = page(alice, stream)
    assert f"15 Jan {far.year}, {far:%H:%M}" in html
    assert f"{TOMORROW:%b}, {TOMORROW:%H:%M}" in html or TOMORROW.year != timezone.now().year


def test_off_or_without_one_there_is_no_line(stream, alice, opened):
    actions.switch_schedule(stream, False, alice)
    assert label(stream) == ""


def test_a_whole_list_is_two_queries(alice, django_assert_num_queries):
    rows = [build.stream(alice, f"stream {number}") for number in range(6)]
    for row in rows[:4]:
        actions.set_schedule(row, ScheduleSpec("UTC", (EVENING,)), alice)
    with django_assert_num_queries(2):
        found = upcoming.of(rows, timezone.now())
    assert len(found) == 4
