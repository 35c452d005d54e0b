"""Pictures that users send to be shown on air: decoded and drawn anew before anything else is done with them."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from django.utils.translation import gettext as _

from media_library import names, sandbox
from media_library.errors import Unfit
from media_library.still_reader import LONGEST_SIDE, TOO_LARGE

MOST_BYTES: Final = 5 * 1024**2
LIMIT_S: Final = 20
_READER: Final = Path(__file__).with_name("still_reader.py")


@dataclass(frozen=True, slots=True)
class Still:
    """A picture that is one: only `clean` makes it."""

    name: str
    """As its owner called it."""
    jpeg: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.jpeg).hexdigest()


def clean(name: str, size: int, chunks: Iterable[bytes]) -> Still:
    """Raises Unfit, in words, for what is no picture that can be shown."""
    if size > MOST_BYTES:
        raise Unfit(_("The picture is larger than 5 MiB."))
    with tempfile.TemporaryDirectory(prefix="still-") as folder:
        source, target = Path(folder) / "source", Path(folder) / "target"
        with source.open("wb") as file:
            file.writelines(chunks)
        _convert(source, target)
        return Still(names.shown_name(name) or _("picture"), target.read_bytes())


def _convert(source: Path, target: Path) -> None:
    try:
        done = sandbox.run([sys.executable, "-I", str(_READER), str(source), str(target)], LIMIT_S)
    except sandbox.TookTooLong as error:
        raise Unfit(_("The picture could not be read in time. Save it anew with another program.")) from error
    if done.returncode == TOO_LARGE:
        raise Unfit(_("The picture has more than %(side)d points on a side.") % {"side": LONGEST_SIDE})
    if done.returncode != 0:
        raise Unfit(_("This is no picture that can be read. Choose a PNG, JPEG or WebP file."))
