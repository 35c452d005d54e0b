"""The agent as one file that any Python from 3.11 on runs: a zipapp of its source and its dependencies (AGT-7, FLT-3).

The dependencies come from this control plane's own site-packages: nothing is fetched when a server is provisioned.
`bundle.lock` pins them by version and by a hash over the files that go in. Same source and same lock give the same
bytes anywhere: files are stored, not compressed (compressors differ), in order, without times.

What is made for one Python or one processor stays out (charset-normalizer does without). `certifi` is replaced by the
system's certificates (agent/certificates.py).
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Final

from django.conf import settings

from agent import protocol

LOCK: Final = Path(__file__).with_name("bundle.lock")
DISTRIBUTIONS: Final = ("async-timeout", "charset-normalizer", "idna", "redis", "requests", "urllib3")
"""redis needs async-timeout up to Python 3.11.2, which is Debian 12's."""
_SHEBANG: Final = b"#!/usr/bin/env python3\n"
_MAIN: Final = """\
import os
import sys

if sys.version_info < (3, 11):
    sys.exit("agent: needs Python 3.11 or newer")
# By way of a link that leads to another file after an upgrade, what is imported later would come from there.
sys.path[0] = os.path.realpath(sys.path[0])

from agent.__main__ import main

sys.exit(main())
"""
_CERTIFI: Final = "from agent.certificates import where as where\n"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_LEFT_OUT: Final = {"tests", "__pycache__"}

Files = Mapping[str, bytes]


class BundleError(RuntimeError):
    """The bundle cannot be made as it is pinned; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """`hash`: SHA-256 of the file, hexadecimal."""

    content: bytes = field(repr=False)
    hash: str
    version: str
    """As its agent names itself in heartbeats."""

    @property
    def name(self) -> str:
        return f"ezstream-agent-{self.hash[: protocol.HASH_LENGTH]}.pyz"

    def kept_in(self, folder: Path) -> Path:
        """Its file in `folder`, written when it is not there."""
        path = folder / self.name
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            draft = path.with_suffix(".draft")
            draft.write_bytes(self.content)
            draft.replace(path)
        return path


@cache
def current() -> Bundle:
    """The one this control plane brings. Raises BundleError."""
    return make(Path(settings.AGENT_SOURCE))


def version() -> str:
    """What its agent calls itself; where it cannot be made, the version of this control plane."""
    try:
        return current().version
    except BundleError:
        return str(settings.VERSION)


def make(source: Path) -> Bundle:
    """From a tree of the agent's source. Raises BundleError."""
    agent = _tree(source)
    files = {f"agent/{name}": content for name, content in agent.items()} | _dependencies()
    files |= {"__main__.py": _MAIN.encode(), "certifi/__init__.py": _CERTIFI.encode()}
    content = _SHEBANG + _zipped(files)
    digest = hashlib.sha256(content).hexdigest()
    return Bundle(content, digest, protocol.version_of(_version_in(agent["__init__.py"]), digest))


def write_lock() -> None:
    """Pins what is installed now."""
    lines = (f"{name} {metadata.version(name)} {_hash(files_of(name))}\n" for name in DISTRIBUTIONS)
    LOCK.write_text("".join(lines), encoding="ascii")


def files_of(name: str) -> Files:
    """What of an installed distribution goes into the bundle: its source, its licence, its name."""
    found = metadata.distribution(name)
    wanted = [path for path in found.files or () if _is_wanted(path.parts, path.suffix)]
    return {path.as_posix(): path.read_binary() for path in wanted}


def _is_wanted(parts: tuple[str, ...], suffix: str) -> bool:
    if parts[0].endswith(".dist-info"):
        return parts[-1] == "METADATA" or parts[-1].startswith(("LICENSE", "LICENCE", "COPYING", "NOTICE"))
    return suffix == ".py" and parts[0] != ".." and not _LEFT_OUT.intersection(parts)


def _dependencies() -> dict[str, bytes]:
    pinned = dict(line.split(maxsplit=1) for line in LOCK.read_text(encoding="ascii").splitlines())
    files: dict[str, bytes] = {}
    for name in DISTRIBUTIONS:
        own = _installed(name)
        if f"{metadata.version(name)} {_hash(own)}" != pinned.get(name):
            version = pinned.get(name, "none").split()[0]
            raise BundleError(f"the bundle wants {name} {version} unchanged: install requirements.txt again")
        files |= own
    return files


def _installed(name: str) -> Files:
    try:
        return files_of(name)
    except metadata.PackageNotFoundError:
        raise BundleError(f"{name} is not installed: install requirements.txt") from None


def _tree(source: Path) -> dict[str, bytes]:
    paths = (path for path in source.rglob("*.py") if not _LEFT_OUT.intersection(path.relative_to(source).parts))
    return {path.relative_to(source).as_posix(): path.read_bytes() for path in paths}


def _version_in(source: bytes) -> str:
    found = re.search(rb'(?m)^__version__ = "([^"]+)"', source)
    if found is None:
        raise BundleError("agent/__init__.py names no version")
    return found[1].decode()


def _hash(files: Files) -> str:
    whole = hashlib.sha256()
    for name, content in sorted(files.items()):
        whole.update(f"{name}\0{len(content)}\0".encode() + content)
    return whole.hexdigest()


def _zipped(files: Files) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            entry.create_system = 3  # Unix, wherever it is made
            archive.writestr(entry, files[name])
    return whole.getvalue()
