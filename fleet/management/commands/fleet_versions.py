from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from agent.protocol import PROTOCOL_VERSION
from fleet import console, versions
from fleet.models import Vps
from fleet.provision import bundle
from kit.templatetags.kit import ago


class Command(BaseCommand):
    help = (
        "Compares the agents' versions with the one this control plane brings. Fails when one speaks a protocol that "
        "is not understood: its VPS gets no new streams."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        console.add_json(parser)

    def handle(self, *args: Any, as_json: bool, **options: Any) -> None:
        ours = bundle.version()
        found = [(vps, versions.skew(vps.agent_version, vps.agent_protocol, ours)) for vps in Vps.objects.all()]
        if as_json:
            rows = [
                {"vps": vps.name, "version": vps.agent_version, "protocol": vps.agent_protocol, "skew": skew.kind}
                for vps, skew in found
            ]
            value = {"control_plane": settings.VERSION, "agent": ours, "protocol": PROTOCOL_VERSION, "agents": rows}
            console.write_json(self.stdout, value)
        else:
            self.stdout.write(f"control plane {settings.VERSION}, protocol {PROTOCOL_VERSION}; brings agent {ours}\n")
            rows_told = [_row(vps, skew) for vps, skew in found]
            self.stdout.write(console.table(("VPS", "agent", "protocol", "", "last heartbeat"), rows_told))
        foreign = sum(skew.kind == "protocol" for _vps, skew in found)
        if foreign:
            raise CommandError(f"{foreign} of {len(found)} agents speak another protocol")


def _row(vps: Vps, skew: versions.Skew) -> tuple[object, ...]:
    return (vps.name, vps.agent_version or "–", vps.agent_protocol or "–", skew.words, ago(vps.last_heartbeat_at))
