"""Servers that send their publishers elsewhere: followed, but not for ever, not into the open, not inside."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from agent.playout import amf
from agent.playout.connect import open_link, redirected, trusting
from agent.playout.link import Link, Misconfigured
from agent.playout.rtmp import NONCE_SIZE, Redirected, RtmpError, Session, Temporary
from agent.playout.target import parse_target

from .servers import NginxRtmp, tcp_server
from .test_rtmp import CONNECTED, CREATED, S0S1S2, command

KEY = "abc-secret"


def _info(**more: amf.Value) -> amf.Value:
    return {"level": "error", "code": "NetConnection.Connect.Rejected", "description": "moved", **more}


def _ways(url: str) -> dict[str, bytes]:
    """How servers say it."""
    return {
        "_error with ex": command("_error", 1, None, _info(ex={"code": 302, "redirect": url})),
        "onStatus with ex": command("onStatus", 0, None, _info(ex={"code": 302, "redirect": url})),
        "in the status itself": command("onStatus", 0, None, _info(redirect=url)),
    }


@contextmanager
def sending_to(url: str) -> Iterator[tuple[str, list[int]]]:
    """A server that sends everybody to `url`: its own URL, and one entry per publisher that came."""
    came: list[int] = []

    def serve(connection: socket.socket) -> None:
        came.append(1)
        connection.sendall(S0S1S2 + _ways(url)["_error with ex"])
        while connection.recv(65536):
            pass

    with tcp_server(serve) as port:
        yield f"rtmp://127.0.0.1:{port}/live", came


def _open(url: str, *, reach_private: bool = True) -> Link:
    async def attempt() -> Link:
        link = await open_link(parse_target(url, KEY), lambda: trusting(None), reach_private=reach_private)
        await link.leave()
        return link

    return asyncio.run(attempt())


@pytest.mark.parametrize("way", sorted(_ways("")))
@pytest.mark.parametrize("suffix", ["", f"/{KEY}"], ids=["a tcUrl", "a whole URL"])
def test_a_redirect_is_understood(way: str, suffix: str) -> None:
    session = Session(parse_target("rtmp://h/app", KEY), bytes(NONCE_SIZE))
    session.receive(S0S1S2)
    with pytest.raises(Redirected) as caught:
        session.receive(_ways("rtmp://there/live" + suffix)[way])
    assert caught.value.url == "rtmp://there/live"
    assert KEY not in str(caught.value)


def test_a_redirect_may_come_as_late_as_the_publish() -> None:
    session = Session(parse_target("rtmp://h/app", KEY), bytes(NONCE_SIZE))
    session.receive(S0S1S2 + CONNECTED + CREATED)
    with pytest.raises(Redirected):
        session.receive(command("onStatus", 0, None, {"code": "NetStream.Publish.Redirect", "redirect": "rtmp://b/c"}))


def test_a_redirect_is_followed() -> None:
    with NginxRtmp() as server, sending_to(server.url) as (first, came):
        _open(first)
        assert came == [1]
        assert f"publish: name='{KEY}'" in server.log()


def test_a_ring_of_redirects_has_an_end() -> None:
    came: list[int] = []

    def serve(connection: socket.socket) -> None:
        came.append(1)
        port = connection.getsockname()[1]
        connection.sendall(S0S1S2 + _ways(f"rtmp://127.0.0.1:{port}/live")["_error with ex"])
        connection.recv(65536)

    with tcp_server(serve) as port, pytest.raises(Temporary, match="more than 3 times"):
        _open(f"rtmp://127.0.0.1:{port}/live")
    assert len(came) == 4


@pytest.mark.parametrize(
    ("url", "there", "reason"),
    [
        ("rtmps://h/app", "rtmp://h/app", "without encryption"),
        ("rtmp://h/app", "http://h/app", "no RTMP address"),
        ("rtmp://h/app", "rtmp://h/a b", "no RTMP address"),
        ("rtmp://h/app", "rtmp://", "no RTMP address"),
    ],
)
def test_where_nobody_goes(url: str, there: str, reason: str) -> None:
    with pytest.raises(Misconfigured, match=reason):
        redirected(parse_target(url, KEY), there)


def test_from_plain_to_secure_is_gone() -> None:
    assert redirected(parse_target("rtmp://h/app", KEY), "rtmps://h:444/app").port == 444


def test_a_redirect_does_not_lead_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first server counts as public here; where it sends us does not."""
    asked: list[bytes] = []
    monkeypatch.setattr("agent.playout.connect.is_public", lambda address: address == "127.0.0.1")
    with (
        tcp_server(lambda client: asked.append(client.recv(1))) as inside,
        sending_to(f"rtmp://127.0.0.2:{inside}/live") as (first, came),
        pytest.raises(RtmpError, match="private"),
    ):
        _open(first, reach_private=False)
    assert came == [1]
    assert asked == []
