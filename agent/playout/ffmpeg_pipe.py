"""An FFmpeg that publishes what is written to it: a child process in a connection's place."""

import asyncio
import contextlib
import math
import os
import shutil
import signal
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from . import ffmpeg_words as words
from .connect import in_plain_words, no_answer, refuse_private, resolve, silence
from .link import Misconfigured
from .rtmp import Phase, RtmpError, Temporary
from .sockets import TcpConnection, connections
from .target import Target, is_public

LOOK_UP_LIMIT_S: Final = 10.0
LOOK_EVERY_S: Final = 0.5
TERM_S: Final = 2.0
KILL_S: Final = 1.0
_PROOF_LIMIT_S: Final = 20.0
_LONGEST_LINE: Final = 4096
_BUNDLES: Final = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
_ENVIRONMENT: Final = ("PATH", "LD_LIBRARY_PATH")  # not a proxy's address, and no FFREPORT: it would write the key down
_IN, _OUT, _ERR = 0, 1, 2

_proven: dict[str, bool] = {}


@dataclass(frozen=True, slots=True)
class Program:
    """How FFmpeg is run. `directory`: where its files of options are put; nobody else reads there."""

    path: str
    directory: Path
    ca_file: str | None = None
    reach_private: bool = False


class FfmpegPipe(asyncio.SubprocessProtocol):
    """`over` gets the reason why it ended. `sent`: bytes FFmpeg says it has written to the server.

    `gone` is set when there is no process any more, `ended_well` when it ended by itself and had nothing to complain.
    """

    acknowledgements = 0

    def __init__(self, target: Target, options: Path, reach_private: bool) -> None:
        self.telling = words.Telling(target)
        self.over: asyncio.Future[RtmpError] = asyncio.get_running_loop().create_future()
        self.gone = asyncio.Event()
        self.ended_well = False
        self.sent = 0
        self._fed = 0
        self._acked = 0
        self._waiting = 0
        self._opened_at = math.inf
        self._options = options
        self._reach_private = reach_private
        self._transport: asyncio.SubprocessTransport | None = None
        self._stdin: asyncio.WriteTransport | None = None
        self._tails = {_OUT: b"", _ERR: b""}
        self._watching: asyncio.Task[None] | None = None

    @property
    def opened(self) -> bool:
        return self.telling.phase is Phase.PUBLISHED

    def measure(self) -> tuple[int, int]:
        """(bytes FFmpeg has not sent, or the server's kernel not acknowledged; bytes that has)."""
        if self.over.done():
            return 0, self._acked
        return max(0, self._fed - self.sent) + self._waiting, self._acked

    def write(self, data: bytes) -> None:
        if self._stdin is not None and not self.over.done():
            self._fed += len(data)
            self._stdin.write(data)

    def finish(self) -> None:
        """There is no more: FFmpeg sends the rest, unpublishes and ends."""
        if self._stdin is not None:
            self._stdin.close()
            self._stdin = None

    def silence(self, seconds: float) -> str:
        if self.opened:
            return f"the server has taken no data for {seconds:.0f} s"
        if self.telling.connected:
            return silence(self.telling.phase, seconds)
        return no_answer(self.telling.target, seconds)

    def abort(self, reason: RtmpError) -> None:
        self._end(reason)
        self._signal(signal.SIGKILL)

    async def leave(self) -> None:
        """At SIGTERM FFmpeg unpublishes; when a stuck server keeps it from that it is killed."""
        self._signal(signal.SIGTERM)
        if self._stdin is not None:
            self._stdin.abort()
        if not await self._is_gone(TERM_S):
            await self.kill()

    async def retire(self) -> None:
        self.finish()
        if not await self._is_gone(TERM_S):
            await self.kill()

    async def kill(self) -> None:
        self._signal(signal.SIGKILL)
        await self._is_gone(KILL_S)
        self._end(Temporary("closed"))

    async def _is_gone(self, limit_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.gone.wait(), limit_s)
        return self.gone.is_set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.SubprocessTransport, transport)
        self._stdin = cast(asyncio.WriteTransport, self._transport.get_pipe_transport(_IN))
        self._watching = asyncio.create_task(self._watch(), name="watch FFmpeg")

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        *lines, rest = (self._tails[fd] + data).split(b"\n")
        self._tails[fd] = rest[:_LONGEST_LINE]
        for line in lines:
            if fd == _OUT:
                self._on_progress(line)
            else:
                self._on_telling(line[:_LONGEST_LINE])

    def connection_lost(self, exc: Exception | None) -> None:
        """The process is gone and its last words are read."""
        code = 0
        if self._transport is not None:
            code = self._transport.get_returncode() or 0
            self._transport.close()
        self.ended_well = code == 0 and not self.telling.errors
        self._end(self.telling.verdict(code, asyncio.get_running_loop().time() - self._opened_at))
        self.gone.set()

    def _on_telling(self, line: bytes) -> None:
        self.telling.hear(line.decode(errors="replace"))
        if self.opened:
            self._opened_at = min(self._opened_at, asyncio.get_running_loop().time())

    def _on_progress(self, line: bytes) -> None:
        name, _, value = line.partition(b"=")
        if name == b"total_size" and value.isdigit():
            self.sent = max(self.sent, int(value))
            self._note_arrived()

    def _note_arrived(self) -> None:
        self._acked = max(self._acked, self.sent - self._waiting)

    async def _watch(self) -> None:
        """In a thread: the kernel's table of connections is long where there are many."""
        pid = self._transport.get_pid() if self._transport else 0
        while not self.over.done():
            await asyncio.sleep(LOOK_EVERY_S)
            self._look(await asyncio.get_running_loop().run_in_executor(None, connections, pid))

    def _look(self, found: list[TcpConnection]) -> None:
        self._waiting = sum(each.waiting for each in found if each.established)
        self._note_arrived()
        if self.telling.connected:
            self._options.unlink(missing_ok=True)
        if not self._reach_private and not all(is_public(each.peer) for each in found):
            self.abort(Misconfigured(f"«{self.telling.target.host}» leads inside a private network"))

    def _signal(self, number: signal.Signals) -> None:
        if self._transport is not None and self._transport.get_returncode() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._transport.get_pid(), number)

    def _end(self, reason: RtmpError) -> None:
        if not self.over.done():
            self.over.set_result(reason)
        self._options.unlink(missing_ok=True)


async def start_ffmpeg(target: Target, program: Program, attempt: int) -> FfmpegPipe:
    """An FFmpeg that connects as soon as the first media are written to it. Raises RtmpError.

    The name is looked up here and FFmpeg is given an address, another one at each `attempt`, so that it goes nowhere
    else. Under TLS it needs the name, for the certificate: then its connections are looked at.
    """
    with in_plain_words(target, LOOK_UP_LIMIT_S):
        async with asyncio.timeout(LOOK_UP_LIMIT_S):
            addresses = await resolve(target)
    if not program.reach_private:
        refuse_private(target, addresses)
    if shutil.which(program.path) is None:
        raise Misconfigured("FFmpeg cannot be started: it is not there")
    try:
        await _prove(program)
        return await _spawn(target, program, None if target.tls else addresses[attempt % len(addresses)])
    except OSError as error:
        raise Misconfigured(f"FFmpeg cannot be started: {error.strerror}") from error


async def _spawn(target: Target, program: Program, address: str | None) -> FfmpegPipe:
    options = _write_secretly(program.directory, words.options_file(target))
    trust = _trust(program) if target.tls else None
    command = words.arguments(program.path, words.bare_url(target, address), str(options), trust)
    pipe: FfmpegPipe | None = None
    try:
        _, pipe = await asyncio.get_running_loop().subprocess_exec(
            lambda: FfmpegPipe(target, options, program.reach_private),
            *_bound_to_us(),
            *command,
            stdin=asyncio.subprocess.PIPE,
            env=_environment(),
        )
    finally:
        if pipe is None:
            options.unlink(missing_ok=True)
    return pipe


async def _prove(program: Program) -> None:
    """Newer FFmpegs read a file of options and forget it: they would publish without a key. Asked once."""
    if program.path not in _proven:
        _proven[program.path] = await _heeds_options(program)
    if not _proven[program.path]:
        raise Misconfigured("this FFmpeg takes a stream key only where everybody on the server can read it")


async def _heeds_options(program: Program) -> bool:
    options = _write_secretly(program.directory, "flvflags=no_metadata\n")
    source = ["-f", "lavfi", "-i", "anullsrc", "-t", "0.1", "-c:a", "aac"]
    command = [program.path, "-v", "error", "-nostdin", *source, "-fpre", str(options), "-f", "flv", "pipe:1"]
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *_bound_to_us(), *command, stdin=nothing, stdout=pipe, stderr=nothing, env=_environment()
    )
    try:
        async with asyncio.timeout(_PROOF_LIMIT_S):
            written, _ = await process.communicate()
    except TimeoutError as error:
        raise Temporary("FFmpeg does not get on") from error
    finally:
        options.unlink(missing_ok=True)
        if process.returncode is None:
            process.kill()
    if process.returncode != 0:
        raise Temporary(f"FFmpeg ended with code {process.returncode}")
    return b"onMetaData" not in written


def _write_secretly(directory: Path, text: str) -> Path:
    """A new file that its owner alone can read."""
    descriptor, path = tempfile.mkstemp(".opt", "ffmpeg-", directory)
    with open(descriptor, "w") as file:
        file.write(text)
    return Path(path).absolute()


def _trust(program: Program) -> str | None:
    """A file with the system's certificates and our own: FFmpeg takes one."""
    system = next((each for each in (ssl.get_default_verify_paths().cafile, *_BUNDLES) if _readable(each)), None)
    if program.ca_file is None:
        return system
    both = program.directory.absolute() / "trusted.pem"
    try:
        both.write_text("\n".join(Path(each).read_text() for each in (system, program.ca_file) if each))
    except (OSError, UnicodeError) as error:
        raise Misconfigured("the certificates in the plan's «ca_file» cannot be read") from error
    return str(both)


def _readable(path: str | None) -> bool:
    return path is not None and os.access(path, os.R_OK)


def _bound_to_us() -> list[str]:
    """What it is started through: gone when we are gone, also when a stuck server holds it."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--no-new-privs", "--pdeathsig", "KILL"] if setpriv else []


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
