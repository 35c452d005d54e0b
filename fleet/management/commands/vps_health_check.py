from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from fleet import checkups, looking
from fleet.models import Vps


class Command(BaseCommand):
    help = "Looks at VPSes, also by SSH: those unfit for new streams are marked with the reason. Fails when one is."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("names", nargs="*", help="names of VPSes")
        parser.add_argument("--all", action="store_true", help="every VPS")

    def handle(self, *args: Any, names: list[str], **options: Any) -> None:
        if not names and not options["all"]:
            raise CommandError("name a VPS, or say --all")
        chosen = Vps.objects.all() if options["all"] else Vps.objects.filter(name__in=names)
        looking.look_at(chosen)
        found = checkups.check(chosen, timezone.now())
        missing = set(names) - {each.name for each in found}
        if missing:
            raise CommandError(f"no VPS named {', '.join(sorted(missing))}")
        for each in found:
            self.stdout.write("; ".join([f"{each.name}: {each.reason or 'well'}", *each.notes]))
        ill = sum(bool(each.reason) for each in found)
        if ill:
            raise CommandError(f"{ill} of {len(found)} VPSes unhealthy")
