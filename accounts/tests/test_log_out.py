import pytest

from accounts.models import AuditEntry
from accounts.tests.helpers import LOGOUT, is_logged_in

pytestmark = pytest.mark.django_db


def test_it_signs_out(client_of, alice):
    client = client_of(alice)
    response = client.post(LOGOUT)
    assert (response.status_code, response["Location"]) == (302, "/account/login/")
    assert not is_logged_in(client)
    assert AuditEntry.objects.get(actor=alice).verb == "log out"


def test_a_link_only_asks(client_of, alice):
    client = client_of(alice)
    assert "Sign out?" in client.get(LOGOUT).content.decode()
    assert is_logged_in(client)


def test_a_stranger_is_sent_to_sign_in(client):
    assert client.post(LOGOUT)["Location"] == "/account/login/"
    assert not AuditEntry.objects.exists()
