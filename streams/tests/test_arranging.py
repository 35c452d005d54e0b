"""The small changes a stream's page makes: one item, one switch, one destination."""

import pytest

from streams import actions
from streams.errors import Gone, Invalid, KeyInUse, NotReady, OverLimit
from streams.models import Stream
from streams.playlist import MAX_ITEMS
from streams.tests import build
from streams.tests.steering import answering, on_air


def titles(stream):
    return [item.title for item in stream.items.order_by("position")]


@pytest.fixture
def three(alice):
    return build.stream(alice, files=3)


def move(stream, at, **where):
    actions.move_item(stream, stream.items.all()[at].pk, None, **where)
    return [title.removeprefix("clip ") for title in titles(stream)]


@pytest.mark.parametrize(
    ("at", "where", "wanted"),
    [
        (0, {"way": "down"}, "102"),
        (2, {"way": "up"}, "021"),
        (0, {"way": "up"}, "012"),
        (2, {"way": "down"}, "012"),
        (0, {"to": 2}, "120"),
        (2, {"to": 0}, "201"),
        (1, {"to": 10**12}, "021"),
        (1, {"to": 1}, "012"),
    ],
)
def test_move(three, at, where, wanted):
    assert move(three, at, **where) == list(wanted)
    assert [item.position for item in three.items.order_by("position")] == [0, 1, 2]


def test_move_nowhere_is_refused(three, alice):
    with pytest.raises(Invalid):
        move(three, 0, way="sideways")
    with pytest.raises(Gone):
        actions.move_item(three, build.stream(alice).items.first().pk, None, way="up")


def test_remove_down_to_the_last_one(three):
    for _each in range(2):
        actions.remove_item(three, three.items.first().pk, None)
    with pytest.raises(NotReady, match="last item"):
        actions.remove_item(three, three.items.first().pk, None)
    assert titles(three) == ["clip 2"]


def test_what_somebody_else_removed_is_said(three):
    gone = three.items.first().pk
    actions.remove_item(three, gone, None)
    with pytest.raises(Gone, match="no longer in the playlist"):
        actions.remove_item(three, gone, None)


def test_replace_keeps_the_rows_that_stay(three, alice):
    kept, new = three.items.last(), build.file(alice, "new")
    actions.replace_playlist(three, [new.pk, kept.file_id, new.pk], alice)
    assert titles(three) == ["new", "clip 2", "new"]
    assert three.items.order_by("position")[1].pk == kept.pk
    with pytest.raises(Invalid):
        actions.replace_playlist(three, [], alice)


def test_a_playlist_has_an_end(alice, vps):
    stream = build.stream(alice, files=1)
    row = stream.items.first()
    stream.items.model.objects.bulk_create(
        stream.items.model(stream=stream, file=row.file, position=n) for n in range(1, MAX_ITEMS)
    )
    on_air(stream, vps)
    with pytest.raises(OverLimit):
        actions.insert_next(stream, row.file_id, alice)


def test_loop_and_order(three):
    actions.set_playing(three, None, loop=False)
    actions.set_playing(three, None, order="random")
    actions.set_playing(three, None)
    three.refresh_from_db()
    assert (three.loop, three.order) == (False, "random")
    with pytest.raises(Invalid):
        actions.set_playing(three, None, order="backwards")


def test_one_more_destination_and_one_less(stream, alice, bob):
    place = build.destination(alice, "New")
    added = actions.add_output(stream, place.pk, alice)
    assert actions.add_output(stream, place.pk, alice) == added
    assert stream.outputs.count() == 3
    actions.remove_output(stream, added.pk, alice)
    with pytest.raises(Gone):
        actions.remove_output(stream, added.pk, alice)
    with pytest.raises(Gone):
        actions.add_output(stream, build.destination(bob).pk, alice)
    assert stream.outputs.count() == 2


def test_on_air_the_last_destination_and_a_key_in_use_are_refused(alice, vps):
    stream, other = build.stream(alice, outputs=1), build.stream(alice, outputs=1)
    for each in (stream, other):
        build.running(each, vps)
    with pytest.raises(NotReady, match="last destination"):
        actions.remove_output(stream, stream.outputs.get().pk, alice)
    with pytest.raises(KeyInUse):
        actions.add_output(stream, other.outputs.get().destination_id, alice)
    assert (stream.outputs.count(), Stream.objects.get(pk=stream.pk).outputs.filter(enabled=True).count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_on_air_the_agent_is_told_each_time(vps):
    alice = build.user()
    stream = build.stream(alice, files=3)
    on_air(stream, vps)
    place = build.destination(alice, "New")
    with answering(vps) as agent:
        actions.move_item(stream, stream.items.first().pk, alice, to=2)
        actions.remove_item(stream, stream.items.first().pk, alice)
        actions.set_playing(stream, alice, loop=False, order="random")
        added = actions.add_output(stream, place.pk, alice)
        actions.remove_output(stream, added.pk, alice)
        agent.hears(5)
    assert [len(config.video_files) for config in agent.configs()] == [3, 2, 2, 2, 2]
    assert [len(config.push_urls) for config in agent.configs()] == [2, 2, 2, 3, 2]
    assert (agent.configs()[-1].loop, agent.configs()[-1].order) == (False, "random")
