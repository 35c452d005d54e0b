"""What a user asks for, as plain values: forms and the API build these, actions take them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class OutputSpec:
    destination_id: int
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """A whole stream. `file_ids` is the playlist in order; a file may stand in it more than once."""

    title: str
    description: str = ""
    loop: bool = True
    order: str = "sequential"
    keep_files_after_stop: bool = False
    file_ids: tuple[int, ...] = ()
    outputs: tuple[OutputSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class DestinationSpec:
    """A destination. `key` None or empty keeps the key that is there (keys are write-only)."""

    platform: str
    name: str
    url: str
    key: str | None = field(default=None, repr=False)
