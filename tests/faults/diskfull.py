"""The disk is filled from outside, and by the journal itself, and freed, again and again: nothing is lost, the reserve serves, it goes on by itself.

``python -m tests.faults.diskfull --n 100 --seed 1``: n rounds on a file system of 64 MB (a tmpfs of this process's own). The last line is JSON; exit 1 on any loss,
an entry from the reserve that was refused, a return later than 60 s after room came back, or a planted fault that is not noticed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.faults import results
from tests.faults.full import PLANTED

ROOT = Path(__file__).parents[2]
MOUNT = 'mount -t tmpfs -o size="$3" tmpfs "$1" && shift 3 && exec "$@"'
RESUME_S = 60.0


def play(rounds: int, *, size: str = "64m", planted: str = "", within_s: float = 3600.0) -> dict[str, Any]:
    """So many rounds on a small file system; what was counted, or ``error``."""
    namespace = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    with tempfile.TemporaryDirectory() as folder:
        child = [sys.executable, "-m", "tests.faults.full", folder, "--rounds", str(rounds), "--planted", planted]
        done = subprocess.run(
            [*namespace, "sh", "-c", MOUNT, "sh", folder, "-", size, *child],
            cwd=ROOT, capture_output=True, text=True, timeout=within_s, check=False,
        )  # fmt: skip
    if done.returncode not in (0, 1) or not done.stdout.strip():
        return {"error": done.stderr[-800:]}
    counts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip().startswith("{") else {"error": done.stderr[-800:]}
    return counts


def sound(counts: dict[str, Any]) -> bool:
    """Whether nothing happened that must not."""
    return "error" not in counts and not counts["lost"] and not counts["altered"] and counts["slowest_resume_s"] <= RESUME_S


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=100, help="rounds")
    parser.add_argument("--seed", type=int, default=1, help="for the record: the rounds follow one another, nothing is drawn")
    parser.add_argument("--budget-s", type=float, default=3600.0, help="it must be done within")
    options = parser.parse_args()
    began = time.monotonic()
    counts = play(options.n, within_s=options.budget_s)
    found = {name: not sound(play(2, planted=name)) for name in PLANTED}
    passed = sound(counts) and all(found.values())
    result = {"n": counts.get("rounds", 0), "seed": options.seed, **counts, "planted": found, "passed": passed, "seconds": round(time.monotonic() - began, 1)}
    results.append("diskfull", result)
    print(json.dumps(result))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
