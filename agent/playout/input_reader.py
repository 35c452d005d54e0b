"""One live item from the moment its turn comes: FFmpeg after FFmpeg, watched, its tags kept ready to go on air."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from . import gate, input_ffmpeg, input_reasons
from .flv import FlvError, FlvParser, Tag
from .gate import Gate
from .input_address import Address, InputError, parse_address
from .input_buffer import Buffer
from .input_ffmpeg import Child
from .input_monitor import CONNECTING, NOTHING_COMES, SLACK_S, InputMonitor
from .input_silence import Silence
from .target import Secret

TICK_S: Final = 0.2
SETTLE_S: Final = 2.0
"""The rest of an HLS playlist that has ended is read in less: it is not live."""
MOST_AHEAD_MS: Final = 10_000
ENOUGH_AHEAD_MS: Final = 8_000
UNWANTED_S: Final = 3.0
SHORTEST_S: Final = 1.0
LONGEST_S: Final = 10.0
LOOKUP_LIMIT_S: Final = 10.0
_HAS_AUDIO: Final = 4
_INSIDE: Final = "the live input leads inside a private network"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every reader shares. `wake` is called when there may be something new to put on air."""

    ffmpeg: Callable[[], str]
    wake: Callable[[], None]
    reach_private: Callable[[], bool]
    ca_file: Callable[[], str | None]
    gate: Gate


class Taker(Protocol):
    """Who takes the tags while the input is on air."""

    closed: bool
    peeked: bool

    def close(self) -> None: ...

    def finish(self) -> None: ...


class Intake:
    """FFmpeg's bytes to tags that may go on air."""

    def __init__(self) -> None:
        self._parser = FlvParser()
        self._head = b""
        self._silence: Silence | None = None

    def feed(self, data: bytes) -> list[Tag]:
        """Raises InputError."""
        if len(self._head) < 5:
            self._head += data[:5]
            if len(self._head) >= 5 and not self._head[4] & _HAS_AUDIO:
                self._silence = Silence()
        try:
            tags = self._parser.feed(data)
        except FlvError as error:
            raise InputError("what FFmpeg makes of the live input is damaged") from error
        for tag in tags:
            if fault := input_reasons.unfit(tag):
                raise InputError(fault)
        return self._silence.fill(tags) if self._silence else tags


class Reader:
    """`buffer` holds what a taker begins with; it is another one after every FFmpeg."""

    def __init__(self, item_id: int, url: Secret, around: Surroundings) -> None:
        self.buffer = Buffer()
        self._item_id = item_id
        self._url = url
        self._around = around
        on_http = url.reveal().startswith("http")
        self._may_wait = on_http
        """A web server holds its data for us; an RTMP server drops whoever does not read."""
        self._monitor = InputMonitor(time.monotonic(), SETTLE_S if on_http else SLACK_S)
        self._intake = Intake()
        self._child: Child | None = None
        self._ending: asyncio.Future[None] | None = None
        self._fault: asyncio.Future[str] | None = None
        self._taker: Taker | None = None
        self._peeked_at = 0.0
        self._attempts = 0
        self._refused = 0
        self._pause_s = SHORTEST_S
        self._said: str | None = None
        self._tasks = [
            asyncio.create_task(self._keep(), name=f"live input {item_id}"),
            asyncio.create_task(self._watch(), name=f"watch live input {item_id}"),
        ]
        for task in self._tasks:
            task.add_done_callback(self._ended)

    @property
    def ready(self) -> bool:
        """A taker may begin now."""
        return self._monitor.ready and self.buffer.can_begin

    @property
    def is_on(self) -> bool:
        return self._monitor.state == "on"

    @property
    def is_connecting(self) -> bool:
        return self._attempts <= 1 and self._monitor.state != "on" and self._monitor.reason == CONNECTING

    def taken_by(self, taker: Taker) -> None:
        self._taker = taker
        self._peeked_at = time.monotonic()

    def status(self) -> dict[str, Any]:
        monitor = self._monitor
        since = time.time() - (time.monotonic() - monitor.changed_at)
        return {
            "item_id": self._item_id,
            "state": monitor.state,
            "since": round(since, 3),
            "reason": monitor.reason,
        }

    async def stop(self) -> None:
        """FFmpeg is gone and reaped afterwards."""
        for task in self._tasks:
            task.cancel()
        if self._taker is not None and not self._taker.closed:
            self._taker.finish()
        await asyncio.wait(self._tasks)
        if self._ending is not None:
            await self._ending

    async def _keep(self) -> None:
        while True:
            began = time.monotonic()
            self._away(await self._run())
            await asyncio.sleep(max(SHORTEST_S, self._pause_s - (time.monotonic() - began)))
            self._pause_s = min(LONGEST_S, self._pause_s * 2)

    async def _run(self) -> str:
        """One FFmpeg from its start to its end, and why it ended."""
        self._attempts += 1
        self._refused = self._around.gate.refused
        try:
            address = parse_address(self._url)
            connect_to, proxy = await self._way_to(address)
        except InputError as error:
            return self._say(str(error), None)
        self._monitor.begin(time.monotonic())
        self._intake = Intake()
        self._fault = fault = asyncio.get_running_loop().create_future()
        self._child = child = Child(self._take)
        try:
            script = address.script(connect_to, self._around.ca_file())
            await child.start(input_ffmpeg.arguments(self._around.ffmpeg()), script, proxy)
            over = asyncio.ensure_future(child.drained())
            await asyncio.wait({over, fault}, return_when=asyncio.FIRST_COMPLETED)
            over.cancel()
        except OSError:
            return self._say(input_reasons.NOT_STARTED, None)
        finally:
            self._child = None
            # Told to stop while one is being ended, the end still has to come: `stop` waits for it.
            self._ending = asyncio.ensure_future(child.end())
            await asyncio.shield(self._ending)
        return self._say(self._why(child, fault), [address.hide_in(line) for line in child.lines])

    @property
    def _led_inside(self) -> bool:
        return self._around.gate.refused > self._refused

    def _why(self, child: Child, fault: asyncio.Future[str]) -> str:
        """What we found, or what FFmpeg said. Of what it never sent FFmpeg knows more than we do."""
        if self._led_inside:
            return _INSIDE
        if not fault.done():
            return input_reasons.from_exit(child.lines, child.ended.result())
        reason = fault.result()
        return input_reasons.from_lines(child.lines) or reason if reason == NOTHING_COMES else reason

    async def _way_to(self, address: Address) -> tuple[str | None, str | None]:
        """(the network address to connect to instead of the name, the proxy to go by). Raises InputError."""
        if self._around.reach_private():
            return None, None
        try:
            async with asyncio.timeout(LOOKUP_LIMIT_S):
                found = await gate.public_addresses(address.host, address.port)
        except gate.Refused as error:
            raise InputError(_INSIDE) from error
        except (socket.gaierror, TimeoutError) as error:
            raise InputError("the host's name cannot be resolved") from error
        except OSError as error:
            raise InputError(f"the host's name cannot be looked up: {error.strerror or 'it is no name'}") from error
        if not address.pinned:
            return None, await self._around.gate.url()
        found.sort(key=lambda each: ":" in each)
        return found[(self._attempts - 1) % len(found)], None

    def _take(self, data: bytes) -> None:
        """What FFmpeg wrote."""
        if self._fault is None or self._fault.done():
            return  # the last words of one that was given up
        now = time.monotonic()
        try:
            tags = self._intake.feed(data)
        except InputError as error:
            self._give_up(str(error))
            return
        starved = not self.buffer
        for tag in tags:
            media = tag.kind in input_reasons.MEDIA and not tag.is_codec_header
            if media and self._monitor.media(now, tag.timestamp):
                self._begin_anew(self.buffer.successor())
            self.buffer.add(tag)
        if self.buffer.full:
            self._hold(now)
        if starved and self.buffer:
            self._around.wake()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            before = self._monitor.state
            if self._child is not None and self._child.waits:
                self._monitor.waits(now)
            fault = self._monitor.tick(now)
            if fault or self._led_inside:
                self._give_up(fault or _INSIDE)
            if self._monitor.state != before:
                self._said = None if self._monitor.ready else self._said
                log.info("live input %s", self._monitor.state, extra={"item_id": self._item_id})
                self._around.wake()
            self._hold(now)

    def _hold(self, now: float) -> None:
        """Keeps what is ahead within bounds: off air by dropping what is past, on air by letting FFmpeg wait."""
        taker = self._taker
        if taker is None or taker.closed:
            self.buffer.trim(self._monitor.playhead_ms(now) or 0)
            self._let_read(True)
            return
        if taker.peeked:
            taker.peeked, self._peeked_at = False, now
        too_much = self.buffer.full or self.buffer.span_ms > MOST_AHEAD_MS
        if now - self._peeked_at > UNWANTED_S or (too_much and not self._may_wait):
            taker.close()
            self._around.wake()
        elif too_much:
            self._let_read(False)
        elif self.buffer.span_ms < ENOUGH_AHEAD_MS:
            self._let_read(True)

    def _let_read(self, wanted: bool) -> None:
        if self._child is not None:
            self._child.read(wanted)

    def _give_up(self, fault: str) -> None:
        """It is away from now on, however long its FFmpeg takes to end."""
        if self._fault is not None and not self._fault.done():
            self._fault.set_result(fault)
            self._away(fault)

    def _away(self, reason: str) -> None:
        if self._monitor.ready:
            self._pause_s = SHORTEST_S
        self._monitor.down(time.monotonic(), reason)
        self._begin_anew(Buffer())

    def _begin_anew(self, buffer: Buffer) -> None:
        """What a taker still has to play is its own; the next one begins with what comes next."""
        if self._taker is not None and not self._taker.closed:
            self._taker.finish()
        self._taker = None
        self.buffer = buffer
        self._around.wake()

    def _say(self, reason: str, lines: list[str] | None) -> str:
        """To the log, once for the same reason again and again."""
        if reason != self._said:
            extra = {"item_id": self._item_id, "reason": reason}
            log.info("live input away", extra=extra)
            for line in lines or ():
                log.info("live input: FFmpeg: %s", line, extra={"item_id": self._item_id})
        self._said = reason
        return reason

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (bug := task.exception()):
            log.error("internal error", exc_info=bug, extra={"item_id": self._item_id})
            self._monitor.down(time.monotonic(), f"internal error ({type(bug).__name__})")
