"""Files that are to be on a server as they are here: a look that compares, an upload that mends. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from fleet.provision.ssh import Result
from fleet.provision.step import Finding, Look, Upload

_SCRIPT = 'for each; do stat -c "%a %U:%G" "$each" && sha256sum <"$each"; done 2>/dev/null; true'


def look(uploads: Sequence[Upload]) -> Look:
    wanted = "\n".join(f"{each.mode:o} {each.owner}\n{digest(each.content)}  -" for each in uploads)

    def judge(seen: Result) -> Finding:
        return Finding(seen.out.strip() == wanted)

    return Look(("sh", "-c", _SCRIPT, "look", *(each.path for each in uploads)), judge)


def digest(*contents: bytes) -> str:
    """One for all of them."""
    whole = hashlib.sha256()
    for content in contents:
        whole.update(content)
    return whole.hexdigest()


def stamp_of(path: str, *contents: bytes) -> Upload:
    """Says with what a service was last started: written when it runs, so that a change without a restart shows."""
    return Upload(path, f"{digest(*contents)}\n".encode())
