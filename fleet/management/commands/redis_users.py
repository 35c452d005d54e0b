from __future__ import annotations

from typing import Any

import redis
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from fleet import redis_users
from fleet.errors import NotYet
from fleet.models import RedisUser, Vps


class Command(BaseCommand):
    help = "The Redis users of agents. Without a VPS: makes Redis agree with the database, and lists them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("vps", nargs="?", help="name of the VPS")
        verbs = parser.add_mutually_exclusive_group()
        verbs.add_argument("--access", action="store_true", help="print what its agent needs: a SECRET")
        verbs.add_argument("--rotate", action="store_true", help="a new password; the old one is good until it is used")
        verbs.add_argument("--cut-off", action="store_true", help="close its connections and let it in no more")
        verbs.add_argument("--admit", action="store_true", help="let it in again, with a new password")

    def handle(self, *args: Any, vps: str | None, **options: Any) -> None:
        try:
            if vps is None:
                self._all()
            else:
                self._one(_named(vps), options)
        except (redis_users.NoUsersError, redis_users.CutOffError, NotYet) as error:
            raise CommandError(str(error)) from None
        except redis.RedisError as error:
            raise CommandError(f"Redis does not answer ({type(error).__name__})") from None

    def _all(self) -> None:
        changed = redis_users.apply()
        settled = redis_users.settle()
        for user in RedisUser.objects.select_related("vps").order_by("vps__name"):
            self.stdout.write(f"{user}  «{user.vps}»  {_state(user)}")
        self.stdout.write(f"Redis {'was made to agree' if changed else 'agreed'}; {settled} old passwords taken away.")

    def _one(self, vps: Vps, options: dict[str, Any]) -> None:
        if options["access"]:
            access = redis_users.access(vps)
            self.stdout.write(f"EZSTREAM_REDIS_URL={access.url}\nEZSTREAM_VPS_ID={vps.pk}")
            return
        verbs = {"rotate": redis_users.rotate, "cut_off": redis_users.cut_off, "admit": redis_users.admit}
        for name, verb in verbs.items():
            if options[name]:
                with transaction.atomic():
                    verb(vps, None)
        user = RedisUser.objects.filter(vps=vps).first()
        self.stdout.write(f"{user}  «{vps}»  {_state(user)}" if user else f"«{vps}» has no Redis user yet: --access")


def _named(name: str) -> Vps:
    vps = Vps.objects.filter(name=name).first()
    if vps is None:
        raise CommandError(f"no VPS named «{name}»")
    return vps


def _state(user: RedisUser) -> str:
    if user.cut_off_at:
        return f"cut off since {user.cut_off_at:%Y-%m-%d %H:%M} UTC"
    return "two passwords, until the agent uses the new one" if user.sealed_next_password else "one password"
