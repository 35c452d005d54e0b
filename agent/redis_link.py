"""The wire to the control plane: commands in, messages and heartbeats out, connected again for ever.

Nothing here touches what is on air: while Redis is away, messages wait (the oldest progress goes first when
there are too many) and the next heartbeat says how everything stands.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from redis import asyncio as aioredis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from agent import protocol, redis_client
from agent.protocol import (
    HEARTBEAT_SECONDS,
    Command,
    Heartbeat,
    ProtocolError,
    StreamProgress,
    StreamStatus,
    UpMessage,
)

COALESCE_SECONDS: Final = 0.1
ANSWER_SECONDS: Final = 5.0
PROBE_SECONDS: Final = 5.0
OUTBOX: Final = 1000
LONGEST_WAIT: Final = 5.0
"""All of a fleet of thousands trying so often costs a Redis that is back little; what waits for them costs more."""
STEADY_SECONDS: Final = 15.0
"""A connection that held for so long was one."""
LONGEST_COMMAND: Final = 8 * 1024 * 1024
log = logging.getLogger("agent.redis")

TROUBLE: Final = (RedisError, OSError, TimeoutError)


def waits() -> Iterator[float]:
    """Seconds before each next try: 0.25 doubling to 5, each shortened by chance so that a fleet spreads."""
    longest = 0.25
    while True:
        yield longest * random.uniform(0.5, 1.0)  # noqa: S311
        longest = min(LONGEST_WAIT, longest * 2)


def why(error: BaseException) -> str:
    """What somebody can do something about, in words; else what kind of error it is."""
    found: BaseException | None = error
    while found is not None:
        match found:
            case ssl.SSLCertVerificationError():
                return f"its certificate is not good ({getattr(found, 'verify_message', '')})"
            case ssl.SSLError():
                return f"no TLS with it ({getattr(found, 'reason', None) or 'broken off'})"
            case AuthenticationError():
                return "it does not take our user and password"
            case NoPermissionError():
                return "our user may not do this"
            case ConnectionRefusedError():
                return "nobody listens there"
        found = found.__cause__ or found.__context__
    return type(error).__name__


class RedisLink:
    def __init__(
        self,
        url: str,
        vps_id: int,
        on_command: Callable[[Command], None],
        make_heartbeat: Callable[[], Heartbeat],
        on_bug: Callable[[], None],
        ca_file: Path | None = None,
    ) -> None:
        """`on_bug` is called when it broke by anything but its connection: it will not work again. `ca_file`: who
        signed for a Redis with TLS; None: whoever the system trusts."""
        self._url = url
        self._ca_file = ca_file
        self._vps_id = vps_id
        self._on_command = on_command
        self._make_heartbeat = make_heartbeat
        self._on_bug = on_bug
        self._outbox: deque[UpMessage] = deque()
        self._work = asyncio.Event()
        self._listening = asyncio.Event()
        self._silent = asyncio.Event()
        """Nothing left to say."""
        self._beat_now = False
        self._tasks: list[asyncio.Task[None]] = []
        self.refused = 0
        """Messages on the command channel that were none."""

    def start(self) -> None:
        for name, work in (("commands", self._listen_once), ("messages", self._speak_once)):
            task = asyncio.create_task(self._for_ever(name, work), name=name)
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            log.critical("the Redis link broke: %s", task.get_name(), exc_info=task.exception())
            self._on_bug()

    async def close(self, within: float = 1.0) -> None:
        """Gives what is still to be said a moment, then ends."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._silent.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def publish(self, message: UpMessage) -> None:
        if len(self._outbox) >= OUTBOX:
            self._make_room()
        self._outbox.append(message)
        self._silent.clear()
        self._work.set()

    def poke(self) -> None:
        """A heartbeat as soon as may be."""
        self._beat_now = True
        self._silent.clear()
        self._work.set()

    def _make_room(self) -> None:
        for index, message in enumerate(self._outbox):
            if isinstance(message, StreamProgress):
                del self._outbox[index]
                return
        self._outbox.popleft()

    def _client(self) -> aioredis.Redis:
        options = redis_client.options(self._url, self._vps_id, self._ca_file)
        if not self._url.startswith("unix:"):
            options |= {"socket_connect_timeout": ANSWER_SECONDS, "socket_keepalive": True}
        return aioredis.Redis.from_url(self._url, **options)

    async def _for_ever(self, name: str, work: Callable[[aioredis.Redis], Any]) -> None:
        tries = 0
        pauses = waits()
        while True:
            client = self._client()
            began = time.monotonic()
            try:
                await work(client)
            except TROUBLE as error:
                if time.monotonic() - began > STEADY_SECONDS:
                    tries, pauses = 0, waits()
                tries += 1
                extra = {"error_type": type(error).__name__, "retry_count": tries, "will_retry": True}
                log.warning("no connection to Redis for %s: %s", name, why(error), extra=extra)
            finally:
                await _close(client)
            await asyncio.sleep(next(pauses))

    # -------------------------------------------------------------------------------------- commands

    async def _listen_once(self, client: aioredis.Redis) -> None:
        try:
            await self._listen(client)
        finally:
            self._listening.clear()

    async def _listen(self, client: aioredis.Redis) -> None:
        channel = protocol.commands_channel(self._vps_id)
        async with client.pubsub() as pubsub:
            async with asyncio.timeout(ANSWER_SECONDS):
                await pubsub.subscribe(channel)
            asked = False
            while True:
                message = await pubsub.get_message(timeout=PROBE_SECONDS)
                if message is not None:
                    asked = False
                    self._take(message)
                elif asked:
                    raise TimeoutError("Redis is silent")
                else:
                    # Silence is usual here; a half-dead connection shows by not answering this.
                    asked = True
                    async with asyncio.timeout(ANSWER_SECONDS):
                        await pubsub.ping()

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribe":
            log.info("listening for commands")
            self._listening.set()
            self.poke()
        if message["type"] != "message":
            return
        raw = message["data"]
        try:
            if len(raw) > LONGEST_COMMAND:
                raise ProtocolError("longer than any command")
            command = protocol.decode_command(raw)
        except ProtocolError as error:
            self.refused += 1
            log.warning("a command cannot be read: %s", error, extra={"error_type": "ProtocolError"})
            return
        self._on_command(command)

    # -------------------------------------------------------------------------------------- messages

    async def _speak_once(self, client: aioredis.Redis) -> None:
        # A heartbeat invites commands: not before they are heard, unless that fails by itself.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._listening.wait()
        last_beat = 0.0
        self.poke()
        while True:
            await self._publish_outbox(client)
            now = time.monotonic()
            if now - last_beat >= (COALESCE_SECONDS if self._beat_now else HEARTBEAT_SECONDS):
                self._beat_now = False
                last_beat = now
                await self._send(client, self._make_heartbeat())
            await self._pause(last_beat)

    async def _pause(self, last_beat: float) -> None:
        """Until there is something to say, at most until the next heartbeat."""
        self._work.clear()
        if self._outbox:
            return
        if not self._beat_now:
            self._silent.set()
        wait = COALESCE_SECONDS if self._beat_now else HEARTBEAT_SECONDS
        left = last_beat + wait - time.monotonic()
        if left > 0:
            # Not wait_for: on Python 3.11 it may swallow a cancellation that comes together with the event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._work.wait()

    async def _publish_outbox(self, client: aioredis.Redis) -> None:
        while self._outbox:
            await self._send(client, self._outbox[0])
            self._outbox.popleft()

    async def _send(self, client: aioredis.Redis, message: UpMessage) -> None:
        # The time it leaves, not the time it was thought (docs/protocol.md): it may have waited for Redis.
        stamped = replace(message, timestamp=time.time())
        async with asyncio.timeout(ANSWER_SECONDS):
            await client.publish(self._channel(message), protocol.encode(stamped))

    def _channel(self, message: UpMessage) -> str:
        if isinstance(message, StreamStatus):
            return protocol.status_channel(self._vps_id)
        if isinstance(message, StreamProgress):
            return protocol.progress_channel(self._vps_id)
        return protocol.vps_channel(self._vps_id)


async def _close(client: aioredis.Redis) -> None:
    try:
        await client.aclose()
    except TROUBLE as error:
        log.debug("closing: %s", type(error).__name__)
