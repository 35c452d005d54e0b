"""Logs as JSON lines on stderr, written by a thread: a full pipe must not hold up the loop, and keys stay
out.
"""

import contextlib
import json
import logging
import logging.handlers
import queue
import sys
import time
from typing import Any, Final

from .target import Secret

LAST_LINES_S: Final = 0.5
_OURS: Final = ("destination_id", "reason", "item_id", "file_id", "run_id", "stream_id", "order", "code")


class JsonFormatter(logging.Formatter):
    """One line per record. The last net for keys: what is in `secrets` is hidden whatever it came by."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: frozenset[Secret] = frozenset()

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{record.msecs:03.0f}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line |= {name: value for name in _OURS if (value := getattr(record, name, None)) is not None}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return self._masked(json.dumps(line, ensure_ascii=False))

    def _masked(self, text: str) -> str:
        for secret in self.secrets:
            text = secret.hide_in(text)
        return text


def configure(formatter: JsonFormatter) -> logging.handlers.QueueListener:
    """The listener must be stopped at the end, for the last lines to be written."""
    logging.raiseExceptions = False  # a log that cannot be written is no reason to write more
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(formatter)
    lines: queue.Queue[logging.LogRecord] = queue.Queue(1000)
    root = logging.getLogger()
    root.handlers = [_Queueing(lines)]
    root.setLevel(logging.INFO)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    listener = _Listener(lines, stream)
    listener.start()
    return listener


class _Listener(logging.handlers.QueueListener):
    """Ends with the last line written, or soon after when nobody reads them."""

    def stop(self) -> None:
        with contextlib.suppress(queue.Full):
            self.enqueue_sentinel()
        if self._thread is not None:
            self._thread.join(LAST_LINES_S)


class _Queueing(logging.handlers.QueueHandler):
    """Hands the record over as it is; what does not fit is lost."""

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record
