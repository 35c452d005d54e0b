"""How long people wait: Start → first byte, Stop → closed, agent → browser; and gaps at item boundaries.

    .venv/bin/python -m bench.start_latency [--rounds 10] [--boundaries 20]

Starts the whole product and two receivers on loopback, drives it over HTTP as a user would, and prints medians.
The last line is JSON. «Warm»: the prepared files are on the VPS; «cold»: it had deleted them at the stop before.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import redis
from playwright.sync_api import Page

from lab.browser import chromium
from lab.client import Client
from lab.ports import free_port
from lab.processes import wait_until
from lab.product import Plan, Product
from lab.receiver import Publish, Receiver

CLIP_SECONDS: Final = 3
LIMIT_S: Final = 60.0


class Bench:
    def __init__(self, product: Product, receiver: Receiver) -> None:
        self.product = product
        self.receiver = receiver
        user = next(who for who in product.facts["people"] if who["role"] == "User")
        self.client = Client(product.url, user["email"], user["password"])
        self.stream = f"/streams/{product.facts['stream_id']}/"

    def start(self) -> tuple[float, Publish]:
        """Seconds from the click to the first media byte at the slower destination, and what the first one got."""
        seen = len(self.receiver.publishes)
        pressed = time.monotonic()
        self.client.post(f"{self.stream}start")
        wait_until(lambda: self._arrived(seen), "media at both destinations", LIMIT_S, every_s=0.01)
        both = self.receiver.publishes[seen:]
        return max(publish.arrivals[0].at for publish in both) - pressed, both[0]

    def _arrived(self, seen: int) -> bool:
        new = self.receiver.publishes[seen:]
        return len(new) == 2 and all(publish.arrivals for publish in new)

    def stop(self) -> float:
        """Seconds from the click to the close of the slower destination."""
        on_air = [publish for publish in self.receiver.publishes if publish.closed_at is None]
        pressed = time.monotonic()
        self.client.post(f"{self.stream}stop")
        wait_until(lambda: all(publish.closed_at for publish in on_air), "closed", LIMIT_S, every_s=0.01)
        closed = max(publish.closed_at or 0 for publish in on_air)
        self.rest()
        return closed - pressed

    def rest(self) -> None:
        progress = f"/api/streams/{self.product.facts['stream_id']}"
        wait_until(lambda: self.client.get(progress).json()["status"] == "INACTIVE", "off air", LIMIT_S)

    def keep_files(self, keep: bool) -> None:
        """Whether the VPS keeps its files when the stream stops: what makes the next start a warm one."""
        change = f"from streams.models import Stream; Stream.objects.update(keep_files_after_stop={keep})"
        self.product.manage("shell", "--no-imports", "-c", change)


@contextmanager
def published(url: str, channel: str, match: Callable[[dict[str, Any]], bool]) -> Iterator[list[float]]:
    """Collects the wall-clock times at which matching messages pass through Redis."""
    times: list[float] = []
    client = redis.Redis.from_url(url)
    pubsub = client.pubsub()
    pubsub.psubscribe(channel)
    pubsub.get_message(timeout=2)

    def listen() -> None:
        while True:
            message = pubsub.get_message(timeout=0.2)
            if done.is_set():
                return
            if message and message["type"] == "pmessage" and match(json.loads(message["data"])):
                times.append(time.time())

    done = threading.Event()
    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield times
    finally:
        done.set()
        thread.join()
        pubsub.close()
        client.close()


WATCH_STATE: Final = """() => {
  window.onAirAt = null;
  const look = () => {
    const live = document.querySelector('#stream-state.tone-live');
    if (live && window.onAirAt === null) window.onAirAt = Date.now() / 1000;
  };
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true, attributes: true});
}"""


def event_to_browser(bench: Bench, page: Page) -> float:
    """Seconds from the agent's STREAMING on Redis to «on air» in the page's DOM, over its socket."""
    with page.expect_websocket() as opening:
        page.goto(bench.product.url + bench.stream)
    opening.value.wait_for_event("framereceived", timeout=10_000)
    page.evaluate(WATCH_STATE)
    url = bench.product.env["REDIS_URL"]
    with published(url, "stream-status:*", lambda body: body["status"] == "STREAMING") as times:
        bench.start()
        page.wait_for_selector("#stream-state.tone-live", timeout=20_000)
    return float(page.evaluate("window.onAirAt")) - times[0]


def browser_latencies(bench: Bench, rounds: int) -> list[float]:
    with chromium() as browser:
        context = browser.new_context()
        context.add_cookies(
            [{"name": n, "value": v, "url": bench.product.url} for n, v in bench.client.cookies.items()]
        )
        page = context.new_page()
        seconds = []
        for _ in range(rounds):
            seconds.append(event_to_browser(bench, page))
            bench.stop()
        return seconds


def boundary_gap_ms(bench: Bench, boundaries: int) -> float:
    """Plays over item boundaries; the longest silence at a receiver. Fails on a reconnect or a step back."""
    before = len(bench.receiver.publishes)
    _, publish = bench.start()
    wait_until(lambda: publish.headers() > boundaries, f"{boundaries} boundaries", CLIP_SECONDS * boundaries + LIMIT_S)
    bench.stop()
    got = bench.receiver.publishes[before:]
    if len(got) != 2 or any(one.steps_back() for one in got):
        raise SystemExit("a destination was reconnected, or a timestamp went back")
    return max(one.max_gap_s() for one in got) * 1000


def run(bench: Bench, rounds: int, boundaries: int) -> dict[str, float]:
    cold, warm, stops = [], [], []
    bench.keep_files(False)
    for _ in range(rounds):
        cold.append(bench.start()[0])
        stops.append(bench.stop())
    bench.keep_files(True)
    bench.start()
    bench.stop()
    for _ in range(rounds):
        warm.append(bench.start()[0])
        stops.append(bench.stop())
    seen = browser_latencies(bench, rounds)
    gap = boundary_gap_ms(bench, boundaries)
    table = {"start, warm": warm, "start, cold": cold, "stop": stops, "event → browser": seen}
    for name, seconds in table.items():
        print(f"{name:<18} median {statistics.median(seconds):.3f} s   worst {max(seconds):.3f} s   n={len(seconds)}")
    print(f"{boundaries} boundaries: no reconnect, no step back, longest gap {gap:.0f} ms")
    return {
        "start_warm_s": round(statistics.median(warm), 3),
        "start_cold_s": round(statistics.median(cold), 3),
        "stop_s": round(statistics.median(stops), 3),
        "event_to_browser_s": round(statistics.median(seen), 3),
        "max_boundary_gap_ms": round(gap),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--boundaries", type=int, default=20)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ezb-") as home, Receiver() as receiver:
        plan = Plan(
            home=Path(home),
            web_port=free_port(),
            rtmp_port=0,
            platform_port=0,
            clip_seconds=CLIP_SECONDS,
            start_demo=False,
            ingest={"a": receiver.url("a"), "b": receiver.url("b")},
        )
        with Product(plan) as product:
            product.manage("fleet_wait")
            bench = Bench(product, receiver)
            figures = run(bench, args.rounds, args.boundaries)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
