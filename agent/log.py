"""Structured logs: one JSON object per line on stderr, for the journal. The last net for secrets."""

from __future__ import annotations

import json
import logging
import sys
from collections import deque
from typing import Any, Final

FIELDS: Final = ("stream", "run", "request", "error_type", "retry_count", "will_retry", "vps", "detail")
STRUCK: Final = "•••"
_SHORTEST_SECRET: Final = 4
KEPT: Final = 500


class Redactor:
    """Knows the secrets of the runs held now and strikes them out of any text."""

    def __init__(self) -> None:
        self._secrets: dict[str, tuple[str, ...]] = {}

    def learn(self, owner: str, secrets: tuple[str, ...]) -> None:
        """The secrets of one owner (a run, the Redis URL), replacing those it had."""
        usable = {secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}
        self._secrets[owner] = tuple(sorted(usable, key=len, reverse=True))

    def forget(self, owner: str) -> None:
        self._secrets.pop(owner, None)

    def clean(self, text: str) -> str:
        for secrets in self._secrets.values():
            for secret in secrets:
                text = text.replace(secret, STRUCK)
        return text


class JsonFormatter(logging.Formatter):
    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        body: dict[str, Any] = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        body |= {name: getattr(record, name) for name in FIELDS if getattr(record, name, None) is not None}
        if record.exc_info:
            body["traceback"] = self.formatException(record.exc_info)
        return self._redactor.clean(json.dumps(body, ensure_ascii=False, default=str))


class Recent(logging.Handler):
    """The last lines, for operators who ask: the journal is not this user's to read."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[str] = deque(maxlen=KEPT)

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))

    def tail(self, lines: int) -> tuple[str, ...]:
        return tuple(self._lines)[-lines:] if lines > 0 else ()


def set_up(redactor: Redactor, level: int = logging.INFO) -> Recent:
    recent = Recent()
    root = logging.getLogger()
    root.handlers[:] = [logging.StreamHandler(sys.stderr), recent]
    for handler in root.handlers:
        handler.setFormatter(JsonFormatter(redactor))
    root.setLevel(level)
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    return recent
