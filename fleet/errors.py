"""What can be refused, in words for the operator. A refusal has changed nothing, but for `NotYet`."""

from __future__ import annotations


class Refused(Exception):
    """The verb was not done."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = str(message)


class WrongState(Refused):
    """It cannot be done in the state things are in."""


class NotYet(Refused):
    """It is noted, and done as soon as it can be."""


class NoAnswer(Refused):
    """The agent does not take commands, or did not answer in time."""


class TooOld(Refused):
    """The agent does not know the question."""
