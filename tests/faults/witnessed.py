"""How long an entry waits for its witness: from its commit's instant to the hub's cosignature in the gateway's own record; over HTTP and MQTT.

A whole site (plant, broker, hub, signer, gateway) as people set it up, at a few readings a second, so that checkpoints come by their
rhythm and not by number. Then the hub is away for a while: what was written meanwhile is measured from its return.
``python -m tests.faults.witnessed --seconds 150``; N is the number of entries; the last line is JSON; exit 1 where the 99th of a hundred
waits longer than 60 s. Planted: a gateway without a signer, whose entries nobody witnesses.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_gateway.journal.keeping import cosigned
from edge_gateway.journal.reading import Reading
from edge_gateway.record.note import Key
from tests.faults import results
from tests.faults.harness import Load, Site
from tests.faults.plant import now_us

MOST_S = 60.0
LOAD = Load(units=4, interval_s=1.0, topics=1, publish_s=1.0, signer=True, segment_entries=4096)


@dataclass
class Watch:
    """(when, how far) the record was seen to be witnessed; µs of the monotonic clock."""

    key: Key | None
    folder: Path
    seen: list[tuple[int, int]] = field(default_factory=list)

    def look(self) -> int:
        """How many entries are witnessed now."""
        reading = Reading(self.folder)
        try:
            sizes = [size for epoch, size, note in reading.checkpoints() if cosigned(epoch, note, self.key) == size]
        finally:
            reading.close()
        newest = max(sizes, default=0)
        if newest > (self.seen[-1][1] if self.seen else 0):
            self.seen.append((now_us(), newest))
        return newest

    def until(self, ends_s: float, size: int | None = None) -> bool:
        """Look for a while, or until so many are witnessed."""
        while time.monotonic() < ends_s:
            if self.look() >= (size if size is not None else 1 << 60):
                return True
            time.sleep(0.2)
        return False


def entry_times(folder: Path) -> list[int]:
    """When each entry of the record, one epoch, was made, by seq (µs of the monotonic clock)."""
    reading = Reading(folder)
    try:
        return [int(entry["mono_us"]) for _, entry in reading.entries()]
    finally:
        reading.close()


def waits(times: list[int], seen: list[tuple[int, int]], since_us: int = 0) -> list[float]:
    """Seconds that each witnessed entry waited, from its own time or, if that is later, from ``since_us``."""
    found, at = [], 0
    for when_us, size in seen:
        found += [(when_us - max(made_us, since_us)) / 1e6 for made_us in times[at:size]]
        at = max(at, size)
    return found


def one(folder: Path, via: str, seconds: float, *, signer: bool = True) -> dict[str, Any]:
    """One site: online, and after an outage of the hub."""
    load = LOAD if signer else Load(units=4, interval_s=1.0, topics=1, publish_s=1.0, segment_entries=4096)
    with Site(folder, load) as site:
        site.configure(via)
        site.gateway.start()
        key = Key.parse((folder / "hub.vkey").read_text().strip()) if signer else None
        watch = Watch(key, folder / "state")
        site.await_progress()
        watch.until(time.monotonic() + seconds)
        online = waits(entry_times(folder / "state"), watch.seen)
        site.hub.process.kill()
        watch.until(time.monotonic() + seconds / 5)
        before = site.latest[1]
        site.hub.process.start()
        back_us, witnessed = now_us(), len(watch.seen)
        caught_up = watch.until(time.monotonic() + 2 * MOST_S, before) if signer else False
        times = entry_times(folder / "state")
        first = watch.seen[witnessed - 1][1] if witnessed else 0
        after = waits(times[first:before], [(at, size - first) for at, size in watch.seen[witnessed:]], back_us)
    return {"via": via, "online": online, "after": after, "caught_up": caught_up, "entries": len(times)}


def spread(values: list[float]) -> dict[str, float]:
    """Median, 99th of a hundred, worst."""
    values = sorted(values)
    return {"n": len(values), "median_s": round(values[len(values) // 2], 1), "p99_s": round(values[int(len(values) * 0.99)], 1), "worst_s": round(values[-1], 1)}


def run(seconds: float) -> dict[str, Any]:
    """Both carriers, and the planted fault."""
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="witnessed-") as name:
        runs = []
        for via in ("http", "mqtt"):
            (Path(name) / via).mkdir()
            runs.append(one(Path(name) / via, via, seconds))
        (Path(name) / "unsigned").mkdir()
        unsigned = one(Path(name) / "unsigned", "http", 5.0, signer=False)
    found: dict[str, Any] = {each["via"]: {"online": spread(each["online"]), "after_an_outage": spread(each["after"])} for each in runs}
    in_time = all(part["p99_s"] <= MOST_S for each in found.values() for part in each.values()) and all(each["caught_up"] for each in runs)
    planted = {"unsigned": not unsigned["online"] and unsigned["entries"] > 0}
    return {
        "n": sum(each["entries"] for each in runs), "seed": 0, **found, "planted": planted, "passed": in_time and all(planted.values()),
        "seconds": round(time.monotonic() - began_s, 1),
    }  # fmt: skip


def main(arguments: list[str]) -> int:
    """One JSON line; exit 1 where it takes longer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=150.0)
    report = run(parser.parse_args(arguments).seconds)
    results.append("witnessed", report)
    print(json.dumps({"campaign": "witnessed"} | report))
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
