"""An agent that answers orders, the way the listener hands its answers on."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace

from django.utils import timezone

from agent.protocol import Steered, SteerStream, UpdateStream
from fleet import answers
from lab.processes import wait_until
from streams.inbox import Inbox
from streams.models import Run, Stream
from streams.tests import build


class Agent:
    """Hears the commands of one VPS and answers each order by `reply(command) -> Steered | None`."""

    def __init__(self, vps_id, reply) -> None:
        self._ear, self._reply = build.Ear(vps_id), reply
        self._stop = threading.Event()
        self.heard: list[object] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.is_set():
            for command in self._ear.heard():
                self.heard.append(command)
                answer = self._reply(command) if isinstance(command, SteerStream) else None
                if answer is not None:
                    answers.forward(answer)

    def close(self):
        self._stop.set()
        self._thread.join()
        self._ear.close()

    def orders(self):
        return [(each.order, each.item_id) for each in self.heard if isinstance(each, SteerStream)]

    def configs(self):
        return [each.config for each in self.heard if isinstance(each, UpdateStream)]

    def hears(self, count):
        wait_until(lambda: len(self.heard) >= count, f"{count} commands were heard")


def said(vps_id, command, **fields):
    whole = Steered(
        vps_id=vps_id, timestamp=1.0, stream_id=command.stream_id, run_id=command.run_id, order_id=command.order_id,
        ok=True,
    )  # fmt: skip
    return replace(whole, **fields)


@contextmanager
def answering(vps, reply=None):
    """An agent that does as it is told: `reply(command)` gives the fields of its answer, None for silence."""

    def answer(command):
        fields = reply(command) if reply else {"item_id": command.item_id}
        return None if fields is None else said(vps.pk, command, **fields)

    agent = Agent(vps.pk, answer)
    try:
        yield agent
    finally:
        agent.close()


def on_air(stream: Stream, vps, **fields) -> Run:
    """On air at its first item."""
    run = build.running(stream, vps)
    item = stream.items.first()
    report = build.report(run, **({"item_id": item.pk, "position_s": 3.0} | fields))
    Inbox().apply([build.heartbeat(vps, report)], timezone.now())
    return run
