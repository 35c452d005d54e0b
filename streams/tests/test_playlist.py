import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.playlist import MAX_ITEMS, BadOrderError, apply

lists = st.lists(st.integers(1, 9), max_size=6)


@given(lists, st.sampled_from(["up", "down"]), st.integers(0, 8))
def test_moving_keeps_every_item(ids, verb, index):
    assert sorted(apply(ids, f"{verb}:{index}")) == sorted(ids)


@given(lists, st.integers(0, 8))
def test_up_undoes_down(ids, index):
    moved = apply(ids, f"down:{index}")
    assert moved == ids or apply(moved, f"up:{index + 1}") == ids


def test_there_is_an_end_to_it():
    assert len(apply([1] * MAX_ITEMS, "add:2")) == MAX_ITEMS


@pytest.mark.parametrize("order", ["", "up", "up:-1", "up:x", "sideways:1", "up:²"])
def test_nonsense_is_told_apart(order):
    with pytest.raises(BadOrderError):
        apply([1, 2], order)
