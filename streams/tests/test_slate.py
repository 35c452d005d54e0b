"""A slate of one's own: a clip of the library, or a picture that is decoded and drawn anew (EDGE-5)."""

import io
import re
import struct
import zlib

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from PIL import Image

from accounts.models import User
from agent.protocol import UpdateStream
from media_library import actions as library
from media_library.errors import InUse
from media_library.models import Deletion, FileStatus
from media_library.stills import MOST_BYTES, clean
from media_library.storage import media_storage
from media_library.storage.errors import StorageUnreachable
from streams import actions, slates
from streams.commanding import config_of
from streams.errors import Invalid, OverLimit, Refused
from streams.models import SlatePicture, Stream
from streams.spec import SlateSpec
from streams.tests import build
from streams.tests.pages import browser, form_of

NEW = reverse("streams:new")


@pytest.fixture(autouse=True)
def media(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.MEDIA_ROOT.mkdir()
    return settings.MEDIA_ROOT


def drawn(size=(640, 360), kind="PNG", mode="RGB", colour="red", **options) -> bytes:
    body = io.BytesIO()
    Image.new(mode, size, colour).save(body, kind, **options)
    return body.getvalue()


def still(colour="red", name="sea.png"):
    body = drawn(colour=colour)
    return clean(name, len(body), [body])


def sent(body: bytes, name="sea.png"):
    return SimpleUploadedFile(name, body, "image/png")


def opened(jpeg: bytes) -> Image.Image:
    return Image.open(io.BytesIO(jpeg))


def on_disk(media):
    return [path for path in media.rglob("*") if path.is_file()]


def used(user: User) -> int:
    user.refresh_from_db()
    assert user.storage_reserved == 0
    return user.storage_used


# ------------------------------------------------------------------------------------------------ what a picture is


@pytest.mark.parametrize(
    ("kind", "mode", "colour"),
    [
        ("PNG", "RGB", "red"),
        ("PNG", "RGBA", (255, 0, 0, 255)),
        ("PNG", "P", 1),
        ("PNG", "I;16", 40_000),
        ("PNG", "1", 1),
        ("JPEG", "RGB", "red"),
        ("JPEG", "CMYK", (0, 255, 255, 0)),
        ("JPEG", "L", 200),
        ("WEBP", "RGBA", (255, 0, 0, 128)),
    ],
)
def test_every_kind_becomes_a_plain_jpeg(kind, mode, colour):
    body = drawn(kind=kind, mode=mode, colour=colour)
    jpeg = opened(clean("x", len(body), [body]).jpeg)
    assert (jpeg.format, jpeg.mode, jpeg.size) == ("JPEG", "RGB", (640, 360))


def test_nothing_else_in_the_file_goes_further():
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    exif[0x0112] = 6  # lies on its side
    body = drawn(kind="JPEG", exif=exif) + b"<script>alert(1)</script>"
    jpeg = clean("x", len(body), [body]).jpeg
    assert b"taken at home" not in jpeg
    assert b"<script>" not in jpeg
    assert opened(jpeg).size == (360, 640)


def test_what_shines_through_is_black():
    body = drawn(mode="RGBA", colour=(255, 255, 255, 0))
    assert opened(clean("x", len(body), [body]).jpeg).getpixel((5, 5)) == (0, 0, 0)


def test_a_moving_picture_stands_still():
    frames = [Image.new("RGB", (64, 36), colour) for colour in ("red", "blue")]
    body = io.BytesIO()
    frames[0].save(body, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    red, _green, blue = opened(clean("x", 10, [body.getvalue()]).jpeg).getpixel((5, 5))
    assert red > 200 > blue


def test_a_large_one_is_made_as_large_as_a_programme():
    body = drawn((4096, 2048))
    assert opened(clean("x", len(body), [body]).jpeg).size == (1920, 960)


def bomb(side: int) -> bytes:
    """A PNG that says it has `side`² points and holds none of them."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "no picture that can be read"),
        (b"\x89PNG\r\n\x1a\n", "no picture that can be read"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no picture that can be read"),
        (b"GIF89a" + bytes(100), "no picture that can be read"),
        (drawn(kind="GIF"), "no picture that can be read"),
        (drawn(kind="BMP"), "no picture that can be read"),
        (drawn()[:-40], "no picture that can be read"),
        (drawn(kind="JPEG")[:300], "no picture that can be read"),
        (b"#EXTM3U\nfile:///etc/passwd", "no picture that can be read"),
        (drawn((4097, 10)), "more than 4096 points"),
        (bomb(5000), "more than 4096 points"),
        (bomb(2**31 - 1), "more than 4096 points"),
        (bomb(4000), "no picture that can be read"),
    ],
)
def test_what_is_no_picture_is_refused_with_words(alice, body, words):
    form = form_of(alice, slate="picture") | {"slate_picture": sent(body)}
    answer = browser(alice).post(NEW, form)
    said = str(answer.context["form"].errors["slate_picture"])
    assert words in said or (not body and "empty" in said)
    assert not Stream.objects.exists()
    assert "Choose the picture again" in answer.content.decode()


def test_one_that_is_too_large_is_refused_unread(alice):
    body = drawn() + bytes(MOST_BYTES)
    answer = browser(alice).post(NEW, form_of(alice, slate="picture") | {"slate_picture": sent(body)})
    assert "larger than 5 MiB" in str(answer.context["form"].errors["slate_picture"])


# ------------------------------------------------------------------------------------------------ on the stream


def test_without_a_choice_the_agent_makes_one(stream, vps):
    assert config_of(build.running(stream, vps)).slate is None


def test_a_picture_is_kept_counted_and_sent(alice, vps, media):
    browser(alice).post(NEW, form_of(alice, slate="picture") | {"slate_picture": sent(drawn(), "../sea side.png")})
    stream = Stream.objects.get()
    [path] = on_disk(media)
    picture = SlatePicture.objects.get()
    assert (picture.stream, picture.original_name, picture.size) == (stream, "sea side.png", path.stat().st_size)
    assert re.fullmatch(rf"slates/{alice.pk}-[0-9a-f-]+\.jpg", picture.stored_name)
    assert used(alice) == picture.size
    slate = config_of(build.running(stream, vps)).slate
    assert (slate.kind, slate.file_id, slate.size, slate.sha256) == (
        "picture", picture.pk, picture.size, picture.sha256,
    )  # fmt: skip
    assert slate.download_url not in repr(slate)


def test_an_agent_fetches_it_by_its_signed_address(alice, settings, media):
    stream = actions.create(alice, build.spec(alice, slate=SlateSpec("picture", picture=still())))
    path = slates.picture_url(slates.picture_of(stream)).removeprefix(settings.AGENT_MEDIA_URL)
    body = on_disk(media)[0].read_bytes()
    answer = Client().get(path, headers={"Range": "bytes=10-"})
    assert (answer.status_code, answer.content) == (206, body[10:])
    assert answer["Content-Range"] == f"bytes 10-{len(body) - 1}/{len(body)}"
    assert answer["Content-Type"] == "image/jpeg"
    assert Client().get(path).content == body
    assert Client().get(path[:-2] + "xx").status_code == 403
    actions.edit(stream, build.spec(alice), alice)
    assert Client().get(path).status_code == 404


def test_it_is_shown_to_who_may_see_the_stream(alice, bob, operator):
    stream = actions.create(alice, build.spec(alice, slate=SlateSpec("picture", picture=still())))
    address = reverse("streams:slate", args=[stream.pk])
    assert [browser(who).get(address).status_code for who in (alice, operator, bob)] == [200, 200, 404]
    page = browser(alice).get(reverse("streams:edit", args=[stream.pk])).content.decode()
    assert f'src="{address}?' in page
    assert "sea.png" in page


def test_an_edit_keeps_it_a_new_one_replaces_it_another_choice_drops_it(
    alice, media, django_capture_on_commit_callbacks
):
    stream = actions.create(alice, build.spec(alice, slate=SlateSpec("picture", picture=still())))
    first = slates.picture_of(stream)
    actions.edit(stream, build.spec(alice, slate=SlateSpec("picture")), alice)
    assert slates.picture_of(stream) == first
    with django_capture_on_commit_callbacks(execute=True):
        actions.edit(stream, build.spec(alice, slate=SlateSpec("picture", picture=still("blue"))), alice)
    second = slates.picture_of(stream)
    assert second.pk != first.pk
    assert used(alice) == second.size
    assert [path.name for path in on_disk(media)] == [second.stored_name.partition("/")[2]]
    with django_capture_on_commit_callbacks(execute=True):
        actions.edit(stream, build.spec(alice), alice)
    assert (slates.picture_of(stream), used(alice), on_disk(media), Deletion.objects.count()) == (None, 0, [], 0)


def test_it_goes_with_its_stream(alice, media, django_capture_on_commit_callbacks):
    stream = actions.create(alice, build.spec(alice, slate=SlateSpec("picture", picture=still())))
    with django_capture_on_commit_callbacks(execute=True):
        actions.delete(stream, alice)
    assert (used(alice), on_disk(media)) == (0, [])


def test_a_copy_has_its_own(alice, media, django_capture_on_commit_callbacks):
    stream = actions.create(alice, build.spec(alice, slate=SlateSpec("picture", picture=still())))
    copy = actions.duplicate(stream, alice)
    with django_capture_on_commit_callbacks(execute=True):
        actions.delete(stream, alice)
    kept = slates.picture_of(copy)
    assert (used(alice), len(on_disk(media))) == (kept.size, 1)
    assert slates.still_of(copy).jpeg == on_disk(media)[0].read_bytes()


def test_a_copy_of_one_whose_picture_was_lost_is_still_made(alice, media):
    stream = actions.create(alice, build.spec(alice, slate=SlateSpec("picture", picture=still())))
    on_disk(media)[0].unlink()
    assert slates.picture_of(actions.duplicate(stream, alice)) is None


def test_without_room_nothing_is_kept(alice, media):
    alice.package = build.package(1)
    alice.save()
    User.objects.filter(pk=alice.pk).update(storage_used=alice.package.max_storage - 10)
    with pytest.raises(OverLimit, match="are free"):
        actions.create(alice, build.spec(alice, slate=SlateSpec("picture", picture=still())))
    assert (Stream.objects.count(), on_disk(media)) == (0, [])


def test_a_storage_that_fails_is_said_and_nothing_is_kept(alice, monkeypatch):
    def unreachable(*_):
        raise StorageUnreachable("timed out")

    monkeypatch.setattr(type(media_storage("local")), "save", unreachable)
    with pytest.raises(Refused, match="does not answer"):
        actions.create(alice, build.spec(alice, slate=SlateSpec("picture", picture=still())))
    assert (Stream.objects.count(), used(alice)) == (0, 0)


def test_on_air_a_new_slate_is_taken_over(alice, stream, vps, ear, django_capture_on_commit_callbacks):
    build.running(stream, vps)
    spec = actions.spec_of(stream)
    with django_capture_on_commit_callbacks(execute=True):
        changed = build.spec(alice, items=spec.items, outputs=spec.outputs, slate=SlateSpec("picture", picture=still()))
        actions.edit(stream, changed, alice)
    [command] = ear.heard()
    assert isinstance(command, UpdateStream)
    assert command.config.slate.kind == "picture"
    assert Stream.objects.get().run.fingerprint == command.config.fingerprint


# ------------------------------------------------------------------------------------------------ a clip


def test_a_clip_is_chosen_sent_and_shown(alice, vps):
    clip = build.file(alice, "Harbour at night")
    browser(alice).post(NEW, form_of(alice, slate="clip", slate_clip=clip.pk))
    stream = Stream.objects.get()
    assert stream.slate_clip == clip
    slate = config_of(build.running(stream, vps)).slate
    assert (slate.kind, slate.file_id, slate.size) == ("clip", clip.pk, clip.size)
    form = browser(alice).get(reverse("streams:edit", args=[stream.pk])).context["form"]
    assert (form["slate"].value(), form["slate_clip"].value()) == ("clip", clip.pk)
    assert actions.duplicate(stream, alice).slate_clip == clip


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda alice, bob: None, "Choose the video"),
        (lambda alice, bob: build.file(bob).pk, "not in your library"),
        (lambda alice, bob: build.file(alice, status=FileStatus.PROCESSING).pk, "not ready yet"),
    ],
)
def test_a_clip_must_be_one_s_own_and_ready(alice, bob, make, words):
    with pytest.raises(Invalid, match=words) as caught:
        actions.create(alice, build.spec(alice, slate=SlateSpec("clip", make(alice, bob))))
    assert set(caught.value.fields) == {"slate"}


def test_a_picture_must_be_there(alice):
    answer = browser(alice).post(NEW, form_of(alice, slate="picture"))
    assert "Choose the picture" in str(answer.context["form"].errors["slate"])


def test_a_clip_in_use_is_not_deleted(alice):
    clip = build.file(alice, "Harbour")
    User.objects.filter(pk=alice.pk).update(storage_used=clip.size)
    stream = actions.create(alice, build.spec(alice, title="Evening", slate=SlateSpec("clip", clip.pk)))
    with pytest.raises(InUse, match="«Harbour» is used in «Evening»"):
        library.delete(clip, alice)
    page = browser(alice).get(reverse("library:show", args=[clip.pk])).content.decode()
    assert "Evening" in page
    assert "slate of 1 stream" in browser(alice).get(reverse("library:list")).content.decode()
    actions.edit(stream, build.spec(alice), alice)
    library.delete(clip, alice)


def test_all_the_newest_can_be_chosen_and_the_chosen_one_always(alice):
    old = build.file(alice, "The oldest")
    for number in range(301):
        build.file(alice, f"file {number}")
    stream = actions.create(alice, build.spec(alice, slate=SlateSpec("clip", old.pk)))
    page = browser(alice).get(reverse("streams:edit", args=[stream.pk])).content.decode()
    assert f'<option value="{old.pk}" selected>The oldest</option>' in page
