"""What is written for nginx: the golden file, and nothing that is more than it seems to be."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import nginx_conf
from agent.nginx_conf import Place, Unfit, application, local_key, place, ready_file, ready_name

GOLDEN = Path(__file__).with_name("golden_nginx") / "stream_42.conf"
KEY = "live_123-abc?bandwidth=1&s_bl=1"


def test_the_golden_file() -> None:
    twitch = place("rtmp://live.example.com/app", KEY)
    deep = place("rtmp://[2001:db8::7]:1936/live/eu?x=1", "abc=")
    text = application(42, 7, twitch, "203.0.113.7") + application(42, 8, deep, "2001:db8::7")
    assert text == GOLDEN.read_text()
    assert nginx_conf.addresses(text) == ["203.0.113.7", "2001:db8::7"]


def test_a_place_is_taken_apart() -> None:
    assert place("rtmp://Live.Example.com:1937/app/", "k") == Place(
        "rtmp://live.example.com:1937/app", "live.example.com", 1937, "app", "k"
    )
    assert KEY not in repr(place("rtmp://live.example.com/app", KEY))


NASTY = [
    ";",
    '"',
    "'",
    "{",
    "}",
    "\n",
    "\r",
    "\t",
    " ",
    "$",
    "#",
    "\\",
    "`",
    "|",
    "<",
    "\0",
    "\x7f",
    "é",
    "(",
    "*",
    "[",
    "\u2028",
]


@pytest.mark.parametrize("bit", NASTY)
@pytest.mark.parametrize("where", ["start", "middle", "end"])
def test_what_could_mean_something_is_refused(bit: str, where: str) -> None:
    at = {"start": 0, "middle": 2, "end": 4}[where]
    bad = "abcd"[:at] + bit + "abcd"[at:]
    with pytest.raises(Unfit) as error:
        place("rtmp://live.example.com/app", bad)
    assert bad not in str(error.value)
    with pytest.raises(Unfit):
        place(f"rtmp://live.example.com/{bad}", "key")


@pytest.mark.parametrize(
    ("url", "key", "why"),
    [
        ("rtmps://live.example.com/app", "k", "rtmps"),
        ("http://live.example.com/app", "k", "rtmp://"),
        ("rtmp:///app", "k", "rtmp://"),
        ("rtmp://live.example.com/", "k", "characters"),
        ("rtmp://live.example.com:99999/app", "k", "not a URL"),
        ("rtmp://user:word@live.example.com/app", "k", "characters"),
        ("rtmp://live.example.com/app#x", "k", "characters"),
        ("rtmp://-live;.example.com/app", "k", "characters"),
        ("rtmp://[fe80::1%25eth0]/app", "k", "characters"),
        ("rtmp://live.example.com/app", "", "no stream key"),
        ("rtmp://live.example.com/app", "k" * 600, "too long"),
        ("rtmp://live.example.com/" + "a" * 600, "k", "too long"),
    ],
)
def test_what_nginx_cannot_do_is_said(url: str, key: str, why: str) -> None:
    with pytest.raises(Unfit, match=why):
        place(url, key)


@pytest.mark.parametrize("address", ["live.example.com", "1.2.3", "1.2.3.4;", "fe80::1%eth0", "", "1.2.3.4 x"])
def test_only_an_address_is_written_where_one_belongs(address: str) -> None:
    with pytest.raises(Unfit):
        application(1, 1, place("rtmp://live.example.com/app", "k"), address)


PARTS = st.text(st.sampled_from([*"abz019._~:/?&=%@+,-", *NASTY]), max_size=30)


@given(host=PARTS, app=PARTS, key=PARTS)
def test_whatever_is_typed_is_refused_or_one_word(host: str, app: str, key: str) -> None:
    try:
        text = application(1, 2, place(f"rtmp://{host}/{app}", key), "192.0.2.1")
    except Unfit:
        return
    lines = text.splitlines()
    assert len(lines) == 9
    (push,) = [line for line in lines if "push " in line]
    words = push.strip().removesuffix(";").split(" ")
    assert [word.partition("=")[0] for word in words] == [
        "push",
        "rtmp://192.0.2.1:1935",
        "app",
        "playPath",
        "tcUrl",
    ] or (words[1].startswith("rtmp://192.0.2.1:") and len(words) == 5)
    assert words[3] == f"playPath={key}"
    assert not re.search(r"[;{}\"'$#\\\s]", "".join(words))


def test_other_files_have_another_name_for_being_loaded() -> None:
    one, two = {"stream_1.conf": "a"}, {"stream_1.conf": "b"}
    assert ready_name(one) != ready_name(two) != ready_name({})
    assert ready_name(one) in ready_file(one)


def test_the_local_key_changes_with_what_it_stands_for_and_does_not_show_it() -> None:
    keys = {local_key("rtmp://a/app", KEY), local_key("rtmp://b/app", KEY), local_key("rtmp://a/app", "other")}
    assert len(keys) == 3
    assert all(re.fullmatch("[0-9a-f]{12}", key) for key in keys)
