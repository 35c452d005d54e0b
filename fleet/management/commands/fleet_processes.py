from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from agent.protocol import ProcessFacts
from fleet import console
from kit.templatetags.kit import clock, filesize


class Command(BaseCommand):
    help = "Shows the processes of a VPS's agent as they are now: playouts and FFmpegs with CPU, memory and run."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("vps", help="name of the VPS")
        console.add_json(parser)

    def handle(self, *args: Any, vps: str, as_json: bool, **options: Any) -> None:
        answer = console.ask(console.one(vps), "processes")
        if as_json:
            console.write_json(self.stdout, [asdict(each) for each in answer.processes])
            return
        head = ("PID", "kind", "CPU %", "memory", "age", "run")
        rows = [_row(each) for each in sorted(answer.processes, key=lambda each: (each.run_id, each.kind, each.pid))]
        self.stdout.write(console.table(head, rows))


def _row(each: ProcessFacts) -> tuple[object, ...]:
    return (each.pid, each.kind, each.cpu, filesize(each.memory), clock(each.age_s), each.run_id or "–")
