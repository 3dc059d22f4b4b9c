"""Makes a pack out of a record, also of one that is being written; claims no more than the newest witnessed checkpoint covers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from edge_gateway import __version__
from edge_gateway.errors import JournalDamaged, JournalError
from edge_gateway.evidence import glance, keys, layout
from edge_gateway.evidence.copying import Carried, Copying
from edge_gateway.evidence.manifest import Claim, Manifest, Part
from edge_gateway.evidence.page import page
from edge_gateway.evidence.proving import Proving
from edge_gateway.evidence.reach import Reach
from edge_gateway.evidence.stretch import Chunk, chunks, needed
from edge_gateway.evidence.tables import Tables
from edge_gateway.evidence.zipped import Writer
from edge_gateway.history.record import newest_config
from edge_gateway.journal.base import EpochInfo
from edge_gateway.journal.reading import Reading
from edge_gateway.journal.segments import Segment
from edge_gateway.record.checkpoint import Checkpoint, witnessed_s
from edge_gateway.record.note import COSIGNATURE, Key, Note, NoteError

#: What no verification proves: shown wherever one is.
PROVES_NOT: Mapping[str, Sequence[str]] = {
    "en": (
        "that a probe hung in the right place, or that its calibration was right",
        "that a limit is the law, or the wall clock right where entries call it untrusted",
        "who wrote an entry, beyond whoever held the gateway's key when the first checkpoint over it was signed",
        "anything of entries after the last witnessed one",
        "the tables: they are for reading, the entries count",
    ),
    "zh": (
        "探头安装位置正确，或其校准无误",
        "限值即为法规要求；也不能证明标记为“时钟不可信”的记录其时间正确",
        "记录由谁写入（仅能说明首个覆盖它的检查点签名时密钥由谁持有）",
        "最后一条已见证记录之后的任何内容",
        "表格内容：表格仅供阅读，以台账记录为准",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked for: wall times (µs, end excluded), what tables show, ``keys`` as the gateway knows them (information)."""

    from_us: int
    to_us: int
    made_us: int
    points: tuple[str, ...] | None = None
    violation: str | None = None
    keys: tuple[Key, ...] = ()

    @property
    def witness(self) -> Key | None:
        """By whose cosignatures the claim goes."""
        return next((key for key in self.keys if key.kind == COSIGNATURE), None)


@dataclass(frozen=True, slots=True)
class Made:
    """What became of it. ``damaged``: segments that do not read, or are gone, in the pack by their roots only; ``missing``: texts."""

    manifest: Manifest
    entries: int
    size_bytes: int
    damaged: Sequence[str]
    missing: Sequence[str]


def make(state_dir: Path, reading: Reading, file: BinaryIO, order: Order) -> Made:
    """Write the pack. Raises JournalError (nothing is there, or it was freed meanwhile), ValueError (too large), OSError."""
    notes = reading.checkpoints()  # before the entries: what these sign is then there
    infos, sealed = reading.known_epochs(), reading.sealed()
    here = chunks(infos, sealed)
    run = needed(reading, here, order.from_us, order.to_us)
    if not run:
        raise JournalError("nothing is recorded here", hint="name the gateway's state folder")
    writer = Writer(file, order.made_us)
    tables = _tables(state_dir, reading, here, run, order)
    copying = Copying(state_dir, reading, writer, tables)
    parts: list[tuple[Part, Carried, list[tuple[int, bytes]]]] = []
    for info in infos:
        mine = [chunk for chunk in run if chunk.epoch == info.epoch]
        signed = [(size, note) for epoch, size, note in notes if epoch == info.epoch]
        carried = Carried(info, Reach(size for size, _ in signed))
        for chunk in mine:
            copying.chunk(chunk, carried)
        if mine:
            proving = Proving(reading, info, [each for each in sealed if each.epoch == info.epoch])
            part, kept = proving.part(carried.stretches, signed)
            parts.append((part, carried, kept))
    for part, _, kept in parts:
        for size, note in kept:
            writer.add(layout.checkpoint(part.epoch, size), note)
    copying.texts()
    tables.finish()
    manifest = _manifest(order, parts, _config(reading), {"left_out": dict(tables.left_out)} if tables.left_out else {})
    writer.add(layout.KEYS, keys.dump(order.keys, ((part.epoch, size, note) for part, _, kept in parts for size, note in kept)))
    zone = _zone(manifest)
    for name, data in (*tables.members(zone), *((f"table.{lang}.html", page(tables, manifest, zone, lang)) for lang in ("zh-CN", "en"))):
        writer.add(name, data)
    verifier = resources.files("edge_gateway.evidence").joinpath(layout.VERIFIER)
    if verifier.is_file():
        writer.add(layout.VERIFIER, verifier.read_bytes())
    writer.add(layout.MANIFEST, bytes(manifest))
    writer.close()
    return Made(manifest, copying.entries, writer.size, [*_gone(infos, sealed, run), *copying.damaged], copying.missing)


def _gone(infos: Sequence[EpochInfo], sealed: Iterable[Segment], run: Sequence[Chunk]) -> list[str]:
    """Segments between those of the pack that were declared gone: a verifier cannot decide over them."""
    order = [info.epoch for info in infos]
    least, most = ((order.index(each.epoch), each.first) for each in (run[0], run[-1]))
    inner = (each for each in sealed if each.lost and least < (order.index(each.epoch), each.first) < most)
    return [f"entries {each.first} to {each.end - 1} of epoch {each.epoch} are gone for good, their root is kept" for each in inner]


def _tables(state_dir: Path, reading: Reading, here: Sequence[Chunk], run: Sequence[Chunk], order: Order) -> Tables:
    """For people. One violation with what was part of it, if one is asked for, else all of the period's points."""
    epochs = list(dict.fromkeys(chunk.epoch for chunk in here))
    corrections = glance.corrections(state_dir, reading, here, run, epochs)
    found = glance.courses(glance.holding(state_dir, reading, run, frozenset({"violation"})), corrections, epochs)
    if order.violation is not None:
        links = {(each.id, str(step["into"])) for each in found.values() for step in each.steps if step.get("into")}
        found = {id_: found[id_] for id_ in glance.members(order.violation, links) if id_ in found}
    return Tables(reading, corrections, found, epochs, order.points)


def _zone(manifest: Manifest) -> ZoneInfo:
    """The site's; UTC where it is not known here."""
    try:
        return ZoneInfo(str((manifest.about.get("site") or {}).get("timezone") or "UTC"))
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def _config(reading: Reading) -> Mapping[str, Any]:
    """The configuration named last; {} where there is none that reads: the pack then names no site."""
    try:
        return newest_config(reading) or {}
    except (KeyError, JournalDamaged):
        return {}


def _manifest(
    order: Order, parts: Sequence[tuple[Part, Carried, Sequence[tuple[int, bytes]]]], config: Mapping[str, Any], more: Mapping[str, Any]
) -> Manifest:
    last, carried, kept = parts[-1]
    seen, signed = _newest(kept, carried, order.witness), _signed(kept, carried)
    end_us = carried.reach.end_us() if signed is None else carried.reach.end_us(signed)
    begin_us = _begin_us(parts[0][1], parts[0][2], order.witness)
    if seen is not None:
        end_us = min(carried.reach.end_us(seen[0]) or 0, seen[1] * 1_000_000)
    claim = None
    if begin_us is not None and end_us is not None and max(order.from_us, begin_us) < min(order.to_us, end_us):
        claim = Claim(max(order.from_us, begin_us), min(order.to_us, end_us), order.points, order.violation)
    site = config.get("site") or {}
    about = {
        "site": {name: site.get(name) for name in ("name_zh", "name_en", "timezone")},
        "made_us": order.made_us,
        "software": __version__,
        "witnessed": seen and {"epoch": last.epoch, "size": seen[0], "time_s": seen[1]},
        "proves_not": PROVES_NOT,
        **more,
    }
    gateway = str(config.get("gateway") or "")
    return Manifest(gateway, f"{site.get('origin') or ''}/{gateway}", claim, tuple(part for part, _, _ in parts), about)


def _begin_us(carried: Carried, notes: Sequence[tuple[int, bytes]], witness: Key | None) -> int | None:
    """From when on the first epoch speaks: only entries that are vouched for do, where any is."""
    seen, signed = _newest(notes, carried, witness), _signed(notes, carried)
    return carried.reach.begin_us(seen[0] if seen else carried.info.size if signed is None else signed)


def _signed(notes: Iterable[tuple[int, bytes]], carried: Carried) -> int | None:
    """Size of the newest note that covers something here."""
    return max((size for size, _ in notes if carried.reach.end_us(size) is not None), default=None)


def _newest(notes: Iterable[tuple[int, bytes]], carried: Carried, witness: Key | None) -> tuple[int, int] | None:
    """Size and time of the newest cosigned note that covers something here: by ``witness``, or (none known) by its own word."""
    found = None
    for size, data in notes:
        try:
            note = Note.parse(data)
            seen_s = witnessed_s(note, witness) if witness else _told_s(note)
        except NoteError:
            continue
        if seen_s is not None and carried.reach.end_us(size) is not None:
            found = (size, seen_s)
    return found


def _told_s(note: Note) -> int | None:
    origin = Checkpoint.parse(note.text).origin
    times = [int.from_bytes(each.data[:8], "big") for each in note.signatures if each.name != origin and len(each.data) == 72]
    return max(times, default=None)
