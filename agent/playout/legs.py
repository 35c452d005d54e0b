"""Which leg a destination gets."""

from typing import Final

from .ffmpeg_leg import FfmpegLeg
from .leg import Leg, Surroundings
from .native import NativeLeg, NginxLeg
from .plan import Destination, Via

_LEGS: Final[dict[Via, type[Leg]]] = {"native": NativeLeg, "ffmpeg": FfmpegLeg, "nginx": NginxLeg}


def make_leg(destination: Destination, around: Surroundings) -> Leg:
    return _LEGS[destination.via](destination, around)
