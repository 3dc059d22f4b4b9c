"""State folders under the verifier: honest ones that came through power cuts and kills, and ones that a forger with root made anew; counts, judges nothing else."""

from __future__ import annotations

import io
import random
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import apsw

from edge_gateway.evidence import check, folder
from edge_gateway.evidence.judge import Asked, Verdict
from edge_gateway.evidence.make import Order, make
from edge_gateway.journal.core import Core
from edge_gateway.journal.files import DiskFiles
from edge_gateway.journal.reading import Reading
from edge_gateway.journal.segments import segment_path, write_segment
from edge_gateway.journal.tail import Tail, entry_crc
from edge_gateway.journal.work import Signed, Work
from tests.evidence.record import GATEWAY, HUB, Epoch, entries, note, write
from tests.faults.lives import Life
from tests.faults.simdisk import SimDisk
from tests.faults.tampering import CHANGES, FORGER, FORGER_HUB
from tests.journal.entries import BEGAN_US

KEYS = Asked(str(GATEWAY.key), str(HUB.key))
_FOLDER = re.compile(r"(/state|/segments|/texts|/[0-9a-f]{16})\Z")
#: Nothing here is about syncs: memory will do.
_SCRATCH = "/dev/shm" if Path("/dev/shm").is_dir() else None
_LATER_S = BEGAN_US // 1_000_000 + 10**8


class SignedLife(Life):
    """A journal's lives through cuts and kills, with checkpoints that are truly signed, some of them cosigned."""

    def _works(self, core: Core) -> list[Work]:
        epoch = self.must.epochs[self.must.open].entries if self.must.open else []
        found: list[Work] = []
        for work in super()._works(core):
            if isinstance(work, Signed):
                if len(epoch) < work.size:
                    continue  # some of its entries are not acknowledged: nobody signs them
                cosigned = crc32(f"{work.epoch}/{work.size}".encode()) % 10 < 7  # one size, one note: two of them would be merged
                work = replace(work, note=note(work.epoch, epoch, work.size, _LATER_S if cosigned else None))
            found.append(work)
        return found


def survived(seed: int, place: Path) -> None:
    """A state folder as such lives leave it, written out to a real disk."""
    life = SignedLife(seed)
    life.play()
    if life.tally.why:
        raise AssertionError(life.tally.why)
    dump(life.disk, place)


def dump(disk: SimDisk, place: Path) -> None:
    """The simulated disk's files under ``place``."""
    for name in sorted(disk.names):
        path = place / name.lstrip("/")
        if _FOLDER.search(name):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(disk.names[name].seen)


def honest(seed: int) -> Iterator[tuple[str, Verdict]]:
    """``(name, verdict)`` of a folder that came through crashes, and of a pack made of it.

    Not all of them can be verified: retention may have freed what the only checkpoints are about. None is broken.
    """
    with tempfile.TemporaryDirectory(dir=_SCRATCH) as temporary:
        survived(seed, Path(temporary))
        state = Path(temporary) / "state"
        reading, file = Reading(state), io.BytesIO()
        try:
            make(state, reading, file, Order(from_us=-(2**61), to_us=2**61, made_us=BEGAN_US, keys=(GATEWAY.key, HUB.key)))
        finally:
            reading.close()
        yield "folder", folder.check(state, KEYS)
        yield "pack", check.check(file, KEYS)


# --- forged ---------------------------------------------------------------------------------------------------------------

NAME = "00000000000000e1"


def forged(seed: int) -> Iterator[tuple[str, Verdict, bool]]:
    """``(name, verdict, whether it must be found)`` of one record after each way of writing it anew."""
    dice = random.Random(f"folders-{seed}")
    count = dice.randint(20, 60)
    told = entries(count)
    size = dice.randint(count // 2, count)
    time_s = BEGAN_US // 1_000_000 + size + 5
    older = dice.randint(1, size - 1)
    at = dice.randrange(size - 1)
    hubs = note(NAME, told, size, time_s)
    brought = replace(KEYS, against=hubs)
    true = [(older, time_s), (size, time_s)]
    yield from _judged("honest", [Epoch(NAME, told, true)], KEYS, False)
    yield from _judged("honest-against", [Epoch(NAME, told, true)], brought, False)
    for name, change in CHANGES.items():
        other = change(dice, list(told), at)
        yield from _judged(f"rewritten-{name}", [Epoch(NAME, other, [])], brought, True)
        yield from _judged(f"rewritten-{name}-own-note", [Epoch(NAME, other, [])], KEYS, True, lambda state: _keep(state, size, hubs))
    for name, spoil in (("in-place", _in_place(dice, told, at)), ("segment-gone", _gone), ("freed-and-hidden", _hidden(dice, told))):
        yield from _judged(name, [Epoch(NAME, told, true)], KEYS, True, spoil)
    yield from _judged("cut-back", [Epoch(NAME, told[:older], [(older, time_s)])], KEYS, False)
    yield from _judged("cut-back-against", [Epoch(NAME, told[:older], [(older, time_s)])], brought, True)
    yield from _judged("stripped", [Epoch(NAME, told, [(each, None) for each, _ in true])], KEYS, True)
    resigned = note(NAME, told, size, time_s, gateway=FORGER, hub=FORGER_HUB)
    yield from _judged("re-signed", [Epoch(NAME, told, [])], KEYS, True, lambda state: _keep(state, size, resigned))
    yield from _judged("another-epoch", [Epoch("00000000000000ef", told, [])], brought, True)


def _judged(
    name: str, epochs: Sequence[Epoch], asked: Asked, found: bool, spoil: Callable[[Path], None] = lambda _: None
) -> Iterator[tuple[str, Verdict, bool]]:
    with tempfile.TemporaryDirectory(dir=_SCRATCH) as temporary:
        state = write(Path(temporary) / "state", epochs)
        spoil(state)
        yield name, folder.check(state, asked), found


def _keep(state: Path, size: int, data: bytes) -> None:
    tail = Tail(state / "journal.sqlite")
    with tail.transaction():
        tail.put_checkpoint(NAME, size, data)
    tail.close()


def _in_place(dice: random.Random, told: Sequence[bytes], at: int) -> Callable[[Path], None]:
    """One entry exchanged where it lies, checksums, footers and tables made to agree."""
    changed = CHANGES["spaced"](dice, list(told), at)

    def spoil(state: Path) -> None:
        first = at // 8 * 8
        if first + 8 <= len(told):
            segment = write_segment(DiskFiles(), state, NAME, first, changed[first : first + 8], 256)
            tail = Tail(state / "journal.sqlite")
            with tail.transaction():
                tail.put_segment(segment)
            tail.close()
            return
        database = apsw.Connection(str(state / "journal.sqlite"))
        database.execute("UPDATE tail SET entry=?, crc=? WHERE seq=?", (changed[at], entry_crc(at, changed[at]), at)).fetchall()
        database.close()

    return spoil


def _gone(state: Path) -> None:
    segment_path(state, NAME, 0).unlink()


def _hidden(dice: random.Random, told: Sequence[bytes]) -> Callable[[Path], None]:
    """Another root is kept of a segment that retention is said to have freed."""

    def spoil(state: Path) -> None:
        tail = Tail(state / "journal.sqlite")
        kept = next(tail.segments("WHERE s.first = 0"))
        with tail.transaction():
            tail.put_segment(replace(kept, freed=True, root="0" * 64))
        tail.close()
        segment_path(state, NAME, 0).unlink()

    return spoil
