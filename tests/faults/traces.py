"""Labelled traces of every kind of rule: the engine, killed and restarted at random, against the reference that looks back over all of it.

A trace is one rule's course at its points: readings around limits and delays, unknown ones, silence, power cuts, late ticks.
Its label is what the reference (``tests/rules/reference.py``, written from docs/reference/rules.md) says of it: each violation with
its time, first reading, peak and minutes. Found is a violation of the label that the engine told exactly so; anything that it told
beyond the label is false. ``python -m tests.faults.traces --n 10000 --seed 1 [--other PYTHON]``: at least a tenth of N of each kind;
then the same once more without restarts, and on another Python. The last line is JSON; exit 1 on any difference.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any
from unittest import mock

from edge_gateway.rules.base import BoundRule, Step
from edge_gateway.rules.engine import Engine
from edge_gateway.rules.track import Track
from tests.faults import results
from tests.rules.reference_standing import standing
from tests.rules.test_conditions import conjunctions
from tests.rules.test_courses import cycles
from tests.rules.test_standing import drive, seen
from tests.rules.traces import course, expected, rules, through_json, told

KINDS = ("limit", "guarded", "rate", "stale", "flat", "spread", "window", "exposure", "descent", "sequence", "combined", "marked")
#: Steps that say that an excursion was longer than its delay: told, or counted while a mark, a phase or another standing held.
WAS_BROKEN = ("violated", "would-have-fired")
#: Steps by which a rule says that it is broken, or about to be.
BEGIN = ("notice", *WAS_BROKEN)
Outcome = list[tuple[Any, ...]]


def kind_of(rule: BoundRule) -> str:
    """The kind that a trace counts for: a limit with a guard band or an excuse is one of its own here."""
    return "guarded" if rule.kind == "limit" and (rule.terms or rule.others) else rule.kind


def traces(seed: int, restarts: bool) -> Iterator[tuple[str, Outcome, Outcome]]:
    """(kind, the engine's steps, the label) of each rule of one random site, of a cycle, a combination, and a limit under marks and phases."""
    chance = random.Random(seed)
    made = rules(chance)
    calls, _ = course(chance, Engine(made))
    engine, steps = Engine(made), list[Step]()
    for call in calls:
        if restarts and chance.random() < 0.1:
            engine = through_json(engine, made)
        steps += call.make(engine)
    for rule in made:
        yield kind_of(rule), [astuple(each) for each in told(steps, rule)], [astuple(each) for each in expected(rule, calls)]
    ours, theirs = cycles(seed)
    yield "sequence", [(at, step, value) for step, at, value in ours], [(at, step, value) for step, at, value in theirs]
    both, wanted = conjunctions(seed)
    yield "combined", [astuple(each) for each in both], [astuple(each) for each in wanted]
    rule, events, marked = drive(random.Random(seed), Engine)
    yield "marked", [astuple(each) for each in seen(marked)], [astuple(each) for each in standing(rule, events)]


def look(n: int, seed: int, *, restarts: bool = True) -> dict[str, Any]:
    """Traces from ``seed`` on, until there are N in all and a tenth of N of each kind; how they compare, and the hash of all outcomes."""
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    digest, number, examples = hashlib.sha256(), seed, list[str]()
    while sum(c["traces"] for c in counts.values()) < n or min(c["traces"] for c in counts.values()) < n // 10:
        for kind, ours, label in traces(number, restarts):
            count, told_, right = counts[kind], Counter(ours), Counter(label)
            count["traces"] += 1
            count["violations"] += sum(1 for each in label if each[1] in WAS_BROKEN)
            count["found"] += sum(1 for each in (told_ & right).elements() if each[1] in WAS_BROKEN)
            count["false"] += sum(1 for each in (told_ - right).elements() if each[1] in BEGIN)
            count["quiet"] += not label
            count["different"] += ours != label
            if ours != label and len(examples) < 5:
                examples.append(f"seed {number}, {kind}: {ours} instead of {label}")
            digest.update(repr((kind, ours)).encode())
        number += 1
    return {
        "traces": sum(c["traces"] for c in counts.values()), "seeds": number - seed, "sha256": digest.hexdigest(), "examples": examples,
        "kinds": {kind: dict(count) for kind, count in counts.items()},
    }  # fmt: skip


def faultless(found: dict[str, Any]) -> bool:
    """Every violation found as it was, none false, no other step different; and there was something to find in every kind."""
    return all(
        c.get("violations", 0) == c.get("found", 0) > 0 and not c.get("false") and not c.get("different") for c in found["kinds"].values()
    )


def planted(seed: int) -> dict[str, bool]:
    """Engines that are wrong: is it seen?"""
    within = Track._within

    def clears_in_the_dead_band(self: Track, value: float, rule_us: int, wall_us: int) -> Step | None:
        self.clear_low, self.clear_high = self.low, self.high
        return within(self, value, rule_us, wall_us)

    def unknown_clears(self: Track, rule_us: int, wall_us: int) -> None:
        self.reset()

    def forgets(self: Track) -> None:
        return None

    wrong: dict[str, tuple[str, Callable[..., Any]]] = {
        "dead-band-clears": ("_within", clears_in_the_dead_band),
        "unknown-clears": ("unknown", unknown_clears),
        "restart-forgets": ("state", forgets),
    }
    caught = {}
    for name, (method, fault) in wrong.items():
        with mock.patch.object(Track, method, fault):
            try:
                caught[name] = not faultless(look(500, seed))
            except AssertionError:  # the reference saw a step that cannot be
                caught[name] = True
    return caught


def elsewhere(python: str, n: int, seed: int) -> dict[str, str]:
    """The same traces under another Python: its version, and its hash of all outcomes."""
    command = [python, "-m", "tests.faults.traces", "--n", str(n), "--seed", str(seed), "--only-hash"]
    told_ = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).resolve().parents[2]).stdout
    said: dict[str, str] = json.loads(told_.splitlines()[-1])
    return said


def run(n: int, seed: int, other: str = "") -> dict[str, Any]:
    """The campaign: everything once, once more without restarts, and elsewhere."""
    began_s = time.monotonic()
    found = look(n, seed)
    again = look(n, seed, restarts=False)
    there = elsewhere(other, n, seed) if other else None
    caught = planted(seed)
    same = found["sha256"] == again["sha256"] and (there is None or there["sha256"] == found["sha256"])
    return {
        "n": found["traces"], "seed": seed, "seeds": found["seeds"], "kinds": found["kinds"], "sha256": found["sha256"], "same_again": again["sha256"] == found["sha256"],
        "elsewhere": there, "examples": found["examples"], "planted": caught, "passed": faultless(found) and same and all(caught.values()),
        "seconds": round(time.monotonic() - began_s, 1),
    }  # fmt: skip


def main(arguments: list[str]) -> int:
    """One JSON line; exit 1 on any difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--other", default="", help="another Python with the project's requirements")
    parser.add_argument("--only-hash", action="store_true")
    asked = parser.parse_args(arguments)
    if asked.only_hash:
        print(json.dumps({"python": sys.version.split()[0], "sha256": look(asked.n, asked.seed)["sha256"]}))
        return 0
    report = run(asked.n, asked.seed, asked.other)
    results.append("traces", report)
    print(json.dumps({"campaign": "traces"} | report))
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
