"""What a user asks for, as plain values: forms and the API build these, actions take them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, Self

from media_library.stills import Still

ItemKind = Literal["file", "live"]
SlateKind = Literal["made", "clip", "picture"]
_LIVE = "live-"
USUAL_RESTARTS: Final = 30


@dataclass(frozen=True, slots=True)
class ItemSpec:
    """One place in a playlist: the id of a video or of a live input."""

    kind: ItemKind
    id: int

    def __str__(self) -> str:
        """As forms carry it: `12` for a video, `live-12` for a live input."""
        return f"{_LIVE}{self.id}" if self.kind == "live" else str(self.id)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """None for what no form of ours sends."""
        number = text.removeprefix(_LIVE)
        if not (number.isascii() and number.isdecimal() and len(number) < 19):
            return None
        return cls("live" if number != text else "file", int(number))


def videos(ids: Iterable[int]) -> tuple[ItemSpec, ...]:
    """A playlist of videos alone."""
    return tuple(ItemSpec("file", pk) for pk in ids)


@dataclass(frozen=True, slots=True)
class OutputSpec:
    destination_id: int
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class SlateSpec:
    """What is shown when nothing can play. `picture` None keeps the picture that is there."""

    kind: SlateKind = "made"
    clip_id: int | None = None
    picture: Still | None = None


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """A whole stream. `items` is the playlist in order; a video or input may stand in it more than once."""

    title: str
    description: str = ""
    loop: bool = True
    order: str = "sequential"
    keep_files_after_stop: bool = False
    max_restarts: int = USUAL_RESTARTS
    restart_every_h: int | None = None
    """A planned restart after so long at most; None: never."""
    items: tuple[ItemSpec, ...] = ()
    outputs: tuple[OutputSpec, ...] = ()
    slate: SlateSpec = SlateSpec()


@dataclass(frozen=True, slots=True)
class DestinationSpec:
    """A destination. `key` None or empty keeps the key that is there (keys are write-only)."""

    platform: str
    name: str
    url: str
    key: str | None = field(default=None, repr=False)
    via: str = "native"
    renew_every_h: int | None = None
    """None: what the platform allows; 0: never."""


@dataclass(frozen=True, slots=True)
class LiveInputSpec:
    """A live input. `url` None or empty keeps the address that is there (it may hold a key)."""

    name: str
    url: str | None = field(default=None, repr=False)
