"""The only way by which FFmpeg reaches the web for a live input: a proxy on loopback that looks at every host.

A playlist may name segments anywhere and a server may redirect: each connection is checked after the name was
looked up, and goes to the very address that was checked.
"""

import asyncio
import contextlib
import logging
import socket
from typing import Final
from urllib.parse import urlsplit

from .target import is_public

HEAD_LIMIT: Final = 16 * 1024
HEAD_LIMIT_S: Final = 10.0
CONNECT_LIMIT_S: Final = 10.0
BLOCK: Final = 64 * 1024
_FORBIDDEN: Final = b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n"
_UNREACHABLE: Final = b"HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\n\r\n"
_OPEN: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"

log = logging.getLogger(__name__)


class Refused(Exception):
    """The name leads inside a private network."""


async def public_addresses(host: str, port: int) -> list[str]:
    """Raises Refused when one of the host's addresses is not public, OSError when there is none."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError("no name") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not all(map(is_public, addresses)):
        raise Refused
    return addresses


class Gate:
    """`refused`: how often it said no."""

    def __init__(self) -> None:
        self.refused = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def url(self) -> str:
        """Where it listens; from now on it does."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=HEAD_LIMIT)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._open:
            task.cancel()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer), name="gate")
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(HEAD_LIMIT_S):
                head = await reader.readuntil(b"\r\n\r\n")
            host, port, first = _request(head)
            await self._carry(reader, writer, (host, port), first)
        except Refused:
            self.refused += 1
            log.warning("a live input was kept from a private address")
            writer.write(_FORBIDDEN)
        except (OSError, ValueError, EOFError, asyncio.LimitOverrunError):
            writer.write(_UNREACHABLE)  # TimeoutError is an OSError
        finally:
            writer.close()

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, place: tuple[str, int], first: bytes
    ) -> None:
        async with asyncio.timeout(CONNECT_LIMIT_S):
            far_reader, far_writer = await _connect(await public_addresses(*place), place[1])
        try:
            if first:
                far_writer.write(first)
            else:
                writer.write(_OPEN)
            there = asyncio.create_task(_copy(reader, far_writer))
            try:
                await _copy(far_reader, writer)
            finally:
                there.cancel()
        finally:
            far_writer.close()


def _request(head: bytes) -> tuple[str, int, bytes]:
    """(host, port, what to send there). Raises ValueError. One request per connection: the next may be for another
    host.
    """
    line, *fields = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, target, version = line.split(" ")
    if method == "CONNECT":
        parts = urlsplit(f"//{target}")
        return parts.hostname or "", parts.port or 443, b""
    parts = urlsplit(target)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("not a request to a proxy")
    kept = [field for field in fields if not field.lower().startswith(("proxy-", "connection:"))]
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"{method} {path} {version}", *kept, "Connection: close", "", ""]
    return parts.hostname, parts.port or 80, "\r\n".join(lines).encode("latin-1")


async def _connect(addresses: list[str], port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The first that answers. Raises OSError."""
    for address in addresses[:-1]:
        with contextlib.suppress(OSError):
            async with asyncio.timeout(CONNECT_LIMIT_S / 2):
                return await asyncio.open_connection(address, port)
    return await asyncio.open_connection(addresses[-1], port)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while block := await reader.read(BLOCK):
            writer.write(block)
            await writer.drain()
