"""pytest's road to real servers: `vps_lab` and `vps_pair` for the session, `fresh_vps` for what a test spoils.

Where hosts cannot run, tests that ask for one are skipped and say why; in CI a skipped test has failed (tests/env.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest

from lab.hosts.host import Host
from lab.hosts.lab import Lab
from lab.hosts.needs import missing

FreshVps = Callable[..., Host]
"""`fresh_vps(packages=())`: a new host, gone after the test."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """So that `-m lab` chooses by what a test asks for; before pytest itself chooses."""
    for item in items:
        if "vps_lab" in getattr(item, "fixturenames", ()):
            item.add_marker("lab")


@pytest.fixture(scope="session")
def vps_lab() -> Iterator[Lab]:
    if lacking := missing():
        pytest.skip(lacking)
    with Lab() as lab:
        yield lab


@pytest.fixture(scope="session")
def vps_pair(vps_lab: Lab) -> tuple[Host, Host]:
    """Two bare hosts that live as long as the session: tests leave them as they found them."""
    first, second = vps_lab.several(["one", "two"])
    return first, second


@pytest.fixture
def fresh_vps(vps_lab: Lab) -> Iterator[FreshVps]:
    made: list[Host] = []

    def fresh(packages: Sequence[str] = ()) -> Host:
        made.append(vps_lab.host(f"f{vps_lab.made}", packages))
        return made[-1]

    yield fresh
    for host in made:
        vps_lab.remove(host)
