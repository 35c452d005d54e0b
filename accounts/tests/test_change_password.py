import pytest
from django.core import mail

from accounts.models import AuditEntry, User
from accounts.tests.helpers import CHANGE_PASSWORD, NEW_PASSWORD, errors_of, is_logged_in
from conftest import PASSWORD

pytestmark = pytest.mark.django_db


def change(client, **changed):
    form = {"oldpassword": PASSWORD, "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    return client.post(CHANGE_PASSWORD, form | changed)


def test_it_changes_the_password_and_signs_out_elsewhere(client_of, alice):
    here, elsewhere = client_of(alice), client_of(alice)
    response = change(here)
    assert (response.status_code, response["Location"]) == (302, "/account/")
    alice.refresh_from_db()
    assert alice.check_password(NEW_PASSWORD)
    assert here.get("/account/").status_code == 200
    assert elsewhere.get("/account/").status_code == 302
    assert mail.outbox[-1].subject == "Your EZStream password was changed"
    assert AuditEntry.objects.filter(actor=alice, verb="change password").exists()


def test_it_writes_no_other_column(client_of, alice, monkeypatch):
    """An upload that ends in between must not be undone."""
    client = client_of(alice)
    set_password = User.set_password

    def set_while_an_upload_ends(self, raw):
        User.objects.filter(pk=alice.pk).update(storage_used=4096)
        set_password(self, raw)

    monkeypatch.setattr(User, "set_password", set_while_an_upload_ends)
    change(client)
    alice.refresh_from_db()
    assert alice.storage_used == 4096


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("oldpassword", "wrong one", "This is not your current password."),
        ("password1", "short", "at least 8 characters"),
        ("password1", "alicearcher", "too similar to the name"),
        ("password2", "another one", "You must type the same password each time."),
    ],
)
def test_wrong_input_is_said_beside_its_field(client_of, alice, field, value, message):
    client = client_of(alice)
    both = {"password2": value} if field == "password1" else {}
    response = change(client, **{field: value}, **both)
    assert message in errors_of(response, field)
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)


def test_a_stranger_is_sent_to_sign_in(client):
    assert change(client)["Location"].startswith("/account/login/")
    assert not is_logged_in(client)


def test_guessing_the_current_password_is_limited(client_of, alice):
    client = client_of(alice)
    codes = [change(client, oldpassword="wrong").status_code for _ in range(6)]
    assert codes == [200] * 5 + [429]
