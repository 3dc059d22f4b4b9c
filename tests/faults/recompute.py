"""A journal of ten million readings, written by the real intake with rules, marks, kills and a power cut, and judged again on another Python.

``python -m tests.faults.recompute --n 10000000 --seed 1 [--other PYTHON]``: devices of twenty float32 registers in a frozen store under the
packs ``cold-chain`` and ``instrument-health``; values wander around the limit, some answers do not come. Then ``journal recompute`` runs on
``--other`` (else on this one) with these sources, and must find no difference: in values, outcomes, and what rules remember at each segment.
Planted: one value, and one outcome's minutes, are altered in a short record of the same kind; each must be named. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from edge_gateway.app.field import Field
from edge_gateway.config.load import load
from edge_gateway.config.resolve import setup
from edge_gateway.intake.inbox import Inbox
from edge_gateway.intake.loop import Intake
from edge_gateway.intake.state import Setup
from edge_gateway.journal.reading import Reading
from edge_gateway.marks import MarkRefused, Now
from edge_gateway.reading import BAD_NO_ANSWER, Batch, Block, Group
from edge_gateway.recompute.core import Recompute
from edge_gateway.testing import FakeClock
from tests.faults import results
from tests.intake.test_loop import Running, flushed, running

DEVICES, POINTS, S = 10, 20, 1_000_000
INTERVAL_US = 10 * S
#: In the plant's time: a disk's sync for each round would be most of the work.
COMMIT_US = 50 * INTERVAL_US
#: Rounds from one life of the gateway to the next, and what ends it: in order, killed, without power.
LIFE, ENDS = 5_000, ("stopped", "killed", "power-cut")
#: Readings of the record in which differences are planted.
SHORT = 80_000


def lay(folder: Path) -> Path:
    """The site's files."""
    (folder / "drivers/house").mkdir(parents=True)
    head = 'id = "house/unit"\nvendor = "House"\nmodel = "Unit"\nname_zh = "台"\nname_en = "Unit"\nverified = "no"\n[[sources]]\ncite = "made for this test"\nverified = "no"\n'
    channels = "".join(
        f'[channels.t{n}]\nfunction = 3\nregister = {2 * n}\ntype = "float32"\nquantity = "temperature"\nunit = "Cel"\ndecimals = 2\n' for n in range(POINTS)
    )
    (folder / "drivers/house/unit.toml").write_text(f"{head}[modbus]\ngap_readable = true\n{channels}")
    text = '[site]\nid = "tlf-007"\norigin = "example.org"\nname_zh = "站"\nname_en = "Site"\n[rules]\npacks = ["cold-chain", "instrument-health"]\n'
    for d in range(DEVICES):
        text += f'[zones.z{d}]\nstage = "storage"\nkind = "frozen-store"\n[buses.b{d}]\nkind = "tcp"\nhost = "127.0.0.1"\nport = {1502 + d}\n'
        text += f'[devices.d{d}]\nbus = "b{d}"\nunit = 1\nprofile = "house/unit"\ninterval_s = {INTERVAL_US // S}\n'
        text += "".join(f'[points.d{d}-{n}]\ndevice = "d{d}"\nchannel = "t{n}"\nzone = "z{d}"\n' for n in range(POINTS))
    (folder / "gateway.toml").write_text(text)
    return folder / "gateway.toml"


class Plant:
    """What the devices say: each point wanders, each store warms up now and then."""

    def __init__(self, setup_: Setup, seed: int) -> None:
        self.chance = random.Random(seed)
        self.groups: list[Group] = sorted((group for group in setup_.groups.values() if len(group.points) == POINTS), key=lambda each: each.id)
        self.rows = [[self.chance.choice([0.0, 0.01, -0.02, 0.13, 0.4]) for _ in range(POINTS)] for _ in range(499)]
        self.warmth, self.count = [0.0] * len(self.groups), 0

    def batch(self, at: int, clock: FakeClock) -> Batch:
        """The next answer of a device."""
        self.count += 1
        chance, group = self.chance, self.groups[at]
        if chance.random() < 0.004:
            self.warmth[at] = chance.choice([0.0, 0.0, 0.0, 3.0, 7.5])
        mono_us, wall_us = clock.mono_us(), clock.wall_us()
        if chance.random() < 0.002:
            none: list[Any] = [None] * POINTS
            return Batch(group=group, mono_us=mono_us, wall_us=wall_us, values=none, quality=[BAD_NO_ANSWER] * POINTS, slot_us=mono_us)
        values = [round(-22.0 + self.warmth[at] + each, 2) for each in self.rows[self.count % 499]]
        raw = Block(unit=1, function=3, start=0, data=struct.pack(f">{POINTS}f", *values))
        return Batch(group=group, mono_us=mono_us, wall_us=wall_us, values=list(values), slot_us=mono_us, blocks=[raw])


async def write(folder: Path, readings: int, seed: int) -> dict[str, int]:
    """The record in ``folder``/state; how much was done to it."""
    clock = FakeClock()
    loaded = load(lay(folder), None, running=False)
    made = setup(loaded, Field(loaded, clock=clock, inbox=Inbox(), messages={}, kept={}).groups(), "1")
    plant, lives = Plant(made, seed), 0
    rounds = max(readings // (POINTS * DEVICES), 1)
    life = min(LIFE, max(rounds // 4, 1))
    for first in range(0, rounds, life):
        end = ENDS[lives % len(ENDS)]
        lives += 1
        async with running(folder / "state", clock, setup=made, orderly=end == "stopped") as run:
            run.intake._pace.commit_every_us = COMMIT_US
            await _live(run, plant, clock, min(life, rounds - first))
            while run.journal.status().get("sealing"):
                await flushed(run)
        if end == "power-cut":
            clock.boot, clock._mono_us = f"b{lives:011d}", 5 * S
        clock.advance(plant.chance.choice([5, 60, 900]) * S)
    return {"lives": lives, "batches": plant.count}


async def _live(run: Running, plant: Plant, clock: FakeClock, rounds: int) -> None:
    for at in range(rounds):
        clock.advance(INTERVAL_US)
        for device in range(DEVICES):
            await run.intake.inbox.put(plant.batch(device, clock))
        if at % 700 == 300:
            await run.intake.command(partial(_mark, run.intake, f"d{at // 700 % DEVICES}"))
        if at % 20 == 19:
            await flushed(run)
            await run.intake.command(run.intake._tick)
    await flushed(run)


async def _mark(intake: Intake, device: str) -> None:
    """A mark on a device's points, where its quota still allows one."""
    with suppress(MarkRefused):
        at, stamp = await intake.moment()
        points = [f"{device}-{n}" for n in range(POINTS)]
        now = Now(rule_us=at.rule_us, wall_us=at.wall_us, by="t", reason="t")
        await intake.add_mark(intake.state.marks.start("calibration", {"points": points}, points, 1800 * S, now), stamp)


def judged_again(state: Path, python: str) -> dict[str, Any]:
    """``journal recompute`` in a process of its own; its answer, and its CPU seconds."""
    began = os.times()
    environment = os.environ | {"PYTHONPATH": str(results.ROOT / "src")}
    program = "import sys; from edge_gateway.cli.main import run; sys.exit(run(sys.argv[1:]))"
    command = [python, "-c", program, "journal", "recompute", str(state), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=results.ROOT, check=False)
    if not done.stdout.strip():
        raise RuntimeError(done.stderr[-2000:])
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    after = os.times()
    version = subprocess.run([python, "-c", "import platform; print(platform.python_version())"], capture_output=True, text=True, check=True).stdout.strip()
    return answer | {"python": version, "cpu_s": round(after.children_user + after.children_system - began.children_user - began.children_system, 1)}


def altered(state: Path, what: str) -> str:
    """The record with one value, or one outcome's minutes, altered: what is named as the first difference; "" for nothing."""

    def entries(reading: Reading) -> Iterator[tuple[str, dict[str, Any]]]:
        number = 0
        for epoch, body in reading.entries():
            wanted = body["kind"] == "batch" and body.get("values", [None])[0] is not None if what == "value" else body.get("step") == "violated"
            number += wanted
            if wanted and number == 2:
                body = body | ({"values": [body["values"][0] + 0.01, *body["values"][1:]]} if what == "value" else {"minutes": body["minutes"] + 1})
            yield epoch, body

    reading = Reading(state)
    try:
        again = Recompute(reading.text)
        for epoch, body in entries(reading):
            again.take(epoch, body)
        again.end()
        first = again.findings.first
        return "" if first is None else f"{first.seq} {first.point}"
    finally:
        reading.close()


def run(n: int, seed: int, other: str = "") -> dict[str, Any]:
    """The campaign; ``n``: readings."""
    began_s = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="recompute-"))
    try:
        done = asyncio.run(write(folder / "whole", n, seed))
        wrote_s = time.monotonic() - began_s
        size = sum(file.stat().st_size for file in (folder / "whole/state").rglob("*") if file.is_file())
        answer = judged_again(folder / "whole/state", other or sys.executable)
        if n > SHORT:
            asyncio.run(write(folder / "short", SHORT, seed))
        planted = {what: altered(folder / ("short" if n > SHORT else "whole") / "state", what) for what in ("value", "outcome")}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report = {
        "n": done["batches"] * POINTS, "seed": seed, **done, "journal_mb": round(size / 1e6, 1), "written_by": sys.version.split()[0], "wrote_s": round(wrote_s, 1),
        "answer": answer, "planted": planted,
    }  # fmt: skip
    return report | {"passed": answer["outcome"] == "recomputed" and all(planted.values()), "seconds": round(time.monotonic() - began_s, 1)}


def main(arguments: list[str]) -> int:
    """One JSON line; exit 1 on any difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--other", default="", help="another Python with the project's requirements")
    asked = parser.parse_args(arguments)
    report = run(asked.n, asked.seed, asked.other)
    results.append("recompute", report)
    print(json.dumps({"campaign": "recompute"} | report))
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
