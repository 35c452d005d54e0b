"""A browser, and an operator at it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

import lab.browser
from lab.hosts import Lab
from lab.product import Product
from tests.e2e import houses


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with lab.browser.chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def product(vps_lab: Lab) -> Iterator[Product]:
    """The control plane where servers of the lab can reach it; files that need another one define their own."""
    with houses.fleet_product(vps_lab) as product:
        yield product


@pytest.fixture
def page(product: Product, chromium: Browser) -> Iterator[Page]:
    """An operator's browser, in the console."""
    olga = next(each for each in product.facts["people"] if each["role"] == "Operator")
    with chromium.new_context(base_url=product.url) as context:
        context.set_default_timeout(30_000)
        page = context.new_page()
        page.goto("/account/login/?next=/admin/")
        page.fill("#id_login", olga["email"])
        page.fill("#id_password", olga["password"])
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/admin/")
        yield page
