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
from streams.actions.editing import create, delete, duplicate, edit
from streams.actions.running import force_stop, start, stop
from streams.actions.steering import Outcome, insert_next, steer

__all__ = [
    "Outcome",
    "add_output",
    "create",
    "delete",
    "delete_destination",
    "duplicate",
    "edit",
    "force_stop",
    "insert_next",
    "move_item",
    "remove_item",
    "remove_output",
    "replace_playlist",
    "reveal_key",
    "save_destination",
    "set_output_enabled",
    "set_playing",
    "start",
    "steer",
    "stop",
]
