"""One paste (EDGE-10) on a real host: the command of the operator's page, and what it leaves, when it fails and not."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import Locator, Page, expect

from lab.hosts import Host, Lab
from lab.processes import wait_until
from lab.product import Product
from tests.e2e.houses import WORD
from tests.e2e.installed import packages

pytestmark = pytest.mark.e2e

LONG_MS = 120_000
PLACES = "/etc/ezstream /opt/ezstream /var/lib/ezstream-agent /etc/ezstream-nginx /etc/systemd/system/ezstream-*"
LEFT = f"ls -d {PLACES}; getent passwd ezstream"


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


SOON: Final = """\
from django.utils import timezone
from ops.models import Job
Job.objects.filter(name="check VPSes").update(next_run_at=timezone.now())
"""


def seen(page: Page, label: str) -> Locator:
    """What is said of it under «From outside, by SSH»."""
    row = page.locator("section", has_text="From outside, by SSH").locator("dl.facts > div")
    return row.filter(has=page.locator("dt", has_text=re.compile(f"^{label}"))).locator("dd")


def test_it_is_seen_from_outside(page: Page, product: Product, host: Host) -> None:
    """By the scheduler and a worker, then by the button: all fields; a pending reboot; an agent that was stopped."""
    page.goto("/admin/fleet/")
    page.get_by_role("link", name="fra-2", exact=True).click()
    product.manage("shell", "-c", SOON)
    expect(seen(page, "Last look")).to_contain_text("seen", timeout=LONG_MS)
    expect(seen(page, "Load over")).to_have_text(re.compile(r"^\d+\.\d\d \d+\.\d\d \d+\.\d\d \d+ cores?$"))
    for label in ("Memory", "Disk the agent works on"):
        expect(seen(page, label)).to_have_text(re.compile(r"^\d+ %$"))
    for label, words in {
        "Agent": "active",
        "nginx": "active",
        "Redis from there": "ok",
        "Reboot": "not needed",
    }.items():
        expect(seen(page, label)).to_have_text(words)
    expect(seen(page, "Its clock")).to_have_text("right to the second")

    host.run(["touch", "/run/reboot-required"])
    page.get_by_role("button", name="Check health").click()
    expect(page.locator(".messagelist")).to_contain_text("«fra-2» is well. It waits to be rebooted.")
    expect(seen(page, "Reboot")).to_contain_text("pending")

    host.run(["systemctl", "stop", "ezstream-agent"])
    expect(page.locator(".vps-state")).to_contain_text("silent", timeout=LONG_MS)
    page.get_by_role("button", name="Check health").click()
    why = "its agent does not run: systemd says «inactive (dead)»"
    expect(page.locator(".vps-state")).to_contain_text(why)
    host.run(["systemctl", "start", "ezstream-agent"])
    expect(page.locator(".vps-state")).to_contain_text("takes streams", timeout=LONG_MS)
    host.run(["rm", "/run/reboot-required"])


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
