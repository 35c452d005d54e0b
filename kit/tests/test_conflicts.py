import threading

import pytest
from django.db import OperationalError, transaction

from accounts.models import User
from conftest import make_user
from kit import conflicts
from kit.conflicts import PAUSES_S, again_on_conflict, is_conflict


def failing(*errors):
    left = list(errors)

    @again_on_conflict
    def verb():
        if left:
            raise left.pop()
        return "done"

    return verb


@pytest.fixture
def slept(monkeypatch):
    pauses = []
    monkeypatch.setattr(conflicts.time, "sleep", pauses.append)
    return pauses


@pytest.mark.django_db(transaction=True)
def test_what_was_called_off_is_done_once_more(slept):
    locked = OperationalError("database is locked")
    assert failing(locked, locked)() == "done"
    assert len(slept) == 2
    with pytest.raises(OperationalError):
        failing(*[locked] * (len(PAUSES_S) + 1))()


@pytest.mark.django_db(transaction=True)
def test_another_trouble_is_not_repeated(slept):
    with pytest.raises(OperationalError):
        failing(OperationalError("server closed the connection"))()
    assert slept == []


@pytest.mark.django_db(transaction=True)
def test_inside_a_transaction_the_whole_is_called_off(slept):
    with pytest.raises(OperationalError), transaction.atomic():
        failing(OperationalError("database is locked"))()
    assert slept == []


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_that_wait_for_each_other_both_get_done():
    one, other = make_user("one@example.org", "1"), make_user("other@example.org", "2")
    both_hold, tries = threading.Barrier(2), []

    @again_on_conflict
    @transaction.atomic
    def rename(first, second, name):
        tries.append(name)
        User.objects.filter(pk=first.pk).update(name=name)
        if len(tries) <= 2:
            both_hold.wait(timeout=10)
        User.objects.filter(pk=second.pk).update(name=name)

    def run(*args):
        try:
            rename(*args)
        finally:
            conflicts.transaction.get_connection().close()

    threads = [threading.Thread(target=run, args=args) for args in ((one, other, "a"), (other, one, "b"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(tries) == 3
    assert len(set(User.objects.values_list("name", flat=True))) == 1
    assert not is_conflict(OperationalError("no"))
