"""Sealed secrets: what opens, what does not, and which keys are refused."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.crypto import BadKeysError, CannotOpenError, is_newest, parse_keys, seal, unseal

KEYS = {"b": bytes(range(32)), "a": bytes(32)}
encoded = base64.b64encode(bytes(32)).decode()


@given(st.text(), st.text())
def test_what_was_sealed_opens_in_its_place(secret, place):
    token = seal(secret, place, KEYS)
    assert unseal(token, place, KEYS) == secret
    assert len(secret) < 4 or secret not in token


def test_the_first_key_seals_and_all_open():
    old = seal("s", "place", {"a": KEYS["a"]})
    assert unseal(old, "place", KEYS) == "s"
    assert not is_newest(old, KEYS)
    assert is_newest(seal("s", "place", KEYS), KEYS)


def test_elsewhere_it_does_not_open():
    with pytest.raises(CannotOpenError, match="this row"):
        unseal(seal("s", "destination 1", KEYS), "destination 2", KEYS)


@given(st.integers(min_value=0, max_value=28), st.integers(min_value=1, max_value=255))
def test_one_changed_byte_is_noticed(index, flip):
    key_id, _, body = seal("s", "place", KEYS).partition(":")
    raw = bytearray(base64.b64decode(body))
    raw[index] ^= flip
    with pytest.raises(CannotOpenError):
        unseal(f"{key_id}:{base64.b64encode(raw).decode()}", "place", KEYS)


@given(st.text())
def test_anything_else_is_refused(token):
    with pytest.raises(CannotOpenError):
        unseal(token, "place", KEYS)


def test_keys_keep_their_order():
    assert list(parse_keys(f"new:{encoded}, old:{encoded}")) == ["new", "old"]


@pytest.mark.parametrize("text", ["", "x", "x:", "x:AAAA", f":{encoded}", f"a b:{encoded}", "x:%%%", f"x:{encoded},"])
def test_bad_keys_are_refused_by_name(text):
    with pytest.raises(BadKeysError, match="FIELD_KEYS"):
        parse_keys(text)
