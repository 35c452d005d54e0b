import re

from django.core import mail

from conftest import PASSWORD

NEW_PASSWORD = "a new and better one"

LOGIN, SIGNUP, LOGOUT = "/account/login/", "/account/signup/", "/account/logout/"
RESET, CHANGE_PASSWORD, EMAIL, HOME = (
    "/account/password/reset/",
    "/account/password/change/",
    "/account/email/",
    "/account/",
)


def sign_up_form(**changed):
    return {
        "name": "Carol Carter",
        "email": "carol@example.org",
        "password1": PASSWORD,
        "password2": PASSWORD,
        "time_zone": "Asia/Ho_Chi_Minh",
        **changed,
    }


def log_in(client, email="alice@example.org", password=PASSWORD, remember=False, address="192.0.2.1"):
    form = {"login": email, "password": password}
    return client.post(LOGIN, form | ({"remember": "on"} if remember else {}), REMOTE_ADDR=address)


def errors_of(response, field):
    """The messages beside a field, as the page shows them."""
    html = response.content.decode()
    notes = re.search(rf'id="id_{field}_notes">(.*?)</div>\s*(?:<div class="form-text">|</div>)', html, re.DOTALL)
    return re.sub(r"<[^>]+>|\s+", " ", notes[1]).strip() if notes else ""


def is_logged_in(client):
    return "_auth_user_id" in client.session


def link_in_last_mail():
    return re.search(r"http://testserver(/\S+)", mail.outbox[-1].body)[1]
