"""What is said to FFmpeg as a publisher, and what it says. Pure.

The key never stands in its arguments, which every user of the machine can read: application, key and `tcUrl` are in
a file of options. What FFmpeg tells at level «debug» shows how far its session with the server is.
"""

import math
import re
from dataclasses import dataclass, field
from typing import Final

from .connect import bad_certificate, no_such_name, no_tls
from .link import Closed, Misconfigured
from .rtmp import Phase, Refused, RtmpError, Temporary
from .target import Target

LONGEST_VALUE: Final = 900  # FFmpeg reads the lines of the file into 1,000 bytes
KEPT_LINES: Final = 12
_LONGEST_REASON: Final = 200
_PHASES: Final = (
    ("Output #0, flv", Phase.PUBLISHED),
    ("Sending publish command", Phase.PUBLISH),
    ("Releasing stream", Phase.CREATE),
    ("Proto = rtmp", Phase.CONNECT),
)
_CONNECTED: Final = "Successfully connected to"
_ERROR: Final = re.compile(r"^(?:\[[^\]]* @ [^\]]*\] )?\[(?:error|fatal|panic)\] ?")
_SERVER_SAYS: Final = "Server error: "
_CERTIFICATE: Final = ("certificate", "verif")


def arguments(ffmpeg: str, url: str, options: str, ca_file: str | None) -> list[str]:
    """FFmpeg reading FLV from its standard input and pushing it to `url`, progress on standard output."""
    secure = url.startswith("rtmps:")
    trust = ["-tls_verify", "1", *(["-ca_file", ca_file] if ca_file else [])] if secure else []
    return [
        *[ffmpeg, "-hide_banner", "-nostdin", "-nostats", "-loglevel", "repeat+level+debug"],
        *["-progress", "pipe:1", "-stats_period", "0.5"],
        *["-protocol_whitelist", "pipe", "-analyzeduration", "1000000"],
        *["-fpsprobesize", "0", "-f", "flv", "-i", "pipe:0"],
        *["-map", "0:v?", "-map", "0:a?", "-c", "copy", "-flush_packets", "1"],
        *["-flvflags", "no_duration_filesize", "-fpre", options],
        *["-protocol_whitelist", "rtmps,tls,tcp" if secure else "rtmp,tcp", *trust, "-f", "flv", url],
    ]


def options_file(target: Target) -> str:
    """Raises Misconfigured when FFmpeg could not read it."""
    values = {"rtmp_app": target.app, "rtmp_tcurl": target.url, "rtmp_playpath": target.key.reveal()}
    if max(map(len, map(str.encode, values.values()))) > LONGEST_VALUE:
        raise Misconfigured("the URL or the key is too long for FFmpeg")
    return "".join(f"{name}={value}\n" for name, value in values.items())


def bare_url(target: Target, address: str | None) -> str:
    """The URL as an argument: the server alone, by its address where that is given."""
    host = address or target.host
    return f"{'rtmps' if target.tls else 'rtmp'}://{f'[{host}]' if ':' in host else host}:{target.port}/"


@dataclass
class Telling:
    """What FFmpeg has told so far, line by line. `errors`: its last ones, as they came."""

    target: Target
    phase: Phase = Phase.HANDSHAKE
    connected: bool = False
    errors: list[str] = field(default_factory=list, repr=False)

    def hear(self, line: str) -> None:
        self.connected = self.connected or _CONNECTED in line
        for sign, phase in _PHASES:
            if sign in line and phase > self.phase:
                self.phase = phase
        if _ERROR.match(line):
            self.errors = [*self.errors, _ERROR.sub("", line)][-KEPT_LINES:]

    def verdict(self, code: int, taken_s: float = math.inf) -> RtmpError:
        """Why FFmpeg ended with this exit code (negative: by that signal), `taken_s` after the server took the
        stream.
        """
        said = [self._shown(line.partition(_SERVER_SAYS)[2]) for line in self.errors if _SERVER_SAYS in line]
        if said and self.phase < Phase.PUBLISHED:
            return Refused(f"refused by the server: {said[0]}")
        if said:
            return Temporary(f"the server ended the stream: {said[0]}")
        return self._before_rtmp() or self._closed(taken_s) or Temporary(self._otherwise(code))

    def _shown(self, line: str) -> str:
        """The line without the key, and without what would spoil a page."""
        plain = "".join(char if char.isprintable() else " " for char in line)
        return self.target.key.hide_in(plain)[:_LONGEST_REASON]

    def _before_rtmp(self) -> RtmpError | None:
        """The name, the way, the certificate."""
        told = "\n".join(self.errors)
        target = self.target
        if "Failed to resolve hostname" in told:
            return Temporary(no_such_name(target))
        if re.search(r"Connection to tcp://\S+ failed: Connection timed out", told):
            return Temporary(f"no answer from {target.address}")
        if failed := re.search(r"Connection to tcp://\S+ failed: (.+)", told):
            return Temporary(f"{target.address} cannot be reached: {self._shown(failed[1]).lower()}")
        if "Cannot open connection tls:" not in told:
            return None
        first = self._shown(self.errors[0])
        if any(word in first.lower() for word in _CERTIFICATE):
            return Misconfigured(bad_certificate(target, first))
        return Temporary(no_tls(target, first.rstrip(".")))

    def _closed(self, taken_s: float) -> RtmpError | None:
        told = "\n".join(self.errors)
        reset = "Connection reset by peer" in told
        ended = reset or any(sign in told for sign in ("End of file", "Broken pipe", "Input/output error"))
        return Closed(self.phase, reset=reset, taken_s=taken_s) if self.connected and ended else None

    def _otherwise(self, code: int) -> str:
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        return f"FFmpeg {how}" + (f": {self._shown(self.errors[-1])}" if self.errors else "")
