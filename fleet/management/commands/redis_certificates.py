from __future__ import annotations

from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import redis
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from fleet import redis_certificates
from fleet.redis_certificates import BadFilesError, Folder, Outcome
from kit.certificates import BadNameError

DEFAULT_PORT: Final = 6380


class Command(BaseCommand):
    help = "Makes or renews the certificate agents see at Redis, and the authority that vouches for it. Safe to repeat."

    def add_arguments(self, parser: CommandParser) -> None:
        default = Path(settings.VAR_DIR) / "redis-tls"
        parser.add_argument("--dir", type=Path, default=default, help=f"where the files are (default {default})")
        parser.add_argument(
            "--name", action="append", default=[], help="IP address or host name agents use; may be given several times"
        )
        parser.add_argument("--owner", help="the user Redis runs as, who must read the server's key")

    def handle(self, *args: Any, dir: Path, name: list[str], owner: str | None, **options: Any) -> None:
        folder = Folder(dir.resolve())
        address = urlsplit(settings.AGENT_REDIS_PUBLIC_URL)
        from_settings = [address.hostname] if address.hostname else []
        try:
            outcome = redis_certificates.renew(folder, [*name, *from_settings], timezone.now(), owner)
        except (BadNameError, BadFilesError) as error:
            raise CommandError(str(error)) from None
        except (OSError, LookupError) as error:
            raise CommandError(f"cannot write there: {error}") from None
        self._tell(folder, outcome, address.port or DEFAULT_PORT)
        if outcome.made:
            self._reload(folder)

    def _tell(self, folder: Folder, outcome: Outcome, port: int) -> None:
        what = f"made {', '.join(outcome.made)}" if outcome.made else "all is well"
        self.stdout.write(f"{folder.path}: {what}; good until {outcome.until:%Y-%m-%d} for {', '.join(outcome.names)}")
        self.stdout.write("redis.conf:")
        for line in folder.redis_conf(port):
            self.stdout.write(f"  {line}")
        self.stdout.write(f"environment:\n  REDIS_CA_FILE={folder.ca}")

    def _reload(self, folder: Folder) -> None:
        try:
            if redis_certificates.reload(folder, settings.AGENT_REDIS_URL):
                self.stdout.write("Redis uses it from now on.")
            else:
                self.stdout.write("Redis does not use these files yet.")
        except redis.RedisError as error:
            self.stdout.write(f"Redis was not told ({type(error).__name__}): restart it, or run this again.")
