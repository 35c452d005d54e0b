"""What an agent takes from a command, by cases."""

import pytest

from agent.protocol import PushUrl, SlateFile
from agent.tests.histories import config, item, replace
from agent.validate import bad_destination, bad_item, bad_live, bad_slate, cache_key, why_not

PUSH = PushUrl(id=1, name="place", url="rtmp://place.example/live", key="secret")
SLATE = SlateFile(file_id=21, kind="picture", filename="s.png", download_url="https://f.example/s", size=1000)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, None),
        ({"via": "ffmpeg", "url": "rtmps://place.example/live"}, None),
        ({"via": "nginx"}, None),
        ({"via": "nginx", "url": "rtmp://place.example:1936/live?a=b&c=d"}, None),
        ({"via": ""}, "there is no such way to push"),
        ({"via": "NGINX"}, "there is no such way to push"),
        ({"via": "nginx", "url": "rtmps://place.example/live"}, "nginx cannot push to rtmps://"),
        ({"via": "nginx", "key": "a$b"}, "characters that nginx cannot push to"),
        ({"via": "nginx", "url": "rtmp://place.example/$host"}, "characters that nginx cannot push to"),
        ({"via": "nginx", "key": "a#b"}, "characters that nginx cannot push to"),
        ({"via": "nginx", "key": "a;b"}, "characters that no stream key has"),
        ({"via": "nginx", "key": "schlüssel"}, "characters that nginx cannot push to"),
        ({"url": "rtmp://place.example/a\\b"}, "characters that no RTMP address has"),
        ({"key": "k" * 2000}, "too long"),
    ],
)
def test_destinations(change: dict, words: str | None) -> None:
    reason = bad_destination(replace(PUSH, **change))
    assert reason is None if words is None else words in (reason or "")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("rtmp://studio.example/live/key", None),
        ("rtmps://studio.example:443/live/key?a=b", None),
        ("http://studio.example/live.m3u8", None),
        ("https://studio.example/live.m3u8", None),
        ("rtmp://[2606:4700::1]/live/key", None),
        ("file:///etc/passwd", "not rtmp://, rtmps://, http:// or https://"),
        ("concat:a|b", "characters"),
        ("rtsp://studio.example/live", "not rtmp://"),
        ("rtmp:///live", "names no server"),
        ("rtmp://studio.example:0/live", "names no server"),
        ("rtmp://studio.example:99999/live", "not a URL"),
        ("rtmp://studio.example/li ve", "characters"),
        ("rtmp://studio.example/live\nkey", "characters"),
        ("rtmp://studio.example/live'key", "characters"),
        ("rtmp://stüdio.example/live", "characters"),
        ("rtmp://studio.example/" + "a" * 1024, "too long"),
        ("rtmp://127.0.0.1/live/key", "private network"),
        ("http://10.1.2.3/live.m3u8", "private network"),
        ("http://169.254.169.254/latest", "private network"),
        ("http://[::1]:8080/live.m3u8", "private network"),
        ("http://[::ffff:192.168.0.1]/live.m3u8", "private network"),
        ("rtmp://localhost/live", "private network"),
        ("rtmp://a.localhost./live", "private network"),
    ],
)
def test_live_inputs(url: str, words: str | None) -> None:
    reason = bad_live(url, reach_private=False)
    assert reason is None if words is None else words in (reason or "")


def test_a_private_address_is_no_obstacle_where_that_is_allowed() -> None:
    assert bad_live("rtmp://127.0.0.1/live/key", reach_private=True) is None
    assert bad_live("file:///etc/passwd", reach_private=True) is not None


def test_a_live_item_needs_no_size_and_takes_no_files_place() -> None:
    live = item(3, live_url="rtmp://studio.example/live/key", file_id=-3, size=0, download_url="")
    assert bad_item(live, False) is None
    assert bad_item(replace(live, live_url=""), False) == "its size is not known"
    assert cache_key(live) != cache_key(replace(live, file_id=3))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, None),
        ({"kind": "clip"}, None),
        ({"kind": "script"}, "neither a picture nor a clip"),
        ({"size": 0}, "size is not known"),
        ({"sha256": "zz"}, "checksum is not one"),
    ],
)
def test_slates(change: dict, words: str | None) -> None:
    reason = bad_slate(replace(SLATE, **change))
    assert reason is None if words is None else words in (reason or "")


def test_a_list_may_become_empty_on_air_only() -> None:
    assert why_not(config(items=0)) == "the playlist is empty"
    assert why_not(config(items=0), on_air=True) is None
