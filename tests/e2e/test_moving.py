"""The product with two agents: a destination is renewed, the stream moved and its server drained, as viewers see it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import pytest

from lab.processes import ROOM, wait_until
from lab.receiver import Publish
from tests.e2e import houses
from tests.e2e.houses import House

pytestmark = pytest.mark.e2e

MOVE = """
from streams import actions
from streams.models import Stream
print(actions.move(Stream.objects.get(pk={pk}), None).name)
"""
DRAIN = """
from django.utils import timezone
from fleet.models import Vps
Vps.objects.filter(name="{name}").update(
    status="DRAINING", drain_moves=True, draining_since=timezone.now(), left_at=None
)
"""
LEFT = """
from fleet import slots
from fleet.models import Vps
print([(vps.state.value, slots.held(vps.pk)) for vps in Vps.objects.filter(name="{name}")][0])
"""


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with houses.on_air(agents=2) as house:
        yield house


def shell(house: House, code: str) -> str:
    return house.product.manage("shell", "--no-imports", "-v", "0", "-c", code).strip()


def newest(house: House, app: str, number: int) -> list[Publish]:
    """The last so many broadcasts there, once media comes to the newest."""
    wait_until(lambda: len(house.receiver.of(app)) >= number and house.receiver.of(app)[-1].frames, "media", 30)
    return house.receiver.of(app)[-2:]


def gap_s(before: Publish, after: Publish) -> float:
    """How long nothing came; the old one has closed before the new one began."""
    assert before.closed_at is not None
    assert before.closed_at <= after.opened_at
    return after.frames[0].at - before.frames[-1].at


def test_one_destination_is_connected_anew_and_the_other_notices_nothing(house: House) -> None:
    state = house.state(house.pk)
    place = next(each for each in state["destinations"] if each["name"].lower().endswith("one"))
    before = len(house.receiver.of("one"))
    (other,) = house.receiver.of("two")
    since = len(other.arrivals)
    answer = house.post(f"/api/streams/{house.pk}/outputs/{place['id']}/renew").json()
    assert answer["answered"] is True
    old, new = newest(house, "one", before + 1)
    gap = gap_s(old, new)
    print(f"renewed: {gap:.2f} s without media")
    assert gap < 2 * ROOM
    house.goes_on()
    assert house.receiver.of("two") == [other]
    times = [arrival.at for arrival in other.arrivals[since:]]
    assert max(later - earlier for earlier, later in itertools.pairwise(times)) < 1 * ROOM
    wait_until(lambda: _shown(house, place["id"])["renewed_at"], "said on the page", 10)
    assert _shown(house, place["id"])["reconnects"] == 0


def _shown(house: House, output_id: int) -> dict:
    return next(each for each in house.state(house.pk)["destinations"] if each["id"] == output_id)


def test_the_stream_is_moved_where_it_was_and_never_pushed_twice(house: House) -> None:
    was_on, before = house.state(house.pk)["vps"], len(house.receiver.of("two"))
    asked = time.monotonic()
    target = shell(house, MOVE.format(pk=house.pk)).splitlines()[-1]
    assert target != was_on
    old, new = newest(house, "two", before + 1)
    wait_until(lambda: house.state(house.pk)["status"] == "STREAMING", "on air again", 30)
    print(f"moved: {gap_s(old, new):.2f} s without media, {new.frames[0].at - asked:.2f} s after the order")
    assert gap_s(old, new) < 6 * ROOM
    assert house.state(house.pk)["vps"] == target
    assert "moved" not in house.state(house.pk)["headline"].lower()


def test_a_server_that_is_drained_is_empty_and_then_inactive(house: House) -> None:
    name, before = house.state(house.pk)["vps"], len(house.receiver.of("two"))
    shell(house, DRAIN.format(name=name))
    old, new = newest(house, "two", before + 1)
    print(f"drained: {gap_s(old, new):.2f} s without media")
    wait_until(lambda: shell(house, LEFT.format(name=name)) == "('INACTIVE', 0)", "drained", 30)
    state = house.state(house.pk)
    assert state["vps"] != name
