import pytest
import time_machine
from django.core import mail
from django.test import Client

from accounts.models import AuditEntry, User
from accounts.tests.helpers import NEW_PASSWORD, RESET, errors_of, is_logged_in, link_in_last_mail, log_in

pytestmark = pytest.mark.django_db


def ask(client, email="alice@example.org"):
    return client.post(RESET, {"email": email})


def open_link(client, link):
    """The page behind the link: the key moves into the session, so that it is in no Referer."""
    response = client.get(link)
    return response["Location"] if response.status_code == 302 else None


def choose(client, page, password=NEW_PASSWORD, again=NEW_PASSWORD):
    return client.post(page, {"password1": password, "password2": again})


@pytest.mark.parametrize("email", ["alice@example.org", "ALICE@Example.org"])
def test_a_new_password_by_mail(client, alice, email):
    assert ask(client, email)["Location"] == "/account/password/reset/done/"
    assert mail.outbox[-1].to == ["alice@example.org"]
    assert mail.outbox[-1].subject == "Choose a new password for EZStream"
    page = open_link(client, link_in_last_mail())
    assert choose(client, page)["Location"] == "/account/password/reset/key/done/"
    alice.refresh_from_db()
    assert alice.check_password(NEW_PASSWORD)
    assert mail.outbox[-1].subject == "Your EZStream password was reset"
    assert AuditEntry.objects.filter(target_id=str(alice.pk), verb="change password").exists()
    log_in(client, password=NEW_PASSWORD)
    assert is_logged_in(client)


def test_other_sessions_end(client, client_of, alice):
    elsewhere = client_of(alice)
    ask(client)
    choose(client, open_link(client, link_in_last_mail()))
    assert elsewhere.get("/account/").status_code == 302


def test_an_unknown_address_gets_the_same_answer_and_a_mail_that_says_so(client, alice):
    known, unknown = ask(client), ask(client, "nobody@example.org")
    assert (known.status_code, known["Location"]) == (unknown.status_code, unknown["Location"])
    assert mail.outbox[-1].subject == "No EZStream account with this e-mail"


def test_a_switched_off_account_gets_no_link(client, alice):
    User.objects.filter(pk=alice.pk).update(is_active=False)
    ask(client)
    assert "password/reset/key" not in mail.outbox[-1].body


def test_no_link_goes_to_an_address_somebody_only_asked_to_change_to(client, alice):
    alice.emailaddress_set.create(email="typo@example.net")
    ask(client, "typo@example.net")
    assert "password/reset/key" not in mail.outbox[-1].body


def test_a_link_works_once(client, alice):
    ask(client)
    link = link_in_last_mail()
    choose(client, open_link(client, link))
    html = Client().get(link).content.decode()
    assert "This link does not work any more" in html


def test_a_link_works_for_a_day(client, alice):
    with time_machine.travel("2027-01-01T12:00Z", tick=False) as clock:
        ask(client)
        link = link_in_last_mail()
        clock.shift(24 * 3600)
        assert open_link(client, link)
        clock.shift(1)
        assert not open_link(Client(), link)


def test_a_changed_link_is_refused(client, alice):
    ask(client)
    response = client.get(link_in_last_mail()[:-3] + "xx/")
    assert "This link does not work any more" in response.content.decode()


@pytest.mark.parametrize(
    ("password", "again", "field", "message"),
    [
        ("short", "short", "password1", "at least 8 characters"),
        (NEW_PASSWORD, "another", "password2", "You must type the same password each time."),
    ],
)
def test_wrong_input_is_said_beside_its_field(client, alice, password, again, field, message):
    ask(client)
    response = choose(client, open_link(client, link_in_last_mail()), password, again)
    assert message in errors_of(response, field)


def test_a_wrong_address_is_said_beside_its_field(client):
    assert "Enter a valid email address." in errors_of(ask(client, "nonsense"), "email")
    assert not mail.outbox


def test_asking_too_often_is_refused(client, alice):
    codes = [ask(client).status_code for _ in range(6)]
    assert codes == [302] * 5 + [429]
    assert len(mail.outbox) == 5
