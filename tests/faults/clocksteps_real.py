"""The part of ``clocksteps`` on real processes: `edge-gateway run` under libfaketime, its wall clock set to and fro while it polls and while it is down.

libfaketime moves wall time alone (``FAKETIME_DONT_FAKE_MONOTONIC``) and leaves the kernel's word on synchronisation as it is: what is
judged here is that each step is on record within a second and in its size (longer where the record itself shows that the machine was
too busy to poll meanwhile), that nothing is reordered, and that no slot is unexplained. Marks are judged on the simulated clock.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any, Self
from unittest import mock

from tests.cli.site import Gateway, Plant, config_text

_PLACES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib/faketime/libfaketimeMT.so.1", "/usr/local/lib/faketime/libfaketimeMT.so.1")
#: A step of a running gateway's clock is on record within this (s).
TOLD_S = 1.0


def library() -> Path | None:
    """libfaketime for programs with threads: $LIBFAKETIME, or where Debian has it; None where it is not installed."""
    if named := os.environ.get("LIBFAKETIME"):
        return Path(named)
    return next((path for place in _PLACES for path in sorted(Path("/").glob(place[1:]))), None)


def boottime_us() -> int:
    """The clock of an entry's ``mono_us``."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


class Faked(Gateway):
    """A gateway whose wall clock is off by what a file says."""

    def __init__(self, folder: Path, text: str, faketime: Path) -> None:
        super().__init__(folder, text)
        self._file = folder / "faketime"
        self._environment = {
            "LD_PRELOAD": str(faketime), "FAKETIME_TIMESTAMP_FILE": str(self._file), "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }  # fmt: skip
        self.off_s = 0
        self.set(0)

    def set(self, off_s: int) -> int:
        """How far wall time is off from now on (s); returns the step."""
        step_s, self.off_s = off_s - self.off_s, off_s
        new = self._file.with_suffix(".new")
        new.write_text(f"{off_s:+d}\n")
        new.rename(self._file)
        return step_s

    def start(self) -> Self:
        """As ever, under the library."""
        with mock.patch.dict(os.environ, self._environment):
            return super().start()


def steps(n: int, seed: int, faketime: Path, record: Any) -> dict[str, Any]:
    """``n`` steps of one gateway's life; ``record`` reads its entries. ``faults`` by kind, the slowest telling in seconds."""
    chance = random.Random(seed)
    made: list[tuple[int, int]] = []  # step (s), when (monotonic µs)
    kinds: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name, Plant() as plant:
        gateway = Faked(Path(name), config_text(plant.port), faketime).start()
        try:
            for _ in range(n):
                off_s = round(chance.choice((-1, 1)) * 10 ** chance.uniform(0.31, 8.49))
                time.sleep(chance.uniform(0.8, 1.6))
                if chance.random() < 0.2:
                    kinds["at-boot"] += 1
                    gateway.stop()
                    gateway.set(off_s)
                    gateway.start()
                else:
                    kinds["running"] += 1
                    at_us = boottime_us()
                    made.append((gateway.set(off_s), at_us))
            time.sleep(1.5)
        finally:
            gateway.stop()
        gaps = json.loads(gateway.verb("journal", "gaps", "--json").stdout)
        entries = record(gateway.state)
    return {"kinds": dict(kinds), "told_s_most": 0.0, "faults": {}} | _judged(made, entries, gaps)


def _judged(made: list[tuple[int, int]], entries: list[dict[str, Any]], gaps: dict[str, Any]) -> dict[str, Any]:
    told = [(e["step_us"], e["mono_us"]) for e in entries if e.get("event") == "clock-stepped"]
    stalls = [e["mono_us"] for e in entries if e.get("reason") == "busy"]
    slowest_s, wrong = 0.0, Counter[str]()
    waiting: list[tuple[int, int]] = []
    for step_s, at_us in made:
        waiting.append((step_s, at_us))
        mono_us = _told_of(waiting, told)
        if mono_us is None:
            continue
        stalled = any(waiting[0][1] <= stall_us <= mono_us + 100_000 for stall_us in stalls)
        slowest_s = max(slowest_s, 0.0 if stalled else (mono_us - waiting[0][1]) / 1e6)
        wrong["late"] += not stalled and mono_us - waiting[0][1] > TOLD_S * 1e6
        waiting = []
    wrong["untold"] = len(waiting)
    batches: dict[str, list[int]] = {}
    for entry in entries:
        if entry["kind"] == "batch":
            batches.setdefault(entry["group"], []).append(entry["slot_us"])
    wrong["reordered"] = sum(a >= b for slots in batches.values() for a, b in pairwise(slots))
    wrong["rule-time-back"] = sum(a["rule_us"] > b["rule_us"] for a, b in pairwise(entries))
    wrong["unexplained"] = sum(g["unexplained"] + g["doubled"] for g in gaps["groups"].values())
    readings = sum(map(len, batches.values()))
    wrong["nothing-read"] = readings == 0
    return {"told_s_most": round(slowest_s, 3), "faults": dict(+wrong), "readings": readings}


def _told_of(steps: list[tuple[int, int]], told: list[tuple[int, int]]) -> int | None:
    """When the record tells of these steps as one (µs): a machine that is too busy to look between two sees their sum."""
    total_us = sum(step_s for step_s, _ in steps) * 1_000_000
    return next((mono_us for step_us, mono_us in told if abs(step_us - total_us) < 500_000 and mono_us >= steps[-1][1]), None)
