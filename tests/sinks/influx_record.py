"""A record in memory for the InfluxDB tests: entries as the journal writes them, read as the journal reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_gateway.journal.base import EpochInfo, Position, SegmentInfo
from edge_gateway.reading import Batch, Group, Message
from edge_gateway.record import entry
from edge_gateway.sinks.base import Run

EPOCH = "00112233445566aa"
BOOT = "b00700000001"
START_US = 1_772_690_607_000_000
SITE = "tlf-007"


@dataclass
class StillClock:
    """A clock that the test moves."""

    boot: str = BOOT
    mono: int = 5_000_000_000
    wall: int = START_US
    speed: float = 1.0

    def mono_us(self) -> int:
        return self.mono

    def wall_us(self) -> int:
        return self.wall

    def trusted(self) -> bool:
        return True

    async def sleep_until(self, mono_us: int) -> None:
        self.mono = max(self.mono, mono_us)


def resolved(points: Sequence[str], rules: Sequence[dict[str, Any]] = (), *, group: str = "dev.1") -> dict[str, Any]:
    """A resolved configuration of one group with these points."""
    return {
        "software": "0",
        "gateway": SITE,
        "site": {"id": SITE, "origin": "example.org", "timezone": "Asia/Shanghai"},
        "zones": {"cold1": {"stage": "storage", "kind": "frozen-store"}},
        "devices": {"dev": {"profile": "generic/xy-md02", "bus": "line1", "unit": 1}},
        "points": {
            point: {"device": "dev", "zone": "cold1", "quantity": "temperature", "unit": "Cel", "decimals": 1}
            for point in points
        },
        "groups": {group: {"device": "dev", "points": list(points), "interval_us": 10_000_000}},
        "rules": list(rules),
        "outlets": {},
        "sinks": {},
    }


@dataclass
class Record:
    """Appends entries; implements ``journal.base.Reader``."""

    epoch: str = EPOCH
    entries: list[bytes] = field(default_factory=list)
    configs: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    closed: list[tuple[str, list[bytes]]] = field(default_factory=list)
    wall_us: int = START_US
    mono_us: int = 5_000_000_000
    boot: str = BOOT
    trusted: bool = True
    config_seq: int = 0
    group: Group = field(default_factory=lambda: Group(id="dev.1", device="dev", points=("p0",)))

    # --- writing ---

    def _stamp(self) -> entry.Stamp:
        return entry.Stamp(self.mono_us, self.wall_us, self.mono_us, self.boot, self.trusted)

    def tick(self, by_us: int = 10_000_000) -> None:
        self.wall_us += by_us
        self.mono_us += by_us

    def add(self, kind: str, **body: Any) -> int:
        self.entries.append(entry.encode(len(self.entries), kind, self._stamp(), body))
        return len(self.entries) - 1

    def configure(self, points: Sequence[str], rules: Sequence[dict[str, Any]] = ()) -> int:
        self.config_seq = self.add("config", text="0" * 64, texts={}, software="0", by="test", reason="", changes=[])
        self.configs[self.epoch, self.config_seq] = resolved(points, rules)
        self.group = Group(id="dev.1", device="dev", points=tuple(points), wide=True)
        return self.config_seq

    def batch(self, values: list[Any], quality: list[str] | None = None, message: Message | None = None) -> int:
        batch = Batch(
            group=self.group,
            mono_us=self.mono_us,
            wall_us=self.wall_us,
            values=values,
            quality=quality,
            message=message,
        )
        self.entries.append(
            entry.encode_batch(len(self.entries), self.mono_us, self.boot, self.trusted, self.config_seq, batch)
        )
        return len(self.entries) - 1

    def open_epoch(self, epoch: str) -> None:
        self.closed.append((self.epoch, self.entries))
        self.epoch, self.entries = epoch, []

    def run(self, first: int = 0, count: int | None = None) -> Run:
        end = len(self.entries) if count is None else first + count
        return Run(epoch=self.epoch, first=first, entries=self.entries[first:end])

    # --- reading ---

    def epochs(self) -> list[EpochInfo]:
        every = [*self.closed, (self.epoch, self.entries)]
        return [
            EpochInfo(epoch=epoch, first=0, size=len(rows), closed=epoch != self.epoch, reason="new", wall_us=0)
            for epoch, rows in every
        ]

    async def read(self, start: Position, *, max_entries: int, max_bytes: int) -> list[bytes]:
        rows = dict([*self.closed, (self.epoch, self.entries)])[start.epoch]
        return rows[start.seq : start.seq + max_entries]

    async def config(self, epoch: str, config_seq: int) -> dict[str, Any]:
        return self.configs[epoch, config_seq]

    async def text(self, sha256: str) -> bytes:
        raise KeyError(sha256)

    async def segments(self) -> list[SegmentInfo]:
        return []
