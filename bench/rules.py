"""CPU time of one reading in the rules: idle, busy and mixed batches through the engine, without journal or network.

Run: ``.venv/bin/python bench/rules.py [--json]``. Times are process CPU time, the best of five rounds. Each batch is
one device's 20 points; ``due_us`` is asked after each, as intake does.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from typing import Any

from edge_gateway.rules.base import BoundRule
from edge_gateway.rules.engine import Engine

DEVICES, POINTS, ROUNDS = 50, 20, 300
GOAL_US = 0.3  # an idle rule with a value inside its limits, per reading
GOAL_PER_S = 1_000_000  # evaluations of ``limit`` rules on one core, over batches of 20: also while all 20 points are beyond their limits
RATE_PER_S = 1_000  # readings a second of which the rules' share of a core is told


def rule(kind: str, point: str, **numbers: Any) -> BoundRule:
    return BoundRule(id=kind, pack="b", pack_version="1.0.0", edition="2026-11", kind=kind, point=point, **numbers)


def engine(kinds: tuple[str, ...], groups: list[tuple[str, ...]], delay_us: int) -> Engine:
    numbers: dict[str, dict[str, Any]] = {
        "limit": {"low": "0", "high": "4", "clear_low": "0.3", "clear_high": "3.7", "violation_after_us": delay_us},
        "stale": {"after_us": 60_000_000, "violation_after_us": 1_800_000_000},
        "rate": {"per_s": "0.5", "window_us": 5_000_000},
        "exposure": {"high": "120", "window_us": 86_400_000_000, "semantics": 3, "terms": {"of": "minutes", "step_us": 1_440_000_000, "beyond_high": "4"}},
    }
    return Engine([rule(kind, point, **numbers[kind]) for group in groups for point in group for kind in kinds])


def measure(kinds: tuple[str, ...], rows: list[list[Any]], quality: list[str] | None = None, delay_us: int = 900_000_000) -> float:
    """µs of CPU a reading, the best of five rounds; the values of one batch are the next of ``rows``."""
    groups = [tuple(f"d{device}-p{point}" for point in range(POINTS)) for device in range(DEVICES)]
    judge = engine(kinds, groups, delay_us)
    now_us, best = 0, float("inf")
    for _ in range(5):
        started = time.process_time()
        for row in range(ROUNDS):
            now_us += 10_000_000
            for group in groups:
                judge.judge(now_us, now_us, group, list(rows[row % len(rows)]), quality)
                judge.due_us()
        best = min(best, (time.process_time() - started) / (ROUNDS * DEVICES * POINTS))
    return best * 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    rng = random.Random(1)
    calm = [[round(rng.uniform(0.5, 3.5), 2) for _ in range(POINTS)] for _ in range(97)]
    beyond = [[round(rng.uniform(4.1, 9.0), 2) for _ in range(POINTS)] for _ in range(97)]
    one = [[*row[:-1], other[-1]] for row, other in zip(calm, beyond, strict=True)]
    never_us = 10**12  # the delay runs all the time
    bad = ["good"] * (POINTS - 1) + ["bad:no-answer"]
    figures = {
        "limit, idle": measure(("limit",), calm),
        "limit and silence, idle": measure(("limit", "stale"), calm),
        "limit, silence and rate, idle": measure(("limit", "stale", "rate"), [calm[0]]),
        "limit, silence, rate and exposure, quiet": measure(("limit", "stale", "rate", "exposure"), [calm[0]]),
        "limit and silence, one of 20 readings bad": measure(("limit", "stale"), [[*row[:-1], None] for row in calm], bad),
        "limit, one of 20 in an excursion": measure(("limit",), one),
        "limit, all beyond, delays running": measure(("limit",), beyond, delay_us=never_us),
        "limit, all beyond, all violated": measure(("limit",), beyond),
        "limit and silence, all beyond": measure(("limit", "stale"), beyond),
    }
    beyond_us = max(figures["limit, all beyond, delays running"], figures["limit, all beyond, all violated"])
    per_s = {"quiet": round(1e6 / figures["limit, idle"]), "one_of_20_beyond": round(1e6 / figures["limit, one of 20 in an excursion"]), "all_beyond": round(1e6 / beyond_us)}
    share = figures["limit, silence, rate and exposure, quiet"] * RATE_PER_S / 1e6
    if parser.parse_args().json:
        told = {"us_per_reading": {name: round(figure, 3) for name, figure in figures.items()}}
        print(json.dumps(told | {"limit_evaluations_per_s": per_s, "share_of_a_core_at_1000_readings_per_s": round(share, 6)}))
    else:
        for name, figure in figures.items():
            note = f"goal {GOAL_US} µs" if name.endswith("idle") else ""
            print(f"{name:<45}{figure:8.3f} µs a reading   {note}")
        told = ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in per_s.items())
        print(f"evaluations of limit rules a second on one core, batches of 20: {told}   goal {GOAL_PER_S:,}")
        print(f"{share:.3%} of a core at {RATE_PER_S:,} readings/s, each under a limit, a silence, a rate and an exposure rule")
    return 0 if min(per_s.values()) >= GOAL_PER_S and all(figure < GOAL_US for name, figure in figures.items() if name.endswith("idle")) else 1


if __name__ == "__main__":
    raise SystemExit(main())
