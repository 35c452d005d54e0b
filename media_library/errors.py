"""What can go wrong with a file, by who can mend it."""

from __future__ import annotations


class Refused(Exception):
    """The user asked for something that cannot be. The message is for them; nothing was changed.

    `http_status` is what a view answers.
    """

    http_status = 409


class BadName(Refused):
    http_status = 415


class BadLength(Refused):
    http_status = 400


class TooLarge(Refused):
    http_status = 413


class NoRoom(Refused):
    http_status = 413


class TooManyUploads(Refused):
    http_status = 429


class InUse(Refused):
    """Streams still play the file."""


class WrongState(Refused):
    """The file is not in a state in which this can be done."""


class WrongOffset(Refused):
    """A chunk that does not begin where the received bytes end. `offset` is where it should."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


class Busy(Refused):
    """Another request is writing to the same upload."""

    http_status = 423


class Gone(Refused):
    """The upload was given up."""

    http_status = 410


class DiskFailed(Refused):
    """The server's own disk is full or broken."""

    http_status = 507


class Unfit(Exception):
    """The content of a file cannot be taken: the reason, for its owner."""
