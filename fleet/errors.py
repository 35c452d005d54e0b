"""Refusals of the fleet's verbs, in words for the operator."""

from __future__ import annotations


class WrongState(Exception):
    """It cannot be done in the state things are in; nothing has changed."""
