import pytest

from fleet.selection import (
    GB,
    Candidate,
    choose,
    choose_only,
    for_a_question,
    latency_score,
    score,
    traffic_score,
    why_not,
)


def vps(vps_id=1, **fields):
    return Candidate(vps_id=vps_id, name=f"vps-{vps_id}", **fields)


# current, max, cpu, memory, latency, success → FLT-2's sum by hand
SCORES = [
    ({"max_streams": 4, "current_streams": 0, "cpu": 0, "memory": 0, "latency_ms": 0, "success_rate": 1}, 106.0),
    ({"max_streams": 4, "current_streams": 1, "cpu": 50, "memory": 50, "latency_ms": 0, "success_rate": 1}, 71.0),
    ({"max_streams": 4, "current_streams": 3, "cpu": 100, "memory": 100, "latency_ms": 900, "success_rate": 0}, 10.0),
    ({"max_streams": 10, "current_streams": 5, "cpu": 20, "memory": 40, "latency_ms": 275, "success_rate": 0.5}, 64.0),
    ({"cpu": None, "memory": None}, 53.0),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "wanted"), SCORES)
def test_the_score_is_the_formula(fields, wanted):
    scored = score(vps(**fields))
    assert scored.score == pytest.approx(wanted)
    parts = scored.capacity + scored.resource + scored.connection + scored.performance
    assert parts == pytest.approx(wanted)


@pytest.mark.parametrize(("latency_ms", "wanted"), [(0, 1), (50, 1), (275, 0.5), (500, 0), (9000, 0), (None, 0.5)])
def test_latency_counts_from_one_to_nothing(latency_ms, wanted):
    assert latency_score(latency_ms) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"is_active": False}, "not active"),
        ({"is_multistream": False}, "takes one destination only"),
        ({"is_reachable": False}, "no fresh heartbeat"),
        ({"is_accepting": False}, "shutting down"),
        ({"unhealthy": "disk 97 % full"}, "unhealthy: disk 97 % full"),
        ({"current_streams": 4}, "full, 4 of 4"),
        ({"current_streams": 5}, "full, 5 of 4"),
        ({"max_streams": 0}, "full, 0 of 0"),
        ({"network_mbit": 89, "uplink_mbit": 100}, None),
        ({"network_mbit": 90, "uplink_mbit": 100}, "its uplink is taken, 90 of 100 Mbit/s"),
        ({"network_mbit": 90}, None),
        ({"sent_bytes": 949 * GB, "allowed_bytes": 1000 * GB, "month_gone": 0.99}, None),
        (
            {"sent_bytes": 950 * GB, "allowed_bytes": 1000 * GB},
            "its traffic is nearly used up, 950 of 1000 GB this month",
        ),
        ({"allowed_bytes": 0}, "its traffic is nearly used up, 0 of 0 GB this month"),
        ({"sent_bytes": 950 * GB}, None),
        ({}, None),
    ],
)
def test_who_may_take_nothing_and_why(fields, why):
    assert why_not(vps(**fields)) == why


# used and gone, of the allowance and of the month → how much is taken off
@pytest.mark.parametrize(
    ("used", "gone", "wanted"),
    [
        (0.0, 0.0, 0.0),
        (0.5, 0.5, 0.0),
        (0.2, 0.9, 0.0),
        (0.5, 0.0, -0.5),
        (0.75, 0.5, -0.5),
        (1.0, 0.5, -1.0),
        (3.0, 0.5, -1.0),
        (0.9, 0.999, 0.0),
        (0.94, 0.0, -0.94),
    ],
)
def test_traffic_that_will_not_last_the_month_is_taken_off(used, gone, wanted):
    candidate = vps(sent_bytes=int(used * 1000 * GB), allowed_bytes=1000 * GB, month_gone=gone)
    assert traffic_score(candidate) == pytest.approx(wanted)
    assert score(candidate).traffic == pytest.approx(wanted * 20)
    assert traffic_score(vps(sent_bytes=10**15, month_gone=gone)) == 0


def test_of_two_that_are_as_good_the_one_with_traffic_left_and_then_the_cheaper_is_taken():
    spent = vps(1, sent_bytes=800 * GB, allowed_bytes=1000 * GB, month_gone=0.1)
    fresh = vps(2, sent_bytes=10 * GB, allowed_bytes=1000 * GB, month_gone=0.1, cpu=30)
    assert choose([spent, fresh]).best.name == "vps-2"
    dear, cheap = vps(1, price=20.0), vps(2, price=5.0)
    choice = choose([dear, cheap])
    assert [(row.name, row.price) for row in choice.ranked] == [("vps-2", -1.0), ("vps-1", -4.0)]
    assert choose([vps(1, price=20.0, max_streams=16), vps(2, price=8.0)]).best.name == "vps-1", "per stream"
    assert choose([dear, vps(2, price=5.0, cpu=50)]).best.name == "vps-1", "price decides between equals only"


def test_a_fleet_without_limits_and_prices_is_scored_as_before():
    assert (score(vps()).traffic, score(vps()).price) == (0, 0)


def test_a_test_is_of_that_one_or_none():
    fleet = [vps(1, cpu=90), vps(2), vps(3, is_active=False)]
    choice = choose_only(fleet, 1)
    assert (choice.best.vps_id, choice.is_test, len(choice.ranked)) == (1, True, 1)
    assert choose_only(fleet, 3).why_none() == "vps-3 (not active)"
    assert choose_only(fleet, 9).best is None


def test_the_highest_score_wins_and_all_are_explained():
    choice = choose([vps(1, cpu=80), vps(2, cpu=10), vps(3, is_active=False)])
    assert choice.best.name == "vps-2"
    assert [row.name for row in choice.ranked] == ["vps-2", "vps-1"]
    assert choice.explain() == "chosen vps-2 of [vps-2 100.0, vps-1 79.0]; passed over: vps-3 (not active)"


def test_ties_go_to_the_fewest_streams():
    busy = vps(1, max_streams=8, current_streams=4)
    idle = vps(2, max_streams=2, current_streams=1)
    assert score(busy).score == score(idle).score
    assert choose([busy, idle]).best.name == "vps-2"


def test_the_preferred_one_is_taken_when_it_can_be():
    worse, better = vps(1, cpu=90), vps(2)
    assert choose([worse, better], preferred=1).best.vps_id == 1
    assert choose([vps(1, is_active=False), better], preferred=1).best.vps_id == 2


def test_one_that_just_filled_up_is_passed_over():
    choice = choose([vps(1), vps(2, cpu=90)], passed_over={1: "just filled up"})
    assert choice.best.vps_id == 2
    assert "vps-1 (just filled up)" in choice.explain()


def test_nobody_is_an_answer_with_reasons():
    assert choose([]).why_none() == "there is no VPS in the fleet"
    nobody = choose([vps(1, is_reachable=False), vps(2, current_streams=4)])
    assert nobody.best is None
    assert nobody.why_none() == "vps-1 (no fresh heartbeat), vps-2 (full, 4 of 4)"


def test_a_question_goes_to_the_least_loaded_and_needs_no_room():
    fleet = [
        vps(1, cpu=50),
        vps(2, cpu=10, current_streams=4, max_streams=4),
        vps(3, cpu=10, current_streams=1),
        vps(4, cpu=1, is_active=False),
        vps(5, cpu=1, is_reachable=False),
        vps(6, cpu=1, is_accepting=False),
        vps(7, cpu=None),
        vps(8, cpu=20, max_streams=0),
    ]
    assert [each.vps_id for each in for_a_question(fleet)] == [3, 2, 8, 1, 7]
