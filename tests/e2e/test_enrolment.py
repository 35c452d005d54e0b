"""One paste (EDGE-10) on a real host: the command of the operator's page, and what it leaves, when it fails and not."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from agent.tests.servers import RedisServer
from lab.hosts import Host, Lab
from lab.ports import free_port
from lab.processes import wait_until
from lab.product import Plan, Product
from tests.e2e.installed import packages
from tests.env import OUTSIDE

pytestmark = pytest.mark.e2e

WORD = "canary-redis-word"
LONG_MS = 120_000
PLACES = "/etc/ezstream /opt/ezstream /var/lib/ezstream-agent /etc/ezstream-nginx /etc/systemd/system/ezstream-*"
LEFT = f"ls -d {PLACES}; getent passwd ezstream"


@pytest.fixture(scope="module")
def product(vps_lab: Lab) -> Iterator[Product]:
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
        page.goto("/account/login/?next=/admin/fleet/vps/")
        page.fill("#id_login", olga["email"])
        page.fill("#id_password", olga["password"])
        page.get_by_role("button", name="Sign in").click()
        yield page


@pytest.fixture(scope="module")
def host(vps_lab: Lab) -> Iterator[Host]:
    host = vps_lab.host("paste", packages=packages())
    yield host
    vps_lab.remove(host)


def command(page: Page, name: str) -> str:
    page.goto("/admin/fleet/vps/")
    page.get_by_role("link", name="Add by one command").click()
    page.fill("#id_name", name)
    page.get_by_role("button", name="Show the command").click()
    expect(state(page)).to_contain_text("waiting for the server…")
    return page.locator("#command").inner_text()


def state(page: Page):  # type: ignore[no-untyped-def]
    return page.locator("#enrolment-state")


def paste(host: Host, words: str) -> subprocess.CompletedProcess[str]:
    """What a person sees: both streams as one, and the exit code of the pipe."""
    said = host.run(["sh", "-c", f"cd /; ( {words} ) 2>&1; echo code $?"])
    text, _, code = said.rpartition("code ")
    return subprocess.CompletedProcess(words, int(code), text)


def test_what_fails_is_undone_and_said(page: Page, product: Product, host: Host) -> None:
    host.run(["mv", "/usr/bin/ffmpeg", "/usr/bin/ffmpeg.away"])
    words = command(page, "fra-1")
    done = paste(host, words)
    host.run(["mv", "/usr/bin/ffmpeg.away", "/usr/bin/ffmpeg"])
    assert done.returncode == 1, done.stdout
    assert "the agent cannot work here" in done.stdout
    assert "ffmpeg" in done.stdout
    assert "failed at: have the agent test the server" in done.stdout
    expect(state(page)).to_contain_text("have the agent test the server", timeout=LONG_MS)
    assert "/" not in host.run(["sh", "-c", f"{LEFT} 2>/dev/null; true"])
    assert "fra-1" not in product.manage("redis_users")
    again = paste(host, words)
    assert (again.returncode, again.stdout) == (1, "EZStream: This token was used already: each is good once.\n")


def test_a_paste_and_it_is_in_the_fleet(page: Page, product: Product, host: Host) -> None:
    words = command(page, "fra-2")
    token = re.search(r"/enrol/([\w-]+)", words)[1]  # type: ignore[index]
    done = paste(host, words)
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("EZStream: this server is in the fleet\n")
    expect(state(page)).to_contain_text("in the fleet", timeout=LONG_MS)
    expect(state(page)).to_contain_text("fra-2")
    assert "answered in" in product.manage("fleet_ping", "fra-2")
    assert host.run(["stat", "-c", "%a %U", "/etc/ezstream/agent.env"]).strip() == "600 ezstream"
    environment = host.run(["cat", "/etc/ezstream/agent.env"])
    assert "redis://vps-" in environment
    assert WORD not in environment
    password = re.search(r"redis://vps-\d+:([^@]+)@", environment)[1]  # type: ignore[index]
    said = done.stdout + host.run(["journalctl", "--no-pager"]) + _logs(product)
    assert password not in said
    assert token not in said
    again = paste(host, command(page, "fra-3"))
    assert again.returncode == 1
    assert "an agent is installed here already" in again.stdout


def provision(page: Page) -> list[str]:
    """By the pages, until it is done; the steps that changed something."""
    page.get_by_role("link", name="Provision", exact=True).first.click()
    page.get_by_role("button", name="Provision").click()
    expect(page.locator("[data-headline]")).to_have_text(re.compile("done|failed"), timeout=LONG_MS)
    assert page.locator("[data-headline]").inner_text() == "done", page.locator("ol.steps").inner_text()
    return page.locator("li.step-changed .step-title").all_inner_texts()


def pid(host: Host) -> str:
    return host.run(["systemctl", "show", "--value", "-p", "ExecMainPID", "ezstream-agent"])


def test_provisioning_knows_that_road_too(page: Page, product: Product, host: Host) -> None:
    """The same server by SSH afterwards: its agent is not even started again."""
    began = pid(host)
    page.goto("/admin/fleet/vps/")
    page.locator("#result_list").get_by_role("link", name="fra-2").click()
    page.fill("#id_password", host.password)
    page.get_by_role("button", name="Save and test the connection").click()
    page.get_by_role("button", name="Test the connection").click()
    page.get_by_role("button", name="Yes, this is its key").click()
    page.get_by_role("button", name="Test the connection").click()
    changed = provision(page)
    assert not {"Start the agent", "Put the agent there", "Tell it who it is"} & set(changed), changed
    assert pid(host) == began


def test_redis_by_a_tunnel(page: Page, product: Product, host: Host) -> None:
    """A real sshd: the server needs no way to Redis but ours, and is back after its connection was killed."""
    tunnels = product._python("tunnels", "manage.py", "redis_tunnels")
    page.goto("/admin/fleet/vps/")
    page.locator("#result_list").get_by_role("link", name="fra-2").click()
    page.locator("#id_redis_by_tunnel").check()
    page.get_by_role("button", name="Save", exact=True).click()
    listens = ["sh", "-c", "ss -Hltn 'sport = :16379'"]
    wait_until(lambda: "127.0.0.1:16379" in host.run(listens), "it listens on loopback", 30)
    assert "0.0.0.0:16379" not in host.run(listens)
    page.locator("#result_list").get_by_role("link", name="fra-2").click()
    provision(page)
    assert "@127.0.0.1:16379" in host.run(["cat", "/etc/ezstream/agent.env"])
    assert "answered in" in product.manage("fleet_ping", "fra-2")
    assert tunnels.process is not None
    tunnels.process.kill()
    wait_until(lambda: _answers(product), "it is back by another tunnel", 60)


def _answers(product: Product) -> bool:
    try:
        return "answered in" in product.manage("fleet_ping", "fra-2")
    except subprocess.CalledProcessError:
        return False


def test_who_is_cut_off_is_out_within_two_seconds(product: Product, host: Host) -> None:
    product.manage("redis_users", "fra-2", "--cut-off")
    said = host.run(["sh", "-c", "sleep 2; journalctl -u ezstream-agent --no-pager -o cat | tail -5"])
    assert "it does not take our user and password" in said
    product.manage("redis_users", "fra-2", "--admit")


def _logs(product: Product) -> str:
    return "\n".join(path.read_text(errors="replace") for path in (product.plan.home / "logs").glob("*.log"))
