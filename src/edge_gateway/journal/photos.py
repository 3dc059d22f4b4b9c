"""Photos as content-addressed files, durable before an entry names them; knows nothing of what they show.

A photo comes before the entry that names it. Until then it is *loose*: the newest few are kept for the person who brought
them, and none outlives a restart.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from edge_gateway.errors import JournalDamaged
from edge_gateway.journal.files import TEMPORARY, Files, opened, write_durably
from edge_gateway.record.photo import FOLDER, MAX_PHOTOS, Photo, PhotoRefused, is_name, media_type, photo_of

#: Photos that no entry names yet; beyond, the oldest goes.
MAX_LOOSE = 24


class Photos:
    """The folder ``photos/``. ``put`` and ``named`` may be called beside the journal's writing thread, which collects."""

    def __init__(self, files: Files, state_dir: Path) -> None:
        self._files = files
        self._folder = state_dir / FOLDER.rstrip("/")
        self._lock = Lock()
        self._loose: dict[str, Photo] = {}  # brought, and named by nothing, oldest first
        self._named: set[str] = set()  # named in this run; an entry that is committed may not be seen yet
        self._coming: set[str] = set()  # being written
        self._kept: set[str] = set()  # named by entries that are kept, when somebody looked last
        self.size_bytes = 0

    def open(self) -> None:
        """Make the folder, remove unfinished files, count what is there."""
        self.size_bytes = opened(self._files, self._folder)

    def put(self, data: bytes) -> Photo:
        """Make a photo durable: whole on the disk, and its name too, on return. Raises PhotoRefused, OSError.

        One that is there already is written again: what a killed process left may be known to the cache alone.
        One call at a time.
        """
        photo = photo_of(data)
        path = self._folder / photo.sha256
        with self._lock:
            self._coming.add(photo.sha256)
            before = self._files.size(path)
        try:
            size = write_durably(self._files, path, [data])
        except OSError:
            with self._lock:
                self._coming.discard(photo.sha256)
            raise
        with self._lock:
            self._coming.discard(photo.sha256)
            self.size_bytes += size - before
            if photo.sha256 not in self._named:
                self._loose.pop(photo.sha256, None)
                self._loose[photo.sha256] = photo
            while len(self._loose) > MAX_LOOSE:
                oldest = next(iter(self._loose))
                del self._loose[oldest]
                if oldest not in self._kept:  # one that was brought again
                    self._remove(oldest)
        return photo

    def named(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """What an entry says of these photos, from now on kept for it. Raises PhotoRefused for one that is not here."""
        if len(names) > MAX_PHOTOS:
            raise PhotoRefused(f"an entry names at most {MAX_PHOTOS} photos", hint="in two steps")
        with self._lock:
            found = [self._known(name) for name in dict.fromkeys(names)]  # all, or none is kept
            for photo in found:
                self._loose.pop(photo.sha256, None)
                self._named.add(photo.sha256)
        return [photo.body() for photo in found]

    def get(self, sha256: str) -> bytes:
        """A photo. Raises KeyError if it is not here, JournalDamaged if its bytes are not what its name says."""
        try:
            data = self._files.read(self.path(sha256))
        except FileNotFoundError:
            raise KeyError(sha256) from None
        try:
            sound = photo_of(data).sha256 == sha256
        except PhotoRefused:
            sound = False
        if not sound:
            raise JournalDamaged(f"photo {sha256} does not match its name", hint="take it from a copy or the hub")
        return data

    def path(self, sha256: str) -> Path:
        """Where a photo lies. Raises KeyError for what is no hash."""
        if not is_name(sha256):
            raise KeyError(sha256)
        return self._folder / sha256

    def names(self) -> list[str]:
        """Hashes of all photos that are here."""
        return [name for name in self._files.names(self._folder) if not name.endswith(TEMPORARY)]

    def keep_only(self, named: set[str]) -> int:
        """Remove what is neither in ``named`` (``photos/<sha256>``), nor loose, nor named in this run; returns how many."""
        with self._lock:
            known = {name.removeprefix(FOLDER) for name in named if name.startswith(FOLDER)}
            keep = known | self._loose.keys() | self._named | self._coming
            gone = [name for name in self.names() if name not in keep]
            self._named -= known
            self._kept = known
            for name in gone:
                self._remove(name)
        return len(gone)

    def _known(self, name: str) -> Photo:
        if name in self._loose:
            return self._loose[name]
        known = is_name(name) and name not in self._coming
        size = self._files.size(self._folder / name) if known else 0
        if not size:
            why = f"no photo {str(name)[:64]} is here"
            raise PhotoRefused(why, hint="bring it (again): `edge-gateway photo add FILE`")
        return Photo(name, media_type(self._files.read(self._folder / name, 0, 16)) or "", size)

    def _remove(self, name: str) -> None:
        """The name's going needs no fsync: it only costs room."""
        self.size_bytes -= self._files.size(self._folder / name)
        self._files.unlink(self._folder / name)
        self._loose.pop(name, None)
