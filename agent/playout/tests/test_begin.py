"""A run that begins in the middle of its list: which item, how far into it, also while its file arrives."""

import random
from pathlib import Path

import pytest

from agent.playout.plan import Item
from agent.playout.playlist import Playlist
from agent.playout.source import Place, find_start
from lab.processes import wait_until

from .clips import clip
from .driver import RunningPlayout, destination, item, items
from .servers import NginxRtmp

LONG = [clip(name, seconds=6) for name in "abc"]


def listed(order: str, *, loop: bool = True) -> Playlist:
    rows = [Item(number, number, f"{number}", "/x", True, True, 6.0, None) for number in range(1, 5)]
    return Playlist(rows, order, loop, random.Random(3))  # type: ignore[arg-type]


def yes(_item: Item) -> bool:
    return True


def no(_item: Item) -> bool:
    return False


def rounds(playlist: Playlist, count: int) -> list[int]:
    played = (playlist.advance(yes, no) for _ in range(count))
    return [each.item_id for each in played if each]


def test_a_list_in_order_goes_on_behind_it_and_then_starts_over() -> None:
    playlist = listed("sequential")
    playlist.begin_with(3, 1500)
    assert rounds(playlist, 5) == [3, 4, 1, 2, 3]


def test_one_that_does_not_loop_has_had_what_came_before() -> None:
    playlist = listed("sequential", loop=False)
    playlist.begin_with(3, 0)
    assert rounds(playlist, 5) == [3, 4]


def test_a_shuffled_one_begins_with_it_and_plays_all() -> None:
    playlist = listed("random")
    playlist.begin_with(3, 0)
    played = rounds(playlist, 4)
    assert (played[0], sorted(played)) == (3, [1, 2, 3, 4])


def test_only_the_first_item_that_is_opened_begins_in_its_middle() -> None:
    playlist = listed("sequential")
    playlist.begin_with(3, 1500)
    third, fourth = playlist.find(3), playlist.find(4)
    assert third is not None
    assert fourth is not None
    assert [playlist.begins_at(third), playlist.begins_at(third)] == [1500, 0]
    playlist.begin_with(3, 1500)
    assert [playlist.begins_at(fourth), playlist.begins_at(third)] == [0, 0], "another one came first"


def test_an_item_that_has_left_the_list_changes_nothing() -> None:
    playlist = listed("sequential")
    playlist.begin_with(9, 1500)
    assert rounds(playlist, 2) == [1, 2]


@pytest.mark.parametrize(("position_ms", "reaches"), [(3000, True), (60_000, False)])
def test_a_file_says_whether_it_reaches_so_far(position_ms: int, reaches: bool) -> None:
    assert find_start(str(LONG[0]), Place(position_ms)).reaches is reaches


def test_it_begins_there_on_air(tmp_path: Path) -> None:
    with NginxRtmp() as server:
        begin = {"item_id": 2, "position_s": 4.0}
        with RunningPlayout(tmp_path, items(*LONG), [destination(1, server.url)], begin=begin) as playout:
            seen = playout.watch_until(lambda status: status["phase"] == "playing" and status["position_s"] > 0)
    assert seen[-1]["item_id"] == 2
    assert 3 <= seen[-1]["position_s"] <= 6


def test_a_file_that_is_still_arriving_is_waited_for_behind_the_slate(tmp_path: Path) -> None:
    data, growing = LONG[1].read_bytes(), tmp_path / "growing.flv"
    growing.write_bytes(data[: len(data) // 4])
    entry = item(2, growing, complete=False)
    with NginxRtmp() as server:
        begin = {"item_id": 2, "position_s": 4.0}
        plan = {"begin": begin, "slate": str(clip("slate", seconds=2))}
        with RunningPlayout(tmp_path, [entry], [destination(1, server.url)], **plan) as playout:
            wait_until(lambda: playout.status()["phase"] == "slate", "the slate", 5)
            with growing.open("ab") as file:
                file.write(data[len(data) // 4 :])
            playout.reload(items=[entry | {"complete": True}])
            seen = playout.watch_until(lambda status: status["item_id"] == 2 and status["position_s"] > 0, 5)
    assert 3 <= seen[-1]["position_s"] <= 6
