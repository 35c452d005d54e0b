import pytest

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
