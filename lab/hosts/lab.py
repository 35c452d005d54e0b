"""Hosts on a wire of their own; several labs may run at once, on one machine, by one number each.

A lab's lock file is held as long as its process lives: what has a lock file that nobody holds was left by a killed one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Final, Self

from lab.hosts import cgroups, network
from lab.hosts.host import Host
from lab.hosts.image import base_image
from lab.hosts.needs import missing, try_run
from lab.hosts.network import Network
from lab.processes import wait_until

HOME: Final = Path("/var/lib/ezstream-lab")
_NUMBERS: Final = range(1, 100)


class LabCannotRunError(RuntimeError):
    """What the machine lacks, in the message."""


class Lab:
    """`with Lab() as lab:` from the main thread; `lab.address` is this machine, as its hosts see it."""

    def __init__(self) -> None:
        self.hosts: dict[str, Host] = {}
        self.made = 0

    def __enter__(self) -> Self:
        if lacking := missing():
            raise LabCannotRunError(lacking)
        reap_dead()
        self._lock, self.network = _claim()
        try:
            with _together():
                _remember_forwarding()
                self.network.make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        for host in [*self.hosts.values()]:
            self.remove(host)
        _release(self.network.number)
        self._lock.close()

    @property
    def address(self) -> str:
        return self.network.address()

    @property
    def address6(self) -> str:
        return self.network.address6()

    def host(self, name: str, packages: Sequence[str] = ()) -> Host:
        """A host that greets; bare, or with Debian packages on it from the start."""
        return self.several([name], packages)[0]

    def several(self, names: Sequence[str], packages: Sequence[str] = ()) -> list[Host]:
        """They boot side by side."""
        image = base_image(packages)
        started = [self._start(name, image) for name in names]
        for host in started:
            host.wait_up()
        return started

    def remove(self, host: Host) -> None:
        host.remove()
        del self.hosts[host.name]

    def _start(self, name: str, image: Path) -> Host:
        if name in self.hosts:
            raise ValueError(f"there is a host {name!r} already")
        self.made += 1
        home = _home(self.network.number) / name
        host = self.hosts[name] = Host(name, self.made + 1, self.network, home)
        host.start(image)
        return host


def reap_dead() -> None:
    """Removes what labs left whose process was killed. Their hosts died with them."""
    for number in sorted(int(path.stem) for path in HOME.glob("*.lock")):
        with contextlib.suppress(BlockingIOError), _locked(number):
            _release(number)


def _home(number: int) -> Path:
    return HOME / str(number)


def _claim() -> tuple[IO[str], Network]:
    for number in _NUMBERS:
        with contextlib.suppress(BlockingIOError):
            lock = _lock(number)
            return lock, Network(number)
    raise LabCannotRunError(f"{len(_NUMBERS)} labs run already")


def _lock(number: int) -> IO[str]:
    """Raises BlockingIOError when a living lab has it."""
    HOME.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = HOME / f"{number}.lock"
    while True:
        lock = path.open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise
        if path.exists() and path.stat().st_ino == os.fstat(lock.fileno()).st_ino:
            return lock
        lock.close()  # its owner removed the file between our opening and locking it


@contextmanager
def _locked(number: int) -> Iterator[None]:
    with _lock(number):
        yield


def _release(number: int) -> None:
    """Takes away all that bears the lab's number; its lock must be held."""
    wire = Network(number)
    for machine in cgroups.named(wire.machines):
        try_run("ip", "link", "delete", f"vb-{machine}")
        wait_until(partial(cgroups.remove, machine), f"what a killed lab left in {machine} ended")
    wire.remove()
    shutil.rmtree(_home(number), ignore_errors=True)
    (HOME / f"{number}.lock").unlink()
    with _together():
        _forget_forwarding()


# One lab turns the machine's forwarding on while another ends: what it was is kept until the last one is gone.
_BEFORE: Final = HOME / "ip_forward"


@contextmanager
def _together() -> Iterator[None]:
    with (HOME / "together").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remember_forwarding() -> None:
    if not _BEFORE.exists():
        _BEFORE.write_text(network.forwarding())


def _forget_forwarding() -> None:
    if not any(HOME.glob("*.lock")) and _BEFORE.exists():
        network.restore_forwarding(_BEFORE.read_text())
        _BEFORE.unlink()
