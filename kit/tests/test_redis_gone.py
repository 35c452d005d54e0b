from accounts.models import SignIn, User
from accounts.tests.helpers import RESET, SIGNUP, is_logged_in, log_in, sign_up_form


def test_signing_in_says_why_it_is_not_possible(client, alice, no_redis):
    answer = log_in(client)
    assert answer.status_code == 503
    assert "does not answer (Redis)" in answer.content.decode()
    assert answer["Retry-After"] == "60"
    assert not is_logged_in(client)
    assert not SignIn.objects.exists()


def test_nobody_is_registered_or_sent_a_mail_by_halves(client, alice, no_redis, mailoutbox):
    assert client.post(SIGNUP, sign_up_form()).status_code == 503
    assert client.post(RESET, {"email": alice.email}).status_code == 503
    assert User.objects.count() == 1
    assert mailoutbox == []


def test_pages_that_count_nothing_work(client_of, alice, no_redis):
    for address in ("/streams/", "/library/", "/account/"):
        assert client_of(alice).get(address).status_code == 200
