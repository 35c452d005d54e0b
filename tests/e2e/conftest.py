"""A browser, and an operator at it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

import lab.browser
from lab import console
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
    """An operator's browser."""
    with chromium.new_context(base_url=product.url) as context:
        context.set_default_timeout(30_000)
        page = context.new_page()
        console.sign_in(page, product)
        yield page
