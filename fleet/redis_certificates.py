"""TLS for the Redis that agents reach: an authority and a certificate in a folder, renewed in time, keys 0600."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import redis

from kit import certificates
from kit.certificates import Certificate, Key

AUTHORITY: Final = "EZStream authority"
ALWAYS: Final = ("localhost", "127.0.0.1", "::1")
"""Also by a tunnel, which ends on loopback."""
RENEWED_BEFORE: Final = timedelta(days=60)
AUTHORITY_RENEWED_BEFORE: Final = timedelta(days=730)
"""Longer than what it signs lasts: nothing outlives who vouched for it, and agents get the new one meanwhile."""


class BadFilesError(Exception):
    """What lies in the folder is not ours to replace; the text says which file."""


@dataclass(frozen=True, slots=True)
class Folder:
    path: Path

    @property
    def ca(self) -> Path:
        return self.path / "ca.crt"

    @property
    def ca_key(self) -> Path:
        return self.path / "ca.key"

    @property
    def certificate(self) -> Path:
        return self.path / "server.crt"

    @property
    def key(self) -> Path:
        return self.path / "server.key"

    def redis_conf(self, port: int) -> list[str]:
        return [
            f"tls-port {port}",
            f"tls-cert-file {self.certificate}",
            f"tls-key-file {self.key}",
            f"tls-ca-cert-file {self.ca}",
            "tls-auth-clients no",
        ]


@dataclass(frozen=True, slots=True)
class Outcome:
    names: list[str]
    until: datetime
    made: list[str] = field(default_factory=list)
    """Files that are new; empty: all was well."""


def renew(folder: Folder, names: Iterable[str], now: datetime, owner: str | None = None) -> Outcome:
    """Makes what is missing, ends soon, or does not fit; leaves the rest as it is. Names already there are kept.

    `owner`: the user Redis runs as, who must read the server's key. Raises BadNameError, BadFilesError, OSError.
    """
    folder.path.mkdir(parents=True, exist_ok=True, mode=0o755)
    made: list[str] = []
    ca_key, key = _key(folder.ca_key, made), _key(folder.key, made)
    ca = _authority(folder.ca, ca_key, now, made)
    old = _read(folder.certificate)
    kept = certificates.names_in(old) if old else set()
    wanted = certificates.plain_names([*ALWAYS, *names]) | kept
    good = old if old and _is_good(old, key, ca, wanted, now) else None
    new = good or certificates.server(key, wanted, ca, ca_key, now)
    if good is None:
        _write(folder.certificate, certificates.certificate_pem(new), 0o644, made)
    if owner:
        shutil.chown(folder.key, owner)
    return Outcome(sorted(wanted), new.not_valid_after_utc, made)


def _is_good(certificate: Certificate, key: Key, ca: Certificate, names: set[str], now: datetime) -> bool:
    fits = certificates.is_of(certificate, key) and certificates.is_vouched_for(certificate, ca)
    has_all = names <= certificates.names_in(certificate)
    return fits and has_all and certificates.lasts(certificate, now) > RENEWED_BEFORE


def _authority(path: Path, key: Key, now: datetime, made: list[str]) -> Certificate:
    old = _read(path)
    if old and certificates.is_of(old, key) and certificates.lasts(old, now) > AUTHORITY_RENEWED_BEFORE:
        return old
    new = certificates.authority(key, AUTHORITY, now)
    _write(path, certificates.certificate_pem(new), 0o644, made)
    return new


def _key(path: Path, made: list[str]) -> Key:
    if path.exists():
        path.chmod(0o600)
        try:
            return certificates.read_key(path.read_bytes())
        except ValueError as error:
            raise BadFilesError(f"{path} is no key that was made here: move it away") from error
    key = certificates.new_key()
    _write(path, certificates.key_pem(key), 0o600, made)
    return key


def _read(path: Path) -> Certificate | None:
    if not path.exists():
        return None
    try:
        return certificates.read_certificate(path.read_bytes())
    except ValueError as error:
        raise BadFilesError(f"{path} is no certificate: move it away") from error


def _write(path: Path, content: bytes, mode: int, made: list[str]) -> None:
    """Never half, and never readable by others for a moment."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fsync(descriptor)
        Path(name).chmod(mode)
        Path(name).rename(path)
    finally:
        Path(name).unlink(missing_ok=True)
    made.append(path.name)


def reload(folder: Folder, url: str) -> bool:
    """Lets a running Redis read the files anew; False when it uses others. Raises redis.RedisError."""
    with redis.Redis.from_url(url, decode_responses=True, socket_timeout=5, socket_connect_timeout=5) as client:
        if client.config_get("tls-cert-file").get("tls-cert-file") != str(folder.certificate):
            return False
        client.config_set(
            "tls-cert-file",
            str(folder.certificate),
            "tls-key-file",
            str(folder.key),
            "tls-ca-cert-file",
            str(folder.ca),
        )
    return True
