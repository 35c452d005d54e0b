"""When pages are told of a report."""

import json

import pytest

from agent.protocol import DestinationState, RunReport, as_dict
from streams import visible


def report(**fields):
    place = {name: fields.pop(name) for name in ("state", "reason", "lag_ms", "kbps") if name in fields}
    rates = {"bitrate_kbps": place.pop("kbps")} if "kbps" in place else {}
    base = {"id": 1, "state": "live", "since": 1.0, "bitrate_kbps": 3000.0}
    whole = {"phase": "on_air", "item_id": 7, "position_s": 100.0, "bitrate_kbps": 3000.0} | fields
    return as_dict(
        RunReport(
            stream_id=1, run_id="r", epoch=1, destinations=(DestinationState(**base | place | rates),), **whole
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "hurry"),
    [
        ({}, None),
        ({"items_played": 3, "kbps": 2500.0, "bitrate_kbps": 3500.0}, None),
        ({"position_s": 108.0}, None),
        ({"position_s": 120.0}, False),
        ({"position_s": 3.0}, False),
        ({"bitrate_kbps": 1000.0}, False),
        ({"kbps": 9000.0}, False),
        ({"lag_ms": 900}, False),
        ({"item_id": 8}, True),
        ({"state": "reconnecting"}, True),
        ({"reason": "reset"}, True),
        ({"slate": "no file"}, True),
        ({"paused": True}, True),
        ({"next_item_ids": (1,)}, True),
        ({"restarts": 1}, True),
        ({"phase": "backing_off"}, True),
    ],
)
def test_ten_seconds_later(fields, hurry):
    assert visible.hurry(report(), report(**{"position_s": 110.0} | fields), 10.0) is hurry


@pytest.mark.parametrize("fields", [{"slate": "no file"}, {"paused": True}, {"item_id": None}, {"phase": "starting"}])
def test_a_position_that_does_not_move_is_no_news_while_nothing_plays(fields):
    assert visible.hurry(report(**fields), report(**fields), 10.0) is None


def test_the_first_report_is_news_and_one_of_an_older_version_breaks_nothing():
    assert visible.hurry(None, report(), 0.0) is True
    assert visible.hurry({"phase": "on_air", "destinations": [{"id": 1}]}, report(), 10.0) is True


def test_what_comes_back_from_the_database_is_the_same():
    said = report(next_item_ids=(1, 2), reason="«é»")
    assert visible.stands(said) == visible.stands(json.loads(json.dumps(said)))
