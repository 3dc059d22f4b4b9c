"""The whole gateway under load: rules on, durable journal, InfluxDB and hub on. CPU-seconds per 1,000 readings, and memory.

`python bench/gateway.py --interval 1 --windows 4 --seconds 30`. Prints one JSON line. A window begins and ends at the
same distance from a commit, so that the readings counted are those whose work was done in it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from rig import Plan, Reader, Rig, wait_for

#: Where the timed gateway (``--rules``) writes what its rules took.
RULES = "rules.cpu"


def window(rig: Rig, seconds: float) -> dict[str, float]:
    """CPU and readings of one window: from 0.3 s after a commit, for whole seconds."""
    was = rig.committed()
    wait_for("a commit", lambda: rig.committed() > was, 30.0)
    time.sleep(0.3)
    first, cpu, clock, ruled_s = rig.committed(), rig.cpu_s(), time.monotonic(), _rules_s(rig)
    time.sleep(seconds)
    after, clock, ruled_s = rig.cpu_s(), time.monotonic() - clock, _rules_s(rig) - ruled_s
    readings = (rig.committed() - first) * rig.plan.points
    share = {f"{name}_share": round((after[name] - cpu[name]) / clock, 3) for name in after}
    return {
        "cpu_s_per_1000": (after["gateway"] - cpu["gateway"]) / readings * 1000,
        "readings_per_s": readings / clock,
        "ruled": ruled_s / (after["gateway"] - cpu["gateway"]),
        **share,
    }


def _rules_s(rig: Rig) -> float:
    """CPU-seconds of the rules' engine so far; 0 where nobody times it."""
    return float((rig.folder / RULES).read_text()) if "--rules" in rig.plan.launch else 0.0


def steady(plan: Plan, *, warm_up_s: float, windows: int, seconds: float, page_s: float, rules: bool = False) -> dict[str, Any]:
    """Some windows without a reader of the page, then one with; memory at the end of both."""
    rig = Rig(plan)
    if rules:
        plan.launch = ("--rules", str(rig.folder / RULES))
    with rig:
        rig.running(plan.devices)
        time.sleep(warm_up_s)
        found = [window(rig, seconds) for _ in range(windows)]
        rss_mb, seen = rig.rss_mb(), {}
        if page_s:
            reader = Reader(rig.page_port)
            seen = window(rig, page_s)
            if reader.received == 0:
                raise SystemExit("the page's stream brought nothing")
        status = rig.status()
        cpu = sorted(each["cpu_s_per_1000"] for each in found)
        return {
            "asked_per_s": plan.asked_per_s,
            "readings_per_s": round(statistics.median(each["readings_per_s"] for each in found)),
            "cpu_s_per_1000": [round(each, 5) for each in (statistics.median(cpu), cpu[0], cpu[-1])],
            "rules_share": [round(each, 5) for each in _spread([each["ruled"] for each in found])] if rules else None,
            "windows": windows,
            "seconds": seconds,
            "cpu_share": {name: value for name, value in found[-1].items() if name.endswith("_share")},
            "cpu_s_per_1000_page_open": round(seen["cpu_s_per_1000"], 5) if seen else None,
            "rss_mb": round(rss_mb, 1),
            "rss_mb_page_open": round(rig.rss_mb(), 1) if seen else None,
            "backlog": {name: sink["backlog"] for name, sink in status["sinks"].items()},
            "gaps_open": len(status["gaps"]),
            "segments_sealed": len(list((rig.state / "segments").rglob("*.gz"))),
        }


def _spread(values: list[float]) -> tuple[float, float, float]:
    """Median, least and most."""
    return statistics.median(values), min(values), max(values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=50)
    parser.add_argument("--points", type=int, default=20)
    parser.add_argument("--units", type=int, default=1)
    parser.add_argument("--interval", type=float, default=1.0)
    parser.add_argument("--kind", choices=["float32", "int16"], default="float32")
    parser.add_argument("--influx", type=int, choices=[0, 1, 2], default=1)
    parser.add_argument("--no-hub", dest="hub", action="store_false")
    parser.add_argument("--sign", action="store_true", help="a signer beside it, and the hub cosigns")
    parser.add_argument("--windows", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--warm-up", type=float, default=3.0)
    parser.add_argument("--page", type=float, default=0.0, help="seconds with the page open")
    parser.add_argument("--uvloop", action="store_true")
    parser.add_argument("--rules", action="store_true", help="time the rules' engine too")
    options = parser.parse_args()
    plan = Plan(
        devices=options.devices, points=options.points, units=options.units, interval_s=options.interval,
        kind=options.kind, influx=options.influx, hub=options.hub, sign=options.sign, launch=("--uvloop",) if options.uvloop else (),
    )  # fmt: skip
    found = steady(
        plan, warm_up_s=options.warm_up, windows=options.windows, seconds=options.seconds, page_s=options.page, rules=options.rules
    )
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
