"""The packages EZStream ships (ACC-3), and what a user without one has."""

from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from accounts.models import GIB, Package, User, VideoQuality

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("name", "storage", "streams", "quality", "price"),
    [
        ("Basic", 50 * GIB, 2, VideoQuality.FULL_HD, "29.99"),
        ("Pro", 200 * GIB, 5, VideoQuality.UHD, "79.99"),
        ("Premium", 500 * GIB, 10, VideoQuality.UNLIMITED, "149.99"),
    ],
)
def test_they_are_shipped(name, storage, streams, quality, price):
    package = Package.objects.get(name=name)
    assert (package.max_storage, package.max_concurrent_streams) == (storage, streams)
    assert (package.max_video_quality, package.price) == (quality, Decimal(price))


def test_a_user_without_one_has_the_default(alice):
    assert alice.package is None
    assert alice.plan.name == "Basic"


def test_there_is_only_one_default():
    with pytest.raises(IntegrityError), transaction.atomic():
        Package.objects.filter(name="Pro").update(is_default=True)


@pytest.mark.parametrize("email", ["alice@example.org", "ALICE@EXAMPLE.ORG", " Alice@Example.org "])
def test_emails_are_one_whatever_the_case(alice, email):
    assert User.objects.get(email=email) == alice
    assert User.objects.get_by_natural_key(email) == alice
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.create(email=email, name="Another")
