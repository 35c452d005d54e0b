"""The product as end-to-end tests meet it: with its demo channel on air, or where servers of the lab can reach it."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

import requests

from agent.tests.servers import RedisServer
from lab.client import Client
from lab.hosts import Lab
from lab.platform import APPS
from lab.ports import free_port
from lab.processes import wait_until
from lab.product import ROOT, Plan, Product
from lab.receiver import Receiver
from lab.valkey import Valkey
from tests.env import OUTSIDE

WORD: Final = "canary-redis-word"
"""The password of the Redis servers of the lab reach; it must be seen nowhere."""


@contextmanager
def running(environ: dict[str, str] | None = None, **plan: Any) -> Iterator[Product]:
    """The product on free ports, in a folder that is gone afterwards; `plan` is the rest of a `lab.product.Plan`."""
    home = Path(tempfile.mkdtemp(prefix="eze-"))
    ports = {"web_port": free_port(), "rtmp_port": free_port(len(APPS)), "platform_port": free_port()}
    with Product(Plan(home=home, environ=OUTSIDE | (environ or {}), **ports, **plan)) as product:
        yield product
    shutil.rmtree(home, ignore_errors=True)


@contextmanager
def fleet_product(lab: Lab, environ: dict[str, str] | None = None, **plan: Any) -> Iterator[Product]:
    """Without an agent, where servers of the lab can reach it and its Redis."""
    where = {"address": lab.address, "agents": 0, "start_demo": False}
    with (
        RedisServer(address=lab.address, password=WORD) as redis,
        running({**(environ or {}), "REDIS_URL": redis.url}, **where, **plan) as product,
    ):
        yield product


class AgentSource:
    """Another agent for a control plane to bring (`AGENT_SOURCE`), gone afterwards."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="eza-"))
        self.path = self.home / "agent"
        shutil.copytree(ROOT / "agent", self.path, ignore=shutil.ignore_patterns("tests", "__pycache__"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        shutil.rmtree(self.home, ignore_errors=True)

    def bring(self, product: Product, change: Callable[[Path], object]) -> None:
        """As an upgrade of the control plane: the source is changed, and the processes that bring it are begun anew."""
        change(self.path)
        children = product.supervisor.children
        names = ("web", "fleet", "scheduler")
        before = {name: children[name].pid for name in names}
        for name in names:
            product.supervisor.kill(name, signal.SIGTERM)
        wait_until(lambda: all(children[name].pid != before[name] for name in names), "they were begun anew", 30)
        wait_until(product.is_up, "the pages are there again", 30)


def says(version: str) -> Callable[[Path], object]:
    """An agent like ours, of another version."""
    return lambda source: (source / "__init__.py").write_text(f'"""The daemon."""\n\n__version__ = "{version}"\n')


class House:
    """The product with its demo channel, and what it is seen by."""

    def __init__(self, product: Product, receiver: Receiver) -> None:
        user, operator = (who for who in product.facts["people"])
        self.product, self.receiver = product, receiver
        self.user = user
        self.client = Client(product.url, user["email"], user["password"])
        self.operator = Client(product.url, operator["email"], operator["password"])
        self.pk = int(product.facts["stream_id"])

    @property
    def valkey(self) -> Valkey:
        assert self.product._valkey is not None
        return self.product._valkey

    def look(self, path: str, who: Client | None = None) -> requests.Response:
        return (who or self.client).session.get(self.product.url + path, timeout=30, allow_redirects=False)

    def post(self, path: str, **more: Any) -> requests.Response:
        headers = {"X-CSRFToken": self.client.cookies["csrftoken"], "Referer": self.product.url}
        headers |= more.pop("headers", {})
        url = self.product.url + path
        return self.client.session.post(url, headers=headers, timeout=30, allow_redirects=False, **more)

    def state(self, pk: int | None = None) -> dict[str, Any]:
        found: dict[str, Any] = self.look(f"/api/streams/{pk or self.pk}").json()
        return found

    def arrived(self) -> int:
        return sum(len(publish.arrivals) for publish in self.receiver.publishes)

    def connections(self) -> list[float]:
        """When those that push now began to."""
        return [publish.opened_at for publish in self.receiver.publishes if publish.closed_at is None]

    def goes_on(self) -> None:
        before = self.arrived()
        wait_until(lambda: self.arrived() > before + 50, "media goes on arriving", 5)

    def is_ready(self) -> bool:
        return self.look("/health/ready").status_code == 200

    def log(self, name: str) -> str:
        return (self.product.plan.home / "logs" / f"{name}.log").read_text(errors="replace")

    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.client.cookies.items())


@contextmanager
def on_air(environ: dict[str, str] | None = None, **plan: Any) -> Iterator[House]:
    """Its demo channel goes to two destinations, `one` and `two`, and has reached both."""
    with Receiver() as receiver:
        ingest = {app: receiver.url(app) for app in ("one", "two")}
        with running(environ, ingest=ingest, **plan) as product:
            house = House(product, receiver)
            wait_until(lambda: house.state()["status"] == "STREAMING", "on air", 30)
            wait_until(lambda: len(house.connections()) == 2, "both destinations", 30)
            yield house
