"""An RTMP server that only watches: when what arrived, with which timestamp. For benches and end-to-end tests.

nginx-rtmp records what it gets but not when; this keeps the arrival time of every media message (monotonic
clock, which all processes of a machine share).
"""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Self

from agent.playout import amf
from agent.playout.chunks import ChunkDecoder, Message, absolute
from lab.ports import free_port

AUDIO: Final = 8
VIDEO: Final = 9
_COMMAND: Final = 20
_HANDSHAKE: Final = 1536
_MAX_MESSAGE: Final = 16 * 1024**2
_WINDOW: Final = 2_500_000


@dataclass(frozen=True, slots=True)
class Arrival:
    """One media message. `at`: seconds of the monotonic clock; `timestamp`: ms, as sent."""

    at: float
    kind: int
    timestamp: int
    size: int
    is_header: bool
    """A codec header (AVC or AAC sequence header), not a frame."""


@dataclass
class Publish:
    """One publisher, from `publish` to the end of its connection."""

    app: str
    key: str
    opened_at: float
    arrivals: list[Arrival] = field(default_factory=list)
    closed_at: float | None = None

    @property
    def frames(self) -> list[Arrival]:
        return [arrival for arrival in self.arrivals if not arrival.is_header]

    def max_gap_s(self) -> float:
        """The longest silence between two media messages."""
        times = [arrival.at for arrival in self.arrivals]
        return max((b - a for a, b in itertools.pairwise(times)), default=0.0)

    def steps_back(self) -> int:
        """How often a timestamp was below the one before it on its own track."""
        count = 0
        for kind in (AUDIO, VIDEO):
            stamps = [arrival.timestamp for arrival in self.arrivals if arrival.kind == kind]
            count += sum(1 for a, b in itertools.pairwise(stamps) if b < a)
        return count

    def headers(self, kind: int = VIDEO) -> int:
        """Codec headers seen: one at the start and one at each item boundary."""
        return sum(1 for arrival in self.arrivals if arrival.kind == kind and arrival.is_header)


class Receiver:
    """`with Receiver() as receiver:` listens on `receiver.port`; `receiver.publishes` grows as they come."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.address = address
        self.port = free_port()
        self.publishes: list[Publish] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="receiver", daemon=True)
        self._ready = threading.Event()

    def url(self, app: str) -> str:
        return f"rtmp://{self.address}:{self.port}/{app}"

    def of(self, app: str) -> list[Publish]:
        return [publish for publish in self.publishes if publish.app == app]

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(5.0)
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5.0)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, self.address, self.port))
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = _Session(writer.write, self.publishes.append)
        try:
            await _shake_hands(reader, writer)
            while data := await reader.read(65536):
                session.feed(data)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            session.close()
            writer.close()


async def _shake_hands(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    c0c1 = await reader.readexactly(1 + _HANDSHAKE)
    writer.write(b"\x03" + bytes(8) + os.urandom(_HANDSHAKE - 8) + c0c1[1:])
    await reader.readexactly(_HANDSHAKE)


class _Session:
    """One connection, after the handshake."""

    def __init__(self, send: Callable[[bytes], object], publishing: Callable[[Publish], object]) -> None:
        self._send = send
        self._publishing = publishing
        self._decoder = ChunkDecoder(max_message=_MAX_MESSAGE)
        self._app = ""
        self._publish: Publish | None = None

    def feed(self, data: bytes) -> None:
        at = time.monotonic()
        for message in self._decoder.feed(data):
            if message.type_id == _COMMAND:
                self._command(amf.decode(message.payload))
            elif message.type_id in (AUDIO, VIDEO) and self._publish is not None:
                self._publish.arrivals.append(_arrival(at, message))

    def close(self) -> None:
        if self._publish is not None:
            self._publish.closed_at = time.monotonic()

    def _command(self, values: list[amf.Value]) -> None:
        name, transaction = values[0], values[1]
        if name == "connect":
            self._app = str(values[2]["app"]) if isinstance(values[2], dict) else ""
            self._control(5, _WINDOW.to_bytes(4, "big"))
            self._control(6, _WINDOW.to_bytes(4, "big") + b"\x02")
            self._reply("_result", transaction, {"fmsVer": "FMS/3,0,1,123"}, _status("NetConnection.Connect.Success"))
        elif name == "createStream":
            self._reply("_result", transaction, None, 1)
        elif name == "publish":
            self._publish = Publish(self._app, str(values[3]), time.monotonic())
            self._publishing(self._publish)
            self._reply("onStatus", 0, None, _status("NetStream.Publish.Start"), stream_id=1)

    def _reply(self, *values: amf.Value, stream_id: int = 0) -> None:
        self._send(absolute(3, Message(_COMMAND, 0, amf.encode(*values), stream_id), chunk_size=128))

    def _control(self, type_id: int, payload: bytes) -> None:
        self._send(absolute(2, Message(type_id, 0, payload), chunk_size=128))


def _status(code: str) -> dict[str, amf.Value]:
    return {"level": "status", "code": code, "description": code}


def _arrival(at: float, message: Message) -> Arrival:
    is_header = len(message.payload) > 1 and message.payload[1] == 0
    return Arrival(at, message.type_id, message.timestamp, len(message.payload), is_header)
