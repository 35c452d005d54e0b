"""Uptime: the share of the time it was wanted on air that something was (EDGE-6). Pure.

Of a destination: its wanted time is the stream's (`streams.incidents`), from when it was chosen, without the times it
was switched off. Of a stream: the same over the summed times of its destinations, so that one of three that is down
for an hour counts for a third of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from streams.incident_kinds import Output, Story
from streams.spans import Span, clipped, merged, minus, total


@dataclass(frozen=True, slots=True)
class Uptime:
    """Of a stretch of time."""

    wanted_s: float
    off_s: float

    @property
    def share(self) -> float | None:
        """0..1; None: it was not wanted then."""
        return None if self.wanted_s <= 0 else max(0.0, 1 - self.off_s / self.wanted_s)


def of_output(story: Story, output: Output, within: Span) -> Uptime:
    asked = clipped(story.wanted, Span(max(within.begin, output.since), within.end))
    wanted = minus(asked, _switched_off(story, output))
    off = [part for span in wanted for part in clipped(story.off.get(output.id, ()), span)]
    return Uptime(total(wanted), total(merged(off)))


def of_stream(story: Story, outputs: Iterable[Output], within: Span) -> Uptime:
    rows = [of_output(story, output, within) for output in outputs]
    return Uptime(round(sum(row.wanted_s for row in rows), 1), round(sum(row.off_s for row in rows), 1))


def _switched_off(story: Story, output: Output) -> Sequence[Span]:
    """One that is off and was never heard to be switched has been off all the time."""
    spans = story.unwanted.get(output.id, [])
    return spans if spans or output.enabled else [Span(0.0, float("inf"))]
