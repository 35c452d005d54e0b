import asyncio
import json
import subprocess
import sys
import threading
import time
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
import redis.asyncio
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from django.conf import settings
from django.core.management import call_command
from django.utils import timezone
from redis.exceptions import ConnectionError as RedisGone

from agent.protocol import Answered, Steered, encode, status_channel, vps_channel
from fleet import answers, history, redis_acl, redis_users
from lab.processes import wait_until
from lab.valkey import Valkey
from streams import progress
from streams.listener import Listener, pause_s
from streams.models import Status, Stream
from streams.tests import build

pytestmark = pytest.mark.django_db(transaction=True)
LIMIT_S = 10.0


@asynccontextmanager
async def listening(url=None, **options):
    """A listener at work, stopped at the end; hands out the listener."""
    stop, listener = asyncio.Event(), Listener(url or settings.AGENT_REDIS_URL, **options)
    task = asyncio.create_task(listener.run(stop))
    await asyncio.wait_for(listener.subscribed.wait(), LIMIT_S)
    try:
        yield listener
    finally:
        stop.set()
        await asyncio.wait_for(task, LIMIT_S)


async def publish(channel, text, url=None):
    async with redis.asyncio.Redis.from_url(url or settings.AGENT_REDIS_URL) as client:
        return await client.publish(channel, text)


async def until(condition):
    async with asyncio.timeout(LIMIT_S):
        while not await condition():  # noqa: ASYNC110  (waits for the outside world)
            await asyncio.sleep(0.02)


@database_sync_to_async
def starting_on_a_vps():
    vps = build.vps()
    return build.starting_run(build.stream(build.user()), vps), vps


@database_sync_to_async
def state_of(run):
    return Stream.objects.get(pk=run.stream_id).state


async def becomes(run, state):
    async def is_so():
        return await state_of(run) is state

    await until(is_so)


async def test_an_agents_word_becomes_the_state_and_reaches_the_browser_soon():
    run, vps = await starting_on_a_vps()
    layer = get_channel_layer()
    page = await layer.new_channel()
    await layer.group_add(progress.stream_group(run.stream_id), page)
    async with listening():
        began = asyncio.get_running_loop().time()
        await publish(status_channel(vps.pk), encode(build.status(run, "STREAMING")))
        async with asyncio.timeout(LIMIT_S):
            event = await layer.receive(page)
        assert event == {"type": "stream.changed", "stream_id": run.stream_id, "urgent": True}
        assert asyncio.get_running_loop().time() - began < 2
        assert await state_of(run) is Status.STREAMING
    await layer.group_discard(progress.stream_group(run.stream_id), page)


@pytest.mark.parametrize(
    "rubbish", ["", "{", "[]", "null", '{"vps_id": "x"}', "\x00\xff", '{"status": NaN}', "[" * 2000]
)
async def test_rubbish_is_counted_and_the_next_message_still_counts(rubbish):
    run, vps = await starting_on_a_vps()
    async with listening() as listener:
        await publish(status_channel(vps.pk), rubbish)
        await publish("stream-status:nobody", encode(build.status(run, "STOPPED")))
        await publish(status_channel(vps.pk), encode(build.status(run, "STREAMING")))
        await becomes(run, Status.STREAMING)
        assert listener.inbox.counts["malformed"] == 2


async def test_one_vps_cannot_speak_for_another():
    run, vps = await starting_on_a_vps()
    other = await database_sync_to_async(build.vps)("other")
    forged = json.loads(encode(build.status(run, "STOPPED"))) | {"vps_id": other.pk}
    async with listening() as listener:
        await publish(status_channel(other.pk), encode(build.status(run, "STOPPED")))
        await publish(status_channel(other.pk), json.dumps(forged))
        await publish(vps_channel(vps.pk), encode(build.heartbeat(vps)))

        async def is_counted():
            return listener.inbox.counts["received"] >= 2

        await until(is_counted)
        assert (listener.inbox.counts["malformed"], listener.inbox.counts["foreign_vps"]) == (1, 1)
        assert await state_of(run) is Status.STARTING


async def test_several_listeners_do_each_thing_once():
    run, vps = await starting_on_a_vps()
    async with listening() as one, listening() as two:
        await publish(status_channel(vps.pk), encode(build.status(run, "STREAMING")))

        async def both_took_it():
            return one.inbox.counts["received"] == two.inbox.counts["received"] == 1

        await until(both_took_it)
        await becomes(run, Status.STREAMING)
    live = await database_sync_to_async(lambda: run.stream.transitions.filter(event="live").count())()
    assert live == 1


async def test_it_comes_back_when_redis_does(tmp_path):
    run, vps = await starting_on_a_vps()
    server = Valkey(tmp_path)
    await asyncio.to_thread(server.start)
    try:
        async with listening(server.url) as listener:
            await asyncio.to_thread(server.stop)
            listener.subscribed.clear()
            await asyncio.to_thread(server.start)
            await asyncio.wait_for(listener.subscribed.wait(), LIMIT_S)
            await publish(status_channel(vps.pk), encode(build.status(run, "STREAMING")), server.url)
            await becomes(run, Status.STREAMING)
    finally:
        await asyncio.to_thread(server.stop)


async def test_while_redis_is_away_no_stream_is_given_up(tmp_path):
    server = Valkey(tmp_path)
    server.start()
    run, _vps = await starting_on_a_vps()
    async with listening(server.url) as listener:
        server.stop()
        await until(lambda: is_deaf(listener))
        late = timezone.now() + timedelta(hours=1)
        await database_sync_to_async(listener._sweep_now)(late)
        assert await state_of(run) is Status.STARTING


async def is_deaf(listener):
    return not listener.subscribed.is_set()


async def test_without_reconnect_it_ends_with_the_error(tmp_path):
    listener = Listener(f"unix://{tmp_path}/nothing.sock", reconnect=False)
    with pytest.raises((RedisGone, OSError)):
        await asyncio.wait_for(listener.run(asyncio.Event()), LIMIT_S)


def test_pauses_grow_to_a_limit():
    assert [pause_s(n, 0.0) for n in range(7)] == [0.5, 1, 2, 4, 5, 5, 5]
    assert pause_s(1, 1.0) == 0.5
    assert pause_s(10**6, 0.0) == 5


async def test_of_what_waits_a_heartbeat_that_is_overtaken_is_left_out_and_the_rest_keeps_its_order():
    run, vps = await starting_on_a_vps()
    listener = Listener(settings.AGENT_REDIS_URL)
    first, word, second = build.heartbeat(vps), build.status(run, "STREAMING"), build.heartbeat(vps, timestamp=2.0)
    other = build.heartbeat(vps, vps_id=10**6)
    for message in (first, word, second, other):
        listener._put(message)
    assert [message for _at, message in await listener._next()] == [word, second, other]
    listener._put(first)
    assert [message for _at, message in await listener._next()] == [first]
    assert listener.inbox.counts["overtaken"] == 1


async def test_it_measures_how_far_agents_are():
    _, vps = await starting_on_a_vps()
    ear = await asyncio.to_thread(build.Ear, vps.pk)
    async with listening():

        async def is_pinged():
            return any(type(each).__name__ == "Ping" for each in await asyncio.to_thread(ear.heard))

        await until(is_pinged)
    ear.close()
    assert vps.is_reachable(timezone.now())


async def test_told_to_stop_it_finishes_the_batch_in_hand(monkeypatch):
    run, vps = await starting_on_a_vps()
    entered, go_on = threading.Event(), threading.Event()

    async with listening() as listener:
        applied = listener.inbox.apply

        def slowly(*args):
            entered.set()
            go_on.wait(LIMIT_S)
            return applied(*args)

        monkeypatch.setattr(listener.inbox, "apply", slowly)
        await publish(status_channel(vps.pk), encode(build.status(run, "STREAMING")))
        await asyncio.to_thread(entered.wait, LIMIT_S)
        asyncio.get_running_loop().call_later(0.1, go_on.set)
    assert await state_of(run) is Status.STREAMING


def test_the_command_listens_for_as_long_as_it_is_told():
    began = time.monotonic()
    call_command("stream_listen", "--timeout=0.5", "--reconnect")
    assert 0.5 <= time.monotonic() - began < LIMIT_S


def test_sigterm_ends_the_command():
    client = redis.Redis.from_url(settings.AGENT_REDIS_URL)
    before = subscribers(client)
    process = subprocess.Popen([sys.executable, "manage.py", "stream_listen"], cwd=settings.BASE_DIR)
    try:
        wait_until(lambda: subscribers(client) - before, "it listens", limit_s=6 * LIMIT_S)
        process.terminate()
        assert process.wait(LIMIT_S) == 0
    finally:
        client.close()
        process.kill()
        process.wait()


def subscribers(client):
    """Ids of the connections that listen to a pattern."""
    return {each["id"] for each in client.client_list(_type="pubsub") if int(each["psub"])}


async def test_an_answer_goes_past_a_database_that_is_slow(monkeypatch):
    run, vps = await starting_on_a_vps()
    entered, go_on = threading.Event(), threading.Event()
    async with listening() as listener:
        monkeypatch.setattr(listener.inbox, "apply", lambda *_args: entered.set() or (go_on.wait(LIMIT_S) and {}))
        await publish(status_channel(vps.pk), encode(build.status(run, "STREAMING")))
        await asyncio.to_thread(entered.wait, LIMIT_S)
        asked = answers.new_id()
        about = {"stream_id": run.stream_id, "run_id": str(run.pk), "order_id": asked}
        said = Steered(vps_id=vps.pk, timestamp=1.0, ok=True, item_id=5, **about)
        await publish(vps_channel(vps.pk), encode(said))
        found = await asyncio.to_thread(answers.wait, asked, LIMIT_S, vps_id=vps.pk)
        assert not go_on.is_set()
        go_on.set()
    assert found["item_id"] == 5


async def test_a_redis_that_forgot_who_agents_are_is_told_when_the_listener_comes():
    vps = await database_sync_to_async(build.vps)()
    url = (await database_sync_to_async(redis_users.access)(vps)).url
    async with redis.asyncio.Redis.from_url(settings.AGENT_REDIS_URL) as client:
        await client.acl_deluser(redis_acl.user_name(vps.pk))

    async def can_sign_in():
        try:
            async with redis.asyncio.Redis.from_url(url, driver_info=None) as agent:
                return await agent.ping()
        except RedisGone:
            return False

    assert not await can_sign_in()
    async with listening():
        await until(can_sign_in)


async def test_minutes_that_are_over_are_kept_for_the_charts(monkeypatch):
    """With minutes of a second."""
    kept = []
    monkeypatch.setattr(history, "minute_of", lambda moment: int(moment.timestamp()))
    monkeypatch.setattr(history, "keep", kept.append)
    monkeypatch.setattr("streams.listener.MINUTES_S", 0.05)
    _run, vps = await starting_on_a_vps()
    async with listening() as listener:
        await publish(vps_channel(vps.pk), encode(build.heartbeat(vps)))
        answered = Answered(vps_id=vps.pk, timestamp=1.0, query_id="q", ok=True)
        await publish(vps_channel(vps.pk), encode(answered))

        async def is_kept():
            return bool(kept)

        await until(is_kept)
        assert listener.inbox.counts["received"] == 1, "an answer is for who asked, not for the inbox"
    (readings,) = kept[0].values()
    assert readings[vps.pk].cpu == 12.0
