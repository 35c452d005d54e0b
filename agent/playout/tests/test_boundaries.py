"""Item after item on one connection, as a real server receives it."""

from pathlib import Path

import pytest

from agent.playout import flv
from agent.playout.flv import AUDIO, VIDEO

from . import recordings
from .clips import clip
from .driver import RunningPlayout, destination, items
from .servers import NginxRtmp, ffmpeg_listener

SAME = [{"name": "a"}, {"name": "b"}, {"name": "c"}]
MIXED = [
    {"name": "a"},
    {"name": "b", "size": "426x240", "rate": 30, "sample_rate": 44100},
    {"name": "c", "channels": 1, "b_frames": 2},
    {"name": "d", "sound": False},
]


def _play(tmp_path: Path, kinds: list[dict], times: int) -> list[recordings.Recording]:
    """Plays the clips `times` times over to two destinations; what each of them recorded."""
    paths = [clip(**kind) for kind in kinds] * times
    with NginxRtmp() as server:
        places = [destination(1, server.url), destination(2, server.url)]
        with RunningPlayout(tmp_path, items(*paths), places, loop=False) as playout:
            end = playout.exit(limit_s=30)
        files = [server.recordings_of(key) for key in ("key1", "key2")]
        assert [len(found) for found in files] == [1, 1], "one connection each"
        for found in files:
            assert {stream["codec_name"] for stream in recordings.probe(found[0])["streams"]} == {
                "h264",
                "aac",
            }
        got = [recordings.read(found[0]) for found in files]
    assert (end["code"], end["reason"], end["status"]["items_played"]) == (0, "finished", len(paths))
    assert "internal error" not in playout.log()
    return got


def _sent(kinds: list[dict], times: int, kind: int) -> list[bytes]:
    clips = [recordings.read(clip(**each)) for each in kinds] * times
    return [payload for each in clips for payload in each.payloads(kind)]


@pytest.mark.parametrize(("kinds", "times"), [(SAME, 3), (MIXED, 2)], ids=["same", "mixed"])
def test_nothing_is_lost_and_nothing_goes_back_over_boundaries(tmp_path: Path, kinds: list[dict], times: int) -> None:
    for got in _play(tmp_path, kinds, times):
        for kind in (VIDEO, AUDIO):
            assert got.payloads(kind) == _sent(kinds, times, kind), "every frame, in order"
            assert min(got.gaps(kind)) >= 0
        assert max(got.gaps(VIDEO)) <= 150
        headers = [tag for tag in got.tags if tag.is_codec_header and tag.kind == VIDEO]
        assert len(headers) >= len(kinds) * times, "codec headers at every boundary"


def test_sound_keeps_step_with_the_picture(tmp_path: Path) -> None:
    """Each item's sound stands where its file has it, to within 40 ms, however many items came before."""
    kinds, times = [SAME[0], MIXED[1], MIXED[2]], 2
    (got, _) = _play(tmp_path, kinds, times)
    video, audio = iter(got.stamps(VIDEO)), iter(got.stamps(AUDIO))
    for each in kinds * times:
        file = recordings.read(clip(**each))
        shifts = [next(video) - stamp for stamp in file.stamps(VIDEO)]
        shifts += [next(audio) - stamp for stamp in file.stamps(AUDIO)]
        assert max(shifts) - min(shifts) <= 40


def test_it_publishes_to_ffmpegs_listener(tmp_path: Path) -> None:
    out = tmp_path / "got.flv"
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    with ffmpeg_listener(out) as url:
        place = destination(1, url, "key")
        with RunningPlayout(run_dir, items(clip("a"), clip("b")), [place], loop=False) as playout:
            assert playout.exit()["reason"] == "finished"
            reached = playout.log()
    assert '"destination live"' in reached
    assert len(recordings.read(out).payloads(VIDEO)) == len(_sent(SAME[:2], 1, VIDEO))


def test_the_end_of_a_file_does_not_end_the_receivers_sequence(tmp_path: Path) -> None:
    (got, _) = _play(tmp_path, SAME[:2], 1)
    assert not [tag for tag in got.tags if tag.kind == VIDEO and tag.payload[1] == 2]
    assert flv.is_playable(VIDEO, b"\x17\x02\0\0\0") is False
