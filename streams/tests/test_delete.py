import pytest

from streams import actions
from streams.errors import WrongState
from streams.models import PlaylistItem, Status, Stream
from streams.tests import build


def test_at_rest_it_goes_with_its_history_and_the_files_stay(stream, alice, vps):
    run = build.running(stream, vps)
    actions.force_stop(stream, alice)
    actions.delete(stream, alice)
    assert not Stream.objects.exists()
    assert not PlaylistItem.objects.exists()
    assert alice.video_files.count() == 2
    assert not type(run).objects.exists()
    assert alice.audit_entries.filter(verb="delete").exists()


@pytest.mark.parametrize("state", [Status.STARTING, Status.STREAMING, Status.STOPPING])
def test_on_air_it_is_refused(stream, alice, vps, state):
    build.running(stream, vps)
    Stream.objects.filter(pk=stream.pk).update(status=state)
    with pytest.raises(WrongState, match="Stop it before you delete it"):
        actions.delete(stream, alice)
    assert Stream.objects.filter(pk=stream.pk).exists()
