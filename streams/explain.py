"""Why a run is where it is and what its agent said last, for operators' eyes."""

from __future__ import annotations

import json
from typing import Any, Final

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

_PARTS: Final = ("capacity", "resource", "connection", "performance", "traffic", "price", "score")
"""A choice made before one of them counted does not name it."""


def choice_table(choice: dict[str, Any]) -> SafeString | str:
    """`Run.choice` (`fleet.selection.Choice` as JSON) as a table: the scores, and why others were passed over."""
    ranked, passed = choice.get("ranked", ()), choice.get("passed_over", ())
    if not ranked and not passed:
        return "–"
    cells = "<td>{}</td>" * len(_PARTS)
    scored = format_html_join("", f"<tr><th>{{}}</th>{cells}</tr>", map(_row, ranked))
    left = format_html_join(
        "", '<tr><th>{}</th><td colspan="{}">{}</td></tr>', ((row["name"], len(_PARTS), row["why"]) for row in passed)
    )
    return format_html(
        '<table class="why"><thead>{}</thead><tbody>{}{}</tbody></table>{}', _head(), scored, left, _wish(choice)
    )


def _head() -> SafeString:
    parts = (_("capacity"), _("resources"), _("connection"), _("history"), _("traffic"), _("price"), _("score"))
    names = ("", *parts)
    return format_html("<tr>{}</tr>", format_html_join("", "<th>{}</th>", ((name,) for name in names)))


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    return (str(row.get("name", "")), *(f"{row.get(part, 0.0):.1f}" for part in _PARTS))


def _wish(choice: dict[str, Any]) -> str:
    said = [words for flag, words in _wishes() if choice.get(flag)]
    if left_out := choice.get("left_out"):
        said.append(ngettext("One more was looked at.", "%(n)d more were looked at.", left_out) % {"n": left_out})
    return " ".join(said)


def _wishes() -> tuple[tuple[str, str], ...]:
    return (
        ("is_preferred", _("Taken because an operator prefers it for this stream.")),
        ("is_test", _("An operator started the stream here, to test this server. No other was asked.")),
    )


def lines(value: object) -> SafeString | str:
    """JSON or text as it is, in fixed width."""
    if not value:
        return "–"
    text = value if isinstance(value, str) else json.dumps(value, indent=1, ensure_ascii=False)
    return format_html('<pre class="lines">{}</pre>', text)
