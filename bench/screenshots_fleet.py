"""The operators' pictures, taken from the whole product on real hosts of the lab: `python -m bench.screenshots_fleet`.

Three servers of one fleet carry four streams; the cable of the third is pulled; a bare one is provisioned by the
pages. Needs root and what `lab.hosts.needs` names; takes some ten minutes, most of them for curves to draw.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from playwright.sync_api import Page, expect

from agent.tests.servers import RedisServer
from bench.provision import plan
from bench.screenshots import PHONE, TALL, WIDE, take
from lab import console
from lab.browser import chromium
from lab.hosts import Host, Lab
from lab.product import ROOT, Plan, Product
from lab.receiver import Receiver

SERVERS: Final = {"fra1": "Frankfurt 1", "fra2": "Frankfurt 2", "waw1": "Warsaw 1"}
TITLES: Final = ("Night train, part one", "Rain on the green house", "Market square at noon")
CURVES_S: Final = 360.0
"""A point a minute."""
SILENT_S: Final = 75.0
"""Until a health check has named a VPS that is silent."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--curves", type=float, default=CURVES_S, help="seconds to wait for curves")
    options = parser.parse_args()
    expect.set_options(timeout=60_000)
    with (
        tempfile.TemporaryDirectory(prefix="ezshots-") as folder,
        Lab() as lab,
        RedisServer(address=lab.address, password="for-the-pictures") as redis,
        Receiver(lab.address) as receiver,
        Product(asks_for_keys(plan(Path(folder) / "var", lab, redis, receiver))) as product,
    ):
        hosts = make_fleet(product, lab)
        pictures(product, lab, hosts, options.to, options.curves)


def asks_for_keys(plan: Plan) -> Plan:
    return replace(plan, environ={**plan.environ, "SSH_TRUST_FIRST_USE": "0"})


def pictures(product: Product, lab: Lab, hosts: dict[str, Host], to: Path, curves_s: float) -> None:
    """With the browser's loop in this thread, Django's queries are not for us any more."""
    with chromium() as browser:
        look = {"base_url": product.url, "color_scheme": "light", "locale": "en-GB"}
        page = browser.new_context(viewport=WIDE, timezone_id="Europe/Berlin", **look).new_page()
        console.sign_in(page, product)
        time.sleep(curves_s)
        a_server(page, to)
        hosts["waw1"].cut()
        provisioning(page, lab.host("ams1"), to)
        time.sleep(SILENT_S)
        the_fleet(page, to)


def make_fleet(product: Product, lab: Lab) -> dict[str, Host]:
    """Provisioned side by side; then a stream on each, two on the first."""
    os.environ.update(product.env)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ezstream.settings")
    import django

    django.setup()
    from bench.provision import wait_for
    from fleet import actions as fleet
    from fleet.models import Vps
    from fleet.provision import apt

    hosts = {host.name: host for host in lab.several(list(SERVERS), apt.PACKAGES)}
    runs = []
    for name, host in hosts.items():
        vps = Vps(
            name=SERVERS[name], host=host.address, region=name[:3], max_streams=4, uplink_mbit=1000, traffic_gb=20000
        )
        vps.set_password(host.password)
        vps.host_key = " ".join(host.run(["cat", "/etc/ssh/ssh_host_ed25519_key.pub"]).split(" ")[:2])
        vps.save()
        runs.append(fleet.provision(vps, None))
    for run in runs:
        wait_for(run)
    start_streams(product)
    return hosts


def start_streams(product: Product) -> None:
    from ops import demo
    from streams import actions
    from streams.models import Destination, Stream

    first = Stream.objects.get(pk=product.facts["stream_id"])
    url = first.outputs.first().destination.url  # type: ignore[union-attr]
    streams = [first]
    for number, title in enumerate(TITLES):
        place = Destination(owner=first.owner, name=f"Place {number + 2}", url=url)
        place.set_key(f"key-{number + 2}")
        place.save()
        copy = actions.duplicate(first, first.owner)
        copy.outputs.all().delete()
        copy.outputs.create(destination=place)
        Stream.objects.filter(pk=copy.pk).update(title=title)
        streams.append(copy)
    for stream in streams:
        demo.start(stream)


def a_server(page: Page, to: Path) -> None:
    console.of_vps(page, SERVERS["fra1"])
    page.get_by_role("button", name="Check health").click()
    expect(page.locator(".messagelist")).to_contain_text("is well")
    console.of_vps(page, SERVERS["fra1"])
    page.set_viewport_size(TALL)
    take(page, to / "server.png")
    curves = page.locator(".machine canvas").first
    expect(curves).to_be_visible()
    page.locator("[data-machine]").scroll_into_view_if_needed()
    page.locator("[data-machine]").screenshot(path=to / "server-load.png", animations="disabled")
    page.set_viewport_size(WIDE)


def provisioning(page: Page, host: Host, to: Path) -> None:
    """While apt is at work, then to its end."""
    console.add(page, host, "Amsterdam 1")
    console.provision(page)
    console.is_at_work(page, "Install Python", "Unpacking")
    take(page, to / "provisioning.png")
    console.ends_well(page)


def the_fleet(page: Page, to: Path) -> None:
    page.goto("/admin/fleet/")
    take(page, to / "fleet.png")
    page.set_viewport_size(PHONE)
    page.emulate_media(color_scheme="dark")
    take(page, to / "fleet-dark-phone.png")
    page.set_viewport_size(TALL)
    page.emulate_media(color_scheme="light")
    page.goto("/admin/")
    take(page, to / "dashboard.png")


if __name__ == "__main__":
    main()
