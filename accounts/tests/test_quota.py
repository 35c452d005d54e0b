"""Quotas: reserved, settled, given back; and under a race on a database with several writers."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import IntegrityError, connection, transaction

from accounts import quota
from accounts.models import Package, User
from conftest import make_user


def counters(user):
    user.refresh_from_db()
    return user.storage_used, user.storage_reserved


def test_it_is_reserved_settled_and_released(alice):
    quota.reserve_storage(alice.pk, 100)
    quota.reserve_storage(alice.pk, 50)
    assert counters(alice) == (0, 150)
    quota.settle_storage(alice.pk, reserved=100, used=90)
    assert counters(alice) == (90, 50)
    quota.release_storage(alice.pk, reserved=50)
    quota.release_storage(alice.pk, used=90)
    assert counters(alice) == (0, 0)


def test_the_last_byte_fits_and_no_more(alice):
    limit = alice.plan.max_storage
    User.objects.filter(pk=alice.pk).update(storage_used=limit - 10)
    quota.reserve_storage(alice.pk, 10)
    with pytest.raises(quota.OverQuota, match="0 B of your 50 GiB are free"):
        quota.reserve_storage(alice.pk, 1)
    assert counters(alice) == (limit - 10, 10)


def test_the_own_package_counts(alice):
    alice.package = Package.objects.get(name="Premium")
    alice.save()
    quota.reserve_storage(alice.pk, 400 * 1024**3)


def test_giving_back_twice_is_a_bug_that_shows(alice):
    quota.reserve_storage(alice.pk, 10)
    quota.release_storage(alice.pk, reserved=10)
    with pytest.raises(IntegrityError), transaction.atomic():
        quota.release_storage(alice.pk, reserved=10)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_many_at_once_never_pass_the_limit():
    package = Package.objects.create(name="Tiny", max_storage=1000, max_concurrent_streams=1)
    user = make_user("race@example.org", "Race", package=package)

    def take(_n):
        try:
            quota.reserve_storage(user.pk, 90)
        except quota.OverQuota:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(20) as pool:
        won = sum(pool.map(take, range(60)))
    assert won == 11
    assert counters(user) == (0, 990)
