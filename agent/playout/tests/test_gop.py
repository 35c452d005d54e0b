"""What a destination that comes back begins with."""

import pytest

from agent.playout import gop
from agent.playout.flv import AUDIO, VIDEO
from agent.playout.gop import Gop
from agent.playout.packets import Packet, Preamble


def packet(name: str, *, joins: bool = False, size: int = 1) -> Packet:
    kind = AUDIO if name.startswith("a") else VIDEO
    return Packet(kind, 0, name.encode() * size, b"", Preamble() if joins else None)


def names(kept: Gop) -> str:
    return " ".join(each.payload.decode() for each in kept.packets)


@pytest.mark.parametrize(
    ("ticks", "left"),
    [
        ([], ""),
        (["v1 a1"], ""),
        (["K1 v1"], "K1 v1"),
        (["K1 v1", "a1 v2"], "K1 v1 a1 v2"),
        (["K1 v1 a1", "v2 K2 v3"], "K2 v3"),
        (["a1", "K1"], "K1"),
    ],
)
def test_it_is_what_went_out_since_the_newest_key_frame(ticks: list[str], left: str) -> None:
    kept = Gop()
    for tick in ticks:
        kept.add([packet(name, joins=name.startswith("K")) for name in tick.split()])
    assert names(kept) == left


def test_a_group_that_is_too_long_is_not_kept_until_the_next_key_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gop, "LARGEST", 10)
    kept = Gop()
    kept.add([packet("K1", joins=True), packet("v", size=20)])
    assert kept.packets == []
    kept.add([packet("v2")])
    assert kept.packets == []
    kept.add([packet("K2", joins=True)])
    assert names(kept) == "K2"
