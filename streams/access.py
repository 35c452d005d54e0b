"""Look-ups through the owner: the only place that fetches by id. A stranger gets the 404 of what is not there.

An operator (`is_staff`) sees everybody's streams, never their keys.
"""

from __future__ import annotations

import uuid

from django.contrib.auth.models import AnonymousUser
from django.http import Http404

from accounts.models import User
from streams.models import Destination, LiveInput, Run, Stream, StreamDestination, StreamQuerySet

Viewer = User | AnonymousUser


def streams_seen_by(user: Viewer) -> StreamQuerySet:
    """What one address may open: one's own, everybody's for an operator, nothing for nobody."""
    if not isinstance(user, User) or not user.is_active:
        return StreamQuerySet(Stream).none()
    everything = StreamQuerySet(Stream)
    return everything if user.is_staff else everything.of(user)


def stream_of(user: Viewer, stream_id: int) -> Stream:
    stream = streams_seen_by(user).select_related("owner", "run", "run__vps").filter(pk=stream_id).first()
    if stream is None:
        raise Http404("no such stream")
    return stream


def destination_of(user: Viewer, destination_id: int) -> Destination:
    """Owner only: an operator has no business in a user's keys."""
    if not isinstance(user, User):
        raise Http404("no such destination")
    destination = Destination.objects.of(user).filter(pk=destination_id).first()
    if destination is None:
        raise Http404("no such destination")
    return destination


def live_input_of(user: Viewer, input_id: int) -> LiveInput:
    """Owner only, as a destination: its address may hold a key."""
    live = LiveInput.objects.of(user).filter(pk=input_id).first() if isinstance(user, User) else None
    if live is None:
        raise Http404("no such live input")
    return live


def output_of(user: Viewer, stream_id: int, output_id: int) -> StreamDestination:
    stream = stream_of(user, stream_id)
    output = stream.outputs.select_related("destination", "stream").filter(pk=output_id).first()
    if output is None:
        raise Http404("no such destination of this stream")
    return output


def run_of(user: Viewer, stream_id: int, run_id: uuid.UUID) -> Run:
    run = stream_of(user, stream_id).runs.select_related("vps").filter(pk=run_id).first()
    if run is None:
        raise Http404("no such run")
    return run


def person(viewer: Viewer) -> User | None:
    """The actor of an action: the user behind a request, None for nobody."""
    return viewer if isinstance(viewer, User) else None
