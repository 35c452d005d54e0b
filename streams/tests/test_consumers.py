import asyncio
import re

import pytest
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from accounts.models import User
from streams import actions, pages, progress
from streams.consumers import NOT_FOUND, SIGNED_OUT, PageConsumer
from streams.inbox import Inbox
from streams.models import Stream
from streams.sockets import websocket_urlpatterns
from streams.tests import build

pytestmark = pytest.mark.django_db(transaction=True)
LIMIT_S = 20.0
router = URLRouter(websocket_urlpatterns)


async def application(scope, receive, send):
    """The sockets, for somebody who has signed in (as AuthMiddlewareStack would find)."""
    await router({**scope, "session": await session_of(scope["user"])}, receive, send)


@database_sync_to_async
def session_of(user):
    client = Client()
    if user.is_authenticated:
        client.force_login(user)
    return client.session


def socket(path, user):
    page = WebsocketCommunicator(application, path)
    page.scope["user"] = user
    return page


@database_sync_to_async
def people_and_stream():
    alice = build.user("alice", package=build.package(streams=9))
    bob, olga = build.user("bob"), build.user("olga", is_staff=True)
    return alice, bob, olga, build.stream(alice, "Night channel")


async def poke(stream, urgent=False):
    await progress.send({(stream.pk, stream.owner_id): urgent})


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(PageConsumer, "interval_s", 0.4)
    monkeypatch.setattr(PageConsumer, "urgent_s", 0.1)
    monkeypatch.setattr(PageConsumer, "refresh_s", 60.0)


async def test_the_owner_and_an_operator_may_look_others_may_not(quick):
    alice, bob, olga, stream = await people_and_stream()
    for user, wanted in [(alice, True), (olga, True), (bob, False), (AnonymousUser(), False)]:
        page = socket(f"/ws/stream/{stream.pk}", user)
        connected, code = await page.connect(LIMIT_S)
        assert connected is wanted
        assert wanted or code == NOT_FOUND
        await page.disconnect()


async def test_a_stream_that_is_not_there_is_not_found(quick):
    alice, *_ = await people_and_stream()
    assert await socket("/ws/stream/999999", alice).connect() == (False, NOT_FOUND)


@pytest.mark.parametrize("path", ["/ws/stream/abc", "/ws/stream/-1", "/ws/stream/", "/ws/nothing", "/ws/stream/1/x"])
async def test_an_address_that_is_none_is_not_found(path):
    alice, *_ = await people_and_stream()
    assert await socket(path, alice).connect() == (False, NOT_FOUND)


@database_sync_to_async
def switch_off(user):
    User.objects.filter(pk=user.pk).update(is_active=False)


@database_sync_to_async
def change_password(user):
    user.set_password("another")
    user.save(update_fields=["password"])


@database_sync_to_async
def end_sessions(_user):
    Session.objects.all().delete()


@pytest.mark.parametrize("end", [switch_off, change_password, end_sessions])
@pytest.mark.parametrize("path", ["/ws/stream/{}", "/ws/streams"])
async def test_a_page_hears_nothing_more_once_its_user_is_out(quick, path, end):
    alice, _, _, stream = await people_and_stream()
    page = socket(path.format(stream.pk), alice)
    await page.connect(LIMIT_S)
    await poke(stream)
    await page.receive_from(timeout=LIMIT_S)
    await end(alice)
    await poke(stream, urgent=True)
    assert (await page.receive_output(timeout=LIMIT_S)) == {"type": "websocket.close", "code": SIGNED_OUT}
    await page.disconnect()


async def test_nobody_has_no_list(quick):
    assert await socket("/ws/streams", AnonymousUser()).connect() == (False, NOT_FOUND)


async def test_it_begins_with_the_snapshot_and_follows_the_pokes(quick):
    alice, _, _, stream = await people_and_stream()
    page = socket(f"/ws/stream/{stream.pk}", alice)
    await page.connect(LIMIT_S)
    assert "off air" in await page.receive_from(timeout=LIMIT_S)
    await database_sync_to_async(actions.start)(stream, alice)
    assert "starting" in await page.receive_from(timeout=LIMIT_S)
    await page.disconnect()


async def test_ping_is_answered(quick):
    alice, _, _, stream = await people_and_stream()
    page = socket(f"/ws/stream/{stream.pk}", alice)
    await page.connect(LIMIT_S)
    await page.receive_from(timeout=LIMIT_S)
    await page.send_to(text_data="ping")
    assert await page.receive_from(timeout=LIMIT_S) == "pong"
    await page.send_to(text_data="<nonsense>")
    await page.send_to(bytes_data=b"\x00")
    assert await page.receive_nothing(timeout=0.3)
    await page.disconnect()


async def test_a_burst_is_one_push_at_once_and_one_at_the_end(quick):
    alice, _, _, stream = await people_and_stream()
    page = socket(f"/ws/stream/{stream.pk}", alice)
    await page.connect(LIMIT_S)
    await page.receive_from(timeout=LIMIT_S)
    assert await page.receive_nothing(timeout=0.5)
    loop = asyncio.get_running_loop()
    await poke(stream)
    await page.receive_from(timeout=LIMIT_S)
    first = loop.time()
    for _ in range(20):
        await poke(stream)
    poked_for = loop.time() - first
    await page.receive_from(timeout=LIMIT_S)
    assert loop.time() - first >= 0.3
    # Where twenty pokes take longer than an interval there is more than one end.
    pushes = 1 + await pushes_until_quiet(page)
    assert pushes <= 1 + poked_for / PageConsumer.interval_s
    await page.disconnect()


async def pushes_until_quiet(page):
    pushes = 0
    while not await page.receive_nothing(timeout=0.6):
        await page.receive_from(timeout=LIMIT_S)
        pushes += 1
    return pushes


async def test_a_change_of_state_does_not_wait_for_the_end_of_the_second(monkeypatch):
    monkeypatch.setattr(PageConsumer, "interval_s", 60.0)
    monkeypatch.setattr(PageConsumer, "urgent_s", 0.1)
    alice, _, _, stream = await people_and_stream()
    page = socket(f"/ws/stream/{stream.pk}", alice)
    await page.connect(LIMIT_S)
    await page.receive_from(timeout=LIMIT_S)
    await poke(stream)
    assert await page.receive_nothing(timeout=0.3)
    for _ in range(2):
        await poke(stream, urgent=True)
        await page.receive_from(timeout=LIMIT_S)
    await page.disconnect()


async def test_an_old_page_and_the_events_equal_a_fresh_page(quick):
    alice, _, _, stream = await people_and_stream()
    page = socket(f"/ws/stream/{stream.pk}", alice)
    await page.connect(LIMIT_S)
    seen = parts(await page.receive_from(timeout=LIMIT_S))
    await database_sync_to_async(live_through_a_start)(stream, alice)
    fresh = await database_sync_to_async(fresh_page)(stream.pk)
    assert "on air" in str(fresh)
    async with asyncio.timeout(LIMIT_S):
        while seen != fresh:
            seen |= parts(await page.receive_from(timeout=LIMIT_S))
    await page.disconnect()


def live_through_a_start(stream, alice):
    vps = build.vps()
    ear = build.Ear(vps.pk)
    run = build.start_fully(stream, alice)
    inbox = Inbox()
    for message in (build.status(run, "STREAMING", run=build.report(run, item_id=1)),
                    build.heartbeat(vps, build.report(run, item_id=2, position_s=4.0))):  # fmt: skip
        for each in inbox.apply([message], timezone.now()):
            progress.poke(*each)
    ear.close()


def fresh_page(stream_id):
    return parts(pages.show_html(Stream.objects.select_related("run").get(pk=stream_id), timezone.now()))


def parts(html):
    """What stands under each id, as `hx-swap-oob` sees it. Ages in words and seconds move on by themselves."""
    found = dict(re.findall(r'id="([\w-]+)" hx-swap-oob="true"[^>]*>(.*?)(?=<\w+[^>]* hx-swap-oob=|\Z)', html, re.S))
    return {
        key: re.sub(r"data-tick=\"[\d.]+\"|value=\"[\d.]+\"|\d+:\d\d|\d+ seconds?|just now|now", "", each)
        for key, each in found.items()
    }


async def test_the_list_is_sent_the_rows_that_changed(quick):
    alice, bob, _, stream = await people_and_stream()
    other = await database_sync_to_async(build.stream)(bob, "Bobs channel")
    page = socket("/ws/streams", alice)
    await page.connect(LIMIT_S)
    await poke(other)
    assert await page.receive_nothing(timeout=0.4)
    await database_sync_to_async(actions.start)(stream, alice)
    html = await page.receive_from(timeout=LIMIT_S)
    assert f'id="stream-row-{stream.pk}"' in html
    assert "starting" in html
    assert "Bobs channel" not in html
    await page.disconnect()


async def test_the_list_hears_how_many_are_on_air(quick):
    alice, _, _, stream = await people_and_stream()
    page = socket("/ws/streams", alice)
    await page.connect(LIMIT_S)
    await database_sync_to_async(actions.start)(stream, alice)
    html = await page.receive_from(timeout=LIMIT_S)
    assert 'id="stream-number-on_air">1<' in html
    assert 'id="stream-number-off_air">0<' in html
    await page.disconnect()


async def test_the_list_is_told_of_streams_that_come_and_go(quick):
    alice, bob, _, stream = await people_and_stream()
    page = socket("/ws/streams", alice)
    await page.connect(LIMIT_S)
    await database_sync_to_async(actions.duplicate)(await database_sync_to_async(build.stream)(bob), bob)
    assert await page.receive_nothing(timeout=0.4)
    await database_sync_to_async(actions.duplicate)(stream, alice)
    assert "data-list-changed" in await page.receive_from(timeout=LIMIT_S)
    await database_sync_to_async(actions.delete)(stream, alice)
    assert "data-list-changed" in await page.receive_from(timeout=LIMIT_S)
    await page.disconnect()


async def test_a_deleted_stream_is_gone_from_its_page_without_a_crash(quick):
    alice, _, _, stream = await people_and_stream()
    page = socket(f"/ws/stream/{stream.pk}", alice)
    await page.connect(LIMIT_S)
    await page.receive_from(timeout=LIMIT_S)
    pk, owner = stream.pk, stream.owner_id
    await database_sync_to_async(actions.delete)(stream, alice)
    await progress.send({(pk, owner): True})
    assert await page.receive_nothing(timeout=0.5)
    await page.send_to(text_data="ping")
    assert await page.receive_from(timeout=LIMIT_S) == "pong"
    await page.disconnect()


async def test_silence_too_is_shown(monkeypatch):
    monkeypatch.setattr(PageConsumer, "interval_s", 0.05)
    monkeypatch.setattr(PageConsumer, "urgent_s", 0.01)
    monkeypatch.setattr(PageConsumer, "refresh_s", 0.1)
    alice, _, _, stream = await people_and_stream()
    page = socket(f"/ws/stream/{stream.pk}", alice)
    await page.connect(LIMIT_S)
    await page.receive_from(timeout=LIMIT_S)
    assert "stream-state" in await page.receive_from(timeout=LIMIT_S)
    await page.disconnect()
    assert get_channel_layer() is not None
