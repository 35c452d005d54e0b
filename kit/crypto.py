"""Secrets at rest: AES-256-GCM under named keys, so that a key can be replaced without a flag day.

A sealed value is `key_id:base64(nonce + ciphertext + tag)`. The context (table, column and row) is authenticated:
a ciphertext moved to another row does not open.
"""

from __future__ import annotations

import base64
import binascii
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32

Keys = dict[str, bytes]


class CannotOpenError(Exception):
    """The value was sealed under a key we do not have, for another place, or was changed."""


class BadKeysError(ValueError):
    """FIELD_KEYS is not `id:base64,id:base64` with 32-byte keys."""


def parse_keys(text: str) -> Keys:
    """Keys by id, in the order given: the first seals, all open."""
    keys: Keys = {}
    for part in text.split(","):
        key_id, _, encoded = part.strip().partition(":")
        keys[key_id] = _decode_key(key_id, encoded)
    return keys


def _decode_key(key_id: str, encoded: str) -> bytes:
    try:
        key = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise BadKeysError(f"FIELD_KEYS: key «{key_id}» is not base64") from error
    if not key_id.isalnum() or len(key) != _KEY_BYTES:
        raise BadKeysError("FIELD_KEYS: want `id:base64` with 32 bytes each; make one with bin/new-field-key")
    return key


def seal(plaintext: str, context: str, keys: Keys) -> str:
    key_id, key = next(iter(keys.items()))
    nonce = os.urandom(_NONCE_BYTES)
    sealed = AESGCM(key).encrypt(nonce, plaintext.encode(), context.encode())
    return f"{key_id}:{base64.b64encode(nonce + sealed).decode()}"


def unseal(token: str, context: str, keys: Keys) -> str:
    key_id, _, encoded = token.partition(":")
    if key_id not in keys:
        raise CannotOpenError(f"sealed under key «{key_id}», which FIELD_KEYS does not have")
    try:
        raw = base64.b64decode(encoded, validate=True)
        return AESGCM(keys[key_id]).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], context.encode()).decode()
    except (binascii.Error, InvalidTag, ValueError) as error:
        raise CannotOpenError("the sealed value does not open for this row") from error


def is_newest(token: str, keys: Keys) -> bool:
    """False when an older key than the first of FIELD_KEYS sealed it: seal it again, then that key may go."""
    return token.partition(":")[0] == next(iter(keys))
