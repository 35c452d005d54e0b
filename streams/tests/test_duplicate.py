from streams import actions
from streams.models import Status
from streams.tests import build


def test_the_copy_has_the_same_playlist_and_destinations_and_is_at_rest(stream, alice, vps):
    build.running(stream, vps)
    stream.outputs.filter(pk=stream.outputs.first().pk).update(enabled=False)
    copy = actions.duplicate(stream, alice)
    assert (copy.title, copy.state, copy.run) == ("Channel (copy)", Status.INACTIVE, None)
    same = [(row.destination_id, row.enabled) for row in stream.outputs.all()]
    assert [(row.destination_id, row.enabled) for row in copy.outputs.all()] == same
    assert [item.file_id for item in copy.items.all()] == [item.file_id for item in stream.items.all()]


def test_a_long_title_still_fits(alice):
    copy = actions.duplicate(build.stream(alice, "x" * 255), alice)
    copy.refresh_from_db()
    assert len(copy.title) <= 255
