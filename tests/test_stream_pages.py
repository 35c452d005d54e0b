"""The pages of streams in a real browser: live without a socket, arranged by hand, whole without JavaScript."""

# ruff: noqa: F811  (fixtures come by import)
from __future__ import annotations

import re
from dataclasses import asdict
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from PIL import Image
from playwright.sync_api import Page, expect

from accounts.models import User
from agent.protocol import DestinationState, DestinationTested
from fleet import answers
from lab.processes import wait_until
from streams import samples
from streams.models import Run, Status, Stream
from streams.samples import Sample
from streams.tests import build, steering
from tests.test_shell import PHONE, NewPage, chromium, new_page, widths_fit  # noqa: F401

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]
TITLES = "[data-item] [data-name]"
LISTS = ["/streams/", "/streams/destinations/", "/streams/inputs/"]


def open_as(page: Page, user: User, path: str, live_server) -> Page:
    """Logged in, with no socket: the test server has none, so pages fall back to asking."""
    client = Client()
    client.force_login(user)
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}
    page.context.add_cookies([cookie])
    page.route_web_socket("**/ws/**", lambda socket: socket.close(code=1011))
    page.goto(path)
    return page


def tell(run: Run, state: str, position_s: float = 1.0) -> None:
    """What the agent's next heartbeat would write."""
    states = tuple(DestinationState(id=row.pk, state=state, since=1.7e9) for row in run.stream.outputs.all())
    item = run.stream.items.first()
    report = build.report(run, item_id=item.pk, position_s=position_s, duration_s=3600.0, destinations=states)
    Run.objects.filter(pk=run.pk).update(report=asdict(report), reported_at=timezone.now(), log_tail=["a line"])


def test_the_page_follows_without_a_socket_and_disturbs_nobody(new_page: NewPage, live_server, alice):
    stream = build.stream(alice)
    run = build.running(stream, build.vps())
    tell(run, "connecting")
    page = open_as(new_page(), alice, f"/streams/{stream.pk}/", live_server)
    expect(page.locator("[data-headline]")).to_have_text("On air at 0 of 2 destinations")
    page.locator("#log-details summary").click()
    page.locator("#stream-verb").focus()
    tell(run, "live", position_s=600)
    expect(page.locator("[data-headline]")).to_have_text("On air")
    expect(page.locator("[data-said]")).to_have_text("On air")
    expect(page.locator("#stream-verb")).to_be_focused()
    expect(page.locator("#log-details pre")).to_be_visible()
    # It counts on by itself from the moment it was said.
    expect(page.locator("#stream-now [data-tick]")).to_have_text(re.compile(r"10:\d\d"))


def test_start_and_stop_in_place(new_page: NewPage, live_server, alice):
    stream = build.stream(alice)
    page = open_as(new_page(), alice, f"/streams/{stream.pk}/", live_server)
    page.get_by_role("button", name="Start", exact=True).dblclick()
    expect(page.locator("[data-headline]")).to_have_text("Starting")
    assert Stream.objects.get().state is Status.STARTING
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator("[data-headline]")).to_have_text("Stopping")
    expect(page.locator("#stream-verb")).to_be_disabled()


def test_a_refusal_is_shown_in_place(new_page: NewPage, live_server, alice):
    stream = build.stream(alice, files=0)
    page = open_as(new_page(), alice, "/streams/", live_server)
    page.locator(f"#stream-row-{stream.pk} .stream-tick").check()
    page.get_by_role("button", name="Start «Channel»").click()
    expect(page.locator(".notes")).to_contain_text("The playlist is empty")
    expect(page.locator(f"#stream-row-{stream.pk} .stream-tick")).to_be_checked()


def test_a_playlist_by_keyboard_and_mouse(new_page: NewPage, live_server, alice):
    for title in ("three", "two", "one"):
        build.file(alice, title)
    build.destination(alice, "Harbour")
    page = open_as(new_page(viewport={"width": 1280, "height": 1400}), alice, "/streams/new", live_server)
    for title in ("one", "two", "three"):
        page.get_by_role("button", name=f"Add «{title}» to the playlist").press("Enter")
    page.get_by_role("button", name="Move «three» up").press("Enter")
    expect(page.locator(TITLES)).to_have_text(["one", "three", "two"])
    expect(page.locator("[data-said]")).to_have_text("«three» is now number 2 of 3.")
    expect(page.get_by_role("button", name="Move «three» up")).to_be_focused()
    _drag(page, 2, 1)
    expect(page.locator(TITLES)).to_have_text(["one", "two", "three"])
    page.get_by_role("button", name="Take «one» out").click()
    expect(page.locator("[data-total]")).to_have_text("2 in the playlist · 0:10")
    page.fill("#picker-search", "thr")
    expect(page.locator("#picker [data-file]")).to_have_count(1)
    page.locator("#picker-search").press("Enter")
    page.fill("#id_title", "By hand")
    page.get_by_label("Harbour").first.check()
    page.get_by_role("button", name="Save", exact=True).last.click()
    expect(page.get_by_role("heading", name="By hand")).to_be_visible()
    assert [item.file.title for item in Stream.objects.get().items.all()] == ["two", "three"]


def _drag(page: Page, source: int, target: int) -> None:
    handles = page.locator("[data-item] .handle")
    start, end = handles.nth(source).bounding_box(), handles.nth(target).bounding_box()
    page.mouse.move(start["x"] + 6, start["y"] + 8)
    page.mouse.down()
    page.mouse.move(start["x"] + 6, start["y"] - 10, steps=4)
    page.mouse.move(end["x"] + 6, end["y"] - 4, steps=12)
    page.mouse.up()


def test_choosing_a_platform_fills_its_server_in(new_page: NewPage, live_server, alice):
    page = open_as(new_page(), alice, "/streams/destinations/new", live_server)
    page.select_option("#id_platform", "twitch")
    expect(page.locator("#id_url")).to_have_value("rtmp://live.twitch.tv/app")
    expect(page.locator("[data-platform-help]:visible")).to_contain_text("Creator Dashboard")
    page.fill("#id_url", "rtmp://mine.example.org/app")
    page.select_option("#id_platform", "youtube")
    expect(page.locator("#id_url")).to_have_value("rtmp://mine.example.org/app")


def test_a_platform_s_other_server_is_taken_by_a_button(new_page: NewPage, live_server, alice):
    page = open_as(new_page(), alice, "/streams/destinations/new", live_server)
    expect(page.locator("#id_url")).to_have_value("rtmps://a.rtmps.youtube.com:443/live2")
    page.get_by_role("button", name="Use the backup server, encrypted").press("Enter")
    expect(page.locator("#id_url")).to_have_value("rtmps://b.rtmps.youtube.com:443/live2?backup=1")
    expect(page.locator("#id_url")).to_be_focused()
    expect(page.get_by_role("button", name="Use the backup server, encrypted")).to_be_disabled()
    page.select_option("#id_platform", "trovo")
    expect(page.locator("#id_url")).to_have_value("rtmp://livepush.trovo.live/live")


@pytest.fixture
def agent():
    """One that hears and answers when told to."""
    vps = build.vps()
    ear = build.Ear(vps.pk)
    yield ear
    ear.close()


def test_a_connection_is_tested_in_place_before_anything_is_saved(new_page: NewPage, live_server, alice, agent):
    page = open_as(new_page(), alice, "/streams/new", live_server)
    page.select_option("#id_platform", "custom")
    page.fill("#id_url", "rtmp://tube.example.org/live")
    page.get_by_role("button", name="Test connection").press("Enter")
    expect(page.locator(".test-result")).to_contain_text("Stream key: Paste the stream key")
    page.fill("#id_key", "k3y")
    page.get_by_role("button", name="Test connection").press("Enter")
    expect(page.locator(".test-result")).to_contain_text("is connecting to tube.example.org")
    [asked] = agent.heard()
    said = {"vps_id": agent.vps_id, "timestamp": 1.0, "test_id": asked.test_id}
    answers.forward(DestinationTested(**said, state="refused", message="The server does not know this key."))
    expect(page.locator(".test-result")).to_contain_text("The server does not know this key.")
    expect(page.locator("#id_key")).to_have_value("k3y")
    assert asked.key == "k3y"
    assert not alice.destinations.exists()


def test_enter_in_a_destination_s_field_saves_it(new_page: NewPage, live_server, alice, agent):
    page = open_as(new_page(), alice, "/streams/destinations/new", live_server)
    page.fill("#id_key", "k3y")
    page.fill("#id_name", "Mine")
    page.locator("#id_name").press("Enter")
    expect(page.locator(".notes")).to_contain_text("Destination «Mine» saved.")
    assert agent.heard() == []


def test_a_live_input_in_the_playlist_and_a_picture_for_the_slate(new_page: NewPage, live_server, alice, tmp_path):
    build.file(alice, "Sunrise")
    build.destination(alice, "Harbour")
    build.live_input(alice, "Studio")
    picture = tmp_path / "sea.png"
    Image.new("RGB", (64, 36), "red").save(picture)
    page = open_as(new_page(viewport={"width": 1280, "height": 1400}), alice, "/streams/new", live_server)
    page.fill("#id_title", "Mixed")
    page.get_by_role("button", name="Add «Sunrise» to the playlist").click()
    page.locator("details.new-live > summary").press("Enter")
    page.get_by_role("button", name="Add «Studio» to the playlist").press("Enter")
    expect(page.locator("[data-said]")).to_have_text("«Studio» added as number 2.")
    page.get_by_role("button", name="Move «Studio» up").press("Enter")
    expect(page.locator(TITLES)).to_have_text(["Studio", "Sunrise"])
    expect(page.locator("[data-item] .thumb-live")).to_have_count(1)
    page.get_by_label("A picture of mine").check()
    expect(page.locator("#id_slate_clip")).to_be_hidden()
    page.set_input_files("#id_slate_picture", {"name": "huge.png", "mimeType": "image/png", "buffer": bytes(6 << 20)})
    expect(page.locator("[data-too-large]")).to_be_visible()
    page.get_by_label("Harbour").first.check()
    page.get_by_role("button", name="Save", exact=True).last.click()
    expect(page).to_have_url(f"{live_server.url}/streams/new")
    page.set_input_files("#id_slate_picture", picture)
    expect(page.locator("[data-too-large]")).to_be_hidden()
    page.get_by_role("button", name="Save", exact=True).last.click()
    expect(page.get_by_role("heading", name="Mixed")).to_be_visible()
    stream = Stream.objects.get()
    assert [item.title for item in stream.items.all()] == ["Studio", "Sunrise"]
    assert stream.slate_picture.original_name == "sea.png"


def test_the_whole_job_without_javascript(new_page: NewPage, live_server, alice):
    for title in ("two", "one"):
        build.file(alice, title)
    page = open_as(new_page(java_script_enabled=False), alice, "/streams/new", live_server)
    page.fill("#id_title", "Plain")
    page.get_by_role("button", name="Add «one»").click()
    page.get_by_role("button", name="Add «two»").click()
    page.get_by_role("button", name="Move «two» up").click()
    page.locator("details.new-live > summary").click()
    page.fill("#id_live-name", "Studio")
    page.fill("#id_live-url", "https://cdn.example.org/live.m3u8?token=k3y")
    page.get_by_role("button", name="Add this live input").click()
    page.get_by_label("One of my videos, over and over").check()
    page.select_option("#id_slate_clip", label="two")
    page.select_option("#id_platform", "custom")
    page.fill("#id_name", "Mine")
    page.fill("#id_url", "rtmp://mine.example.org/app")
    page.fill("#id_key", "k3y")
    page.get_by_role("button", name="Save and start").click()
    expect(page.get_by_role("heading", name="Plain")).to_be_visible()
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator("[data-headline]")).to_have_text("Stopping")
    stream = Stream.objects.get()
    assert [item.title for item in stream.items.all()] == ["two", "one", "Studio"]
    assert stream.slate_clip.title == "two"


def test_a_connection_is_tested_without_javascript(new_page: NewPage, live_server, alice, agent):
    place = build.destination(alice, "Harbour", url="rtmp://tube.example.org/live")
    page = open_as(new_page(java_script_enabled=False), alice, "/streams/destinations/", live_server)
    page.get_by_role("button", name="Test the connection of «Harbour»").click()
    expect(page.locator(".note")).to_contain_text("is connecting to tube.example.org")
    [asked] = agent.heard()
    said = {"vps_id": agent.vps_id, "timestamp": 1.0, "test_id": asked.test_id}
    answers.forward(DestinationTested(**said, state="ok", message="", took_ms=84))
    expect(page.locator(".note")).to_contain_text("Connected in 84 ms")
    assert place.key() not in page.content()


@pytest.mark.parametrize("path", [*LISTS, "/streams/{pk}/", "/streams/{pk}/edit", "/streams/destinations/new"])
def test_nothing_is_wider_than_a_phone(new_page: NewPage, live_server, alice, path):
    stream = build.stream(alice, title="A title " * 20)
    stream.items.create(live=build.live_input(alice, "A name " * 11), position=2)
    tell(build.running(stream, build.vps()), "reconnecting")
    page = open_as(new_page(viewport=PHONE), alice, path.format(pk=stream.pk), live_server)
    assert widths_fit(page)


# ------------------------------------------------------------------------------------------------ steering


@pytest.fixture
def on_air(alice):
    """A stream on air whose agent does as it is told."""
    vps, stream = build.vps(), build.stream(alice, files=4)
    Run.objects.filter(pk=steering.on_air(stream, vps).pk).update(reported_at=timezone.now() + timedelta(hours=1))
    with steering.answering(vps):
        yield stream


def rows(page: Page):
    return page.locator("#show-playlist .row-title")


def test_steering_in_place_by_mouse_and_keyboard(new_page: NewPage, live_server, alice, on_air):
    page = open_as(new_page(viewport={"width": 1280, "height": 1600}), alice, f"/streams/{on_air.pk}/", live_server)
    second = page.locator("#show-playlist li").nth(1)
    second.locator("[popovertarget]").press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".notes")).to_have_text("Now playing «clip 1».")
    expect(page.locator("#stream-now .now-title")).to_have_text("clip 1")
    expect(second).to_have_class("list-row is-now")
    page.locator("#steer-pause").press("Enter")
    expect(page.locator("[data-headline]")).to_have_text("Paused: the slate is on air")
    expect(page.locator("#steer-pause")).to_contain_text("Resume")
    expect(page.locator("#steer-pause")).to_be_focused()


def drag_to_the_top(page: Page, source: int) -> None:
    """Rows glide out of the way and take no notice of the pointer meanwhile: it is moved until they have."""
    handles, title = page.locator("#show-playlist .handle"), rows(page).nth(source).inner_text()
    start, end = handles.nth(source).bounding_box(), handles.nth(0).bounding_box()
    page.mouse.move(start["x"] + 6, start["y"] + 8)
    page.mouse.down()
    page.mouse.move(start["x"] + 6, start["y"] - 10, steps=4)

    def is_there():
        page.mouse.move(end["x"] + 6, end["y"] - 4)
        page.mouse.move(end["x"] + 6, end["y"] + 2)
        return rows(page).first.inner_text() == title

    wait_until(is_there, "the row is at the top")
    page.mouse.up()


def test_arranging_in_place_by_menu_and_by_hand(new_page: NewPage, live_server, alice, on_air):
    page = open_as(new_page(viewport={"width": 1280, "height": 1600}), alice, f"/streams/{on_air.pk}/", live_server)
    third = page.locator("#show-playlist li").nth(2)
    third.locator("[popovertarget]").click()
    third.get_by_role("button", name="Move up").click()
    expect(rows(page)).to_have_text(["clip 0", "clip 2", "clip 1", "clip 3"])
    expect(page.locator("[data-said]")).to_have_text("«clip 2» is now number 2.")
    drag_to_the_top(page, 3)
    expect(page.locator("[data-said]")).to_have_text("«clip 3» is now number 1.")
    expect(rows(page)).to_have_text(["clip 3", "clip 0", "clip 2", "clip 1"])
    page.locator("#show-playlist li").nth(0).locator("[popovertarget]").click()
    page.get_by_role("button", name="Take out of the list").click()
    expect(rows(page)).to_have_text(["clip 0", "clip 2", "clip 1"])
    page.locator("#order-random").click()
    expect(page.locator("#order-random")).to_have_attribute("aria-pressed", "true")
    assert [item.title for item in on_air.items.all()] == ["clip 0", "clip 2", "clip 1"]


def test_inserting_a_video_in_place(new_page: NewPage, live_server, alice, on_air):
    build.file(alice, "Evening news")
    page = open_as(new_page(), alice, f"/streams/{on_air.pk}/", live_server)
    page.get_by_role("link", name="Insert next…").click()
    page.locator("[data-insert-search]").fill("evening")
    expect(page.locator("dialog.insert .list-row")).to_have_count(1)
    page.get_by_role("button", name="Play «Evening news» next").click()
    expect(page.locator("dialog.insert")).to_be_hidden()
    expect(page.locator(".notes")).to_have_text("«Evening news» plays next.")
    expect(rows(page).nth(1)).to_have_text("Evening news")


def test_steering_without_javascript(new_page: NewPage, live_server, alice, on_air):
    build.file(alice, "Evening news")
    page = open_as(new_page(java_script_enabled=False), alice, f"/streams/{on_air.pk}/", live_server)
    page.locator("#steer-pause").click()
    expect(page.locator(".notes")).to_have_text("Paused: the slate is on air.")
    page.get_by_role("link", name="Insert next…").click()
    page.get_by_role("button", name="Play «Evening news» next").click()
    expect(page.locator(".notes")).to_have_text("«Evening news» plays next.")
    page.locator("#show-playlist li").nth(3).locator("[popovertarget]").click()
    page.locator("#show-playlist li").nth(3).get_by_role("button", name="Move up").click()
    expect(rows(page)).to_have_text(["clip 0", "Evening news", "clip 2", "clip 1", "clip 3"])


def test_the_charts_draw_and_say_the_same_in_words(new_page: NewPage, live_server, alice, on_air):
    outputs = [str(row.pk) for row in on_air.outputs.all()]
    now = int(timezone.now().timestamp()) // 10 * 10
    samples.keep(
        Sample(str(on_air.runs.get().pk), now - 10 * n, {output: [2500.0, 40] for output in outputs}) for n in range(30)
    )
    page = open_as(new_page(), alice, f"/streams/{on_air.pk}/", live_server)
    expect(page.locator("#charts canvas")).to_have_count(2)
    expect(page.locator("[data-legend] li")).to_have_text(["place 0 2.5 Mbit/s · 40 ms", "place 1 2.5 Mbit/s · 40 ms"])
    page.locator("[data-charts-table] summary").click()
    expect(page.locator("[data-charts-rows] tr").first).to_contain_text("2.5 Mbit/s")
