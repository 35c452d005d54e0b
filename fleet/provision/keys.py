"""SSH keys as text: private ones as people paste them, host keys as they are pinned."""

from __future__ import annotations

import base64
import binascii
import io
from typing import Final

import paramiko
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.utils.translation import gettext as _
from paramiko.pkey import UnknownKeyType

from fleet.provision.errors import BadLogin

KINDS: Final[tuple[type[paramiko.PKey], ...]] = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)
OURS: Final = "ezstream"
"""The comment behind public keys of ours."""


def read_private(text: str) -> paramiko.PKey:
    """Raises `BadLogin` with words. Line ends of a browser's text field are taken as they come."""
    plain = "\n".join(line.strip() for line in text.strip().splitlines()) + "\n"
    if plain.startswith(("ssh-", "ecdsa-")):
        raise BadLogin(_("This is a public key. The private one begins with «-----BEGIN»."))
    if plain.startswith("PuTTY-"):
        raise BadLogin(_("This is a key of PuTTY. Export it as an OpenSSH key first."))
    for kind in KINDS:
        try:
            return kind.from_private_key(io.StringIO(plain))
        except paramiko.PasswordRequiredException:
            raise BadLogin(_("This key wants a passphrase. Give one without (ssh-keygen -p takes it off).")) from None
        except (paramiko.SSHException, ValueError, IndexError, TypeError, UnicodeError, binascii.Error):
            continue
    raise BadLogin(_("This is no private key we can read. Ed25519, ECDSA and RSA are, in PEM or OpenSSH form."))


def make_private() -> str:
    """A new Ed25519 key in OpenSSH's form."""
    key = Ed25519PrivateKey.generate()
    form, plain = serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, plain).decode()


def public_line(private: str) -> str:
    """What goes into `authorized_keys`. Raises `BadLogin`."""
    key = read_private(private)
    return f"{key.get_name()} {key.get_base64()} {OURS}"


def written(key: paramiko.PKey) -> str:
    """A host key as it is pinned: `ssh-ed25519 AAAA…`."""
    return f"{key.get_name()} {key.get_base64()}"


def read_host_key(text: str) -> paramiko.PKey:
    """Raises `ValueError`. A comment behind it is dropped."""
    parts = text.split()
    if len(parts) < 2:
        raise ValueError("not a host key")
    try:
        data = base64.b64decode(parts[1], validate=True)
        key = paramiko.PKey.from_type_string(parts[0], data)
    except (paramiko.SSHException, UnknownKeyType, binascii.Error, IndexError) as error:
        raise ValueError("not a host key") from error
    return key


def fingerprint(text: str) -> str:
    """As `ssh-keygen -lf` shows it, with its kind; of what is no key: a sign for none."""
    try:
        key = read_host_key(text)
    except ValueError:
        return "–"
    return f"{key.fingerprint} ({key.get_name()})"
