"""Power cuts under the two memories that must never forget: what the signer signed, and what the hub cosigned.

Their real code writes to the simulated disk (``simos.py``). A signature that left is a promise: after a cut the memory must
hold that size and root or a later one, the key must be the same, and the start must need no person.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from edge_gateway.errors import GatewayError
from edge_gateway.links import synced
from edge_gateway.record.checkpoint import Checkpoint
from edge_gateway.record.merkle import leaf_hash, tree_root
from edge_gateway.record.proof import consistency
from edge_gateway.signer import service
from edge_gateway.signer.base import Ask
from regulator_hub import cosigned, cosigner
from tests.faults.simdisk import PowerCut, SimDisk
from tests.faults.simos import SimPath, placed

CYCLES = 4
#: Operations until a cut: a start makes or reads a key, and each signature costs six.
OPENING, WORKING = 8, 60
LOG = "example.org/campaign"
_LEAVES = [leaf_hash(b"%d" % n) for n in range(256)]


@dataclass(slots=True)
class Kept:
    """What a campaign counts."""

    cuts: int = 0
    in_recovery: int = 0
    signed: int = 0
    forgotten: int = 0
    broken: int = 0
    why: list[str] = field(default_factory=list)

    def add(self, other: Kept) -> None:
        for name in ("cuts", "in_recovery", "signed", "forgotten", "broken"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.why = (self.why + other.why)[:20]


class Memory:
    """One disk with one memory. A subclass starts it, signs with it, and says what it remembers."""

    folder = "/memory"

    def __init__(self, seed: int, spoil: Callable[[SimDisk], None] = lambda disk: None) -> None:
        self.rng = random.Random(seed)
        self.seed = seed
        self.disk = SimDisk(seed + 1)
        self.spoil = spoil
        self.kept = Kept()
        self.promised: dict[str, int] = {}  # log → the greatest size that was signed outside
        self.public = b""  # of the first signature

    def start(self, folder: Path) -> bytes:
        """Start; the public key."""
        raise NotImplementedError

    def sign(self, log: str, size: int) -> None:
        """Sign so many entries of a log: on return the signature is out."""
        raise NotImplementedError

    def remembered(self) -> dict[str, tuple[int, bytes]]:
        raise NotImplementedError

    def play(self) -> Kept:
        with placed(self.disk, *self.modules()) as paths:
            self.disk.open("/memory", create=True)
            self.disk.sync_folder("/")
            self.spoil(self.disk)
            for cycle in range(CYCLES + 1):
                self._live(cycle, paths)
                if self.kept.forgotten or self.kept.broken:
                    break
        return self.kept

    def modules(self) -> tuple[Any, ...]:
        raise NotImplementedError

    def _live(self, cycle: int, paths: type[SimPath]) -> None:
        opening = self.rng.random() < 0.6
        self.disk.cut_after(None if cycle == CYCLES else self.rng.randrange(1, OPENING if opening else WORKING))
        before = self.kept.signed
        try:
            public = self.start(cast("Path", paths(self.folder)))
            self._check(public)
            for _ in range(12):
                log = self.rng.choice("abc")
                size = self.promised.get(log, 0) + self.rng.randrange(4)
                self.sign(log, max(1, size))
                self.promised[log] = max(1, size)
                self.public = public
                self.kept.signed += 1
        except PowerCut:
            self.kept.cuts += 1
            self.kept.in_recovery += cycle > 0 and self.kept.signed == before
        except (GatewayError, OSError) as error:
            self.kept.broken += 1
            self.kept.why.append(f"seed {self.seed}: {type(error).__name__}: {error}")
        self.disk.restart()

    def _check(self, public: bytes) -> None:
        if self.public and public != self.public:
            self._forgot("its key")
        there = self.remembered()
        for log, size in self.promised.items():
            found = there.get(log, (0, b""))
            if found[0] < size or found[1] != tree_root(_LEAVES[: found[0]]):
                self._forgot(f"log {log}: {size} entries were signed, {found[0]} are remembered")

        for log, (size, _) in there.items():  # the cut came between memory and signature
            self.promised[log] = max(size, self.promised.get(log, 0))

    def _forgot(self, what: str) -> None:
        self.kept.forgotten += 1
        self.kept.why.append(f"seed {self.seed}: {what}")


class Signer(Memory):
    """The signing process' key and ledger."""

    def modules(self) -> tuple[Any, ...]:
        return (synced,)

    def start(self, folder: Path) -> bytes:
        self._service = service.Service(folder, now_s=lambda: 0)
        return self._service.public

    def sign(self, log: str, size: int) -> None:
        old, _ = self.remembered().get(log, (0, b""))
        path = consistency(old, size, lambda start, width: tree_root(_LEAVES[start : start + width])) if old else []
        self._service.sign(Ask(head=Checkpoint(_origin(log), size, tree_root(_LEAVES[:size])), old=old, path=path))

    def remembered(self) -> dict[str, tuple[int, bytes]]:
        return {log: held for log in "abc" if (held := self._service._ledger.logs.get(_origin(log)))}


class Hub(Memory):
    """The hub's cosigning key, and what it cosigned for one gateway."""

    folder = "/memory/witness"

    def modules(self) -> tuple[Any, ...]:
        return (synced,)

    def start(self, folder: Path) -> bytes:
        self._folder = folder / cosigner.COSIGNED
        made = cosigner.Cosigner(folder, "hub", born=True)
        cosigned.make_folder(self._folder)
        self._memory = cosigned.read(self._folder, "gateway")
        return made.key.public

    def sign(self, log: str, size: int) -> None:
        grown = self._memory.grown(log, size, tree_root(_LEAVES[:size]))
        cosigned.write(self._folder, grown)
        self._memory = grown

    def remembered(self) -> dict[str, tuple[int, bytes]]:
        return dict(self._memory.logs)


def _origin(log: str) -> str:
    return f"{LOG}/{log * 16}"


def _no_sync(disk: SimDisk) -> None:
    disk.sync = lambda path, inode: None  # type: ignore[method-assign]


def _no_folder_sync(disk: SimDisk) -> None:
    disk.sync_folder = lambda folder: None  # type: ignore[method-assign]


MEMORIES: dict[str, type[Memory]] = {"signer": Signer, "hub": Hub}
PLANTED: dict[str, Callable[[SimDisk], None]] = {"no fsync": _no_sync, "no folder fsync": _no_folder_sync}


def play(memory: str, seed: int, cuts: int) -> Kept:
    """At least so many cuts."""
    total = Kept()
    while total.cuts < cuts:
        total.add(MEMORIES[memory](seed).play())
        seed += 1
    return total


def caught(memory: str, planted: str, seed: int, most: int = 400) -> int:
    """Cuts until a planted fault is noticed; 0 if it is not, within ``most`` disks."""
    cuts = 0
    for disk in range(most):
        kept = MEMORIES[memory](seed + disk, PLANTED[planted]).play()
        cuts += kept.cuts
        if kept.forgotten or kept.broken:
            return max(1, cuts)
    return 0
