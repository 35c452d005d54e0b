"""An RTMP server that keeps every chunk as it came, and a reader of chunks that is not the playout's own: what two
clients put on the wire can be laid side by side.
"""

import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from agent.playout import amf

from .servers import tcp_server

SET_CHUNK_SIZE, COMMAND, DATA, AUDIO, VIDEO = 1, 20, 18, 8, 9
_HANDSHAKE = 1536


@dataclass
class Heard:
    """One message. `header`: the type of its first chunk's header, 0 to 3; `chunks`: how many it came in."""

    csid: int
    header: int
    type_id: int
    stamp: int
    """As in the header: the time itself after header type 0, the step after the others."""
    stream_id: int
    payload: bytes = b""
    length: int = 0
    chunks: int = 0

    @property
    def values(self) -> list[Any]:
        return amf.decode(self.payload)

    @property
    def name(self) -> str:
        """The command's or data message's first word, else its number."""
        return str(self.values[0]) if self.type_id in (COMMAND, DATA) else str(self.type_id)


@dataclass
class Conversation:
    """What one publisher sent, from its first byte to its last."""

    greeting: bytes = b""
    """C0 and C1."""
    heard: list[Heard] = field(default_factory=list)
    chunk_size: int = 128
    left: bool = False

    def commands(self) -> list[Heard]:
        return [each for each in self.heard if each.type_id == COMMAND]

    def command(self, name: str) -> Heard:
        return next(each for each in self.commands() if each.name == name)

    def media(self) -> list[Heard]:
        return [each for each in self.heard if each.type_id in (AUDIO, VIDEO)]


class _Stream:
    """Bytes off a socket, as many as are asked for."""

    def __init__(self, connection: socket.socket) -> None:
        self._file = connection.makefile("rb", 65536)

    def take(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) < count:
            raise EOFError
        return data


def _read_message(stream: _Stream, known: dict[int, Heard], size: int) -> Heard | None:
    """One chunk read; the message when it is whole."""
    first = stream.take(1)[0]
    header, csid = first >> 6, first & 63
    assert csid >= 2, "no publisher needs more than 62 chunk streams"
    before = known.get(csid)
    if before is None or len(before.payload) == before.length:
        heard = _begin(stream, header, csid, before)
        known[csid] = heard
    else:
        assert header == 3, "a message begins inside another"
        heard = before
        if heard.stamp >= 0xFFFFFF:
            stream.take(4)
    heard.payload += stream.take(min(size, heard.length - len(heard.payload)))
    heard.chunks += 1
    return heard if len(heard.payload) == heard.length else None


def _begin(stream: _Stream, header: int, csid: int, before: Heard | None) -> Heard:
    raw = stream.take((11, 7, 3, 0)[header])
    stamp = int.from_bytes(raw[:3], "big") if header < 3 else before.stamp
    if stamp >= 0xFFFFFF:
        (stamp,) = struct.unpack(">I", stream.take(4))
    length = int.from_bytes(raw[3:6], "big") if header < 2 else before.length
    type_id = raw[6] if header < 2 else before.type_id
    stream_id = int.from_bytes(raw[7:11], "little") if header == 0 else before.stream_id
    return Heard(csid, header, type_id, stamp, stream_id, length=length)


def _answers(heard: Heard) -> list[bytes]:
    """What an ordinary server says to it."""
    if heard.type_id != COMMAND:
        return []
    name, number = heard.values[:2]
    if name == "connect":
        window = (2_500_000).to_bytes(4, "big")
        success = {"level": "status", "code": "NetConnection.Connect.Success", "description": "Connected."}
        return [
            _chunk(2, 5, window),
            _chunk(2, 6, window + b"\x02"),
            _chunk(2, SET_CHUNK_SIZE, (4096).to_bytes(4, "big")),
            _reply(4096, "_result", number, {"fmsVer": "FMS/3,0,1,123", "capabilities": 31}, success),
        ]
    if name == "createStream":
        return [_reply(4096, "_result", number, None, 1)]
    if name == "publish":
        started = {"level": "status", "code": "NetStream.Publish.Start", "description": "Started."}
        return [_reply(4096, "onStatus", 0, None, started, stream_id=1)]
    return []


def _chunk(csid: int, type_id: int, payload: bytes, stream_id: int = 0, size: int = 128) -> bytes:
    head = bytes((csid, 0, 0, 0)) + len(payload).to_bytes(3, "big") + bytes((type_id,))
    assert len(payload) <= size
    return head + stream_id.to_bytes(4, "little") + payload


def _reply(size: int, *values: Any, stream_id: int = 0) -> bytes:
    return _chunk(3, COMMAND, amf.encode(*values), stream_id, size)


Enough = Callable[[Conversation], bool] | None


def listen_to(connection: socket.socket, talk: Conversation, enough: Enough = None) -> None:
    """Plays the server until the publisher closes, or what it has said is `enough`."""
    connection.settimeout(60)
    stream = _Stream(connection)
    try:
        _shake_hands(connection, stream, talk)
        known: dict[int, Heard] = {}
        while not (enough and enough(talk)):
            heard = _read_message(stream, known, talk.chunk_size)
            if heard is None:
                continue
            talk.heard.append(heard)
            if heard.type_id == SET_CHUNK_SIZE:
                talk.chunk_size = int.from_bytes(heard.payload, "big")
            for answer in () if enough and enough(talk) else _answers(heard):
                connection.sendall(answer)
    except EOFError:
        talk.left = True


def _shake_hands(connection: socket.socket, stream: _Stream, talk: Conversation) -> None:
    talk.greeting = stream.take(1 + _HANDSHAKE)
    connection.sendall(b"\x03" + bytes(8) + os.urandom(_HANDSHAKE - 8) + talk.greeting[1:])
    stream.take(_HANDSHAKE)


@contextmanager
def recording_server(enough: Enough = None) -> Iterator[tuple[str, list[Conversation]]]:
    """The URL without key, and the conversations as they come. It closes when what was said is `enough`."""
    talks: list[Conversation] = []

    def serve(connection: socket.socket) -> None:
        talks.append(Conversation())
        listen_to(connection, talks[-1], enough)

    with tcp_server(serve) as port:
        yield f"rtmp://127.0.0.1:{port}/live", talks


def says(name: str) -> Callable[[Conversation], bool]:
    """Enough at this command, which is left without answer."""
    return lambda talk: any(each.name == name for each in talk.commands())


def sends_media(count: int) -> Callable[[Conversation], bool]:
    return lambda talk: len(talk.media()) >= count
