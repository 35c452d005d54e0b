from __future__ import annotations

import dataclasses
import json
from typing import Any

import redis
from django.core.management.base import BaseCommand, CommandError, CommandParser

from fleet.models import Vps
from streams import tracing
from streams.models import Stream


class Command(BaseCommand):
    help = "Shows what control plane and agents say to each other about one stream, as it is said; keys are masked."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("stream", type=int, help="its number")
        parser.add_argument("--seconds", type=float, help="for how long; without it until Ctrl-C")
        parser.add_argument("--json", action="store_true", dest="as_json", help="one JSON object per line")

    def handle(self, *args: Any, stream: int, seconds: float | None, as_json: bool, **options: Any) -> None:
        title = Stream.objects.filter(pk=stream).values_list("title", flat=True).first()
        if title is None:
            raise CommandError(f"no stream {stream}")
        names = dict(Vps.objects.values_list("pk", "name"))
        if not as_json:
            self.stdout.write(f"«{title}»: → to an agent, ← from one. Ctrl-C ends.")
        count = 0
        try:
            for said in tracing.watch(stream, seconds):
                count += 1
                name = names.get(said.vps_id, f"VPS {said.vps_id}")
                line = json.dumps(dataclasses.asdict(said), ensure_ascii=False) if as_json else said.words(name)
                self.stdout.write(line)
                self.stdout.flush()
        except KeyboardInterrupt:
            pass
        except redis.RedisError as error:
            raise CommandError(f"Redis does not answer ({type(error).__name__})") from error
        if not as_json:
            self.stdout.write(f"{count} messages")
