import ast
import csv
import io
from pathlib import Path

import pytest
from django.conf import settings
from django.test import RequestFactory
from django.urls import reverse

from accounts import audit
from accounts.models import AuditEntry, Package, done_words
from conftest import PASSWORD
from streams.tests import build

APPS = ("accounts", "media_library", "fleet", "streams", "ops")
HERE, THERE = "192.0.2.7", "192.0.2.8"


def request_from(address):
    return RequestFactory().get("/", REMOTE_ADDR=address)


def test_an_entry_without_a_request_has_no_address(alice):
    assert audit.record(alice, "create", alice).address is None


def test_it_takes_the_address_of_the_request_in_hand_until_it_is_answered(alice):
    with audit.during(request_from(HERE)):
        assert audit.record(alice, "create", alice).address == HERE
        assert audit.record(alice, "create", alice, request_from(THERE)).address == THERE
    assert audit.record(alice, "create", alice).address is None


@pytest.mark.parametrize("address", ["/streams/{}/start", "/api/streams/{}/start"])
def test_pages_and_api_say_where_a_start_came_from(client_of, alice, address):
    stream = build.stream(alice)
    client_of(alice).post(address.format(stream.pk), REMOTE_ADDR=HERE)
    assert AuditEntry.objects.get(verb="start").address == HERE


def test_so_does_the_operators_console(client_of, operator, alice):
    stream = build.stream(alice)
    form = {"action": "start_chosen", "_selected_action": [stream.pk], "confirmed": "yes"}
    client_of(operator).post("/admin/streams/stream/", form, REMOTE_ADDR=HERE)
    assert AuditEntry.objects.get(verb="start").address == HERE


# ------------------------------------------------------------------------------------------------ words for it


def verbs_written() -> set[str]:
    """Every verb that stands in the code as a word of its own."""
    found: set[str] = set()
    for app in APPS:
        for path in Path(settings.BASE_DIR, app).rglob("*.py"):
            if "tests" not in path.parts:
                calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
                found |= {word for call in calls for word in _verbs(call)}
    return found


def _verbs(call: ast.Call) -> list[str]:
    place = {"audit.record": 1, "_changed": 2}.get(ast.unparse(call.func))
    if place is None or len(call.args) <= place:
        return []
    words = [each for each in ast.walk(call.args[place]) if isinstance(each, ast.Constant)]
    return [] if isinstance(call.args[place], ast.JoinedStr) else [str(each.value) for each in words]


def test_every_verb_has_words_and_can_be_filtered_by():
    known = {verb for verb, _words in done_words()}
    assert len(verbs_written()) > 20
    assert verbs_written() <= known


# ------------------------------------------------------------------------------------------------ the page

LIST = reverse("admin:accounts_auditentry_changelist")
CSV = reverse("admin:accounts_auditentry_csv")


@pytest.fixture
def entries(alice, bob, operator):
    vps = build.vps("fra-1")
    audit.record(operator, "set draining", vps, request_from(HERE))
    audit.record(alice, "start", build.stream(alice, title="Night train"), request_from(THERE), run="r1")
    audit.record(bob, "rename", bob, old="=cmd()")
    audit.record(None, "miss window", build.stream(alice, title="Bells"), windows=1)


def found(client, query: str) -> set[str]:
    page = client.get(LIST + query)
    assert page.status_code == 200
    listed = {entry.verb for entry in page.context["cl"].result_list}
    table = client.get(CSV + query).content.decode()
    assert {row["did"] for row in csv.DictReader(io.StringIO(table))} == listed, "the CSV has what the list has"
    return listed


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", {"set draining", "start", "rename", "miss window"}),
        ("?by=operators", {"set draining"}),
        ("?by=users", {"start", "rename"}),
        ("?by=ezstream", {"miss window"}),
        ("?verb=rename", {"rename"}),
        ("?target_type=fleet.vps", {"set draining"}),
        ("?target_type=streams.stream&by=users", {"start"}),
        ("?q=night", {"start"}),
        ("?q=bob@example.org", {"rename"}),
        (f"?q={HERE}", {"set draining"}),
        ("?q=nobody", set()),
    ],
)
def test_who_did_what_to_what_is_found_and_taken_away(client_of, operator, entries, query, wanted):
    assert found(client_of(operator), query) == wanted


def test_a_line_says_it_in_words_and_leads_there(client_of, operator, entries):
    page = client_of(operator).get(LIST).content.decode()
    for words in ["Drained", "fra-1", HERE, "EZStream itself", "run: r1", "/admin/fleet/vps/"]:
        assert words in page


def test_a_spreadsheet_computes_nothing(client_of, operator, alice):
    audit.record(alice, "create", build.stream(alice, title="=cmd()"))
    table = client_of(operator).get(CSV).content.decode()
    assert "'=cmd()" in table


def test_its_queries_do_not_grow(client_of, operator, alice, django_assert_max_num_queries):
    client = client_of(operator)
    for _ in range(60):
        audit.record(alice, "create", alice)
    with django_assert_max_num_queries(10):
        client.get(LIST)


def test_nobody_but_operators_takes_it_away(client_of, alice):
    assert client_of(alice).get(CSV).status_code == 302


# ------------------------------------------------------------------------------------------------ what was missing


def test_an_operator_who_sets_a_password_is_written_down(client_of, operator, alice):
    address = reverse("admin:auth_user_password_change", args=[alice.pk])
    client = client_of(operator)
    client.post(address, {"usable_password": "true", "password1": "x", "password2": "y"})
    assert not AuditEntry.objects.filter(verb="set password").exists()
    client.post(address, {"usable_password": "true", "password1": PASSWORD + "!", "password2": PASSWORD + "!"})
    entry = AuditEntry.objects.get(verb="set password")
    assert (entry.actor, entry.target_name) == (operator, "alice@example.org")
    assert PASSWORD not in str(entry.details)


def test_a_package_that_is_deleted_is_written_down(client_of, operator):
    package = Package.objects.create(name="Old", max_storage=1, max_concurrent_streams=1)
    client_of(operator).post(reverse("admin:accounts_package_delete", args=[package.pk]), {"post": "yes"})
    assert AuditEntry.objects.get(verb="delete").target_name == "Old"
