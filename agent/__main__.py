"""`python -m agent`: the daemon on a VPS. Settings come from the environment (agent/config.py)."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import sys
from urllib.parse import urlsplit

from agent import __version__, log
from agent.config import Config, ConfigError, from_environment
from agent.core import Core


def main() -> int:
    try:
        config = from_environment(os.environ)
    except ConfigError as error:
        sys.stderr.write(f"agent: {error}\n")
        return 2
    os.umask(0o077)  # keys, logs and videos of customers: for this user alone, whoever writes them
    redactor = log.Redactor()
    redactor.learn("redis", (urlsplit(config.redis_url).password or "",))
    recent = log.set_up(redactor)
    config.work_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (config.work_dir / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.stderr.write("agent: another agent works in EZSTREAM_WORK_DIR\n")
            return 3
        _run(config, redactor, recent)
    # A download's thread may sit in a read for some seconds more: nothing waits for it.
    logging.shutdown()
    os._exit(0)


def _run(config: Config, redactor: log.Redactor, recent: log.Recent) -> None:
    logging.getLogger("agent").info(
        "agent %s begins", __version__, extra={"vps": config.vps_id, "detail": str(config.work_dir)}
    )
    if sys.version_info < (3, 12):
        # The older default watches children from threads, and has been seen to lose exit codes.
        asyncio.set_child_watcher(asyncio.PidfdChildWatcher())
    asyncio.run(_main(config, redactor, recent))


async def _main(config: Config, redactor: log.Redactor, recent: log.Recent) -> None:
    await Core(config, redactor, recent).run()


if __name__ == "__main__":
    sys.exit(main())
