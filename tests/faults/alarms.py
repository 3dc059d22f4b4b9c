"""Alarm quality: what people are told over site-days of ordinary life, of noise at a limit, of a power failure, of true excursions.

A site of eight rooms with 32 temperature probes, defrost signals and door contacts is simulated (air that follows doors, defrosts, and failures; sterilisers that are
heated up in the morning and switched off after work, with the phases of the day begun by a person; probes with their own offset and noise) and judged by the shipped packs through the real intake and journal in virtual time.
Counted are the notices and violations that are begun, or come back from under their cause, per day; chatter is three of one rule at one point within a minute. An excursion is
true where the probe's own air, without noise, stays beyond the limit for longer than the rule's delay: each must be a violation.
``python -m tests.faults.alarms --n 30 --seed 1``; the last line is JSON, exit 1 where a goal is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

from edge_gateway.config.load import load
from edge_gateway.config.resolve import setup
from edge_gateway.intake.loop import Intake
from edge_gateway.intake.phasing import next_phase
from edge_gateway.intake.recovery import open_run, recover
from edge_gateway.intake.ruletime import resume
from edge_gateway.phases import Signer
from edge_gateway.reading import Batch, GapClosed, GapOpened, Group
from edge_gateway.rules.track import Track
from edge_gateway.telemetry import silent
from tests.faults import results
from tests.faults.slots_site import Clock, Journal, _LoopTime
from tests.servers.sim_bus import in_virtual_time

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
EVERY_S = 60
DAY_S = 86_400
#: The goals of reliability.md A1 to A4 as the issue words them.
A_QUIET_DAY, AFTER_POWER, CHATTER = 5, 10, 0
PACKS = ("cold-chain", "offal-cooling", "plant-rooms", "instrument-health")
#: room -> (zone kind, stage, the air it is set to)
ROOMS = {
    "f1": ("frozen-store", "storage", -20.6), "f2": ("frozen-store", "storage", -21.5), "f3": ("frozen-store", "storage", -20.2),
    "c1": ("chilled-store", "storage", 2.0), "c2": ("chilled-store", "storage", 1.6), "s1": ("steriliser", "washing", 84.5),
    "p1": ("pre-cooling", "storage", 1.5), "k1": ("cutting-room", "washing", 9.0),
}  # fmt: skip
#: What a rule calls its limit, per kind of room: the truth's own, written from the packs' text.
LIMITS = {"frozen-store": (-1e9, -18.0), "chilled-store": (0.0, 4.0), "cutting-room": (-1e9, 12.0), "pre-cooling": (-1e9, 3.0), "steriliser": (-1e9, 1e9)}
#: Longer than any delay of those rules, and so far beyond that noise does not matter.
SURE_S, SURE = 1_500, 0.4
#: When the day's phases begin: before start, production, closing.
PHASES_S = (0, 7 * 3600, 17 * 3600)
PROBES = tuple(f"{room}-{number}" for room in ROOMS for number in range(1, 5))
PROFILE = """id = "house/room"
vendor = "House"
model = "Room"
name_zh = "室"
name_en = "Room"
verified = "no"
[[sources]]
cite = "the campaign's own simulated rooms"
verified = "no"
[modbus]
""" + "".join(
    f'[channels.t{number}]\nfunction = 3\nregister = {number}\ntype = "int16"\nscale = "0.1"\nquantity = "temperature"\nunit = "Cel"\n'
    for number in range(1, 5)
) + "".join(f'[channels.{name}]\nfunction = 3\nregister = {at}\nquantity = "{name}"\nunit = "1"\n' for at, name in ((5, "defrost"), (6, "door")))


def config_text() -> str:
    """The site's configuration."""
    text = f"""[site]
id = "tlf-007"
origin = "example.org/xj"
name_zh = "站"
name_en = "Site"
timezone = "Asia/Shanghai"
[rules]
packs = {json.dumps(PACKS)}
[buses.hall]
kind = "tcp"
host = "127.0.0.1"
"""
    for unit, (room, (kind, stage, _)) in enumerate(ROOMS.items(), 1):
        text += f'[zones.{room}]\nstage = "{stage}"\nkind = "{kind}"\n'
        text += f'[devices.{room}]\nbus = "hall"\nunit = {unit}\nprofile = "house/room"\ninterval_s = {EVERY_S}\n'
        for point, channel in points_of(room):
            text += f'[points.{point}]\ndevice = "{room}"\nchannel = "{channel}"\nzone = "{room}"\n'
    return text


def points_of(room: str) -> list[tuple[str, str]]:
    """(point, channel) of a room: only cold stores have a defrost signal and a door contact."""
    probes = [(f"{room}-{number}", f"t{number}") for number in range(1, 5)]
    return probes + ([(f"{room}-defrost", "defrost"), (f"{room}-door", "door")] if room[0] in "fc" else [])


# --- the rooms ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Room:
    """The air of one room, minute by minute; °C."""

    name: str
    chance: random.Random
    offsets: list[float]
    warm: float = 0.0  # of a steriliser: below its set point; else by doors, defrosts, loading; it goes away by itself
    failed: float = 0.0  # by a compressor that stands
    door_until_s: float = 0.0
    defrost_until_s: float = 0.0
    fails: tuple[float, float] = (0.0, 0.0)
    edge: tuple[float, float] = (0.0, 0.0)

    def minute(self, now_s: float, powered: bool) -> float:
        """The air after another minute."""
        frozen, hour = self.name[0] == "f", now_s % DAY_S / 3600
        if self.name == "s1":  # heated from six o'clock on, switched off after work
            self.warm += 1.7 if 6 <= hour < 17.25 and powered else -0.4
            self.warm = min(max(self.warm, -64.0), 0.0)
            return ROOMS[self.name][2] + self.warm
        if self.name[0] in "fc":
            if now_s % (6 * 3600) < EVERY_S and powered:
                self.defrost_until_s = now_s + self.chance.uniform(900, 1500)
            if 6 <= hour < 18 and self.chance.random() < 1 / 25:
                self.door_until_s = now_s + self.chance.choice([60, 60, 60, 120, 180])
        self.warm += (0.25 if frozen else 0.1) * (now_s < self.defrost_until_s) + 0.35 * (now_s < self.door_until_s)
        self.warm *= math.exp(-EVERY_S / 420)
        if self.fails[0] <= now_s < self.fails[1] or not powered:
            self.failed += 0.09 if powered else 0.02
        else:
            self.failed *= math.exp(-EVERY_S / 900)
        air = ROOMS[self.name][2] + 0.3 * math.sin(2 * math.pi * hour / 24) + self.warm + self.failed
        if self.edge[0] <= now_s < self.edge[1]:  # badly set: the air stands at the limit itself
            return LIMITS[ROOMS[self.name][0]][1]
        return air


@dataclass(slots=True)
class Truth:
    """What really was: per probe the stretch beyond its limit that goes on, and all that were surely too long."""

    since_s: dict[str, float] = field(default_factory=dict)
    excursions: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))

    def note(self, probe: str, kind: str, air: float, now_s: float, excused: bool) -> None:
        """A minute of one probe's own air."""
        low, high = LIMITS[kind]
        beyond = (air > high + SURE or air < low - SURE) and not excused
        if beyond:
            self.since_s.setdefault(probe, now_s)
        elif (since_s := self.since_s.pop(probe, None)) is not None and now_s - since_s > SURE_S:
            self.excursions[probe].append((since_s, now_s))


@dataclass(slots=True)
class Day:
    """One simulated day: ``power`` fails or not, ``fails``: a compressor does, ``edge``: a room at its limit."""

    seed: int
    power: tuple[float, float] = (0.0, 0.0)
    fails: bool = False
    edge: bool = False
    truth: Truth = field(default_factory=Truth)

    @property
    def quiet(self) -> bool:
        """Nothing happens that anybody need be told of: doors, defrosts, a start-up."""
        return not self.fails and not self.edge and self.power[1] == 0.0


def day_of(seed: int) -> Day:
    """Of four days one has a power failure, one a compressor that stands, one a room at its limit; one is ordinary."""
    chance = random.Random(seed)
    kind = seed % 4
    begins_s = chance.uniform(7, 15) * 3600
    power = (begins_s, begins_s + chance.uniform(1200, 5400)) if kind == 1 else (0.0, 0.0)
    return Day(seed, power, fails=kind == 2, edge=kind == 3)


class Site:
    """A day of the site under the real intake."""

    def __init__(self, folder: Path, day: Day, until_s: int = DAY_S) -> None:
        self.until_s = until_s
        self.folder, self.day, self.chance = folder, day, random.Random(day.seed)
        self.clock = Clock(round(datetime(2026, 11, 2, 16, tzinfo=UTC).timestamp() * 1e6) - 1_000_000_000)  # midnight in Beijing
        self.rooms = {name: Room(name, self.chance, [self.chance.gauss(0, 0.15) for _ in range(4)]) for name in ROOMS}
        self.groups = {
            room: Group(id=f"{room}.0", device=room, points=tuple(point for point, _ in points_of(room)), interval_us=EVERY_S * 1_000_000)
            for room in ROOMS
        }
        self.rooms["s1"].warm = -64.0
        (folder / "drivers" / "house").mkdir(parents=True)
        (folder / "drivers" / "house" / "room.toml").write_text(PROFILE)
        (folder / "gateway.toml").write_text(config_text())

    async def live(self) -> None:
        """From midnight on."""
        clock = self.clock
        self.journal = journal = Journal(self.folder / "state", clock)
        found = await recover(journal, journal.recovery, "tlf-007")  # type: ignore[arg-type]
        rule_time, carried = resume(found.last, mono_us=clock.mono_us(), wall_us=clock.wall_us(), boot=clock.boot, trusted=True, base_us=found.base_us)
        self.intake = Intake(journal=journal, state=found.state, rule_time=rule_time, clock=clock, commit_every_us=5_000_000, tell=silent)  # type: ignore[arg-type]
        loaded = load(self.folder / "gateway.toml", None, running=False)
        made = setup(loaded, {group.id: group for group in self.groups.values()}, "1")
        await open_run(self.intake, found, made, clock, carried=carried, damaged="")
        taking = asyncio.create_task(self.intake.run())
        if self.day.fails:
            begins_s = self.chance.uniform(1, 16) * 3600
            self.rooms[self.chance.choice(list(ROOMS))].fails = begins_s, begins_s + self.chance.uniform(3600, 3 * 3600)
        if self.day.edge:
            begins_s = self.chance.uniform(1, 16) * 3600
            self.rooms[self.chance.choice(["f1", "f3", "c2"])].edge = begins_s, begins_s + 4 * 3600
        for minute in range(self.until_s // EVERY_S):
            if minute * EVERY_S in PHASES_S:
                await next_phase(self.intake, Signer(name="王强", proven=False, reason="as every day"))
            self._minute(minute * EVERY_S)
            await asyncio.sleep(EVERY_S)
        self.intake.inbox.close()
        await taking
        journal.core.close()

    def _minute(self, now_s: float) -> None:
        off_s, on_s = self.day.power
        powered = not off_s <= now_s < on_s
        dark = on_s > 0 and off_s + 3 * EVERY_S <= now_s < on_s
        for name, room in self.rooms.items():
            air = room.minute(now_s, powered)
            kind = ROOMS[name][0]
            excused = kind == "frozen-store" and now_s < room.defrost_until_s
            for number, offset in enumerate(room.offsets, 1):
                self.day.truth.note(f"{name}-{number}", kind, air + offset, now_s, excused or not powered)
            if dark:
                if now_s - EVERY_S < off_s + 3 * EVERY_S:
                    self._gap(name, opened=True)
                continue
            if on_s and now_s - EVERY_S < on_s <= now_s:
                self._gap(name, opened=False)
            self.intake.inbox.put_last([self._batch(name, room, air, now_s, powered)])

    def _batch(self, name: str, room: Room, air: float, now_s: float, powered: bool) -> Batch:
        group = self.groups[name]
        values: list[Any] = [round(air + offset + self.chance.gauss(0, 0.07), 1) for offset in room.offsets]
        if len(group.points) > 4:
            values += [int(now_s < room.defrost_until_s), int(now_s < room.door_until_s)]
        quality = None if powered else ["bad:no-answer"] * len(values)
        if not powered:
            values = [None] * len(values)
        mono_us = self.clock.mono_us()
        return Batch(group=group, mono_us=mono_us, wall_us=self.clock.wall_us(), values=values, quality=quality, slot_us=mono_us)

    def _gap(self, name: str, *, opened: bool) -> None:
        mono_us, id_ = self.clock.mono_us(), f"{name}.0/dark"
        if opened:
            self.intake.inbox.put_last([GapOpened(id=id_, groups=(f"{name}.0",), reason="unreachable", since_slot_us=mono_us, detail="no answer")])
        else:
            self.intake.inbox.put_last([GapClosed(id=id_, until_slot_us=mono_us, slots=1)])


# --- what people were told ----------------------------------------------------------------------------------------------


def entries_of(folder: Path) -> list[dict[str, Any]]:
    """The record at rest, by the reader that imports nothing of ours."""
    from tests.faults.slots import read

    return [entry for _, entry in read(folder / "state")[0]]


def judged(day: Day, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts of one day."""
    steps = [e for e in entries if e["kind"] == "violation"]
    begun = [e for e in steps if _begins(steps, e)]
    first_us = int(entries[0]["mono_us"])
    at_s = {id(e): (int(e["mono_us"]) - first_us) / 1e6 for e in steps}
    told: dict[tuple[str, str], list[float]] = defaultdict(list)
    for e in begun:
        told[e["rule"], e["point"]].append(at_s[id(e)])
    chatter = sum(1 for times in told.values() for a, b in zip(times, times[2:], strict=False) if b - a <= 60)
    after_power = [e for e in begun if day.power[1] and 0 <= at_s[id(e)] - day.power[0] <= 600]
    missed = []
    for probe, stretches in day.truth.excursions.items():
        its = [(at_s[id(e)], e["rule"], e["step"]) for e in steps if e["point"] == probe]
        missed += [f"seed {day.seed}: {probe} from {a:.0f} s to {b:.0f} s" for a, b in stretches if not _stands(its, a, b + EVERY_S)]
    return {
        "begun": len(begun), "rules": Counter(e["rule"] for e in begun), "chatter": chatter, "after_power": len(after_power),
        "excursions": sum(map(len, day.truth.excursions.values())), "missed": missed,
    }  # fmt: skip


def _stands(steps: list[tuple[float, str, str]], since_s: float, until_s: float) -> bool:
    """Whether a violation was open in this stretch: begun in it, or before it and not recovered (a defrost cuts the truth's stretches, not a violation)."""
    open_: set[str] = set()
    for at_s, rule, step in steps:
        if at_s > until_s:
            break
        if step == "violated":
            open_.add(rule)
            if at_s >= since_s:
                return True
        elif step == "recovered" and at_s < since_s:
            open_.discard(rule)
    return bool(open_)


def _begins(steps: list[dict[str, Any]], e: dict[str, Any]) -> bool:
    """Whether an entry tells people of something new. What goes on as part of another is not told; when it comes back, it is."""
    if e.get("handling") == "merged":
        return False
    return e["step"] in ("notice", "unmerged") or (e["step"] == "violated" and (e.get("before") == "merged" or not _noticed(steps, e)))


def _noticed(steps: list[dict[str, Any]], violated: dict[str, Any]) -> bool:
    return any(e["violation"] == violated["violation"] and e["step"] == "notice" for e in steps)


def run_day(seed: int, until_s: int = DAY_S) -> tuple[Day, dict[str, Any]]:
    """One day of one site, and what was told."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        folder, day = Path(name), day_of(seed)
        with mock.patch("edge_gateway.intake.loop.time", _LoopTime):
            in_virtual_time(_lived(folder, day, until_s))
        return day, judged(day, entries_of(folder))


async def _lived(folder: Path, day: Day, until_s: int) -> None:
    await Site(folder, day, until_s).live()


def planted(seed: int) -> dict[str, bool]:
    """Rules that are wrong: do the figures show it?"""

    def deaf(self: Track, value: float, rule_us: int, wall_us: int) -> None:
        return None

    def hasty(self: Track, value: float, rule_us: int, wall_us: int) -> Any:
        self.notice_after_us = 0
        self.clear_low, self.clear_high = self.low, self.high
        return known(self, value, rule_us, wall_us)

    known = Track.known
    failing, edgy = seed + (2 - seed) % 4, seed + (3 - seed) % 4
    with mock.patch.object(Track, "known", deaf):
        silent_rules = bool(run_day(failing)[1]["missed"])
    with mock.patch.object(Track, "known", hasty):
        nervous = run_day(edgy)[1]["begun"] > A_QUIET_DAY
    return {"rules-that-say-nothing": silent_rules, "no-delay-and-no-hysteresis": nervous}


def run(n: int, seed: int, budget_s: float = 1e9) -> dict[str, Any]:
    """N site-days."""
    began_s = time.monotonic()
    days: list[tuple[Day, dict[str, Any]]] = []
    while len(days) < n and time.monotonic() - began_s < budget_s:
        days.append(run_day(seed + len(days)))
    quiet = [found["begun"] for day, found in days if day.quiet]
    edge = [found["begun"] for day, found in days if day.edge]
    after = [found["after_power"] for day, found in days if day.power[1]]
    missed = [each for _, found in days for each in found["missed"]]
    chatter = sum(found["chatter"] for _, found in days)
    rules = sum((found["rules"] for _, found in days), Counter())
    caught = planted(seed)
    goals = max(quiet, default=0) <= A_QUIET_DAY and max(after, default=0) <= AFTER_POWER and chatter <= CHATTER and not missed
    return {
        "n": len(days), "seed": seed, "probes": len(PROBES), "quiet_days": len(quiet), "notices_a_quiet_day": quiet, "notices_with_a_store_at_its_limit": edge, "notices_after_power": after,
        "chatter": chatter, "excursions": sum(found["excursions"] for _, found in days), "missed": missed[:10], "rules": dict(rules),
        "planted": caught, "passed": goals and all(caught.values()), "seconds": round(time.monotonic() - began_s, 1),
    }  # fmt: skip


def main(arguments: list[str]) -> int:
    """One JSON line; exit 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--budget-s", type=float, default=1e9)
    asked = parser.parse_args(arguments)
    report = run(asked.n, asked.seed, asked.budget_s)
    results.append("alarms", report)
    print(json.dumps({"campaign": "alarms"} | report))
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
