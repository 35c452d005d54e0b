"""Prepares a machine for `bin/dev`: migrations, local VPSes and, when asked, the demo. Prints facts as JSON."""

from __future__ import annotations

import json
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from fleet.models import Vps, VpsStatus
from fleet.redis_users import access
from ops import demo


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--agents", type=int, default=1, help="local VPSes to have")
        parser.add_argument("--demo", action="store_true", help="make the demo and put its channel on air")
        parser.add_argument("--ingest", action="append", default=[], help="where the demo channel pushes to")
        parser.add_argument("--clip-seconds", type=int, default=20)

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", interactive=False, verbosity=0)
        fleet = [_local_vps(number) for number in range(1, options["agents"] + 1)]
        facts: dict[str, Any] = {"agents": [{"vps_id": vps.pk, "redis_url": access(vps).url} for vps in fleet]}
        if options["demo"]:
            facts["people"] = demo.people()
            facts["stream_id"] = demo.channel(options["ingest"], options["clip_seconds"]).pk
        self.stdout.write(json.dumps(facts))


def _local_vps(number: int) -> Vps:
    vps, _ = Vps.objects.get_or_create(
        name=f"local-{number}",
        defaults={"host": "127.0.0.1", "is_local": True, "status": VpsStatus.ACTIVE, "region": "local"},
    )
    return vps
