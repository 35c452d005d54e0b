"""Text that goes into a CSV: spreadsheets compute what begins like a formula, and titles are anybody's."""

from __future__ import annotations

from typing import Final

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def harmless(words: str) -> str:
    """What a spreadsheet would compute is kept a text."""
    return f"'{words}" if words.startswith(_FORMULA) else words
