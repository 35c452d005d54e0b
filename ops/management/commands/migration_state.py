"""What of the database's layout there is, and the way back to it: for upgrades (deploy/parts/release.sh)."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.loader import MigrationLoader


class Command(BaseCommand):
    help = "Prints the last migration of each app, as JSON; or goes back to what it printed before."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--return-to", type=Path, help="a file with what this command printed")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["return_to"] is None:
            self.stdout.write(json.dumps(newest_applied(), indent=1, sort_keys=True))
            return
        for app, name in _read(options["return_to"]).items():
            call_command("migrate", app, name or "zero", interactive=False, verbosity=0)


def newest_applied() -> dict[str, str]:
    """By app; those of which nothing is applied are not in it."""
    loader = MigrationLoader(connection)
    applied = {key for key in loader.applied_migrations if key in loader.graph.nodes}
    return {app: name for app, name in applied if not _has_follower(loader, (app, name), applied)}


def _has_follower(loader: MigrationLoader, key: tuple[str, str], applied: set[tuple[str, str]]) -> bool:
    children = loader.graph.node_map[key].children
    return any(child.key[0] == key[0] and child.key in applied for child in children)


def _read(path: Path) -> dict[str, str]:
    """What was applied then, and «nothing» for the apps that came since."""
    try:
        before = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CommandError(f"{path} cannot be read: {error}") from error
    return {app: before.get(app, "") for app in newest_applied()}
