"""FFmpeg as the reader of a live input: a child whose standard output is FLV.

The address goes to it by its standard input, so it stands in no argument list and on no disk. It ends with the
playout: at once where setpriv(1) is, else when it writes the next time or its network limit is over.
"""

import asyncio
import contextlib
import fcntl
import os
import resource
import shutil
import subprocess
from collections import deque
from collections.abc import Callable
from typing import IO, Final, cast

TERM_LIMIT_S: Final = 2.0
LINES_KEPT: Final = 20
LONGEST_LINE: Final = 16 * 1024
PIPE_BYTES: Final = 256 * 1024
_SET_PIPE_SIZE: Final = getattr(fcntl, "F_SETPIPE_SZ", 1031)
_LIMITS: Final = (
    (resource.RLIMIT_CORE, 0),
    (resource.RLIMIT_NOFILE, 64),
    (resource.RLIMIT_AS, 2 * 1024**3),
)


def arguments(ffmpeg: str) -> list[str]:
    """Without «nice»: what it does is on air."""
    setpriv = shutil.which("setpriv")
    return [
        *([setpriv, "--no-new-privs", "--pdeathsig", "KILL"] if setpriv else []),
        *[ffmpeg, "-hide_banner", "-nostdin", "-nostats", "-loglevel", "warning"],
        *["-protocol_whitelist", "pipe", "-f", "concat", "-safe", "0", "-auto_convert", "0", "-i", "pipe:0"],
        *["-map", "0:v:0", "-map", "0:a:0?", "-c", "copy", "-map_metadata", "-1"],
        *["-max_interleave_delta", "500000", "-flush_packets", "1"],
        *["-flvflags", "no_duration_filesize", "-f", "flv", "pipe:1"],
    ]


class Child:
    """`on_data` gets what it writes. `lines`: the last it said. `ended` is its exit code, negative for a signal."""

    def __init__(self, on_data: Callable[[bytes], None]) -> None:
        self.lines: deque[str] = deque(maxlen=LINES_KEPT)
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._on_data = on_data
        self._process: subprocess.Popen[bytes] | None = None
        self._pipes: list[asyncio.ReadTransport] = []
        self._closed: list[asyncio.Future[None]] = []
        self._reading = True

    @property
    def waits(self) -> bool:
        """Because nobody takes what it writes."""
        return not self._reading

    async def start(self, command: list[str], script: bytes, proxy: str | None) -> None:
        """Raises OSError. `proxy`: by which it must reach the world."""
        self._process = process = _spawn(command, proxy)
        self._watch(process)
        _tell(cast(IO[bytes], process.stdin), script)
        out, said = cast(IO[bytes], process.stdout), cast(IO[bytes], process.stderr)
        with contextlib.suppress(OSError):
            fcntl.fcntl(out, _SET_PIPE_SIZE, PIPE_BYTES)
        await self._connect(out, self._on_data)
        await self._connect(said, _Lines(self.lines).feed)

    async def drained(self) -> None:
        """When it has ended and all it wrote was taken."""
        await asyncio.gather(asyncio.shield(self.ended), *map(asyncio.shield, self._closed))

    def read(self, wanted: bool) -> None:
        """Whether its output is taken; while it is not, FFmpeg waits."""
        if wanted == self._reading or not self._pipes or self._pipes[0].is_closing():
            return
        self._reading = wanted
        if wanted:
            self._pipes[0].resume_reading()
        else:
            self._pipes[0].pause_reading()

    def terminate(self) -> None:
        if self._process is not None and not self.ended.done():
            self._process.terminate()

    async def end(self) -> None:
        """SIGTERM, then SIGKILL: afterwards it is gone and reaped."""
        if self._process is not None and not self.ended.done():
            self._process.terminate()
            await asyncio.wait({self.ended}, timeout=TERM_LIMIT_S)
        if self._process is not None and not self.ended.done():
            self._process.kill()
            await asyncio.wait({self.ended})
        for pipe in self._pipes:
            pipe.close()

    async def _connect(self, pipe: IO[bytes], take: Callable[[bytes], None]) -> None:
        loop = asyncio.get_running_loop()
        closed: asyncio.Future[None] = loop.create_future()
        transport, _ = await loop.connect_read_pipe(lambda: _Taking(take, closed), pipe)
        self._pipes.append(transport)
        self._closed.append(closed)

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        """By a pidfd: no signal handler and no thread, in any process however it was made."""
        loop = asyncio.get_running_loop()
        descriptor = os.pidfd_open(process.pid)

        def over() -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            code = process.wait()
            if not self.ended.done():
                self.ended.set_result(code)

        loop.add_reader(descriptor, over)


class _Taking(asyncio.Protocol):
    def __init__(self, take: Callable[[bytes], None], closed: asyncio.Future[None]) -> None:
        self._take = take
        self._closed = closed

    def data_received(self, data: bytes) -> None:
        self._take(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._closed.done():
            self._closed.set_result(None)


class _Lines:
    """Bytes to lines, none longer than worth reading."""

    def __init__(self, lines: deque[str]) -> None:
        self._lines = lines
        self._rest = b""

    def feed(self, data: bytes) -> None:
        *whole, rest = (self._rest + data).split(b"\n")
        self._rest = rest[-LONGEST_LINE:]
        self._lines.extend(text for line in whole if (text := line.decode(errors="replace").strip()))


def _spawn(command: list[str], proxy: str | None) -> subprocess.Popen[bytes]:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    if proxy is not None:
        environment["http_proxy"] = proxy
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, cwd="/", bufsize=0)
    _limit(process.pid)
    return process


def _tell(pipe: IO[bytes], script: bytes) -> None:
    """It fits into the pipe; a child that is gone already has no need of it."""
    with contextlib.suppress(BrokenPipeError), pipe:
        pipe.write(script)


def _limit(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        for what, most in _LIMITS:
            resource.prlimit(pid, what, (most, most))
