"""From a changed register to a committed violation, and to telemetry at the hub: milliseconds, under 1,000 readings/s.

`python bench/latency.py [--seconds 100]`. Beside 50 units × 20 float32 at 1 s there is a unit whose value changes with
every answer: beyond its limit at every other one, or, in a second run, never: there ordinary commits bring telemetry to
the hub, in the first one the violations' commits take it along. The field notes when it answered; the gateway, in a process of its
own (bench/launch.py), when a commit was told to the sinks and when it had the hub's receipt, which the hub gives once
its own bytes are durable. All on CLOCK_MONOTONIC. The interval of 0.23 s makes polls fall anywhere into the others'
rounds. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from bisect import bisect_right
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from rig import Plan, Rig

CHANGER_S = 0.23


def spread(times_ms: list[float]) -> dict[str, float]:
    """N, median, p99 and the worst."""
    ordered = sorted(times_ms)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return {
        "n": len(ordered),
        "p50": round(ordered[len(ordered) // 2], 1),
        "p99": round(p99, 1),
        "max": round(ordered[-1], 1),
    }


def measure(seconds: float, calm: bool) -> dict[str, Any]:
    """Run, stop, compare the two processes' notes. The first five seconds do not count."""
    plan = Plan(changer_s=CHANGER_S, calm=calm)
    rig = Rig(plan)
    plan.launch = ("--watch", str(rig.folder / "seen.json"))
    with rig:
        rig.running(plan.devices)
        time.sleep(5.0)
        since = time.monotonic_ns()
        time.sleep(seconds)
        rig.stop("gateway")
        rig.stop("field")
        seen = json.loads((rig.folder / "seen.json").read_text())
        answers = json.loads((rig.folder / "answers.json").read_text())
    at = dict(enumerate(answers, 1))  # number -> when the field answered it
    violations = [(told - at[number]) / 1e6 for number, told in seen["violations"] if at[number] > since]
    sizes = [size for _, size in seen["receipts"]]
    hub, committed = [], []
    commits = [first + count for _, first, count in seen["commits"]]
    for number, seq in seen["answers"]:
        if at[number] <= since:
            continue
        committed.append((seen["commits"][bisect_right(commits, seq)][0] - at[number]) / 1e6)
        if (index := bisect_right(sizes, seq)) < len(sizes):
            hub.append((seen["receipts"][index][0] - at[number]) / 1e6)
    found = {"reading_committed_ms": spread(committed), "hub_ms": spread(hub)}
    return found if calm else {"violation_ms": spread(violations), **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=100.0)
    seconds = parser.parse_args().seconds
    print(json.dumps({"violations": measure(seconds, calm=False), "calm": measure(seconds, calm=True)}))


if __name__ == "__main__":
    main()
