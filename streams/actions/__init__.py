"""The verbs. Pages, API, admin and schedule all come through here; every one checks, writes, audits and returns.

They raise `streams.errors.Refused` with words for the user and have changed nothing then. What leaves the process
(actors, commands, pokes) leaves after the commit.
"""

from streams.actions.arranging import (
    add_output,
    move_item,
    remove_item,
    remove_output,
    replace_playlist,
    set_playing,
)
from streams.actions.destinations import (
    delete_destination,
    reveal_key,
    save_destination,
    set_output_enabled,
)
from streams.actions.editing import create, delete, duplicate, edit, spec_of
from streams.actions.inputs import delete_live_input, save_live_input
from streams.actions.running import force_stop, move, start, start_on, stop, try_now
from streams.actions.schedules import clear_schedule, set_schedule, switch_schedule
from streams.actions.steering import Outcome, insert_next, renew, steer
from streams.actions.testing import find_test, test_destination, test_typed

__all__ = [
    "Outcome",
    "add_output",
    "clear_schedule",
    "create",
    "delete",
    "delete_destination",
    "delete_live_input",
    "duplicate",
    "edit",
    "find_test",
    "force_stop",
    "insert_next",
    "move",
    "move_item",
    "remove_item",
    "remove_output",
    "renew",
    "replace_playlist",
    "reveal_key",
    "save_destination",
    "save_live_input",
    "set_output_enabled",
    "set_playing",
    "set_schedule",
    "spec_of",
    "start",
    "start_on",
    "steer",
    "stop",
    "switch_schedule",
    "test_destination",
    "test_typed",
    "try_now",
]
