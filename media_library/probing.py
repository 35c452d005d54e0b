"""Runs the probe in a limited process and judges what it found."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

from django.utils.translation import gettext as _

from media_library import sandbox
from media_library.errors import Unfit
from media_library.probe import Facts

LIMIT_S: Final = 180
_PROBE: Final = Path(__file__).with_name("probe.py")
CODECS: Final = {"h264": "H.264", "hevc": "HEVC"}


def probe(path: Path) -> Facts:
    """The facts of an MP4 file. Raises Unfit when it cannot be read as one."""
    try:
        done = sandbox.run([sys.executable, "-I", str(_PROBE), str(path)], LIMIT_S)
    except sandbox.TookTooLong as error:
        raise Unfit(_("The file could not be read in time: its index is damaged.")) from error
    if done.returncode != 0:
        raise Unfit(_("The file cannot be read as a video: it is damaged or not an MP4."))
    return Facts(**json.loads(done.stdout))


def judge(facts: Facts, file_size: int, max_short_side: int | None) -> None:
    """Raises Unfit with the reason when EZStream, or the owner's package, cannot take the video."""
    if not facts.video_codec:
        raise Unfit(_("There is no picture in this file, only sound."))
    if facts.video_codec not in CODECS:
        raise Unfit(_("The picture is coded as %(codec)s. Use H.264 (or HEVC).") % {"codec": facts.video_codec.upper()})
    if facts.frames == 0 or facts.width == 0 or facts.height == 0:
        raise Unfit(_("There is not a single picture in this file."))
    if facts.last_byte > file_size:
        raise Unfit(_("The file is cut off: it should go on after its last byte. Upload it again."))
    if facts.duration_s <= 0:
        raise Unfit(_("The video has no length."))
    _judge_size(min(facts.width, facts.height), facts, max_short_side)


def _judge_size(short_side: int, facts: Facts, allowed: int | None) -> None:
    if allowed is not None and short_side > allowed:
        raise Unfit(
            _("The picture is %(width)s×%(height)s. Your package goes up to %(allowed)sp.")
            % {"width": facts.width, "height": facts.height, "allowed": allowed}
        )
