"""How long a destination waits before its next attempt. Pure.

The wait grows with the outage (a twentieth of it, 1 to 30 s, less a bit by chance): after a short outage a
destination is back within seconds of being reachable, after a long one within half a minute, and it never gives up.
A refused key is not hammered.
"""

import random
from typing import Final

SHORTEST_S: Final = 1.0
LONGEST_S: Final = 30.0
REFUSED_S: Final = 60.0
MOVED_S: Final = 600.0
"""So long a run that was moved here takes a refused key for one that the server before still holds."""
STABLE_S: Final = (
    20.0  # being live for this long ends an outage; less does not, so a server that closes is not hammered
)


def retry_delay(outage_s: float, rng: random.Random) -> float:
    """Never a whole SHORTEST_S or LONGEST_S: the next key frame, up to 2 s later, is waited for too."""
    return min(LONGEST_S, max(SHORTEST_S, outage_s / 20)) * rng.uniform(0.6, 0.9)


def refused_delay(rng: random.Random) -> float:
    return REFUSED_S * rng.uniform(0.9, 1.1)
