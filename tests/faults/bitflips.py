"""Single bits that flip at rest, everywhere: each is found at the start or by the scrub, or changes nothing that anybody could read.

``python -m tests.faults.bitflips --n 100000 --seed 1``: n flips over sealed segments, the database (open entries with gaps and snapshots, cursors, receipts,
checkpoints, quarantine, counters), its log after a kill, texts, the signer's ledger and key, and the hub's memory of what it cosigned. Damage may cost one segment
(or what is open), never more, and no start may hang or crash. The last line is JSON; exit 1 on a flip that was believed, on more damage, and when a planted fault is not noticed.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from edge_gateway.errors import JournalError, JournalTooNew, SignerError
from edge_gateway.journal import opening, scrub, tail
from edge_gateway.journal.core import Core
from edge_gateway.journal.files import DiskFiles
from edge_gateway.journal.segments import SegmentFile, segment_path
from edge_gateway.journal.tail import Tail
from edge_gateway.signer import ledger
from edge_gateway.signer.service import Service
from regulator_hub.cosigned import Cosigned, MemoryLost
from tests.faults import results
from tests.faults.rotting import SEGMENT, SEGMENTS, Decoded, core_in, decoded, make

#: SQLite's: bytes of a page, and of the header of a page with rows (https://www.sqlite.org/fileformat2.html, 1.6).
PAGE, HEADER = 4096, 8
#: Share of the flips that each target gets.
SHARES = {"segment": 38, "database": 46, "log": 4, "text": 3, "ledger": 4, "key": 1, "hub": 4}
FILES = DiskFiles()


@dataclass(slots=True)
class Count:
    """Flips by target and outcome: ``found``, ``harmless``; and what must not be: ``why``."""

    n: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    why: list[str] = field(default_factory=list)

    def add(self, other: Count) -> None:
        self.n += other.n
        self.seen += other.seen
        self.why = (self.why + other.why)[:20]


class Bad(Exception):
    """A flip that was believed, or that cost too much."""


class Rot:
    """One state folder; each ``flip`` works on a fresh copy, or puts the bit back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sound = make(folder / "sound")
        self.copy = folder / "copy"
        self.bit = -1  # that was flipped last

    def flip(self, target: str, rng: random.Random) -> str:
        """Flip one bit; the outcome. Raises Bad."""
        return {
            "segment": self._segment, "database": self._database, "log": self._log, "text": self._text, "ledger": self._ledger, "key": self._key,
            "hub": self._hub,
        }[target](rng)  # fmt: skip

    def _segment(self, rng: random.Random) -> str:
        state = self.folder / "sound" / "state"
        segment = rng.choice(self.sound.segments)
        with flipped(segment_path(state, segment.epoch, segment.first), rng):
            if scrub.check(FILES, state, segment):
                return "found"
            entries = list(SegmentFile(FILES, state, segment.epoch, segment.first, segment.count).entries())
            if entries != self.sound.decoded.entries[segment.first : segment.end]:
                raise Bad(f"segment {segment.first} reads otherwise, and the scrub found nothing")
            return "harmless"

    def _text(self, rng: random.Random) -> str:
        texts = self.sound.texts(self.folder / "sound" / "state")
        name = rng.choice(texts.names())
        with flipped(texts.path(name), rng):
            if not scrub.check_text(FILES, texts, name):
                raise Bad(f"text {name} has changed, and the scrub found nothing")
        return "found"

    def _ledger(self, rng: random.Random) -> str:
        path = self.folder / "sound" / "signer" / "ledger.json"
        sound = bytes(ledger.read(path))
        with flipped(path, rng, rng.choice([0, 400])):
            try:
                if bytes(ledger.read(path)) != sound:
                    raise Bad("the signer's ledger reads otherwise")
            except SignerError:
                return "found"
            return "harmless"

    def _key(self, rng: random.Random) -> str:
        with flipped(self.folder / "sound" / "signer" / "signer.key", rng):
            try:
                if Service(self.folder / "sound" / "signer").public != self.sound.public:
                    raise Bad("the signer signs with another key")
            except SignerError:
                return "found"
            return "harmless"

    def _hub(self, rng: random.Random) -> str:
        path = self.folder / "sound" / "hub.json"
        with flipped(path, rng):
            try:
                if Cosigned.parse(path.read_bytes(), "tlf") != self.sound.cosigned:
                    raise Bad("the hub remembers otherwise")
            except MemoryLost:
                return "found"
            return "harmless"

    # --- the database: a whole start ------------------------------------------------------------------------------

    def _database(self, rng: random.Random) -> str:
        return self.started("state", "journal.sqlite", self._spoilt("state", "journal.sqlite", rng))

    def _log(self, rng: random.Random) -> str:
        return self.started("killed", "journal.sqlite-wal", self._spoilt("killed", "journal.sqlite-wal", rng))

    def _spoilt(self, which: str, file: str, rng: random.Random) -> bytes:
        data = bytearray((self.folder / "sound" / which / file).read_bytes())
        self.bit = rng.randrange(8 * len(data))
        data[self.bit // 8] ^= 1 << self.bit % 8
        return bytes(data)

    def started(self, which: str, file: str, spoilt: bytes) -> str:
        """The outcome of a start with that file. Raises Bad."""
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(self.folder / "sound" / which, self.copy, ignore=shutil.ignore_patterns("ballast"))
        (self.copy / file).write_bytes(spoilt)
        core = core_in(self.copy)
        try:
            core.open()
        except JournalTooNew:
            return "found"  # a flip of the layout's number
        except JournalError as stuck:
            raise Bad(f"bit {self.bit} of {file}: no start: {stuck}") from stuck
        try:
            return self._judged(which, core, f"bit {self.bit} of {file}")
        finally:
            core.close()

    def _judged(self, which: str, core: Core, where: str) -> str:
        found = decoded(core)
        sound = self.sound.decoded if which == "state" else self.sound.killed
        if core.damaged:
            self._costs_little(found, sound, where, header=which == "state" and self.bit // 8 % PAGE < HEADER)
            core.close()
            again = core_in(self.copy)
            again.open()
            if again.damaged or not again.recover().snapshot:
                raise Bad(f"{where}: damaged again at the next start")
            again.close()
            return "found"
        if found == sound:
            return "found" if core.mended else "harmless"
        if which == "killed" and found == self.sound.before:
            raise Bad(f"{where}: the last commit is gone, and nothing is said")
        raise Bad(f"{where}: believed: {found.differs(sound)}")

    def _costs_little(self, found: Decoded, sound: Decoded, where: str, *, header: bool) -> None:
        """All segments are there, what was open is a true beginning, and no row of the tables is another one than before.

        ``header``: the bit is one of a page's header; with it any of that page's rows may go, as where SQLite cannot read the page at all.
        """
        if found.entries != sound.entries[: len(found.entries)] or len(found.entries) < SEGMENTS * SEGMENT:
            raise Bad(f"{where}: after damage {len(found.entries)} entries, or others than before")
        for name in ("cursors", "receipts", "checkpoints", "quarantine"):
            there, was = getattr(found, name), getattr(sound, name)
            if not set(there.items()) <= set(was.items()):
                raise Bad(f"{where}: after damage {name} holds what was never written")
            if len(there) < len(was) - 1 and len(there) and not header:
                raise Bad(f"{where}: after damage {len(was) - len(there)} rows of {name} are gone")


def flip(path: Path, rng: random.Random, head: int = 0) -> int:
    """Flip a random bit; its number. ``head``: only among the first so many bytes of each block of 4,096, where the rest is filling."""
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        bit = 8 * 4096 * rng.randrange(size // 4096) + rng.randrange(8 * head) if head else rng.randrange(8 * size)
        file.seek(bit // 8)
        byte = file.read(1)[0]
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))
    return bit


@contextmanager
def flipped(path: Path, rng: random.Random, head: int = 0) -> Iterator[None]:
    """While inside, one bit of the file is another."""
    state = rng.getstate()
    flip(path, rng, head)
    try:
        yield
    finally:
        rng.setstate(state)
        flip(path, rng, head)


def play(seed: int, n: int, ends: float = float("inf"), planted: str = "") -> Count:
    """``n`` flips on a folder of their own, in memory where there is such a folder."""
    rng, count = random.Random(seed), Count()
    with tempfile.TemporaryDirectory(dir=_fast()) as folder, PLANTED[planted]() if planted else nullcontext():
        rot = Rot(Path(folder))
        while count.n < n and time.monotonic() < ends:
            target = rng.choices(list(SHARES), list(SHARES.values()))[0]
            count.n += 1
            try:
                count.seen[f"{target}: {rot.flip(target, rng)}"] += 1
            except Bad as bad:
                count.seen[f"{target}: believed"] += 1
                count.why = [*count.why, f"seed {seed}: {bad}"][:20]
            except Exception as crash:  # noqa: BLE001 -- a crash is what is looked for
                count.seen[f"{target}: crash"] += 1
                count.why = [*count.why, f"seed {seed}, flip {count.n}: {target}: {crash!r}"][:20]
            if planted and count.why:
                break
    return count


def _fast() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


@contextmanager
def _patched(place: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(place, name)
    setattr(place, name, value)
    try:
        yield
    finally:
        setattr(place, name, before)


@contextmanager
def _no_row_checks() -> Iterator[None]:
    """Planted: rows are taken at their word."""
    with _patched(Tail, "_sound", lambda *_: True), _patched(tail, "entry_crc", lambda seq, entry: 0), _patched(opening, "entry_crc", lambda seq, entry: 0):
        yield


PLANTED: dict[str, Callable[[], Any]] = {
    "rows without a check": _no_row_checks,
    "a scrub that looks at footers only": partial(_patched, SegmentFile, "verify", lambda self: None),
    "a log whose last commit is not looked at": partial(_patched, opening, "changed_bits", lambda log: []),
    "a ledger without a checksum": partial(_patched, ledger, "sha256", lambda data: _Nothing()),
}


class _Nothing:
    """Planted: any checksum is right."""

    def hexdigest(self) -> Any:
        return _Equal("0" * 64)


class _Equal(str):
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = str.__hash__


def caught(planted: str, seed: int, most: int = 4000) -> int:
    """Flips until a planted fault is noticed; 0 if it is not, within ``most``."""
    count = play(seed, most, planted=planted)
    return count.n if count.why else 0


def campaign(n: int, seed: int, workers: int, budget_s: float) -> dict[str, Any]:
    ends, total = time.monotonic() + budget_s, Count()
    with ProcessPoolExecutor(workers) as pool:
        planted = {name: pool.submit(caught, name, seed) for name in PLANTED}
        found = {name: future.result() for name, future in planted.items()}
        parts = [pool.submit(play, seed * 1000 + part, n // (4 * workers) + 1, ends) for part in range(4 * workers)]
        for part in parts:
            total.add(part.result())
    for why in total.why:
        print(why)
    passed = not total.why and all(found.values())
    return {"n": total.n, "seed": seed, "seen": dict(sorted(total.seen.items())), "planted": found, "passed": passed}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=100_000, help="flips at least")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--budget-s", type=float, default=600.0, help="flip no further bit after so many seconds")
    options = parser.parse_args()
    began = time.monotonic()
    result = campaign(options.n, options.seed, options.workers, options.budget_s)
    result["seconds"] = round(time.monotonic() - began, 1)
    results.append("bitflips", result)
    print(json.dumps(result))
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
