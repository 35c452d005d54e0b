"""nginx-rtmp on this server: the applications that push for destinations with `via` «nginx» (nginx_conf.py).

Told what is wanted, it makes the files so, has nginx check them before they are in its way, loads them, and says what
came of it when nginx really answers for them: a reload is only a request. What belongs to nobody goes. One task does
it all, so changes in a row become one reload and two never meet.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agent import nginx_conf
from agent.events import Event, RelaysLoaded
from agent.nginx_conf import Place, Unfit
from agent.nginx_files import Files
from agent.nginx_program import NginxError, Program
from agent.playout.target import is_public
from agent.protocol import PushUrl

TOGETHER_SECONDS: Final = 0.3
"""Changes that come within it are loaded by one reload: each leaves a worker behind while its streams play."""
SETTLED_SECONDS: Final = 2.0
"""After the agent's begin: by then every run it took over has said what it wants."""
RETRY_SECONDS: Final = 30.0
LOOKUP_SECONDS: Final = 10.0
NONE_HERE: Final = "this server has no nginx to push with"
log = logging.getLogger("agent.nginx")

Post = Callable[[Event], None]
Wanted = Mapping[int, tuple[PushUrl, ...]]
"""By stream."""


@dataclass(slots=True)
class _Made:
    """A stream's applications by destination, as they follow from what is wanted of it."""

    of: tuple[PushUrl, ...]
    parts: dict[int, str] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)
    may_change: bool = False
    """Some failed by what another look may find otherwise."""

    @property
    def text(self) -> str:
        return "".join(self.parts.values())


class Nginx:
    """`main` None: there is no nginx on this server."""

    def __init__(self, program: Program, main: Path | None, post: Post, *, reach_private: bool = False) -> None:
        self._program = program
        self._main = main
        self._post = post
        self._reach_private = reach_private
        self._wanted: Wanted = {}
        self._settled: Wanted = self._wanted
        self._change = asyncio.Event()
        self._made: dict[int, _Made] = {}
        self._files: Files | None = None
        self._loaded: Mapping[str, str] = {}
        """The files nginx answered for."""

    def want(self, wanted: Wanted) -> None:
        """Posts RelaysLoaded for each stream, now or when it is done, and again when it changes."""
        self._wanted = wanted
        self._change.set()

    async def run(self) -> None:
        """For ever."""
        limit: float | None = SETTLED_SECONDS
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limit):
                    await self._change.wait()
                    await asyncio.sleep(TOGETHER_SECONDS)
            limit = None if await self.settle() else RETRY_SECONDS

    async def close(self, within: float = 2.0) -> None:
        """What was wanted last is still done: keys of streams that ended do not stay behind."""
        if self._settled is not self._wanted:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await self.settle()

    async def look(self) -> tuple[str, ...]:
        """What lies there for streams, when nginx takes it as it is. Raises NginxError, OSError."""
        if self._main is None:
            raise NginxError(NONE_HERE)
        self._files = self._files or Files(self._main)
        with self._files.copy_with(self._files.now) as copied:
            await self._program.check(copied, self._keys())
        return tuple(sorted(name for name in self._files.now if name != nginx_conf.READY))

    async def settle(self) -> bool:
        """Makes it as it is wanted, now. False: something failed that may work later."""
        self._change.clear()
        wanted = self._wanted
        done = await self._settle(wanted)
        self._settled = wanted
        return done

    async def _settle(self, wanted: Wanted) -> bool:
        if self._main is None:
            self._say(wanted, {}, NONE_HERE)
            return True
        refused: dict[str, str] = {}
        reason = ""
        try:
            self._files = self._files or Files(self._main)
            await self._make_all(wanted, self._files)
            refused = await self._load(self._files)
        except NginxError as error:
            reason = str(error)
        except OSError as error:
            reason = f"nginx's files cannot be written ({error.strerror})"
        for words in {reason, *refused.values()} - {""}:
            log.error("nginx does not push: %s", words)
        self._say(wanted, refused, reason)
        return not (reason or refused or any(made.may_change for made in self._made.values()))

    # ---------------------------------------------------------------------------------------- rendering

    async def _make_all(self, wanted: Wanted, files: Files) -> None:
        for stream_id in self._made.keys() - wanted.keys():
            del self._made[stream_id]
        for stream_id, pushes in wanted.items():
            made = self._made.get(stream_id)
            if made is None or made.of != pushes or made.may_change:
                before = files.now.get(nginx_conf.file_name(stream_id), "")
                self._made[stream_id] = await self._make(stream_id, pushes, before)

    async def _make(self, stream_id: int, pushes: tuple[PushUrl, ...], before: str) -> _Made:
        made = _Made(pushes)
        for push in pushes:
            try:
                where = nginx_conf.place(push.url, push.key)
                made.parts[push.id] = await self._part(stream_id, push.id, where, before)
            except Unfit as error:
                made.failed[push.id] = str(error)
            except NginxError as error:
                made.failed[push.id] = str(error)
                made.may_change = True
        return made

    async def _part(self, stream_id: int, destination_id: int, where: Place, before: str) -> str:
        """With the address in use while the name still leads to it: another would be another file, and a reload.
        So it is too when nobody knows: what is on air is not taken off for a name server's outage.
        """
        as_it_is = [
            part
            for address in nginx_conf.addresses(before)
            if (part := nginx_conf.application(stream_id, destination_id, where, address)) in before
        ]
        try:
            found = await self._look_up(where)
        except NginxError:
            if as_it_is:
                return as_it_is[0]
            raise
        if not self._reach_private and not all(map(is_public, found)):
            raise NginxError(f"«{where.host}» leads inside a private network")
        parts = [nginx_conf.application(stream_id, destination_id, where, address) for address in found]
        return next((part for part in parts if part in as_it_is), parts[0])

    async def _look_up(self, where: Place) -> list[str]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                found = await loop.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise NginxError(f"the name «{where.host}» cannot be resolved") from error
        return [str(entry[4][0]) for entry in found]

    # ------------------------------------------------------------------------------------------ loading

    async def _load(self, files: Files) -> dict[str, str]:
        """By file, why nginx refuses it. Raises NginxError, OSError."""
        wanted = {nginx_conf.file_name(each): made.text for each, made in self._made.items() if made.text}
        if not wanted and not files.now:
            return {}
        wanted, refused = await self._accepted(files, wanted)
        name = nginx_conf.ready_name(wanted)
        whole = _with_ready(wanted)
        if whole != files.now or not await self._program.answers(name):
            files.swap(whole)
            await self._program.reload(files.main)
            await self._program.until_answers(name)
        self._loaded = wanted
        return refused

    async def _accepted(self, files: Files, wanted: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """Of what is new only what nginx takes; and why not the rest, whose old file stays."""
        if _with_ready(wanted) == files.now:
            return wanted, {}
        try:
            await self._check(files, wanted)
        except NginxError:
            return await self._accepted_singly(files, wanted)
        return wanted, {}

    async def _accepted_singly(self, files: Files, wanted: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """Raises NginxError when nginx refuses also without anything new."""
        taken = {name: files.now[name] for name in wanted if name in files.now}
        refused = {}
        await self._check(files, taken)
        for name, text in wanted.items():
            try:
                await self._check(files, taken | {name: text})
                taken[name] = text
            except NginxError as error:
                refused[name] = str(error)
        return taken, refused

    async def _check(self, files: Files, wanted: dict[str, str]) -> None:
        """Before they are where nginx would find them, in a copy of its directory."""
        with files.copy_with(_with_ready(wanted)) as copied:
            await self._program.check(copied, self._keys())

    def _keys(self) -> frozenset[str]:
        return frozenset(push.key for pushes in self._wanted.values() for push in pushes)

    # ------------------------------------------------------------------------------------------- saying

    def _say(self, wanted: Wanted, refused: Mapping[str, str], reason: str) -> None:
        for stream_id, pushes in wanted.items():
            name = nginx_conf.file_name(stream_id)
            made, loaded = self._made.get(stream_id, _Made(pushes)), {}
            failed = dict(made.failed)
            for push in pushes:
                part = made.parts.get(push.id, "")
                if part and part in self._loaded.get(name, ""):
                    loaded[push.id] = nginx_conf.local_key(push.url, push.key)
                else:
                    failed.setdefault(push.id, refused.get(name) or reason)
            self._post(RelaysLoaded(stream_id, loaded, failed))


def _with_ready(files: dict[str, str]) -> dict[str, str]:
    return files | {nginx_conf.READY: nginx_conf.ready_file(files)}
