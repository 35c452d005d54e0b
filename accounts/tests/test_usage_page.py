import csv
from datetime import date, timedelta
from io import StringIO

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import GIB, UsageReport

pytestmark = pytest.mark.django_db
PAGE, CSV = "/account/usage/", "/account/usage.csv"
STREAM = {
    "id": 7, "title": "Harbour TV", "streamed_s": 165 * 3600, "wanted_s": 168 * 3600, "bytes_sent": 3 * GIB,
    "runs": 2, "failures": 1,
}  # fmt: skip


def report(user, starts_on=date(2026, 3, 1), **fields) -> UsageReport:
    whole = {
        "streamed_s": 165 * 3600, "wanted_s": 168 * 3600, "bytes_sent": 3 * GIB, "bytes_stored": GIB, "runs": 2,
        "failures": 1, "streams": [STREAM],
    }  # fmt: skip
    return UsageReport.objects.create(user=user, starts_on=starts_on, **whole | fields)


def page(client) -> str:
    return " ".join(client.get(PAGE).content.decode().replace("\N{NO-BREAK SPACE}", " ").split())


def rows(answer) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(answer.content.decode())))


@pytest.mark.parametrize("path", [PAGE, CSV])
def test_it_asks_for_login_and_for_get(client_of, alice, path):
    assert Client().get(path).status_code == 302
    assert client_of(alice).post(path).status_code == 405


def test_before_the_first_sunday_it_says_when(client_of, alice):
    html = page(client_of(alice))
    assert "No report yet" in html
    assert "Download" not in html


def test_it_shows_ones_own_weeks_and_streams(client_of, alice, bob):
    report(alice)
    report(bob, streams=[STREAM | {"title": "Bobs secret"}])
    html = page(client_of(alice))
    for shown in ("1 Mar 2026", "7 Mar 2026", "165.0 h", "98.21 %", "3 GiB", "1 GiB", "Harbour TV"):
        assert shown in html
    assert "Bobs secret" not in html


def test_the_account_page_leads_there(client_of, alice):
    assert f'href="{PAGE}"' in client_of(alice).get("/account/").content.decode()


def test_csv_has_a_row_for_the_week_and_one_for_each_stream(client_of, alice, bob):
    report(alice)
    report(alice, date(2026, 2, 22), streams=[], wanted_s=0, streamed_s=0)
    report(bob)
    answer = client_of(alice).get(CSV)
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert 'filename="ezstream-usage.csv"' in answer["Content-Disposition"]
    total, stream, empty = rows(answer)
    assert (total["week_from"], total["week_to"], total["scope"]) == ("2026-03-01", "2026-03-07", "total")
    assert (total["hours_on_air"], total["uptime_percent"], total["bytes_stored"]) == ("165.00", "98.21", str(GIB))
    assert (stream["stream_id"], stream["stream"], stream["bytes_sent"]) == ("7", "Harbour TV", str(3 * GIB))
    assert (empty["uptime_percent"], {row["user"] for row in (total, stream, empty)}) == ("", {alice.email})


@pytest.mark.parametrize("title", ['=HYPERLINK("http://x")', "+1", "-1", "@SUM(A1)", 'a "quoted", one', "ünï\ncode"])
def test_a_title_is_never_a_formula(client_of, alice, title):
    report(alice, streams=[STREAM | {"title": title}])
    kept = rows(client_of(alice).get(CSV))[1]["stream"]
    assert kept == (f"'{title}" if title[0] in "=+-@" else title)


def test_queries_do_not_grow_with_weeks(client_of, alice, django_assert_max_num_queries):
    for week in range(60):
        report(alice, date(2026, 3, 1) - timedelta(days=7 * week))
    client = client_of(alice)
    with django_assert_max_num_queries(5):
        assert "Page 1 of 3" in page(client)
    with django_assert_max_num_queries(4):
        assert len(rows(client.get(CSV))) == 120


def test_operators_see_everybody_and_take_away_what_they_chose(client_of, alice, bob, operator):
    chosen = report(alice)
    report(bob)
    client = client_of(operator)
    url = reverse("admin:accounts_usagereport_changelist")
    html = client.get(url).content.decode()
    assert alice.email in html
    assert bob.email in html
    answer = client.post(url, {"action": "download", "_selected_action": [chosen.pk]})
    assert {row["user"] for row in rows(answer)} == {alice.email}
    detail = client.get(reverse("admin:accounts_usagereport_change", args=[chosen.pk])).content.decode()
    assert "Harbour TV" in detail
