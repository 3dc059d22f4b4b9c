"""The database written anew after the disk failed: read past the cache, checked, into a file of its own; decides no trouble.

What a failed fsync was to make durable may be gone from the disk while the cache still shows it (Rebello et al., "Can
applications recover from fsync failures?", USENIX ATC 2020). So the old files are written to no more: what they hold of
acknowledged commits is copied, the copy is synced, and it takes their name. From the moment on that the finished copy
bears the name ``journal.sqlite.renewed``, it is the journal: whoever opens the folder ends the exchange first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from edge_gateway.journal.files import TEMPORARY, Files
from edge_gateway.journal.tail import Tail, log_bytes

DATABASE = "journal.sqlite"
LOG = "-wal"
COMPANIONS = (LOG, "-shm")
RENEWED = DATABASE + ".renewed"


def renew(files: Files, state_dir: Path, frames: int, confirm: Callable[[Tail], None]) -> None:
    """Write the database anew. Nobody in this process has it open; ``frames``: synced ones of the log that it lacks.

    ``confirm`` raises JournalDamaged unless the copy holds what was acknowledged. Raises that, apsw.Error and OSError:
    then the journal is as it was, and the next try begins with a new file.
    """
    forget_unfinished(files, state_dir)
    fresh, renewed = state_dir / (DATABASE + TEMPORARY), state_dir / RENEWED
    if files.exists(renewed):  # complete, and the old log may be gone already
        files.write_synced(fresh, files.read_disk(renewed))
    else:
        database = state_dir / DATABASE
        files.write_synced(fresh, files.read_disk(database))
        if frames:
            log = files.read_disk(database.with_name(database.name + LOG))
            files.write_synced(fresh.with_name(fresh.name + LOG), _first(log, log_bytes(frames)))
    tail = Tail(fresh, vfs=files.vfs)
    try:
        tail.prepare()
        confirm(tail)
        tail.checkpoint()
    finally:
        tail.close()
    for ending in COMPANIONS:
        files.unlink(fresh.with_name(fresh.name + ending))
    files.rename(fresh, renewed)
    files.sync_folder(state_dir)
    finish(files, state_dir)


def finish(files: Files, state_dir: Path) -> None:
    """End an exchange that was begun: the old log goes first, so that it is never taken for the new database's."""
    if not files.exists(state_dir / RENEWED):
        return
    for ending in COMPANIONS:
        files.unlink(state_dir / (DATABASE + ending))
    files.sync_folder(state_dir)
    files.rename(state_dir / RENEWED, state_dir / DATABASE)
    files.sync_folder(state_dir)


def forget_unfinished(files: Files, state_dir: Path) -> None:
    """Remove a copy that was not finished: it means nothing."""
    for ending in ("", *COMPANIONS):
        files.unlink(state_dir / (DATABASE + TEMPORARY + ending))


def _first(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    for chunk in chunks:
        if size <= 0:
            return
        yield chunk[:size]
        size -= len(chunk)
