import re

import pytest
from django.core import mail
from django.test import Client

from accounts.models import AuditEntry, User
from accounts.tests.helpers import EMAIL, SIGNUP, errors_of, is_logged_in, link_in_last_mail, log_in, sign_up_form
from conftest import PASSWORD

pytestmark = pytest.mark.django_db


@pytest.fixture
def carol(client):
    client.post(SIGNUP, sign_up_form())
    return User.objects.get(email="carol@example.org")


def proven(client):
    """Says the password again, as a change of e-mail asks."""
    client.post("/account/reauthenticate/", {"password": PASSWORD})
    return client


def test_the_link_asks_and_the_button_confirms(client, carol):
    link = link_in_last_mail()
    assert "Is carol@example.org yours?" in client.get(link).content.decode()
    carol.refresh_from_db()
    assert carol.email_verified_at is None
    assert client.post(link)["Location"] == "/account/"
    carol.refresh_from_db()
    assert carol.email_verified_at is not None
    assert AuditEntry.objects.filter(actor=carol, verb="verify e-mail").exists()


def test_it_works_in_another_browser(carol):
    stranger = Client()
    assert stranger.post(link_in_last_mail())["Location"] == "/account/login/"
    carol.refresh_from_db()
    assert carol.email_verified_at is not None
    assert not is_logged_in(stranger)


def test_a_link_works_once(client, carol):
    link = link_in_last_mail()
    client.post(link)
    assert "This link does not work any more" in client.get(link).content.decode()


def test_a_changed_link_is_refused(client, carol):
    assert "This link does not work any more" in client.get("/account/confirm-email/abc:def/").content.decode()
    assert client.post("/account/confirm-email/abc:def/").status_code == 404


def test_where_it_is_required_nobody_gets_in_before(client, settings):
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    assert client.post(SIGNUP, sign_up_form())["Location"] == "/account/confirm-email/"
    assert not is_logged_in(client)
    assert log_in(client, "carol@example.org")["Location"] == "/account/confirm-email/"
    assert not is_logged_in(client)
    client.post(link_in_last_mail())
    log_in(client, "carol@example.org")
    assert is_logged_in(client)


def test_changing_the_email_waits_for_the_new_address(client, carol):
    client.post(link_in_last_mail())
    carol.refresh_from_db()
    first = carol.email_verified_at
    proven(client).post(EMAIL, {"action_add": "1", "email": "New@Example.org"})
    assert mail.outbox[-1].to == ["new@example.org"]
    carol.refresh_from_db()
    assert carol.email == "carol@example.org"
    client.post(confirm_link())
    carol.refresh_from_db()
    assert carol.email == "new@example.org"
    assert carol.email_verified_at > first
    assert [row.email for row in carol.emailaddress_set.all()] == ["new@example.org"]


def confirm_link():
    """The newest confirmation link: a notification may have been sent after it."""
    bodies = [message.body for message in mail.outbox if "/confirm-email/" in message.body]
    return re.search(r"http://testserver(/\S+)", bodies[-1])[1]


def test_the_old_address_is_told(client, carol):
    client.post(link_in_last_mail())
    proven(client).post(EMAIL, {"action_add": "1", "email": "new@example.org"})
    client.post(confirm_link())
    told = [message for message in mail.outbox if message.subject == "Your EZStream e-mail was changed"]
    assert [message.to for message in told] == [["carol@example.org"]]


def test_an_unconfirmed_account_keeps_its_email_until_the_new_one_answers(client, carol):
    proven(client).post(EMAIL, {"action_add": "1", "email": "new@example.org"})
    carol.refresh_from_db()
    assert carol.email == "carol@example.org"
    html = client.get(EMAIL).content.decode()
    assert "carol@example.org" in html
    assert "new@example.org" in html


def test_a_change_can_be_cancelled(client, carol):
    proven(client).post(EMAIL, {"action_add": "1", "email": "new@example.org"})
    client.post(EMAIL, {"action_remove": "1", "email": "new@example.org"})
    assert [row.email for row in carol.emailaddress_set.all()] == ["carol@example.org"]


def test_changing_it_asks_for_the_password(client_of, alice):
    client = client_of(alice)
    response = client.post(EMAIL, {"action_add": "1", "email": "new@example.org"})
    assert response["Location"].startswith("/account/reauthenticate/")
    ask_again = response["Location"]
    wrong = client.post(ask_again, {"password": "wrong one"})
    assert "This is not your password." in errors_of(wrong, "password")
    client.post(ask_again, {"password": PASSWORD}, follow=True)
    assert mail.outbox[-1].to == ["new@example.org"]


def test_nobody_takes_over_an_address_that_became_somebody_elses(client, carol, bob):
    proven(client).post(EMAIL, {"action_add": "1", "email": "late@example.org"})
    link = confirm_link()
    User.objects.filter(pk=bob.pk).update(email="late@example.org")
    client.post(link)
    carol.refresh_from_db()
    assert carol.email == "carol@example.org"


def test_a_stranger_is_sent_to_sign_in():
    assert Client().get(EMAIL)["Location"].startswith("/account/login/")
