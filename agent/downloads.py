"""Fetching one file over HTTP into `name.part`, and to its name once size and checksum are right.

Runs in a thread: `fetch` blocks. The server may answer any part of the range asked for (the control plane's
local-disk view gives 8 MiB at most), so it is asked on until the file is whole; a break resumes where it was.
"""

from __future__ import annotations

import hashlib
import random
import re
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

TIMEOUTS: Final = (5.0, 10.0)
"""Seconds to connect, and between two reads."""
BLOCK: Final = 128 * 1024
MOST_REDIRECTS: Final = 5
MOST_TRIES: Final = 8
"""In a row without a single new byte."""
LONGEST_WAIT: Final = 15.0
_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)\Z")
_REFUSALS: Final = {
    401: "the server asks for a sign-in",
    403: "the server refuses it: its address may have run out",
    404: "the server does not have it",
    410: "the server does not have it any more",
}


class DownloadError(Exception):
    """In plain words, without the address."""


class Refused(DownloadError):
    """Trying again will not help."""


class Broken(DownloadError):
    """It may work next time."""


class Cancelled(DownloadError):
    pass


@dataclass(frozen=True, slots=True)
class Trust:
    """Where files may come from, and pictures go to."""

    hosts: frozenset[str]
    plain_http: frozenset[str] = frozenset()
    ca_file: Path | None = None
    """Certificates trusted there besides the system's."""

    def session(self) -> requests.Session:
        """What the environment says of proxies and certificates does not count."""
        session = requests.Session()
        session.trust_env = False
        if self.ca_file is not None:
            session.mount("https://", _Trusting(self.ca_file))
        return session

    def check(self, url: str) -> None:
        """Raises `Refused` for any other place."""
        try:
            parts = urlsplit(url)
            names = {parts.netloc.lower(), (parts.hostname or "").lower()}
        except ValueError as error:
            raise Refused("its address is not a URL") from error
        if parts.username is not None or not names & self.hosts:
            raise Refused("its address is not on a trusted server")
        if parts.scheme != "https" and not (parts.scheme == "http" and names & self.plain_http):
            raise Refused("its address is not https")


class _Trusting(HTTPAdapter):
    """Adds to the system's certificates, which requests loads by itself."""

    def __init__(self, ca_file: Path) -> None:
        self._context = ssl.create_default_context(cafile=str(ca_file))
        super().__init__()

    def init_poolmanager(self, *args: Any, **more: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **more)


@dataclass(frozen=True, slots=True)
class Wanted:
    url: str = field(repr=False)
    path: Path
    size: int
    sha256: str | None = None

    @property
    def part(self) -> Path:
        return self.path.with_name(self.path.name + ".part")


class Download:
    """One file's download. `on_bytes(have)` is called from the calling thread as bytes arrive."""

    def __init__(
        self,
        wanted: Wanted,
        trust: Trust,
        on_bytes: Callable[[int], None],
        cancelled: threading.Event,
        first_wait: float = 0.5,
    ) -> None:
        self._wanted = wanted
        self._trust = trust
        self._on_bytes = on_bytes
        self._cancelled = cancelled
        self._first_wait = first_wait
        self.began_again = False
        """The bytes told of first were thrown away: whoever read along has read the wrong ones."""

    def fetch(self) -> None:
        """Raises `Refused`, `Broken` (after several tries) or `Cancelled`."""
        with self._trust.session() as session:
            self._fetch_all(session)
            if not self._sum_is_right():
                self.began_again = True
                # A part left over from another day may be the culprit: once more from the start.
                self._wanted.part.unlink()
                self._fetch_all(session)
                if not self._sum_is_right():
                    self._wanted.part.unlink()
                    raise Refused("what the server sent has another checksum")
        self._wanted.part.replace(self._wanted.path)

    def _fetch_all(self, session: requests.Session) -> None:
        have, tries = self._here(), 0
        self._on_bytes(have)
        while have < self._wanted.size:
            problem: Broken | None = None
            try:
                self._fetch_range(session, have)
            except Broken as error:
                problem = error
            before, have = have, self._here()
            if have > before:
                tries = 0
            elif problem is not None:
                tries += 1
                self._wait(tries, problem)

    def _wait(self, tries: int, problem: Broken) -> None:
        if tries >= MOST_TRIES:
            raise problem
        longest = min(LONGEST_WAIT, self._first_wait * 2 ** (tries - 1))
        if self._cancelled.wait(longest * random.uniform(0.5, 1.0)):  # noqa: S311
            raise Cancelled("cancelled")

    def _here(self) -> int:
        part = self._wanted.part
        size = part.stat().st_size if part.exists() else 0
        if size > self._wanted.size:
            part.unlink()
            return 0
        return size

    def _fetch_range(self, session: requests.Session, have: int) -> None:
        """Appends what one request brings. Raises `Broken` when it brought less than it said."""
        if self._cancelled.is_set():
            raise Cancelled("cancelled")
        try:
            with self._ask(session, have) as answer:
                self._append(answer, self._start_of(answer, have))
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise Broken(f"the connection broke ({type(error).__name__})") from error

    def _ask(self, session: requests.Session, have: int) -> requests.Response:
        url = self._wanted.url
        # No compression: ranges and sizes are of the bytes themselves.
        headers = {"Range": f"bytes={have}-", "Accept-Encoding": "identity"}
        for _ in range(MOST_REDIRECTS + 1):
            self._trust.check(url)
            answer = session.get(url, headers=headers, stream=True, timeout=TIMEOUTS, allow_redirects=False)
            if not answer.is_redirect:
                return answer
            url = urljoin(url, answer.headers["Location"])
            answer.close()
        raise Refused("the server redirects in circles")

    def _start_of(self, answer: requests.Response, have: int) -> int:
        """Where the answer's first byte belongs."""
        code = answer.status_code
        if code == 206:
            return self._start_of_range(answer, have)
        if code == 200:
            self._check_size(answer.headers.get("Content-Length"))
            return 0
        if code == 416:
            raise Refused("the server's file is shorter than expected")
        if code in _REFUSALS:
            raise Refused(_REFUSALS[code])
        if code == 429 or code >= 500:
            raise Broken(f"the server answers {code}")
        raise Refused(f"the server answers {code}")

    def _start_of_range(self, answer: requests.Response, have: int) -> int:
        match = _RANGE.match(answer.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != have:
            raise Refused("the server answers another range than asked for")
        self._check_size(match[3])
        return have

    def _check_size(self, told: str | None) -> None:
        if told is not None and told.isdigit() and int(told) != self._wanted.size:
            raise Refused(f"the server's file has {told} bytes, expected {self._wanted.size}")

    def _append(self, answer: requests.Response, start: int) -> None:
        have = start
        with self._wanted.part.open("r+b" if start else "wb") as file:
            file.seek(start)
            # What has arrived, not whole blocks: a slow server must not make cancelling slow.
            while block := answer.raw.read1(BLOCK, decode_content=False):
                if self._cancelled.is_set():
                    raise Cancelled("cancelled")
                have += len(block)
                if have > self._wanted.size:
                    raise Refused(f"the server sends more than {self._wanted.size} bytes")
                file.write(block)
                file.flush()
                self._on_bytes(have)
        if have == start:
            raise Broken("the server sent nothing")

    def _sum_is_right(self) -> bool:
        if self._wanted.sha256 is None:
            return True
        with self._wanted.part.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == self._wanted.sha256.lower()
