"""What every storage backend does. A new one is added to `backends` with what it needs to be reached."""

import os
from io import BytesIO

import pytest
from django.conf import settings
from django.core.files import File

from media_library.storage import BACKENDS, FileOnDisk, default_disk, media_storage
from media_library.storage.errors import (
    NoSuchBucket,
    NoSuchObject,
    StorageError,
    StorageRefused,
    StorageUnreachable,
)


@pytest.fixture(params=sorted(BACKENDS))
def storage(request):
    return media_storage(request.param)


def on_disk(path, data):
    path.write_bytes(data)
    return FileOnDisk(path)


def test_what_is_saved_can_be_read(storage, tmp_path):
    with on_disk(tmp_path / "a", b"film") as content:
        assert storage.save("a.mp4", content) == "a.mp4"
    assert storage.exists("a.mp4")
    assert storage.size("a.mp4") == 4
    with storage.open("a.mp4") as file:
        file.seek(2)
        assert file.read(10) == b"lm"


def test_names_may_have_folders(storage):
    storage.save("thumbnails/a.jpg", File(BytesIO(b"x")))
    assert storage.exists("thumbnails/a.jpg")


def test_saving_again_overwrites(storage, tmp_path):
    for data in (b"one", b"three"):
        with on_disk(tmp_path / "a", data) as content:
            assert storage.save("a.mp4", content) == "a.mp4"
    assert storage.size("a.mp4") == 5


def test_deleting_is_idempotent(storage):
    storage.save("a.mp4", File(BytesIO(b"x")))
    storage.delete("a.mp4")
    storage.delete("a.mp4")
    assert not storage.exists("a.mp4")


def test_a_missing_object_is_told(storage):
    for ask in (storage.open, storage.size):
        with pytest.raises(NoSuchObject):
            ask("none.mp4")


def test_a_name_cannot_leave_the_storage(storage):
    from django.core.exceptions import SuspiciousFileOperation

    with pytest.raises(SuspiciousFileOperation):
        storage.save("../../etc/passwd", File(BytesIO(b"x")))


def test_local_or_with_a_url(storage):
    storage.save("a.mp4", File(BytesIO(b"x")))
    assert (
        os.path.isfile(storage.path("a.mp4")) if storage.is_local else storage.url("a.mp4").startswith("https://")
    )


# ------------------------------------------------------------------------------------------------ local disk


def test_local_disk_renames(tmp_path):
    storage = media_storage("local")
    with on_disk(tmp_path / "a", b"film") as content:
        inode = (tmp_path / "a").stat().st_ino
        storage.save("a.mp4", content)
    assert (settings.MEDIA_ROOT / "a.mp4").stat().st_ino == inode
    assert not (tmp_path / "a").exists()


def test_a_vanished_root_is_not_made_anew():
    storage = media_storage("local")
    settings.MEDIA_ROOT.rmdir()
    for ask in (storage.size, storage.open, storage.delete, storage.exists):
        with pytest.raises(NoSuchBucket):
            ask("a.mp4")
    with pytest.raises(NoSuchBucket):
        storage.save("a.mp4", File(BytesIO(b"x")))
    assert not settings.MEDIA_ROOT.exists()


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (PermissionError(13, "Permission denied"), StorageRefused),
        (OSError(28, "No space left on device"), StorageUnreachable),
        (FileNotFoundError(2, "No such file"), NoSuchObject),
    ],
)
def test_errors_of_the_system_are_told_apart(monkeypatch, error, ours):
    def fails(*_):
        raise error

    monkeypatch.setattr("os.path.getsize", fails)
    with pytest.raises(ours) as caught:
        media_storage("local").size("a.mp4")
    assert isinstance(caught.value, StorageError)
    assert caught.value.explain().startswith(ours.meaning)


def test_new_files_go_where_the_setting_says(settings):
    assert default_disk() == "local"
    settings.MEDIA_STORAGE = "bunny"
    assert default_disk() == "bunny"
