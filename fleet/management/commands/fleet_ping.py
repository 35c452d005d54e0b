from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import redis
from django.core.management.base import BaseCommand, CommandError, CommandParser

from fleet import asking, console
from fleet.checkups import IN_SERVICE
from fleet.errors import Refused
from fleet.models import Vps

AT_ONCE: Final = 20


@dataclass(frozen=True, slots=True)
class Answer:
    """`error` empty: it answered."""

    name: str
    took_ms: float | None
    streams: int | None
    error: str


class Command(BaseCommand):
    help = "Asks agents whether they are there, and says how long each answer took. Fails when one did not answer."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("vps", nargs="?", help="name of the VPS")
        parser.add_argument("--all", action="store_true", help="every VPS in service")
        parser.add_argument("--timeout", type=float, default=5.0, help="seconds to wait for each answer")
        console.add_json(parser)

    def handle(self, *args: Any, vps: str | None, timeout: float, **options: Any) -> None:
        if bool(vps) == options["all"]:
            raise CommandError("name a VPS, or say --all")
        chosen = [console.one(vps)] if vps else list(Vps.objects.filter(status__in=IN_SERVICE))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            answers = list(pool.map(lambda each: _ping(each, timeout), chosen))
        if options["as_json"]:
            rows = [{"vps": a.name, "took_ms": a.took_ms, "streams": a.streams, "error": a.error} for a in answers]
            console.write_json(self.stdout, rows)
        else:
            self._tell(answers)
        silent = [each for each in answers if each.error]
        if silent:
            raise CommandError(silent[0].error if vps else f"{len(silent)} of {len(answers)} did not answer")

    def _tell(self, answers: list[Answer]) -> None:
        for each in answers:
            if each.error:
                self.stdout.write(f"«{each.name}»: {each.error}")
            else:
                self.stdout.write(f"«{each.name}» answered in {each.took_ms:.1f} ms and holds {each.streams} streams")


def _ping(vps: Vps, timeout_s: float) -> Answer:
    try:
        pinged = asking.ping(vps, timeout_s)
    except Refused as refusal:
        return Answer(vps.name, None, None, refusal.message)
    except redis.RedisError as error:
        return Answer(vps.name, None, None, f"Redis does not answer ({type(error).__name__})")
    return Answer(vps.name, round(pinged.took_ms, 1), pinged.active_streams, "")
