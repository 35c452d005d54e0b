"""AMF0, the encoding of RTMP commands and of FLV metadata. Pure."""

import struct
from collections.abc import Mapping, Sequence
from typing import Final

Value = float | bool | str | None | Mapping[str, "Value"] | Sequence["Value"]

MAX_DEPTH: Final = 16
_NUMBER, _BOOL, _STRING, _OBJECT, _NULL, _UNDEFINED = 0, 1, 2, 3, 5, 6
_ECMA, _END, _STRICT, _DATE, _LONG, _UNSUPPORTED, _XML, _TYPED = 8, 9, 10, 11, 12, 13, 15, 16


class AmfError(ValueError):
    """The bytes are not AMF0."""


class EcmaArray(dict[str, Value]):
    """A map that is encoded as an ECMA array, which is what players expect of onMetaData."""


def encode(*values: Value) -> bytes:
    """The values one after another. Raises AmfError for a type AMF0 has no marker for."""
    return b"".join(_encode_one(value) for value in values)


def decode(data: bytes) -> list[Value]:
    """All values in `data`. Raises AmfError."""
    reader = _Reader(data)
    values: list[Value] = []
    while reader.at < len(data):
        values.append(reader.value(0))
    return values


def _encode_one(value: Value) -> bytes:
    if value is None:
        return b"\x05"
    if isinstance(value, bool):
        return b"\x01\x01" if value else b"\x01\x00"
    if isinstance(value, int | float):
        return b"\x00" + struct.pack(">d", value)
    if isinstance(value, str):
        return _encode_string(value)
    if isinstance(value, Mapping):
        head = b"\x08" + struct.pack(">I", len(value)) if isinstance(value, EcmaArray) else b"\x03"
        return head + _encode_pairs(value)
    return b"\x0a" + struct.pack(">I", len(value)) + encode(*value)


def _encode_string(text: str) -> bytes:
    raw = text.encode()
    if len(raw) > 0xFFFF:
        return b"\x0c" + struct.pack(">I", len(raw)) + raw
    return b"\x02" + struct.pack(">H", len(raw)) + raw


def _encode_pairs(pairs: Mapping[str, Value]) -> bytes:
    parts: list[bytes] = []
    for name, value in pairs.items():
        raw = name.encode()
        if len(raw) > 0xFFFF:
            raise AmfError("a property's name is too long")
        parts += [struct.pack(">H", len(raw)), raw, _encode_one(value)]
    return b"".join(parts) + b"\x00\x00\x09"


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        piece = self._data[self.at : self.at + count]
        if len(piece) < count:
            raise AmfError("the data end too early")
        self.at += count
        return piece

    def value(self, depth: int) -> Value:
        if depth > MAX_DEPTH:
            raise AmfError("nested too deeply")
        marker = self.take(1)[0]
        if marker in (_NULL, _UNDEFINED, _UNSUPPORTED):
            return None
        if marker in (_OBJECT, _ECMA, _TYPED, _STRICT):
            return self._container(marker, depth)
        return self._scalar(marker)

    def _scalar(self, marker: int) -> Value:
        if marker == _NUMBER:
            return self._number()
        if marker == _BOOL:
            return self.take(1) != b"\x00"
        if marker == _STRING:
            return self._text(2)
        if marker in (_LONG, _XML):
            return self._text(4)
        if marker == _DATE:
            moment = self._number()
            self.take(2)
            return moment
        raise AmfError(f"unknown marker {marker}")

    def _number(self) -> float:
        (number,) = struct.unpack(">d", self.take(8))
        return float(number)

    def _text(self, width: int) -> str:
        return self.take(int.from_bytes(self.take(width), "big")).decode("utf-8", "replace")

    def _container(self, marker: int, depth: int) -> Value:
        if marker == _STRICT:
            count = int.from_bytes(self.take(4), "big")
            return [self.value(depth + 1) for _ in range(count)]
        if marker == _ECMA:
            self.take(4)
        if marker == _TYPED:
            self._text(2)
        return self._pairs(EcmaArray() if marker == _ECMA else {}, depth)

    def _pairs(self, pairs: dict[str, Value], depth: int) -> dict[str, Value]:
        while True:
            name = self._text(2)
            if not name and self._data[self.at : self.at + 1] == b"\x09":
                self.at += 1
                return pairs
            pairs[name] = self.value(depth + 1)
