"""The files nginx reads of this agent: `streams.d` beside its main file. They hold keys, so they are for one user."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from agent import nginx_conf

HOME: Final = "streams.d"
COPY: Final = ".check-"
DRAFT: Final = ".draft"


class Files:
    """`now`: those of the streams, by name, as they are on the disk. What else lies there is none of ours."""

    def __init__(self, main: Path) -> None:
        """Raises OSError. Takes away what an agent that was killed in the middle has left."""
        self.main = main
        self._home = main.parent / HOME
        self._home.mkdir(mode=0o700, exist_ok=True)
        for left in main.parent.glob(f"{COPY}*"):
            shutil.rmtree(left)
        for left in self._home.glob(f".*{DRAFT}"):
            left.unlink()
        self.now = {path.name: path.read_text() for path in self._home.iterdir() if nginx_conf.FILES.match(path.name)}

    def swap(self, files: Mapping[str, str]) -> None:
        """Raises OSError."""
        for name in self.now.keys() - files.keys():
            (self._home / name).unlink(missing_ok=True)
            del self.now[name]
        for name, text in files.items():
            if self.now.get(name) != text:
                _write(self._home / name, text)
                self.now[name] = text

    @contextlib.contextmanager
    def copy_with(self, files: Mapping[str, str]) -> Iterator[Path]:
        """The main file's directory with these instead of the streams' files: yields the main file in it."""
        copied = Path(tempfile.mkdtemp(prefix=COPY, dir=self.main.parent))
        try:
            for path in self.main.parent.iterdir():
                if path.name != HOME and not path.name.startswith(COPY):
                    (copied / path.name).symlink_to(path)
            (copied / HOME).mkdir(mode=0o700)
            for path in self._home.iterdir():
                if not nginx_conf.FILES.match(path.name):
                    (copied / HOME / path.name).symlink_to(path)
            for name, text in files.items():
                _write(copied / HOME / name, text)
            yield copied / self.main.name
        finally:
            shutil.rmtree(copied, ignore_errors=True)


def _write(path: Path, text: str) -> None:
    """Mode 0600, complete or not at all."""
    draft = path.with_name(f".{path.name}{DRAFT}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
