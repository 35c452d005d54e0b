from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from ops.scheduler import run_for_ever


class Command(BaseCommand):
    help = "Runs the periodic jobs. Several may run at once: each job is run by one of them."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        run_for_ever(stop)
