"""The whole life of one server of the fleet, by the operators' pages: bare, on air, killed, rebooted, out of service.

One real host of the lab, one stream; each test goes on where the one before it ended.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from fleet.provision import places
from lab import console
from lab.hosts import Host, Lab
from lab.processes import ROOM, wait_until
from lab.product import Product
from lab.receiver import Publish, Receiver
from tests.e2e import houses
from tests.e2e.houses import WORD, AgentSource, House, says

pytestmark = pytest.mark.e2e

NAME = "bare «one»"
AGAIN_S = 10.0
"""What a second provisioning of a ready server may take."""


@pytest.fixture(scope="module")
def receiver(vps_lab: Lab) -> Iterator[Receiver]:
    with Receiver(vps_lab.address) as receiver:
        yield receiver


@pytest.fixture(scope="module")
def source() -> Iterator[AgentSource]:
    with AgentSource() as source:
        yield source


@pytest.fixture(scope="module")
def product(vps_lab: Lab, receiver: Receiver, source: AgentSource) -> Iterator[Product]:
    environ = {"AGENT_SOURCE": str(source.path)}
    with houses.fleet_product(vps_lab, environ, ingest={"live": receiver.url("live")}) as product:
        yield product


@pytest.fixture(scope="module")
def host(vps_lab: Lab) -> Iterator[Host]:
    host = vps_lab.host("bare")
    yield host
    vps_lab.remove(host)


@pytest.fixture
def publish(receiver: Receiver) -> Iterator[Publish]:
    """What is on air; at the end it still is, over the same connection."""
    publish = receiver.publishes[-1]
    flows(publish)
    yield publish
    flows(publish)


def flows(publish: Publish) -> None:
    before = len(publish.arrivals)
    wait_until(lambda: len(publish.arrivals) > before + 50, "what is on air arrives", 10)
    assert publish.closed_at is None


def test_a_step_fails_and_is_resumed(page: Page, product: Product, host: Host) -> None:
    """Without DNS at first; its cable pulled in the middle of apt; in the end by key instead of password."""
    names = host.run(["cat", "/etc/resolv.conf"])
    host.run(["cp", "/dev/null", "/etc/resolv.conf"])
    host.run(["sh", "-c", "sed -i 's/^hosts:.*/hosts: files dns/' /etc/nsswitch.conf"])
    console.add(page, host, NAME, use_key=True)
    console.provision(page)
    expect(console.headline(page)).to_have_text("failed", timeout=console.LONG_MS)
    expect(page.locator(".trouble")).to_contain_text("The server cannot look up names (DNS).")
    expect(page.locator(".trouble")).to_contain_text("apt-get update")

    host.run(["tee", "/etc/resolv.conf"], given=names.encode())
    page.get_by_role("button", name="Resume").click()
    console.is_at_work(page, "Install Python", "Unpacking")
    host.cut()
    time.sleep(3)  # longer than a packet is tried again at once; what is shown after it, the steps tell
    host.mend()
    console.ends_well(page)
    expect(page.locator("#provision-head")).to_contain_text("is ready for streams")


def test_it_is_as_it_should_be_and_no_secret_was_told(product: Product, host: Host) -> None:
    assert host.run(["systemctl", "is-active", places.AGENT_UNIT, places.NGINX_UNIT]).split() == ["active", "active"]
    assert "dport 22 accept" in host.run(["nft", "list", "table", "inet", "ezstream"])
    assert host.run(["stat", "-c", "%a %U", places.ENVIRONMENT]).strip() == "600 ezstream"
    assert "passwordauthentication no" in host.run(["sshd", "-T"])
    written = console.kept(product)
    for secret in (host.password, WORD):
        assert secret not in written


def test_a_second_provisioning_changes_nothing(page: Page, host: Host) -> None:
    page.goto("/admin/fleet/vps/")
    row = page.locator("tr", has_text=NAME)
    expect(row).to_contain_text("active")
    expect(row).to_contain_text("reachable")
    row.get_by_role("link", name=NAME).click()
    began = time.monotonic()
    console.provision(page)
    console.ends_well(page)
    assert time.monotonic() - began < AGAIN_S * ROOM
    expect(page.locator("#provision-head")).to_contain_text("nothing was changed")
    expect(page.locator("li.step-changed")).to_have_count(0)


def test_a_stream_goes_on_air_from_it(product: Product, receiver: Receiver) -> None:
    product.manage("demo_start", str(product.facts["stream_id"]))
    wait_until(lambda: any(each.frames for each in receiver.publishes), "a picture arrives", 60)
    flows(receiver.publishes[-1])


def test_its_agent_is_killed_and_the_stream_stays(host: Host, publish: Publish) -> None:
    before = pid(host)
    host.run(["kill", "-9", before])
    wait_until(lambda: pid(host) not in ("0", before), "another agent", 30)


def test_it_is_rebooted_and_the_stream_returns(host: Host, receiver: Receiver) -> None:
    seen = len(receiver.publishes)
    host.reboot()
    wait_until(lambda: len(receiver.publishes) > seen, "published again", 60)
    flows(receiver.publishes[-1])


def test_its_agent_is_upgraded(page: Page, product: Product, source: AgentSource, publish: Publish) -> None:
    source.bring(product, says("99.0"))
    console.of_vps(page, NAME)
    console.press(page, "Upgrade agent")
    console.ends_well(page)
    expect(page.locator("#provision-head")).to_contain_text("Agent 99.0+")


def test_it_is_drained_and_removed(page: Page, product: Product, host: Host, receiver: Receiver) -> None:
    console.of_vps(page, NAME)
    console.press(page, "Drain, letting them finish")
    expect(page.locator(".vps-state")).to_contain_text("draining")
    flows(receiver.publishes[-1])
    console.press(page, "Remove")
    expect(page.locator(".messagelist")).to_contain_text("carries 1 stream. Drain it")
    house = House(product, receiver)
    assert house.post(f"/api/streams/{house.pk}/stop").ok
    wait_until(lambda: receiver.publishes[-1].closed_at is not None, "the stream ended", 30)
    console.of_vps(page, NAME)
    console.press(page, "Remove")
    expect(page.locator(".messagelist")).to_contain_text("is removed")
    said = ["journalctl", "--unit", places.AGENT_UNIT, "--no-pager", "--output", "cat", "--lines", "5"]
    wait_until(lambda: "does not take our user and password" in host.run(said), "its agent is cut off", 30)


def pid(host: Host) -> str:
    return host.run(["systemctl", "show", "--value", "-p", "MainPID", places.AGENT_UNIT]).strip()
