"""Looking at a connection test waits a moment for its answer, in a real Daphne: nobody else waits with it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from django.conf import settings

from lab.webserver import Browser, WebServer
from streams.actions.testing import WAIT_S

BEGIN = """
import django; django.setup()
import time, uuid
from django.core.cache import cache
from accounts.models import User
from streams.actions.testing import ConnectionTest
test = ConnectionTest(str(uuid.uuid4()), User.objects.get().pk, "tube.example.org", "vps-1", 1, time.time() + 600)
cache.set(f"connection-test:{test.id}", test, 900)
print(test.id)
"""
LOOKERS = 16


@pytest.fixture
def server(tmp_path) -> Iterator[WebServer]:
    server = WebServer(tmp_path, settings.REDIS_URL)
    server.session_key = server.prepare()  # type: ignore[attr-defined]
    server.start()
    yield server
    server.stop()


def test_many_look_at_once_and_pages_are_served_meanwhile(server):
    test_id = server.python("-c", BEGIN).strip()
    browser = Browser(server, server.session_key)
    address = f"{server.url}/streams/destinations/tests/{test_id}"
    began = time.monotonic()
    with ThreadPoolExecutor(LOOKERS) as pool:
        looks = [pool.submit(browser.get, address, headers={"HX-Request": "true"}, timeout=60) for _ in range(LOOKERS)]
        page = requests.get(f"{server.url}/health", timeout=60)
        answers = [look.result() for look in looks]
    took = time.monotonic() - began
    assert page.status_code == 200
    assert all("is connecting to tube.example.org" in answer.text for answer in answers)
    assert took < LOOKERS * WAIT_S / 2  # one after the other it would be twice this
