"""The agent's end of the control socket."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.playout_link import SOCKET, PlayoutLink
from agent.playout_words import answer_from, playing_from
from agent.protocol import DestinationState, InputState, Renewal

Said = list[dict[str, object]]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]


def _answering(heard: Said) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            heard.append(json.loads(line))
            writer.write(b'{"ok": true}\n')
        writer.close()

    return serve


def test_a_path_longer_than_a_sockets_name_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_dir = tmp_path / ("a long name" * 10)
    run_dir.mkdir()
    monkeypatch.chdir(run_dir)
    heard: Said = []

    async def run() -> None:
        server = await asyncio.start_unix_server(_answering(heard), SOCKET)
        async with server:
            link = PlayoutLink("r1", run_dir, lambda status: None)
            assert (await link.order("next")).ok
            await link.close()

    asyncio.run(run())
    assert {"order": "next"} in heard


STATUS = {
    "phase": "slate",
    "slate": "the live input is away",
    "paused": True,
    "input": {"item_id": 9, "state": "away", "since": 5.0, "reason": "it closed the connection"},
    "item_id": None,
    "destinations": [{"id": 1, "state": "live", "since": 4.0, "bytes_sent": 10, "lag_ms": 250}],
}


def test_a_status_is_read_whole() -> None:
    playing = playing_from(STATUS)
    assert (playing.phase, playing.slate, playing.paused) == ("slate", "the live input is away", True)
    assert playing.input == InputState(item_id=9, state="away", since=5.0, reason="it closed the connection")
    assert playing.destinations == (DestinationState(id=1, state="live", since=4.0, bytes_sent=10, lag_ms=250),)


def test_what_is_said_of_renewals_is_passed_on() -> None:
    said = {"age_s": 9.0, "count": 2, "at": 5, "off_s": 0.3, "asked": True, "next_from": None, "next_by": 99}
    place = {"id": 1, "state": "renewing", "since": 4, "renewal": said}
    playing = playing_from(STATUS | {"destinations": [place], "restart": {"next_from": 7, "next_by": 8}})
    assert playing.destinations[0].renewal == Renewal(count=2, at=5.0, off_s=0.3, asked=True, next_by=99.0)
    assert (playing.restart_from, playing.restart_by) == (7.0, 8.0)


def test_a_status_of_an_older_playout_lacks_what_is_new() -> None:
    playing = playing_from({"phase": "playing", "item_id": 1, "destinations": [{"id": 1, "state": "live", "since": 4}]})
    assert (playing.slate, playing.paused, playing.input) == (None, False, None)
    assert playing.destinations[0].lag_ms == 0


@pytest.mark.parametrize(
    "change",
    [
        {"input": {"state": "on"}},
        {"destinations": [{}]},
        {"position_s": "x"},
        {"destinations": [{"id": 1, "state": "live", "since": 4, "renewal": {}}]},
    ],
)
def test_what_is_no_status_is_refused(change: dict) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        playing_from(STATUS | change)


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        (b'{"ok": true, "item_id": 3}', (True, "", 3)),
        (b'{"ok": true, "item_id": null}', (True, "", None)),
        (b'{"ok": true}', (True, "", None)),
        (b'{"ok": true, "item_id": true}', (True, "", None)),
        (b'{"ok": false, "error": "no"}', (False, "no", None)),
        (b'{"ok": 1}', (False, "the playout refused it", None)),
        (b"{}", (False, "the playout refused it", None)),
    ],
)
def test_answers(raw: bytes, wanted: tuple) -> None:
    answer = answer_from(raw)
    assert (answer.ok, answer.error, answer.item_id) == wanted


@pytest.mark.parametrize("raw", [b"", b"[]", b"no", b"\xff"])
def test_what_is_no_answer(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"Expecting|not an object|decode"):
        answer_from(raw)
