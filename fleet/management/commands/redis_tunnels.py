from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from fleet.tunnels import Keeper
from kit.ending import end_within


class Command(BaseCommand):
    help = "Keeps the SSH tunnels by which servers reach Redis without an open port. Several may run: one works."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()

        def end(_number: int, _frame: object) -> None:
            stop.set()
            end_within()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        Keeper().run(stop)
