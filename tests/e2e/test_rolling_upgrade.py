"""Two servers with four streams on air get another agent, one after the other, and no destination notices (AGT-7); one
that does not work is taken back by itself; and in the end a server is made as it was before us."""

from __future__ import annotations

import itertools
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fleet.provision import apt, detached
from lab.hosts import Host, Lab
from lab.processes import ROOM, wait_until
from lab.product import Product
from lab.receiver import Publish, Receiver
from tests.e2e import houses
from tests.e2e.houses import AgentSource, says
from tests.e2e.installed import packages

pytestmark = pytest.mark.e2e

APPS = ("one", "two", "three", "four")
LONGEST_S = 2.0
"""Between two media messages: what arrives goes on as if nothing was."""
PREPARE = """
import json, sys
from accounts.models import Package
from fleet import actions
from fleet.models import Vps
Package.objects.update(max_concurrent_streams=9)
for name, (address, password) in json.loads('{hosts}').items():
    vps = Vps(name=name, host=address)
    vps.set_password(password)
    vps.save()
    actions.provision(vps, None)
"""
READY = """
from django.utils import timezone
from fleet.models import ProvisionRun, Vps
failed = [run.reason for run in ProvisionRun.objects.filter(status="FAILED")]
assert not failed, failed
print(Vps.objects.filter(status="ACTIVE").reachable(timezone.now()).count())
"""
ON_AIR = """
from fleet.models import Vps
from streams import actions
from streams.models import Destination, Stream
first = Stream.objects.get(pk={pk})
for app, url, name in {places}:
    place = Destination(owner=first.owner, name=app, url=url)
    place.set_key("key-of-" + app)
    place.save()
    copy = actions.duplicate(first, first.owner)
    copy.outputs.all().delete()
    copy.outputs.create(destination=place)
    actions.start_on(copy, Vps.objects.get(name=name), None)
"""
LEAVE = """
from fleet import actions as fleet, slots
from fleet.errors import Refused
from fleet.models import Vps
from streams import actions
vps = Vps.objects.get(name="{name}")
for run in vps.runs.holding().select_related("stream"):
    try:
        fleet.decommission(vps, None)
    except Refused as refusal:
        print(refusal)
    if run.stream.state == "STREAMING":
        actions.stop(run.stream, None)
if not slots.held(vps.pk):
    print("run", fleet.decommission(vps, None).pk)
"""
GONE = """
from fleet.models import ProvisionRun, Vps
run = ProvisionRun.objects.get(pk={pk})
print(run.status, run.reason, Vps.objects.filter(name="{name}").count())
"""
LEFT = """
ls -d /etc/ezstream* /opt/ezstream /var/lib/ezstream* /etc/systemd/system/ezstream-* /var/log/ezstream* 2>/dev/null
getent passwd ezstream; nft list table inet ezstream 2>/dev/null; systemctl list-units --no-legend 'ezstream*'
pgrep -f 'agent[-]'; true
"""


@dataclass
class Fleet:
    product: Product
    hosts: dict[str, Host]
    receiver: Receiver
    source: AgentSource

    def shell(self, code: str) -> str:
        return self.product.manage("shell", "--no-imports", "-v", "0", "-c", code).strip()

    def versions(self) -> dict[str, str]:
        rows = json.loads(self.product.manage("fleet_versions", "--json"))["agents"]
        return {row["vps"]: row["version"] for row in rows if row["vps"] in self.hosts}

    def bring(self, change: Callable[[Path], object]) -> None:
        self.source.bring(self.product, change)

    def agent_of(self, name: str) -> str:
        return self.hosts[name].run(["systemctl", "show", "--value", "-p", "ExecMainPID", "ezstream-agent"]).strip()


@pytest.fixture(scope="module")
def fleet(vps_lab: Lab) -> Iterator[Fleet]:
    hosts = vps_lab.several(["up1", "up2"], packages())
    for host in hosts:  # with lists as fetched just now: no apt runs
        host.run(["sh", "-c", f"mkdir -p {detached.HOME} && touch {apt.STAMP}"])
    with houses.AgentSource() as source, Receiver(vps_lab.address) as receiver:
        environ = {"AGENT_SOURCE": str(source.path), "SSH_TRUST_FIRST_USE": "1", "PROVISION_UPGRADE": "none"}
        with houses.fleet_product(vps_lab, environ) as product:
            yield Fleet(product, {host.name: host for host in hosts}, receiver, source)
    for host in hosts:
        vps_lab.remove(host)


@pytest.fixture(scope="module")
def on_air(fleet: Fleet) -> list[Publish]:
    """Two streams on each server."""
    hosts = {name: (host.address, host.password) for name, host in fleet.hosts.items()}
    fleet.shell(PREPARE.format(hosts=json.dumps(hosts)))
    wait_until(lambda: fleet.shell(READY) == "2", "both servers are in the fleet", 60, every_s=0.5)
    names = itertools.cycle(fleet.hosts)
    places = [(app, fleet.receiver.url(app), next(names)) for app in APPS]
    fleet.shell(ON_AIR.format(pk=fleet.product.facts["stream_id"], places=places))
    wait_until(lambda: all(fleet.receiver.of(app) for app in APPS), "all four are on air", 40)
    publishes = [fleet.receiver.of(app)[0] for app in APPS]
    flow(publishes)
    return publishes


def flow(publishes: list[Publish]) -> None:
    """Each over the connection it began with."""
    before = [len(each.arrivals) for each in publishes]
    for each, count in zip(publishes, before, strict=True):
        wait_until(lambda each=each, count=count: len(each.arrivals) > count + 30, f"{each.app} flows", 20)
        assert each.closed_at is None


def longest_gap_s(publishes: list[Publish], since: float) -> float:
    times = [[each.at for each in publish.arrivals if each.at >= since] for publish in publishes]
    return max(later - earlier for each in times for earlier, later in itertools.pairwise(each))


def does_not_start(source: Path) -> None:
    """It passes its own test, and ends when it is to work."""
    main, head = source / "__main__.py", "def _be_agent(config: Config, service: Service) -> int:\n"
    text = main.read_text()
    assert head in text
    main.write_text(text.replace(head, f"{head}    return FAILED\n"))


def test_a_fleet_gets_another_agent_and_no_destination_notices(fleet: Fleet, on_air: list[Publish]) -> None:
    before = fleet.versions()
    fleet.bring(says("99.0"))
    began = time.monotonic()
    said = fleet.product.manage("fleet_upgrade", "--all")
    print(f"{said}\nrolled out in {time.monotonic() - began:.1f} s")
    assert said.splitlines()[0].endswith("up1, up2")
    after = fleet.versions()
    assert {version.partition("+")[0] for version in after.values()} == {"99.0"}
    assert set(after.values()).isdisjoint(before.values())
    flow(on_air)
    assert len(fleet.receiver.publishes) == len(APPS)
    gap = longest_gap_s(on_air, began)
    print(f"longest silence at a destination: {gap:.2f} s")
    assert gap < LONGEST_S * ROOM
    assert "every agent is of this version already" in fleet.product.manage("fleet_upgrade", "--all")


def test_what_is_upgraded_already_is_not_begun_anew(fleet: Fleet, on_air: list[Publish]) -> None:
    pids = [fleet.agent_of(name) for name in fleet.hosts]
    began = time.monotonic()
    said = fleet.product.manage("fleet_upgrade", *fleet.hosts)
    print(f"{said}\nunchanged in {time.monotonic() - began:.1f} s")
    assert said.count("unchanged, it is 99.0+") == 2
    assert [fleet.agent_of(name) for name in fleet.hosts] == pids


def test_one_that_does_not_work_is_taken_back_and_goes_no_further(fleet: Fleet, on_air: list[Publish]) -> None:
    before, second = fleet.versions(), fleet.agent_of("up2")
    fleet.bring(does_not_start)
    began = time.monotonic()
    with pytest.raises(subprocess.CalledProcessError) as failed:
        fleet.product.manage("fleet_upgrade", "--all")
    print(f"{failed.value.output}\ntaken back in {time.monotonic() - began:.1f} s")
    assert failed.value.returncode == 1
    assert "«up1»: failed: «Start the new agent»" in failed.value.output
    assert "It went back: the agent before is heard again." in failed.value.output
    assert "«up2»" not in failed.value.output
    assert fleet.versions() == before
    assert fleet.agent_of("up2") == second
    assert fleet.shell(READY.replace("assert not failed, failed", "")) == "2"
    flow(on_air)
    assert len(fleet.receiver.publishes) == len(APPS)


def test_in_the_end_nothing_of_ours_is_there(fleet: Fleet, on_air: list[Publish]) -> None:
    """Once its streams are over; the other server's stay on air."""
    assert "carries 2 streams. Drain it" in fleet.shell(LEAVE.format(name="up1"))
    said: list[str] = []

    def is_begun() -> bool:
        said[:] = fleet.shell(LEAVE.format(name="up1")).split()[-2:]
        return said[:1] == ["run"]

    wait_until(is_begun, "its streams are over", 30, every_s=0.5)
    gone = GONE.format(pk=said[1], name="up1")
    wait_until(lambda: fleet.shell(gone).split()[0] in ("DONE", "FAILED"), "it is decommissioned", 30, every_s=0.5)
    assert fleet.shell(gone).split() == ["DONE", "0"]
    assert fleet.hosts["up1"].run(["sh", "-c", LEFT]).strip() == ""
    assert "«up1»  cut off since" in fleet.product.manage("redis_users")
    flow([each for each in on_air if each.closed_at is None])
