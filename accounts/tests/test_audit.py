import pytest
from django.test import RequestFactory

from accounts import audit
from accounts.models import AuditEntry
from streams.tests import build

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
