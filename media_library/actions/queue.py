"""The actors, for actions that queue them. Actors call actions, so they are imported when they are needed."""

from __future__ import annotations

from typing import Any

import dramatiq


def processing_actor() -> dramatiq.Actor[..., Any]:
    from media_library import tasks

    return tasks.process


def facts_actor() -> dramatiq.Actor[..., Any]:
    from media_library import tasks

    return tasks.reload_facts
