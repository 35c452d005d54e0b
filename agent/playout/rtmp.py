"""An RTMP publisher's session, without I/O: bytes in, bytes out, errors as exceptions. Pure.

The order of commands, their chunk streams and sizes are FFmpeg's (tests/test_compliance.py lays both side by side):
C0 C1, C2, connect, then Set Chunk Size, releaseStream, FCPublish, createStream, publish; at the end FCUnpublish,
deleteStream. Two things differ. The server's Set Peer Bandwidth is answered as the specification wants it, with a
Window Acknowledgement Size: servers that acknowledge only when asked (nginx-rtmp) then do, and «live» rests on that.
Metadata have a chunk stream of their own, for the relative headers of sound would not hold across them.
"""

import enum
import struct
from collections.abc import Mapping
from typing import Final

from . import amf, chunks
from .target import Target

ACKNOWLEDGEMENT: Final = 3
USER_CONTROL: Final = 4
WINDOW_ACK_SIZE: Final = 5
PEER_BANDWIDTH: Final = 6
AUDIO: Final = 8
VIDEO: Final = 9
DATA: Final = 18
COMMAND: Final = 20
COMMAND_AMF3: Final = 17

CONTROL_CSID: Final = 2
COMMAND_CSID: Final = 3
PUBLISH_CSID: Final = 8
LONGEST_COMMAND: Final = 16 * 1024
HANDSHAKE_SIZE: Final = 1536
NONCE_SIZE: Final = HANDSHAKE_SIZE - 8
_PING, _PONG = 6, 7
_CONNECT, _RELEASE, _FCPUBLISH, _CREATE, _PUBLISH, _FCUNPUBLISH, _DELETE, _BANDWIDTH = range(1, 9)

REFUSALS: Final = frozenset(
    {
        "NetStream.Publish.BadName",
        "NetStream.Publish.Denied",
        "NetStream.Publish.Rejected",
        "NetStream.Publish.Unauthorized",
        "NetConnection.Connect.Rejected",
        "NetConnection.Connect.InvalidApp",
    }
)


class RtmpError(Exception):
    """The session is over; the text says why in plain words."""


class Temporary(RtmpError):
    """Another attempt may well succeed."""


class Refused(RtmpError):
    """The server does not want this key or application."""


class Redirected(RtmpError):
    """The server wants its publishers at `url` (which is without the key, as a tcUrl is)."""

    def __init__(self, url: str) -> None:
        super().__init__("the server sends its publishers elsewhere")
        self.url = url


class Phase(enum.IntEnum):
    HANDSHAKE = 0
    CONNECT = 1
    CREATE = 2
    PUBLISH = 3
    PUBLISHED = 4


class Session:
    """One attempt to publish. `nonce` is NONCE_SIZE random bytes.

    `acknowledged`: bytes the server says it has, None when it never said; `acknowledgements`: how often it said
    another number than the time before.
    """

    def __init__(self, target: Target, nonce: bytes) -> None:
        self.phase = Phase.HANDSHAKE
        self.stream_id = 0
        self.acknowledged: int | None = None
        self.acknowledgements = 0
        self._target = target
        self._key = target.key.reveal()
        self._in = bytearray()
        self._out = bytearray(b"\x03" + bytes(8) + nonce)
        self._decoder = chunks.ChunkDecoder()
        self._received = 0
        self._reported = 0
        self._window = 0
        self._chunk_size = chunks.DEFAULT_CHUNK_SIZE
        self._bandwidth_asked = False
        self._ack_said = -1

    def take_output(self) -> bytes:
        """What is to be sent now."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def receive(self, data: bytes) -> None:
        """Raises Temporary or Refused; the session is over then."""
        if self.phase is Phase.HANDSHAKE:
            self._in += data
            data = self._handshake()
        if not data:
            return
        self._received += len(data)
        try:
            for message in self._decoder.feed(data):
                self._on_message(message)
        except (chunks.ChunkError, amf.AmfError) as error:
            raise Temporary(f"the server sent what is not RTMP ({error})") from error
        self._acknowledge()

    def farewell(self) -> bytes:
        """The last words of a publisher that leaves in good order; nothing when it never got so far."""
        if self.phase < Phase.PUBLISH:
            return b""
        self._command("FCUnpublish", _FCUNPUBLISH, None, self._key)
        self._command("deleteStream", _DELETE, None, self.stream_id)
        return self.take_output()

    def _handshake(self) -> bytes:
        """What follows S0 S1 S2 once they are there, nothing before."""
        if self._in and self._in[0] != 3:
            raise Temporary("the server does not speak RTMP")
        size = 1 + 2 * HANDSHAKE_SIZE
        if len(self._in) < size:
            return b""
        self._out += self._in[1 : 1 + HANDSHAKE_SIZE]
        rest = bytes(self._in[size:])
        self._in.clear()
        self._received = size
        self._connect()
        return rest

    def _connect(self) -> None:
        self.phase = Phase.CONNECT
        target = self._target
        info: dict[str, amf.Value] = {
            "app": target.app,
            "type": "nonprivate",
            "flashVer": "FMLE/3.0 (compatible; FMSc/1.0)",
            "tcUrl": target.url,
        }
        self._command("connect", _CONNECT, info)

    def _on_message(self, message: chunks.Message) -> None:
        if message.type_id == ACKNOWLEDGEMENT:
            self._on_acknowledgement(message.payload)
        elif message.type_id == USER_CONTROL:
            self._on_user_control(message.payload)
        elif message.type_id == WINDOW_ACK_SIZE:
            self._window = int.from_bytes(message.payload[:4], "big")
        elif message.type_id == PEER_BANDWIDTH:
            self._control(WINDOW_ACK_SIZE, message.payload[:4].rjust(4, b"\x00"))
        elif message.type_id == COMMAND:
            self._on_command(message.payload)
        elif message.type_id == COMMAND_AMF3:
            self._on_command(message.payload[1:])

    def _on_acknowledgement(self, payload: bytes) -> None:
        """The wire counts modulo 2^32; we count on. Some servers begin again at 0 instead: a number that is another
        one than before is a sign of life all the same.
        """
        said = int.from_bytes(payload[:4], "big")
        self.acknowledgements += said != self._ack_said
        self._ack_said = said
        before = self.acknowledged or 0
        step = (said - before) & 0xFFFFFFFF
        if step < 0x80000000:
            self.acknowledged = before + step

    def _on_user_control(self, payload: bytes) -> None:
        if int.from_bytes(payload[:2], "big") == _PING:
            self._control(USER_CONTROL, struct.pack(">H", _PONG) + payload[2:6])

    def _on_command(self, payload: bytes) -> None:
        if len(payload) > LONGEST_COMMAND:
            raise chunks.ChunkError("a command longer than a server has a reason to send")
        values = amf.decode(payload)
        name, rest = (values[0], values[1:]) if values else (None, [])
        info = next((value for value in rest if isinstance(value, Mapping) and {"code", "level"} & value.keys()), {})
        if name == "_result":
            self._on_result(rest)
        elif name == "onBWDone":
            self._ask_for_bandwidth()
        elif name == "_error":
            self._on_error(rest, info)
        elif name == "onStatus":
            self._on_status(info)
        elif name == "close":
            raise Temporary("the server ended the session")

    def _on_result(self, rest: list[amf.Value]) -> None:
        answered = rest[0] if rest else None
        if answered == _CONNECT and self.phase is Phase.CONNECT:
            self._create()
        elif answered == _CREATE and self.phase is Phase.CREATE:
            number = rest[2] if len(rest) > 2 else None
            self._publish(int(number) if isinstance(number, float) and 0 <= number < 2**32 else 1)

    def _ask_for_bandwidth(self) -> None:
        """What FFmpeg and librtmp answer to onBWDone; some old servers wait for it."""
        if not self._bandwidth_asked:
            self._bandwidth_asked = True
            self._command("_checkbw", _BANDWIDTH, None)

    def _create(self) -> None:
        self.phase = Phase.CREATE
        self._control(chunks.SET_CHUNK_SIZE, struct.pack(">I", chunks.OUR_CHUNK_SIZE))
        self._chunk_size = chunks.OUR_CHUNK_SIZE
        self._command("releaseStream", _RELEASE, None, self._key)
        self._command("FCPublish", _FCPUBLISH, None, self._key)
        self._command("createStream", _CREATE, None)

    def _publish(self, stream_id: int) -> None:
        self.phase = Phase.PUBLISH
        self.stream_id = stream_id
        self._command("publish", _PUBLISH, None, self._key, "live", stream_id=stream_id, csid=PUBLISH_CSID)

    def _on_error(self, rest: list[amf.Value], info: Mapping[str, amf.Value]) -> None:
        """releaseStream and FCPublish are courtesies: servers that do not know them answer with an error."""
        answered = rest[0] if rest else None
        if answered in (_CONNECT, _CREATE, _PUBLISH) or _redirect(info):
            raise self._failure(info, "the server answered with an error")

    def _on_status(self, info: Mapping[str, amf.Value]) -> None:
        code = _text(info, "code")
        if code == "NetStream.Publish.Start" and self.phase is Phase.PUBLISH:
            self.phase = Phase.PUBLISHED
        elif info.get("level") == "error" or code in REFUSALS or _redirect(info):
            raise self._failure(info, "the server ended the stream")

    def _failure(self, info: Mapping[str, amf.Value], otherwise: str) -> RtmpError:
        if url := _redirect(info):
            return Redirected(url.removesuffix(f"/{self._key}"))
        code = _text(info, "code")
        said = ", ".join(part for part in (code, _text(info, "description")) if part)
        plain = "".join(char if char.isprintable() else " " for char in said)
        reason = self._target.key.hide_in(plain)[:200] or otherwise
        if code in REFUSALS:
            return Refused(f"refused by the server: {reason}")
        return Temporary(reason)

    def _acknowledge(self) -> None:
        if self._window and self._received - self._reported >= self._window:
            self._reported = self._received
            self._control(ACKNOWLEDGEMENT, struct.pack(">I", self._received & 0xFFFFFFFF))

    def _control(self, type_id: int, payload: bytes) -> None:
        self._out += chunks.absolute(CONTROL_CSID, chunks.Message(type_id, 0, payload))

    def _command(self, *values: amf.Value, stream_id: int = 0, csid: int = COMMAND_CSID) -> None:
        message = chunks.Message(COMMAND, 0, amf.encode(*values), stream_id)
        self._out += chunks.absolute(csid, message, self._chunk_size)


def _text(info: Mapping[str, amf.Value], name: str) -> str:
    value = info.get(name)
    return value if isinstance(value, str) else ""


def _redirect(info: Mapping[str, amf.Value]) -> str:
    """Where the server sends us instead: Adobe's servers, SRS and nginx-rtmp's descendants say it in `ex`."""
    more = info.get("ex")
    return _text(more if isinstance(more, Mapping) else info, "redirect")
