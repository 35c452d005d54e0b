"""Daphne ends in phases when it is told to: no new connections, then what is in hand is finished, then the rest is cut.

By itself it cancels every request at once: a Start would be done and its answer lost. Open sockets are told that the
service restarts, which makes the pages' script connect again.
"""

from __future__ import annotations

import time
from typing import Any, Final

import structlog
from daphne.server import Server
from daphne.ws_protocol import WebSocketProtocol
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.tcp import Port

from kit.ending import end_within

log = structlog.get_logger(__name__)
LIMIT_S: Final = 5.0
"""For requests in hand; after it they are cancelled."""
LOOK_S: Final = 0.05
SERVICE_RESTART: Final = 1012
_loop: Any = reactor
"""Twisted describes it as its interfaces, not as what it is."""


def install() -> None:
    """Daphne calls this at SIGTERM and SIGINT, and waits for what it returns."""
    Server.kill_all_applications = _end


def _end(server: Any) -> Deferred[None]:
    end_within()
    ports: list[Any] = [reader for reader in _loop.getReaders() if isinstance(reader, Port)]
    for port in ports:
        port.stopListening()
    for protocol in list(server.connections):
        if isinstance(protocol, WebSocketProtocol) and protocol.state == protocol.STATE_OPEN:
            protocol.sendCloseFrame(code=SERVICE_RESTART)
    ended: Deferred[None] = Deferred()
    log.info("web.ending", in_hand=len(_in_hand(server)))
    _look(server, ended, time.monotonic() + LIMIT_S)
    return ended


def _look(server: Any, ended: Deferred[None], until: float) -> None:
    in_hand = _in_hand(server)
    if in_hand and time.monotonic() < until:
        _loop.callLater(LOOK_S, _look, server, ended, until)
        return
    for application in in_hand:
        application.cancel()
    log.info("web.ended", cancelled=len(in_hand))
    # One more turn of the loop, so that answers just written leave.
    _loop.callLater(LOOK_S, ended.callback, None)


def _in_hand(server: Any) -> list[Any]:
    found = (details.get("application_instance") for details in server.connections.values())
    return [application for application in found if application is not None and not application.done()]
