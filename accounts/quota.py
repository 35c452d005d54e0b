"""Storage quotas that hold under races: each change is one conditional UPDATE of the user's own row.

The condition names columns of that row only. A sub-select over users in it would be answered from the statement's
snapshot on PostgreSQL, and two uploads could both find room for the last bytes.
"""

from __future__ import annotations

from django.db.models import F
from django.utils.translation import gettext as _

from accounts.models import User
from kit.templatetags.kit import filesize


class OverQuota(Exception):
    """The package has no room for this. The message is for the user."""


def reserve_storage(user_id: int, n: int) -> None:
    """Sets `n` bytes aside for an upload. Raises OverQuota, changing nothing, when they do not fit."""
    user = User.objects.select_related("package").get(pk=user_id)
    room = user.plan.max_storage - n
    fits = User.objects.filter(pk=user_id, storage_used__lte=room - F("storage_reserved"))
    if not fits.update(storage_reserved=F("storage_reserved") + n):
        raise OverQuota(_no_room(user, n))


def settle_storage(user_id: int, *, reserved: int, used: int) -> None:
    """Turns a reservation of `reserved` bytes into `used` stored bytes."""
    User.objects.filter(pk=user_id).update(
        storage_reserved=F("storage_reserved") - reserved, storage_used=F("storage_used") + used
    )


def release_storage(user_id: int, *, reserved: int = 0, used: int = 0) -> None:
    """Gives bytes back. The caller sees that it happens once, by changing the file in the same transaction."""
    settle_storage(user_id, reserved=reserved, used=-used)


def _no_room(user: User, n: int) -> str:
    left = max(0, user.plan.max_storage - user.storage_taken)
    return _("This file needs %(need)s, and %(left)s of your %(total)s are free.") % {
        "need": filesize(n),
        "left": filesize(left),
        "total": filesize(user.plan.max_storage),
    }
