"""What every page's test asks: who may, with which method."""

from __future__ import annotations

from django.test import Client

from accounts.models import User
from streams.tests import build

CANARY = "canary-k3y-0f-a-channel"


def browser(user: User | None = None) -> Client:
    client = Client()
    if user is not None:
        client.force_login(user)
    return client


def assert_login_wanted(url: str, method: str = "get") -> None:
    answer = getattr(browser(), method)(url)
    assert answer.status_code == 302
    assert "/account/login/" in answer["Location"]


def said(answer) -> list[str]:
    """The notes of the page a form led to (asked for with follow=True)."""
    return [str(message) for message in answer.context["messages"]]


def form_of(owner: User, **fields) -> dict:
    """What the stream editor sends: one video, one destination that is on."""
    place = build.destination(owner)
    typed = {
        "title": "Harbour TV",
        "description": "Day and night",
        "order": "sequential",
        "loop": "on",
        "playlist": [build.file(owner).pk],
        "outputs": [place.pk],
        "enabled": [place.pk],
        "platform": "youtube",
        "name": "",
        "url": "rtmp://a.rtmp.youtube.com/live2",
        "key": "",
        "do": "save",
    } | fields
    return {name: value for name, value in typed.items() if value is not None}
