"""Where the operators' sockets are."""

from __future__ import annotations

from typing import Any, Final

from django.urls import path

from ops.consumers import ProvisionConsumer

websocket_urlpatterns: Final[list[Any]] = [path("ws/provision/<int:run_id>", ProvisionConsumer.as_asgi())]
