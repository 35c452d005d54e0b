"""Which agent this is: the version of its source and, from a bundle, the hash of that file., as names may lie."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from agent import __version__, protocol


@cache
def version() -> str:
    """`0.1.0`, or from a bundle `0.1.0+3f2a…`. Ask early: the file may be replaced while this runs."""
    bundle = Path(__file__).resolve().parent.parent
    if not bundle.is_file():
        return __version__
    return protocol.version_of(__version__, hashlib.sha256(bundle.read_bytes()).hexdigest())
