"""The last net: a log record that would carry a secret is masked before it is written.

Secrets are kept out by type (`kit.secret`, `repr=False`); this filter catches what slips through in URLs.
"""

from __future__ import annotations

import logging
import re
from typing import Final

MASK: Final = "•••"

_PATTERNS: Final = (
    # rtmp://host/app/KEY: the last part is the key, also behind ?backup=1
    re.compile(r"(rtmps?://[^/\s\"']+/[^/\s\"']+/)[^\s\"'}]+", re.IGNORECASE),
    re.compile(r"((?:key|password|token|secret|signature|sig)[\"']?\s*[=:]\s*[\"']?)[^\s\"',&}]+", re.IGNORECASE),
    # a signed address is as good as the file, as long as it lasts
    re.compile(r"(/library/download/|/streams/pictures/)[^\s\"'?]+"),
    re.compile(r"((?:redis|rediss|postgres|postgresql)://[^:/@\s]*:)[^@\s]+(?=@)", re.IGNORECASE),
    # links out of our e-mails: whoever reads them in a log could open them first
    re.compile(r"(/(?:reset/key/[0-9A-Za-z]+-|confirm-email/))[^/\s\"']+"),
)


def mask(text: str) -> str:
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\g<1>{MASK}", text)
    return text


class MaskSecrets(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.msg, str):
            record.msg = mask(record.msg)
        elif isinstance(record.msg, dict):
            record.msg = {k: mask(v) if isinstance(v, str) else v for k, v in record.msg.items()}
        if isinstance(record.args, tuple):
            record.args = tuple(mask(arg) if isinstance(arg, str) else arg for arg in record.args)
        return True
