"""Uploading in a real Chromium with the real tus-js-client against a real Daphne that is killed on the way."""

import shutil
import time

import pytest
from django.conf import settings as django_settings

from lab.webserver import WebServer
from media_library.tests import clips

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed"),
]

PROCESS = """
import django; django.setup()
from media_library import actions
from media_library.models import VideoFile
for file in VideoFile.objects.filter(status="processing"): actions.process(file.pk)
"""


@pytest.fixture
def server(tmp_path):
    server = WebServer(tmp_path / "web", django_settings.REDIS_URL)
    yield server
    server.stop()


@pytest.fixture
def context(server):
    from lab.browser import chromium

    key = server.prepare()
    server.start()
    with chromium() as browser:
        context = browser.new_context()
        context.set_default_timeout(15_000)
        context.add_cookies([{"name": "sessionid", "value": key, "url": server.url}])
        yield context


def slowly(page, bytes_per_second):
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_per_second}
    network.send("Network.emulateNetworkConditions", limits)


def until(page, script, limit_s=30.0):
    """Waits for a condition in the page; the page's own policy forbids Playwright's way (eval)."""
    deadline = time.monotonic() + limit_s
    while not page.evaluate(script):
        assert time.monotonic() < deadline, f"{script}: {page.inner_text('main')}"
        page.wait_for_timeout(50)


PERCENT = "parseInt(document.querySelector('.transfer-percent')?.textContent || '0')"


def opened(context, server, problems):
    page = context.new_page()
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if "Content Security" in said.text else None)
    page.goto(server.url + "/library/")
    return page


def test_an_upload_survives_pause_a_killed_server_and_a_new_tab(server, context, tmp_path):
    problems: list[str] = []
    film = clips.make_clip(tmp_path / "film.mp4", seconds=2)
    with film.open("ab") as file:  # a box without meaning, so that it takes several chunks
        padding = 40 * 1024**2
        file.write(padding.to_bytes(4, "big") + b"free" + bytes(padding - 8))
    page = opened(context, server, problems)
    slowly(page, 12 * 1024**2)
    page.set_input_files("#pick", film)
    until(page, f"{PERCENT} >= 21")
    page.click("[data-do=pause]")
    assert "Paused" in page.inner_text(".transfer-note")
    page.click("[data-do=resume]")
    until(page, f"{PERCENT} >= 30")
    server.kill()
    server.start()
    until(page, f"{PERCENT} >= 45")
    page.close(run_before_unload=False)

    page = opened(context, server, problems)
    assert "uploading" in page.inner_text(".file-row")
    page.set_input_files("#pick", film)
    until(page, f"{PERCENT} >= 40")
    until(page, "document.querySelector('.transfer.is-done')")
    until(page, "document.querySelector('.file-row .status')?.textContent === 'processing'")
    assert page.evaluate("document.querySelectorAll('.file-row').length") == 1

    server.python("-c", PROCESS)
    until(page, "document.querySelector('.file-row .status')?.textContent === 'ready'")
    page.click(".row-title")
    page.wait_for_selector("video")
    until(page, "document.querySelector('video').duration > 1.9")
    assert problems == []


def test_refusals_are_shown_in_place(server, context, tmp_path):
    problems: list[str] = []
    wrong, empty = tmp_path / "film.mov", tmp_path / "empty.mp4"
    wrong.write_bytes(b"x")
    empty.touch()
    page = opened(context, server, problems)
    page.set_input_files("#pick", [wrong, empty])
    until(page, "document.querySelectorAll('.transfer.is-failed').length === 2")
    said = page.inner_text("#transfers")
    assert "«.mp4»" in said
    assert "empty" in said
    page.keyboard.press("Tab")
    page.click(".transfer [data-do=cancel]")
    assert page.evaluate("document.querySelectorAll('.transfer').length") == 1
    assert page.evaluate("document.querySelectorAll('.file-row').length") == 0
    assert problems == []
