"""Puts the demo channel on air as soon as a VPS has been heard of."""

from __future__ import annotations

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from ops import demo
from streams.models import Stream


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("stream_id", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("fleet_wait")
        demo.start(Stream.objects.get(pk=options["stream_id"]))
