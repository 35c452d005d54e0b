"""Servers with something about them become servers of the fleet, by the operators' pages, on real hosts of the lab.

Each host is made for one story: what is bad about it, and what an operator does.
"""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import Page, expect

from fleet.provision import places
from lab.console import add, ends_well, is_at_work, provision, step
from lab.hosts import Host
from lab.hosts.fixtures import FreshVps
from lab.processes import ROOM, wait_until
from lab.product import Product

pytestmark = pytest.mark.e2e


@pytest.mark.long
def test_a_server_that_is_in_use_already(page: Page, product: Product, fresh_vps: FreshVps) -> None:
    """Reached by IPv6; somebody holds dpkg's lock; its nginx serves somebody's pages; it reboots in the middle."""
    host = fresh_vps(["nginx", "python3"])
    host.run(["sh", "-c", "echo ours >/var/www/html/index.html"])
    hold = "import fcntl,time; f=open('/var/lib/dpkg/lock-frontend','w'); fcntl.lockf(f, fcntl.LOCK_EX); time.sleep(40)"
    host.run(["systemd-run", "--quiet", "python3", "-c", hold])
    add(page, host, "in use", address=host.address6)
    provision(page)
    is_at_work(page, "Install Python", "holds the lock of the packages. Trying again")
    is_at_work(page, "Install Python", "Unpacking")
    host.reboot()
    ends_well(page)
    expect(step(page, "Switch nginx's welcome page off")).to_contain_text("left alone")
    assert "ours" in host.run(["cat", "/var/www/html/index.html"])
    assert host.run(["systemctl", "is-active", "nginx", places.AGENT_UNIT]).split() == ["active", "active"]
    rules = host.run(["nft", "list", "table", "inet", "ezstream"])
    assert "dport { 22, 80 } accept" in rules

    host.reboot()
    wait_until(lambda: "dport { 22, 80 }" in host.run(["nft", "list", "ruleset"]), "the firewall is there after a boot")
    wait_until(lambda: runs(host, places.AGENT_UNIT), "the agent is there after a boot")


def runs(host: Host, unit: str) -> bool:
    return host.run(["sh", "-c", f"systemctl is-active {unit} || true"]).strip() == "active"


def test_what_an_operator_is_told_by_the_test(page: Page, fresh_vps: FreshVps) -> None:
    """Full, hung, installed anew, switched off: each within ten seconds, each by its name."""
    host = fresh_vps()
    add(page, host, "troubled")
    host.fill_disk()
    it_says(page, r"Only 0\.0 GiB of its disk are free")
    host.run(["sh", "-c", "rm /full.*"])
    host.freeze()
    it_says(page, "says nothing")
    host.thaw()
    host.change_host_key()
    it_says(page, "host key has changed")
    host.power_off()
    it_says(page, "does not answer on port 22|No network leads")


def it_says(page: Page, words: str) -> None:
    began = time.monotonic()
    page.get_by_role("button", name="Test again").click()
    expect(page.get_by_role("status")).to_contain_text(re.compile(words), timeout=40_000)
    assert time.monotonic() - began < 10 * ROOM
