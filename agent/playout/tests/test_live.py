"""Live inputs, from senders that really send to what would go on air."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pytest

from agent.playout import input_monitor, input_reader
from agent.playout.flv import AUDIO, VIDEO
from agent.playout.live import LiveInputs, LiveSource
from agent.playout.plan import Item
from lab.processes import ROOM, NotInTimeError

from .clips import clip
from .live_inputs import (
    Condition,
    Sent,
    StandIn,
    children,
    file_item,
    in_order,
    live_item,
    of_item,
    readers,
    steps,
    to_hls,
    to_rtmp,
    wait_for_segments,
    web_server,
)
from .servers import NginxRtmp, black_hole, tcp_server

SOON_S = 2.0


@pytest.fixture(scope="module")
def server() -> Iterator[NginxRtmp]:
    with NginxRtmp() as running:
        yield running


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes back need not prove itself for long: another test holds the ten seconds."""
    monkeypatch.setattr(input_monitor, "STABLE_S", SOON_S)


class Played:
    """A stand-in programme that plays while the test looks on."""

    def __init__(self, items: list[Item], **live: Any) -> None:
        plain = {"ffmpeg": lambda: "ffmpeg", "wake": lambda: None, "reach_private": lambda: True}
        self.live = LiveInputs(**(plain | live))
        self.programme = StandIn(items, self.live)

    @property
    def state(self) -> str | None:
        status = self.live.status()
        return status and status["state"]

    @property
    def reason(self) -> str | None:
        status = self.live.status()
        return status and status["reason"]

    @property
    def explained(self) -> bool:
        return self.reason not in (None, input_monitor.CONNECTING)

    async def until(self, condition: Condition, what: str, limit_s: float = 15) -> float:
        """Seconds until it was true."""
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > limit_s * ROOM:
                raise NotInTimeError(f"not within {limit_s * ROOM:g} s: {what}; input: {self.live.status()}")
            self.programme.tick()
            await asyncio.sleep(0.05)
        return time.monotonic() - began

    async def on_air(self, item_id: int, limit_s: float = 15) -> float:
        return await self.until(lambda: self.programme.on_air == item_id, f"item {item_id} on air", limit_s)

    async def for_a_while(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        await self.until(lambda: time.monotonic() >= end, "time goes by", seconds + 5)


def play(items: list[Item], story: Callable[[Played], Awaitable[None]], **live: Any) -> StandIn:
    """Afterwards no FFmpeg is left, running or dead."""

    async def whole() -> StandIn:
        played = Played(items, **live)
        try:
            await story(played)
        finally:
            played.programme.close()
            await played.live.close()
            assert not readers()
        return played.programme

    return asyncio.run(whole())


def usable(sent: list[Sent]) -> None:
    """One stay on air: it begins with a key frame, both tracks go on without a hole, side by side."""
    video, audio = ([each for each in sent if each.kind == kind] for kind in (VIDEO, AUDIO))
    assert video[0].key_frame
    assert len(video) > 20
    for track in (video, audio):
        assert min(steps(track)) >= 0
        assert max(steps(track)) <= 100
    assert abs(video[0].stamp - audio[0].stamp) <= 100
    assert abs(video[-1].stamp - audio[-1].stamp) <= 700
    shifts = {each.stamp - each.own for each in video + audio}
    assert max(shifts) - min(shifts) <= 100, "sound and picture keep their distance"


def _proc(pid: int, name: str) -> bytes:
    return Path(f"/proc/{pid}/{name}").read_bytes()


def test_rtmp_goes_on_air_and_its_address_is_in_no_argument_list(server: NginxRtmp, tmp_path: Path) -> None:
    url = f"{server.url}/canary-4711"
    shown: list[bytes] = []

    async def story(played: Played) -> None:
        await played.on_air(1)
        (pid,) = readers()
        shown.extend(_proc(pid, name) for name in ("cmdline", "environ"))
        shown.append(repr(played.live.status()).encode())
        await played.for_a_while(3)
        assert played.live.status() == {
            "item_id": 1,
            "state": "on",
            "since": pytest.approx(time.time(), abs=60),
            "reason": None,
        }

    with to_rtmp(url):
        programme = play([live_item(1, url)], story)
    assert b"concat" in shown[0]
    assert not [text for text in shown if b"canary" in text]
    usable([each for each in programme.sent if each.item_id == 1])
    assert {kind for _, kind, _ in programme.headers} >= {VIDEO, AUDIO}


def test_a_sender_dies_the_list_plays_and_ten_good_seconds_later_it_is_back(server: NginxRtmp) -> None:
    url = f"{server.url}/comes-back"
    sender = to_rtmp(url)

    async def story(played: Played) -> None:
        await played.on_air(1)
        await played.for_a_while(2)
        sender.kill()
        assert await played.until(lambda: played.programme.on_air in (2, 3), "the list plays") < 6 * ROOM
        assert played.state == "away"
        assert played.reason
        sender.start()
        await played.until(lambda: played.state == "returning", "it sends again", 20)
        returned = time.monotonic()
        assert played.programme.on_air != 1
        await played.on_air(1, 25)
        assert time.monotonic() - returned >= 9.8
        await played.for_a_while(2)

    with sender:
        programme = play([live_item(1, url), file_item(2, clip("a", seconds=6)), file_item(3, clip("b"))], story)
    order = in_order(programme.sent)
    assert order.count(1) == 2
    assert order[-1] == 1
    assert min(steps([each for each in programme.sent if each.kind == VIDEO])) >= 0
    back = next(at for at in range(len(programme.sent) - 1, 0, -1) if programme.sent[at].item_id != 1) + 1
    again = [each for each in programme.sent[back:] if each.kind == VIDEO]
    assert again[0].key_frame
    assert again[0].own > 7_500, "what came in the ten seconds is not played"


def test_one_that_hangs_is_left_within_seconds_and_a_dead_list_has_nothing_to_play(
    server: NginxRtmp, soon: None
) -> None:
    url = f"{server.url}/hangs"
    sender = to_rtmp(url)

    async def story(played: Played) -> None:
        await played.on_air(1)
        sender.freeze()
        took = await played.until(lambda: played.programme.on_air is None, "nothing is on air")
        assert took >= 2
        assert played.reason == "the live input has sent nothing for 3 s"
        sender.go_on()
        await played.on_air(1, 40)

    with sender:
        play([live_item(1, url)], story)


def test_next_leaves_it_and_its_turn_comes_again(server: NginxRtmp) -> None:
    url = f"{server.url}/steered"

    async def story(played: Played) -> None:
        await played.on_air(1)
        played.programme.next()
        await played.on_air(3, 1)
        assert (played.live.status(), played.live.item) == (None, None)
        await played.until(lambda: not readers(), "its FFmpeg is gone", 4)
        await played.on_air(1, 15)
        played.programme.jump(files[0])
        assert (played.programme.on_air, played.live.item) == (2, None)

    files = [file_item(2, clip("a", seconds=6)), file_item(3, clip("b", seconds=6))]
    with to_rtmp(url):
        play([live_item(1, url), *files], story)


def test_one_that_was_prepared_is_on_air_at_the_boundary(server: NginxRtmp) -> None:
    url = f"{server.url}/next"

    async def story(played: Played) -> None:
        await played.until(lambda: readers(), "it is read", 4)
        assert played.live.status() is None
        await played.on_air(2)
        await played.for_a_while(1)

    with to_rtmp(url):
        programme = play([file_item(1, clip("a", seconds=8)), live_item(2, url), file_item(3, clip("b"))], story)
    assert in_order(programme.sent) == [1, 2]
    assert len(of_item(programme.sent, 1, VIDEO)) == 200, "to its end"


def test_a_second_live_item_does_not_take_the_place_of_one_that_is_away(server: NginxRtmp) -> None:
    items = [live_item(1, f"{server.url}/nobody"), live_item(2, f"{server.url}/b"), file_item(3, clip("a"))]

    async def story(played: Played) -> None:
        await played.for_a_while(5)
        assert played.live.item == items[0]
        assert played.state == "away"

    with to_rtmp(f"{server.url}/b"):
        assert in_order(play(items, story).sent) == [3]


def test_hls_goes_on_air_is_missed_when_it_stalls_and_comes_back(tmp_path: Path, soon: None) -> None:
    sender = to_hls(tmp_path)

    async def story(played: Played) -> None:
        await played.on_air(1)
        await played.for_a_while(8)
        sender.freeze()
        await played.on_air(2, 20)
        assert played.state != "on"
        sender.go_on()
        await played.on_air(1, 30)
        await played.for_a_while(3)

    with sender, web_server(tmp_path) as server:
        wait_for_segments(tmp_path)
        items = [live_item(1, f"{server.url}/live.m3u8?token=x"), file_item(2, clip("a", seconds=4))]
        programme = play(items, story)
    first, again = (list(run) for item_id, run in groupby(programme.sent, lambda each: each.item_id) if item_id == 1)
    usable(first)
    usable(again)


def test_the_end_of_an_hls_list_is_the_end_and_its_rest_is_not_shown(tmp_path: Path, soon: None) -> None:
    sender = to_hls(tmp_path)

    async def story(played: Played) -> None:
        await played.for_a_while(6)
        assert played.state != "on"
        assert played.reason == "the live input has ended"

    with sender, web_server(tmp_path) as server:
        wait_for_segments(tmp_path, 4)
        sender.stop()
        programme = play([live_item(1, f"{server.url}/live.m3u8"), file_item(2, clip("a"))], story)
    assert "ENDLIST" in (tmp_path / "live.m3u8").read_text()
    assert in_order(programme.sent) == [2]


def test_without_sound_it_gets_silence(server: NginxRtmp) -> None:
    url = f"{server.url}/mute"

    async def story(played: Played) -> None:
        await played.on_air(1)
        await played.for_a_while(3)

    with to_rtmp(url, sound=False):
        programme = play([live_item(1, url)], story)
    usable([each for each in programme.sent if each.item_id == 1])
    assert len({each.payload for each in of_item(programme.sent, 1, AUDIO)}) == 1


def _hevc(directory: Path) -> Iterator[str]:
    with to_hls(directory, video="libx265", sound=False), web_server(directory) as server:
        wait_for_segments(directory)
        yield f"{server.url}/live.m3u8"


def _missing(directory: Path) -> Iterator[str]:
    with web_server(directory) as server:
        yield f"{server.url}/nothing.m3u8"


def _no_video(directory: Path) -> Iterator[str]:
    (directory / "page.m3u8").write_text("<html>welcome</html>")
    with web_server(directory) as server:
        yield f"{server.url}/page.m3u8"


def _local_file(directory: Path) -> Iterator[str]:
    """A playlist that names a file of this machine."""
    segment = directory / "secret.ts"
    segment.write_bytes(clip("a").read_bytes())
    (directory / "live.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{segment}\n")
    with web_server(directory) as server:
        yield f"{server.url}/live.m3u8"


def _nobody_listens(_: Path) -> Iterator[str]:
    with tcp_server(lambda connection: None) as port:
        pass
    yield f"rtmp://127.0.0.1:{port}/live/x"


def _closes(_: Path) -> Iterator[str]:
    with tcp_server(lambda connection: None) as port:
        yield f"rtmp://127.0.0.1:{port}/live/x"


def _says_nothing(_: Path) -> Iterator[str]:
    with black_hole() as port:
        yield f"rtmp://127.0.0.1:{port}/live/x"


def _just(url: str) -> Callable[[Path], Iterator[str]]:
    return lambda _: iter([url])


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (_hevc, "the live input sends HEVC, which RTMP platforms do not take"),
        (_missing, "the server has nothing at this address (404)"),
        (_no_video, "what comes from the live input is no video FFmpeg can read"),
        (_local_file, "the live input leads to a kind of address that is not allowed"),
        (_nobody_listens, "connection refused"),
        (_closes, "the server closed the connection, or nobody sends to it"),
        (_says_nothing, "no answer from the server"),
        (_just("rtmp://no-such-host.invalid/live/x"), "the host's name cannot be resolved"),
        (_just("file:///etc/passwd"), "a live input begins with http://, https://, rtmp:// or rtmps://"),
        (
            _just("http://127.0.0.1:9/\nfile '/etc/passwd'"),
            "the live input's address holds a space or a control character",
        ),
    ],
)
def test_what_cannot_be_read_says_why_and_never_goes_on_air(
    place: Callable[[Path], Iterator[str]], reason: str, tmp_path: Path
) -> None:
    async def story(played: Played) -> None:
        # What we see comes first («nothing comes»); what its FFmpeg says when it ends makes it plain.
        await played.until(lambda: played.reason == reason or played.state == "on", reason, 25)
        assert played.state == "away"
        await played.on_air(2)
        await played.for_a_while(0.5)

    for url in place(tmp_path):
        programme = play([live_item(1, url), file_item(2, clip("a"))], story)
        assert in_order(programme.sent) == [2]


def test_no_ffmpeg_no_live_input_and_the_rest_plays() -> None:
    async def story(played: Played) -> None:
        await played.until(lambda: played.explained, "a reason")
        assert played.reason == "FFmpeg cannot be started"
        await played.on_air(2)

    items = [live_item(1, "rtmp://127.0.0.1:1/live/x"), file_item(2, clip("a"))]
    play(items, story, ffmpeg=lambda: "/nowhere/ffmpeg")


def test_a_killed_ffmpeg_is_reaped_and_another_one_takes_over(server: NginxRtmp, soon: None) -> None:
    url = f"{server.url}/killed"

    async def story(played: Played) -> None:
        await played.on_air(1)
        (first,) = readers()
        os.kill(first, signal.SIGKILL)
        await played.until(lambda: played.reason == "FFmpeg ended with code -9", "told")
        await played.until(lambda: played.state == "on", "back")
        (second,) = readers()
        assert first != second
        assert first not in children()

    with to_rtmp(url):
        play([live_item(1, url)], story)


def test_an_ffmpeg_that_does_not_listen_is_killed(server: NginxRtmp) -> None:
    url = f"{server.url}/deaf"

    async def story(played: Played) -> None:
        await played.on_air(1)
        os.kill(readers()[0], signal.SIGSTOP)

    with to_rtmp(url):
        play([live_item(1, url)], story)


def test_one_that_is_on_air_and_not_looked_at_gives_itself_up(server: NginxRtmp) -> None:
    url = f"{server.url}/held"

    async def story(played: Played) -> None:
        await played.on_air(1)
        held = played.programme._source
        assert held is not None
        await asyncio.sleep(4)
        assert held.ended
        await played.until(lambda: played.programme._source not in (held, None), "a new one")
        await played.for_a_while(1)

    with to_rtmp(url):
        programme = play([live_item(1, url)], story)
    video = of_item(programme.sent, 1, VIDEO)
    assert max(after.own - before.own for before, after in pairwise(video)) > 1_000, "it did not fall behind"
    assert max(steps(video)) <= 100


def test_one_that_is_not_taken_fast_enough_does_not_fall_behind(
    server: NginxRtmp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of RTMP what is too late is dropped: the server would drop us."""
    monkeypatch.setattr(input_reader, "MOST_AHEAD_MS", 3_000)
    url = f"{server.url}/slow"

    async def story(played: Played) -> None:
        await played.on_air(1)
        held = await _only_looked_at(played, 4)
        assert held.ended
        await played.until(lambda: played.programme._source not in (held, None), "a new one")

    with to_rtmp(url):
        play([live_item(1, url)], story)


def test_hls_waits_while_it_is_not_taken_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_reader, "MOST_AHEAD_MS", 3_000)
    monkeypatch.setattr(input_reader, "ENOUGH_AHEAD_MS", 2_000)

    async def story(played: Played) -> None:
        await played.on_air(1)
        held = await _only_looked_at(played, 6)
        assert not held.ended
        assert held._buffer.span_ms < 8_000, "a segment more than asked for at most"
        await played.for_a_while(8)
        assert played.programme._source is held

    with to_hls(tmp_path), web_server(tmp_path) as server:
        wait_for_segments(tmp_path)
        programme = play([live_item(1, f"{server.url}/live.m3u8")], story)
    usable(programme.sent)


async def _only_looked_at(played: Played, seconds: float) -> LiveSource:
    held = played.programme._source
    assert isinstance(held, LiveSource)
    for _ in range(int(seconds / 0.1)):
        held.peek()
        await asyncio.sleep(0.1)
    return held


def test_a_recording_is_not_live(tmp_path: Path) -> None:
    (tmp_path / "long.flv").write_bytes(clip("a", seconds=100, size="160x90").read_bytes())

    async def story(played: Played) -> None:
        await played.until(lambda: played.explained, "a reason")
        assert played.reason in ("the address is of a recording, not of something live", "the live input has ended")

    with web_server(tmp_path) as server:
        assert play([live_item(1, f"{server.url}/long.flv")], story).sent == []


def test_the_address_is_in_no_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story(played: Played) -> None:
        await played.until(lambda: played.explained, "a reason")

    caplog.set_level("INFO")
    with web_server(tmp_path) as server:
        play([live_item(1, f"{server.url}/canary-1/x.m3u8?token=canary-2&b=canary%2D3")], story)
        assert server.asked == ["/canary-1/x.m3u8?token=canary-2&b=canary%2D3"]
    assert "live input: FFmpeg:" in caplog.text
    assert "canary" not in caplog.text
