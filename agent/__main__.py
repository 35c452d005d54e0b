"""`python -m agent [--config FILE]`: the daemon on a VPS. Settings: that file or the environment (agent/config.py)."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from agent import log, self_test
from agent.config import Config, ConfigError, from_environment, from_file
from agent.core import Core
from agent.service import Service
from agent.version import version

FAILED, UNUSABLE, BUSY = 1, 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    service = Service.from_environment(os.environ)
    try:
        config = from_environment(os.environ | (from_file(options.config) if options.config else {}))
    except ConfigError as error:
        sys.stderr.write(f"agent: {error}\n")
        return UNUSABLE
    if options.self_test:
        return _self_test(config)
    return _be_agent(config, service)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ezstream-agent", description="Puts streams on air from this server.")
    parser.add_argument("--config", type=Path, metavar="FILE", help="NAME=value lines; they win over the environment")
    parser.add_argument("--self-test", action="store_true", help="say in JSON whether this server can do the work")
    parser.add_argument("--version", action="version", version=version())
    return parser.parse_args(arguments)


def _self_test(config: Config) -> int:
    found = self_test.run(config)
    sys.stdout.write(f"{json.dumps(found, ensure_ascii=False)}\n")
    return 0 if found["ok"] else FAILED


def _be_agent(config: Config, service: Service) -> int:
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
            return BUSY
        _run(config, redactor, recent, service)
    # A download's thread may sit in a read for some seconds more: nothing waits for it.
    logging.shutdown()
    os._exit(0)


def _run(config: Config, redactor: log.Redactor, recent: log.Recent, service: Service) -> None:
    logging.getLogger("agent").info(
        "agent %s begins", version(), extra={"vps": config.vps_id, "detail": str(config.work_dir)}
    )
    if sys.version_info < (3, 12):
        # The older default watches children from threads, and has been seen to lose exit codes.
        asyncio.set_child_watcher(asyncio.PidfdChildWatcher())
    asyncio.run(_main(config, redactor, recent, service))


async def _main(config: Config, redactor: log.Redactor, recent: log.Recent, service: Service) -> None:
    await Core(config, redactor, recent, service).run()


if __name__ == "__main__":
    sys.exit(main())
