"""The plan: what the agent wants of this playout. Read from plan.json, checked, typed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, get_args

from .target import Secret

Order = Literal["sequential", "random"]
Via = Literal["native", "ffmpeg", "nginx"]
VIAS: Final[tuple[Via, ...]] = get_args(Via)


class PlanError(ValueError):
    """The plan cannot be read; the text says what is wrong, never what it holds."""


@dataclass(frozen=True, slots=True)
class Item:
    """`failed` is the reason why it cannot play, None when it can. `live_url` hides itself: it may hold a key."""

    item_id: int
    file_id: int
    title: str
    path: str
    ready: bool
    complete: bool
    duration_s: float | None
    failed: str | None
    slate: str | None = None
    live_url: Secret | None = field(default=None, repr=False)

    @property
    def playable(self) -> bool:
        return self.ready and self.failed is None


@dataclass(frozen=True, slots=True)
class Destination:
    id: int
    name: str
    url: str
    key: Secret = field(repr=False)
    enabled: bool
    via: Via = "native"
    renew_every_s: float | None = None
    """The longest that one broadcast gets; None: as long as it likes."""

    def same_place(self, other: "Destination") -> bool:
        return (self.url, self.key, self.via) == (other.url, other.key, other.via)


@dataclass(frozen=True, slots=True)
class Begin:
    """Where a run begins that begins in the middle."""

    item_id: int
    position_s: float


@dataclass(frozen=True, slots=True)
class Plan:
    stream_id: int
    run_id: str
    epoch: int
    loop: bool
    order: Order
    items: tuple[Item, ...]
    destinations: tuple[Destination, ...]
    ca_file: str | None = None
    reach_private: bool = False
    slate: str | None = None
    ffmpeg: str = "ffmpeg"
    restart_every_s: float | None = None
    """All of it begins anew after so long at most."""
    begin: Begin | None = None


def read_plan(path: Path) -> Plan:
    """Raises PlanError."""
    try:
        raw = json.loads(path.read_bytes())
    except OSError as error:
        raise PlanError(f"plan.json cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise PlanError("plan.json is not JSON") from error
    return parse_plan(raw)


def parse_plan(raw: Any) -> Plan:
    """Raises PlanError."""
    plan = _Fields(raw, "the plan")
    order = plan.text("order")
    if order not in ("sequential", "random"):
        raise PlanError("the plan's order is neither sequential nor random")
    found = Plan(
        stream_id=plan.number("stream_id"),
        run_id=plan.text("run_id"),
        epoch=plan.number("epoch"),
        loop=plan.flag("loop"),
        order="random" if order == "random" else "sequential",
        items=tuple(_item(entry) for entry in plan.entries("items")),
        destinations=tuple(_destination(entry) for entry in plan.entries("destinations")),
        ca_file=plan.text_or_none("ca_file"),
        reach_private=plan.flag_or("reach_private", False),
        slate=plan.text_or_none("slate"),
        ffmpeg=plan.text_or_none("ffmpeg") or "ffmpeg",
        restart_every_s=_positive(plan.seconds_or_none("restart_every_s")),
        begin=_begin(plan.value("begin")),
    )
    if len({item.item_id for item in found.items}) < len(found.items):
        raise PlanError("two items of the plan have the same item_id")
    if len({destination.id for destination in found.destinations}) < len(found.destinations):
        raise PlanError("two destinations of the plan have the same id")
    return found


def _item(raw: Any) -> Item:
    entry = _Fields(raw, "an item")
    return Item(
        item_id=entry.number("item_id"),
        file_id=entry.number("file_id"),
        title=entry.text("title"),
        path=entry.text("path"),
        ready=entry.flag("ready"),
        complete=entry.flag("complete"),
        duration_s=entry.seconds_or_none("duration_s"),
        failed=entry.text_or_none("failed"),
        slate=entry.text_or_none("slate"),
        live_url=Secret(live_url) if (live_url := entry.text_or_none("live_url")) else None,
    )


def _destination(raw: Any) -> Destination:
    entry = _Fields(raw, "a destination")
    via = entry.text_or_none("via") or "native"
    if via not in VIAS:
        raise PlanError("a destination's «via» is not a way to push")
    return Destination(
        id=entry.number("id"),
        name=entry.text("name"),
        url=entry.text("url"),
        key=Secret(entry.text("key")),
        enabled=entry.flag("enabled"),
        via=via,
        renew_every_s=_positive(entry.seconds_or_none("renew_every_s")),
    )


def _begin(raw: Any) -> Begin | None:
    if raw is None:
        return None
    entry = _Fields(raw, "the beginning")
    return Begin(entry.number("item_id"), entry.seconds_or_none("position_s") or 0.0)


def _positive(seconds: float | None) -> float | None:
    return seconds if seconds is not None and seconds > 0 else None


class _Fields:
    """The fields of one JSON object, each of the type it must have."""

    def __init__(self, raw: Any, where: str) -> None:
        if not isinstance(raw, Mapping):
            raise PlanError(f"{where} is not an object")
        self._raw = raw
        self._where = where

    def value(self, name: str) -> Any:
        return self._raw.get(name)

    def number(self, name: str) -> int:
        value = self._raw.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(name)
        return value

    def text(self, name: str) -> str:
        value = self._raw.get(name)
        if not isinstance(value, str):
            raise self._wrong(name)
        return value

    def flag(self, name: str) -> bool:
        value = self._raw.get(name)
        if not isinstance(value, bool):
            raise self._wrong(name)
        return value

    def entries(self, name: str) -> list[Any]:
        value = self._raw.get(name)
        if not isinstance(value, list):
            raise self._wrong(name)
        return value

    def text_or_none(self, name: str) -> str | None:
        return None if self._raw.get(name) is None else self.text(name)

    def flag_or(self, name: str, otherwise: bool) -> bool:
        return otherwise if self._raw.get(name) is None else self.flag(name)

    def seconds_or_none(self, name: str) -> float | None:
        value = self._raw.get(name)
        if value is None:
            return None
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self._wrong(name)
        return float(value)

    def _wrong(self, name: str) -> PlanError:
        return PlanError(f"{self._where}'s «{name}» is missing or of the wrong type")
