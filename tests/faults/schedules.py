"""The schedules campaign: seeded sequences of faults on a whole site, and a strict checker of what hub and InfluxDB then hold.

`python -m tests.faults.schedules --n 200 --seed 1`: broker, hub and InfluxDB killed, the hub restored from an old backup, each path cut, half
open, slow, reset, HTTP requests said twice, the gateway's wall clock stepped; two to four a schedule, overlapping as they come. Every
`A_SITE` schedules share one site, at whose end everything is compared: attempted and acknowledged must be more than none, and lost,
duplicated, unexpected, reordered and stale must be none. The last line is JSON; exit 1 on any of them, and when a planted fault is not found.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from tests.faults import results
from tests.faults.harness import Load, Site
from tests.faults.judge import Record, Truth, judge
from tests.faults.outage import stored
from tests.faults.plant import now_us
from tests.faults.stale import STALE_S, Poll, Polls, shown, stale, told_of
from tests.faults.watching_proxy import Heard
from tests.servers.process import ServerProcess, wait_until

A_SITE = 10
#: How long a schedule's faults last, and how long it may take until all is as before (s).
FAULTY_S, HEALED_S = 4.0, 60.0
SERVERS, PATHS = ("hub", "broker", "influxd"), ("hub", "broker", "influxd")
KINDS = (
    *(f"kill {server}" for server in SERVERS), "restore hub", *(f"cut {path}" for path in PATHS), "half-open hub",
    "half-open broker", *(f"delay {path}" for path in PATHS), "reset hub", "reset broker", "reset influxd", "repeat hub",
    "repeat influxd", "step clock",
)  # fmt: skip
STEPS_S = (1, -1, 30, -30, 3600, -3600, 86_400, -86_400)
COUNTED = ("lost", "duplicated", "unexpected", "reordered", "stale")
#: Alarms that say of a restored hub what is so.
OF_A_RESTORE = frozenset({"store-behind"})


@dataclass(frozen=True)
class Fault:
    """What happens, from when on and for how long (s from the schedule's beginning)."""

    kind: str
    at_s: float
    holds_s: float


def schedule(chance: random.Random, *, must: str = "") -> list[Fault]:
    """Two to four faults."""
    kinds = [must] if must else []
    kinds += chance.sample(KINDS, chance.randint(2, 4) - len(kinds))
    return [Fault(kind, chance.uniform(0.0, FAULTY_S / 2), chance.uniform(0.2, FAULTY_S / 2)) for kind in kinds]


@dataclass
class Found:
    """What the checker counts, over all sites."""

    schedules: int = 0
    attempted: int = 0
    acknowledged: int = 0
    lost: int = 0
    duplicated: int = 0
    unexpected: int = 0
    reordered: int = 0
    stale: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    redelivered: int = 0
    alarms: list[str] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        return min(self.attempted, self.acknowledged) > 0 and not any(getattr(self, name) for name in COUNTED)


class Run:
    """Schedules on one site."""

    def __init__(self, site: Site, seed: int, found: Found) -> None:
        self.site = site
        self.found = found
        self.random = random.Random(seed)
        self.via = ("http", "mqtt")[seed % 2]
        self.polls = Polls(_Asked(site))
        assert site.influx is not None
        self._servers: dict[str, ServerProcess] = {"hub": site.hub.process, "broker": site.broker, "influxd": site.influx}
        self._down: set[str] = set()
        self._backup = site.folder / "hub-backup.sqlite"
        self._restored = False
        self.acts: list[tuple[int, str]] = []

    def begin(self) -> None:
        """The site works."""
        self.site.configure(self.via)
        self.site.gateway.start()
        self.site.await_progress()
        self.site.await_receipt()
        self.site.await_messages()
        self.polls.start()

    def one(self, faults: list[Fault]) -> None:
        """A schedule: the faults as they come, then everything is mended and must catch up."""
        if any(fault.kind == "restore hub" for fault in faults):
            self._back_up()
        began = time.monotonic()
        acts: list[tuple[float, str, Callable[[], None]]] = []
        for fault in faults:
            self.found.kinds[fault.kind] += 1
            begin, end = self._acts(fault.kind)
            acts += [(fault.at_s, fault.kind, begin), (fault.at_s + fault.holds_s, f"{fault.kind} ends", end)]
        for at_s, what, act in sorted(acts, key=lambda each: each[0]):
            time.sleep(max(0.0, began + at_s - time.monotonic()))
            self.acts.append((now_us(), what))
            act()
        self.acts.append((now_us(), "mended"))
        self._mend()
        self._catch_up()
        self.found.schedules += 1

    def _acts(self, kind: str) -> tuple[Callable[[], None], Callable[[], None]]:
        what, _, where = kind.partition(" ")
        if self.via == "mqtt" and where == "hub" and what in ("cut", "half-open", "delay", "reset"):
            where = "broker"  # that way goes what the hub is told
        cable = self.site.cables.get(where)
        match what:
            case "kill":
                return lambda: self._kill(where), lambda: self._start(where)
            case "restore":
                return self._restore, lambda: self._start("hub")
            case "step":
                off_us = round(self.random.choice(STEPS_S) * 1e6 * self.random.uniform(0.5, 1.5))
                return lambda: self.site.step_clock(off_us), lambda: self.site.step_clock(0)
        assert cable is not None
        late_s = self.random.uniform(0.1, 0.8)
        begins: dict[str, Callable[[], None]] = {
            "cut": cable.cut,
            "half-open": lambda: cable.cut(self.random.choice(("up", "down"))),
            "delay": lambda: setattr(cable, "late_s", late_s),
            "reset": cable.drop,
            "repeat": lambda: setattr(cable, "repeats", True),
        }
        ends = {"delay": lambda: setattr(cable, "late_s", 0.0), "reset": cable.drop, "repeat": lambda: setattr(cable, "repeats", False)}
        return begins[what], ends.get(what, cable.mend)

    def _kill(self, server: str) -> None:
        if server not in self._down:
            self._servers[server].kill()
            self._down.add(server)

    def _start(self, server: str) -> None:
        if server in self._down:
            began_us = now_us()  # it serves before ``start`` has seen so
            self._servers[server].start()
            self._down.discard(server)
            if server == "hub":
                self.polls.excused.append((began_us, now_us()))

    def _back_up(self) -> None:
        """As a backup of the store is taken beside the running hub; then it goes on for a while."""
        self._backup.unlink(missing_ok=True)
        source = apsw.Connection(str(self.site.folder / "hub" / "hub.sqlite"), flags=apsw.SQLITE_OPEN_READONLY)
        copy = apsw.Connection(str(self._backup))
        with copy.backup("main", source, "main") as backup:
            backup.step()
        copy.close()
        source.close()
        self.site.await_receipt()

    def _restore(self) -> None:
        """The hub ends, and its store is the backup's."""
        self._kill("hub")
        store = self.site.folder / "hub" / "hub.sqlite"
        for path in store.parent.glob("hub.sqlite*"):
            path.unlink()
        store.write_bytes(self._backup.read_bytes())
        self._restored = True
        self.polls.excused.append((now_us(), 1 << 62))  # until it holds again what it gave receipts for

    def _mend(self) -> None:
        for cable in self.site.cables.values():
            cable.mend()
            cable.late_s = 0.0
        for server in list(self._down):
            self._start(server)
        self.site.step_clock(0)

    def _catch_up(self) -> None:
        """What is committed by now comes to the hub in time. Raises TimeoutError."""
        self.site.await_progress()
        owed = dict(self.site.heard.receipts)
        epoch, size = self.site.latest
        owed[epoch] = max(owed.get(epoch, 0), size)

        def there() -> bool:
            sizes = self.site.hub.sizes()
            return all(sizes.get(of, 0) >= most for of, most in owed.items())

        wait_until(there, f"{owed} at the hub", HEALED_S if not self.site.load.planted else 8.0)
        self.polls.excused = [(since, min(until, now_us())) for since, until in self.polls.excused]


class _Asked:
    """The site's hub, as ``stale`` asks it."""

    def __init__(self, site: Site) -> None:
        self._hub = site.hub
        self._path = "/gateways/campaign/points"

    def sizes(self) -> dict[str, int]:
        return self._hub.sizes()

    def points(self) -> dict[str, tuple[str, int]]:
        return shown(json.loads(self._hub.get(self._path))["points"])


@dataclass
class Evidence:
    """Everything that a site leaves to be judged."""

    truth: Truth
    record: Record
    site: Site
    rows: list[dict[str, Any]]
    polls: list[Poll]
    told: list[tuple[int, str, int]]
    acts: list[tuple[int, str]]
    excused: list[tuple[int, int]]

    def judged(self, heard: Heard) -> Found:
        """The checker's word."""
        found = Found()
        verdict = judge(self.truth, self.record, self.site.seen, heard)
        influx = stored(self.rows, self.truth, self.record)
        old, examples = stale(self.polls, self.told, self.record, self.excused)
        found.attempted = sum(map(len, self.truth.replies.values())) + sum(map(len, self.truth.published.values()))
        found.acknowledged = verdict.acknowledged + len(heard.acknowledged)
        found.lost = verdict.lost + verdict.unaccounted + influx.lost
        found.duplicated = verdict.doubled + influx.doubled
        found.unexpected = verdict.altered + influx.altered
        found.reordered = verdict.out_of_order
        found.stale = old
        found.redelivered = verdict.redelivered
        found.examples = [*verdict.examples, *influx.examples, *told_of(examples, self.acts)]
        return found


def spoiled(evidence: Evidence, kind: str) -> Evidence:
    """The same with one fault of this kind in the middle."""
    epoch, lines = max(evidence.record, key=lambda each: len(each[1]))
    lines = list(lines)
    middle = [at for at, line in enumerate(lines) if b'"kind":"batch"' in line and b'"raw"' in line][len(lines) // 4 :][:2]
    first = middle[0]
    polls = list(evidence.polls)
    match kind:
        case "lost":
            del lines[first]
        case "duplicated":
            lines.insert(first, lines[first])
        case "unexpected":
            entry = json.loads(lines[first])
            entry["values"] = [entry["values"][0] + 5_000_000, entry["values"][1]]
            lines[first] = json.dumps(entry).encode()
        case "reordered":
            lines[first], lines[middle[1]] = lines[middle[1]], lines[first]
        case "stale":
            when, of, size = evidence.told[-1]
            polls.append(Poll(when + int(STALE_S * 1e6) + 1, {of: size - 1}, {}))
    record = [(of, lines if of == epoch else kept) for of, kept in evidence.record]
    return Evidence(evidence.truth, record, evidence.site, evidence.rows, polls, evidence.told, evidence.acts, evidence.excused)


def on_one_site(folder: Path, seed: int, n: int, *, ends_s: float, planted: str = "", must: str = "") -> tuple[Found, dict[str, bool]]:
    """``n`` schedules or as many as the time allows; what was found, and which planted faults the checker noticed."""
    found = Found()
    load = Load(units=6, topics=3, publish_s=0.15, influx=True, segment_entries=0, planted=planted)
    with Site(folder, load) as site:
        run = Run(site, seed, found)
        run.begin()
        done = 0
        try:
            while done < n and (not done or time.monotonic() < ends_s):
                run.one(schedule(random.Random(seed * 1000 + done), must=must))
                done += 1
            drained = site.drain(90.0)
        except TimeoutError as late:
            print(late, file=sys.stderr)
            drained = False
        _await_influx(site)
        run.polls.stop()
        evidence = _evidence(site, run)
        judged = evidence.judged(site.heard)
        judged.schedules, judged.kinds = found.schedules, found.kinds
        judged.repeated = sum(cable.repeated for cable in site.cables.values())
        if not drained:
            judged.lost += 1
            judged.examples.append("not drained")
        allowed = {"dark"} | (OF_A_RESTORE if run._restored else frozenset())
        judged.alarms = sorted({alarm["kind"] for alarm in site.hub.alarms()} - allowed)
        judged.unexpected += len(judged.alarms)
        noticed = {} if planted else {kind: getattr(spoiled(evidence, kind).judged(site.heard), kind) > getattr(judged, kind) for kind in COUNTED}
    return judged, noticed


def _await_influx(site: Site) -> None:
    record = site.hub.record()

    def there() -> bool:
        assert site.influx is not None
        return not stored(site.influx.points("campaign", "reading"), Truth.read(site.truth_path), record).lost

    try:
        wait_until(there, "everything in InfluxDB", 60.0)
    except TimeoutError as late:
        print(late, file=sys.stderr)


def _evidence(site: Site, run: Run) -> Evidence:
    assert site.influx is not None
    site.gateway.stop(20.0)
    time.sleep(0.5)
    rows = site.influx.points("campaign", "reading")
    return Evidence(Truth.read(site.truth_path), site.hub.record(), site, rows, run.polls.seen, list(site.heard.told), run.acts, run.polls.excused)


def add(whole: Found, part: Found) -> None:
    """Sums."""
    for name in ("schedules", "attempted", "acknowledged", "repeated", "redelivered", *COUNTED):
        setattr(whole, name, getattr(whole, name) + getattr(part, name))
    whole.kinds += part.kinds
    whole.alarms += part.alarms
    whole.examples = [*whole.examples, *part.examples][:8]


def campaign(folder: Path, *, n: int, seed: int, budget_s: float, a_site: int = A_SITE) -> dict[str, Any]:
    """Run it; the JSON-able counts with `planted` and `passed`."""
    began = time.monotonic()
    whole, planted = Found(), dict.fromkeys(COUNTED, True)
    number = 0
    while whole.schedules < n and (not number or time.monotonic() < began + budget_s):
        place = folder / f"site-{number}"
        part, noticed = on_one_site(place, seed * 100 + number, min(a_site, n - whole.schedules), ends_s=began + budget_s)
        add(whole, part)
        planted = {kind: planted[kind] and noticed[kind] for kind in COUNTED}
        number += 1
        if not part.schedules:
            break
    counts = {name: value for name, value in vars(whole).items() if name != "schedules"} | {"kinds": dict(whole.kinds)}
    return {
        "n": whole.schedules, "seed": seed, "sites": number, **counts, "planted": planted,
        "seconds": round(time.monotonic() - began, 1), "passed": whole.sound and all(planted.values()),
    }  # fmt: skip


def trusts_its_cursor(folder: Path, seed: int) -> bool:
    """A gateway that is built so loses what a restored hub lacks: is it found?"""
    found, _ = on_one_site(folder, seed * 2, 1, ends_s=0.0, planted="cursor", must="restore hub")
    return found.lost > 0


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--budget-s", type=float, default=1200.0)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="schedules-") as name:
        result = campaign(Path(name), n=options.n, seed=options.seed, budget_s=options.budget_s)
        result["planted"]["trusts-its-cursor"] = trusts_its_cursor(Path(name) / "cursor", options.seed)
        result["passed"] = result["passed"] and result["planted"]["trusts-its-cursor"]
    results.append("schedules", result)
    print(json.dumps(result))
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
