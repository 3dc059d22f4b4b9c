"""A gateway's year in virtual time over the hub's real watch and store: jitter, reconnects, back-fill, restarts of the hub, its stalls.

The gateway journals a tick every 15 s, commits within 5 s, and delivers over one lane with the waits of the real back-off. What befalls it is
a renewal process from a seed, some forty faults a week. A declaration is false if nothing within that silence lasted ``EXCUSED_S``; every
silence of ``DARK_S`` must be declared in time and once, also where keep-alives go on and where the hub restarts meanwhile.
"""

from __future__ import annotations

import math
import random
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

from edge_gateway.backoff import Backoff
from regulator_hub.store import ingest
from regulator_hub.store.reader import Reader, alarms
from regulator_hub.store.writer import Writer
from regulator_hub.watch import Watch

YEAR_S = 365 * 86_400.0
DARK_S, TICK_S, COMMIT_S = 90.0, 15.0, 5.0
#: A fault of at least this length makes a declaration right: with a tick's age and a reconnect it is a silence of 90 s.
EXCUSED_S = 45.0
#: Time from one fault's end to the next's beginning (mean, s).
QUIET_S = 4 * 3600.0
TIMEOUT_S = 10.0
LOST_ANSWERS = 0.001
GATEWAY, EPOCH = "g", "0123456789abcdef"
#: Kind → (weight, shortest, longest). ``hung``: nothing is journaled, and keep-alives go on.
FAULTS = {
    "cut": (2000, 1.0, 44.0), "hub": (52, 3.0, 30.0), "stall": (24, 6.0, 300.0), "gateway": (24, 5.0, 40.0),
    "long-cut": (24, 120.0, 21_600.0), "hung": (24, 95.0, 3600.0),
}  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """From when to when (s) what did not work; ``restarts``: the hub restarts in the middle of it."""

    kind: str
    begins_s: float
    ends_s: float
    restarts: bool


class KeepAliveCounted(Watch):
    """Planted: whatever comes is a sign of life."""

    def seen(self, gateway: str, epoch: str, seq: int) -> None:
        self._newest.pop((gateway, epoch), None)
        super().seen(gateway, epoch, seq)


class RestartForgets(Watch):
    """Planted: a hub that starts takes everybody for heard."""

    async def load(self) -> None:
        await super().load()
        for gateway in self.dark:
            self._heard_s[gateway] = self._mono_s()


@dataclass
class Year:
    """What happened."""

    faults: Counter[str] = field(default_factory=Counter)
    ticks: int = 0
    declared: int = 0
    false_alarms: int = 0
    missed: int = 0
    late: int = 0
    twice: int = 0
    worst_s: float = 0.0

    @property
    def sound(self) -> bool:
        return self.declared > 0 and self.false_alarms <= 1 and not (self.missed or self.late or self.twice)


def faults(chance: random.Random, until_s: float) -> Iterator[Fault]:
    """One after the other; lengths are spread evenly over their logarithm."""
    kinds, weights = list(FAULTS), [weight for weight, _, _ in FAULTS.values()]
    at_s = 0.0
    while (at_s := at_s + chance.expovariate(1 / QUIET_S) + 120.0) < until_s:
        kind = chance.choices(kinds, weights)[0]
        _, shortest, longest = FAULTS[kind]
        ends_s = at_s + shortest * math.exp(chance.random() * math.log(longest / shortest))
        yield Fault(kind, at_s, ends_s, restarts=kind in ("long-cut", "hung") and chance.random() < 0.5)
        at_s = ends_s


class Lane:
    """When the gateway's messages arrive at the hub, and how far the record then reaches."""

    def __init__(self, chance: random.Random, known: list[Fault]) -> None:
        self._chance = chance
        self._known = known
        self._begins = [fault.begins_s for fault in known]

    def during(self, at_s: float) -> Fault | None:
        """What does not work then."""
        at = bisect_right(self._begins, at_s) - 1
        return self._known[at] if at >= 0 and at_s < self._known[at].ends_s else None

    def durable(self, until_s: float) -> Iterator[float]:
        """When each tick becomes durable."""
        at_s = 0.0
        while (at_s := at_s + TICK_S + self._chance.random() * 0.5) < until_s:
            fault = self.during(at_s)
            if fault is not None and fault.kind in ("gateway", "hung"):
                at_s = fault.ends_s
            yield at_s + self._chance.random() * COMMIT_S

    def arrivals(self, until_s: float) -> Iterator[tuple[float, int]]:
        """(when, seq), in order of sending; repeats of the newest are keep-alives or what is sent again."""
        backoff = Backoff(first_s=0.5, most_s=30.0, apart=True)
        free_s = 0.0
        for seq, durable_s in enumerate(self.durable(until_s)):
            at_s = max(durable_s, free_s)
            while True:
                fault = self.during(at_s)
                stopped = fault is not None and fault.kind in ("cut", "long-cut", "hub", "stall")
                lost = self._chance.random() < LOST_ANSWERS
                if not stopped:
                    yield at_s + min(10.0, self._chance.lognormvariate(-1.2, 1.0)), seq
                if not stopped and not lost:
                    break
                at_s += (TIMEOUT_S if fault is None or fault.kind != "hub" else 0.1) + backoff.next_s()
            backoff.reset()
            free_s = at_s + 0.05
            if fault is None and self._chance.random() < 0.01:
                yield at_s + 1.0, max(0, seq - self._chance.randrange(500))  # back-fill: old numbers on the ordered lane
        for fault in self._known:
            for beat in range(int((fault.ends_s - fault.begins_s) / TIMEOUT_S) if fault.kind == "hung" else 0):
                yield fault.begins_s + (beat + 0.5) * TIMEOUT_S, 0  # a keep-alive


class _Hub:
    """The watch over its store, restarted at will; ``now_s`` is its clock."""

    def __init__(self, folder: Path, made: type[Watch]) -> None:
        self.now_s = 0.0
        self.newest = -1
        self._path = folder / "hub.sqlite"
        self._made = made
        self.writer = Writer(self._path)
        self.reader = Reader(self._path)
        self.watch = self._new()

    def _new(self) -> Watch:
        wall_us, mono_s = lambda: round(self.now_s * 1e6), lambda: self.now_s
        return self._made(self.reader, self.writer, dark_after_s=DARK_S, wall_us=wall_us, mono_s=mono_s)

    async def restart(self) -> None:
        """What was received is in its store, and nothing else is left."""
        size = (self.newest + 1,)
        await self.writer.run(lambda db: db.execute("UPDATE epochs SET size=?", size).get)
        self.watch = self._new()
        await self.watch.load()

    async def close(self) -> None:
        await self.reader.close()
        await self.writer.close()


def _events(lane: Lane, known: list[Fault], until_s: float) -> Iterator[tuple[float, str, float]]:
    """(when, what, how much), in order of time."""
    heap: list[tuple[float, str, float]] = []
    for fault in known:
        if fault.kind == "hub":
            heappush(heap, (fault.begins_s, "down", 0.0))
            heappush(heap, (fault.ends_s, "up", 0.0))
        elif fault.kind == "stall":
            heappush(heap, (fault.begins_s, "down", 0.0))
            heappush(heap, (fault.ends_s, "stalled", fault.ends_s - fault.begins_s))
        elif fault.restarts:
            heappush(heap, (fault.begins_s + (fault.ends_s - fault.begins_s) * 0.9, "up", 0.0))
    for at_s, seq in lane.arrivals(until_s):
        heappush(heap, (at_s, "seen", seq))
    while heap:
        yield heappop(heap)


async def lived(folder: Path, *, seed: int, years: float, made: type[Watch] = Watch) -> Year:
    """The year over one kind of watch."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(seed)
    random.seed(seed)  # the back-off's own jitter
    until_s = years * YEAR_S
    known = list(faults(chance, until_s - 7200.0))
    lane, hub, found = Lane(chance, known), _Hub(folder, made), Year()
    found.faults.update(fault.kind for fault in known)
    up = True
    declared_s: list[float] = []
    await hub.writer.run(lambda db: ingest.met(db, GATEWAY, [(EPOCH, 0)], 0))
    await hub.restart()
    for at_s, what, amount in _events(lane, known, until_s):
        while up and (due_s := hub.watch.due_s()) < at_s:
            hub.now_s = max(hub.now_s, due_s + chance.uniform(0.001, 0.5))
            last_us = hub.watch.last_us(GATEWAY)
            await hub.watch.look()
            silent_s = hub.now_s - last_us / 1e6
            declared_s.append(hub.now_s)
            found.declared += 1
            window = [f for f in known if f.begins_s < hub.now_s and f.ends_s > last_us / 1e6]
            found.false_alarms += not any(f.ends_s - f.begins_s >= EXCUSED_S for f in window)
            away = any(f.kind in ("hub", "stall") for f in window)
            found.late += silent_s > DARK_S and not away
            found.worst_s = max(found.worst_s, 0.0 if away else round(silent_s, 2))
        hub.now_s = max(hub.now_s, at_s)
        if what == "seen" and up:
            found.ticks += 1
            hub.newest = max(hub.newest, int(amount))
            hub.watch.seen(GATEWAY, EPOCH, int(amount))
            if hub.watch.dark:
                await hub.watch.look()
        elif what == "down":
            up = False
        elif what == "up":
            up = True
            await hub.restart()
        elif what == "stalled":
            up = True
            hub.watch.paused(amount)
    long = [f for f in known if f.kind in ("long-cut", "hung")]
    for fault in long:
        times = sum(fault.begins_s < at_s < fault.ends_s + DARK_S for at_s in declared_s)
        found.missed += times == 0
        found.twice += times > 1
    rows = await hub.reader.run(lambda db: [each for each in alarms(db) if each["kind"] == ingest.DARK])
    assert len(rows) == min(500, len(declared_s)), "each declaration is one alarm"
    await hub.close()
    return found


async def year(folder: Path, *, seed: int, years: float) -> dict[str, Any]:
    """The run and its planted faults; JSON-able, with `passed` and `planted`."""
    began = time.monotonic()
    found = await lived(folder / "sound", seed=seed, years=years)
    planted = {
        f"year-{name}": not (await lived(folder / name, seed=seed, years=min(years, 0.1), made=made)).sound
        for name, made in (("keep-alive-counted", KeepAliveCounted), ("restart-forgets", RestartForgets))
    }
    return {
        "gateway_years": years, **vars(found), "faults": dict(found.faults), "planted": planted,
        "seconds": round(time.monotonic() - began, 1), "passed": found.sound,
    }  # fmt: skip
