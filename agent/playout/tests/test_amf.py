import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.playout import amf

NUMBERS = st.floats(allow_nan=False)
SCALARS = st.none() | st.booleans() | NUMBERS | st.text(max_size=50)
NAMES = st.text(min_size=1, max_size=10)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=15,
)


@given(st.lists(VALUES, max_size=5))
def test_what_is_encoded_is_decoded(values: list[amf.Value]) -> None:
    assert amf.decode(amf.encode(*values)) == values


@given(st.binary(max_size=300))
@example(b"\x0a\xff\xff\xff\xff" * 40)
@example(b"\x03\x00\x01a" * 40)
def test_any_bytes_decode_or_raise_amf_error(data: bytes) -> None:
    try:
        amf.decode(data)
    except amf.AmfError:
        return


@given(st.lists(VALUES, min_size=1, max_size=3), st.data())
def test_cut_short_is_an_error_or_fewer_values(values: list[amf.Value], data: st.DataObject) -> None:
    whole = amf.encode(*values)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    try:
        assert len(amf.decode(cut)) < len(values)
    except amf.AmfError:
        return


def test_a_long_string_keeps_its_length() -> None:
    text = "x" * 70_000
    assert amf.decode(amf.encode(text)) == [text]


def test_an_ecma_array_comes_back_as_one() -> None:
    raw = amf.encode(amf.EcmaArray(width=320.0))
    assert raw[0] == 8
    assert isinstance(amf.decode(raw)[0], amf.EcmaArray)


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(amf.AmfError, match="deeply"):
        amf.decode(b"\x0a\x00\x00\x00\x01" * 50)
