"""Which item is next: examples first, then a model that edits and plays at random."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.playout.plan import Item
from agent.playout.playlist import Playlist


def make(number: int, **changes: object) -> Item:
    plain = {
        "item_id": number,
        "file_id": number + 100,
        "title": "",
        "path": "",
        "ready": True,
        "complete": True,
        "duration_s": None,
        "failed": None,
    }
    return Item(**(plain | changes))  # type: ignore[arg-type]


def playable(item: Item) -> bool:
    return item.playable


def spent(item: Item) -> bool:
    return item.failed is not None


def playlist(*numbers: int, order: str = "sequential", loop: bool = False, seed: int = 1) -> Playlist:
    return Playlist([make(number) for number in numbers], order, loop, random.Random(seed))


def play(playlist: Playlist, times: int) -> list[int | None]:
    chosen = (playlist.advance(playable, spent) for _ in range(times))
    return [item and item.item_id for item in chosen]


def test_a_list_is_played_in_order_and_ends() -> None:
    plays = playlist(1, 2, 3)
    assert play(plays, 4) == [1, 2, 3, None]
    assert plays.finished(spent)


def test_a_loop_begins_again() -> None:
    assert play(playlist(1, 2, loop=True), 5) == [1, 2, 1, 2, 1]


def test_what_is_not_ready_is_passed_over_and_played_later() -> None:
    plays = Playlist([make(1), make(2, ready=False), make(3)], "sequential", False, random.Random())
    assert play(plays, 3) == [1, 3, None]
    assert not plays.finished(spent)
    plays.edit([make(1), make(2), make(3)], "sequential", False)
    assert play(plays, 2) == [2, None]
    assert plays.finished(spent)


def test_a_list_in_order_opens_with_its_first_item_that_can_ever_play() -> None:
    plays = Playlist([make(1, failed="x"), make(2, ready=False), make(3)], "sequential", True, random.Random())
    assert (opening := plays.opening(spent)) is not None
    assert opening.item_id == 2
    assert play(plays, 1) == [3]
    assert plays.opening(spent) is None


def test_a_shuffled_list_opens_with_any_item() -> None:
    assert playlist(1, 2, order="random").opening(spent) is None


def test_what_has_failed_is_never_played() -> None:
    plays = Playlist([make(1, failed="x"), make(2)], "sequential", True, random.Random())
    assert play(plays, 3) == [2, 2, 2]


def test_nothing_playable_is_waited_for() -> None:
    plays = Playlist([make(1, ready=False)], "sequential", True, random.Random())
    assert play(plays, 2) == [None, None]
    assert not plays.finished(spent)
    assert not playlist().finished(spent)


@given(st.integers(0, 10_000), st.integers(2, 8), st.integers(1, 4))
def test_random_plays_all_before_any_again_and_none_twice_running(seed: int, count: int, rounds: int) -> None:
    plays = playlist(*range(count), order="random", loop=True, seed=seed)
    got = play(plays, count * rounds)
    for at in range(0, len(got), count):
        assert sorted(got[at : at + count]) == list(range(count))
    assert all(a != b for a, b in itertools.pairwise(got))


@pytest.mark.parametrize(
    ("new", "then"),
    [
        ([1, 2, 3, 4], [3, 4]),
        ([2, 1, 3], [1, 3]),
        ([3, 4, 2], []),
        ([1, 9, 2, 8, 3], [8, 3]),
        ([1, 3, 4], [3, 4]),
        ([1, 4], [4]),
        ([1], []),
        ([8, 1, 9], [9]),
        ([7, 8], [7, 8]),
        ([], []),
    ],
)
def test_an_edit_while_the_second_of_four_plays(new: list[int], then: list[int]) -> None:
    plays = playlist(1, 2, 3, 4)
    play(plays, 2)
    stays = plays.edit([make(number) for number in new], "sequential", False)
    assert stays is (2 in new)
    assert play(plays, len(then) + 1) == [*then, None]


def test_the_same_file_under_another_item_id_goes_on() -> None:
    plays = playlist(1, 2)
    play(plays, 1)
    assert plays.edit([make(5, file_id=101), make(6)], "sequential", False)
    assert play(plays, 2) == [6, None]


def test_a_jump_goes_on_from_there() -> None:
    plays = playlist(1, 2, 3, 4)
    play(plays, 1)
    item = plays.find(3)
    assert item is not None
    plays.jump(item)
    assert play(plays, 2) == [4, None]


@pytest.mark.parametrize(
    ("loop", "played", "back", "then"),
    [
        (False, 3, 2, [3, 4]),
        (False, 1, None, [2, 3]),
        (True, 1, 4, [1, 2]),
        (True, 5, 4, [1, 2]),
    ],
)
def test_previous_goes_back_in_the_list(loop: bool, played: int, back: int | None, then: list[int]) -> None:
    plays = playlist(1, 2, 3, 4, loop=loop)
    play(plays, played)
    item = plays.previous(playable)
    assert (item and item.item_id) == back
    assert play(plays, 2) == then


def test_previous_passes_over_what_cannot_play() -> None:
    plays = Playlist([make(1), make(2, failed="x"), make(3)], "sequential", False, random.Random())
    play(plays, 2)
    assert (item := plays.previous(playable)) is not None
    assert item.item_id == 1


@given(st.integers(0, 10_000), st.integers(3, 8), st.integers(1, 5))
def test_previous_in_a_random_round_goes_back_in_time_and_forth_again(seed: int, count: int, steps: int) -> None:
    plays = playlist(*range(count), order="random", loop=True, seed=seed)
    got = play(plays, count)
    back = [plays.previous(playable) for _ in range(min(steps, count - 1))]
    assert [item and item.item_id for item in back] == got[::-1][1 : len(back) + 1]
    assert play(plays, len(back)) == got[-len(back) :]


@pytest.mark.parametrize("number", [2, 3, 4, 1])
def test_an_item_asked_for_plays_next_and_once_and_the_round_goes_on(number: int) -> None:
    plays = playlist(1, 2, 3, 4)
    play(plays, 1)
    asked = plays.find(number)
    assert asked is not None
    plays.play_next(asked)
    rest = [each for each in (2, 3, 4) if each != number]
    assert plays.upcoming(9, playable) == [number, *rest]
    assert play(plays, 2) == [number, *rest[:1]]


def test_two_asked_for_the_later_first() -> None:
    plays = playlist(1, 2, 3, 4)
    play(plays, 1)
    for number in (3, 4):
        plays.play_next(plays.find(number))  # type: ignore[arg-type]
    assert play(plays, 4) == [4, 3, 2, None]


@given(st.integers(0, 10_000), st.integers(2, 8))
def test_asking_for_an_item_of_a_random_round_plays_none_twice(seed: int, count: int) -> None:
    plays = playlist(*range(count), order="random", seed=seed)
    (first,) = play(plays, 1)
    asked = next(number for number in range(count) if number != first)
    plays.play_next(plays.find(asked))  # type: ignore[arg-type]
    got = play(plays, count)
    assert got[0] == asked
    assert sorted(number for number in got if number is not None) == [n for n in range(count) if n != first]


def test_what_was_asked_for_outlives_an_edit_and_what_was_played_early_is_not_played_again() -> None:
    plays = playlist(1, 2, 3, 4)
    play(plays, 1)
    plays.play_next(plays.find(4))  # type: ignore[arg-type]
    new = [make(number) for number in (1, 2, 9, 3, 4)]
    assert plays.edit(new, "sequential", True)
    assert play(plays, 1) == [4]
    assert plays.edit(new, "sequential", True)
    assert play(plays, 4) == [2, 9, 3, 1]
    assert play(plays, 4) == [2, 9, 3, 4]


def test_back_from_an_item_asked_for_is_where_the_round_was() -> None:
    plays = playlist(1, 2, 3, 4)
    play(plays, 2)
    plays.play_next(plays.find(4))  # type: ignore[arg-type]
    play(plays, 1)
    assert (item := plays.previous(playable)) is not None
    assert item.item_id == 2


def test_switching_to_random_keeps_what_was_played_played() -> None:
    plays = playlist(1, 2, 3, 4)
    play(plays, 2)
    plays.edit([make(number) for number in (1, 2, 3, 4)], "random", False)
    assert sorted(play(plays, 2)) == [3, 4]
    assert play(plays, 1) == [None]


def test_what_follows_is_foretold() -> None:
    plays = playlist(1, 2, 3, loop=True)
    play(plays, 2)
    assert plays.upcoming(3, playable) == [3, 1, 2]
    plays = playlist(1, 2, 3)
    play(plays, 2)
    assert plays.upcoming(3, playable) == [3]


class Steering(RuleBasedStateMachine):
    """Whatever is edited: what plays is in the list and can play, and what can play does."""

    def __init__(self) -> None:
        super().__init__()
        self.items = [make(number) for number in range(3)]
        self.loop = True
        self.plays = Playlist(self.items, "sequential", True, random.Random(3))

    @rule(
        numbers=st.lists(st.integers(0, 6), unique=True, max_size=6),
        ready=st.sets(st.integers(0, 6)),
        order=st.sampled_from(["sequential", "random"]),
        loop=st.booleans(),
    )
    def edit(self, numbers: list[int], ready: set[int], order: str, loop: bool) -> None:
        before = self.plays.current
        self.items, self.loop = [make(number, ready=number in ready) for number in numbers], loop
        stays = self.plays.edit(self.items, order, loop)
        assert stays is (before is not None and before.item_id in numbers)

    @rule()
    def advance(self) -> None:
        chosen = self.plays.advance(playable, spent)
        assert chosen is None or (chosen in self.items and chosen.ready)
        if self.loop and any(item.ready for item in self.items):
            assert chosen is not None

    @precondition(lambda self: any(item.ready for item in self.items))
    @rule(data=st.data())
    def jump(self, data: st.DataObject) -> None:
        item = data.draw(st.sampled_from([item for item in self.items if item.ready]))
        self.plays.jump(item)
        assert self.plays.current == item

    @precondition(lambda self: any(item.ready for item in self.items))
    @rule(data=st.data())
    def play_next(self, data: st.DataObject) -> None:
        item = data.draw(st.sampled_from([item for item in self.items if item.ready]))
        self.plays.play_next(item)
        assert self.plays.upcoming(1, playable) == [item.item_id]
        assert self.plays.advance(playable, spent) == item

    @rule()
    def previous(self) -> None:
        item = self.plays.previous(playable)
        assert item is None or (item in self.items and item.ready and self.plays.current == item)

    @invariant()
    def the_current_item_is_in_the_list(self) -> None:
        assert self.plays.current is None or self.plays.current in self.items

    @invariant()
    def what_is_foretold_comes(self) -> None:
        foretold = self.plays.upcoming(3, playable)
        known = {item.item_id for item in self.items if item.ready}
        assert set(foretold) <= known


TestSteering = Steering.TestCase
TestSteering.settings = settings(max_examples=60, stateful_step_count=20)
