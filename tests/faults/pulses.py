"""`make pulses`: kill -9 a gateway that counts pulses, N times, while the counter runs; every total must be the true one.

Prints one JSON line: n, seed, kills, readings, wrong (totals that were not a number the counter had shown by then), backwards
(totals below an earlier one), lost (pulses missing at the end). Exit 1 on any.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from random import Random
from typing import Any

from edge_gateway.journal.reading import Reading
from tests.servers.process import REPOSITORY, wait_until

FIRST = 1_000
SITE = """[site]
id = "tlf-007"
origin = "example.org/xj"
name_zh = "示例站"
name_en = "Sample"
[clock]
trust = "declared"
[journal]
max_bytes = "200MB"
commit_every_s = 0.05
[page]
listen = ""
[rules]
packs = []
[zones.hall]
stage = "washing"
kind = "cleaning-line"
[buses.meters]
kind = "pulse"
path = "{path}"
[devices.water]
bus = "meters"
interval_s = 0.05
pulse = {{ count = "counter0/count0", unit = "L", per_pulse = 10.0 }}
[points.water-used]
device = "water"
channel = "total"
zone = "hall"
[devices.slow]
bus = "meters"
interval_s = 0.8
pulse = {{ count = "counter1/count0", unit = "L", per_pulse = 10.0 }}
[points.slow-used]
device = "slow"
channel = "total"
zone = "hall"
"""


class Counter:
    """A kernel's counter that runs: a file, written anew (whole) at each pulse; two meters look at it, often and seldom."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.count = FIRST
        self._file = folder / "counter0" / "count0" / "count"
        self._file.parent.mkdir(parents=True)
        (folder / "counter1").symlink_to("counter0")
        self._random = Random(seed)
        self._write()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _write(self) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(f"{self.count}\n")
        new.replace(self._file)

    def _run(self) -> None:
        while not self._stop.wait(self._random.uniform(0.001, 0.02)):
            self.count += 1
            self._write()

    def stop(self) -> int:
        """No more pulses; the last count."""
        self._stop.set()
        self._thread.join()
        return self.count


def readings(state: Path) -> list[dict[str, Any]]:
    """Batches of the record so far, beside a running gateway or without one."""
    reading = Reading(state)
    try:
        return [entry for _, entry in reading.entries() if entry["kind"] == "batch"]
    finally:
        reading.close()


def campaign(folder: Path, *, n: int, seed: int, planted: str = "") -> dict[str, Any]:
    """N kills at random moments, then a last look when the counter has stopped."""
    random = Random(seed)
    counter = Counter(folder / "sys", seed)
    (folder / "gateway.toml").write_text(SITE.format(path=folder / "sys"))
    state = folder / "state"
    for round_ in range(n + 1):
        process = _start(folder, planted)
        try:
            known = len(readings(state)) if round_ else 0
            more = random.randrange(3, 12)
            if not round_:
                wait_until((state / "control.sock").exists, "a journal", 30)
            wait_until(lambda: len(readings(state)) >= known + more, "more readings", 30)  # noqa: B023
            if round_ == n:
                true = counter.stop() - FIRST
                after = _of(state, "slow")
                wait_until(lambda: _of(state, "slow") >= after + 2, "readings after the last pulse", 30)  # noqa: B023
            else:
                time.sleep(random.uniform(0, 0.1))  # the moment of the kill is the point
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    found = readings(state)
    meters = [_judged([each for each in found if each["group"] == f"{meter}.0"], true) for meter in ("water", "slow")]
    result: dict[str, Any] = {key: meters[0][key] + meters[1][key] for key in meters[0]}
    passed = not (result["wrong"] or result["backwards"] or result["lost"])
    return result | {"passed": passed, "n": n, "seed": seed, "kills": n, "planted": planted}


def _of(state: Path, meter: str) -> int:
    return sum(batch["group"] == f"{meter}.0" for batch in readings(state))


def _start(folder: Path, planted: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.faults.launch_pulses", "run"]
    command += ["--config", str(folder / "gateway.toml"), "--state", str(folder / "state")]
    environment = {**os.environ, "EDGE_FAULTS_PLANTED": planted, "PYTHONPATH": f"{REPOSITORY / 'src'}:{REPOSITORY}"}
    with (folder / "run.log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=REPOSITORY)


def _judged(batches: list[dict[str, Any]], true: int) -> dict[str, int]:
    """The counter began at FIRST when the first reading ever may have come a few pulses later: its own count says where."""
    began = batches[0]["keep"]["count"]
    wrong = backwards = 0
    last = -1.0
    for batch in batches:
        (value,) = batch["values"]
        wrong += value != (batch["keep"]["count"] - began) * 10.0
        backwards += value < last
        last = value
    lost = (true - (began - FIRST)) - int(last / 10)
    return {"readings": len(batches), "wrong": wrong, "backwards": backwards, "lost": lost}


def main() -> int:
    """Arguments: --n, --seed, --planted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--planted", default="", choices=["", "forget", "snapshot"])
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = campaign(Path(folder), n=chosen.n, seed=chosen.seed, planted=chosen.planted)
    print(json.dumps(result))
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
