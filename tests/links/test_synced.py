"""A file that is durable and whole: what a disk that refuses leaves behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_gateway.links.synced import write_synced


def test_what_was_there_stays_and_nothing_is_left_where_the_disk_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.json"
    write_synced(path, b"one")

    def refuses(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", refuses)
        with pytest.raises(OSError, match="No space"):
            write_synced(path, b"two")
    assert [each.name for each in tmp_path.iterdir()] == ["ledger.json"]
    assert path.read_bytes() == b"one"
    assert path.stat().st_mode & 0o777 == 0o600
