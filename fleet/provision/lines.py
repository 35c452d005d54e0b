"""Output of a server's commands, made fit to be kept and shown: lines, without secrets, bounded."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from typing import Final

from kit.logs import MASK, mask

LONGEST_LINE: Final = 2_000
KEPT_CHARS: Final = 40_000
"""Of one step: enough for what apt says of a hundred packages."""
_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class Redactor:
    """Takes known secrets out of text, and what looks like one."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: list[str] = []
        self.learn(*secrets)

    def learn(self, *secrets: str) -> None:
        """Too short ones are passed over: they would take words out of every line."""
        for secret in secrets:
            self._secrets += [line for line in (secret, *secret.splitlines()) if len(line.strip()) >= 4]
        self._secrets.sort(key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return mask(text)


class Lines:
    """Bytes in, finished lines out. A line that is written over (`\\r`) counts as it stood last."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""

    def feed(self, data: bytes) -> list[str]:
        *whole, self._rest = (self._rest + self._decode(data)).split("\n")
        if len(self._rest) > LONGEST_LINE * 4:
            self._rest = self._rest[-LONGEST_LINE * 2 :]
        return [tidy(line) for line in whole]

    def end(self) -> list[str]:
        rest, self._rest = self._rest + self._decode(b"", True), ""
        return [line] if (line := tidy(rest)) else []


def tidy(line: str) -> str:
    shown = line.rstrip("\r").rsplit("\r", 1)[-1]
    shown = _CONTROL.sub("", _ESCAPES.sub("", shown))
    return shown if len(shown) <= LONGEST_LINE else shown[:LONGEST_LINE] + " …"


class Tail:
    """The last lines of what was said, and how much came before."""

    def __init__(self, text: str = "", limit: int = KEPT_CHARS) -> None:
        self._lines = text.splitlines()
        self._size = sum(len(line) + 1 for line in self._lines)
        self._limit = limit
        self.dropped = 0

    def add(self, line: str) -> None:
        self._lines.append(line)
        self._size += len(line) + 1
        if self._size > self._limit * 1.25:
            self._shorten()

    def _shorten(self) -> None:
        drop = 0
        while self._size > self._limit and drop < len(self._lines) - 1:
            self._size -= len(self._lines[drop]) + 1
            drop += 1
        self.dropped += drop
        del self._lines[:drop]

    def last(self, count: int) -> str:
        return "\n".join(self._lines[-count:])

    @property
    def text(self) -> str:
        before = [f"… ({self.dropped} lines before)"] if self.dropped else []
        return "\n".join(before + self._lines)
