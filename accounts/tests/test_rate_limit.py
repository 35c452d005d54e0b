import threading
import time

import pytest
import time_machine
from django.test import Client

from accounts import throttle
from accounts.models import SignIn
from accounts.tests.helpers import NEW_PASSWORD, RESET, is_logged_in, link_in_last_mail, log_in

pytestmark = pytest.mark.django_db
HERE, ELSEWHERE = "192.0.2.1", "198.51.100.9"
NOON = 1_800_000_000.0


def fail(times, email="alice@example.org", address=HERE, now=NOON):
    for _ in range(times):
        throttle.attempt(email, address, now)


def text(response):
    return response.content.decode()


def test_the_sixth_attempt_is_refused_with_a_clear_message(client, alice):
    for _ in range(5):
        assert "do not belong together" in text(log_in(client, password="wrong", address=HERE))
    locked = log_in(client, password="wrong", address=HERE)
    assert "Too many failed attempts from your address. Try again in 15 minutes, or reset your password." in text(
        locked
    )
    assert SignIn.objects.count() == 5


def test_the_right_password_does_not_help_a_locked_address(client, alice):
    fail(5, now=time.time())
    assert "Too many failed attempts" in text(log_in(client, address=HERE))
    assert not is_logged_in(client)


def test_the_owner_at_another_address_gets_in(alice):
    fail(5, now=time.time())
    owner = Client()
    assert log_in(owner, address=ELSEWHERE).status_code == 302
    assert is_logged_in(owner)


def test_a_reset_of_the_password_lifts_the_lock_at_that_address(client, alice):
    fail(5, now=time.time())
    client.post(RESET, {"email": alice.email}, REMOTE_ADDR=HERE)
    page = client.get(link_in_last_mail(), REMOTE_ADDR=HERE)["Location"]
    client.post(page, {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD}, REMOTE_ADDR=HERE)
    assert log_in(client, password=NEW_PASSWORD, address=HERE).status_code == 302


def test_case_and_spaces_do_not_make_another_account():
    fail(3)
    fail(2, email=" ALICE@Example.org")
    with pytest.raises(throttle.LockedError):
        fail(1)


def test_unknown_accounts_are_limited_the_same():
    fail(5, email="nobody@example.org")
    with pytest.raises(throttle.LockedError):
        fail(1, email="nobody@example.org")


def test_one_address_over_all_accounts():
    for number in range(throttle.ADDRESS.attempts):
        fail(1, email=f"user{number}@example.org")
    with pytest.raises(throttle.LockedError):
        fail(1, email="one-more@example.org")
    fail(1, email="one-more@example.org", address=ELSEWHERE)


def test_an_ipv6_customer_is_one_address():
    fail(5, address="2001:db8:1:2::1")
    with pytest.raises(throttle.LockedError):
        fail(1, address="2001:db8:1:2:ffff::9")
    fail(1, address="2001:db8:1:3::1")


def test_success_starts_afresh_and_costs_nothing():
    for _ in range(throttle.ADDRESS.attempts * 2):
        fail(1)
        throttle.succeeded("alice@example.org", HERE)
    fail(5)


def test_success_does_not_lift_what_the_address_failed_elsewhere():
    """Somebody with an account of their own must not be able to reset the count by signing in to it."""
    for number in range(throttle.ADDRESS.attempts - 1):
        fail(1, email=f"user{number}@example.org")
        fail(1, email="mine@example.org")
        throttle.succeeded("mine@example.org", HERE)
    fail(1, email="the-last@example.org")
    with pytest.raises(throttle.LockedError):
        fail(1, email="one-more@example.org")


def test_the_minutes_count_down_and_refused_attempts_do_not_prolong():
    fail(5)
    for later, minutes in ((0, 15), (60, 14), (839, 2), (899, 1)):
        with pytest.raises(throttle.LockedError) as locked:
            fail(1, now=NOON + later)
        assert locked.value.minutes == minutes
    fail(5, now=NOON + throttle.ACCOUNT_AT_ADDRESS.window_s)


def test_it_opens_again_by_itself(client, alice):
    with time_machine.travel(NOON, tick=False) as clock:
        fail(6 - 1, now=NOON)
        assert "Try again in 15 minutes" in text(log_in(client, address=HERE))
        clock.shift(14 * 60 + 1)
        assert "Try again in 1 minute," in text(log_in(client, address=HERE))
        clock.shift(60)
        log_in(client, address=HERE)
    assert is_logged_in(client)


def test_attempts_at_the_same_moment_are_all_counted():
    """A hundred guesses sent at once are a hundred guesses."""
    allowed, gate = [], threading.Barrier(20, timeout=20)

    def guess():
        gate.wait()
        try:
            fail(1)
        except throttle.LockedError:
            return
        allowed.append(1)

    threads = [threading.Thread(target=guess) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(allowed) == throttle.ACCOUNT_AT_ADDRESS.attempts


def test_a_proxy_that_is_not_trusted_cannot_invent_addresses(client, alice):
    for number in range(5):
        client.post(
            "/account/login/",
            {"login": alice.email, "password": "wrong"},
            REMOTE_ADDR=HERE,
            HTTP_X_FORWARDED_FOR=f"203.0.113.{number}",
        )
    assert "Too many failed attempts" in text(log_in(client, address=HERE))


def test_behind_a_trusted_proxy_the_visitors_address_counts(client, alice, settings):
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    fail(5, address="203.0.113.7", now=time.time())
    ask = {"login": alice.email, "password": "wrong"}
    behind = client.post("/account/login/", ask, HTTP_X_FORWARDED_FOR="203.0.113.7")
    other = client.post("/account/login/", ask, HTTP_X_FORWARDED_FOR="203.0.113.8")
    assert "Too many failed attempts" in text(behind)
    assert "do not belong together" in text(other)
