"""Kills, power cuts, stops and reloads around a rule's delay: exactly one violation each, with the right start, and the same one after all of them.

The real intake and the real journal (in memory) under a simulated clock. One pattern is one excursion: readings beyond the limit until
after the delay, with one to five interruptions around its beginning and its end; readings that were handed over and not yet durable are
lost with them, as a kill loses them. What must come is worked out from the batches and ticks of the record by a second program here, written from
docs/reference/rules.md section 3 and journal-format.md (rule time), which imports neither engine nor book.
Usage: python -m tests.faults.delays [--n 1000] [--seed 1]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from edge_gateway.intake.recovery import recover
from edge_gateway.journal.base import Recovery
from edge_gateway.reading import Batch, Group
from edge_gateway.rules.base import BoundRule, First
from edge_gateway.rules.engine import Engine
from edge_gateway.rules.track import Track
from edge_gateway.testing import FakeClock
from edge_gateway.violations import HUB, Ask, Violations, Who
from tests.faults import results
from tests.faults.slots import MEMORY
from tests.intake.test_loop import Running, flushed, running, setup_of

S = 1_000_000
HOUR = 3600 * S
LIMIT, WARM, COLD_VALUE = -18.0, -12.0, -22.0
KINDS = ("kill", "kill", "kill-torn", "stop", "power", "power-untrusted", "reload")
Entry = Mapping[str, Any]


class Clock(FakeClock):
    """A clock that a power cut takes: another boot, monotonic time anew."""

    boots = 1

    def power_off(self, for_us: int, *, trust: bool) -> None:
        """Off for a while. Without trust its wall time is wrong, too."""
        self.advance(for_us)
        self.boots += 1
        self.boot = f"b{self.boots:011d}"
        self._mono_us = 7 * S
        if not trust:
            self.step_wall(-for_us - 3 * S)
        self.trust = trust


@dataclass
class Pattern:
    """One excursion and what interrupts it. Times in µs from its first reading beyond the limit."""

    seed: int
    chance: random.Random = field(init=False)
    cuts: list[tuple[int, str, int]] = field(init=False)  # when, kind, for how long
    done: Counter[str] = field(default_factory=Counter)
    acked: bool = False
    states: list[tuple[Any, Any]] = field(default_factory=list)  # after each start: as found, and as the whole record says

    def __post_init__(self) -> None:
        self.chance = chance = random.Random(self.seed)
        self.interval_us = chance.choice((10, 30, 60)) * S
        self.delay_us = chance.choice((5, 10, 15)) * self.interval_us + chance.choice((0, 0, 1, 7)) * S
        self.notice_us = chance.choice((0, 0, self.interval_us))
        self.cuts = sorted(self._cut() for _ in range(chance.randint(1, 5)))
        self.segment = chance.choice((16, 64, 4096))

    def _cut(self) -> tuple[int, str, int]:
        near = self.chance.choice((0, self.delay_us, self.delay_us, self.notice_us))
        at_us = near + round(self.chance.gauss(0, 1.5) * self.interval_us)
        if self.chance.random() < 0.25:
            at_us = self.chance.randint(-2 * self.interval_us, self.delay_us + 4 * self.interval_us)
        length_us = round(10 ** self.chance.uniform(0, 3.3)) * S
        return at_us, self.chance.choice(KINDS), length_us

    @property
    def rule(self) -> BoundRule:
        return BoundRule(
            id="frozen", pack="t", pack_version="1", edition="1", kind="limit", point="air", unit="Cel", high=str(LIMIT), clear_high="-18.5",
            notice_after_us=self.notice_us, violation_after_us=self.delay_us, limit="≤ -18 Cel", fresh_us=3 * self.interval_us, severity="major",
        )  # fmt: skip


class Life:
    """The pattern as it is lived: a gateway that reads, is interrupted, and reads on."""

    def __init__(self, pattern: Pattern, folder: Path) -> None:
        self.pattern, self.folder = pattern, folder
        self.clock = Clock()
        self.group = Group(id="cold.0", device="cold", points=("air",), interval_us=pattern.interval_us)
        groups = {self.group.id: {"device": "cold", "points": ["air"], "interval_us": pattern.interval_us}}
        base = setup_of((pattern.rule,), points={"air": {"unit": "Cel"}}, groups=groups)
        self.setup = type(base)(resolved=base.resolved, groups={self.group.id: self.group}, texts=base.texts, rules=base.rules, software="t")
        self.acked = False

    async def live(self) -> list[dict[str, Any]]:
        """From two readings within the limit to three after the recovery; the whole record."""
        cuts = list(self.pattern.cuts)
        self._passed_us = -2 * self.pattern.interval_us
        over_us = self.pattern.delay_us + 3 * self.pattern.interval_us
        while True:
            async with running(self.folder, self.clock, setup=self.setup, segment_entries=self.pattern.segment, orderly=False) as run:
                self._size = int((run.found.last or {"seq": -1})["seq"]) + 1
                await self._compare(run)
                cut = await self._until(run, cuts[0][0] if cuts else over_us, over_us)
                if cut is None:
                    await self._recover(run)
                    await flushed(run)
                    return await run.all_entries()
                _, kind, length_us = cuts.pop(0)
                await self._interrupt(run, kind)
            self._pass(kind, length_us)

    async def _until(self, run: Running, at_us: int, over_us: int) -> bool | None:
        """Read until the next interruption (True), or until the delay is over in the record (None)."""
        most = 2 * over_us // self.pattern.interval_us  # readings without a pause: the delay is over by any reckoning
        while self._passed_us < at_us or self._passed_us >= over_us:
            if self._passed_us >= over_us and (self._violated(run) or most <= 0):
                return None
            most -= 1
            value = WARM if self._passed_us >= 0 else COLD_VALUE
            await run.intake.inbox.put(self._batch(value))
            if self.pattern.chance.random() < 0.7:
                await flushed(run)
            await self._person(run)
            self.clock.advance(self.pattern.interval_us)
            self._passed_us += self.pattern.interval_us
        return True

    def _violated(self, run: Running) -> bool:
        return any(each["level"] == "violation" for each in run.intake.state.violations.records())

    def _batch(self, value: float) -> Batch:
        mono_us = self.clock.mono_us()
        return Batch(group=self.group, mono_us=mono_us, wall_us=self.clock.wall_us(), values=[value], slot_us=mono_us)

    async def _person(self, run: Running) -> None:
        """Somebody acknowledges it in every other pattern: that survives, too."""
        found = run.intake.state.violations.open()
        if self.acked or self.pattern.seed % 2 or not found or found[0]["level"] != "violation":
            return
        self.acked = self.pattern.acked = True

        async def act() -> object:
            at, stamp = await run.intake.moment()
            ask = Ask("ack", found[0]["violation"], Who("hub", HUB), "seen")
            return await run.intake.add_violations(run.intake.state.violations.take(ask, at), stamp)

        await run.intake.command(act)

    async def _interrupt(self, run: Running, kind: str) -> None:
        """What happens in the last moment: what was handed over may not be durable yet."""
        self.pattern.done[kind] += 1
        if kind == "kill-torn":
            for _ in range(self.pattern.chance.randint(1, 3)):
                await run.intake.inbox.put(self._batch(WARM if self._passed_us >= 0 else COLD_VALUE))
            for _ in range(self.pattern.chance.randint(0, 3)):
                await asyncio.sleep(0)
            return
        await flushed(run)
        if kind == "stop":
            await run.intake.command(lambda: run.intake.add("event", {"event": "stopped"}))
        elif kind == "reload":
            await run.intake.command(lambda: run.intake.apply(self.setup, by="t", reason="reload"))

    def _pass(self, kind: str, length_us: int) -> None:
        if kind.startswith("power"):
            self.clock.power_off(length_us, trust=kind == "power")
            self._passed_us += length_us
        elif kind != "reload":
            length_us = min(length_us, 60 * S)
            self.clock.advance(length_us)
            self._passed_us += length_us
        if not self.clock.trust and self.pattern.chance.random() < 0.5:
            self.clock.trust = True

    async def _compare(self, run: Running) -> None:
        """What a start finds by the newest snapshot is what the whole record says from its first entry on."""
        if run.found.last is None:
            return
        found = _known(run.found.state.snapshot())
        now = [json.dumps(entry, ensure_ascii=False).encode() for entry in (await run.all_entries())[: self._size]]
        whole = await recover(run.journal, Recovery(snapshot=json.loads(now[0]), entries=now[1:]), "tlf-007")
        self.pattern.states.append((found, _known(whole.state.snapshot())))

    async def _recover(self, run: Running) -> None:
        for _ in range(3):
            await run.intake.inbox.put(self._batch(COLD_VALUE))
            await flushed(run)
            self.clock.advance(self.pattern.interval_us)


def _known(state: Mapping[str, Any]) -> list[Any]:
    """What a start must find again."""
    return [state["rules"], state["violations"], state["numbers"], state.get("ended")]


# --- what must come, worked out from the record ---------------------------------------------------------------------------


def rule_times(entries: Sequence[Entry]) -> list[int]:
    """Rule time of each entry by journal-format.md: monotonic within a boot; across boots by the wall difference where both ends are trusted, else 0."""
    times: list[int] = []
    base_us = 0
    for at, entry in enumerate(entries):
        before = entries[at - 1] if at else None
        if before is None:
            base_us = int(entry["rule_us"]) - int(entry["mono_us"])
        elif entry["boot"] != before["boot"]:
            gained_us = int(entry["wall_us"]) - int(before["wall_us"]) if entry["trusted"] and before["trusted"] else 0
            base_us = times[-1] + max(0, gained_us) - int(entry["mono_us"])
        times.append(max(times[-1] if times else 0, base_us + int(entry["mono_us"])))
    return times


def expected(pattern: Pattern, entries: Sequence[Entry]) -> tuple[int | None, First | None]:
    """At which entry the violation must be told (its index), and its start."""
    first: First | None = None
    last_us, offends, spent = 0, False, False
    times = rule_times(entries)
    for at, entry in enumerate(entries):
        rule_us = times[at]
        if entry["kind"] == "batch":
            offends, spent, last_us = entry["values"][0] > LIMIT, False, rule_us
            if not offends:
                first = None
            elif first is None:
                first = First(rule_us=rule_us, wall_us=entry["wall_us"], value=entry["values"][0])
        elif entry["kind"] == "tick":
            spent = spent or rule_us - last_us > 3 * pattern.interval_us
        else:
            continue
        if first is not None and offends and not spent and rule_us - first.rule_us >= pattern.delay_us:
            return at, first
    return None, None


def faults(pattern: Pattern, entries: Sequence[Entry]) -> Counter[str]:
    """How often each promise is broken."""
    wrong: Counter[str] = Counter()
    times = rule_times(entries)
    wrong["rule-time"] = sum(entry["rule_us"] != us for entry, us in zip(entries, times, strict=True) if entry["kind"] in ("batch", "tick"))
    steps = [(at, entry) for at, entry in enumerate(entries) if entry["kind"] == "violation"]
    violated = [(at, entry) for at, entry in steps if entry["step"] == "violated"]
    where, start = expected(pattern, entries)
    wrong["not-one"] = len(violated) != (where is not None)
    if where is None or start is None or not violated:
        return +wrong
    at, entry = violated[0]
    told = entry["first"]
    wrong["wrong-start"] = (told["rule_us"], told["wall_us"], told["value"]) != (start.rule_us, start.wall_us, start.value)
    between = [other for other in entries[where + 1 : at] if other["kind"] in ("batch", "tick")]
    wrong["late"] = at < where or bool(between)
    same = [other for _, other in steps if other["violation"] == entry["violation"]]
    wrong["more-than-one"] = len({other["violation"] for number, other in steps if number >= where} - {entry["violation"]})
    opened = {(other["opened"]["epoch"], other["opened"]["seq"]) for other in same}
    wrong["identity"] = opened != {(entry["opened"]["epoch"], same[0]["seq"])}
    wrong["episodes"] = any(other["episode"] != 1 for other in same)
    wrong["not-recovered"] = same[-1]["condition"] != "recovered"
    wrong["handling"] = same[-1]["handling"] != ("acknowledged" if pattern.acked else "new")
    due = same[-1].get("due", {}).get("correct")
    fits = due is None if not _trusted(entries, same) else due == entry["due"]["correct"] or entry["due"]["correct"] is None
    wrong["deadline"] = not fits
    wrong["state"] = sum(before != after for before, after in pattern.states)
    return +wrong


def _trusted(entries: Sequence[Entry], same: Sequence[Entry]) -> bool:
    """Whether the clock was trusted at any entry of the violation from its beginning on: then its deadlines run."""
    begun = next(each["seq"] for each in same if each["step"] == "violated")
    return any(entry["trusted"] for entry in entries if begun <= entry["seq"] <= same[-1]["seq"] and entry["kind"] in ("violation", "tick"))


def one(seed: int) -> tuple[Pattern, list[dict[str, Any]]]:
    """One pattern and its record."""
    pattern = Pattern(seed)
    with tempfile.TemporaryDirectory(dir=MEMORY) as name, mock.patch("edge_gateway.intake.pace.URGENT_SPACING_US", 1000):
        entries = asyncio.run(Life(pattern, Path(name) / "state").live())
    return pattern, entries


# --- faults that are built in on purpose ------------------------------------------------------------------------------------


def _forgets_start(track: Track, state: dict[str, Any]) -> None:
    _RESTORE(track, state)
    if track.phase:
        track.first = First(rule_us=track.last_us, wall_us=track.first.wall_us, value=track.last_value)


_RESTORE = Track.restore
PLANTED = {
    "the delay begins anew with each start": mock.patch.object(Engine, "restore", return_value=None),
    "the start moves": mock.patch.object(Track, "restore", _forgets_start),
    "steps are not replayed": mock.patch.object(Violations, "replay", return_value=None),
    "nothing open survives a snapshot": mock.patch.object(Violations, "restore", return_value=None),
}


def planted(seed: int, tries: int = 12) -> dict[str, bool]:
    """Is each of them found within a few patterns?"""
    found = {}
    for name, fault in PLANTED.items():
        with fault:
            found[name] = any(_broken(seed + number) for number in range(tries))
    return found


def _broken(seed: int) -> bool:
    pattern, entries = one(seed)
    return bool(faults(pattern, entries))


def run(n: int, seed: int, budget_s: float = 1e9) -> dict[str, Any]:
    """N patterns, and each planted fault."""
    began_s, done = time.monotonic(), 0
    kinds, wrong, seen = Counter[str](), Counter[str](), Counter[str]()
    first_broken: list[int] = []
    while done < n and time.monotonic() - began_s < budget_s:
        pattern, entries = one(seed + done)
        broken = faults(pattern, entries)
        first_broken += [pattern.seed] if broken and len(first_broken) < 5 else []
        wrong += broken
        kinds += pattern.done
        seen["violations"] += sum(each["kind"] == "violation" and each["step"] == "violated" for each in entries)
        seen["entries"] += len(entries)
        done += 1
    caught = planted(seed)
    return {
        "n": done, "seed": seed, "passed": not wrong and all(caught.values()) and seen["violations"] == done, "interruptions": dict(kinds), **seen,
        "faults": dict(wrong), "broken_seeds": first_broken, "planted": caught, "seconds": round(time.monotonic() - began_s, 1),
    }  # fmt: skip


def main(arguments: list[str]) -> int:
    """One JSON line; exit 1 on any fault."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--budget-s", type=float, default=1e9)
    asked = parser.parse_args(arguments)
    report = run(asked.n, asked.seed, asked.budget_s)
    with suppress(OSError):
        results.append("delays", report)
    print(json.dumps({"campaign": "delays"} | report, ensure_ascii=False))
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
