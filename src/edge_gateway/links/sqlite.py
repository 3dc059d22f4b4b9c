"""Which SQLite library may keep a record: none that can corrupt its write-ahead log; opens no database."""

from __future__ import annotations

import apsw

from edge_gateway.errors import JournalError


def has_wal_reset_bug(version: int) -> bool:
    """SQLite 3.7.0 to 3.51.2 may corrupt a WAL that two connections use (https://sqlite.org/wal.html#walresetbug).

    ``version`` as sqlite3_libversion_number; 3.50.7 and 3.44.6 carry the mend.
    """
    mended = version >= 3_051_003 or 3_050_007 <= version < 3_051_000 or 3_044_006 <= version < 3_045_000
    return version >= 3_007_000 and not mended


def check_library() -> None:
    """Raises JournalError when the library that apsw brought has that bug."""
    major, minor, patch = (int(part) for part in apsw.sqlite_lib_version().split(".")[:3])
    if has_wal_reset_bug(major * 1_000_000 + minor * 1_000 + patch):
        raise JournalError(
            f"SQLite {apsw.sqlite_lib_version()} may corrupt a write-ahead log",
            hint="install an apsw release that bundles SQLite 3.51.3 or later",
        )
