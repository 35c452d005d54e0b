import pytest

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
        ("1.2.0", 2, "1.2.0", "protocol", "danger"),
    ],
)
def test_how_an_agents_version_stands_to_ours(theirs, protocol, ours, kind, tone):
    found = skew(theirs, protocol, ours, our_protocol=1)
    assert (found.kind, found.tone) == (kind, tone)
    assert found.words
