"""The frame of every page in a real browser: what only JavaScript does, and that nothing needs it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

import lab.browser
from accounts.models import User
from conftest import PASSWORD

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 800}
NewPage = Callable[..., Page]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    # Playwright's loop runs in this thread; Django then takes every query for one from a coroutine.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with lab.browser.chromium() as browser:
        yield browser
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def new_page(chromium, live_server) -> Iterator[NewPage]:
    """A browser window of its own; what the policy blocked or a script threw fails the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def opened(**options: object) -> Page:
        context = chromium.new_context(base_url=live_server.url, **({"viewport": DESK} | options))
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not complaints


def log_in(page: Page, user: User) -> None:
    page.goto("/account/login/?next=/account/")
    page.get_by_label("E-mail").fill(user.email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Account", exact=True)).to_be_visible()


def widths_fit(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_registering_takes_the_browsers_time_zone(new_page):
    page = new_page(timezone_id="Asia/Ho_Chi_Minh")
    page.goto("/account/signup/?next=/account/")
    page.get_by_label("Name").fill("Carol Carter")
    page.get_by_label("E-mail").fill("carol@example.org")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password again").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_label("Time zone")).to_have_value("Asia/Ho_Chi_Minh")


def test_dark_is_there_before_the_first_paint_and_the_choice_stays(new_page, alice):
    page = new_page(color_scheme="dark")
    log_in(page, alice)
    root = page.locator("html")
    expect(root).to_have_attribute("data-bs-theme", "dark")
    page.locator(".rail-wide").get_by_role("button", name="Light or dark").click()
    expect(root).to_have_attribute("data-bs-theme", "light")
    page.reload()
    expect(root).to_have_attribute("data-bs-theme", "light")


def test_everything_works_without_javascript(new_page, alice):
    page = new_page(java_script_enabled=False, viewport=PHONE)
    log_in(page, alice)
    page.locator(".rail-bar summary").click()
    expect(page.locator(".rail-sheet").get_by_role("link", name="Streams")).to_be_visible()
    expect(page.locator(".rail-sheet").get_by_role("button", name="Light or dark")).to_be_hidden()
    page.locator(".rail-sheet").get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You are signed out.")).to_be_visible()


@pytest.mark.parametrize("viewport", [DESK, PHONE, {"width": 320, "height": 640}])
def test_no_page_is_wider_than_the_screen(new_page, alice, viewport):
    page = new_page(viewport=viewport)
    for url in ("/account/login/", "/account/signup/", "/account/password/reset/"):
        page.goto(url)
        assert widths_fit(page), url
    log_in(page, alice)
    for url in ("/account/", "/account/email/", "/account/password/change/"):
        page.goto(url)
        assert widths_fit(page), url


def test_the_keyboard_skips_the_navigation(new_page, alice):
    page = new_page()
    log_in(page, alice)
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()


def test_a_password_can_be_looked_at(new_page):
    page = new_page()
    page.goto("/account/login/")
    field = page.get_by_label("Password", exact=True)
    field.fill("secret words")
    expect(field).to_have_attribute("type", "password")
    page.get_by_role("button", name="Show what is typed").click()
    expect(field).to_have_attribute("type", "text")


def test_icons_are_drawn_under_the_policy(new_page):
    page = new_page()
    page.goto("/account/login/")
    box = page.evaluate("document.querySelector('.field-password use').getBBox().width")
    assert box > 5


def test_htmx_posts_carry_the_token_and_live_under_the_policy(new_page, alice):
    page = new_page()
    log_in(page, alice)
    answer = page.evaluate(
        """() => new Promise((resolve) => {
            document.addEventListener("htmx:afterRequest", (event) => resolve(event.detail.xhr.status));
            htmx.ajax("POST", "/account/", { values: { name: "Alice by htmx", time_zone: "" }, swap: "none" });
        })"""
    )
    assert answer == 200
    page.reload()
    expect(page.get_by_label("Name")).to_have_value("Alice by htmx")


def test_who_was_signed_out_meanwhile_sees_the_sign_in_page_whole(new_page, alice):
    page = new_page()
    log_in(page, alice)
    page.context.clear_cookies(name="sessionid")
    page.evaluate("htmx.ajax('GET', '/account/', { target: '#main', swap: 'innerHTML' })")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.url.endswith("/account/login/?next=/account/")


CONFIRM_LINK = """() => {
    const link = document.createElement("a");
    link.href = "/account/logout/";
    link.textContent = "Leave";
    Object.assign(link.dataset, { confirm: "Really leave?", confirmText: "Streams stay." });
    link.dataset.confirmAction = "Yes, leave";
    document.querySelector("#main").append(link);
}"""


def test_a_link_that_asks_first(new_page, alice):
    page = new_page()
    log_in(page, alice)
    page.evaluate(CONFIRM_LINK)
    dialog = page.get_by_role("dialog", name="Really leave?")
    page.get_by_role("link", name="Leave").click()
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.get_by_role("link", name="Leave").click()
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()
    page.get_by_role("link", name="Leave").click()
    dialog.get_by_role("button", name="Yes, leave").click()
    expect(page.get_by_text("You are signed out.")).to_be_visible()


def test_a_lost_connection_is_said_and_taken_back(new_page, alice):
    page = new_page()
    log_in(page, alice)
    sign = page.get_by_text("Connection lost. Reconnecting…")
    expect(sign).to_be_hidden()
    page.evaluate("document.body.dispatchEvent(new Event('htmx:wsClose', { bubbles: true }))")
    expect(sign).to_be_visible()
    page.evaluate("document.body.dispatchEvent(new Event('htmx:wsOpen', { bubbles: true }))")
    expect(sign).to_be_hidden()
