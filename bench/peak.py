"""The highest rate that the gateway takes on one core with nothing lost: 50 connections, 20 float32 a request.

`python bench/peak.py [--seconds 60]`. A rate counts when every slot of the time measured has its batch, all good, and
both sinks had everything within 120 s after it. Faster rates are tried until one fails. Who was at its end is told by
the shares of their cores that gateway and load (field, receiver, hub) used. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import orjson

sys.path.insert(0, str(Path(__file__).resolve().parent))

from rig import Plan, Rig, wait_for

from edge_gateway.journal.base import Position
from edge_gateway.journal.reading import Reading

#: Intervals (seconds) of 250 units on 50 connections, slowest first: 100,000 to 200,000 readings/s.
INTERVALS_S = (0.05, 0.045, 0.04, 0.036, 0.032, 0.028, 0.025)
SINKS_S = 120.0
#: A core that is used less than this was not what ended it.
FULL = 0.9


def accounted(state: Path, first: int, end: int, interval_us: int) -> dict[str, int]:
    """What the journal says of entries ``first`` … ``end - 1``: batches, slots without one, readings that are not good."""
    reading = Reading(state)
    epoch, seq = reading.epochs()[-1].epoch, first
    slots: defaultdict[str, list[int]] = defaultdict(list)
    kinds: Counter[str] = Counter()
    bad = 0
    while seq < end:
        entries = reading.read(Position(epoch, seq), max_entries=4096, max_bytes=1 << 24, end=end)
        seq += len(entries)
        for data in entries:
            entry = orjson.loads(data)
            kinds[entry["kind"]] += 1
            if entry["kind"] == "batch":
                slots[entry["group"]].append(entry["slot_us"])
                bad += sum(quality != "good" for quality in entry.get("quality", ()))
    reading.close()
    missing = sum((times[-1] - times[0]) // interval_us + 1 - len(times) for times in slots.values())
    return {"batches": kinds["batch"], "groups": len(slots), "missing": missing, "gaps": kinds["gap"], "bad": bad}


def attempt(interval_s: float, seconds: float) -> dict[str, Any]:
    """One rate for some seconds; then the field is stopped and the sinks are waited for."""
    plan = Plan(units=5, interval_s=interval_s, every_s=0.1)
    with Rig(plan) as rig:
        rig.running(plan.devices)
        time.sleep(5.0)
        first, cpu, clock = rig.committed(), rig.cpu_s(), time.monotonic()
        time.sleep(seconds)
        end, after, clock = rig.committed(), rig.cpu_s(), time.monotonic() - clock
        rig.stop("field")

        def served() -> bool:
            cursors = rig.status()["journal"]["cursors"]
            return all(name in cursors and cursors[name]["seq"] >= end for name in ("influx", "hub"))

        sinks_s = wait_for("the sinks' end", served, SINKS_S + 60)
        rejected = sum(sink["rejected"] for sink in rig.status()["sinks"].values())
        rss_mb = rig.rss_mb()
        rig.stop("gateway")
        found = accounted(rig.state, first, end, round(interval_s * 1e6))
        share = {name: round((after[name] - cpu[name]) / clock, 2) for name in after}
        taken = found["batches"] * plan.points / clock
        ok = (
            not (found["missing"] or found["bad"] or rejected)
            and sinks_s <= SINKS_S
            and taken > 0.99 * plan.asked_per_s
        )
        return {
            "asked_per_s": round(plan.asked_per_s), "taken_per_s": round(taken), "ok": ok, "seconds": round(clock, 1),
            "sinks_s": round(sinks_s, 1), "rejected": rejected, "share": share, "rss_mb": round(rss_mb), **found,
        }  # fmt: skip


def search(seconds: float) -> dict[str, Any]:
    """Ever faster until a rate fails twice; who was nearest to the end of its core then."""
    tries: list[dict[str, Any]] = []
    for interval_s in INTERVALS_S:
        for _ in range(2):
            tries.append(attempt(interval_s, seconds))
            print(json.dumps(tries[-1]), file=sys.stderr, flush=True)
            if tries[-1]["ok"]:
                break
        else:
            break
    good = [each for each in tries if each["ok"]]
    share = tries[-1]["share"]
    load = sum(value for name, value in share.items() if name != "gateway")
    who = "the gateway's core" if share["gateway"] >= load else "the load's core"
    if max(share["gateway"], load) < FULL:
        who = "neither core (polls were late: a slot is missed when it is a whole interval late)"
    return {"best": good[-1] if good else None, "saturated": who, "tries": tries}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    print(json.dumps(search(parser.parse_args().seconds)))


if __name__ == "__main__":
    main()
