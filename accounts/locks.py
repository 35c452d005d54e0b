"""The first of the locks: the user, then a stream, then a VPS, then a run."""

from __future__ import annotations

from accounts.models import User


def lock_user(user_id: int) -> User:
    """The row, locked until the commit: whatever counts what somebody has does so under it. NO KEY: rows that only
    point to the user (audit lines, transitions) may be written meanwhile, or who has written one and then comes here
    would wait for who is here and is about to."""
    return User.objects.select_for_update(no_key=True).get(pk=user_id)
