"""What can be refused, in words for the user. A refusal has changed nothing."""

from __future__ import annotations

from collections.abc import Mapping


class Refused(Exception):
    """The verb was not done. `code` is for programs (the API), the message for people."""

    code = "refused"
    http_status = 409

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = str(message)


class WrongState(Refused):
    """The stream is not in a state this verb goes from."""

    code = "wrong_state"


class Invalid(Refused):
    """What was typed does not do. `fields` has the words beside each field; `__all__` those beside none."""

    code = "invalid"

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__(" ".join(str(words) for words in fields.values()))
        self.fields = {name: str(words) for name, words in fields.items()}


class OverLimit(Refused):
    """The package allows no more."""

    code = "over_limit"


class TooOften(Refused):
    """Asked for more often than anybody needs."""

    code = "too_often"
    http_status = 429


class KeyInUse(Refused):
    """Another stream on air pushes the same key; two would tear each other down."""

    code = "key_in_use"


class InUse(Refused):
    """Something still needs the object."""

    code = "in_use"


class NotReady(Refused):
    """The stream cannot start as it is: no playlist, no destination, a file not yet processed."""

    code = "not_ready"


class Gone(Refused):
    """What it was about is no longer there: the page was older than the stream."""

    code = "gone"


class Unreachable(Refused):
    """The server that would have to do it does not listen."""

    code = "unreachable"


class NotDone(Refused):
    """The server says that it cannot, and why."""

    code = "not_done"
