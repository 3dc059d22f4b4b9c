"""A gateway's record and configuration as one file, taken beside the running gateway, and laid down again; knows no hub and no signer.

The file is a tar without compression: `state/…`, `config/…`, and last `backup.json` with the SHA-256 of every member, so that
a copy that was cut short is refused. Secrets and the signer's key are never in it. What is laid down goes on in a new epoch:
the hub may hold more of the old one than the backup, and no number of it may be written twice.
"""

from __future__ import annotations

import io
import os
import re
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Self

import orjson

from edge_gateway.clock import Clock
from edge_gateway.errors import GatewayError, JournalError
from edge_gateway.journal.files import TEMPORARY, DiskFiles
from edge_gateway.journal.reading import Reading
from edge_gateway.journal.renewal import COMPANIONS, DATABASE
from edge_gateway.journal.segments import segment_path
from edge_gateway.journal.store import JournalSettings, open_journal
from edge_gateway.journal.tail import Epoch, Tail

FORMAT = "edge-gateway/backup/1"
MANIFEST = "backup.json"
#: What was laid down, by whom and why; the next start makes an entry of it.
RESTORED = "restored.json"
#: A segment may be freed while it is copied: then a newer view of the database is taken, at most so often.
MOST_VIEWS = 5
#: Kept out: what a start makes anew, what belongs to a process, what was moved aside.
_LEFT_OUT = re.compile(r"lock|ballast|control\.sock|journal\.sqlite.*|damaged-.*|restored\.json|.*\.tmp|history.*|renewed.*")
#: Of the configuration's folder.
_CONFIG = ("gateway.d/*.toml", "drivers/**/*.toml", "rules/**/*.toml")
_NAME = re.compile(r"(?:state|config)(?:/[A-Za-z0-9][A-Za-z0-9._@+-]*)+")
_PIECE = 1 << 20


class Freed(GatewayError):
    """Retention removed a segment before it was copied."""


# --- taking one ---------------------------------------------------------------------------------------------------------


def take(state_dir: Path, config: Path, target: Path, about: Mapping[str, Any]) -> dict[str, Any]:
    """Write ``target`` (0600, synced; never over a file); the manifest. ``about`` goes into it.

    Raises JournalError, JournalDamaged (no backup is taken of what does not check), OSError.
    """
    if target.exists():
        raise GatewayError(f"{target} exists", hint="a backup is never written over another file: choose another name")
    fresh, database = target.with_name(target.name + TEMPORARY), target.with_name(target.name + ".sqlite" + TEMPORARY)
    try:
        with os.fdopen(os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w+b") as file:
            manifest = _written(file, state_dir, config, database, about)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(target)
    finally:
        fresh.unlink(missing_ok=True)
        for ending in ("", *COMPANIONS):
            database.with_name(database.name + ending).unlink(missing_ok=True)
    DiskFiles().sync_folder(target.parent)
    return manifest


def _written(file: BinaryIO, state_dir: Path, config: Path, database: Path, about: Mapping[str, Any]) -> dict[str, Any]:
    sums: dict[str, dict[str, Any]] = {}
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for view in range(1, MOST_VIEWS + 1):
            standing = _view(state_dir, database)
            try:
                _add_all(archive, sums, standing["files"])
                break
            except Freed:
                if view == MOST_VIEWS:
                    raise
        _add(archive, sums, f"state/{DATABASE}", database)
        _add_all(archive, sums, _besides(state_dir, config))
        manifest = {"format": FORMAT, **about, "epoch": standing["epoch"], "size": standing["size"], "config": config.name, "members": sums}
        data = orjson.dumps(manifest)
        member = tarfile.TarInfo(MANIFEST)
        member.size, member.mode = len(data), 0o600
        archive.addfile(member, io.BytesIO(data))
    return manifest


def _view(state_dir: Path, database: Path) -> dict[str, Any]:
    """A copy of the database as it stands at one moment, and the files that it relies on."""
    with closing(Reading(state_dir)) as reading:
        reading.copy_database(database)
    with closing(Tail(database, read_only=True, immutable=True)) as copied:
        copied.check()
        held = copied.held()
        span = copied.span()
        newest = held.epochs[-1].epoch
        end = max((segment.end for segment in held.segments if segment.epoch == newest), default=0)
        kept = [segment for segment in held.segments if not segment.freed]
    files = {f"state/segments/{s.epoch}/{segment_path(state_dir, s.epoch, s.first).name}": segment_path(state_dir, s.epoch, s.first) for s in kept}
    return {"files": files, "epoch": newest, "size": span[1] if span else end}


def _besides(state_dir: Path, config: Path) -> dict[str, Path]:
    """Texts and the other small files of the state folder, and people's configuration; no secret among them."""
    found = {f"config/{config.name}": config}
    for pattern in _CONFIG:
        found |= {f"config/{path.relative_to(config.parent)}": path for path in sorted(config.parent.glob(pattern))}
    for path in sorted(state_dir.rglob("*")):
        name = path.relative_to(state_dir)
        if path.is_file() and not path.is_symlink() and name.parts[0] != "segments" and not _LEFT_OUT.fullmatch(name.parts[0]):
            found[f"state/{name}"] = path
    return {name: path for name, path in found.items() if _NAME.fullmatch(name)}


def _add_all(archive: tarfile.TarFile, sums: dict[str, dict[str, Any]], files: Mapping[str, Path]) -> None:
    for name, path in files.items():
        if name not in sums:  # a sealed file and a text never change
            try:
                _add(archive, sums, name, path)
            except FileNotFoundError:
                if name.startswith("state/segments/"):
                    raise Freed(f"{path} was freed while it was copied", hint="try again") from None


class _Summed(io.RawIOBase):
    """A file that is hashed as it is read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sum = sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.sum.update(data)
        return data


def _add(archive: tarfile.TarFile, sums: dict[str, dict[str, Any]], name: str, path: Path) -> None:
    with path.open("rb") as file:
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.mtime = os.fstat(file.fileno()).st_size, 0o640, int(os.fstat(file.fileno()).st_mtime)
        summed = _Summed(file)
        archive.addfile(member, summed)
        sums[name] = {"bytes": member.size, "sha256": summed.sum.hexdigest()}


# --- laying it down -----------------------------------------------------------------------------------------------------


def manifest_of(file: Path) -> dict[str, Any]:
    """What a backup says of itself, its members checked by their sums. Raises GatewayError."""
    try:
        with tarfile.open(file, "r:") as archive:
            return _checked(archive, dict.fromkeys(archive.getnames()))
    except (tarfile.TarError, EOFError) as error:
        raise GatewayError(f"{file} is no backup, or was cut short: {error}", hint="use another copy") from None


def lay_down(file: Path, state_dir: Path, config: Path | None) -> dict[str, Any]:
    """Everything of ``file`` into ``state_dir`` (and beside ``config``), not yet to be started from; the manifest. Raises GatewayError, OSError."""
    places: dict[str, Path | None] = {}
    with tarfile.open(file, "r:") as archive:
        for name in archive.getnames():
            top, _, rest = name.partition("/")
            places[name] = {"state": state_dir / rest, "config": config.parent / rest if config else None}.get(top)
        if config is not None:
            there = [str(place) for name, place in places.items() if name.startswith("config/") and place is not None and place.exists()]
            if there:
                raise GatewayError(f"{there[0]} exists", hint="move it away, or keep the configuration that is there: --keep-config")
        manifest = _checked(archive, places)
    if config is not None and os.geteuid() == 0:  # whoever may read the folder may read what came into it
        owner = config.parent.stat()
        for name, place in places.items():
            while name.startswith("config/") and place is not None and place != config.parent:
                os.chown(place, owner.st_uid, owner.st_gid)
                place = place.parent
    return manifest


def _checked(archive: tarfile.TarFile, places: Mapping[str, Path | None]) -> dict[str, Any]:
    """Read every member, write those that have a place, and hold all of them against the manifest."""
    sums: dict[str, dict[str, Any]] = {}
    manifest: dict[str, Any] = {}
    for member in archive:
        source = archive.extractfile(member)
        if source is None or not member.isreg() or (member.name != MANIFEST and not _NAME.fullmatch(member.name)):
            raise GatewayError(f"'{member.name[:80]}' is no member of a backup", hint="use another copy")
        if member.name == MANIFEST:
            manifest = dict(orjson.loads(source.read()))
            continue
        sums[member.name] = _copied(source, places.get(member.name))
    if manifest.get("format") != FORMAT:
        raise GatewayError("the backup's end is missing: it was cut short, or is of another release", hint="use another copy")
    wrong = [name for name, said in manifest["members"].items() if sums.get(name) != said] + [n for n in sums if n not in manifest["members"]]
    if wrong:
        raise GatewayError(f"{wrong[0]} is not as it was when the backup was taken", hint="use another copy")
    return manifest


def _copied(source: Any, place: Path | None) -> dict[str, Any]:
    total, size = sha256(), 0

    def pieces() -> Iterator[bytes]:
        nonlocal size
        while piece := source.read(_PIECE):
            total.update(piece)
            size += len(piece)
            yield piece

    if place is None:
        for _ in pieces():
            pass
    else:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        DiskFiles().write_synced(place, pieces())
        place.chmod(0o640)
    return {"bytes": size, "sha256": total.hexdigest()}


async def go_on(state_dir: Path, reason: str, clock: Clock) -> str:
    """Close the epoch that was laid down, for good, and open another; its id. Raises JournalError."""
    store = await open_journal(state_dir, settings=JournalSettings(max_bytes=1 << 50), clock=clock)
    try:
        await store.new_epoch(reason)
        return store.epoch
    finally:
        await store.close()


def begin_after(state_dir: Path, known: tuple[str, int, str, bytes], clock: Clock) -> str:
    """A journal whose first epoch is a replacement of one that only a checkpoint tells of: (epoch, size, root in hex, note). Its id."""
    epoch, size, root, note = known
    born = os.urandom(8).hex()
    now_us = clock.wall_us()
    with closing(Tail(state_dir / DATABASE)) as tail:
        tail.prepare()
        with tail.transaction():
            tail.create()
            tail.put_epoch(Epoch(number=1, epoch=epoch, first=size, reason="new", closed=True, wall_us=now_us, size=size, root=root))
            tail.put_epoch(Epoch(number=2, epoch=born, first=0, reason="replacement", closed=False, wall_us=now_us))
            tail.put_checkpoint(epoch, size, note)
    return born


# --- into the state folder ----------------------------------------------------------------------------------------------


class Placing:
    """An empty state folder, held against a gateway; what is made in ``folder`` becomes it with ``done``."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self.folder = state_dir / "restoring"

    def __enter__(self) -> Self:
        self._state_dir.mkdir(parents=True, exist_ok=True, mode=0o750)
        self._lock = DiskFiles().lock(self._state_dir / "lock")
        try:
            there = sorted({path.name for path in self._state_dir.iterdir()} - {"lock", "control.sock", "restoring"})
            if there:
                hint = "move it away first: nothing is ever laid over a record"
                raise JournalError(f"the state folder {self._state_dir} is not empty: it has '{there[0]}'", hint=hint)
            _remove(self.folder)
            self.folder.mkdir(mode=0o750)
        except BaseException:
            self._lock.close()
            raise
        return self

    def done(self, said: Mapping[str, Any]) -> None:
        """Everything moves up, the database last: what a power cut leaves before is no journal yet. ``said`` is journaled at the next start."""
        files = DiskFiles()
        files.write_synced(self.folder / RESTORED, [orjson.dumps(said)])
        for name in ("lock", "ballast"):
            (self.folder / name).unlink(missing_ok=True)
        names = sorted((path.name for path in self.folder.iterdir()), key=lambda name: (name == DATABASE, name))
        owner = self._state_dir.stat()
        for path in (self.folder, *(each for each in self.folder.rglob("*") if each.is_dir())):
            files.sync_folder(path)
        for name in names:
            if os.geteuid() == 0:  # laid down by root, for the gateway's user
                _give(self.folder / name, owner.st_uid, owner.st_gid)
            files.rename(self.folder / name, self._state_dir / name)
        files.sync_folder(self._state_dir)
        self.folder.rmdir()

    def __exit__(self, *_: object) -> None:
        with suppress(FileNotFoundError):
            _remove(self.folder)
        self._lock.close()


def _remove(folder: Path) -> None:
    if folder.is_dir():
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        folder.rmdir()


def _give(path: Path, uid: int, gid: int) -> None:
    for each in (path, *path.rglob("*")):
        os.chown(each, uid, gid)


def restored(state_dir: Path) -> dict[str, Any] | None:
    """What was laid down since the last start; None if nothing was."""
    try:
        return dict(orjson.loads((state_dir / RESTORED).read_bytes()))
    except (FileNotFoundError, orjson.JSONDecodeError):
        return None
