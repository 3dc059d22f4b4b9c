"""What is taken as a photo, and how entries name them."""

from __future__ import annotations

from hashlib import sha256

import pytest

from edge_gateway.record.photo import MAX_PHOTO_BYTES, Photo, PhotoRefused, media_type, photo_of, photos_of

JPEG, PNG = b"\xff\xd8\xff\xe0" + b"camera" * 20, b"\x89PNG\r\n\x1a\n" + bytes(40)


@pytest.mark.parametrize(
    ("begins", "media"),
    [
        (b"\xff\xd8\xff\xe1\x00\x18Exif\x00\x00", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR", "image/png"),
        (b"RIFF\x24\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00", "image/heic"),
        (b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00", "image/heic"),
    ],
)
def test_a_picture_is_told_by_its_first_bytes(begins: bytes, media: str) -> None:
    photo = photo_of(begins)
    assert photo == Photo(sha256(begins).hexdigest(), media, len(begins))


@pytest.mark.parametrize(
    "begins",
    [b"", b"\xff\xd8", b"%PDF-1.7", b"<svg onload=alert(1)>", b"GIF89a", b"RIFF\x24\x00\x00\x00WAVE", b"\x00\x00\x00\x18ftypisom", b"MZ\x90"],
)
def test_what_is_no_picture_is_refused(begins: bytes) -> None:
    assert media_type(begins) is None
    with pytest.raises(PhotoRefused):
        photo_of(begins)


def test_its_size_is_bounded() -> None:
    assert photo_of(JPEG.ljust(MAX_PHOTO_BYTES, b"x")).size_bytes == MAX_PHOTO_BYTES
    with pytest.raises(PhotoRefused, match="8 MiB"):
        photo_of(JPEG.ljust(MAX_PHOTO_BYTES + 1, b"x"))


def test_entries_of_any_kind_name_photos_and_what_is_not_so_shaped_is_none() -> None:
    photo = photo_of(PNG)
    assert photos_of({"kind": "violation", "photos": [photo.body()]}) == [photo]
    name = photo.sha256
    for wrong in (
        None, "x", {}, {"sha256": name}, photo.body() | {"bytes": True}, photo.body() | {"bytes": 0}, photo.body() | {"sha256": name.upper()},
        photo.body() | {"bytes": MAX_PHOTO_BYTES + 1}, photo.body() | {"type": 1}, photo.body() | {"sha256": "../" + name[3:]},
    ):  # fmt: skip
        assert photos_of({"photos": [wrong]}) == []
    assert photos_of({"photos": photo.body()}) == []
