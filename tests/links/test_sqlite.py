"""The libraries that may corrupt a write-ahead log are refused, by the versions that SQLite's own page names."""

from __future__ import annotations

import apsw
import pytest

from edge_gateway.errors import JournalError
from edge_gateway.links.sqlite import check_library, has_wal_reset_bug


@pytest.mark.parametrize("version", [3_007_000, 3_040_001, 3_044_005, 3_045_000, 3_050_006, 3_051_000, 3_051_002])
def test_versions_with_the_bug(version: int) -> None:
    assert has_wal_reset_bug(version)


@pytest.mark.parametrize("version", [3_006_023, 3_044_006, 3_050_007, 3_051_003, 3_052_000, 4_000_000])
def test_versions_without_it(version: int) -> None:
    assert not has_wal_reset_bug(version)


def test_the_library_at_hand_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    check_library()
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.40.1")
    with pytest.raises(JournalError, match=r"3\.40\.1 may corrupt"):
        check_library()
