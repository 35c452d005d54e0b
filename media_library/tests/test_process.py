"""From received bytes to a ready file, or to a failure in words."""

from datetime import timedelta

import dramatiq
import pytest
from django.conf import settings
from django.utils import timezone

from accounts.models import Package
from media_library import actions, incoming, mp4
from media_library.actions import processing
from media_library.models import Deletion, Upload, VideoFile
from media_library.storage import media_storage
from media_library.storage.errors import StorageUnreachable
from media_library.tests import clips

pytestmark = pytest.mark.django_db(transaction=True)


def processed(file):
    actions.process(file.pk)
    file.refresh_from_db()
    return file


def counters(user):
    user.refresh_from_db()
    return user.storage_reserved, user.storage_used


def stored(file):
    return settings.MEDIA_ROOT / file.stored_name


def test_it_becomes_ready(ready, alice, clip):
    assert (ready.status, ready.failure_reason) == ("completed", "")
    assert (ready.width, ready.height, ready.video_codec, ready.audio_codec) == (320, 180, "h264", "aac")
    assert ready.size == stored(ready).stat().st_size == clip.stat().st_size
    assert len(ready.sha256) == 64
    assert (settings.MEDIA_ROOT / ready.thumbnail).read_bytes()[:2] == b"\xff\xd8"
    assert counters(alice) == (0, ready.size)
    assert not list(settings.UPLOAD_DIR.iterdir())
    with stored(ready).open("rb") as file:
        assert not mp4.layout(file, ready.size).needs_move


def test_a_file_with_its_index_in_front_is_kept_bit_for_bit(tus, tmp_path):
    clip = clips.make_clip(tmp_path / "f.mp4", seconds=1, moov_first=True)
    file = processed(tus.send(clip.read_bytes()))
    assert stored(file).read_bytes() == clip.read_bytes()


def bad_files(kind, path):
    whole = {"seconds": 1}
    return {
        "text": lambda: clips.text(path),
        "truncated": lambda: clips.truncated(clips.make_clip(path.with_name("w.mp4"), **whole), path),
        "truncated_front": lambda: clips.truncated(
            clips.make_clip(path.with_name("w.mp4"), moov_first=True, **whole), path
        ),
        "audio": lambda: clips.audio_only(path),
        "old_codec": lambda: clips.old_codec(path),
        "large": lambda: clips.make_clip(path, size="1284x1100", seconds=0.2),
    }[kind]()


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("text", "not an MP4"),
        ("truncated", "cut off"),
        ("truncated_front", "cut off"),
        ("audio", "only sound"),
        ("old_codec", "MPEG4"),
        ("large", "1284×1100. Your package goes up to 1080p"),
    ],
)
def test_bad_content_fails_with_a_reason_and_gives_the_room_back(tus, alice, tmp_path, kind, word):
    file = processed(tus.send(bad_files(kind, tmp_path / "bad.mp4").read_bytes()))
    assert file.status == "failed"
    assert word in file.failure_reason
    assert counters(alice) == (0, 0)
    assert not list(settings.UPLOAD_DIR.iterdir())
    assert not [path for path in settings.MEDIA_ROOT.rglob("*") if path.is_file()]
    assert not Deletion.objects.exists()


def test_a_better_package_takes_it(tus, alice, tmp_path):
    alice.package = Package.objects.get(name="Pro")
    alice.save()
    file = processed(tus.send(bad_files("large", tmp_path / "large.mp4").read_bytes()))
    assert file.status == "completed"


def test_silent_and_hevc_are_taken(tus, tmp_path):
    clip = clips.make_clip(tmp_path / "s.mp4", seconds=1, codec="libx265", audio=None)
    file = processed(tus.send(clip.read_bytes()))
    assert (file.status, file.video_codec, file.audio_codec, file.sample_rate) == ("completed", "hevc", "", None)


def test_running_twice_changes_nothing(ready, alice):
    used = counters(alice)
    actions.process(ready.pk)
    assert counters(alice) == used


def test_another_worker_at_it_is_left_alone(tus, clip):
    file = tus.send(clip.read_bytes())
    with incoming.locked(file.upload.pk):
        assert processed(file).status == "processing"
    assert processed(file).status == "completed"


@pytest.mark.parametrize("step", ["inspect", "save_thumbnail", "_with_index_first", "_note_facts", "_accept"])
def test_a_killed_worker_loses_nothing(tus, alice, clip, monkeypatch, step):
    """Whatever step it was killed before, the next one finishes, and counts the bytes once."""

    def killed(*_args, **_kwargs):
        raise dramatiq.middleware.Shutdown

    file = tus.send(clip.read_bytes())
    with monkeypatch.context() as patch:
        patch.setattr(processing, step, killed)
        with pytest.raises(dramatiq.middleware.Shutdown):
            actions.process(file.pk)
    assert processed(file).status == "completed"
    assert stored(file).stat().st_size == file.size
    assert counters(alice) == (0, file.size)
    assert not list(settings.UPLOAD_DIR.iterdir())


def test_a_failing_storage_is_tried_again(tus, alice, clip, monkeypatch):
    def unreachable(*_):
        raise StorageUnreachable("timed out")

    file = tus.send(clip.read_bytes())
    with monkeypatch.context() as patch:
        patch.setattr(type(media_storage("local")), "save", unreachable)
        with pytest.raises(StorageUnreachable):
            actions.process(file.pk)
    assert counters(alice) == (clip.stat().st_size, 0)
    assert processed(file).status == "completed"


def test_after_the_last_try_the_user_is_told(tus, alice):
    file = tus.send(b"x" * 10)
    actions.give_up(file.pk)
    file.refresh_from_db()
    assert file.status == "failed"
    assert "on our side" in file.failure_reason
    assert counters(alice) == (0, 0)


def test_lost_bytes_are_said(tus):
    file = tus.send(b"x" * 10)
    incoming.remove(file.upload.pk)
    assert "lost on our side" in processed(file).failure_reason


def test_what_is_stuck_is_queued_again(tus, monkeypatch):
    queued = []
    monkeypatch.setattr(processing, "send_after_commit", lambda _actor, file_id: queued.append(file_id))
    file = tus.send(b"x" * 10)
    now = timezone.now()
    assert actions.requeue_stuck(now) == 0
    later = now + processing.STUCK_AFTER + timedelta(seconds=1)
    assert actions.requeue_stuck(later) == 1
    assert queued == [file.pk]
    assert actions.requeue_stuck(later) == 0


@pytest.mark.parametrize("before", ["inspect", "save_thumbnail", "_with_index_first", "_note_facts", "_accept"])
def test_deleted_while_it_is_processed(tus, alice, clip, monkeypatch, before):
    file = tus.send(clip.read_bytes())
    step = getattr(processing, before)

    def deletes_first(*args):
        actions.delete(VideoFile.objects.get(pk=file.pk), alice)
        return step(*args)

    monkeypatch.setattr(processing, before, deletes_first)
    actions.process(file.pk)
    assert not VideoFile.objects.exists()
    assert counters(alice) == (0, 0)
    assert not [path for path in settings.MEDIA_ROOT.rglob("*") if path.is_file()]


def test_the_actor_is_idempotent_and_limited(ready):
    from media_library import tasks

    tasks.process(ready.pk)
    assert tasks.process.options["time_limit"] == 3_600_000
    assert tasks.process.options["max_retries"] == 10
    assert Upload.objects.count() == 1


def test_the_last_chunk_queues_it(tus, clip):
    from media_library import tasks

    queue = dramatiq.get_broker()
    queue.flush(tasks.process.queue_name)
    file = tus.send(clip.read_bytes())
    message = next(queue.consume(tasks.process.queue_name, timeout=2000))
    assert (message.actor_name, message.args) == ("library_process", (file.pk,))
