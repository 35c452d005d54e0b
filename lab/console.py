"""What an operator does in the console, in a browser: for end-to-end tests and pictures."""

from __future__ import annotations

import re
from typing import Final

from playwright.sync_api import Locator, Page, expect

from lab.hosts import Host
from lab.product import Product

LONG_MS: Final = 240_000
"""What a provisioning may take on a busy machine."""


def sign_in(page: Page, product: Product, role: str = "Operator") -> None:
    """As one of the demo's people."""
    who = next(each for each in product.facts["people"] if each["role"] == role)
    page.goto("/account/login/")
    page.fill("#id_login", who["email"])
    page.fill("#id_password", who["password"])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/account/login/" not in url)


def add(page: Page, host: Host, name: str, address: str = "", *, use_key: bool = False) -> None:
    """By the form, to the page where the connection is tested; its key is compared and confirmed."""
    page.goto("/admin/fleet/vps/add/")
    page.fill("#id_name", name)
    page.fill("#id_host", address or host.address)
    page.fill("#id_password", host.password)
    page.locator("#id_use_key").set_checked(use_key)
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("button", name="Test the connection").click()
    keys = host.run(["sh", "-c", "for key in /etc/ssh/ssh_host_*.pub; do ssh-keygen -lf $key; done"])
    fingerprints = [re.escape(line.split(" ")[1]) for line in keys.splitlines()]
    expect(page.locator("code.key")).to_have_text(re.compile("|".join(fingerprints)))
    page.get_by_role("button", name="Yes, this is its key").click()
    page.get_by_role("button", name="Test the connection").click()
    expect(page.get_by_role("status")).to_contain_text("The connection works")
    expect(page.get_by_role("status")).to_contain_text("Debian GNU/Linux")


def provision(page: Page) -> None:
    """From the page of the test or of a run, to the page of the new run."""
    page.get_by_role("link", name="Provision", exact=True).first.click()
    page.get_by_role("button", name="Provision").click()
    page.wait_for_url("**/provisionrun/*/change/")


def headline(page: Page) -> Locator:
    return page.locator("[data-headline]")


def step(page: Page, title: str) -> Locator:
    return page.locator("li.step", has_text=title).first


def ends_well(page: Page) -> None:
    expect(headline(page)).to_have_text(re.compile("done|failed"), timeout=LONG_MS)
    if headline(page).inner_text() != "done":
        raise AssertionError(page.locator("ol.steps").inner_text())


def is_at_work(page: Page, title: str, saying: str) -> None:
    """The page shows it by itself."""
    expect(step(page, title).locator("pre")).to_contain_text(saying, timeout=LONG_MS)


def kept(product: Product) -> str:
    """Everything that was written down and logged."""
    texts = [path.read_bytes().decode(errors="replace") for path in product.plan.home.rglob("*.log")]
    return "\n".join([*texts, product.manage("dumpdata", "fleet", "accounts.auditentry")])


def of_vps(page: Page, name: str) -> None:
    """To the page of one VPS."""
    page.goto("/admin/fleet/")
    page.get_by_role("link", name=name, exact=True).first.click()


def press(page: Page, verb: str) -> None:
    """A button of a VPS's page, and yes to what it asks."""
    page.get_by_role("link", name=verb, exact=True).click()
    page.get_by_role("button", name=verb, exact=True).click()
