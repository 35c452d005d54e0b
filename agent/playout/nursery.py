"""``python -m agent.playout.nursery``: a warm parent whose forks are the playouts.

What a playout imports is imported here once, and the pages stay shared: a playout costs half of what a fresh
interpreter does and begins in milliseconds. Its standard input is a socket to the agent that started it:

    request   ``{"run_dir": "/abs", "resume": bool}``
    answer    ``{"pid": int}`` or ``{"error": str}``

The answer comes from the child itself, and a child whose answer nobody takes ends there: an agent that has given up
and begins the playout in another way never gets two. End of input is the agent's end, and the nursery's; playouts
live on. No thread, no loop, no open file of its own before the fork: nothing a child could inherit half done.
"""

import gc
import importlib
import json
import os
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any, Final

from . import title
from .__main__ import play

LOG: Final = "run.log"
LONGEST_REQUEST: Final = 64 * 1024
LATER: Final = ("encodings.idna", "stringprep", "unicodedata", "asyncio.staggered")
"""What the standard library would import only when the first name is looked up: once here, not in every child."""


def main() -> None:
    agent = _take_socket()
    title.show(title.words()[:3])  # without the room that was kept for the children's names
    for name in LATER:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the children: no zombies
    gc.collect()
    gc.freeze()
    while request := _request(agent):
        try:
            child = os.fork()
        except OSError as error:
            _answer(agent, {"error": _words(error)})
            continue
        if child == 0:
            _be_child(agent, request)


def _take_socket() -> socket.socket:
    """Away from standard input, where a child would keep it."""
    agent = socket.socket(fileno=os.dup(0))
    _redirect("/dev/null", os.O_RDWR, 0, 1)
    return agent


def _request(agent: socket.socket) -> bytes:
    """Empty: the agent is gone."""
    try:
        return agent.recv(LONGEST_REQUEST)
    except ConnectionError:
        return b""


def _be_child(agent: socket.socket, request: bytes) -> None:
    """Never returns: a child must not go on as its parent, whatever happens to it."""
    code = 1
    try:
        code = _become_playout(agent, json.loads(request))
    finally:
        if sys.exc_info()[0] is not None:
            traceback.print_exc()
        os._exit(code)


def _become_playout(agent: socket.socket, request: dict[str, Any]) -> int:
    run_dir, resume = Path(request["run_dir"]), bool(request["resume"])
    options = ["--resume"] if resume else []
    command = [sys.executable, "-m", "agent.playout", *options, str(run_dir)]
    try:
        _leave_home(run_dir)
        named = title.show(command)
    except OSError as error:
        _answer(agent, {"error": _words(error)})
        return 1
    if not _answer(agent, {"pid": os.getpid()}):
        return 1
    agent.close()
    if not named:  # an agent to come finds its playouts by their command lines
        os.execv(sys.executable, command)  # noqa: S606 - this very program, no shell
    return play(run_dir, resume)


def _answer(agent: socket.socket, answer: dict[str, Any]) -> bool:
    """Whether it was taken."""
    try:
        agent.send(json.dumps(answer).encode())
    except OSError:
        return False
    return True


def _words(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _leave_home(run_dir: Path) -> None:
    """What a fresh process of a session of its own would begin with."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    _redirect(str(run_dir / LOG), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 1, 2)


def _redirect(path: str, flags: int, *descriptors: int) -> None:
    opened = os.open(path, flags, 0o600)
    for descriptor in descriptors:
        os.dup2(opened, descriptor)
    os.close(opened)


if __name__ == "__main__":
    main()
    os._exit(0)
