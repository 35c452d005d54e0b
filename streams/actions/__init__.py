"""The verbs. Pages, API, admin and schedule all come through here; every one checks, writes, audits and returns.

They raise `streams.errors.Refused` with words for the user and have changed nothing then. What leaves the process
(actors, commands, pokes) leaves after the commit.
"""

from streams.actions.destinations import (
    delete_destination,
    reveal_key,
    save_destination,
    set_output_enabled,
)
from streams.actions.editing import create, delete, duplicate, edit
from streams.actions.running import force_stop, start, stop
from streams.actions.schedules import clear_schedule, set_schedule, switch_schedule

__all__ = [
    "clear_schedule",
    "create",
    "delete",
    "delete_destination",
    "duplicate",
    "edit",
    "force_stop",
    "reveal_key",
    "save_destination",
    "set_output_enabled",
    "set_schedule",
    "start",
    "stop",
    "switch_schedule",
]
