"""What is said at the start when the library could not work."""

import pytest

from media_library.checks import check_library


def ids():
    return [message.id for message in check_library()]


def test_all_is_well():
    assert ids() == []


@pytest.mark.parametrize(
    ("setting", "value", "check_id", "word"),
    [
        ("MEDIA_STORAGE", "floppy", "library.E001", "MEDIA_STORAGE"),
        ("MEDIA_ROOT", "/nonexistent/media", "library.E002", "VAR_DIR"),
        ("UPLOAD_DIR", "/nonexistent/uploads", "library.E003", "VAR_DIR"),
        ("UPLOAD_DIR", "/dev/shm", "library.E004", "VAR_DIR"),
        ("FFMPEG", "no-such-ffmpeg", "library.E005", "FFMPEG"),
    ],
)
def test_what_is_wrong_is_named(settings, setting, value, check_id, word):
    setattr(settings, setting, value)
    (message,) = check_library()
    assert message.id == check_id
    assert word in message.hint


def test_prlimit_is_needed(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None if name == "prlimit" else f"/usr/bin/{name}")
    assert ids() == ["library.E006"]
