"""The ear of the control plane: takes agents' messages in batches, applies them, tells browsers (RED-4).

One asyncio loop: the reader only queues; the worker takes all that is queued and applies it in one turn of the
database thread; the clock sweeps, pings and logs. Redis away: back-off and again, for ever.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, Final

import redis.asyncio
import structlog
from channels.db import database_sync_to_async
from django.db import DatabaseError
from django.utils import timezone
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from agent.protocol import (
    UP_PATTERNS,
    Answered,
    DestinationTested,
    Heartbeat,
    Pong,
    ProtocolError,
    Steered,
    UpMessage,
    decode_up,
)
from fleet import answers, history, pinging, redis_users
from kit import metrics
from kit.alive import say_alive
from streams import progress
from streams.converge import Sweep
from streams.inbox import Inbox

log = structlog.get_logger(__name__)
SWEEP_S: Final = 2.0
BEHIND_S: Final = 5.0
"""Messages wait so long to be applied: what we know of the fleet is old, and silence is ours."""
ASK_AFTER_S: Final = 5
DEAD_AFTER_S: Final = 10
"""Of silence, which is unusual where agents are: a connection that does not answer either is dead, though nobody closed
it."""
PING_S: Final = 30.0
MINUTES_S: Final = 5.0
BATCH: Final = 200
TURN_S: Final = 0.1
"""From one batch to the next at least: of many messages a turn costs hardly more than of one. Who comes after a pause
does not wait."""
QUEUE: Final = 20_000
LONGEST_PAUSE_S: Final = 5.0


class Listener:
    """`run` until `stop` is set. `counts` of the inbox and `malformed` tell how it goes."""

    def __init__(self, url: str, *, reconnect: bool = True) -> None:
        self.inbox = Inbox()
        self.subscribed = asyncio.Event()
        self._url = url
        self._reconnect = reconnect
        self._queue: asyncio.Queue[tuple[float, UpMessage]] = asyncio.Queue(QUEUE)
        """With when each came, by the monotonic clock."""
        self._newest: dict[int, Heartbeat] = {}
        """Of each VPS, of those that wait: one that is overtaken is not applied, so a fleet is never far behind."""
        self._followed = metrics.Followed(metrics.LISTENER_MESSAGES)
        self._in_hand: set[asyncio.Task[None]] = set()
        self._sweep = Sweep()
        self._caught_up_at = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Ends when `stop` is set (the batch in hand is finished), or when Redis goes and it may not reconnect."""
        reader = asyncio.create_task(self._read_for_ever(), name="reader")
        others = [
            asyncio.create_task(self._work(), name="worker"),
            asyncio.create_task(self._every(SWEEP_S, self._keep_time), name="sweep"),
            asyncio.create_task(self._every(PING_S, self._ping), name="ping"),
            asyncio.create_task(self._every(MINUTES_S, self._keep_minutes), name="minutes"),
        ]
        stopper = asyncio.create_task(stop.wait(), name="stop")
        done, _ = await asyncio.wait([reader, stopper, *others], return_when=asyncio.FIRST_COMPLETED)
        for task in (reader, stopper, *others):
            task.cancel()
        await asyncio.gather(reader, stopper, *others, return_exceptions=True)
        await asyncio.gather(*self._in_hand, return_exceptions=True)
        for task in done:
            task.result()

    async def _to_the_end(self, work: Coroutine[Any, Any, None]) -> None:
        """What is begun in the database is finished, also when we are told to stop meanwhile."""
        await asyncio.shield(self._begin(work))

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._in_hand.add(task)
        task.add_done_callback(self._in_hand.discard)
        return task

    # ---------------------------------------------------------------------------------------- reading

    async def _read_for_ever(self) -> None:
        failures = 0
        while True:
            try:
                await self._read()
            except (RedisError, OSError) as error:
                failures = 0 if self.subscribed.is_set() else failures + 1
                self.subscribed.clear()
                self._sweep.listening_since = None
                log.warning("listener.redis_lost", error=type(error).__name__, failures=failures)
                if not self._reconnect:
                    raise
                await asyncio.sleep(pause_s(failures, random.random()))  # noqa: S311  (jitter)

    async def _read(self) -> None:
        client = redis.asyncio.Redis.from_url(self._url, health_check_interval=10, socket_connect_timeout=5)
        async with client, client.pubsub() as pubsub:
            await pubsub.psubscribe(*UP_PATTERNS)
            # A Redis that was started anew may have forgotten who agents are: none could sign in.
            self._begin(database_sync_to_async(redis_users.heal)())
            silent_s = 0
            while True:
                message = await pubsub.get_message(timeout=1.0)
                silent_s = 0 if message else silent_s + 1
                if message:
                    await self._hear(message)
                elif silent_s == ASK_AFTER_S:
                    await pubsub.ping()
                elif silent_s >= DEAD_AFTER_S:
                    raise RedisTimeoutError("Redis does not answer")

    async def _hear(self, message: dict[str, Any]) -> None:
        if message["type"] == "psubscribe":
            self._sweep.listening_since = timezone.now()
            self.subscribed.set()
        elif message["type"] == "pmessage":
            await self._take(message)

    async def _take(self, raw: dict[str, Any]) -> None:
        message = self._decoded(raw)
        if isinstance(message, Steered | DestinationTested):
            # Somebody waits for it at this moment: it goes past the queue, and needs no database.
            known = await asyncio.to_thread(answers.forward, message)
            self.inbox.counts["answers" if known else "malformed"] += 1
        elif isinstance(message, Pong):
            self.inbox.hear(message, timezone.now())
        elif message is not None and not isinstance(message, Answered):
            # Who asked a question listens for the answer itself (`fleet.asking`).
            self._put(message)

    def _decoded(self, raw: dict[str, Any]) -> UpMessage | None:
        try:
            return decode_up(raw["channel"].decode(errors="replace"), raw["data"])
        except ProtocolError as error:
            self.inbox.counts["malformed"] += 1
            log.warning("listener.malformed", channel=raw["channel"].decode(errors="replace")[:60], error=str(error))
            return None

    def _put(self, message: UpMessage) -> None:
        if isinstance(message, Heartbeat):
            self._newest[message.vps_id] = message
        if self._queue.full():
            self._queue.get_nowait()
            self.inbox.counts["dropped"] += 1
        self._queue.put_nowait((time.monotonic(), message))

    # ---------------------------------------------------------------------------------------- working

    async def _work(self) -> None:
        while True:
            if self._queue.empty():
                self._caught_up_at = asyncio.get_running_loop().time()
            batch = await self._next()
            began = time.monotonic()
            await self._to_the_end(self._apply(batch))
            await asyncio.sleep(TURN_S - (time.monotonic() - began))

    async def _next(self) -> list[tuple[float, UpMessage]]:
        """What waits, in its order; when nothing does, the next that comes."""
        batch: list[tuple[float, UpMessage]] = []
        while not batch or (len(batch) < BATCH and not self._queue.empty()):
            at, message = await self._queue.get()
            if self._is_overtaken(message):
                self.inbox.counts["overtaken"] += 1
            else:
                batch.append((at, message))
        return batch

    def _is_overtaken(self, message: UpMessage) -> bool:
        if not isinstance(message, Heartbeat):
            return False
        if self._newest.get(message.vps_id) is not message:
            return True
        del self._newest[message.vps_id]
        return False

    async def _apply(self, batch: list[tuple[float, UpMessage]]) -> None:
        messages = [message for _at, message in batch]
        try:
            pokes = await database_sync_to_async(self.inbox.apply)(messages, timezone.now())
        except DatabaseError as error:
            log.error("listener.database_lost", error=str(error), messages=len(batch))
            return
        metrics.LISTENER_LAG.observe(time.monotonic() - batch[0][0])
        await self._tell(pokes)
        await self._keep_samples()

    async def _keep_samples(self) -> None:
        try:
            await asyncio.to_thread(self.inbox.beats.sampler.write)
        except (RedisError, OSError) as error:
            log.warning("listener.samples_lost", error=type(error).__name__)

    async def _tell(self, pokes: progress.Pokes) -> None:
        try:
            await progress.send(pokes)
        except (RedisError, OSError) as error:
            log.warning("listener.browsers_not_told", error=type(error).__name__)

    # ---------------------------------------------------------------------------------------- keeping time

    async def _every(self, seconds: float, job: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await self._to_the_end(job())
            except (DatabaseError, RedisError, OSError) as error:
                log.warning("listener.clock_failed", job=job.__name__, error=type(error).__name__)
            await asyncio.sleep(seconds)

    async def _keep_time(self) -> None:
        if not self._queue.empty() and asyncio.get_running_loop().time() - self._caught_up_at > BEHIND_S:
            self._sweep.heard_nothing(timezone.now())
        await self._tell(await database_sync_to_async(self._sweep_now)(timezone.now()))

    def _sweep_now(self, now: datetime) -> progress.Pokes:
        say_alive("listener")
        self._followed.look(self.inbox.counts)
        self.inbox.beats.forget(now - timedelta(minutes=10))
        with progress.collecting() as pokes:
            self._sweep.run(now)
        return pokes

    async def _keep_minutes(self) -> None:
        closed = await database_sync_to_async(self.inbox.beats.minutes.close)(timezone.now())
        if closed:
            await asyncio.to_thread(history.keep, closed)

    async def _ping(self) -> None:
        pinged = await database_sync_to_async(pinging.ping_reachable)(timezone.now())
        log.info("listener.alive", vpses=pinged, queue=self._queue.qsize(), **self.inbox.counts)


def pause_s(failures: int, jitter: float) -> float:
    """Seconds before the next try: 0.5, 1, 2, 4, 5, with up to half of it taken off. `jitter` 0..1."""
    whole = min(LONGEST_PAUSE_S, 0.5 * 2 ** min(failures, 10))
    return float(whole * (1 - jitter / 2))
