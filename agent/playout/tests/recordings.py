"""What a receiver got, read back from its recording."""

import json
import subprocess
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from agent.playout import flv
from agent.playout.flv import FlvParser, Tag


@dataclass
class Recording:
    """`tags` as written; `media` without codec headers and metadata."""

    tags: list[Tag]

    @property
    def media(self) -> list[Tag]:
        return [tag for tag in self.tags if tag.kind != flv.SCRIPT and not tag.is_codec_header]

    def stamps(self, kind: int) -> list[int]:
        return [tag.timestamp for tag in self.media if tag.kind == kind]

    def gaps(self, kind: int) -> list[int]:
        return [after - before for before, after in pairwise(self.stamps(kind))]

    def shown(self) -> list[int]:
        """When each picture is shown, in that order: its decoding time and what it waits."""
        frames = [tag for tag in self.media if tag.kind == flv.VIDEO]
        return sorted(tag.timestamp + int.from_bytes(tag.payload[2:5], "big", signed=True) for tag in frames)

    def payloads(self, kind: int) -> list[bytes]:
        return [tag.payload for tag in self.media if tag.kind == kind]


def read(path: Path) -> Recording:
    return Recording(FlvParser().feed(path.read_bytes()))


def probe(path: Path) -> dict[str, Any]:
    """What ffprobe says; raises CalledProcessError or AssertionError when it complains."""
    command = ["ffprobe", "-v", "error", "-show_format", "-show_streams", "-of", "json", str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert not done.stderr, done.stderr
    return json.loads(done.stdout)
