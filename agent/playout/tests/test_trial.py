"""«Test connection»: what it says of which server, and that it always says something in time."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from agent.playout.plan import Destination, Via
from agent.playout.target import Secret
from agent.playout.trial import Trial, trial
from lab.ports import free_port
from lab.processes import ROOM

from . import wire
from .clips import clip
from .driver import RunningPlayout, destination, items
from .servers import NginxRtmp, black_hole, deaf_port, http_server
from .wire import recording_server, says

BOTH = pytest.mark.parametrize("via", ["native", "ffmpeg"])
KEY = "s3cret-key"


def _try(url: str, via: Via = "native", *, ca_file: Path | None = None, reach_private: bool = True) -> Trial:
    place = Destination(1, "place", url, Secret(KEY), True, via)
    trusted = str(ca_file) if ca_file else None
    return asyncio.run(trial(place, ca_file=trusted, reach_private=reach_private, ffmpeg="ffmpeg"))


@BOTH
def test_a_server_that_takes_the_key_gets_no_media_and_a_goodbye(via: Via) -> None:
    with recording_server() as (url, talks):
        answer = _try(url, via)
    assert (answer.state, answer.message) == ("ok", "the server accepted the stream")
    assert 0 < answer.took_ms < 10_000
    (talk,) = talks
    assert [each.name for each in talk.commands()][-3:] == ["publish", "FCUnpublish", "deleteStream"]
    assert [each for each in talk.media() if each.payload[1] == 1] == []


@contextmanager
def _wrong_app() -> Iterator[str]:
    with NginxRtmp() as server:
        yield server.url.replace("/live", "/nothing")


@contextmanager
def _key_refused() -> Iterator[str]:
    """By the gatekeeper that nginx-rtmp asks, as a platform's own would."""
    with http_server(403) as port, NginxRtmp(application=f"on_publish http://127.0.0.1:{port}/;") as server:
        yield server.url


@contextmanager
def _closing(name: str) -> Iterator[str]:
    with recording_server(says(name)) as (url, _):
        yield url


@contextmanager
def _at(port: AbstractContextManager[int]) -> Iterator[str]:
    with port as number:
        yield f"rtmp://127.0.0.1:{number}/live"


@contextmanager
def _given(url: str) -> Iterator[str]:
    yield url


CASES: dict[str, tuple[Callable[[], AbstractContextManager[str]], str, str]] = {
    "wrong app": (_wrong_app, "refused", "is the application right?"),
    "key refused": (_key_refused, "refused", "when it was given the stream key"),
    "closes on publish": (lambda: _closing("publish"), "refused", "when it was given the stream key"),
    "closes on createStream": (lambda: _closing("createStream"), "unreachable", "closed the connection on «createStr"),
    "says nothing": (lambda: _at(black_hole()), "unreachable", "says nothing"),
    "black hole": (lambda: _at(deaf_port()), "unreachable", "no answer from 127.0.0.1"),
    "refused port": (lambda: _given(f"rtmp://127.0.0.1:{free_port()}/live"), "unreachable", "connection refused"),
    "no such host": (lambda: _given("rtmp://no-such-host.invalid/live"), "unreachable", "cannot be resolved"),
    "no URL": (lambda: _given("http://127.0.0.1/live"), "failed", "must begin with rtmp://"),
}


@BOTH
@pytest.mark.parametrize("case", CASES)
def test_what_is_said_of_it(case: str, via: Via) -> None:
    server, state, message = CASES[case]
    with server() as url:
        began = time.monotonic()
        answer = _try(url, via)
        took_s = time.monotonic() - began
    assert (answer.state, message in answer.message) == (state, True), answer
    assert took_s < 10
    assert answer.took_ms == pytest.approx(took_s * 1000, abs=500 * ROOM)


@BOTH
@pytest.mark.parametrize("slow", ["connect", "createStream", "publish"])
def test_it_answers_in_time_whatever_the_server_leaves_unanswered(slow: str, via: Via) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire, "_answers", _all_but(slow))
        with recording_server() as (url, _):
            began = time.monotonic()
            answer = _try(url, via)
    assert answer.state == "unreachable"
    assert "did not answer" in answer.message
    assert time.monotonic() - began < 10


def test_a_server_that_looks_at_the_key_a_little_later_is_waited_for() -> None:
    """Only by our own client: an FFmpeg without media is gone before."""
    with NginxRtmp(application="deny publish all;") as server:
        answer = _try(server.url)
    assert (answer.state, answer.message) == (
        "refused",
        "the server accepted the stream and at once closed the connection",
    )


def _all_but(name: str) -> Callable[[wire.Heard], list[bytes]]:
    usual = wire._answers
    return lambda heard: [] if heard.type_id == wire.COMMAND and heard.name == name else usual(heard)


@BOTH
def test_a_key_in_use_is_refused_by_name(via: Via, tmp_path: Path) -> None:
    with NginxRtmp() as server, RunningPlayout(tmp_path, items(clip()), [destination(1, server.url, KEY)]) as playout:
        playout.wait_for_state(1, "live")
        answer = _try(server.url, via)
        assert playout.state(1) == "live"
    assert answer.state == "refused"
    assert "Already publishing" in answer.message


@BOTH
@pytest.mark.parametrize(("trusted", "state"), [(True, "ok"), (False, "failed")])
def test_a_certificate_is_checked(
    rtmps: tuple[NginxRtmp, int], certificate: Path, via: Via, trusted: bool, state: str
) -> None:
    answer = _try(f"rtmps://localhost:{rtmps[1]}/live", via, ca_file=certificate if trusted else None)
    assert answer.state == state
    assert trusted or "certificate of «localhost» is not valid" in answer.message


@BOTH
def test_a_private_address_has_failed(via: Via) -> None:
    answer = _try("rtmp://localhost:1/live", via, reach_private=False)
    assert (answer.state, answer.message) == ("failed", "«localhost» leads inside a private network")


@BOTH
def test_the_key_is_in_no_answer(via: Via) -> None:
    with recording_server(says("publish")) as (url, talks):
        answer = _try(url, via)
    assert talks[0].command("publish").values[3] == KEY
    assert KEY not in repr(answer)
