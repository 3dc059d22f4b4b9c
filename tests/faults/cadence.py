"""Many Modbus TCP devices at a steady pace, the whole gateway with its journal: every slot read within half its interval, by the record's own word.

Usage: python -m tests.faults.cadence [--minutes 10] [--devices 50] [--points 20] [--interval 1] [--seed 1]
Jitter is how far the time between two readings of a device is from the interval. The last line is JSON; exit code 1 for a missed slot
(no batch, no good one, or one that came later than half the interval after its slot), or a device that was never read.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from edge_gateway.cli.client import Client
from edge_gateway.errors import GatewayError
from tests.fixtures.reader import decode_state_folder
from tests.servers.process import REPOSITORY, ServerProcess

PROGRAM = Path(sys.executable).with_name("edge-gateway")
_PROFILE = """id = "campaign/unit"
vendor = "campaign"
model = "unit"
name_zh = "测试"
name_en = "Campaign unit"
verified = "no"
[[sources]]
cite = "made for this campaign"
verified = "no"
[modbus]
"""


@dataclass
class Result:
    """What the record says. Times in ms; ``late_*``: after the slot; ``load``: the machine's load average at the end."""

    n: int = 0  # slots
    devices: int = 0
    missed: int = 0
    bad: int = 0
    jitter_p50_ms: float = 0.0
    jitter_p99_ms: float = 0.0
    jitter_most_ms: float = 0.0
    late_p99_ms: float = 0.0
    late_most_ms: float = 0.0
    cpu_s: float = 0.0
    load: float = 0.0

    @property
    def passed(self) -> bool:
        return self.missed == 0 and self.bad == 0 and self.n > 0


class Site:
    """A field and the gateway that reads it, in a folder of their own."""

    def __init__(self, folder: Path, *, devices: int, points: int, interval_s: float) -> None:
        self.state = folder / "state"
        ports = folder / "ports"
        field = ["--devices", str(devices), "--registers", str(2 * points), "--port-file", str(ports)]
        command = [sys.executable, str(REPOSITORY / "bench" / "field.py"), *field]
        self.field = ServerProcess("field", command, folder, lambda: ports.exists() and ports.read_text().count("\n") >= devices)
        self._text = (points, interval_s, folder, ports)
        self._client = Client(self.state / "control.sock", timeout_s=2.0)
        self.gateway = ServerProcess(
            "gateway",
            [str(PROGRAM), "--config", str(folder / "gateway.toml"), "--state", str(self.state), "run"],
            folder,
            self._answers,
        )
        for process in (self.field, self.gateway):
            process.environment = {"PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'src'}"}

    def _answers(self) -> bool:
        try:
            self._client.get("/v1/position")
        except GatewayError:
            return False
        return True

    def configure(self) -> None:
        """Once the field's ports are known."""
        points, interval_s, folder, ports = self._text
        drivers = folder / "drivers" / "campaign"
        drivers.mkdir(parents=True)
        channel = '[channels.c{0}]\nfunction = 3\nregister = {1}\ntype = "float32"\nquantity = "temperature"\nunit = "Cel"\n'
        channels = "".join(channel.format(n, 2 * n) for n in range(points))
        (drivers / "unit.toml").write_text(_PROFILE + channels, encoding="utf-8")
        site = (
            '[site]\nid = "campaign"\norigin = "example.org"\nname_zh = "测试"\nname_en = "Campaign"\n'
            '[clock]\ntrust = "declared"\n[journal]\nmax_bytes = "2GB"\ncommit_every_s = 1.0\n[page]\nlisten = ""\n'
            '[zones.z]\nstage = "storage"\nkind = "frozen-store"\n'
        )
        text = [site]
        for n, port in enumerate(ports.read_text().split()):
            text.append(f'[buses.b{n}]\nkind = "tcp"\nhost = "127.0.0.1"\nport = {port}\n')
            text.append(f'[devices.d{n}]\nbus = "b{n}"\nunit = 1\nprofile = "campaign/unit"\ninterval_s = {interval_s}\n')
            text += [f'[points.d{n}-{c}]\ndevice = "d{n}"\nchannel = "c{c}"\nzone = "z"\n' for c in range(points)]
        (folder / "gateway.toml").write_text("".join(text), encoding="utf-8")


def cpu_s(pid: int) -> float:
    """Seconds that the process' threads ran so far."""
    return sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def judge(entries: Iterable[Mapping[str, Any]], *, devices: int, interval_s: float) -> Result:
    """Every slot between a group's first batch and its last, by the journal's entries."""
    result = Result(devices=devices)
    interval_us = int(interval_s * 1e6)
    batches: dict[str, list[tuple[int, int]]] = {}
    for entry in entries:
        if entry["kind"] == "batch":
            batches.setdefault(entry["group"], []).append((entry["slot_us"], entry["mono_us"]))
            result.bad += any(mark != "good" for mark in entry.get("quality", ()))
    result.missed += devices - len(batches)
    jitter, late = [0.0], [0.0]
    for its in batches.values():
        result.n += (its[-1][0] - its[0][0]) // interval_us + 1
        result.missed += sum((b[0] - a[0]) // interval_us - 1 for a, b in pairwise(its))
        result.missed += sum(mono_us - slot_us > interval_us / 2 for slot_us, mono_us in its)
        late += [(mono_us - slot_us) / 1000 for slot_us, mono_us in its]
        jitter += [abs(b[1] - a[1] - interval_us) / 1000 for a, b in pairwise(its)]
    jitter.sort()
    late.sort()
    result.jitter_p50_ms, result.jitter_p99_ms, result.jitter_most_ms = (share(jitter, p) for p in (0.5, 0.99, 1.0))
    result.late_p99_ms, result.late_most_ms = share(late, 0.99), share(late, 1.0)
    return result


def share(ascending: list[float], p: float) -> float:
    """The quantile ``p``."""
    return round(ascending[min(len(ascending) - 1, int(p * len(ascending)))], 2)


def campaign(
    folder: Path, *, seconds: float, devices: int = 50, points: int = 20, interval_s: float = 1.0, stall_s: float = 0.0
) -> Result:
    """Run it; ``stall_s`` plants a fault: the gateway stands still for so long."""
    site = Site(folder, devices=devices, points=points, interval_s=interval_s)
    with site.field:
        site.configure()
        with site.gateway as gateway:
            pid = gateway.pid
            began_s, cpu = time.monotonic(), cpu_s(pid)
            if stall_s:
                time.sleep(seconds / 2)
                os.kill(pid, signal.SIGSTOP)
                threading.Event().wait(stall_s)
                os.kill(pid, signal.SIGCONT)
            time.sleep(max(0.0, began_s + seconds - time.monotonic()))
            cpu = cpu_s(pid) - cpu
    (epoch,) = decode_state_folder(site.state)["epochs"]
    result = judge(epoch["entries"], devices=devices, interval_s=interval_s)
    result.cpu_s, result.load = round(cpu, 2), round(os.getloadavg()[0], 2)
    return result


def main() -> int:
    """Run the campaign at full length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", "--n", type=float, default=10)
    parser.add_argument("--devices", type=int, default=50)
    parser.add_argument("--points", type=int, default=20)
    parser.add_argument("--interval", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1, help="nothing here is random; accepted like in other campaigns")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = campaign(
            Path(folder),
            seconds=60 * arguments.minutes,
            devices=arguments.devices,
            points=arguments.points,
            interval_s=arguments.interval,
        )
    print(json.dumps({"campaign": "cadence", "seed": arguments.seed, **asdict(result)}))
    return 0 if result.passed else 1


if __name__ == "__main__":
    sys.exit(main())
