"""Site-days with faults: every expected slot of the record is accounted for, and availability is what the plant's truth log says.

Real sources, scheduler, intake and journal in virtual time (``slots_site``); power loss with a wrong clock at boot, kill, upgrade,
reload, a device moved to another line, clock steps, dead and broken units, a line that is gone, a broker that is away, a silent node, a full journal. Availability
is computed a second time from the plant's log alone: an answer counts if its number is in the record, read by a reader that
imports nothing of ours. Usage: python -m tests.faults.slots [--n 30] [--seed 1] [--days 3]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

from edge_gateway.app.field import Field
from edge_gateway.history.accounts import account
from edge_gateway.journal.reading import Reading
from edge_gateway.record.availability import Availability
from edge_gateway.record.offsets import Correction, corrected
from edge_gateway.record.slots import Accounts
from edge_gateway.sources.modbus_slots import Slots, aligned_after
from tests.faults import results
from tests.faults.slots_site import DRIVERS, UNITS, Clock, Gateway, Given, Plant, Unit, simulated
from tests.fixtures.reader import decode_state_folder
from tests.servers.sim_bus import in_virtual_time

#: How far availability may be from the truth's, and the time expected from a day's.
EXACT = 1e-4
DAY_US = 86_400_000_000
#: Nothing here is about syncs: a folder in memory, where there is one.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
#: Where sites are, and an evening from which the days are simulated; two of them have a day of 23 hours.
SITES = (("Asia/Shanghai", "2026-03-05T18:40:00+08:00"), ("Europe/Berlin", "2026-03-28T12:10:00+01:00"), ("Asia/Urumqi", "2026-11-27T23:05:00+06:00"))
INTERVALS: dict[int, float] = {1: 30.0, 2: 30.0, 3: 20.0, 4: 60.0, 5: 45.0}
POINTS = {unit: (f"n{unit}", f"h{unit}") for unit in UNITS} | {0: ("n0",)}
NODE_EXPECTED_S = 60.0
#: The unit that is moved from one line to the other.
MOVES = 3
Entries = list[tuple[str, dict[str, Any]]]


def config_text(zone: str, intervals: Mapping[int, float], timeout_s: float, lines: Mapping[int, str] = MappingProxyType({})) -> str:
    """The site's configuration."""
    text = f"""[site]
id = "tlf-007"
origin = "example.org/xj"
name_zh = "站"
name_en = "Site"
timezone = "{zone}"
[rules]
packs = []
[zones.hall]
stage = "washing"
kind = "cleaning-line"
[buses.line]
kind = "rtu"
port = "/dev/simulated"
timeout_s = {timeout_s}
[buses.line-b]
kind = "rtu"
port = "/dev/simulated-b"
[buses.broker]
kind = "mqtt"
host = "127.0.0.1"
[devices.node]
bus = "broker"
topic = "plant/node"
profile = "house/node"
expect_every_s = {NODE_EXPECTED_S}
[points.n0]
device = "node"
channel = "number"
zone = "hall"
[derived.both]
kind = "sum"
of = ["n1", "n2"]
zone = "hall"
"""
    for unit, interval_s in intervals.items():
        text += f'[devices.m{unit}]\nbus = "{lines.get(unit, "line")}"\nunit = {unit}\nprofile = "house/meter"\ninterval_s = {interval_s}\n'
        for point, channel in zip(POINTS[unit], ("number", "half"), strict=True):
            text += f'[points.{point}]\ndevice = "m{unit}"\nchannel = "{channel}"\nzone = "hall"\n'
    return text


@dataclass(slots=True)
class Life:
    """What happens to one site, by chance of a seed; and what the truth needs: when which unit was configured at which interval."""

    folder: Path
    seed: int
    days: float
    plant: Plant
    gateway: Gateway
    zone: str
    chance: random.Random
    intervals: dict[int, float] = field(default_factory=lambda: dict(INTERVALS))
    timeout_s: float = 0.5
    #: units that are on another line than ``line``
    lines: dict[int, str] = field(default_factory=lambda: {2: "line-b"})
    #: (true µs, monotonic µs, unit -> interval, how long afterwards new slots may begin): from then on
    configured: list[tuple[int, int, dict[int, float], int]] = field(default_factory=list)
    happened: Counter[str] = field(default_factory=Counter)
    ended_us: int = 0

    def write(self) -> None:
        """The configuration as it is to be from now on."""
        (self.folder / "gateway.toml").write_text(config_text(self.zone, self.intervals, self.timeout_s, self.lines))

    def noted(self, after_us: int = 0) -> None:
        """From ``after_us`` from now on the configuration is in force."""
        clock = self.plant.clock
        self.configured.append((clock.true_us(), clock.mono_us(), dict(self.intervals), after_us))

    async def live(self) -> None:
        """From the first start to the last stop."""
        end_s = asyncio.get_running_loop().time() + self.days * 86_400
        self.write()
        await self.gateway.start("1")
        self.noted()
        tasks = [asyncio.create_task(self.plant.publish())]
        tasks += [asyncio.create_task(self._window(name, end_s)) for name in self._windows()]
        for at_s, event in self._events(end_s):
            await self._until(at_s)
            self.happened[event] += 1
            await getattr(self, event)()
        await self._until(end_s)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await self.gateway.stop()
        self.ended_us = self.plant.clock.true_us()

    def _events(self, end_s: float) -> list[tuple[float, str]]:
        names = ["kill", "power_loss", "upgrade", "reload", "move", "step"] * max(1, round(self.days))
        now_s = asyncio.get_running_loop().time()
        return sorted((self.chance.uniform(now_s + 600, end_s - 7200), name) for name in names)

    def _windows(self) -> list[str]:
        return ["dead", "dead", "broken", "line", "broker", "silent", "full"] * max(1, round(self.days))

    async def _until(self, at_s: float) -> None:
        await asyncio.sleep(max(0.0, at_s - asyncio.get_running_loop().time()))

    async def _window(self, name: str, end_s: float) -> None:
        """A while of something, beside all else."""
        await self._until(self.chance.uniform(asyncio.get_running_loop().time() + 300, end_s - 9000))
        for_s = self.chance.uniform(60, 7200) / {"line": 4, "full": 6}.get(name, 1)
        unit = self.plant.units[self.chance.choice([1, 2, 3, 5])]  # unit 4's interval changes: see availability()
        self.happened[name] += 1
        await self._set(name, unit, True)
        await asyncio.sleep(for_s)
        await self._set(name, unit, False)

    async def _set(self, name: str, unit: Unit, on: bool) -> None:
        plant = self.plant
        match name:
            case "dead":
                unit.dead = on
            case "broken":
                unit.broken = on
            case "line":
                plant.line_gone = on
            case "broker":
                plant.broker.away = on
            case "silent":
                plant.node_dead = on
            case "full":  # what a broker holds back meanwhile is uncertain: the node is silent then
                plant.node_dead = True
                await asyncio.sleep(5.0)
                self.gateway.journal.fill(on)
                await asyncio.sleep(15.0)
                plant.node_dead = on

    # --- what happens to the gateway ------------------------------------------------------------------------------------

    async def kill(self) -> None:
        """SIGKILL, and started again by systemd soon or late."""
        await self.gateway.kill()
        await asyncio.sleep(self.chance.choice([0.5, 3.0, 17.3, 61.0]))
        await self.gateway.start(self.gateway.software)

    async def power_loss(self) -> None:
        """Another boot, whose clock is wrong until somebody says the time."""
        clock = self.plant.clock
        await self.gateway.kill()
        await asyncio.sleep(self.chance.uniform(90, 10_800))
        clock.boot_up(self.chance.randint(5_000_000, 60_000_000))
        wrong_us = self.chance.choice([-clock.true_us() + 25_000_000, -365 * DAY_US, 365 * DAY_US, 0])
        clock.error_us, clock.trust = wrong_us, False
        await self.gateway.start(self.gateway.software)
        await asyncio.sleep(self.chance.uniform(5, 1200))
        clock.error_us, clock.trust = 0, True
        await asyncio.sleep(30.0)

    async def upgrade(self) -> None:
        """Stopped in order, another release, another interval."""
        await self.gateway.stop()
        self.intervals[4] = 40.0 if self.intervals[4] == 60.0 else 60.0
        self.write()
        await asyncio.sleep(self.chance.uniform(4, 40))
        await self.gateway.start(str(int(self.gateway.software) + 1))
        self.noted()

    async def reload(self) -> None:
        """A device goes or comes; another interval; or another bus table."""
        match self.chance.choice(["device", "interval", "bus"]):
            case "device" if 5 in self.intervals:
                del self.intervals[5]
            case "device":
                self.intervals[5] = INTERVALS[5]
            case "interval":
                self.intervals[4] = 40.0 if self.intervals[4] == 60.0 else 60.0
            case "bus":
                self.timeout_s = 0.4 if self.timeout_s == 0.5 else 0.5
        self.write()
        await self.gateway.reload()
        self.noted(1_000_000)
        await asyncio.sleep(120.0)

    async def move(self) -> None:
        """A device goes to the other line, half a second before its slot."""
        every_us = round(self.intervals[MOVES] * 1e6)
        await asyncio.sleep((every_us - (self.plant.clock.mono_us() + 500_000) % every_us) / 1e6)
        self.lines[MOVES] = "line-b" if self.lines.get(MOVES, "line") == "line" else "line"
        self.write()
        await self.gateway.reload()
        self.noted()
        await asyncio.sleep(120.0)

    async def step(self) -> None:
        """Somebody sets the clock; it is right again after a while."""
        clock, boot = self.plant.clock, self.plant.clock.boot
        clock.error_us = round(self.chance.choice([-1, 1]) * 10 ** self.chance.uniform(6.2, 11.5))
        clock.trust = False
        await asyncio.sleep(self.chance.uniform(10, 900))
        if clock.boot == boot:
            clock.error_us, clock.trust = 0, True
        await asyncio.sleep(10.0)


# --- the truth ----------------------------------------------------------------------------------------------------------


def recorded(entries: Entries) -> set[tuple[int, int, int]]:
    """(unit, number, monotonic µs for the node's): every number in the record that has a value, by plain JSON."""
    found = set()
    for _, entry in entries:
        if entry["kind"] == "batch" and not entry["group"].endswith(".derived"):
            unit = 0 if entry["group"].startswith("node") else int(entry["group"][1])
            if entry["values"][0] is not None:
                found.add((unit, int(entry["values"][0]), 0 if unit else int(entry["mono_us"])))
    return found


def availability(life: Life, entries: Entries) -> dict[tuple[str, int], tuple[float, float]]:
    """(point, local day) -> (availability, time expected in s), from the plant's log: who answered when, and what survived."""
    zone, kept = ZoneInfo(life.zone), recorded(entries)
    good: dict[tuple[str, int], float] = defaultdict(float)
    expected: dict[tuple[str, int], float] = defaultdict(float)
    for unit, points in POINTS.items():
        given = [g for g in life.plant.truth if g.unit == unit and (unit, g.number, 0 if unit else g.mono_us) in kept]
        spans = list(_wanted(life, unit, given))
        for since_us, until_us in spans:
            for day, part_us in _days(since_us, until_us, zone):
                for point in points:
                    expected[point, day] += part_us / 1e6
        slots = [(_slot_us(life, each), each) for each in given]
        for (slot_us, each), following in zip(slots, [*(s for s, _ in slots[1:]), life.ended_us], strict=True):
            ends_us = next((until for since, until in spans if since <= slot_us < until), slot_us)
            until_us = min(slot_us + _interval_us(life, each), following, ends_us, *_never_polled(life, each))
            for day, part_us in _days(slot_us, max(until_us, slot_us), zone):
                for point, is_good in zip(points, each.good, strict=True):
                    good[point, day] += part_us / 1e6 if is_good else 0.0
    return {key: (good[key] / seconds, seconds) for key, seconds in expected.items() if seconds > 0}


def _interval_us(life: Life, given: Given) -> int:
    if given.unit == 0:
        return round(NODE_EXPECTED_S * 1e6)
    configured = [c for c in life.configured if c[0] <= given.true_us]
    return round(configured[-1][2].get(given.unit, INTERVALS[given.unit]) * 1e6)


def _never_polled(life: Life, given: Given) -> Iterator[int]:
    """First slots of configurations after an answer that were over before these slots came: from there on nobody knew."""
    for (true_us, mono_us, intervals, after_us), following in pairwise(life.configured):
        if given.unit in intervals and true_us > given.true_us:
            first_us = true_us - mono_us + aligned_after(mono_us + after_us, round(intervals[given.unit] * 1e6))
            if following[0] <= first_us:
                yield first_us


def _slot_us(life: Life, given: Given) -> int:
    """The slot of an answer, in true time: messages have theirs when they come."""
    return given.true_us - (given.mono_us % _interval_us(life, given) if given.unit else 0)


def _wanted(life: Life, unit: int, given: Sequence[Given]) -> Iterator[tuple[int, int]]:
    """True time from a unit's first slot in a configuration until it is configured no more."""
    since_us: int | None = None
    for true_us, mono_us, intervals, after_us in life.configured:
        has = unit == 0 or unit in intervals
        if has and since_us is None:
            interval_us = round(intervals[unit] * 1e6) if unit else 0
            since_us = true_us - mono_us + aligned_after(mono_us + after_us, interval_us) if unit else given[0].true_us
        elif not has and since_us is not None:
            yield since_us, true_us
            since_us = None
    if since_us is not None:
        yield since_us, life.ended_us


def _days(since_us: int, until_us: int, zone: ZoneInfo) -> Iterator[tuple[int, int]]:
    """A stretch of true time by local days."""
    while since_us < until_us:
        local = datetime.fromtimestamp(since_us / 1e6, UTC).astimezone(zone)
        following = datetime.combine(local.date() + timedelta(days=1), datetime.min.time(), zone)
        end_us = min(until_us, round(following.timestamp() * 1e6))
        yield local.date().toordinal(), end_us - since_us
        since_us = end_us


# --- the record ---------------------------------------------------------------------------------------------------------


def accounted(entries: Entries, texts: Mapping[str, bytes], zone: str) -> Availability:
    """The gateway's own accounting over a list of entries."""
    corrections = [
        Correction((0, int(e["seq"])), str(e["boot"]), int(e["offset_us"])) for _, e in entries if e["kind"] == "correction"
    ]

    def offset(_: str, entry: Mapping[str, Any]) -> int:
        known_us = None if entry["trusted"] else corrected(str(entry["boot"]), (0, int(entry["seq"])), corrections)
        return int(entry["wall_us"]) - int(entry["mono_us"]) if known_us is None else known_us

    found = Availability(ZoneInfo(zone))
    accounts = Accounts(found, offset, lambda text: json.loads(texts[text]))
    for epoch, entry in entries:
        accounts.take(epoch, entry)
    accounts.finish()
    return found


def _from_the_middle(entries: Entries, texts: Mapping[str, bytes], zone: str) -> Iterator[tuple[int, str, Any]]:
    """A record whose oldest segments were freed begins with a snapshot: the rest is accounted for all the same."""
    for first in [at for at, (_, entry) in enumerate(entries) if entry["kind"] == "snapshot"][1:]:
        epoch, snapshot = entries[first]
        if "state_text" in snapshot:
            snapshot = snapshot | {"state": json.loads(texts[snapshot["state_text"]])}
        for group, its in accounted([(epoch, snapshot), *entries[first + 1 :]], texts, zone).slots.items():
            if its.unexplained or its.doubled:
                yield first, group, its


def faults(life: Life, found: Availability, truth: Mapping[tuple[str, int], tuple[float, float]]) -> list[str]:
    """What is not as it must be, in words."""
    wrong = [f"{group}: {s.unexplained} unexplained slots" for group, s in found.slots.items() if s.unexplained]
    wrong += [f"{group}: {s.doubled} slots counted twice" for group, s in found.slots.items() if s.doubled]
    days = {(day.point, day.day.toordinal()): day for day in found.days()}
    for key, (share, expected_s) in truth.items():
        day = days.get(key)
        if day is None:
            wrong.append(f"{key}: no such day in the record")
            continue
        if abs(day.availability - share) > EXACT:
            wrong.append(f"{key}: availability {day.availability:.6f}, by the truth {share:.6f}")
        if abs(day.cell.expected_us / 1e6 - expected_s) > EXACT * DAY_US / 1e6:
            wrong.append(f"{key}: expected for {day.cell.expected_us / 1e6:.1f} s, by the truth {expected_s:.1f}")
    return wrong


def read(folder: Path) -> tuple[Entries, dict[str, bytes]]:
    """The record at rest, by the reader that imports nothing of ours."""
    decoded = decode_state_folder(folder)
    entries = [(epoch["epoch"], entry) for epoch in decoded["epochs"] for entry in _entries(epoch)]
    return entries, {path.name: path.read_bytes() for path in (folder / "texts").iterdir()}


def _entries(epoch: Mapping[str, Any]) -> list[dict[str, Any]]:
    told = epoch["entries"]
    found: list[dict[str, Any]] = told["entries"] if isinstance(told, dict) else told
    return found


async def simulate(folder: Path, seed: int, days: float) -> Life:
    """One site's life."""
    chance = random.Random(seed)
    zone, begins = SITES[seed % len(SITES)]
    for name, text in DRIVERS.items():
        (folder / "drivers" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "drivers" / f"{name}.toml").write_text(text)
    clock = Clock(round(datetime.fromisoformat(begins).timestamp() * 1e6) - 1_000_000_000)
    plant = Plant(clock)
    life = Life(folder, seed, days, plant, Gateway(folder, clock), zone, chance)
    with simulated(plant):
        await life.live()
    return life


def run_seed(seed: int, days: float) -> dict[str, Any]:
    """One site, and what was found of it."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        folder = Path(name)
        life = in_virtual_time(simulate(folder, seed, days))
        entries, texts = read(folder / "state")
        reading = Reading(folder / "state")
        try:
            at_rest = account(reading, ZoneInfo(life.zone))  # type: ignore[arg-type]
        finally:
            reading.close()
        truth = availability(life, entries)
        wrong = faults(life, at_rest.availability, truth)
        slots = Counter[str]()
        for each in at_rest.availability.slots.values():
            slots += Counter(good=each.good, bad=each.bad.total(), gaps=each.gaps.total(), unexplained=each.unexplained, doubled=each.doubled)
        wrong += [f"begun at entry {first}: {g} {s}" for first, g, s in _from_the_middle(entries, texts, life.zone)]
        if at_rest.untrusted:
            wrong.append(f"{at_rest.untrusted} entries whose time was never learned")
        return {
            "faults": wrong, "slots": dict(slots), "happened": dict(life.happened), "point_days": len(truth),
            "planted": planted(life, entries, texts, truth), "entries": at_rest.entries,
        }  # fmt: skip


# --- planted faults -----------------------------------------------------------------------------------------------------


def planted(life: Life, entries: Entries, texts: Mapping[str, bytes], truth: Any) -> dict[str, bool]:
    """A record that was right, spoiled: is it found?"""
    # One slot may be of an interval that a reload made longer just before it: nobody expects that any more.
    gap = next(e["gap"] for _, e in entries if e["kind"] == "gap" and e["state"] == "closed" and e["slots"] > 1 and "/" in e["gap"])
    # A power loss lasts longer than any interval; a stop without a slot in it may be missing from the record unseen.
    stop = next(e["gap"] for _, e in entries if e["kind"] == "gap" and e["state"] == "open" and e["reason"] == "power-off")
    dropped = [(epoch, e) for epoch, e in entries if e["kind"] != "gap" or e["gap"] != gap]
    unstopped = [(epoch, e) for epoch, e in entries if e["kind"] != "gap" or e["gap"] != stop]
    places = [at for at, (_, e) in enumerate(entries) if e["kind"] == "batch" and e["group"] == "m1.0"]
    at = places[len(places) // 2]
    twice = [*entries[: at + 1], *entries[at:]]
    missing = entries[:at] + entries[at + 1 :]
    bad = [(epoch, {k: v for k, v in e.items() if k != "quality"} if e["kind"] == "batch" else e) for epoch, e in entries]
    spoiled = {"gap-dropped": dropped, "stop-dropped": unstopped, "slot-twice": twice, "slot-missing": missing, "bad-as-good": bad}
    return {name: bool(faults(life, accounted(its, texts, life.zone), truth)) for name, its in spoiled.items()}


def silent_source(folder: Path) -> bool:
    """A scheduler that skips slots and says nothing of it: six hours of it are found."""
    with mock.patch.object(Slots, "skipped", lambda slots, reason, until_us, id_, detail="": _moved(slots, until_us)):
        life = in_virtual_time(simulate(folder, 7, 0.5))
    return _some_unexplained(life, folder)


def buses_that_go_on(folder: Path) -> bool:
    """Buses that go on though a device moves between them: its slot at the move is nobody's."""
    with mock.patch.object(Field, "_moved", return_value=set()), mock.patch.object(Life, "_windows", return_value=[]):
        life = in_virtual_time(simulate(folder, 7, 0.25))
    return _some_unexplained(life, folder)


def _some_unexplained(life: Life, folder: Path) -> bool:
    entries, texts = read(folder / "state")
    return any(s.unexplained for s in accounted(entries, texts, life.zone).slots.values())


def _moved(slots: Slots, until_us: int) -> list[Any]:
    behind_us = until_us - slots.due_us
    if behind_us > 0:
        slots.due_us += -(-behind_us // slots.group.interval_us) * slots.group.interval_us
    return []


def run(n: float, seed: int, days: float, budget_s: float = 1e9) -> dict[str, Any]:
    """N site-days in lives of ``days`` each."""
    began_s, done, number = time.monotonic(), 0.0, seed
    found: list[str] = []
    slots, happened = Counter[str](), Counter[str]()
    caught: dict[str, bool] = {}
    point_days = entries = 0
    while done < n and time.monotonic() - began_s < budget_s:
        its = min(days, n - done)
        one = run_seed(number, its)
        found += [f"seed {number}: {fault}" for fault in one["faults"]]
        slots += Counter(one["slots"])
        happened += Counter(one["happened"])
        point_days, entries = point_days + one["point_days"], entries + one["entries"]
        caught = {name: caught.get(name, True) and was for name, was in one["planted"].items()}
        done, number = done + its, number + 1
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        caught["silent-source"] = silent_source(Path(name))
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        caught["buses-go-on"] = buses_that_go_on(Path(name))
    passed = not found and all(caught.values())
    return {
        "n": round(done, 2), "seed": seed, "days_a_site": days, "passed": passed, "point_days": point_days, "entries": entries, "slots": dict(slots),
        "unexplained": slots["unexplained"], "doubled": slots["doubled"], "happened": dict(happened), "faults": found[:20],
        "planted": caught, "seconds": round(time.monotonic() - began_s, 1),
    }  # fmt: skip


def main(arguments: list[str]) -> int:
    """One JSON line; exit 1 on any fault."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=float, default=3.0)
    parser.add_argument("--budget-s", type=float, default=1e9)
    asked = parser.parse_args(arguments)
    report = run(asked.n, asked.seed, asked.days, asked.budget_s)
    with suppress(OSError):
        results.append("slots", report)
    print(json.dumps({"campaign": "slots"} | report, ensure_ascii=False))
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
