"""The environment tests run in, and their house rules, as a pytest plugin (loaded before Django's settings).

Each pytest process has a Redis of its own (the embedded Valkey on a unix socket) and a directory for files.
`DATABASE_URL`, when set by the caller, is kept: that is how the same tests meet PostgreSQL.
"""

from __future__ import annotations

import atexit
import base64
import json
import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Final

import hypothesis
import pytest

from lab.valkey import Valkey

_KEPT: Final = "EZSTREAM_TESTS_OUTSIDE"
OUTSIDE: Final[dict[str, str]] = json.loads(os.environ.get(_KEPT) or json.dumps(dict(os.environ)))
"""The environment as it was, also for workers of xdist: for tests that start the whole product, which makes its own."""
_HOME = Path(tempfile.mkdtemp(prefix="ezt-"))
_REDIS = Valkey(_HOME / "valkey")


def _clean() -> None:
    _REDIS.stop()
    shutil.rmtree(_HOME, ignore_errors=True)


def _prepare() -> None:
    _REDIS.start()
    (_HOME / "static").mkdir()
    atexit.register(_clean)
    os.environ.update(
        {_KEPT: json.dumps(OUTSIDE)},
        REDIS_URL=_REDIS.url,
        VAR_DIR=str(_HOME),
        STATIC_ROOT=str(_HOME / "static"),
        DEBUG="1",  # static files without a manifest; pytest-django turns settings.DEBUG off
        SECRET_KEY="test-only-" + "x" * 50,
        FIELD_KEYS="t1:" + base64.b64encode(bytes(range(32))).decode(),
        ALLOW_PRIVATE_DESTINATIONS="1",
        EMAIL_URL="memorymail://",
        LOG_LEVEL="WARNING",
        STATIC_MANIFEST="0",
    )


_prepare()

hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")
"""A single example may take as long as a busy machine needs."""


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """What tests write goes with us; `--basetemp DIR` keeps it. Workers are given a place in their controller's."""
    if config.option.basetemp is None:
        config.option.basetemp = _HOME / "tmp"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI nothing is skipped: what cannot run there has failed."""
    report = yield
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
    return report
