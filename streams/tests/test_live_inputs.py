"""Live inputs: saved, put into playlists, changed while on air, and never shown again."""

import pytest
from django.urls import reverse

from accounts.models import AuditEntry
from agent.protocol import UpdateStream
from streams import actions, rules
from streams.addresses import live_url_problem
from streams.commanding import config_of
from streams.errors import InUse, Invalid, OverLimit
from streams.models import LiveInput, PlaylistItem, Stream
from streams.spec import ItemSpec, LiveInputSpec, videos
from streams.starting import put_on_air
from streams.tests import build
from streams.tests.pages import CANARY, assert_login_wanted, browser, form_of, said

NEW = reverse("streams:new")
SECRET = f"rtmp://studio.example.org/live/{CANARY}"


def live_spec(*lives):
    return tuple(ItemSpec("live", live.pk) for live in lives)


def live_config(run):
    return [(item.live_url, item.file_id) for item in config_of(run).video_files]


# ------------------------------------------------------------------------------------------------ the address


@pytest.mark.parametrize(
    "url",
    [
        "rtmp://studio.example.org/live/key",
        "rtmps://studio.example.org:443/live?token=a%20b&x=1",
        "https://cdn.example.org/news/index.m3u8?token=abc",
        "http://203.0.113.7:8080/live.m3u8",
        "rtmp://[2001:db8::1]/app/stream",
    ],
)
def test_addresses_that_are_taken(settings, url):
    settings.ALLOW_PRIVATE_DESTINATIONS = True
    assert live_url_problem(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "file:///etc/passwd",
        "concat:http://a/b|http://c/d",
        "udp://239.0.0.1:1234",
        "srt://example.org:9000",
        "ftp://example.org/a.m3u8",
        "https://example.org",
        "https://example.org/",
        "https://exa mple.org/a.m3u8",
        "https://example.org/a.m3u8\nX: y",
        "https://example.org/$(id)`x`",
        'https://example.org/"a"',
        "https://user:word@example.org/a.m3u8",
        "https://example.org:0/a",
        "https://example.org:99999/a",
        "https://[::1/a",
        "https://*/a.m3u8",
        "https://example.org/a#b",
        "https://example.org/" + "x" * 500,
        "https://bücher.example/a.m3u8",
    ],
)
def test_addresses_that_are_refused(alice, url):
    with pytest.raises(Invalid) as caught:
        actions.save_live_input(alice, LiveInputSpec("x", url), alice)
    assert set(caught.value.fields) == {"url"}
    assert not LiveInput.objects.exists()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "10.0.0.8", "169.254.169.254", "[::1]", "0x7f000001"])
def test_private_addresses_are_refused_unless_allowed(settings, host):
    settings.ALLOW_PRIVATE_DESTINATIONS = False
    assert "private network" in (live_url_problem(f"http://{host}/live.m3u8") or "")
    settings.ALLOW_PRIVATE_DESTINATIONS = True
    assert live_url_problem(f"http://{host}/live.m3u8") is None


def test_a_name_that_leads_inside_is_found_at_the_start(settings, monkeypatch, alice, vps):
    settings.ALLOW_PRIVATE_DESTINATIONS = False
    monkeypatch.setattr("streams.starting.leads_inside", lambda host: host == "inside.example.org")
    live = build.live_input(alice, "Cellar", url="rtmp://inside.example.org/live/x")
    stream = build.stream(alice, files=0)
    stream.items.create(live=live, position=0)
    run = build.starting_run(stream)
    put_on_air(run.pk, build.no_sleep)
    stream.refresh_from_db()
    assert "«Cellar» leads inside a private network" in stream.failure_reason


# ------------------------------------------------------------------------------------------------ the verbs


def test_the_address_is_sealed_and_kept(alice):
    live = actions.save_live_input(alice, LiveInputSpec("  Studio ", SECRET), alice)
    assert CANARY not in live.sealed_url
    assert CANARY not in repr(LiveInputSpec("x", SECRET))
    kept = actions.save_live_input(alice, LiveInputSpec("Studio B", None), alice, live)
    assert (kept.name, kept.url()) == ("Studio B", SECRET)
    assert CANARY not in str(list(AuditEntry.objects.values_list("details", "target_name")))


def test_there_is_an_end_to_them(alice, bob):
    for number in range(rules.MOST_LIVE_INPUTS):
        build.live_input(alice, f"input {number}")
    with pytest.raises(OverLimit, match="50 live inputs"):
        actions.save_live_input(alice, LiveInputSpec("one more", SECRET), alice)
    first = LiveInput.objects.of(alice)[0]
    actions.save_live_input(alice, LiveInputSpec("changed", None), alice, first)
    actions.save_live_input(bob, LiveInputSpec("his first", SECRET), bob)


def test_deleting_is_refused_while_it_is_used(alice):
    live = build.live_input(alice)
    stream = build.stream(alice, "Evening")
    stream.items.create(live=live, position=2)
    with pytest.raises(InUse, match="«Studio» is used in «Evening»"):
        actions.delete_live_input(live, alice)
    stream.items.filter(live=live).delete()
    actions.delete_live_input(live, alice)
    assert not LiveInput.objects.exists()


def test_a_playlist_of_live_inputs_alone_is_one(alice, vps):
    live = build.live_input(alice, url=SECRET)
    stream = actions.create(alice, build.spec(alice, items=live_spec(live, live)))
    run = build.running(stream, vps)
    assert live_config(run) == [(SECRET, -item.pk) for item in stream.items.all()]
    assert actions.spec_of(stream).items == live_spec(live, live)


def test_it_starts_on_live_inputs_alone(alice, vps, ear):
    stream = actions.create(alice, build.spec(alice, items=live_spec(build.live_input(alice, url=SECRET))))
    build.start_fully(stream, alice)
    [command] = ear.heard()
    assert [item.live_url for item in command.config.video_files] == [SECRET]
    assert CANARY not in repr(command)


def test_somebody_else_s_is_as_if_it_were_not(alice, bob):
    with pytest.raises(Invalid, match="live input is not there"):
        actions.create(alice, build.spec(alice, items=live_spec(build.live_input(bob))))
    assert not Stream.objects.exists()


def test_an_edit_on_air_keeps_the_rows_that_stay(alice, vps, ear, django_capture_on_commit_callbacks):
    live, file = build.live_input(alice, url=SECRET), build.file(alice)
    stream = actions.create(alice, build.spec(alice, items=(*videos([file.pk]), *live_spec(live, live))))
    build.running(stream, vps)
    before = [item.pk for item in stream.items.all()]
    spec = actions.spec_of(stream)
    with django_capture_on_commit_callbacks(execute=True):
        actions.edit(stream, build.spec(alice, items=spec.items[::-1], outputs=spec.outputs), alice)
    [command] = ear.heard()
    assert isinstance(command, UpdateStream)
    assert [item.live_url for item in command.config.video_files] == [SECRET, SECRET, ""]
    assert sorted(item.pk for item in stream.items.all()) == before
    assert stream.items.get(position=2).pk == before[0]


def test_a_new_address_reaches_the_streams_on_air(alice, vps, ear, django_capture_on_commit_callbacks):
    live = build.live_input(alice)
    stream = build.stream(alice)
    stream.items.create(live=live, position=2)
    run = build.running(stream, vps)
    with django_capture_on_commit_callbacks(execute=True):
        actions.save_live_input(alice, LiveInputSpec("Studio", SECRET), alice, live)
    [command] = ear.heard()
    assert command.config.video_files[2].live_url == SECRET
    run.refresh_from_db()
    assert run.fingerprint == command.config.fingerprint


def test_a_copy_has_them_too(alice):
    live = build.live_input(alice)
    stream = build.stream(alice, files=1)
    stream.items.create(live=live, position=1)
    copy = actions.duplicate(stream, alice)
    assert [(item.file_id, item.live_id) for item in copy.items.all()] == [
        (item.file_id, item.live_id) for item in stream.items.all()
    ]


# ------------------------------------------------------------------------------------------------ the editor


def test_a_saved_one_is_put_into_the_playlist(alice):
    live, file = build.live_input(alice, url=SECRET), build.file(alice)
    form = form_of(alice, playlist=[file.pk], do=f"add:live-{live.pk}")
    answer = browser(alice).post(NEW, form)
    assert [entry.token for entry in answer.context["entries"]] == [str(file.pk), f"live-{live.pk}"]
    page = answer.content.decode()
    assert "rtmp://studio.example.org/…" in page
    assert CANARY not in page
    browser(alice).post(NEW, form | {"playlist": [f"live-{live.pk}", file.pk], "do": "save"})
    assert [item.live or item.file for item in Stream.objects.get().items.all()] == [live, file]


@pytest.mark.parametrize("do", ["live", "save"])
def test_a_new_one_is_saved_on_the_way(alice, do):
    form = form_of(alice, playlist=[], do=do) | {"live-name": "Studio", "live-url": SECRET}
    answer = browser(alice).post(NEW, form)
    live = LiveInput.objects.get()
    assert (live.owner, live.url()) == (alice, SECRET)
    if do == "live":
        assert [entry.token for entry in answer.context["entries"]] == [f"live-{live.pk}"]
        assert CANARY not in answer.content.decode()
    else:
        assert Stream.objects.get().items.get().live == live


@pytest.mark.parametrize(("field", "value"), [("live-name", ""), ("live-url", ""), ("live-url", f"udp://x/{CANARY}")])
@pytest.mark.parametrize("do", ["live", "save"])
def test_a_bad_one_saves_nothing_and_is_not_shown_again(alice, field, value, do):
    form = form_of(alice, do=do) | {"live-name": "Studio", "live-url": SECRET, field: value}
    answer = browser(alice).post(NEW, form)
    assert answer.context["new_live"].errors
    assert CANARY not in answer.content.decode()
    assert (LiveInput.objects.count(), PlaylistItem.objects.count()) == (0, 0)


def test_a_stream_that_fails_takes_its_new_input_with_it(alice):
    form = form_of(alice, playlist=[10**9]) | {"live-name": "Studio", "live-url": SECRET}
    browser(alice).post(NEW, form)
    assert not LiveInput.objects.exists()


def test_the_explanation_is_there(alice):
    assert "comes back when it has been stable for 10 seconds" in browser(alice).get(NEW).content.decode()


def test_an_operator_adds_none_for_somebody_else(alice, operator):
    stream = build.stream(alice)
    form = form_of(alice, do="live") | {"live-name": "Studio", "live-url": SECRET}
    answer = browser(operator).post(reverse("streams:edit", args=[stream.pk]), form)
    assert "Only the owner" in str(answer.context["new_live"].errors)
    assert not LiveInput.objects.exists()


# ------------------------------------------------------------------------------------------------ their own pages


def url(name, *args):
    return reverse(f"streams:{name}", args=args)


def test_the_list_shows_one_s_own_and_only_their_servers(alice, bob):
    build.live_input(alice, url=SECRET)
    build.live_input(bob, "His")
    assert_login_wanted(url("inputs"))
    page = browser(alice).get(url("inputs")).content.decode()
    assert "rtmp://studio.example.org/…" in page
    assert "in no stream" in page
    assert CANARY not in page
    assert "His" not in page.replace("History", "")


def test_new_edit_and_delete(alice):
    client = browser(alice)
    client.post(url("input_new"), {"live-name": "Studio", "live-url": SECRET})
    live = LiveInput.objects.get()
    assert CANARY not in client.get(url("input_edit", live.pk)).content.decode()
    client.post(url("input_edit", live.pk), {"live-name": "Studio B", "live-url": ""})
    live.refresh_from_db()
    assert (live.name, live.url()) == ("Studio B", SECRET)
    assert "Delete «Studio B»?" in client.get(url("input_delete", live.pk)).content.decode()
    client.post(url("input_delete", live.pk))
    assert not LiveInput.objects.exists()


def test_what_is_wrong_stands_beside_its_field(alice):
    answer = browser(alice).post(url("input_new"), {"live-name": "", "live-url": "srt://x/y"})
    assert set(answer.context["form"].errors) == {"name", "url"}


def test_one_that_is_used_stays(alice):
    live = build.live_input(alice)
    build.stream(alice, "Evening").items.create(live=live, position=7)
    answer = browser(alice).post(url("input_delete", live.pk), follow=True)
    assert "«Evening»" in said(answer)[0]
    assert LiveInput.objects.exists()
