import threading

import pytest
from django.core import mail
from django.db import connection
from django.test import Client

from accounts.models import AuditEntry, User
from accounts.tests.helpers import SIGNUP, errors_of, is_logged_in, log_in, sign_up_form
from conftest import PASSWORD

pytestmark = pytest.mark.django_db


def test_it_makes_an_account_and_signs_in(client):
    response = client.post(SIGNUP, sign_up_form(email="Carol@Example.ORG", name="  Carol   Carter "))
    assert response.status_code == 302
    assert response["Location"] == "/"
    carol = User.objects.get(email="carol@example.org")
    assert (carol.name, carol.time_zone, carol.plan.name) == ("Carol Carter", "Asia/Ho_Chi_Minh", "Basic")
    assert carol.password.startswith("bcrypt_sha256$$2b$12$")
    assert carol.email_verified_at is None
    assert is_logged_in(client)
    assert set(AuditEntry.objects.filter(actor=carol).values_list("verb", flat=True)) == {"register", "log in"}


def test_it_writes_a_welcome_with_a_link(client):
    client.post(SIGNUP, sign_up_form())
    (message,) = mail.outbox
    assert message.to == ["carol@example.org"]
    assert message.subject == "Welcome to EZStream: please confirm your e-mail"
    assert "Hello Carol Carter," in message.body
    assert "/account/confirm-email/" in message.body


def test_the_page_shows_the_form(client):
    html = client.get(SIGNUP).content.decode()
    for name in ("name", "email", "password1", "password2", "time_zone", "csrfmiddlewaretoken"):
        assert f'name="{name}"' in html
    assert "style=" not in html
    assert "onclick" not in html


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", "", "This field is required."),
        ("name", "x" * 121, "at most 120 characters"),
        ("email", "", "This field is required."),
        ("email", "not an address", "Enter a valid email address."),
        ("password1", "short", "at least 8 characters"),
        ("password1", "12345678901", "entirely numeric"),
        ("password1", "password123", "too common"),
        ("password1", "carolcarter", "too similar to the name"),
        ("password2", "another one", "You must type the same password each time."),
    ],
)
def test_wrong_input_is_said_beside_its_field(client, field, value, message):
    response = client.post(SIGNUP, sign_up_form(**{field: value}))
    assert response.status_code == 200
    assert message in errors_of(response, field)
    assert not User.objects.exists()


def test_an_unknown_time_zone_is_ignored(client):
    client.post(SIGNUP, sign_up_form(time_zone="Mars/Olympus"))
    assert User.objects.get().time_zone == ""


@pytest.mark.parametrize("email", ["alice@example.org", "ALICE@example.org", " Alice@Example.Org "])
def test_a_taken_email_is_refused_whatever_its_case(client, alice, email):
    response = client.post(SIGNUP, sign_up_form(email=email))
    assert "There is already an account with this e-mail." in errors_of(response, "email")
    assert User.objects.count() == 1


def test_an_email_somebody_else_only_asked_to_change_to_is_free(client, bob):
    bob.emailaddress_set.create(email="carol@example.org")
    assert client.post(SIGNUP, sign_up_form()).status_code == 302


def test_where_verification_is_required_nobody_learns_who_has_an_account(client, alice, settings):
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    new = client.post(SIGNUP, sign_up_form())
    taken = Client().post(SIGNUP, sign_up_form(email=alice.email))
    assert (new.status_code, new["Location"]) == (taken.status_code, taken["Location"])
    assert mail.outbox[-1].to == [alice.email]
    assert mail.outbox[-1].subject == "You already have an EZStream account"
    assert not is_logged_in(client)


def test_other_methods_are_refused(client):
    assert client.delete(SIGNUP).status_code == 405


def test_it_needs_a_csrf_token():
    assert Client(enforce_csrf_checks=True).post(SIGNUP, sign_up_form()).status_code == 403
    assert not User.objects.exists()


def test_who_is_signed_in_is_sent_on(client_of, alice):
    assert client_of(alice).get(SIGNUP).status_code == 302


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_registering_one_email_at_once_make_one_account(monkeypatch):
    """Both have passed the check for a taken e-mail before either is written."""
    from accounts.forms import SignupForm

    both_checked = threading.Barrier(2, timeout=20)
    check = SignupForm.validate_unique_email

    def check_then_wait(self, value):
        checked = check(self, value)
        both_checked.wait()
        return checked

    monkeypatch.setattr(SignupForm, "validate_unique_email", check_then_wait)
    answers = []

    def register():
        answers.append(Client().post(SIGNUP, sign_up_form()))
        connection.close()

    threads = [threading.Thread(target=register) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused, made = sorted(answers, key=lambda answer: answer.status_code)
    assert (refused.status_code, made.status_code) == (200, 302)
    assert "There is already an account" in errors_of(refused, "email")
    carol = User.objects.get()
    assert carol.emailaddress_set.count() == 1
    assert is_logged_in_after(carol)


def is_logged_in_after(user):
    client = Client()
    log_in(client, user.email, PASSWORD)
    return is_logged_in(client)
