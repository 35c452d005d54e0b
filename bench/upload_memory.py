"""Uploads 3 GB through a real Daphne and measures its memory.

    python bench/upload_memory.py [--gigabytes 3]

What it starts (Daphne, Valkey, a database in a temporary directory) is stopped at the end. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


from lab.valkey import Valkey
from media_library.tests.webserver import Browser, WebServer

CHUNK = 8 * 1024**2


def upload(browser: Browser, length: int) -> float:
    """Sends `length` bytes in chunks of 8 MiB; returns the seconds it took."""
    block = bytes(range(256)) * (CHUNK // 256)
    url, offset, begun = browser.create("big.mp4", length), 0, time.monotonic()
    while offset < length:
        answer = browser.chunk(url, offset, block[: min(CHUNK, length - offset)])
        answer.raise_for_status()
        offset = int(answer.headers["Upload-Offset"])
    return time.monotonic() - begun


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gigabytes", type=float, default=3.0)
    length = int(parser.parse_args().gigabytes * 1e9)
    with tempfile.TemporaryDirectory(prefix="ezb-") as home:
        redis = Valkey(Path(home) / "redis")
        redis.start()
        server = WebServer(Path(home) / "web", redis.url)
        try:
            browser = Browser(server, server.prepare())
            server.start()
            print(f"web process before: {server.memory_mb():.0f} MB")
            seconds = upload(browser, length)
            figures = {
                "uploaded_bytes": length,
                "web_rss_mb": round(server.memory_mb(), 1),
                "mb_per_s": round(length / 1e6 / seconds, 1),
            }
        finally:
            server.stop()
            redis.stop()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
