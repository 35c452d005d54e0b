from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from fleet import console


class Command(BaseCommand):
    help = "Has a VPS's agent check its nginx: whether it takes its configuration and answers. Fails when it does not."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("vps", help="name of the VPS")
        console.add_json(parser)

    def handle(self, *args: Any, vps: str, as_json: bool, **options: Any) -> None:
        answer = console.ask(console.one(vps), "nginx")
        if as_json:
            console.write_json(self.stdout, {"ok": answer.ok, "message": answer.message, "files": list(answer.lines)})
        elif answer.ok:
            self.stdout.write(f"«{vps}»: {answer.message}")
            for name in answer.lines:
                self.stdout.write(f"  {name}")
        if not answer.ok:
            raise CommandError(f"«{vps}»: {answer.message}")
