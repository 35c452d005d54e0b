import pytest

from agent.protocol import UpdateStream
from media_library.models import FileStatus
from streams import actions
from streams.errors import Invalid, KeyInUse, NotReady
from streams.inbox import Inbox
from streams.models import Run, StreamDestination
from streams.spec import OutputSpec, videos
from streams.tests import build


def test_creating_writes_all_of_it(alice):
    files = [build.file(alice, name) for name in "ab"]
    place = build.destination(alice)
    spec = build.spec(
        alice,
        title="  My channel ",
        loop=False,
        order="random",
        items=videos((files[1].pk, files[0].pk, files[1].pk)),
        outputs=(OutputSpec(place.pk, False),),
    )
    stream = actions.create(alice, spec)
    assert (stream.title, stream.loop, stream.order) == ("My channel", False, "random")
    assert [item.file.title for item in stream.items.all()] == ["b", "a", "b"]
    assert [(row.destination, row.enabled) for row in stream.outputs.all()] == [(place, False)]
    assert actions.editing.spec_of(stream).items == spec.items


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"title": "  "}, "title"),
        ({"title": "x" * 256}, "title"),
        ({"title": "a\x00b"}, "title"),
        ({"description": "x" * 5001}, "description"),
        ({"order": "backwards"}, "order"),
        ({"items": ()}, "files"),
        ({"items": videos((999_999,))}, "files"),
        ({"outputs": ()}, "destinations"),
        ({"outputs": (OutputSpec(999_999),)}, "destinations"),
    ],
)
def test_what_does_not_do_is_said_beside_its_field(alice, changes, field):
    with pytest.raises(Invalid) as caught:
        actions.create(alice, build.spec(alice, **changes))
    assert set(caught.value.fields) == {field}
    assert not alice.streams.exists()


def test_somebody_elses_files_and_destinations_are_as_if_they_were_not(alice, bob):
    spec = build.spec(alice, items=videos((build.file(bob).pk,)), outputs=(OutputSpec(build.destination(bob).pk),))
    with pytest.raises(Invalid) as caught:
        actions.create(alice, spec)
    assert set(caught.value.fields) == {"files", "destinations"}


def test_a_file_still_processing_is_named(alice):
    waiting = build.file(alice, "holiday", status=FileStatus.PROCESSING)
    with pytest.raises(Invalid, match="«holiday» is not ready"):
        actions.create(alice, build.spec(alice, items=videos((waiting.pk,))))


def test_items_and_outputs_that_stay_keep_their_rows(stream, alice):
    kept_items = {item.file_id: item.pk for item in stream.items.all()}
    kept_output = stream.outputs.first()
    new = build.file(alice, "new")
    spec = build.spec(
        alice,
        items=videos((new.pk, *reversed(kept_items))),
        outputs=(OutputSpec(kept_output.destination_id, False),),
    )
    actions.edit(stream, spec, alice)
    items = list(stream.items.all())
    assert [item.file_id for item in items] == [item.id for item in spec.items]
    assert {item.file_id: item.pk for item in items[1:]} == kept_items
    assert [(row.pk, row.enabled) for row in stream.outputs.all()] == [(kept_output.pk, False)]


def test_on_air_the_agent_is_told_after_the_commit(stream, alice, vps, ear, django_capture_on_commit_callbacks):
    run = build.running(stream, vps)
    spec = actions.editing.spec_of(stream)
    with django_capture_on_commit_callbacks(execute=True):
        actions.edit(stream, build.spec(alice, items=spec.items[::-1], outputs=spec.outputs), alice)
        assert ear.heard() == []
    [command] = ear.heard()
    assert isinstance(command, UpdateStream)
    assert [item.file_id for item in command.config.video_files] == [item.id for item in spec.items[::-1]]
    run.refresh_from_db()
    assert run.fingerprint == command.config.fingerprint


def test_an_update_that_was_lost_is_sent_again_by_the_next_heartbeat(stream, alice, vps, ear):
    run = build.running(stream, vps)
    actions.set_output_enabled(stream.outputs.first(), False, alice)
    old = build.report(run, fingerprint="before")
    Inbox().apply([build.heartbeat(vps, old)], build.ago(0))
    [command] = ear.heard()
    assert isinstance(command, UpdateStream)
    run = Run.objects.select_related("stream").get()
    Inbox().apply([build.heartbeat(vps, build.report(run))], build.ago(0))
    assert ear.heard() == []


def test_off_air_nobody_is_told(stream, alice, vps, ear, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        actions.edit(stream, actions.editing.spec_of(stream), alice)
    assert ear.heard() == []


def test_the_last_destination_on_air_cannot_be_switched_off(alice, vps):
    stream = build.stream(alice, outputs=1)
    build.running(stream, vps)
    with pytest.raises(NotReady):
        actions.set_output_enabled(stream.outputs.get(), False, alice)
    assert stream.outputs.get().enabled


def test_a_key_on_air_elsewhere_cannot_be_switched_on(alice, vps):
    place = build.destination(alice)
    first, second = build.stream(alice, "first"), build.stream(alice, "second")
    StreamDestination.objects.create(stream=first, destination=place)
    off = StreamDestination.objects.create(stream=second, destination=place, enabled=False)
    build.running(first, vps)
    build.running(second, vps)
    with pytest.raises(KeyInUse, match="«first»"):
        actions.set_output_enabled(off, True, alice)
    off.refresh_from_db()
    assert not off.enabled
