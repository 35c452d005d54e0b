"""Questions to what may hang: asked in a thread of their own, so that who wants the answer can stop waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, connections
from redis import RedisError


@dataclass(frozen=True, slots=True)
class Answer:
    """`why_not` is empty when there is a `value`."""

    value: Any = None
    why_not: str = ""


class NotWellError(OSError):
    """It answers, and is not well; the text says why."""


class Probe:
    """One question. While it hangs it is not asked again: however many look, one thread waits."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._answer = Answer()

    def begin(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="probe", daemon=True)
                self._thread.start()

    def answer(self, until: float) -> Answer:
        """By `time.monotonic() == until` at the latest."""
        thread = self._thread
        if thread is None:
            return Answer(why_not="not asked")
        thread.join(max(0.0, until - time.monotonic()))
        return Answer(why_not="no answer in time") if thread.is_alive() else self._answer

    def _run(self) -> None:
        try:
            self._answer = Answer(self._ask())
        except NotWellError as error:
            self._answer = Answer(why_not=str(error))
        except (DatabaseError, RedisError, OSError) as error:
            self._answer = Answer(why_not=f"does not answer ({type(error).__name__})")
        finally:
            connections.close_all()
