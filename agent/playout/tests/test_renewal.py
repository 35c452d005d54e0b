"""When a destination is renewed: cases alone, then real servers."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.playout.flv import VIDEO
from agent.playout.renewal import OVERDUE_S, PATIENCE_S, Aged, Broadcast, due, opens_s
from lab.ports import free_port
from lab.processes import ROOM, wait_until

from . import recordings
from .clips import clip
from .driver import RunningPlayout, destination, items
from .servers import NginxRtmp

HOUR = 3600.0
EVERY = 11.5 * HOUR
OPENS = EVERY - PATIENCE_S


def aged(age_s: float, number: int = 1, every_s: float = EVERY) -> Aged:
    return Aged(number, every_s, age_s)


CASES: dict[str, tuple[list[Aged], bool, bool, int | None]] = {
    "young: nobody, whatever comes": ([aged(OPENS - 1)], True, False, None),
    "in its last two hours at a boundary": ([aged(OPENS)], True, False, 1),
    "in its last two hours in the midst of an item it waits": ([aged(EVERY - 1)], False, False, None),
    "its time is up: at a key frame": ([aged(EVERY)], False, False, 1),
    "two at once: who is nearer to its end": ([aged(OPENS), aged(OPENS + 5, 2)], True, False, 2),
    "nearer to its own end": ([aged(OPENS + 5), aged(7.5 * HOUR, 2, 7.5 * HOUR)], True, False, 2),
    "another one is being renewed: it waits": ([aged(EVERY + 1)], True, True, None),
    "but not for ever": ([aged(EVERY + OVERDUE_S)], False, True, 1),
    "nobody there": ([], True, False, None),
}


@pytest.mark.parametrize("case", CASES)
def test_cases(case: str) -> None:
    ages, at_boundary, is_busy, who = CASES[case]
    assert due(ages, at_boundary=at_boundary, is_busy=is_busy) == who


@pytest.mark.parametrize(("every_s", "opens"), [(4.0, 3.0), (4 * HOUR, 3 * HOUR), (47.5 * HOUR, 45.5 * HOUR)])
def test_it_waits_for_a_boundary_in_the_last_quarter_of_its_time_but_at_most_two_hours(
    every_s: float, opens: float
) -> None:
    assert opens_s(every_s) == opens


def test_a_lost_connection_ends_no_broadcast_and_a_renewal_does() -> None:
    broadcast = Broadcast()
    assert broadcast.age_s(50.0) == 0.0
    for now in (100.0, 160.0):  # lost in between
        broadcast.is_live(now)
    assert broadcast.age_s(200.0) == 100.0
    broadcast.leave(200.0, asked=True)
    assert (broadcast.is_renewing, broadcast.age_s(200.5)) == (True, 0.0)
    broadcast.is_live(200.4)
    status = broadcast.status(200.4, None)
    assert (status["count"], status["off_s"], status["asked"], status["next_by"]) == (1, 0.4, True, None)


@pytest.mark.parametrize("renewing", [False, True])
def test_another_process_takes_it_up(renewing: bool) -> None:
    before = Broadcast()
    before.is_live(100.0)
    after = Broadcast()
    after.take_up(before.status(160.0, EVERY), 1000.0, 2.0, renewing=renewing)
    after.is_live(1001.0)
    status = after.status(1001.0, EVERY)
    assert (status["age_s"], status["count"], status["off_s"]) == ((0.0, 1, 3.0) if renewing else (63.0, 0, 0.0))


# ------------------------------------------------------------------------------------------------ real servers


@pytest.fixture
def server() -> Iterator[NginxRtmp]:
    with NginxRtmp() as running:
        yield running


CLIPS = [clip(name, seconds=2) for name in "ab"]


def renewals(playout: RunningPlayout, number: int) -> int:
    return int(playout.destination(number)["renewal"]["count"])


def undisturbed(server: NginxRtmp, key: str, connections: int = 1) -> None:
    """As many connections, and no hole in what came over any."""
    found = server.recordings_of(key)
    assert len(found) == connections
    for file in found:
        got = recordings.read(file)
        assert max(got.gaps(VIDEO)) <= 100
        assert min(got.gaps(VIDEO)) >= 0


@pytest.mark.parametrize("via", ["native", "ffmpeg"])
def test_one_is_renewed_at_a_boundary_and_the_other_notices_nothing(
    server: NginxRtmp, tmp_path: Path, via: str
) -> None:
    places = [destination(1, server.url, via=via, renew_every_s=8.0), destination(2, server.url)]
    with RunningPlayout(tmp_path, items(*CLIPS), places) as playout:
        playout.wait_for_state(1, "live", 5)
        playout.wait_for_state(2, "live", 5)
        deletions = server.log().count("deleteStream")
        wait_until(lambda: renewals(playout, 1) == 1, "renewed", 15)
        assert server.log().count("deleteStream") > deletions, "closed properly"
        renewed, other = playout.destination(1), playout.destination(2)
        wait_until(lambda: playout.destination(1)["bytes_sent"] > renewed["bytes_sent"] + 50_000, "more of it")
    assert renewed["renewal"]["off_s"] < 2.0 * ROOM
    assert (renewed["state"], renewed["reconnects"], renewed["renewal"]["asked"]) == ("live", 0, False)
    assert (other["reconnects"], other["renewal"]["count"], other["renewal"]["next_by"]) == (0, 0, None)
    undisturbed(server, "key2")
    undisturbed(server, "key1", 2)
    _at_a_boundary(server)


def _at_a_boundary(server: NginxRtmp) -> None:
    """What one had in two broadcasts is what the other had in one, and the cut is where an item begins."""
    first, second = (recordings.read(file) for file in server.recordings_of("key1"))
    whole = [recordings.read(file) for file in server.recordings_of("key2")]
    beginnings = {recordings_of_clip(path).payloads(VIDEO)[0] for path in CLIPS}
    assert second.payloads(VIDEO)[0] in beginnings
    got = first.payloads(VIDEO) + second.payloads(VIDEO)
    assert got[:200] == whole[0].payloads(VIDEO)[: len(got)][:200]


def recordings_of_clip(path: Path) -> recordings.Recording:
    return recordings.read(path)


def test_without_a_boundary_it_goes_at_a_key_frame_when_its_time_is_up(server: NginxRtmp, tmp_path: Path) -> None:
    place = destination(1, server.url, renew_every_s=4.0)
    with RunningPlayout(tmp_path, items(clip("long", seconds=60)), [place]) as playout:
        playout.wait_for_state(1, "live", 5)
        began = time.monotonic()
        wait_until(lambda: renewals(playout, 1) == 1, "renewed", 10)
        assert time.monotonic() - began >= 3.5
        assert playout.status()["items_played"] == 0
    undisturbed(server, "key1", 2)


def test_it_is_said_when_it_was_and_when_it_is_next(server: NginxRtmp, tmp_path: Path) -> None:
    place = destination(1, server.url, renew_every_s=EVERY)
    with RunningPlayout(tmp_path, items(*CLIPS), [place]) as playout:
        playout.wait_for_state(1, "live", 5)
        said = playout.destination(1)["renewal"]
    assert said["at"] is None
    assert said["next_by"] - said["next_from"] == pytest.approx(PATIENCE_S, abs=1)
    assert said["next_by"] - time.time() == pytest.approx(EVERY, abs=30)


def test_the_time_is_changed_on_air_without_a_new_connection(server: NginxRtmp, tmp_path: Path) -> None:
    place = destination(1, server.url)
    with RunningPlayout(tmp_path, items(*CLIPS), [place]) as playout:
        playout.wait_for_state(1, "live", 5)
        playout.reload(destinations=[place | {"renew_every_s": HOUR}])
        said = playout.destination(1)
    assert (said["state"], said["renewal"]["count"]) == ("live", 0)
    assert said["renewal"]["next_by"] is not None


def test_a_server_that_will_not_have_it_back_is_a_fault_like_any(tmp_path: Path) -> None:
    with NginxRtmp() as server:
        place = destination(1, server.url)
        with RunningPlayout(tmp_path, items(*CLIPS), [place]) as playout:
            playout.wait_for_state(1, "live", 5)
            server.stop()
            playout.order("renew", destination_id=1)
            playout.wait_for_state(1, "reconnecting", 5)
            server.start()
            playout.wait_for_state(1, "live", 10)
            assert playout.destination(1)["reconnects"] == 1


# ------------------------------------------------------------------------------------------------ asked for


def test_asked_for_it_is_connected_anew_at_once(server: NginxRtmp, tmp_path: Path) -> None:
    places = [destination(1, server.url), destination(2, server.url)]
    with RunningPlayout(tmp_path, items(*CLIPS), places) as playout:
        playout.wait_for_state(1, "live", 5)
        playout.wait_for_state(2, "live", 5)
        wait_until(lambda: playout.status()["items_played"] >= 1, "another second: recordings are named by it")
        assert playout.order("renew", destination_id=1)["ok"] is True
        wait_until(lambda: renewals(playout, 1) == 1, "renewed", 5)
        said = playout.destination(1)["renewal"]
        assert (said["asked"], renewals(playout, 2)) == (True, 0)
        wait_until(lambda: playout.status()["items_played"] >= 2, "more of it")
    undisturbed(server, "key2")
    undisturbed(server, "key1", 2)


def test_nginx_that_pushes_on_begins_a_new_broadcast_too(server: NginxRtmp, tmp_path: Path) -> None:
    with NginxRtmp(application=f"push rtmp://127.0.0.1:{server.port}/live;") as between:
        place = destination(1, between.url, via="nginx")
        with RunningPlayout(tmp_path, items(*CLIPS), [place]) as playout:
            playout.wait_for_state(1, "live", 5)
            wait_until(lambda: playout.status()["items_played"] >= 1, "another second: recordings are named by it")
            assert playout.order("renew", destination_id=1)["ok"] is True
            wait_until(lambda: len(server.recordings_of("key1")) == 2, "a second one at the platform", 10)
            wait_until(lambda: server.recordings_of("key1")[1].stat().st_size > 100_000, "with media in it", 10)


def test_one_that_waits_for_its_next_try_is_tried_at_once(tmp_path: Path) -> None:
    """A key that is in use is asked for again after a minute."""
    with NginxRtmp() as server:
        places = [destination(1, server.url, "same"), destination(2, server.url, "same")]
        with RunningPlayout(tmp_path, items(*CLIPS), places) as playout:
            wait_until(lambda: sorted((playout.state(1), playout.state(2))) == ["live", "refused"], "one each", 10)
            refused = 1 if playout.state(1) == "refused" else 2
            # The second answer is the one that makes it wait for long.
            wait_until(lambda: server.log().lower().count("already publishing") >= 2, "asked twice", 10)
            playout.reload(destinations=[place for place in places if place["id"] == refused])
            assert playout.order("renew", destination_id=refused)["ok"] is True
            playout.wait_for_state(refused, "live", 10)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"destination_id": 9}, "no such destination"),
        ({}, "no such destination"),
        ({"destination_id": "1"}, "no number"),
        ({"destination_id": 2}, "switched off"),
    ],
)
def test_what_cannot_be_renewed_is_refused(server: NginxRtmp, tmp_path: Path, body: dict[str, Any], words: str) -> None:
    places = [destination(1, server.url), destination(2, server.url, enabled=False)]
    with RunningPlayout(tmp_path, items(*CLIPS), places) as playout:
        answer = playout.order("renew", **body)
    assert answer["ok"] is False
    assert words in answer["error"]


# ------------------------------------------------------------------------------------------------ the whole run


def test_the_whole_run_begins_anew_at_a_boundary_in_the_same_process(server: NginxRtmp, tmp_path: Path) -> None:
    places = [destination(1, server.url), destination(2, f"rtmp://127.0.0.1:{free_port()}/live")]
    with RunningPlayout(tmp_path, items(*CLIPS), places, restart_every_s=8.0) as playout:
        playout.wait_for_state(1, "live", 5)
        pid, said = playout.status()["pid"], playout.status()["restart"]
        assert said["next_by"] - said["next_from"] == pytest.approx(2, abs=1)

        def is_renewed() -> bool:
            try:
                return renewals(playout, 1) == 1
            except OSError:
                return False

        wait_until(is_renewed, "begun anew", 20)
        assert playout.status()["pid"] == pid == playout.process.pid
        assert playout.destination(1)["renewal"]["off_s"] < 3 * ROOM
        assert playout.destination(1)["reconnects"] == 0
        wait_until(lambda: playout.status()["items_played"] >= 1, "more of it", 10)
    first, second = (recordings.read(file) for file in server.recordings_of("key1"))
    beginnings = {recordings.read(path).payloads(VIDEO)[0] for path in CLIPS}
    assert second.payloads(VIDEO)[0] in beginnings
    assert max(first.gaps(VIDEO)) <= 100
