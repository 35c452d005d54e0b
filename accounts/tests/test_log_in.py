from urllib.parse import unquote

import pytest
from django.test import Client

from accounts.models import AuditEntry, SignIn, User
from accounts.tests.helpers import LOGIN, errors_of, is_logged_in, log_in
from conftest import PASSWORD

pytestmark = pytest.mark.django_db
THIRTY_DAYS = 30 * 24 * 3600


@pytest.mark.parametrize("email", ["alice@example.org", "ALICE@Example.Org", " alice@example.org "])
def test_it_signs_in_whatever_the_case(client, alice, email):
    response = log_in(client, email)
    assert (response.status_code, response["Location"]) == (302, "/")
    assert client.session["_auth_user_id"] == str(alice.pk)


def test_a_user_stored_by_any_road_is_found(client):
    user = User(email="Mixed@Example.Org", name="M")
    user.set_password(PASSWORD)
    user.save()
    log_in(client, "mixed@example.org")
    assert is_logged_in(client)


def test_without_remember_me_the_session_ends_with_the_browser(client, alice):
    log_in(client)
    assert client.session.get_expire_at_browser_close()
    assert client.cookies["sessionid"]["max-age"] == ""


def test_with_remember_me_it_lasts_thirty_days(client, alice):
    log_in(client, remember=True)
    assert client.cookies["sessionid"]["max-age"] == THIRTY_DAYS


@pytest.mark.parametrize(
    ("email", "password"), [("alice@example.org", "wrong password"), ("nobody@example.org", "wrong password")]
)
def test_a_wrong_password_and_an_unknown_account_read_the_same(client, alice, email, password):
    response = log_in(client, email, password)
    assert response.status_code == 200
    assert "This e-mail and password do not belong together." in response.content.decode()
    assert not is_logged_in(client)


def test_missing_input_is_said_beside_its_field(client):
    response = client.post(LOGIN, {})
    assert "This field is required." in errors_of(response, "login")
    assert "This field is required." in errors_of(response, "password")


def test_a_switched_off_account_is_told_so_and_stays_out(client, alice):
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert log_in(client)["Location"] == "/account/inactive/"
    assert not is_logged_in(client)
    assert "Account switched off" in client.get("/account/inactive/").content.decode()


def test_attempts_are_remembered_with_address_and_browser(client, alice):
    log_in(client, password="wrong", address="192.0.2.7")
    client.post(
        LOGIN,
        {"login": alice.email, "password": PASSWORD},
        REMOTE_ADDR="192.0.2.8",
        HTTP_USER_AGENT="Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    )
    rows = SignIn.objects.filter(user=alice).order_by("id")
    assert [(row.succeeded, row.address) for row in rows] == [(False, "192.0.2.7"), (True, "192.0.2.8")]
    assert rows[1].browser == "Firefox, Linux"
    assert AuditEntry.objects.get(verb="log in").address == "192.0.2.8"


def test_attempts_on_unknown_accounts_leave_no_rows(client):
    log_in(client, "nobody@example.org", "wrong")
    assert not SignIn.objects.exists()


def test_the_browsers_time_zone_is_taken_when_none_is_known(client, alice):
    client.cookies["time_zone"] = "America%2FNew_York"
    log_in(client)
    alice.refresh_from_db()
    assert alice.time_zone == "America/New_York"


def test_a_chosen_time_zone_stays(client, alice):
    User.objects.filter(pk=alice.pk).update(time_zone="Asia/Tokyo")
    client.cookies["time_zone"] = "America%2FNew_York"
    log_in(client)
    alice.refresh_from_db()
    assert alice.time_zone == "Asia/Tokyo"


def test_it_goes_on_to_where_one_wanted_to_go_but_never_elsewhere(client, alice):
    ask = {"login": alice.email, "password": PASSWORD}
    assert client.post(LOGIN, ask | {"next": "/account/"})["Location"] == "/account/"
    assert Client().post(LOGIN, ask | {"next": "https://evil.example/"})["Location"] == "/"


def test_other_methods_are_refused(client):
    assert client.delete(LOGIN).status_code == 405


def test_it_needs_a_csrf_token(alice):
    client = Client(enforce_csrf_checks=True)
    assert log_in(client).status_code == 403


def test_operators_sign_in_here_too(client, operator):
    response = client.get("/admin/")
    assert response.status_code == 302
    login = client.get(response["Location"], follow=True)
    assert unquote(login.redirect_chain[-1][0]) == "/account/login/?next=/admin/"


def test_the_console_is_closed_to_users(client_of, alice):
    response = client_of(alice).get("/admin/", follow=True)
    assert response.status_code == 403
    assert "Not allowed" in response.content.decode()
