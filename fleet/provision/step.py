"""What a step of provisioning is made of. Pure.

A step looks first. When it is as wanted, nothing is run; else it is made so, and looked at again. So all of them may be
done again at any time, by whoever takes a run up after a failure.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from fleet.provision.ssh import Result

LOOK_LIMIT_S: Final = 30.0


class Unfit(Exception):
    """The server cannot be used as it is: `str()` says why, `remedy` what would help. Trying again would not."""

    def __init__(self, words: str, remedy: str = "") -> None:
        super().__init__(words)
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Finding:
    """`note`: what an operator should know of it although nothing is wrong."""

    is_so: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """`judge` may raise `Unfit`. A command that fails is judged like any other."""

    argv: tuple[str, ...]
    judge: Callable[[Result], Finding]
    limit_s: float = LOOK_LIMIT_S


@dataclass(frozen=True, slots=True)
class Command:
    """`is_long`: goes on when the connection is cut, and is found again (`detached`)."""

    argv: tuple[str, ...]
    is_long: bool = False
    limit_s: float | None = None
    shown: str = ""
    """For people, where the arguments say less than they hide."""

    @property
    def words(self) -> str:
        return self.shown or " ".join(self.argv)


@dataclass(frozen=True, slots=True)
class Upload:
    path: str
    content: bytes = field(repr=False)
    mode: int = 0o644
    owner: str = "root:root"

    @property
    def words(self) -> str:
        return f"put {self.path} ({len(self.content)} bytes, {self.mode:o}, {self.owner})"


class Verb(StrEnum):
    """What the control plane does in the middle of a step."""

    NEW_CONNECTION = "sign in anew"
    NEW_CONNECTION_BY_KEY = "sign in anew, by key"
    FORGET_PASSWORD = "forget the password"  # noqa: S105 (words)

    @property
    def words(self) -> str:
        return self.value


Action = Command | Upload | Verb


@dataclass(frozen=True, slots=True)
class Known:
    """A failure that is known by its output. With `tries`, the step is done again that often, `pause_s` between."""

    pattern: re.Pattern[str]
    words: str
    remedy: str
    tries: int = 0
    pause_s: float = 0.0


def known(pattern: str, words: str, remedy: str, *, tries: int = 0, pause_s: float = 0.0) -> Known:
    return Known(re.compile(pattern, re.IGNORECASE), words, remedy, tries, pause_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """`make`: what makes it so, from what was seen; nothing for a step that only looks. `check`: what it is looked at
    with afterwards, where that is not `look` again. `limit_s` bounds all of it.

    `is_heartbeat`: the one that looks in our own database instead. `hears`: for the heartbeat of which bundle, by the
    beginning of its hash; empty: of any.
    """

    name: str
    title: str
    look: Look | None = None
    make: Callable[[Result], tuple[Action, ...]] = lambda seen: ()
    check: Look | None = None
    limit_s: float = 60.0
    failures: tuple[Known, ...] = ()
    why: tuple[str, ...] = ()
    """A command that tells more when it has failed."""
    remedy: str = ""
    is_heartbeat: bool = False
    hears: str = ""


def always(*actions: Action) -> Callable[[Result], tuple[Action, ...]]:
    """The same whatever was seen."""
    return lambda seen: actions


def is_line(wanted: str) -> Callable[[Result], Finding]:
    """As wanted when the output is this."""
    return lambda seen: Finding(seen.is_ok and seen.out.strip() == wanted)


def succeeds(seen: Result) -> Finding:
    return Finding(seen.is_ok)


def fields(text: str) -> dict[str, str]:
    """`name=value` by line, as our looking scripts print."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}
