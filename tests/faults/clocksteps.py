"""Steps of the wall clock, ±1 s to ±10 years: at boot, mid-sample, during a drain: nothing lost or reordered, every affected entry marked.

Most steps are made on a simulated clock under the real intake, journal and shipping; trust behaves as the kernel's: who sets the
clock loses it, a time server gives it back. Truth is what the harness knows: what time it really was at each instant, and
each reading's own number. The record is read by the reader that imports nothing of ours. ``--real M``: that many steps besides
on real processes, by libfaketime (``clocksteps_real``).
Usage: python -m tests.faults.clocksteps [--n 1000] [--real 20] [--seed 1]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

from edge_gateway.intake.clockwatch import ClockWatch
from edge_gateway.intake.loop import Intake
from edge_gateway.intake.recovery import open_run, recover
from edge_gateway.intake.ruletime import resume
from edge_gateway.journal.retention import JournalSettings
from edge_gateway.journal.store import Store, open_journal
from edge_gateway.reading import Batch
from edge_gateway.shipping.delivery import Asks
from edge_gateway.shipping.loop import Shipping
from edge_gateway.sinks.base import Outcome, Run
from edge_gateway.telemetry import silent
from edge_gateway.testing import FakeClock, RecordingSink
from tests.faults import clocksteps_real, results
from tests.faults.slots import MEMORY
from tests.fixtures.reader import read_segment
from tests.intake.test_loop import COLD, setup_of

#: Steps of one life.
STEPS = 10
KINDS = ("at-boot", "mid-sample", "torn-sample", "during-drain", "there-and-back", "idle")
TRUE_US = 1_772_640_000_000_000
SECOND, YEAR_US = 1_000_000, 31_557_600_000_000
#: An entry's wall time may be wrong by this, unmarked: what counts as a step is half of it.
TOLERATED_US = 900_000


class Clock(FakeClock):
    """A clock that knows how wrong it is. Setting it by hand takes trust away, a time server sets it right and gives it back."""

    def __init__(self) -> None:
        super().__init__(wall_us=TRUE_US, mono_us=30 * SECOND, boot="b00000000001")
        self.error_us = 0
        self.boots = {self.boot: TRUE_US - 30 * SECOND}  # true time at monotonic zero

    def set(self, by_us: int) -> None:
        """Somebody sets the clock."""
        self.error_us += by_us
        self.step_wall(by_us)
        self.trust = False

    def synchronise(self) -> None:
        """A time server is heard."""
        self.step_wall(-self.error_us)
        self.error_us, self.trust = 0, True

    def power_off(self, for_us: int, wrong_us: int) -> None:
        """Another boot, by a clock that is wrong and that nobody vouches for."""
        self.advance(for_us)
        true_us = self.wall_us() - self.error_us
        self.boot = f"b{len(self.boots) + 1:011d}"
        self._mono_us = 5 * SECOND
        self.boots[self.boot] = true_us - 5 * SECOND
        self.step_wall(wrong_us - self.error_us)
        self.error_us, self.trust = wrong_us, False

    def true_us(self, entry: Mapping[str, Any]) -> int:
        """What time it really was at an entry."""
        return self.boots[entry["boot"]] + int(entry["mono_us"])


class Gate(RecordingSink):
    """A sink that takes little at a time, and only while it is open."""

    def __init__(self) -> None:
        super().__init__("gate", max_entries=7)
        self.open = asyncio.Event()

    async def deliver(self, run: Run, reader: Any) -> Outcome:
        """Wait until it is open."""
        await self.open.wait()
        return await super().deliver(run, reader)


@dataclass
class Life:
    """One gateway through ``STEPS`` steps."""

    folder: Path
    chance: random.Random
    clock: Clock = field(default_factory=Clock)
    #: numbers in the order they were handed over and made durable
    handed: list[int] = field(default_factory=list)
    steps: Counter[str] = field(default_factory=Counter)
    #: steps of which an event must tell (µs)
    to_tell: list[int] = field(default_factory=list)
    taken: list[tuple[str, int, bytes]] = field(default_factory=list)

    async def live(self) -> None:
        """From the first start to the last stop; at the end the clock is right."""
        await self._start()
        for _ in range(STEPS):
            await self._some()
            kind = self.chance.choice(KINDS)
            by_us = round(self.chance.choice((-1, 1)) * 10 ** self.chance.uniform(0, 8.5)) * SECOND
            self.steps[kind] += 1
            await getattr(self, "_" + kind.replace("-", "_"))(by_us)
            await self._some()
            if self.clock.error_us and self.chance.random() < 0.7:
                self._right_again()
        self._right_again()
        await self._looked()
        await self._some()
        await self._stop()

    async def _start(self) -> None:
        clock = self.clock
        settings = JournalSettings(max_bytes=1 << 30, segment_entries=64, sinks=("gate",))
        self.journal: Store = await open_journal(self.folder, settings=settings, clock=clock)
        recovery = self.journal.recover()
        found = await recover(self.journal, recovery, "tlf-007")
        rule_time, carried = resume(
            found.last, mono_us=clock.mono_us(), wall_us=clock.wall_us(), boot=clock.boot, trusted=clock.trusted(), base_us=found.base_us
        )
        self.intake = Intake(journal=self.journal, state=found.state, rule_time=rule_time, clock=clock, commit_every_us=50_000, tell=silent)
        await open_run(self.intake, found, setup_of(), clock, carried=carried, damaged=recovery.damaged)
        self.gate = Gate()
        self.gate.open.set()
        asks = Asks(reopen=_never, record=_never)
        self.shipping = Shipping(journal=self.journal, sinks=[self.gate], hubs=[], tell=silent, wall_us=clock.wall_us, asks=asks)
        self._tasks = [asyncio.create_task(self.intake.run()), asyncio.create_task(self.shipping.run())]
        await self._flushed()

    async def _stop(self) -> None:
        self.gate.open.set()
        await self.intake.command(lambda: self.intake.add("event", {"event": "stopped"}))
        self.intake.inbox.close()
        await self._tasks[0]
        self.shipping.stop()
        await self._tasks[1]
        await self.journal.close()
        self.taken += self.gate.taken

    async def _flushed(self) -> None:
        async def nothing() -> None:
            return None

        await self.intake.command(nothing)

    async def _looked(self) -> None:
        """Long enough for intake to look at the clock."""
        for _ in range(3):
            await asyncio.sleep(0.004)
            await self._flushed()

    def _right_again(self) -> None:
        """A time server is heard; of that step an event must tell."""
        if abs(self.clock.error_us) >= SECOND:
            self.to_tell.append(-self.clock.error_us)
        self.clock.synchronise()

    def _sample(self) -> Batch:
        """A reading stamped now, not yet handed over."""
        self.clock.advance(10 * SECOND)
        return self._stamped(self.clock.wall_us(), self.clock.mono_us())

    def _stamped(self, wall_us: int, mono_us: int) -> Batch:
        self.handed.append(len(self.handed) + 1)
        return Batch(group=COLD, mono_us=mono_us, wall_us=wall_us, values=[float(self.handed[-1]), 60.0], slot_us=mono_us)

    async def _some(self) -> None:
        for _ in range(self.chance.randint(1, 4)):
            await self.intake.inbox.put(self._sample())
            if self.chance.random() < 0.5:
                await self._flushed()
        await self._looked()

    # --- where the step falls ---------------------------------------------------------------------------------------------

    async def _at_boot(self, by_us: int) -> None:
        """Off for a while; then the clock is of 1970, of last year, of next year, or wrong by anything."""
        await self._stop()
        true_us = self.clock.wall_us() - self.clock.error_us
        wrong_us = self.chance.choice((by_us, by_us, 25 * SECOND - true_us, -YEAR_US, YEAR_US))
        self.clock.power_off(self.chance.randint(60, 40_000) * SECOND, wrong_us)
        await self._start()

    async def _mid_sample(self, by_us: int) -> None:
        """Between the reading and its place in the record."""
        before = self._sample()
        self._set(by_us)
        await self.intake.inbox.put(before)
        await self.intake.inbox.put(self._sample())
        await self._flushed()

    async def _torn_sample(self, by_us: int) -> None:
        """Between the reading's monotonic and its wall time."""
        self.clock.advance(10 * SECOND)
        mono_us = self.clock.mono_us()
        self._set(by_us)
        await self.intake.inbox.put(self._stamped(self.clock.wall_us(), mono_us))
        await self._flushed()

    async def _during_drain(self, by_us: int) -> None:
        """A backlog is being delivered."""
        self.gate.open.clear()
        for _ in range(40):
            await self.intake.inbox.put(self._sample())
        await self._flushed()
        self.gate.open.set()
        await asyncio.sleep(0)
        self.steps["(a backlog was left)"] += len(self.gate.taken) < self.journal.committed_seq
        self._set(by_us)
        await self.intake.inbox.put(self._sample())
        await self._flushed()

    async def _there_and_back(self, by_us: int) -> None:
        """Set wrong and right again before anybody looks; one reading is stamped between."""
        if self.clock.error_us:
            self._right_again()
            await self._looked()
        self.clock.set(by_us)
        between = self._stamped(self.clock.wall_us(), self.clock.mono_us())
        self.clock.synchronise()
        await self.intake.inbox.put(between)
        await self._flushed()

    async def _idle(self, by_us: int) -> None:
        """Nothing else happens."""
        self._set(by_us)
        await self._looked()

    def _set(self, by_us: int) -> None:
        self.to_tell.append(by_us)
        self.clock.set(by_us)


async def _never(*_: Any) -> Any:
    raise AssertionError("nothing asks for this here")


# --- what must hold -------------------------------------------------------------------------------------------------------


def faults(life: Life, entries: Sequence[Mapping[str, Any]], taken: Sequence[tuple[str, int, bytes]]) -> Counter[str]:
    """How often each promise is broken."""
    wrong: Counter[str] = Counter()
    numbers = [int(e["values"][0]) for e in entries if e["kind"] == "batch"]
    wrong["lost"] = len(set(life.handed) - set(numbers))
    wrong["doubled"] = len(numbers) - len(set(numbers))
    wrong["reordered"] = sum(a > b for a, b in pairwise(numbers))
    wrong["rule-time-back"] = sum(a["rule_us"] > b["rule_us"] for a, b in pairwise(entries))
    delivered = list(dict.fromkeys((epoch, seq) for epoch, seq, _ in taken))
    wrong["undelivered"] = len(entries) - len(delivered)
    wrong["delivered-out-of-order"] = sum(a[1] > b[1] for a, b in pairwise(delivered))
    for at, entry in enumerate(entries):
        off_us = abs(int(entry["wall_us"]) - life.clock.true_us(entry))
        if entry["trusted"]:
            wrong["unmarked"] += off_us > TOLERATED_US
        else:
            wrong["misplaced"] += _misplaced(life, entries[at:], entry)
    told = Counter(round(e["step_us"] / SECOND) for e in entries if e.get("event") == "clock-stepped")
    wrong["untold"] = _untold(life.to_tell, told)
    wrong["marked-for-nothing"] = sum(not e["trusted"] for e in entries[-3:])
    return +wrong


def _misplaced(life: Life, rest: Sequence[Mapping[str, Any]], entry: Mapping[str, Any]) -> bool:
    """Whether the first correction after it puts an untrusted entry at another time than it had. A boot that ended without one has none."""
    correction = next((e for e in rest if e["kind"] == "correction" and e["boot"] == entry["boot"]), None)
    if correction is None:
        return entry["boot"] == life.clock.boot
    return abs(int(entry["mono_us"]) + correction["offset_us"] - life.clock.true_us(entry)) > TOLERATED_US


def _untold(steps: Sequence[int], told: Counter[str]) -> int:  # type: ignore[type-arg]
    """Steps no event tells of. Two between one look and the next are one step of their sum."""
    left = Counter(told)
    missing = 0
    waiting: list[int] = []
    for step_us in steps:
        waiting.append(round(step_us / SECOND))
        for first in range(len(waiting)):
            total = sum(waiting[first:])
            if left[total] > 0:  # type: ignore[index]
                left[total] -= 1  # type: ignore[index]
                waiting = []
                break
    missing += sum(abs(step) >= 1 for step in waiting)
    return missing


def one(seed: int) -> tuple[Life, list[dict[str, Any]]]:
    """One life and its record."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        life = Life(Path(name) / "state", random.Random(seed))
        with mock.patch("edge_gateway.intake.loop.LOOK_S", 0.002), mock.patch("edge_gateway.intake.pace.URGENT_SPACING_US", 1000):
            asyncio.run(life.live())
        return life, record(life.folder)


def record(folder: Path) -> list[dict[str, Any]]:
    """Every entry of the one epoch, in order."""
    database = sqlite3.connect(f"file:{folder / 'journal.sqlite'}?mode=ro&immutable=1", uri=True)
    entries = [json.loads(line) for path in sorted((folder / "segments").glob("*/*.gz")) for line in read_segment(path)[1]]
    entries += [json.loads(entry) for (entry,) in database.execute("SELECT entry FROM tail WHERE seq >= ? ORDER BY seq", (len(entries),))]
    database.close()
    assert [entry["seq"] for entry in entries] == list(range(len(entries)))
    return entries


def planted(seed: int, life: Life, entries: Sequence[Mapping[str, Any]]) -> dict[str, bool]:
    """Is each fault seen that is built in on purpose?"""
    taken = life.taken
    batches = [at for at, e in enumerate(entries) if e["kind"] == "batch"]
    at = batches[len(batches) // 2]
    swapped = [*entries[:at], entries[batches[len(batches) // 2 + 1]], *entries[at + 1 :]]
    found = {
        "lost": bool(faults(life, [*entries[:at], *entries[at + 1 :]], taken)["lost"]),
        "reordered": bool(faults(life, swapped, taken)["lost"] or faults(life, swapped, taken)["reordered"]),
        "undelivered": bool(faults(life, entries, taken[:-3])["undelivered"]),
        "delivered-out-of-order": bool(faults(life, entries, [*taken[5:], *taken[:5]])["delivered-out-of-order"]),
    }
    with mock.patch.object(ClockWatch, "strange", return_value=False):
        found["stamps-not-looked-at"] = any(faults(*_again(seed + n))["unmarked"] for n in range(3))
    with mock.patch.object(ClockWatch, "vouched", return_value=True):
        found["nothing-marked"] = bool(faults(*_again(seed))["unmarked"])
    with mock.patch.object(Intake, "correct", _uncorrected):
        found["no-correction"] = any(faults(*_again(seed + n))["misplaced"] for n in range(3))
    return found


def _again(seed: int) -> tuple[Life, list[dict[str, Any]], list[tuple[str, int, bytes]]]:
    life, entries = one(seed)
    return life, entries, life.taken


async def _uncorrected(intake: Intake, before_us: int) -> None:
    """In place of the correction."""


def run(n: int, seed: int, budget_s: float = 1e9) -> dict[str, Any]:
    """N steps on the simulated clock."""
    began_s, done, number = time.monotonic(), 0, seed
    kinds, wrong = Counter[str](), Counter[str]()
    entries_seen = marked = 0
    caught: dict[str, bool] = {}
    while done < n and time.monotonic() - began_s < budget_s:
        life, entries = one(number)
        wrong += faults(life, entries, life.taken)
        kinds += life.steps
        entries_seen, marked = entries_seen + len(entries), marked + sum(not e["trusted"] for e in entries)
        caught = caught or planted(number, life, entries)
        done, number = done + STEPS, number + 1
    return {
        "n": done, "seed": seed, "passed": not wrong and all(caught.values()), "simulated": done, "real": 0, "kinds": dict(kinds),
        "entries": entries_seen, "marked": marked, "faults": dict(wrong), "planted": caught, "seconds": round(time.monotonic() - began_s, 1),
    }  # fmt: skip


def main(arguments: list[str]) -> int:
    """One JSON line; exit 1 on any fault."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--budget-s", type=float, default=1e9)
    parser.add_argument("--real", type=int, default=20)
    asked = parser.parse_args(arguments)
    report = run(asked.n, asked.seed, asked.budget_s)
    faketime = clocksteps_real.library()
    if asked.real and faketime is not None:
        real = clocksteps_real.steps(asked.real, asked.seed, faketime, record)
        report |= {"n": report["n"] + asked.real, "real": asked.real, "real_steps": real, "passed": report["passed"] and not real["faults"]}
    elif asked.real:
        print("libfaketime is not installed (Debian: libfaketime): no step on a real process", file=sys.stderr)
    with suppress(OSError):
        results.append("clocksteps", report)
    print(json.dumps({"campaign": "clocksteps"} | report, ensure_ascii=False))
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
