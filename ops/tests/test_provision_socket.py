"""The socket of a provisioning's page: operators only; everything first, then what changed."""

import asyncio

import pytest
from channels.db import database_sync_to_async
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import AnonymousUser, Permission
from django.test import Client
from django.utils import timezone

from fleet.models import ProvisionRun, Vps
from fleet.provision import lifecycle, pages
from ops import consumers
from ops.sockets import websocket_urlpatterns
from streams.consumers import NOT_FOUND, SIGNED_OUT, PageConsumer
from streams.tests import build

pytestmark = pytest.mark.django_db(transaction=True)
router = URLRouter(websocket_urlpatterns)


@database_sync_to_async
def world(user):
    vps = Vps.objects.create(name="fra-1", host="192.0.2.7")
    run = lifecycle.begin(vps, None, timezone.now())
    lifecycle.lay_out(run, [("one", "First step"), ("two", "Second step")])
    session = Client()
    if user.pk:
        session.force_login(user)
    return run, session.session


def operator():
    """With no right but the one that the page asks for."""
    olga = build.user("olga", is_staff=True)
    olga.user_permissions.add(Permission.objects.get(codename="view_provisionrun"))
    return olga


async def opened(run, user, session):
    page = WebsocketCommunicator(router, f"/ws/provision/{run.pk}")
    page.scope |= {"user": user, "session": session, "cookies": {}}
    return page, await page.connect(timeout=20)


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setattr(PageConsumer, "interval_s", 0.02)
    monkeypatch.setattr(PageConsumer, "urgent_s", 0.01)


async def test_an_operator_gets_everything_and_then_what_changes():
    olga = await database_sync_to_async(operator)()
    run, session = await world(olga)
    page, (is_open, _) = await opened(run, olga, session)
    assert is_open
    first = await page.receive_from(timeout=20)
    assert "First step" in first
    assert "Second step" in first
    await database_sync_to_async(work)(run)
    while "halfway" not in (said := await page.receive_from(timeout=20)):
        pass
    assert "Second step" not in said
    whole = await database_sync_to_async(html)(run)
    assert said.split("<li")[1].split("data-tick")[0] in whole
    await page.disconnect()


def work(run: ProvisionRun) -> None:
    worker = lifecycle.take(run.pk, timezone.now())
    step = run.steps.get(name="one")
    lifecycle.begin_step(step, worker, timezone.now())
    lifecycle.write_output(step, worker, "apt-get", "halfway")


def html(run: ProvisionRun) -> str:
    fresh = ProvisionRun.objects.select_related("vps").get(pk=run.pk)
    return pages.live_html(fresh, timezone.now(), everything=True)


@pytest.mark.parametrize(
    "fields", [None, {}, {"is_staff": True}], ids=["nobody", "a user", "an operator without the right"]
)
async def test_nobody_else_gets_in(fields):
    user = AnonymousUser() if fields is None else await database_sync_to_async(build.user)("alice", **fields)
    run, session = await world(user)
    _page, (is_open, code) = await opened(run, user, session)
    assert (is_open, code) == (False, NOT_FOUND)


async def test_what_is_not_there_is_not_there():
    olga = await database_sync_to_async(operator)()
    run, session = await world(olga)
    run.pk = 10**6
    _page, (is_open, code) = await opened(run, olga, session)
    assert (is_open, code) == (False, NOT_FOUND)


async def test_an_operator_who_is_one_no_more_sees_nothing_more():
    olga = await database_sync_to_async(operator)()
    run, session = await world(olga)
    page, _ = await opened(run, olga, session)
    await page.receive_from(timeout=20)
    await database_sync_to_async(switch_off)(olga)
    await database_sync_to_async(work)(run)
    event = await page.receive_output(timeout=20)
    assert (event["type"], event["code"]) == ("websocket.close", SIGNED_OUT)
    await asyncio.sleep(0)


def switch_off(user) -> None:
    user.is_active = False
    user.save()


async def test_an_operator_who_lost_the_right_sees_nothing_more():
    olga = await database_sync_to_async(operator)()
    run, session = await world(olga)
    scope = {"user": olga, "session": session}
    assert await database_sync_to_async(consumers.render_run)(scope, run.pk, True)
    await database_sync_to_async(olga.user_permissions.clear)()
    assert await database_sync_to_async(consumers.render_run)(scope, run.pk, True) == ""
