"""Bytes by ranges: the signed URL of agents, the owner's preview, the picture."""

from datetime import timedelta

import pytest
import requests
import time_machine
from django.conf import settings
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from media_library import actions
from media_library.models import VideoFile
from media_library.ranges import PIECE, Piece, Unsatisfiable, piece_of


def path_of(url):
    assert url.startswith(settings.AGENT_MEDIA_URL)
    return url.removeprefix(settings.AGENT_MEDIA_URL)


@pytest.fixture
def path(ready):
    return path_of(actions.download_url(ready))


def get(client, path, wanted=None):
    return client.get(path, headers={"Range": wanted} if wanted else {})


def test_an_agent_fetches_a_small_file_whole(client, path, ready):
    answer = get(client, path)
    assert answer.status_code == 200
    assert len(answer.content) == ready.size
    assert answer["Accept-Ranges"] == "bytes"
    assert answer["Content-Type"] == "video/mp4"


def test_it_goes_on_after_a_break(client, path, ready):
    whole = (settings.MEDIA_ROOT / ready.stored_name).read_bytes()
    answer = get(client, path, "bytes=1000-")
    assert answer.status_code == 206
    assert answer.content == whole[1000:]
    assert answer["Content-Range"] == f"bytes 1000-{ready.size - 1}/{ready.size}"
    assert get(client, path, "bytes=10-19").content == whole[10:20]
    assert get(client, path, "bytes=-5").content == whole[-5:]


def test_an_answer_never_has_more_than_a_piece(client, path, ready):
    with (settings.MEDIA_ROOT / ready.stored_name).open("r+b") as file:
        file.truncate(PIECE + 10)
    first = get(client, path, "bytes=0-")
    assert (first.status_code, len(first.content)) == (206, PIECE)
    assert first["Content-Range"] == f"bytes 0-{PIECE - 1}/{PIECE + 10}"
    assert len(get(client, path, f"bytes={PIECE}-").content) == 10
    refused = get(client, path)
    assert refused.status_code == 400
    assert b"Range" in refused.content
    assert client.head(path)["Content-Length"] == str(PIECE + 10)


def test_past_the_end(client, path, ready):
    answer = get(client, path, f"bytes={ready.size}-")
    assert answer.status_code == 416
    assert answer["Content-Range"] == f"bytes */{ready.size}"


def test_a_link_expires(client, path):
    with time_machine.travel(timezone.now() + timedelta(hours=25)):
        answer = get(client, path)
    assert answer.status_code == 403
    assert b"expired" in answer.content


@pytest.mark.parametrize("token", ["1", "1:abc:def", "x" * 300])
def test_a_made_up_link_is_refused(client, ready, token):
    answer = get(client, reverse("library:download", args=[token]))
    assert answer.status_code == 403
    assert b"not valid" in answer.content


def test_a_link_is_for_one_file(client, path, ready, tus):
    other = path.replace(f"/{ready.pk}:", f"/{ready.pk + 1}:")
    assert other != path
    assert get(client, other).status_code == 403


def test_a_deleted_or_lost_file(client, path, ready):
    (settings.MEDIA_ROOT / ready.stored_name).unlink()
    answer = get(client, path)
    assert (answer.status_code, answer.content) == (404, b"The storage does not have this file.")
    VideoFile.objects.all().delete()
    assert get(client, path).status_code == 404


def test_a_storage_that_is_not_there(client, path):
    settings.MEDIA_ROOT.rename(settings.MEDIA_ROOT.with_name("gone"))
    assert get(client, path).status_code == 503


def test_wrong_method(client, path):
    assert client.post(path).status_code == 405


def test_nginx_sends_it_when_it_may(client, path, ready, settings):
    settings.USE_X_ACCEL = True
    answer = get(client, path, "bytes=5-")
    assert answer["X-Accel-Redirect"] == f"/protected-media/{ready.stored_name}"
    assert answer.content == b""


def test_the_owner_plays_it(tus, ready):
    answer = get(tus.client, reverse("library:play", args=[ready.pk]), "bytes=0-99")
    assert (answer.status_code, len(answer.content)) == (206, 100)
    picture = tus.client.get(reverse("library:thumbnail", args=[ready.pk]))
    assert picture["Content-Type"] == "image/jpeg"


def test_what_is_not_ready_does_not_play(tus):
    file = tus.send(b"x")
    assert tus.client.get(reverse("library:play", args=[file.pk])).status_code == 404
    assert tus.client.get(reverse("library:thumbnail", args=[file.pk])).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_over_a_real_connection(live_server, ready, settings):
    settings.AGENT_MEDIA_URL = live_server.url
    answer = requests.get(actions.download_url(ready), headers={"Range": "bytes=7-"}, timeout=10)
    assert answer.status_code == 206
    assert len(answer.content) == ready.size - 7


@pytest.mark.parametrize(
    ("header", "piece"),
    [
        ("bytes=0-0", Piece(0, 1)),
        ("bytes=0-99", Piece(0, 10)),
        ("bytes=-3", Piece(7, 3)),
        ("bytes=-99", Piece(0, 10)),
        ("bytes=5-4", None),
        ("bytes=-", None),
        ("bytes=0-1,3-4", None),
        ("lines=0-1", None),
        ("", None),
    ],
)
def test_ranges(header, piece):
    assert piece_of(header, 10) == piece


@given(st.from_regex(r"bytes=\d{0,25}-\d{0,25}", fullmatch=True), st.integers(0, 2**40))
def test_any_range_is_within_the_file(header, size):
    try:
        piece = piece_of(header, size)
    except Unsatisfiable:
        return
    if piece is not None:
        assert 0 <= piece.start < size
        assert 0 < piece.length <= min(PIECE, size - piece.start)
