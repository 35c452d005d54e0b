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
from streams.actions.editing import create, delete, duplicate, edit, spec_of
from streams.actions.inputs import delete_live_input, save_live_input
from streams.actions.running import force_stop, start, stop
from streams.actions.testing import find_test, test_destination, test_typed

__all__ = [
    "create",
    "delete",
    "delete_destination",
    "delete_live_input",
    "duplicate",
    "edit",
    "find_test",
    "force_stop",
    "reveal_key",
    "save_destination",
    "save_live_input",
    "set_output_enabled",
    "spec_of",
    "start",
    "stop",
    "test_destination",
    "test_typed",
]
