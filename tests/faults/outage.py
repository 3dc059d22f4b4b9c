"""The outage campaign: hub, broker and InfluxDB away, each and all together, also with kill -9 of the gateway inside; nothing is lost.

`python -m tests.faults.outage --n 60 --seed 1`: each outage lasts `--n` seconds. Away is SIGKILL, or for hub and InfluxDB sometimes SIGSTOP
(connections stand, nothing answers). Hub and InfluxDB are read back and compared with the plant's truth log. The last line
is JSON; exit 1 on any difference.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.faults import results
from tests.faults.harness import DATABASE, Load, Site
from tests.faults.judge import Record, Truth
from tests.servers.process import ServerProcess, wait_until

PARTS = ("hub", "broker", "influxd")
#: What is away, and whether the gateway is killed meanwhile.
Outage = tuple[Sequence[str], bool]
LONG: tuple[Outage, ...] = tuple((parts, kill) for kill in (False, True) for parts in (*[(p,) for p in PARTS], PARTS))
SHORT: tuple[Outage, ...] = ((("hub",), False), (("broker",), True), (("influxd",), False), (PARTS, True))


@dataclass
class Stored:
    """What InfluxDB holds against the truth."""

    readings: int = 0
    lost: int = 0
    altered: int = 0
    doubled: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        return self.readings > 0 and not (self.lost or self.altered or self.doubled)


class Campaign:
    """One run on one site."""

    def __init__(self, site: Site, seconds: float, seed: int) -> None:
        assert site.influx is not None
        self.site = site
        self.seconds = seconds
        self.random = random.Random(seed)
        self.via = "http"
        self.told: list[dict[str, Any]] = []
        self._servers: dict[str, ServerProcess] = {
            "hub": site.hub.process, "broker": site.broker, "influxd": site.influx,
        }  # fmt: skip

    def run(self, outages: Sequence[Outage]) -> bool:
        """All outages and the drain; whether it drained."""
        self.site.configure(self.via)
        self.site.gateway.start()
        self.recovered()
        for parts, kill in outages:
            self.outage(parts, kill)
            self.recovered()
        return self.site.drain(120.0)

    def recovered(self) -> None:
        """Everything works again."""
        began = time.monotonic()
        self.site.await_progress()
        self.site.await_receipt(60.0)
        self.site.await_messages(90.0)
        if self.told:
            self.told[-1]["recovered_s"] = round(time.monotonic() - began, 1)

    def outage(self, parts: Sequence[str], kill: bool) -> None:
        """Away, for as long as asked, and back."""
        paused = [part for part in parts if part != "broker" and self.random.random() < 0.3]
        for part in parts:
            server = self._servers[part]
            server.pause() if part in paused else server.kill()
        began = time.monotonic()
        if kill:
            time.sleep(self.random.uniform(0.2, 0.8) * self.seconds)
            self.site.kill_gateway()
            self.via = "mqtt" if self.via == "http" else "http"
            self.site.configure(self.via)
            self.site.gateway.start()
        self.site.await_progress()  # the gateway goes on by itself
        time.sleep(max(0.0, self.seconds - (time.monotonic() - began)))
        for part in parts:
            server = self._servers[part]
            server.resume() if part in paused else server.start()
        self.told.append({"away": list(parts), "stopped": paused, "gateway_killed": kill, "via": self.via})


def stored(rows: Sequence[Mapping[str, Any]], truth: Truth, record: Record) -> Stored:
    """InfluxDB's readings against the truth: none that was never given, no poll twice, and all that the hub's record has.

    The hub's record is held against the truth by ``judge``; a reading that is in neither was under way at a kill.
    """
    given = {f"u{unit}-n": set(replies) for unit, replies in truth.replies.items()}
    given |= {f"t{who}-n": numbers for who, numbers in truth.published.items()}
    held: dict[str, Counter[int]] = {point: Counter() for point in given}
    found = Stored()
    for row in rows:
        if row["point"] in held and row.get("value") is not None:
            held[row["point"]][int(row["value"])] += 1
            found.readings += 1
    owed = _owed(record)
    for point, numbers in held.items():
        missing, invented = owed.get(point, set()) - numbers.keys(), numbers.keys() - given[point]
        twice = [number for number, times in numbers.items() if times > 1 and point.startswith("u")]
        found.lost += len(missing)
        found.altered += len(invented)
        found.doubled += len(twice)
        for what, some in (("missing", missing), ("never given", invented), ("twice", twice)):
            if some and len(found.examples) < 8:
                found.examples.append(f"{point}: {len(some)} {what}, the first is {min(some)}")
    return found


def _owed(record: Record) -> dict[str, set[int]]:
    """By point: the numbers in the hub's record."""
    owed: dict[str, set[int]] = {}
    for _, lines in record:
        for entry in map(json.loads, lines):
            if entry["kind"] == "batch" and entry["values"][0] is not None:
                owed.setdefault(f"{entry['group'].split('.')[0]}-n", set()).add(entry["values"][0])
    return owed


def _stored(site: Site) -> Stored:
    """While the gateway goes on: what the hub has is read first, what the plant gave last, so that nothing is missing for being newer."""
    assert site.influx is not None
    record = site.hub.record()
    return stored(site.influx.points(DATABASE, "reading"), Truth.read(site.truth_path), record)


def campaign(folder: Path, *, seconds: float, seed: int, outages: Sequence[Outage] = LONG) -> dict[str, Any]:
    """Run it; the JSON-able result with `passed`."""
    began = time.monotonic()
    with Site(folder, Load(influx=True, segment_entries=0)) as site:
        run = Campaign(site, seconds, seed)
        drained = run.run(outages)
        try:
            wait_until(lambda: not _stored(site).lost, "everything in InfluxDB", 90.0)
        except TimeoutError as late:
            print(late, file=sys.stderr)
        verdict = site.verdict()
        influx = _stored(site)
        alarms = sorted({alarm["kind"] for alarm in site.hub.alarms()} - {"dark"})
    counts = {name: value for name, value in asdict(verdict).items() if name != "examples"}
    return {
        "campaign": "outage", "n": seconds, "seed": seed, "outages": run.told, **counts, "influx": asdict(influx),
        "pubacks": len(site.heard.acknowledged), "receipts": site.heard.receipts_seen, "alarms": alarms, "drained": drained,
        "seconds": round(time.monotonic() - began, 1), "examples": verdict.examples,
        "passed": verdict.sound and influx.sound and drained and not alarms,
    }  # fmt: skip


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=float, default=60.0, help="seconds of each outage")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--short", action="store_true", help="four outages instead of eight")
    options = parser.parse_args()
    outages = SHORT if options.short else LONG
    with tempfile.TemporaryDirectory(prefix="outage-") as folder:
        result = campaign(Path(folder), seconds=options.n, seed=options.seed, outages=outages)
    results.append("outage", {**result, "n": len(result["outages"]), "outage_s": options.n})
    print(json.dumps(result))
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
