"""Open pages, over WebSocket: a poke comes in, the fragment of the fresh snapshot goes out.

A page joins its group, then renders, then follows the pokes. At most one push a second per page: the first at
once, what comes meanwhile together at the end of that second. A change of state does not wait for that second, or it
would be seen late after each click; it waits for a quarter of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import Http404
from django.utils import timezone, translation

from accounts import time_zones
from accounts.models import User
from accounts.presence import present
from streams import access, groups, pages, progress
from streams.access import Viewer
from streams.models import Stream, StreamQuerySet

NOT_FOUND = 4404
SIGNED_OUT = 4401


class PageConsumer(AsyncWebsocketConsumer):
    """What both sockets share: who may join, the throttle, ping and pong."""

    interval_s: ClassVar[float] = 1.0
    urgent_s: ClassVar[float] = 0.25
    refresh_s: ClassVar[float] = 10.0
    """A page is rendered anew this often without a poke: silence too changes what it says."""

    group = ""

    async def connect(self) -> None:
        self._waiting: set[int] = set()
        self._pusher: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._hurry = asyncio.Event()
        try:
            self.group = await self.join()
        except Http404:
            await self.close(code=NOT_FOUND)
            return
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()
        self._pusher = asyncio.create_task(self._push_for_ever())

    async def disconnect(self, code: int) -> None:
        if self.group:
            await self.channel_layer.group_discard(self.group, self.channel_name)
        if self._pusher is not None:
            self._pusher.cancel()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data == "ping":
            await self.send(text_data="pong")

    async def stream_changed(self, event: dict[str, Any]) -> None:
        self.changed(event["stream_id"], hurry=bool(event.get("urgent")))

    def changed(self, pk: int, *, hurry: bool) -> None:
        """What the page shows under this id is to be rendered anew."""
        self._waiting.add(pk)
        self._woken.set()
        if hurry:
            self._hurry.set()

    async def _push_for_ever(self) -> None:
        self._waiting |= await self.everything()
        while True:
            changed, self._waiting = self._waiting, set()
            self._woken.clear()
            self._hurry.clear()
            if not await self._is_present():
                await self.close(code=SIGNED_OUT)
                return
            html = await self.render(changed) if changed else ""
            if html.strip():
                await self.send(text_data=html)
            await asyncio.sleep(self.urgent_s)
            await _wait(self._hurry, self.interval_s - self.urgent_s)
            await self._wait_for_poke()

    async def _wait_for_poke(self) -> None:
        if not await _wait(self._woken, self.refresh_s):
            self._waiting |= await self.everything()

    async def _is_present(self) -> bool:
        """The session may have ended, or the account been switched off, since the page was opened."""
        self.scope["user"] = await database_sync_to_async(present)(self.scope)
        return isinstance(self.user, User)

    @property
    def user(self) -> Viewer:
        viewer: Viewer = self.scope["user"]
        return viewer

    async def join(self) -> str:
        """The group to follow; Http404 for who has no business here."""
        raise NotImplementedError

    async def everything(self) -> set[int]:
        """Ids of what a page shows that has heard nothing for a while."""
        raise NotImplementedError

    async def render(self, stream_ids: Iterable[int]) -> str:
        raise NotImplementedError


class StreamConsumer(PageConsumer):
    """/ws/stream/{id}: one stream's page."""

    async def join(self) -> str:
        stream = await database_sync_to_async(access.stream_of)(self.user, self._stream_id)
        return progress.stream_group(stream.pk)

    async def everything(self) -> set[int]:
        return {self._stream_id}

    async def render(self, stream_ids: Iterable[int]) -> str:
        page: str = await database_sync_to_async(render_page)(self.scope, self._stream_id)
        return page

    @property
    def _stream_id(self) -> int:
        return int(self.scope["url_route"]["kwargs"]["stream_id"])


class NoSuchPage(AsyncWebsocketConsumer):
    """Any other address, or a stream's that is no number: refused as what is not there, not as an error of ours."""

    async def connect(self) -> None:
        await self.close(code=NOT_FOUND)


class StreamsConsumer(PageConsumer):
    """/ws/streams: the list of one's own streams. Rows that changed are sent, not the list: which of them a page
    shows, and in which order, is the page's; told that streams came or went, it asks for its list."""

    async def join(self) -> str:
        if not isinstance(self.user, User):
            raise Http404("nobody has no streams")
        return progress.list_group(self.user.pk)

    async def list_changed(self, event: dict[str, Any]) -> None:
        await self.send(text_data="<template data-list-changed></template>")

    async def everything(self) -> set[int]:
        ids: set[int] = await database_sync_to_async(_on_air_ids)(self.user)
        return ids

    async def render(self, stream_ids: Iterable[int]) -> str:
        rows: str = await database_sync_to_async(render_rows)(self.scope, stream_ids)
        return rows


async def _wait(event: asyncio.Event, limit_s: float) -> bool:
    """True when the event was set within the limit."""
    try:
        await asyncio.wait_for(event.wait(), limit_s)
    except TimeoutError:
        return False
    return True


# ------------------------------------------------------------------------------------------------ rendering


def render_page(scope: dict[str, Any], stream_id: int) -> str:
    """The page's live parts; empty when the stream is gone."""
    with eyes_of(scope) as viewer:
        stream = access.streams_seen_by(viewer).select_related("run").filter(pk=stream_id).first()
        return pages.show_html(stream, timezone.now()) if stream else ""


def render_rows(scope: dict[str, Any], stream_ids: Iterable[int]) -> str:
    with eyes_of(scope) as viewer:
        streams = list(access.streams_seen_by(viewer).select_related("run").filter(pk__in=list(stream_ids)))
        return pages.rows_html(streams, timezone.now()) + pages.numbers_html(groups.numbers(_of(viewer)))


def _of(viewer: Viewer) -> StreamQuerySet:
    """The streams of the viewer's own list."""
    return Stream.objects.of(viewer) if isinstance(viewer, User) else StreamQuerySet(Stream).none()


def _on_air_ids(user: User) -> set[int]:
    return set(Stream.objects.of(user).on_air().values_list("pk", flat=True))


@contextmanager
def eyes_of(scope: dict[str, Any]) -> Iterator[Viewer]:
    """Whoever opened the page, as the account is now (a socket outlives being switched off), in their language and
    time zone."""
    viewer = User.objects.filter(pk=scope["user"].pk).first() or AnonymousUser()
    zone = time_zones.zone_for(viewer, scope.get("cookies", {}))
    with translation.override(language_of(scope)), timezone.override(zone):
        yield viewer


def language_of(scope: dict[str, Any]) -> str:
    """The language chosen by cookie, else by the browser, as LocaleMiddleware would."""
    wished = scope.get("cookies", {}).get(settings.LANGUAGE_COOKIE_NAME, "")
    headers = dict(scope.get("headers", ()))
    accepted = headers.get(b"accept-language", b"").decode("latin-1").split(",")[0].partition(";")[0]
    for code in (wished, accepted):
        try:
            return translation.get_supported_language_variant(code)
        except LookupError:
            continue
    return settings.LANGUAGE_CODE
