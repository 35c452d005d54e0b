import pytest

from agent.protocol import PROTOCOL_VERSION, SKEW, is_compatible
from fleet.health import Vitals, judge
from fleet.versions import skew


@pytest.mark.parametrize(
    ("theirs", "protocol", "ours", "kind", "tone"),
    [
        ("1.2.0", 1, "1.2.0", "same", "live"),
        ("1.2.0", None, "1.2.0", "same", "live"),
        ("1.1.9", 1, "1.2.0", "older", "warning"),
        ("1.9.0", 1, "1.10.0", "older", "warning"),
        ("2.0", 1, "1.10.0", "newer", "warning"),
        ("1.2.0+abc", 1, "1.2.0", "other", "warning"),
        ("1.2.0+abc1", 1, "1.2.0+def9", "other", "warning"),
        ("dev", 1, "1.2.0", "older", "warning"),
        ("", None, "1.2.0", "unknown", "neutral"),
        ("1.2.0+abc1", 1, "1.2.0+abc1", "same", "live"),
        ("1.2.0", 1, "1.2.0+abc1", "same", "live"),
        ("1.2.0+abc1", 5, "1.2.0+abc1", "same", "live"),
    ],
)
def test_how_an_agents_version_stands_to_ours(theirs, protocol, ours, kind, tone):
    found = skew(theirs, protocol, ours, our_protocol=protocol or 1)
    assert (found.kind, found.tone) == (kind, tone)
    assert found.words


@pytest.mark.parametrize(
    ("theirs", "ours", "kind", "tone", "is_fit"),
    [
        (1, 1, "same", "live", True),
        (1, 2, "older", "warning", True),
        (2, 1, "newer", "warning", True),
        (1, 3, "protocol", "danger", False),
        (3, 1, "protocol", "danger", False),
        (0, 9, "protocol", "danger", False),
    ],
)
def test_neighbouring_protocols_understand_each_other(theirs, ours, kind, tone, is_fit):
    """What the pages say and what the agents' messages are taken for is one rule."""
    found = skew("1.2.0", theirs, "1.2.0", our_protocol=ours)
    assert (found.kind, found.tone) == (kind, tone)
    assert is_compatible(theirs, ours) is is_fit


@pytest.mark.parametrize("away", [-2, -1, 0, 1, 2])
def test_only_one_that_is_not_understood_gets_no_new_streams(away):
    vitals = Vitals(silent_s=1.0, protocol=PROTOCOL_VERSION + away)
    assert ("upgrade the agent" in judge(vitals)) is (abs(away) > SKEW)
