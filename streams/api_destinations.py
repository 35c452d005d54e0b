"""Saved destinations over HTTP (DST-7): the same look-ups, verbs and words as the pages. Keys go in, never out."""

from __future__ import annotations

import uuid
from dataclasses import asdict
from typing import Any

from django.http import Http404, HttpRequest
from ninja import Router, Schema
from pydantic import SecretStr

from accounts.models import User
from streams import access, actions
from streams.models import Destination
from streams.spec import DestinationSpec

router = Router(tags=["destinations"])
PAGE: int = 100


class DestinationIn(Schema):
    """`key` left out or empty keeps the stored one; a new destination needs one."""

    name: str
    url: str
    platform: str = "custom"
    via: str = "native"
    renew_every_h: int | None = None
    """The longest that one broadcast gets; null: what the platform allows, 0: never renewed."""
    key: SecretStr = SecretStr("")


class DestinationChange(Schema):
    """What is left out stays."""

    name: str | None = None
    url: str | None = None
    platform: str | None = None
    via: str | None = None
    renew_every_h: int | None = None
    """Here null is a value: what the platform allows."""
    key: SecretStr = SecretStr("")


class SavedDestinationOut(Schema):
    id: int
    name: str
    url: str
    platform: str
    via: str
    renew_every_h: int | None
    streams: list[int]


class SavedDestinationsOut(Schema):
    items: list[SavedDestinationOut]
    count: int


class TestOut(Schema):
    """`state`: waiting, ok, refused, failed, unreachable, or silent when the VPS never answered."""

    id: str
    server: str
    vps: str
    state: str
    message: str
    took_ms: int


@router.get("/", response=SavedDestinationsOut)
def list_destinations(request: HttpRequest, offset: int = 0, limit: int = PAGE) -> dict[str, Any]:
    rows = Destination.objects.of(_user(request))
    count = rows.count()
    start = min(max(0, offset), count)
    page = rows.prefetch_related("outputs")[start : start + min(max(1, limit), PAGE)]
    return {"items": [_out(row) for row in page], "count": count}


@router.post("/", response={201: SavedDestinationOut})
def create_destination(request: HttpRequest, body: DestinationIn) -> dict[str, Any]:
    user = _user(request)
    plain = body.model_dump(exclude={"key"})
    spec = DestinationSpec(**plain, key=body.key.get_secret_value())
    return _out(actions.save_destination(user, spec, user))


@router.get("/{int:destination_id}", response=SavedDestinationOut)
def get_destination(request: HttpRequest, destination_id: int) -> dict[str, Any]:
    return _out(access.destination_of(request.user, destination_id))


@router.patch("/{int:destination_id}", response=SavedDestinationOut)
def change_destination(request: HttpRequest, destination_id: int, body: DestinationChange) -> dict[str, Any]:
    row = access.destination_of(request.user, destination_id)
    said = body.model_dump(exclude_unset=True, exclude={"key"})
    given = {name: value for name, value in said.items() if value is not None or name == "renew_every_h"}
    now = {name: getattr(row, name) for name in ("platform", "name", "url", "via", "renew_every_h")}
    spec = DestinationSpec(**(now | given), key=body.key.get_secret_value())
    return _out(actions.save_destination(row.owner, spec, access.person(request.user), row))


@router.delete("/{int:destination_id}", response={204: None})
def delete_destination(request: HttpRequest, destination_id: int) -> None:
    actions.delete_destination(access.destination_of(request.user, destination_id), access.person(request.user))


@router.post("/{int:destination_id}/test", response={202: TestOut})
def test_destination(request: HttpRequest, destination_id: int) -> dict[str, Any]:
    """Begins a real session from a VPS. Its result is asked for at `/tests/{id}`."""
    row = access.destination_of(request.user, destination_id)
    return asdict(actions.test_destination(row, _user(request)))


@router.get("/tests/{uuid:test_id}", response=TestOut)
def get_test(request: HttpRequest, test_id: uuid.UUID) -> dict[str, Any]:
    """Waits a moment for the answer: ask again while it says «waiting»."""
    test = actions.find_test(_user(request), str(test_id))
    if test is None:
        raise Http404("no such test")
    return asdict(test)


def _user(request: HttpRequest) -> User:
    user = access.person(request.user)
    if user is None:
        raise Http404("nobody's")
    return user


def _out(row: Destination) -> dict[str, Any]:
    return {
        "id": row.pk,
        "name": row.name,
        "url": row.url,
        "platform": row.platform,
        "via": row.via,
        "renew_every_h": row.renew_every_h,
        "streams": sorted(output.stream_id for output in row.outputs.all()),
    }
