"""What a photo is on record: its hash, its type by its first bytes, its bounds, and how an entry names it; pure.

Knows no disk and no picture: nothing in a photo is interpreted or changed, what a camera wrote into it (EXIF) stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from edge_gateway.errors import GatewayError

#: A phone's photo has 2 to 6 MB.
MAX_PHOTO_BYTES = 8 * 1024 * 1024
#: That one entry may name.
MAX_PHOTOS = 12
#: Where it lies, in the state folder and in a pack; what footers name it by.
FOLDER = "photos/"
#: Brands of an ISO base media file (ISO/IEC 14496-12) that are still pictures (ISO/IEC 23008-12).
_HEIF = frozenset({b"heic", b"heix", b"heim", b"heis", b"mif1"})
_SUFFIXES = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp", "image/heic": ".heic"}


class PhotoRefused(GatewayError):
    """A photo that cannot be taken, or that is not here: bring another one, or bring it again."""


@dataclass(frozen=True, slots=True)
class Photo:
    """``sha256`` in hex; ``type`` a media type; its size in bytes."""

    sha256: str
    type: str
    size_bytes: int

    def body(self) -> dict[str, Any]:
        """As an entry's ``photos`` names it."""
        return {"sha256": self.sha256, "type": self.type, "bytes": self.size_bytes}


def photo_of(data: bytes) -> Photo:
    """What these bytes are. Raises PhotoRefused."""
    if len(data) > MAX_PHOTO_BYTES:
        why = f"the photo is larger than {MAX_PHOTO_BYTES >> 20} MiB"
        raise PhotoRefused(why, hint="take it with a lower resolution, or save it smaller")
    media = media_type(data)
    if media is None:
        why = "its first bytes are not those of a JPEG, PNG, WebP or HEIC picture"
        raise PhotoRefused(why, hint="bring the file as the camera wrote it")
    return Photo(sha256(data).hexdigest(), media, len(data))


def media_type(data: bytes) -> str | None:
    """By the first bytes, whatever a name says; None for what is no picture of a kind that is taken."""
    if data[:3] == b"\xff\xd8\xff":
        return "image/jpeg"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "image/png"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF:
        return "image/heic"
    return None


def suffix(media: str) -> str:
    """A file name's ending for a media type."""
    return _SUFFIXES.get(media, "")


def is_name(text: object) -> bool:
    """Whether this is a SHA-256 in lower-case hex."""
    return isinstance(text, str) and len(text) == 64 and all(c in "0123456789abcdef" for c in text)


def photos_of(entry: Mapping[str, Any]) -> list[Photo]:
    """The photos that an entry of any kind names; what is not so shaped is none."""
    found = entry.get("photos")
    return [photo for item in found if (photo := _photo(item))] if isinstance(found, list) else []


def _photo(item: object) -> Photo | None:
    if not isinstance(item, dict) or not is_name(item.get("sha256")):
        return None
    size, media = item.get("bytes"), item.get("type")
    if isinstance(size, bool) or not isinstance(size, int) or not 0 < size <= MAX_PHOTO_BYTES or not isinstance(media, str):
        return None
    return Photo(item["sha256"], media[:64], size)
