"""What needs attention, from facts: cases as data."""

import pytest

from ops.attention import Facts, Trouble, concerns

SERVER = Trouble("fra-1", "disk 97 % full", "/s/1")
SILENT = Trouble("fra-2", "silent", "/s/2", is_silent=True)

# facts → tone, what, a word of what to do
CASES = [
    ({}, []),
    ({"missing": {"worker": "never seen"}}, [("danger", "worker: never seen", "--queues default")]),
    ({"redis_is_away": True}, [("danger", "Redis does not answer", "Streams on air go on")]),
    ({"dead": 2}, [("warning", "2 background jobs were given up", "log")]),
    ({"waiting": 49}, []),
    ({"waiting": 50}, [("warning", "50 background jobs wait", "more workers")]),
    ({"failing": 1}, [("danger", "1 stream has failed", "Start it again")]),
    ({"stuck": 2}, [("warning", "2 streams have been starting or stopping for over a minute", "force")]),
    ({"going_on": (Trouble("Night", "off air", "/i"),)}, [("warning", "«Night»: off air", "proves")]),
    ({"servers": (SERVER,), "servers_total": 1}, [("danger", "fra-1: disk 97 % full", "no new streams")]),
    (
        {"servers": (SERVER,) * 6, "servers_total": 9},
        [("danger", "fra-1: disk 97 % full", "no new")] * 5 + [("danger", "4 more VPSes are not well", "list")],
    ),
    (
        {"servers": (SERVER, SILENT), "servers_total": 40, "missing": {"listener": "never seen"}},
        [("danger", "listener: never seen", "nothing is heard"), ("danger", "fra-1: disk 97 % full", "no new")],
    ),
    ({"slots": 40, "held": 35}, []),
    ({"slots": 40, "held": 36}, [("warning", "Only 4 slots of 40 are free", "soon")]),
    ({"slots": 40, "held": 39}, [("warning", "Only 1 slot of 40 is free", "soon")]),
    ({"slots": 40, "held": 40}, [("danger", "No slot is free in the fleet", "refused")]),
    ({"slots": 4, "held": 9}, [("danger", "No slot is free in the fleet", "refused")]),
    ({"uplink_mbit": 84, "uplink_limit_mbit": 100}, []),
    ({"uplink_mbit": 86, "uplink_limit_mbit": 100}, [("warning", "86 % of the fleet's uplink is used", "spread")]),
    ({"uplink_mbit": 86}, []),
    ({"traffic": (Trouble("fra-1", "96 of 100 GB", "/s"),)}, [("warning", "fra-1: 96 of 100 GB", "month ends")]),
    ({"seen": (Trouble("fra-1", "SSH: silent", "/s"),), "seen_total": 1}, [("warning", "fra-1: SSH: silent", "moved")]),
    (
        {"seen": (Trouble("fra-1", "SSH: silent", "/s"),) * 6, "seen_total": 40},
        [("warning", "fra-1: SSH: silent", "moved")] * 5
        + [("warning", "35 more VPSes look odd from outside", "vps_health_check")],
    ),
    ({"reboots": 1, "reboot_names": ("fra-1",)}, [("info", "1 VPS waits for a reboot: fra-1", "Drain")]),
    ({"reboots": 9, "reboot_names": ("a", "b")}, [("info", "9 VPSes wait for a reboot: a, b …", "Drain")]),
    ({"foreign": 1}, [("warning", "1 agent speaks another protocol", "Upgrade")]),
    ({"jobs": (Trouble("check", "overdue", "/j"),)}, [("warning", "check: overdue", "when it ran")]),
    ({"files": 3}, [("info", "3 files failed in 24 hours", "owner")]),
]


@pytest.mark.parametrize(("facts", "wanted"), CASES)
def test_what_it_comes_to(facts, wanted):
    found = concerns(Facts(**facts))
    assert [(each.tone, each.what) for each in found] == [(tone, what) for tone, what, _todo in wanted]
    for each, (_tone, _what, todo) in zip(found, wanted, strict=True):
        assert todo in each.todo
        assert each.url


def test_the_gravest_stand_first():
    found = concerns(Facts(files=1, dead=1, failing=1, stuck=1, missing={"media": "never seen"}))
    assert [each.tone for each in found] == ["danger", "danger", "warning", "warning", "info"]
