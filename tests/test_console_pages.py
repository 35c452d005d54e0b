"""The operators' pages in a real browser: they follow by themselves, disturb nobody, and work without JavaScript."""

# ruff: noqa: F811  (fixtures come by import)
from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts.models import User
from agent.protocol import Answered
from fleet import asking, history
from fleet.history import Reading
from fleet.models import Vps
from streams.tests import build
from tests.test_shell import DESK, PHONE, NewPage, chromium, new_page, widths_fit  # noqa: F401
from tests.test_stream_pages import open_as

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]
LIMIT_MS = 30_000


@pytest.fixture
def vps() -> Vps:
    vps = build.vps("fra-1", region="fra", uplink_mbit=100, network_mbit=20)
    minute = history.minute_of(timezone.now())
    history.keep({minute - back: {vps.pk: Reading(10 + back % 7, 20, 30, 40, 2)} for back in range(50)})
    return vps


@pytest.fixture
def look(new_page: NewPage, live_server, operator):
    def opened(path: str, **options: object) -> Page:
        return open_as(new_page(**options), operator, path, live_server)

    return opened


def page_of(vps: Vps) -> str:
    return f"/admin/fleet/servers/{vps.pk}/"


def test_the_dashboard_follows(look, vps, alice: User):
    page = look("/admin/")
    page.locator(".house").evaluate("element => { element.textContent = 'untouched'; }")
    expect(page.get_by_text("Nothing is on air.")).to_be_visible()
    build.running(build.stream(alice, title="Night train"), vps)
    expect(page.get_by_role("link", name="Night train")).to_be_visible(timeout=LIMIT_MS)
    expect(page.locator(".house")).to_have_text("untouched")


def test_the_fleet_follows_and_keeps_the_place_one_is_at(look, vps):
    page = look("/admin/fleet/?sort=-cpu")
    link = page.get_by_role("link", name="fra-1")
    link.focus()
    Vps.objects.update(unhealthy="disk 97 % full")
    expect(page.get_by_text("disk 97 % full")).to_be_visible(timeout=LIMIT_MS)
    expect(link).to_be_focused()
    expect(page.locator(".spark polyline")).to_have_count(1)


def test_what_cannot_be_brought_up_to_date_says_so(look, vps):
    page = look("/admin/fleet/")
    sign = page.get_by_text("Not up to date")
    expect(sign).to_be_hidden()
    page.route("**/admin/fleet/", lambda route: route.fulfill(status=204, body=""))
    expect(sign).to_be_visible(timeout=LIMIT_MS)
    page.unroute("**/admin/fleet/")
    expect(sign).to_be_hidden(timeout=LIMIT_MS)


def test_curves_are_drawn_and_go_back_a_day(look, vps):
    page = look(page_of(vps))
    expect(page.locator("[data-plot] canvas")).to_have_count(3)
    expect(page.locator("[data-legend=mbit]")).to_contain_text("limit 100")
    with page.expect_response("**/load.json?hours=24"):
        page.get_by_role("button", name="24 hours").click()
    expect(page.get_by_role("button", name="24 hours")).to_have_attribute("aria-pressed", "true")


def test_its_agent_is_asked_when_it_is_opened_and_the_answer_stays(look, vps, monkeypatch):
    found = Answered(vps_id=vps.pk, timestamp=1, query_id="q", ok=True, message="the last line", lines=("hello <b>",))
    monkeypatch.setattr(asking, "ask", lambda *_args, **_more: found)
    page = look(page_of(vps))
    page.locator("details.ask summary", has_text="Log of the agent").click()
    expect(page.locator("details.ask pre")).to_have_text("hello <b>\n")
    Vps.objects.update(unhealthy="disk 97 % full")
    expect(page.locator(".vps-state")).to_contain_text("disk 97 % full", timeout=LIMIT_MS)
    expect(page.locator("details.ask pre")).to_be_visible()


def test_all_of_it_without_javascript(look, vps, alice):
    build.stream(alice, title="Night train")
    page = look("/admin/fleet/", java_script_enabled=False)
    page.get_by_label("Name, address or region").fill("fra")
    page.get_by_role("button", name="Show").click()
    page.get_by_role("link", name="fra-1").click()
    page.locator("details.ask summary", has_text="Log of the agent").click()
    expect(page.get_by_role("button", name="24 hours")).to_be_hidden()
    page.get_by_role("link", name="Start a stream here").click()
    page.get_by_role("button", name="Start here").click()
    expect(page.get_by_text("«Night train» starts on «fra-1».")).to_be_visible()
    page.get_by_role("link", name="Drain, letting them finish").click()
    page.get_by_role("button", name="Drain, letting them finish").click()
    expect(page.get_by_text("«fra-1» is draining now.")).to_be_visible()
    page.get_by_role("button", name="Check health").click()
    expect(page.get_by_text("«fra-1» is well.")).to_be_visible()


@pytest.mark.parametrize("viewport", [DESK, PHONE, {"width": 320, "height": 640}])
def test_no_page_is_wider_than_the_screen(look, vps, alice, viewport):
    build.running(build.stream(alice, title="A channel of a rather long name, day and night"), vps)
    build.stream(alice, title="Night train")
    build.vps("a-vps-with-a-name-that-does-not-end-soon.example.org", last_heartbeat_at=timezone.now() - timedelta(1))
    page = look("/admin/", viewport=viewport)
    for path in ("/admin/", "/admin/fleet/", page_of(vps), f"{page_of(vps)}start/", f"{page_of(vps)}do/remove/"):
        page.goto(path)
        assert widths_fit(page), path
