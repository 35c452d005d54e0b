"""What an agent uses to reach Redis: a user of its own (fleet/redis_users.py), for provisioning to hand over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import redis
from django.utils.translation import gettext as _

from fleet import redis_users
from fleet.models import Vps
from fleet.provision.stepping import StepFailed

CA_FILE: Final = "/etc/ezstream/redis-ca.crt"


@dataclass(frozen=True, slots=True)
class RedisAccess:
    """`url` carries the password. `ca`: certificates (PEM) it is checked against besides the system's; empty: none."""

    url: str = field(repr=False)
    ca: str = ""

    @property
    def password(self) -> str:
        return urlsplit(self.url).password or ""


def access_for(vps: Vps) -> RedisAccess:
    """Idempotent: asked again, it gives the same until it is rotated. Raises `StepFailed`."""
    try:
        access = redis_users.access(vps)
    except (redis_users.NoUsersError, redis_users.CutOffError) as error:
        raise StepFailed(str(error)) from error
    except redis.RedisError as error:
        words = _("Redis does not answer here (%(error)s).") % {"error": type(error).__name__}
        raise StepFailed(words, _("Press Resume when it is back.")) from error
    return RedisAccess(access.url, access.ca)
