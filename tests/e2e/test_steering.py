"""On air without a seam: the whole product steered, killed and steered again, seen from where the stream arrives."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lab.processes import ROOM, wait_until
from lab.receiver import Publish
from tests.e2e import houses
from tests.e2e.houses import House

pytestmark = pytest.mark.e2e

ANSWERED_WITHIN_S = 1.0
BACK_WITHIN_S = 2.0


class Channel:
    """The demo channel, by the API its owner uses."""

    def __init__(self, house: House) -> None:
        self.house, self.product, self.receiver = house, house.product, house.receiver

    def state(self) -> dict[str, Any]:
        return self.house.state()

    def send(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self.house.post(f"/api/streams/{self.house.pk}{path}", json=body)
        assert answer.ok, answer.text
        return answer.json()

    def steer(self, order: str, item_id: int | None = None) -> int | None:
        """The id of the item on air afterwards; answered by what really happened, in time."""
        before = time.monotonic()
        answer = self.send("/steer", {"order": order, "item_id": item_id})
        assert answer["answered"], answer
        assert time.monotonic() - before < ANSWERED_WITHIN_S * ROOM
        return answer["item_id"]

    def on_air(self) -> list[Publish]:
        return [publish for publish in self.receiver.publishes if publish.closed_at is None]

    def all_live(self) -> bool:
        return all(each["state"] == "live" for each in self.state()["destinations"] if each["enabled"])

    def playout_pid(self) -> int:
        (status,) = self.product.plan.home.glob("agent1/runs/*/status.json")
        return int(json.loads(status.read_text())["pid"])


@pytest.fixture(scope="module")
def channel() -> Iterator[Channel]:
    with houses.on_air() as house:
        channel = Channel(house)
        wait_until(channel.all_live, "both destinations live", 30)
        wait_until(lambda: len(set(channel.state()["next"])) == 3, "all three videos prepared", 30)
        yield channel


def test_every_order_is_answered_by_what_happened_and_no_connection_is_dropped(channel: Channel) -> None:
    connections = channel.on_air()
    assert len(connections) == 2
    first, second, third = (item["id"] for item in channel.state()["items"])
    assert channel.steer("jump", second) == second
    assert channel.state()["now_playing_item"] == second
    assert channel.steer("next") == third
    assert channel.steer("previous") == second
    assert channel.steer("play_next", first) == second
    assert channel.steer("next") == first
    assert channel.steer("pause") is None
    wait_until(lambda: channel.state()["paused"], "the page says so")
    assert channel.steer("resume") == first
    channel.send("/playlist", {"file_ids": [item["file_id"] for item in channel.state()["items"]][::-1]})
    wait_until(lambda: channel.state()["now_playing_item"] == first, "the item on air goes on")
    assert channel.on_air() == connections
    for publish in connections:
        assert publish.steps_back() == 0
        assert publish.max_gap_s() < 0.5 * ROOM


def test_a_destination_off_and_on_again_disturbs_no_other(channel: Channel) -> None:
    (one,) = (each for each in channel.on_air() if each.app == "one")
    row = next(each for each in channel.state()["destinations"] if "two" in each["name"])
    channel.send(f"/outputs/{row['id']}", {"enabled": False})
    wait_until(lambda: [each.app for each in channel.on_air()] == ["one"], "the other is closed")
    channel.send(f"/outputs/{row['id']}", {"enabled": True})
    wait_until(lambda: len(channel.on_air()) == 2, "and comes back")
    assert one in channel.on_air()
    wait_until(channel.all_live, "both live")


def test_the_agent_is_killed_and_the_stream_does_not_notice(channel: Channel) -> None:
    connections = channel.on_air()
    agent = channel.product.supervisor.children["agent1"].process
    assert agent is not None
    os.kill(agent.pid, signal.SIGKILL)
    wait_until(lambda: channel.product.supervisor.children["agent1"].process is not agent, "another agent")
    item = channel.state()["items"][0]["id"]

    def steered() -> bool:
        order = {"order": "jump", "item_id": item}
        answer = channel.house.post(f"/api/streams/{channel.house.pk}/steer", json=order)
        return answer.ok and answer.json()["item_id"] == item

    wait_until(steered, "the new agent steers the old playout", 20)
    assert channel.on_air() == connections


def test_the_playout_is_killed_and_comes_back_where_it_was(channel: Channel) -> None:
    old = channel.on_air()
    item = channel.steer("jump", channel.state()["items"][1]["id"])
    os.kill(channel.playout_pid(), signal.SIGKILL)
    killed = time.monotonic()
    wait_until(lambda: all(each.closed_at for each in old), "the old connections are gone")
    wait_until(lambda: len([each for each in channel.on_air() if each.arrivals]) == 2, "both are back", 10)
    back = max(each.arrivals[0].at for each in channel.on_air())
    assert back - killed < BACK_WITHIN_S * ROOM
    wait_until(channel.all_live, "both live")
    assert channel.state()["now_playing_item"] == item


def test_stop_ends_it(channel: Channel) -> None:
    channel.send("/stop", {})
    wait_until(lambda: channel.state()["status"] == "INACTIVE", "off air")
    assert channel.on_air() == []
