import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.playlist import MAX_ITEMS, BadOrderError, apply
from streams.spec import ItemSpec, videos

items = st.builds(ItemSpec, st.sampled_from(["file", "live"]), st.integers(1, 9))
lists = st.lists(items, max_size=6)


@given(lists, st.sampled_from(["up", "down"]), st.integers(0, 8))
def test_moving_keeps_every_item(ids, verb, index):
    assert sorted(map(str, apply(ids, f"{verb}:{index}"))) == sorted(map(str, ids))


@given(lists, st.integers(0, 8))
def test_up_undoes_down(ids, index):
    moved = apply(ids, f"down:{index}")
    assert moved == ids or apply(moved, f"up:{index + 1}") == ids


def test_there_is_an_end_to_it():
    assert len(apply(list(videos([1])) * MAX_ITEMS, "add:2")) == MAX_ITEMS


@pytest.mark.parametrize("order", ["", "up", "up:-1", "up:x", "sideways:1", "up:²", "add:", "add:live-", "add:live-x"])
def test_nonsense_is_told_apart(order):
    with pytest.raises(BadOrderError):
        apply(list(videos([1, 2])), order)


@given(lists, items)
def test_what_is_added_stands_last(ids, item):
    assert apply(ids, f"add:{item}") == [*ids, item]


@given(items)
def test_a_form_carries_it_there_and_back(item):
    assert ItemSpec.parse(str(item)) == item


@pytest.mark.parametrize("text", ["", "x", "live-", "live-live-1", "-1", "1" * 19, "²", "live-²"])
def test_what_no_form_sends_is_no_item(text):
    assert ItemSpec.parse(text) is None
