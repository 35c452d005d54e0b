"""The receiver of the benches: `sink.c` where there is a compiler, else the same in Python.

One process outside of what is measured. Lab's receiver knows more of what arrives and costs more than the senders.
"""

from __future__ import annotations

import json
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from agent.playout import amf
from agent.playout.chunks import ChunkDecoder, Message, absolute
from lab.ports import free_port

HERE: Final = Path(__file__).parent
_COMMAND: Final = 20
_GREETED, _SHAKEN = 1537, 3073
_MAX_MESSAGE: Final = 1 << 24


@dataclass(frozen=True, slots=True)
class Drained:
    """One connection. `bytes` and `gap_ms`, the longest silence, are of the time since the last `mark`."""

    key: str
    published: bool
    closed: bool
    bytes: int
    gap_ms: float


def compiled(source: str, directory: Path, *options: str) -> Path | None:
    """The program made of `bench/{source}`; None without a compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return None
    program = directory / source.removesuffix(".c")
    subprocess.run([compiler, "-O2", *options, "-o", str(program), str(HERE / source)], check=True)
    return program


class Sink:
    """`with Sink() as sink:` listens on `sink.port` until the end of the block. `stop` and `start` make an outage."""

    def __init__(self) -> None:
        self.port = free_port()
        self._directory = tempfile.TemporaryDirectory(prefix="sink-")

    def __enter__(self) -> Self:
        program = compiled("sink.c", Path(self._directory.name))
        self._command = [str(program)] if program else [sys.executable, "-m", "bench.sink"]
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._directory.cleanup()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [*self._command, str(self.port)], cwd=HERE.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if self._answer.readline() != "listening\n":
            raise ConnectionError("the sink does not listen")

    def stop(self) -> None:
        """At once, as a killed server goes, with all it knew."""
        self._process.kill()
        self._process.communicate()

    @property
    def pid(self) -> int:
        return self._process.pid

    def url(self, app: str = "live") -> str:
        return f"rtmp://127.0.0.1:{self.port}/{app}"

    def mark(self) -> None:
        """A window of measurement begins."""
        self._say("mark")

    def report(self) -> list[Drained]:
        """All connections there have been, the newest first."""
        self._say("report")
        found = []
        while (line := self._answer.readline()) not in ("", "\n"):
            found.append(Drained(**json.loads(line)))
        return found

    def open(self) -> list[Drained]:
        return [each for each in self.report() if each.published and not each.closed]

    @property
    def _answer(self) -> IO[str]:
        assert self._process.stdout is not None
        return self._process.stdout

    def _say(self, order: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()


class _Connection:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.key = ""
        self.published = self.closed = False
        self.bytes = 0
        self.gap = self.last = 0.0
        self._in = b""
        self._decoder: ChunkDecoder | None = None
        self._greeted = False

    def take(self, data: bytes) -> None:
        if self.published:
            now = time.monotonic()
            self.gap, self.last = max(self.gap, now - self.last), now
            self.bytes += len(data)
        elif self._decoder:
            self._listen(data)
        else:
            self._shake_hands(data)

    def drained(self) -> Drained:
        silent = time.monotonic() - self.last if self.published and not self.closed else 0.0
        return Drained(self.key, self.published, self.closed, self.bytes, round(max(self.gap, silent) * 1000, 1))

    def _shake_hands(self, data: bytes) -> None:
        self._in += data
        if self._in[0] != 3:
            self._publish("raw")
        elif not self._greeted and len(self._in) >= _GREETED:
            self._greeted = True
            self.sock.sendall(b"\x03" + bytes(_GREETED - 1) + self._in[1:_GREETED])
        if self._greeted and len(self._in) >= _SHAKEN:
            self._decoder = ChunkDecoder(max_message=_MAX_MESSAGE)
            self._listen(self._in[_SHAKEN:])

    def _listen(self, data: bytes) -> None:
        for message in self._decoder.feed(data) if self._decoder else []:
            if message.type_id == _COMMAND and not self.published:
                self._command(amf.decode(message.payload))

    def _command(self, values: list[amf.Value]) -> None:
        if values[0] == "connect":
            self._reply("_result", values[1], None, _status("NetConnection.Connect.Success"))
        elif values[0] == "createStream":
            self._reply("_result", values[1], None, 1)
        elif values[0] == "publish":
            self._reply("onStatus", 0, None, _status("NetStream.Publish.Start"), stream_id=1)
            self._publish(str(values[3]))

    def _publish(self, key: str) -> None:
        self.key, self.published, self.last = key, True, time.monotonic()

    def _reply(self, *values: amf.Value, stream_id: int = 0) -> None:
        self.sock.sendall(absolute(3, Message(_COMMAND, 0, amf.encode(*values), stream_id), chunk_size=128))


def _status(code: str) -> dict[str, amf.Value]:
    return {"level": "status", "code": code, "description": "ok"}


class _Server:
    def __init__(self, port: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(sys.stdin, selectors.EVENT_READ)
        self._connections: list[_Connection] = []
        self._buffer = bytearray(1 << 20)

    def run(self) -> None:
        print("listening", flush=True)
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._listener:
                    self._welcome()
                elif key.fileobj is sys.stdin:
                    if not self._obey(sys.stdin.readline()):
                        return
                else:
                    self._read(key.data)

    def _welcome(self) -> None:
        sock, _ = self._listener.accept()
        self._connections.append(_Connection(sock))
        self._selector.register(sock, selectors.EVENT_READ, self._connections[-1])

    def _read(self, connection: _Connection) -> None:
        try:
            size = connection.sock.recv_into(self._buffer)
            connection.take(bytes(self._buffer[:size])) if size else None
        except OSError:
            size = 0
        if not size:
            connection.closed = True
            self._selector.unregister(connection.sock)
            connection.sock.close()

    def _obey(self, order: str) -> bool:
        if order == "mark\n":
            for each in self._connections:
                each.bytes, each.gap = 0, 0.0
        elif order == "report\n":
            for each in reversed(self._connections):
                drained = each.drained()
                print(json.dumps({name: getattr(drained, name) for name in Drained.__slots__}))
            print(flush=True)
        return bool(order)


if __name__ == "__main__":
    _Server(int(sys.argv[1])).run()
