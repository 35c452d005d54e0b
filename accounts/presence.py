"""Whether somebody who signed in once still is: for connections that outlive the request that opened them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.base import SessionBase
from django.utils.crypto import constant_time_compare

from accounts.models import User


def present(scope: dict[str, Any]) -> User | AnonymousUser:
    """The user of a socket as they are now: nobody, once the session was ended, the password changed or the
    account switched off. Two queries."""
    session = _read_again(scope["session"])
    user = User.objects.filter(pk=int(session.get(SESSION_KEY, 0)), is_active=True).first()
    return user if user is not None and _opens(session, user) else AnonymousUser()


def _read_again(session: SessionBase) -> SessionBase:
    store = import_module(settings.SESSION_ENGINE).SessionStore
    fresh: SessionBase = store(session_key=session.session_key)
    return fresh


def _opens(session: SessionBase, user: User) -> bool:
    return constant_time_compare(session.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash())
