import importlib.util
import sys
import types

import pytest

from streams.tests import build

if importlib.util.find_spec("media_library.actions") is None:
    sys.modules["media_library.actions"] = types.SimpleNamespace(download_url=lambda file: f"http://x/{file.pk}")


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
