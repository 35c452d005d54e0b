import pytest
from django.utils import timezone

from streams.tests import build


@pytest.fixture
def stream(alice):
    return build.stream(alice)


@pytest.fixture
def vps(db):
    return build.vps()


@pytest.fixture
def ear(vps):
    listening = build.Ear(vps.pk)
    yield listening
    listening.close()


@pytest.fixture
def other(db):
    """Worse placed than `vps`: what is started goes there second."""
    return build.vps("vps-2", cpu=50)


@pytest.fixture
def other_ear(other):
    listening = build.Ear(other.pk)
    yield listening
    listening.close()


@pytest.fixture
def now():
    return timezone.now()
