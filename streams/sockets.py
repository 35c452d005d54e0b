"""Where the sockets are."""

from __future__ import annotations

from typing import Any, Final

from django.urls import path, re_path

from streams.consumers import NoSuchPage, StreamConsumer, StreamsConsumer

websocket_urlpatterns: Final[list[Any]] = [
    path("ws/stream/<int:stream_id>", StreamConsumer.as_asgi()),
    path("ws/streams", StreamsConsumer.as_asgi()),
    re_path("", NoSuchPage.as_asgi()),
]
