"""From «not wanted any more» to «the agent knows» (STR-5).

A command that is lost is sent again by every heartbeat that still holds the run, and the state itself times out,
so nothing here needs to insist.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

import redis
import structlog
from django.utils import timezone
from django.utils.translation import gettext as _

from streams import commanding, lifecycle
from streams.errors import WrongState
from streams.lifecycle import Event
from streams.models import EndReason, Run, Status
from streams.starting import PAUSES_S

log = structlog.get_logger(__name__)


def take_off_air(run_id: uuid.UUID, sleep: Callable[[float], None] = time.sleep) -> None:
    """Tells the run's agent to stop. A run that never got a VPS is off at once."""
    run = Run.objects.select_related("stream").filter(pk=run_id).first()
    if run is None:  # off the air before we came, and deleted
        return
    if run.vps_id is None or run.commanded_at is None:
        _off_at_once(run)
        return
    for pause in (*PAUSES_S, None):
        if _send(run, run.vps_id) or pause is None:
            return
        sleep(pause)


def _send(run: Run, vps_id: int) -> bool:
    try:
        return commanding.send_stop(vps_id, run.stream_id, str(run.pk), run.epoch, timezone.now()) > 0
    except redis.RedisError as error:
        log.warning("stream.stop_undelivered", run=str(run.pk), error=type(error).__name__)
        return False


def _off_at_once(run: Run) -> None:
    if run.stream.state is not Status.STOPPING:
        return
    try:
        lifecycle.fire(
            run.stream_id, Event.STOPPED, run_id=run.pk, message=_("Stopped before it was on air."),
            reason=EndReason.STOPPED,
        )  # fmt: skip
    except WrongState:
        log.info("stream.stop_overtaken", stream=run.stream_id, run=str(run.pk))
