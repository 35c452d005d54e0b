"""How a VPS stands: in words for one, and the same by the database for a thousand."""

import pytest
from django.utils import timezone

from fleet import standing
from fleet.models import Vps, VpsStatus
from streams.tests import build

# what is known of it → kind, label, reason
CASES = [
    ({}, "well", "takes streams", ""),
    ({"max_streams": 0}, "full", "full", ""),
    ({"last_heartbeat_at": None}, "silent", "never heard of", ""),
    ({"last_heartbeat_at": "30 s"}, "silent", "silent", "no heartbeat for 30 s"),
    ({"last_heartbeat_at": "600 s"}, "silent", "silent", "last heartbeat 10 minutes ago"),
    ({"unhealthy": "disk 97 % full"}, "unhealthy", "unhealthy", "disk 97 % full"),
    ({"unhealthy": "old", "last_heartbeat_at": "30 s"}, "silent", "silent", "no heartbeat for 30 s"),
    ({"accepting": False}, "draining", "shutting down", "its agent takes nothing new"),
    ({"status": VpsStatus.DRAINING}, "draining", "draining", "nothing is on it any more"),
    ({"status": VpsStatus.DRAINING, "status_message": "for the new disk"}, "draining", "draining", "for the new disk"),
    ({"status": VpsStatus.INACTIVE, "last_heartbeat_at": None}, "out", "inactive", ""),
    ({"status": VpsStatus.PROVISIONING, "status_message": "packages"}, "out", "provisioning", "packages"),
    ({"status": VpsStatus.ERROR, "status_message": "step failed"}, "out", "error", "step failed"),
]


def made(fields, name="vps-1"):
    heard = fields.get("last_heartbeat_at")
    if isinstance(heard, str):
        fields = fields | {"last_heartbeat_at": build.ago(int(heard.split()[0]))}
    return build.vps(name, **fields)


@pytest.mark.parametrize(("fields", "kind", "label", "reason"), CASES)
def test_in_words_and_by_the_database(db, fields, kind, label, reason):
    made(fields)
    now = timezone.now()
    vps = Vps.objects.with_current_streams().get()
    found = standing.of(vps, now)
    assert (found.kind, found.label, found.reason) == (kind, label, reason)
    by_kind = [each for each in standing.KINDS if standing.only(Vps.objects.with_current_streams(), each, now)]
    assert by_kind == [kind]
    assert standing.troubled(Vps.objects.all(), now).exists() == found.is_trouble


def test_what_drains_says_how_much_is_on_it(alice):
    vps = build.vps(status=VpsStatus.DRAINING)
    build.running(build.stream(alice), vps)
    assert standing.of(Vps.objects.with_current_streams().get(), timezone.now()).reason == "1 stream is still on it"
