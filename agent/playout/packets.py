"""What goes to the destinations: a tag's bytes made once, for all of them. Pure."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from . import chunks, flv

CSIDS: Final = {flv.AUDIO: 4, flv.VIDEO: 6, flv.SCRIPT: 5}


@dataclass(frozen=True, slots=True)
class Preamble:
    """What a destination must have heard before it can understand media: metadata, then the codec headers."""

    payloads: tuple[tuple[int, bytes], ...] = ()

    def replaced(self, kind: int, payload: bytes) -> "Preamble":
        kept = dict(self.payloads) | {kind: payload}
        order = (flv.SCRIPT, flv.VIDEO, flv.AUDIO)
        return Preamble(tuple((each, kept[each]) for each in order if each in kept))


class Packet(NamedTuple):
    """`relative` follows the packet before on the same chunk stream. `preamble` is set where a destination
    may join.
    """

    kind: int
    timestamp: int
    payload: bytes
    relative: bytes
    preamble: Preamble | None

    def absolute(self, stream_id: int) -> bytes:
        return absolute(self.kind, self.timestamp, self.payload, stream_id)

    def joining(self, stream_id: int) -> bytes:
        """The packet as the first one a destination gets."""
        payloads = self.preamble.payloads if self.preamble else ()
        head = (absolute(kind, self.timestamp, payload, stream_id) for kind, payload in payloads)
        return b"".join(head) + self.absolute(stream_id)


def absolute(kind: int, timestamp: int, payload: bytes, stream_id: int) -> bytes:
    return chunks.absolute(CSIDS[kind], chunks.Message(kind, timestamp & 0xFFFFFFFF, payload, stream_id))


@dataclass(slots=True)
class Batch:
    """What all destinations get in one tick; `joined` is the relative bytes of all packets. `before` is what went out
    since the newest key frame, for who has had nothing yet.
    """

    packets: list[Packet]
    before: list[Packet] = field(default_factory=list)
    joined: bytes = field(init=False)
    kinds: frozenset[int] = field(init=False)

    def __post_init__(self) -> None:
        self.joined = b"".join(packet.relative for packet in self.packets)
        self.kinds = frozenset(packet.kind for packet in self.packets)


class Packetiser:
    """Turns placed tags into packets and remembers the codec headers in force."""

    def __init__(self) -> None:
        self._last: dict[int, int] = {}
        self._preamble = Preamble()

    def begin_item(self) -> None:
        """The headers of the item before are not those of the next."""
        self._preamble = Preamble()

    def header(self, kind: int, timestamp: int, payload: bytes) -> Packet:
        self._preamble = self._preamble.replaced(kind, payload)
        return self._packet(kind, timestamp, payload, None)

    def media(self, tag: flv.Tag, timestamp: int, *, may_join: bool) -> Packet:
        return self._packet(tag.kind, timestamp, tag.payload, self._preamble if may_join else None)

    def _packet(self, kind: int, timestamp: int, payload: bytes, preamble: Preamble | None) -> Packet:
        delta = timestamp - self._last.get(kind, timestamp)
        self._last[kind] = timestamp
        relative = chunks.relative(CSIDS[kind], kind, delta, payload)
        return Packet(kind, timestamp, payload, relative, preamble)
