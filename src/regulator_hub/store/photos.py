"""Photos that entries name: which are lacked, and their files by hash; interprets no picture.

A part is synced before it is answered; a photo counts once all of it is there, its hash is right, and its name is durable.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

import apsw
import orjson

from edge_gateway.links.synced import sync_folder
from edge_gateway.record.photo import FOLDER, MAX_PHOTO_BYTES, is_name, media_type, photos_of
from edge_gateway.wire.hub import MAX_NEED_TEXT, WireError
from regulator_hub.store.schema import rows
from regulator_hub.store.writer import StoreFailed


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of a photo from ``at`` on; it has ``size`` of them."""

    name: str
    size: int
    at: int
    data: bytes


class PhotoFiles:
    """The folder ``photos/``: whole ones by hash, unfinished ones by gateway and hash."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / "photos"
        self._folder.mkdir(mode=0o750, exist_ok=True)
        sync_folder(self._folder.parent)
        self._lock = Lock()

    def take(self, gateway: str, part: Part) -> tuple[int, bool]:
        """How much of the photo is durably here, and whether all of it. A part that does not fit on is not taken.

        Raises WireError for a size that no photo has, StoreFailed.
        """
        if not 0 < part.size <= MAX_PHOTO_BYTES or part.at + len(part.data) > part.size:
            raise WireError("bad-header", f"a photo has 1 to {MAX_PHOTO_BYTES} bytes, and a part ends within it")
        try:
            with self._lock:
                return self._take(self._folder / part.name, self._folder / f"{gateway}.{part.name}.part", part)
        except OSError as error:
            raise StoreFailed(f"the photo cannot be stored: {error}", hint="free space or mend the disk") from error

    def _take(self, whole: Path, unfinished: Path, part: Part) -> tuple[int, bool]:
        if whole.exists():
            return part.size, True
        have = unfinished.stat().st_size if unfinished.exists() else 0
        if have > part.size:
            unfinished.unlink()
            have = 0
        if part.data and part.at == have:
            with unfinished.open("ab") as file:
                file.write(part.data)
                file.flush()
                os.fsync(file.fileno())
            if part.at == 0:
                sync_folder(self._folder)
            have += len(part.data)
        if have < part.size:
            return have, False
        data = unfinished.read_bytes()
        if sha256(data).hexdigest() != part.name or media_type(data) is None:
            unfinished.unlink()  # torn by a power cut, or no photo: it is sent from its beginning
            return 0, False
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.rename(whole)
        sync_folder(self._folder)
        return have, True

    def get(self, name: str) -> bytes:
        """A whole photo. Raises KeyError; StoreFailed for one that is damaged."""
        if not is_name(name):
            raise KeyError(name)
        try:
            data = (self._folder / name).read_bytes()
        except FileNotFoundError:
            raise KeyError(name) from None
        if sha256(data).hexdigest() != name:
            raise StoreFailed(f"photo {name} is damaged", hint="take it from a copy, or from the gateway")
        return data


def want(db: apsw.Connection, gateway_id: int, entries: Sequence[bytes]) -> None:
    """Note which photos these entries name. A cheap look first."""
    for entry in entries:
        if b'"photos"' not in entry:
            continue
        with suppress(orjson.JSONDecodeError, AttributeError):
            for photo in photos_of(orjson.loads(entry)):
                sql = "INSERT INTO wanted (gateway, sha256) VALUES (?,?) ON CONFLICT DO UPDATE SET gone=0"  # it may have been brought again
                db.execute(sql, (gateway_id, FOLDER + photo.sha256))


def wanted(db: apsw.Connection, gateway_id: int) -> list[str]:
    """Photos that this gateway's entries name and that are lacked, as far as it has them: at most MAX_NEED_TEXT."""
    sql = "SELECT sha256 FROM wanted WHERE gateway=? AND gone=0 AND sha256 LIKE 'photos/%' LIMIT ?"
    return [row[0].removeprefix(FOLDER) for row in rows(db, sql, (gateway_id, MAX_NEED_TEXT))]


def named(db: apsw.Connection, gateway: str, name: str) -> bool:
    """Whether this gateway's entries name the photo, and it was lacked."""
    sql = "SELECT 1 FROM wanted WHERE sha256=? AND gateway=(SELECT id FROM gateways WHERE name=?)"
    return bool(rows(db, sql, (FOLDER + name, gateway)))


def held(db: apsw.Connection, gateway: str, name: str) -> dict[str, Any]:
    """It is here: nobody is asked for it any more. What is still lacked of this gateway's."""
    sql = "DELETE FROM wanted WHERE sha256=? AND gateway=(SELECT id FROM gateways WHERE name=?)"
    db.execute(sql, (FOLDER + name, gateway))
    return _more(db, gateway)


def gone(db: apsw.Connection, gateway: str, name: str) -> dict[str, Any]:
    """The gateway has it no more."""
    sql = "UPDATE wanted SET gone=1 WHERE sha256=? AND gateway=(SELECT id FROM gateways WHERE name=?)"
    db.execute(sql, (FOLDER + name, gateway))
    return _more(db, gateway)


def _more(db: apsw.Connection, gateway: str) -> dict[str, Any]:
    found = rows(db, "SELECT id FROM gateways WHERE name=?", (gateway,))
    need = wanted(db, found[0][0]) if found else []
    return {"need_photo": need} if need else {}
