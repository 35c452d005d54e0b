"""Transactions that the database itself called off, because another one stood in the way: done once more.

PostgreSQL ends one of two that wait for each other, SQLite refuses a writer that has waited too long. Neither has
written anything then.
"""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

import structlog
from django.db import OperationalError, transaction

P = ParamSpec("P")
R = TypeVar("R")

log = structlog.get_logger(__name__)
CALLED_OFF: Final = frozenset({"40001", "40P01"})
"""serialization_failure and deadlock_detected."""
PAUSES_S: Final = (0.05, 0.1, 0.2, 0.4)


def again_on_conflict(verb: Callable[P, R]) -> Callable[P, R]:
    """For what is one transaction, or may be done twice. Inside another it does nothing: the whole is called off."""

    @functools.wraps(verb)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        for pause in PAUSES_S:
            try:
                return verb(*args, **kwargs)
            except OperationalError as error:
                if transaction.get_connection().in_atomic_block or not is_conflict(error):
                    raise
                log.info("database.conflict", verb=verb.__qualname__)
                time.sleep(pause * (0.5 + random.random()))  # noqa: S311  (jitter)
        return verb(*args, **kwargs)

    return wrapped


def is_conflict(error: OperationalError) -> bool:
    state = getattr(error.__cause__, "sqlstate", None)
    return state in CALLED_OFF or "database is locked" in str(error) or "database table is locked" in str(error)
