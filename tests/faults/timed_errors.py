"""A store on the real disk whose system calls fail for a while (strace injects it): when it alarms, whether it goes on, what it then holds.

``python -m tests.faults.timed_errors FOLDER`` is the child under strace. What the kernel is asked to do and refuses is logged by strace with its time.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from edge_gateway import events
from edge_gateway.clock import SystemClock
from edge_gateway.errors import JournalError, JournalFull
from edge_gateway.journal.base import Position
from edge_gateway.journal.retention import JournalSettings
from edge_gateway.journal.store import Store, open_journal
from tests.journal.entries import run

SEGMENT = 64
SETTINGS = JournalSettings(max_bytes=1 << 30, segment_entries=SEGMENT, commit_every_us=50_000)
#: Commits that must be acknowledged before the child ends, and how long it may take (s).
COMMITS, PATIENCE_S = 150, 60.0
ALARM_S = 5.0
#: Which calls fail, from one of the first so many on (nobody else in the child makes them), and how many of them in a row.
CALLS = {"pwrite64": 600, "fdatasync": 150, "fsync": 20, "rename": 6}
IN_A_ROW = (1, 2, 9)


async def child(folder: Path) -> dict[str, Any]:
    """Append, whatever comes; then read everything back."""
    alarms: list[float] = []

    def tell(event: events.Event) -> None:
        if isinstance(event, events.Alarmed):
            alarms.append(time.time())

    store = await _opened(folder, tell)
    alarms.clear()  # the start's own: it says so and ends, and systemd starts it again
    began = time.time()
    written: list[bytes] = []
    refused, resumed, ends = 0, 0.0, time.monotonic() + PATIENCE_S
    while len(written) < 2 * COMMITS and time.monotonic() < ends:
        entries = run(store.next_seq, 2, SEGMENT, size=2000)
        try:
            await store.append(entries)
        except JournalFull:
            refused += 1
            alarms += [time.time()] if not alarms else []  # intake alarms at a refused append
            resumed = 0.0
            await asyncio.sleep(0.1)
            continue
        resumed = resumed or time.time()
        written += entries
    epoch = store.epoch
    await store.close()
    ended = time.time()
    store = await _opened(folder, tell)
    found: list[bytes] = []
    while part := await store.read(Position(epoch, len(found)), max_entries=1000, max_bytes=1 << 22):
        found += part
    await store.close()
    return {
        "acknowledged": len(written), "refused": refused, "alarms": alarms, "resumed": resumed,
        "whole": found == written and store.epoch == epoch, "began": began, "ended": ended,
    }  # fmt: skip


async def _opened(folder: Path, tell: events.Tell) -> Store:
    """As systemd does it: again, until it succeeds."""
    while True:
        try:
            return await open_journal(folder, settings=SETTINGS, clock=SystemClock(declared=True), tell=tell)
        except JournalError:
            await asyncio.sleep(0.05)


def one(seed: int) -> dict[str, Any]:
    """One run: its outcome, and when the first call failed (``None``: none did)."""
    rng = random.Random(seed)
    calls, row = rng.choice(list(CALLS)), rng.choice(IN_A_ROW)
    first = rng.randrange(1, CALLS[calls])
    code = "ENOSPC" if calls == "pwrite64" and rng.random() < 0.4 else "EIO"
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "calls"
        inject = f"inject={calls}:error={code}:when={first}..{first + row - 1}"
        command = ["strace", "-f", "-qq", "-ttt", "-o", str(log), "-e", f"trace={calls}", "-e", inject]
        done = subprocess.run(
            [*command, sys.executable, "-m", "tests.faults.timed_errors", f"{folder}/state"],
            capture_output=True, text=True, check=False, timeout=PATIENCE_S + 60,
        )  # fmt: skip
        failed = [float(found[1]) for line in log.read_text().splitlines() if "(INJECTED)" in line and (found := re.search(r"(\d+\.\d+) ", line))]
    said = f"{calls} {code} from {first} on, {row}"
    if done.returncode:
        return {"said": said, "failed": failed, "error": done.stderr[-500:]}
    return {"said": said, "failed": failed, **json.loads(done.stdout.splitlines()[-1])}


def play(runs: int, seed: int) -> dict[str, Any]:
    """So many runs: failed calls, slowest alarm and slowest way back (s), and ``why``: what must not be."""
    why: list[str] = []
    alarm_s = back_s = 0.0
    hit = calls = while_it_ran = 0
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(one, range(seed * 1000, seed * 1000 + runs)))
    for outcome in outcomes:
        failed, said = outcome["failed"], outcome["said"]
        calls += len(failed)
        hit += bool(failed)
        if "error" in outcome:
            why.append(f"{said}: {outcome['error']}")
            continue
        if not outcome["whole"]:
            why.append(f"{said}: what was acknowledged is not what is there")
        failed = [at for at in failed if outcome["began"] <= at <= outcome["ended"]]  # not while it was opened
        if not failed:
            continue
        while_it_ran += 1
        late = [at for at in outcome["alarms"] if at >= failed[0]]
        if not late or late[0] - failed[0] > ALARM_S:
            why.append(f"{said}: alarms at {outcome['alarms']}, the first failure at {failed[0]}")
            continue
        alarm_s = max(alarm_s, late[0] - failed[0])
        back_s = max(back_s, outcome["resumed"] - failed[-1])
    return {
        "runs": runs, "with_failures": hit, "while_it_ran": while_it_ran, "failed_calls": calls, "slowest_alarm_s": round(alarm_s, 2), "slowest_return_s": round(back_s, 2),
        "why": why,
    }  # fmt: skip


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        print(json.dumps(asyncio.run(child(Path(sys.argv[1])))))
