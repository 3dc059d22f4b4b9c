"""A state folder with something of everything in it, and all that can be decoded of one; flips nothing."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from edge_gateway.journal.base import Position
from edge_gateway.journal.core import Core
from edge_gateway.journal.files import DiskFiles
from edge_gateway.journal.retention import JournalSettings
from edge_gateway.journal.segments import Segment, SegmentFile
from edge_gateway.journal.texts import Texts
from edge_gateway.journal.work import Append, Move, Noted, Refuse, Remember, Signed, Work
from edge_gateway.record.checkpoint import Checkpoint
from edge_gateway.record.entry import encode, text_hash
from edge_gateway.record.merkle import leaf_hash, tree_root
from edge_gateway.record.note import Signature, note_bytes
from edge_gateway.record.proof import consistency
from edge_gateway.signer.base import Ask
from edge_gateway.signer.service import Service
from regulator_hub.cosigned import Cosigned
from tests.journal.entries import batch, snapshot, stamp

EPOCH = "00000000000000e1"
SEGMENT, SEGMENTS, OPEN = 16, 3, 14
SETTINGS = JournalSettings(max_bytes=1 << 20, segment_entries=SEGMENT, hub_name="hub", sinks=("hub", "influx"))
TEXTS = (b'{"points":{"a":{"unit":"Cel"}}}', b'id = "a/b"\nvendor = "c"\n' * 20)


@dataclass(frozen=True, slots=True)
class Decoded:
    """All that a journal says, as it can be compared."""

    entries: Sequence[bytes]
    segments: Mapping[tuple[str, int], tuple[Any, ...]]
    cursors: Mapping[str, Position]
    receipts: Mapping[tuple[str, str], int]
    words: Mapping[tuple[str, str], str]  # the hub's own; what is rebuilt after damage has the sizes only
    checkpoints: Mapping[tuple[str, int], bytes]
    quarantine: Mapping[int, tuple[Any, ...]]
    counters: Mapping[str, int]
    memory: Mapping[str, Any]

    def differs(self, other: Decoded) -> str:
        """Where two differ."""
        return ", ".join(f.name for f in fields(self) if getattr(self, f.name) != getattr(other, f.name))


def decoded(core: Core) -> Decoded:
    """Of the epoch that was made: an open journal's, or what damage left of it."""
    state = core.state
    entries: list[bytes] = []
    for segment in state.kept:
        if segment.epoch == EPOCH and segment.first == len(entries):
            entries += SegmentFile(state.files, state.state_dir, EPOCH, segment.first, segment.count).entries()
    if state.epoch.epoch == EPOCH:
        entries += state.tail.entries(state.tail_first, state.size)
    held = state.tail.held()
    rows = state.tail.connection.execute("SELECT sink, epoch, receipt FROM receipts")
    return Decoded(
        entries=entries,
        segments={(s.epoch, s.first): (s.count, s.root, s.size_bytes, s.wall_us, s.texts, s.freed, s.lost) for s in held.segments},
        cursors=held.cursors,
        receipts=held.receipts,
        words={(str(sink), str(epoch)): str(receipt) for sink, epoch, receipt in rows},
        checkpoints={(epoch, size): note for epoch, size, note in held.checkpoints},
        quarantine={q.id: (q.sink, q.epoch, q.seq, q.line, q.reason, q.wall_us) for q in state.tail.quarantined()},
        counters=held.counters,
        memory=held.memory,
    )  # fmt: skip


def core_in(folder: Path, first: str = "") -> Core:
    """A journal's writer in a folder; epochs after the first one are numbered."""
    ids = itertools.chain([first] if first else [], (f"{number:016x}" for number in itertools.count(0xF0)))
    return Core(DiskFiles(), folder, SETTINGS, wall_us=lambda: 1_780_000_000_000_000, new_id=lambda: next(ids))


@dataclass(slots=True)
class Sound:
    """What lies in the folder, as it is without a flip. ``killed`` and ``before``: with a log, and without its last commit."""

    decoded: Decoded
    killed: Decoded
    before: Decoded
    segments: list[Segment]
    public: bytes
    cosigned: Cosigned

    @staticmethod
    def texts(state: Path) -> Texts:
        return Texts(DiskFiles(), state)


def make(folder: Path) -> Sound:
    """``state`` (closed in order), ``killed`` (with a log), ``signer`` and ``hub.json`` in ``folder``."""
    folder.mkdir(parents=True)
    core = core_in(folder / "state", EPOCH)
    core.open()
    for work in _works():
        assert core.commit([work]) == [None]
        core.seal()
    public = _signer(folder / "signer", core)
    core.state.tail.connection.execute("VACUUM").fetchall()  # a flip in a free page says nothing
    segments, whole = core.state.kept, decoded(core)
    core.close()
    killed, before = _killed(folder)
    cosigned = Cosigned("tlf").grown(EPOCH, 48, bytes(range(32))).grown("00000000000000e0", 7, bytes(32))
    (folder / "hub.json").write_bytes(bytes(cosigned))
    return Sound(whole, killed, before, segments, public, cosigned)


def _works() -> list[Work]:
    entries = [_entry(seq) for seq in range(SEGMENT * SEGMENTS + OPEN)]
    works: list[Work] = [Append(first=0, entries=entries[:1], texts=TEXTS)]
    works += [Append(first=at, entries=entries[at : at + 8]) for at in range(1, len(entries), 8)]
    works += [Move(sink="hub", to=Position(EPOCH, 50), receipt={"gateway": "tlf", "epoch": EPOCH, "size": 50, "skipped": []})]
    works += [Move(sink="influx", to=Position(EPOCH, 41)), Noted(values={"scrub_epoch": 1, "scrub_next": 16})]
    works += [Remember(name="spent influx", value={"day": 20_000, "bytes": 123_456})]
    works += [Refuse(sink="influx", epoch=EPOCH, items=[(at, f"cold,p=a value={at}", "a type conflict") for at in range(3, 9)])]
    origin = f"example.org/tlf/{EPOCH}"
    for size in (16, 32, 48, 57):
        head = Checkpoint(origin, size, bytes([size]) * 32)
        mark = Signature(origin, bytes(4), bytes([size]) * 64)
        works.append(Signed(epoch=EPOCH, size=size, note=note_bytes(head.body(), (mark,))))
    return works


def _entry(seq: int) -> bytes:
    if seq % SEGMENT == 0:
        return snapshot(seq, state={"gaps": {"g1": {"groups": ["cold1-th.1"], "reason": "unreachable", "since_slot_us": seq}}})
    if seq % 7 == 3:
        return encode(seq, "gap", stamp(seq), {"gap": f"g{seq}", "state": "open", "groups": ["*"], "reason": "silent", "since_slot_us": seq})
    if seq == 1:
        return encode(seq, "config", stamp(seq), {"text": text_hash(TEXTS[0]), "texts": {"p": text_hash(TEXTS[1])}})
    return batch(seq, size=90 if seq < SEGMENT * SEGMENTS else 1500)


def _signer(folder: Path, core: Core) -> bytes:
    folder.mkdir(mode=0o700)
    service = Service(folder, now_s=lambda: 1_780_000_000)
    service.sign(Ask(head=Checkpoint(f"example.org/tlf/{EPOCH}", 48, bytes(range(32))), old=0, path=()))
    leaves = [leaf_hash(b"%d" % n) for n in range(48)]
    for old, size in ((0, 16), (16, 32), (32, 48)):  # the ledger's line, and both of its slots
        path = consistency(old, size, lambda start, width: tree_root(leaves[start : start + width])) if old else ()
        service.sign(Ask(head=Checkpoint("example.org/tlf/00000000000000e0", size, tree_root(leaves[:size])), old=old, path=path))
    return service.public


def _killed(folder: Path) -> tuple[Decoded, Decoded]:
    """A copy in which three more commits lie in the log, as a kill leaves them; and as it is without the last of them."""
    shutil.copytree(folder / "state", folder / "running")
    core = core_in(folder / "running")
    core.open()
    first = core.state.size
    seen = []
    for more in range(3):
        assert core.commit([Append(first=first + more, entries=[batch(first + more, size=90)])]) == [None]
        seen.append(decoded(core))
    shutil.copytree(folder / "running", folder / "killed", ignore=shutil.ignore_patterns("*-shm"))
    core.close()
    shutil.rmtree(folder / "running")
    return seen[-1], seen[-2]
