"""Names of a pack's members, and the largest each may be; reads and writes nothing."""

from __future__ import annotations

import re

from edge_gateway.record.photo import FOLDER

MANIFEST, KEYS, VERIFIER = "manifest.json", "keys.json", "verify.html"
#: The largest that is read of each kind (bytes).
MAX_NOTE_BYTES, MAX_KEYS_BYTES, MAX_TEXT_BYTES = 64 * 1024, 1024 * 1024, 64 * 1024 * 1024
_SEGMENT = re.compile(r"segments/([0-9a-f]{16})/([0-9]{12})\.ndjson\.gz\Z")
_CHECKPOINT = re.compile(r"checkpoints/([0-9a-f]{16})/([0-9]{12})\.checkpoint\Z")
_TEXT = re.compile(r"texts/([0-9a-f]{64})\Z")
_PHOTO = re.compile(r"photos/([0-9a-f]{64})\Z")


def segment(epoch: str, first: int) -> str:
    """The member of the segment that begins with entry ``first``."""
    return f"segments/{epoch}/{first:012d}.ndjson.gz"


def checkpoint(epoch: str, size: int) -> str:
    """The member of the checkpoint over ``size`` entries."""
    return f"checkpoints/{epoch}/{size:012d}.checkpoint"


def text(sha256: str) -> str:
    """The member of a text."""
    return f"texts/{sha256}"


def photo(sha256: str) -> str:
    """The member of a photo."""
    return FOLDER + sha256


def parsed(name: str) -> tuple[str, str, int] | None:
    """``("segment" | "checkpoint", epoch, number)`` or ``("text" | "photo", sha256, 0)``; None for another member.

    Raises ValueError for what lies where these lie, and is none.
    """
    for kind, form in (("segment", _SEGMENT), ("checkpoint", _CHECKPOINT), ("text", _TEXT), ("photo", _PHOTO)):
        if found := form.match(name):
            return kind, found[1], int(found[2]) if kind in ("segment", "checkpoint") else 0
    if name.startswith(("segments/", "checkpoints/", "texts/", "photos/")):
        raise ValueError(f"{name} is no name for what lies there")
    return None
