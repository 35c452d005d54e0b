"""From bare Debian to a server of the fleet, by the operators' pages, on real hosts of the lab; and what may befall it.

Each host is made for one story: what is bad about it, and what an operator does.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from agent.tests.servers import RedisServer
from fleet.provision import places
from lab.hosts import Host, Lab
from lab.hosts.fixtures import FreshVps
from lab.ports import free_port
from lab.processes import ROOM, wait_until
from lab.product import Plan, Product
from tests.env import OUTSIDE

pytestmark = pytest.mark.e2e

WORD = "canary-redis-word"
LONG_MS = 240_000
AGAIN_S = 10.0
"""What a second provisioning of a ready server may take."""


@pytest.fixture(scope="module")
def product(vps_lab: Lab) -> Iterator[Product]:
    """The control plane where hosts of the lab can reach it."""
    home = Path(tempfile.mkdtemp(prefix="eze-"))
    ports = {name: free_port() for name in ("web_port", "rtmp_port", "platform_port")}
    with RedisServer(address=vps_lab.address, password=WORD) as redis:
        environ = OUTSIDE | {"REDIS_URL": redis.url}
        plan = Plan(home=home, address=vps_lab.address, agents=0, start_demo=False, environ=environ, **ports)
        with Product(plan) as running:
            yield running
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def page(product: Product, chromium: Browser) -> Iterator[Page]:
    """An operator's browser."""
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


def add(page: Page, host: Host, name: str, address: str = "", *, use_key: bool = False) -> None:
    """By the form, to the page where the connection is tested; its key is compared and confirmed."""
    page.goto("/admin/fleet/vps/add/")
    page.fill("#id_name", name)
    page.fill("#id_host", address or host.address)
    page.fill("#id_password", host.password)
    page.locator("#id_use_key").set_checked(use_key)
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("button", name="Test the connection").click()
    shown = page.locator("code.key").inner_text()
    ours = host.run(["sh", "-c", "for key in /etc/ssh/ssh_host_*.pub; do ssh-keygen -lf $key; done"])
    assert shown.split(" ")[0] in ours
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
    assert headline(page).inner_text() == "done", page.locator("ol.steps").inner_text()


def is_at_work(page: Page, title: str, saying: str) -> None:
    """The page shows it by itself."""
    expect(step(page, title).locator("pre")).to_contain_text(saying, timeout=LONG_MS)


def kept(product: Product) -> str:
    """Everything that was written down and logged."""
    texts = [path.read_bytes().decode(errors="replace") for path in product.plan.home.rglob("*.log")]
    return "\n".join([*texts, product.manage("dumpdata", "fleet", "accounts.auditentry")])


def test_a_bare_server_by_password(page: Page, product: Product, fresh_vps: FreshVps) -> None:
    """Without DNS at first; its cable pulled in the middle of apt; in the end by key, and nothing changes twice."""
    host = fresh_vps()
    names = host.run(["cat", "/etc/resolv.conf"])
    host.run(["cp", "/dev/null", "/etc/resolv.conf"])
    host.run(["sh", "-c", "sed -i 's/^hosts:.*/hosts: files dns/' /etc/nsswitch.conf"])
    add(page, host, "bare «one»", use_key=True)
    provision(page)
    expect(headline(page)).to_have_text("failed", timeout=LONG_MS)
    expect(page.locator(".trouble")).to_contain_text("The server cannot look up names (DNS).")
    expect(page.locator(".trouble")).to_contain_text("apt-get update")

    host.run(["tee", "/etc/resolv.conf"], given=names.encode())
    page.get_by_role("button", name="Resume").click()
    is_at_work(page, "Install Python", "Unpacking")
    host.cut()
    time.sleep(3)  # longer than a packet is tried again at once; what is shown after it, the steps tell
    host.mend()
    ends_well(page)
    expect(page.locator("#provision-head")).to_contain_text("is ready for streams")
    assert host.run(["systemctl", "is-active", places.AGENT_UNIT, places.NGINX_UNIT]).split() == ["active", "active"]
    assert "dport 22 accept" in host.run(["nft", "list", "table", "inet", "ezstream"])
    assert host.run(["stat", "-c", "%a %U", places.ENVIRONMENT]).strip() == "600 ezstream"
    assert "passwordauthentication no" in host.run(["sshd", "-T"])
    written = kept(product)
    for secret in (host.password, WORD):
        assert secret not in written

    page.goto("/admin/fleet/vps/")
    row = page.locator("tr", has_text="bare «one»")
    expect(row).to_contain_text("active")
    expect(row).to_contain_text("reachable")
    row.get_by_role("link", name="bare «one»").click()
    began = time.monotonic()
    provision(page)
    ends_well(page)
    assert time.monotonic() - began < AGAIN_S * ROOM
    expect(page.locator("#provision-head")).to_contain_text("nothing was changed")
    expect(page.locator("li.step-changed")).to_have_count(0)


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
    tests_as(page, r"Only 0\.0 GiB of its disk are free")
    host.run(["sh", "-c", "rm /full.*"])
    host.freeze()
    tests_as(page, "says nothing")
    host.thaw()
    host.change_host_key()
    tests_as(page, "host key has changed")
    host.power_off()
    tests_as(page, "does not answer on port 22|No network leads")


def tests_as(page: Page, words: str) -> None:
    began = time.monotonic()
    page.get_by_role("button", name="Test again").click()
    expect(page.get_by_role("status")).to_contain_text(re.compile(words), timeout=40_000)
    assert time.monotonic() - began < 10 * ROOM
