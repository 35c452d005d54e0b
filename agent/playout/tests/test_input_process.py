"""The FFmpeg of a live input belongs to its playout: in a forked process too, and to the end."""

import os
import signal
import subprocess
import sys

from lab.processes import lives, wait_until

from .driver import ROOT
from .servers import black_hole

FORKED = """
import asyncio, os, sys, threading
from agent.playout.live import LiveInputs
from agent.playout.tests.live_inputs import live_item, readers

if os.fork():
    os.wait()
    raise SystemExit

async def main():
    live = LiveInputs(lambda: "ffmpeg", lambda: None, lambda: True)
    live.claim(live_item(1, sys.argv[1]))
    known = None
    while True:
        await asyncio.sleep(0.02)
        now = readers()
        if now and now != known:
            known = now
            print(os.getpid(), *now, live.status()["reason"], flush=True)

asyncio.run(main())
"""


def test_in_a_forked_process_its_end_is_seen_and_it_does_not_outlive_its_playout() -> None:
    with black_hole() as port:
        command = [sys.executable, "-c", FORKED, f"rtmp://127.0.0.1:{port}/live/x"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            _, first, reason = process.stdout.readline().split(" ", 2)
            assert reason.strip() == "connecting"
            os.kill(int(first), signal.SIGKILL)
            playout, second, reason = process.stdout.readline().split(" ", 2)
            assert reason.strip() == "FFmpeg ended with code -9"
            assert not lives(int(first))
            os.kill(int(playout), signal.SIGKILL)
            wait_until(lambda: not lives(int(second)), "FFmpeg is gone too", 3)
