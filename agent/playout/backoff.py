"""How long a destination waits before its next attempt. Pure.

The wait grows with the outage (a tenth of it, 1 to 30 s): after a short outage a destination is back within
seconds of being reachable, after a long one within half a minute, and it never gives up. A refused key is not
hammered.
"""

import random
from typing import Final

SHORTEST_S: Final = 1.0
LONGEST_S: Final = 30.0
REFUSED_S: Final = 60.0
STABLE_S: Final = (
    20.0  # being live for this long ends an outage; less does not, so a server that closes is not hammered
)


def retry_delay(outage_s: float, rng: random.Random) -> float:
    return min(LONGEST_S, max(SHORTEST_S, outage_s / 10) * rng.uniform(0.8, 1.2))


def refused_delay(rng: random.Random) -> float:
    return REFUSED_S * rng.uniform(0.9, 1.1)
