"""People every test may use. Their password is `PASSWORD`; it comes hashed: hashing takes a quarter second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module

import pytest
from django.apps import AppConfig, apps
from django.core.cache import cache
from django.db import connection
from django.db.models.signals import post_migrate
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from fleet import answers, commands, history
from streams import samples

pytest_plugins = ["lab.hosts.fixtures"]

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


@pytest.fixture
def no_redis(settings: Settings) -> Iterator[None]:
    """Everything looks for Redis where nobody listens."""
    nowhere = "redis://127.0.0.1:1/0"
    settings.REDIS_URL = settings.AGENT_REDIS_URL = nowhere
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": nowhere}}
    clients = (answers._client, commands._client, history._client, samples._client)
    for kept in clients:
        kept.cache_clear()
    yield
    for kept in clients:
        kept.cache_clear()


def _ship_packages(sender: AppConfig, **_kwargs: object) -> None:
    """A test with real transactions ends by emptying every table; what migrations shipped must come back."""
    if sender.name == "accounts":
        import_module("accounts.migrations.0002_shipped_packages").ship(apps, None)


post_migrate.connect(_ship_packages)
