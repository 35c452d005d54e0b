"""What STATUS says of the programme."""

from typing import Any

from .plan import Item
from .programme import Programme


def of_programme(programme: Programme, item: Item | None) -> dict[str, Any]:
    """`item`: the one on air."""
    return {
        "item_id": item.item_id if item else None,
        "file_id": item.file_id if item else None,
        "title": item.title if item else None,
        "position_s": round(programme.place.position_ms / 1000, 3) if item else 0.0,
        "duration_s": item.duration_s if item else None,
        "items_played": programme.items_played,
        "next_item_ids": programme.playlist.upcoming(3, programme.playable),
        "skipped": [{"file_id": each.file_id, "reason": each.reason} for each in programme.failures.skipped],
        "slate": programme.slate_reason,
        "paused": programme.paused,
        "input": programme.inputs.status(),
    }


def resume_point(programme: Programme) -> dict[str, Any]:
    """«resume»: where another process is to go on."""
    held, live, place = programme.held, programme.inputs.item, programme.place
    return {
        "item_id": held.item_id if held else None,
        "file_id": held.file_id if held else None,
        "live_item_id": live.item_id if live else None,
        "position_ms": place.position_ms,
        "offset": place.offset,
    }
