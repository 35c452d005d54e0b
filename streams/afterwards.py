"""What a page says of a stream that was interrupted, moved or has failed: the next try, where it goes on, what to do.
Pure over loaded rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from streams import resume
from streams.models import EndReason, PlaylistItem, Run, Status, Stream


@dataclass(frozen=True, slots=True)
class RetryView:
    """The next try of a stream that was interrupted."""

    number: int
    most: int
    at: datetime
    in_s: float


@dataclass(frozen=True, slots=True)
class ResumeView:
    item_id: int
    title: str
    position_s: float


_ADVICE: Final[dict[str, Promise]] = {
    EndReason.NO_VPS: gettext_lazy(
        "Every server is full or away. Try again in a few minutes; if it stays so, tell the operator."
    ),
    EndReason.LOST: gettext_lazy("The server it ran on is gone, and no other one brought it back. Start it again now."),
    EndReason.SILENT: gettext_lazy(
        "The server made no progress. Start it again: another one is chosen if there is one. If that fails too, "
        "tell the operator."
    ),
    EndReason.FAILED: gettext_lazy(
        "Put right what is named here if it is a video or a destination of yours, then start again. The log of the run "
        "below says more."
    ),
}


def retry(stream: Stream, now: datetime) -> RetryView | None:
    run = stream.run
    if stream.state is not Status.STARTING or run is None or run.retry_at is None or run.moved_at is not None:
        return None
    in_s = (run.retry_at - now).total_seconds()
    return RetryView(run.tries, stream.max_restarts, run.retry_at, in_s) if in_s > 0 else None


def headline(stream: Stream, run: Run, now: datetime) -> str:
    """Of a stream that is to be put on air again. The next try stands beside it."""
    words = {"why": run.interruption, "vps": run.vps.name if run.vps else ""}
    if run.moved_at is not None and run.vps is not None:
        return _("Being moved to «%(vps)s»: %(why)s") % words
    if retry(stream, now) is not None:
        return _("Interrupted: %(why)s") % words
    return _("Interrupted: %(why)s. It is being put on air again") % words


def resume_at(stream: Stream, items: Sequence[PlaylistItem]) -> ResumeView | None:
    run = stream.run
    if stream.state is not Status.ERROR or run is None or not items:
        return None
    where = resume.place(run.report or {}) or resume.Place(run.first_item_id, run.first_position_s)
    found = next((item for item in items if item.pk == where.item_id), None)
    if found is None or (found is items[0] and not where.position_s):
        return None
    return ResumeView(found.pk, found.title, where.position_s)


def advice(stream: Stream) -> str:
    if stream.state is not Status.ERROR or stream.run is None:
        return ""
    return str(_ADVICE.get(stream.run.end_reason, ""))
