"""The last net: what would carry a secret into a log is masked before it is written.

Secrets are kept out by type (`repr=False`); this catches what slips through: in URLs, in the text of errors, under
a telling name.
"""

from __future__ import annotations

import re
from typing import Any, Final

MASK: Final = "•••"

_PATTERNS: Final = (
    # rtmp://host/app/KEY: the last part is the key, also behind ?backup=1
    re.compile(r"(rtmps?://[^/\s\"']+/[^/\s\"']+/)[^\s\"'}]+", re.IGNORECASE),
    re.compile(r"((?:key|password|token|secret|signature|sig)[\"']?\s*[=:]\s*[\"']?)[^\s\"',&}]+", re.IGNORECASE),
    # a signed address is as good as the file, as long as it lasts
    re.compile(r"(/library/download/|/streams/pictures/)[^\s\"'?]+"),
    re.compile(r"(/enrol/)[^/\s\"'?]+"),
    re.compile(r"((?:redis|rediss|postgres|postgresql)://[^:/@\s]*:)[^@\s]+(?=@)", re.IGNORECASE),
    # links out of our e-mails: whoever reads them in a log could open them first
    re.compile(r"(/(?:reset/key/[0-9A-Za-z]+-|confirm-email/))[^/\s\"']+"),
)


_TELLING: Final = re.compile(r"(?:^|_)(?:key|password|token|secret|signature)$", re.IGNORECASE)
"""Names whose values are secrets, whatever they look like."""


def mask(text: str) -> str:
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\g<1>{MASK}", text)
    return text


def mask_event(_logger: object, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """The last processor before the line is rendered: tracebacks and messages are text by then."""
    return {name: _masked(name, value) for name, value in event.items()}


def _masked(name: str, value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if _TELLING.search(name):
        return MASK
    if isinstance(value, dict):
        return {str(key): _masked(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked(name, inner) for inner in value]
    return mask(value if isinstance(value, str) else repr(value))
