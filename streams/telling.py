"""Lines of the timeline in plain words: what a happening's facts say to a person."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from streams.models import DestinationState, RunEvent

Facts = Mapping[str, Any]
Kind = RunEvent.Kind


@dataclass(frozen=True, slots=True)
class Told:
    """`tone` is how grave it is: live, warning, danger, info or neutral."""

    words: str
    tone: str


def tell(kind: str, facts: Facts) -> Told:
    """Never fails: rows outlive the version that wrote them."""
    try:
        return _TELLERS[kind](facts)
    except (KeyError, TypeError, ValueError):
        return Told(str(Kind(kind).label) if kind in Kind.values else kind, "neutral")


def lasting(seconds: float) -> str:
    """How long, as people say it: 0.4 s, 23 s, 4 min 5 s, 2 h 3 min."""
    if seconds < 10:
        return _("%(s).1f s") % {"s": seconds} if seconds % 1 >= 0.05 else _("%(s)d s") % {"s": seconds}
    if seconds < 60:
        return _("%(s)d s") % {"s": seconds}
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return _("%(m)d min %(s)d s") % {"m": minutes, "s": rest} if rest else _("%(m)d min") % {"m": minutes}
    hours, minutes = divmod(minutes, 60)
    return _("%(h)d h %(m)d min") % {"h": hours, "m": minutes} if minutes else _("%(h)d h") % {"h": hours}


def _behind(words: str, reason: str) -> str:
    return f"{words}: {reason}" if reason else words


# ------------------------------------------------------------------------------------------------ by kind


def _destination(facts: Facts) -> Told:
    name, state = facts["name"], DestinationState(facts.get("state", "reconnecting"))
    if "times" in facts:
        return Told(_flapping(facts), "warning")
    said = {
        DestinationState.LIVE: _on_air_again(facts),
        DestinationState.DISABLED: _("switched off"),
        DestinationState.REFUSED: _behind(_("refused by the server"), facts.get("reason", "")),
        DestinationState.FAILED: _behind(_("cannot be reached as it is set up"), facts.get("reason", "")),
    }.get(state) or _behind(_("off air, connecting again"), facts.get("reason", ""))
    tone = {"connecting": "warning"}.get(state.value, state.tone)
    return Told(f"{name}: {said}", tone)


def _on_air_again(facts: Facts) -> str:
    if "off_s" not in facts:
        return _("on air")
    words = _("on air after %(time)s of trying") if facts.get("first") else _("back on air after %(time)s off air")
    return words % {"time": lasting(facts["off_s"])}


def _flapping(facts: Facts) -> str:
    times = ngettext("lost once more", "lost %(n)d more times", facts["times"]) % {"n": facts["times"]}
    off = _("%(time)s off air in all") % {"time": lasting(facts.get("off_s", 0.0))}
    return f"{facts['name']}: {times} ({off})"


def _skipped(facts: Facts) -> Told:
    if "times" in facts:
        n = facts["times"]
        return Told(ngettext("%(n)d more item was skipped", "%(n)d more items were skipped", n) % {"n": n}, "warning")
    return Told(_behind(_("«%(title)s» was skipped") % {"title": facts["name"]}, facts.get("reason", "")), "warning")


def _slate(facts: Facts) -> Told:
    time = lasting(facts["seconds"])
    if "times" in facts:
        words = ngettext("The slate was on air once more", "The slate was on air %(n)d more times", facts["times"])
        return Told(_("%(what)s, %(time)s in all") % {"what": words % {"n": facts["times"]}, "time": time}, "warning")
    if facts.get("paused"):
        return Told(_("The slate was on air for %(time)s: paused") % {"time": time}, "neutral")
    return Told(_behind(_("The slate was on air for %(time)s") % {"time": time}, facts.get("reason", "")), "warning")


def _input(facts: Facts) -> Told:
    name = facts["name"]
    if "times" in facts:
        times = ngettext("away once more", "away %(n)d more times", facts["times"]) % {"n": facts["times"]}
        return Told(f"{name}: {times}", "warning")
    if facts["state"] == "on":
        words = _("back after %(time)s") % {"time": lasting(facts.get("off_s", 0.0))}
        return Told(f"{name}: {words}", "live")
    words = _("the live input went away, the playlist or the slate plays meanwhile")
    return Told(f"{name}: {_behind(words, facts.get('reason', ''))}", "warning")


def _restarted(facts: Facts) -> Told:
    n = facts["times"]
    words = ngettext(
        "The player ended by itself and was started again",
        "The player ended by itself %(n)d times and was started again",
        n,
    ) % {"n": n}
    if "off_s" in facts:
        words += " (" + _("%(time)s off air") % {"time": lasting(facts["off_s"])} + ")"
    return Told(_behind(words, facts.get("reason", "")), "warning")


def _renewed(facts: Facts) -> Told:
    if "times" in facts:
        words = ngettext("connected anew once more", "connected anew %(n)d more times", facts["times"])
        said = words % {"n": facts["times"]}
    else:
        said = _("connected anew as asked") if facts.get("asked") else _("connected anew as planned")
    off = _("%(time)s off air") % {"time": lasting(facts.get("off_s", 0.0))}
    return Told(f"{facts['name']}: {said} ({off})", "neutral")


def _steered(facts: Facts) -> Told:
    """`order`, and by order: `item` (the title asked for), `now` (the title on air since); `answered` False when the
    server did not say in time whether it did."""
    title = facts.get("item") or facts.get("now") or ""
    if not facts.get("answered", True):
        return Told(_("Asked for, not answered in time: %(what)s") % {"what": order_words(facts["order"])}, "warning")
    words = {
        "next": _("Skipped to the next item"),
        "previous": _("Went back to the item before"),
        "jump": _("Jumped"),
        "play_next": _("To be played next"),
        "pause": _("Paused: the slate is on air"),
        "resume": _("Resumed"),
        "renew": _("Asked to connect anew"),
    }[facts["order"]]
    quoted = f"«{title}»" if title and facts["order"] != "pause" else ""
    return Told(_behind(words, quoted), "neutral")


def order_words(order: str) -> str:
    """The verb, as it stands on the button."""
    return {
        "next": _("next item"),
        "previous": _("previous item"),
        "jump": _("play now"),
        "play_next": _("play next"),
        "pause": _("pause"),
        "resume": _("resume"),
        "renew": _("connect anew"),
    }[order]


_TELLERS: Final[Mapping[str, Callable[[Facts], Told]]] = {
    Kind.DESTINATION: _destination,
    Kind.SKIPPED: _skipped,
    Kind.SLATE: _slate,
    Kind.INPUT: _input,
    Kind.RESTARTED: _restarted,
    Kind.STEERED: _steered,
    Kind.RENEWED: _renewed,
}
