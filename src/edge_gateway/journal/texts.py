"""Content-addressed texts: what entries name by hash, one file each; knows nothing of what the texts mean."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from edge_gateway.errors import JournalDamaged
from edge_gateway.journal.files import TEMPORARY, Files, opened, write_durably
from edge_gateway.record.entry import text_hash


class Texts:
    """The folder ``texts/``. Writing belongs to the writer; reading is open to all."""

    def __init__(self, files: Files, state_dir: Path) -> None:
        self._files = files
        self._folder = state_dir / "texts"
        self._durable: set[str] = set()  # those that this process made, or saw, durable
        self.size_bytes = 0

    def open(self) -> None:
        """Make the folder, remove unfinished files, count what is there."""
        self.size_bytes = opened(self._files, self._folder)

    def put(self, texts: Iterable[bytes]) -> None:
        """Make texts durable. Raises OSError.

        One that is already there is written again unless this process knows it durable: a killed process may
        have left a name that only the cache knows.
        """
        for text in texts:
            name = text_hash(text)
            if name in self._durable:
                continue
            path = self._folder / name
            before = self._files.size(path)
            self.size_bytes += write_durably(self._files, path, [text]) - before
            self._durable.add(name)

    def get(self, sha256: str) -> bytes:
        """A text. Raises KeyError if it is not here, JournalDamaged if its bytes are not what its name says."""
        if len(sha256) != 64 or not sha256.isalnum():
            raise KeyError(sha256)
        try:
            text = self._files.read(self._folder / sha256)
        except FileNotFoundError:
            raise KeyError(sha256) from None
        if text_hash(text) != sha256:
            raise JournalDamaged(f"text {sha256} does not match its name", hint="restore it from a copy or the hub")
        return text

    def path(self, sha256: str) -> Path:
        """Where a text lies."""
        return self._folder / sha256

    def names(self) -> list[str]:
        """Hashes of all texts that are here."""
        return [name for name in self._files.names(self._folder) if not name.endswith(TEMPORARY)]

    def keep_only(self, named: set[str]) -> int:
        """Remove every text that is not named; returns how many. The names' going needs no fsync: it only costs room."""
        removed = 0
        for name in self.names():
            if name not in named:
                self.size_bytes -= self._files.size(self._folder / name)
                self._files.unlink(self._folder / name)
                self._durable.discard(name)
                removed += 1
        return removed
