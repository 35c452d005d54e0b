"""People every test may use. Their password is `PASSWORD`; it comes hashed: hashing takes a quarter second."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import pytest
from django.apps import apps
from django.core.cache import cache
from django.db import connection
from django.test import Client

from accounts.models import User

PASSWORD = "correct horse battery"
PASSWORD_HASH = "bcrypt_sha256$$2b$12$HG6eR9g/gbvVGWZbHWFeuORYn.YkbHVaj6yha5LGnVWQcr7xNwUN."


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Races are run on PostgreSQL only: SQLite has one writer and tells nothing about row locks."""
    if connection.vendor == "postgresql":
        return
    wanted = [item for item in items if "postgres" not in item.keywords]
    if len(wanted) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if item not in wanted])
        items[:] = wanted


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    """Limits counted in the cache must not leak from one test into the next."""
    cache.clear()


@pytest.fixture(autouse=True)
def _shipped_packages(request: pytest.FixtureRequest) -> None:
    """Tests with transactions of their own end by emptying every table; what migrations ship is put back first."""
    marker = request.node.get_closest_marker("django_db")
    own_transactions = marker is not None and marker.kwargs.get("transaction", False)
    if own_transactions or {"transactional_db", "live_server"} & set(request.fixturenames):
        request.getfixturevalue("transactional_db")
        import_module("accounts.migrations.0002_shipped_packages").ship(apps, None)


def make_user(email: str, name: str, **fields: object) -> User:
    return User.objects.create(email=email, name=name, password=PASSWORD_HASH, **fields)


@pytest.fixture
def alice(db: None) -> User:
    return make_user("alice@example.org", "Alice Archer")


@pytest.fixture
def bob(db: None) -> User:
    return make_user("bob@example.org", "Bob Baker")


@pytest.fixture
def operator(db: None) -> User:
    return make_user("operator@example.org", "Olga Operator", is_staff=True, is_superuser=True)


@pytest.fixture
def client_of() -> Callable[[User], Client]:
    """A browser in which somebody is logged in: `client_of(alice).get(…)`."""

    def logged_in(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return logged_in
