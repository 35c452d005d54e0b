"""Item after item on one connection, as a real server receives it."""

from pathlib import Path

import pytest

from agent.playout import flv
from agent.playout.flv import AUDIO, VIDEO

from . import recordings
from .clips import clip
from .driver import RunningPlayout, destination, items
from .servers import NginxRtmp, ffmpeg_listener

SAME = [{"seconds": 1.4, "name": "a"}, {"seconds": 1.4, "name": "b"}, {"seconds": 1.4, "name": "c"}]
MIXED = [
    {"seconds": 1.4, "name": "a"},
    {"seconds": 1.4, "name": "b", "size": "426x240", "rate": 30, "sample_rate": 44100},
    {"seconds": 1.4, "name": "c", "channels": 1, "b_frames": 2},
    {"seconds": 1.4, "name": "d", "sound": False},
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


def _skews(got: recordings.Recording, kinds: list[dict], times: int) -> list[int]:
    """Per item: how much further apart its sound and picture came than they are in its file, ms."""
    video, audio = list(reversed(got.stamps(VIDEO))), list(reversed(got.stamps(AUDIO)))
    skews = []
    for each in reversed(kinds * times):  # from the end: a receiver joins at a key frame
        file = recordings.read(clip(**each))
        shifts = [stamp - file_stamp for stamp, file_stamp in _pairs(video, file.stamps(VIDEO))]
        shifts += [stamp - file_stamp for stamp, file_stamp in _pairs(audio, file.stamps(AUDIO))]
        skews.append(max(shifts) - min(shifts))
    return skews


def _pairs(newest_first: list[int], file: list[int]) -> list[tuple[int, int]]:
    taken, newest_first[: len(file)] = newest_first[: len(file)], []
    return list(zip(taken, reversed(file), strict=False))


@pytest.mark.parametrize(("kinds", "times"), [(SAME, 3), (MIXED, 2)], ids=["same", "mixed"])
def test_seven_and_more_boundaries(tmp_path: Path, kinds: list[dict], times: int) -> None:
    """Nothing lost, nothing going back, no gap, sound in step with the picture, codec headers at each."""
    for got in _play(tmp_path, kinds, times):
        assert got.payloads(VIDEO) == _sent(kinds, times, VIDEO)
        sound = _sent(kinds, times, AUDIO)
        assert sound.index(got.payloads(AUDIO)[0]) <= 2
        assert got.payloads(AUDIO) == sound[-len(got.stamps(AUDIO)) :]
        assert min(got.gaps(VIDEO) + got.gaps(AUDIO)) >= 0
        assert max(got.gaps(VIDEO)) <= 150
        assert max(_skews(got, kinds, times)) <= 40
        headers = [tag for tag in got.tags if tag.is_codec_header and tag.kind == VIDEO]
        assert len(headers) >= len(kinds) * times


def test_it_publishes_to_ffmpegs_listener(tmp_path: Path) -> None:
    out = tmp_path / "got.flv"
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    with ffmpeg_listener(out) as url:
        place = destination(1, url, "key")
        with RunningPlayout(run_dir, items(*(clip(**kind) for kind in SAME[:2])), [place], loop=False) as playout:
            assert playout.exit()["reason"] == "finished"
            reached = playout.log()
    assert '"destination live"' in reached
    assert len(recordings.read(out).payloads(VIDEO)) == len(_sent(SAME[:2], 1, VIDEO))


def test_the_end_of_a_file_does_not_end_the_receivers_sequence(tmp_path: Path) -> None:
    (got, _) = _play(tmp_path, SAME[:2], 1)
    assert not [tag for tag in got.tags if tag.kind == VIDEO and tag.payload[1] == 2]
    assert flv.is_playable(VIDEO, b"\x17\x02\0\0\0") is False
