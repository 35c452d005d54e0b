"""Why a live input's FFmpeg ended, or what it sends that cannot go on air, in plain words. Pure."""

import re
from collections.abc import Iterable
from typing import Final

from . import flv
from .flv import Tag

NOT_STARTED: Final = "FFmpeg cannot be started"
_REASONS: Final = (
    (r"^setpriv: failed to execute", NOT_STARTED),
    (r"(?:HTTP error|Server returned) 404", "the server has nothing at this address (404)"),
    (r"(?:HTTP error|Server returned) (40[13])", "the server does not let us in ({})"),
    (r"(?:HTTP error|Server returned) (\d\w\w)", "the server answers with an error ({})"),
    (r"Failed to resolve hostname", "the host's name cannot be resolved"),
    (r"Connection refused", "connection refused"),
    (r"No route to host|Network is unreachable", "the host cannot be reached"),
    (r"[Cc]ertificate|verification failed", "the server's certificate is not valid"),
    (r"Video codec (\w+) not compatible", "the live input sends {}, which RTMP platforms do not take"),
    (r"Audio codec (\w+) not compatible", "the live input's sound is {}, which RTMP platforms do not take"),
    (r"FLV does not support sample rate", "the live input's sound has a sample rate that RTMP platforms do not take"),
    (r"Stream map '0:v:0' matches no streams", "there is no picture in the live input"),
    (r"not on whitelist", "the live input leads to a kind of address that is not allowed"),
    (r"timed out", "no answer from the server"),
    (r"Invalid data found|Unknown input format", "what comes from the live input is no video FFmpeg can read"),
    (
        r"Input/output error|End of file|Broken pipe|reset by peer|RTMP handshake",
        "the server closed the connection, or nobody sends to it",
    ),
)
_PATTERNS: Final = tuple((re.compile(pattern, re.MULTILINE), reason) for pattern, reason in _REASONS)
MEDIA: Final = (flv.VIDEO, flv.AUDIO)
_AVC, _AAC = 7, 10
_EXTENDED = 0x80
_VIDEO_NAMES: Final = {2: "H.263", 4: "VP6", 8: "VP8", 9: "VP9", 12: "HEVC", 13: "AV1"}
_FOURCC_NAMES: Final = {b"hvc1": "HEVC", b"av01": "AV1", b"vp09": "VP9"}
_AUDIO_NAMES: Final = {2: "MP3", 7: "G.711", 8: "G.711", 11: "Speex", 13: "Opus", 14: "MP3"}


def from_exit(lines: Iterable[str], exit_code: int) -> str:
    """Why an FFmpeg ended by itself."""
    ended = "the live input has ended" if exit_code == 0 else f"FFmpeg ended with code {exit_code}"
    return from_lines(lines) or ended


def from_lines(lines: Iterable[str]) -> str | None:
    """From what FFmpeg said on its standard error. Nothing of a line itself is in it but a code or a codec's name."""
    text = "\n".join(lines)
    for pattern, reason in _PATTERNS:
        if found := pattern.search(text):
            return reason.format(*(_NAMES.get(group, group) for group in found.groups()))
    return None


def unfit(tag: Tag) -> str | None:
    """Why the tag must not go on air."""
    first = tag.payload[0]
    if tag.kind == flv.VIDEO and (first & _EXTENDED or first & 0x0F != _AVC):
        name = _FOURCC_NAMES.get(tag.payload[1:5]) if first & _EXTENDED else _VIDEO_NAMES.get(first & 0x0F)
        return f"the live input sends {name or 'an unknown kind of video'}, which RTMP platforms do not take"
    if tag.kind == flv.AUDIO and first >> 4 != _AAC:
        name = _AUDIO_NAMES.get(first >> 4, "of an unknown kind")
        return f"the live input's sound is {name}, which RTMP platforms do not take"
    return None


_NAMES: Final = {"hevc": "HEVC", "av1": "AV1", "vp9": "VP9", "mpeg2video": "MPEG-2", "opus": "Opus", "ac3": "AC-3"}
