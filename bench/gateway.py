"""The whole gateway under load: rules on, durable journal, InfluxDB (v1) and hub on. CPU-seconds per 1,000 readings.

`python bench/gateway.py --devices 50 --points 20 --interval 1 --seconds 30`. Prints one JSON line. The gateway is pinned to core 0,
everything else to core 1. CPU is the kernel's accounting of the gateway's process (/proc/PID/stat, user + system).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from edge_gateway.cli.client import Client, NotRunning  # noqa: E402

BIN = Path(sys.executable).parent
TICKS = os.sysconf("SC_CLK_TCK")

PROFILE = """\
id = "bench/unit"
vendor = "bench"
model = "unit"
name_zh = "基准"
name_en = "Benchmark unit"
verified = "no"
[[sources]]
cite = "made for the benchmark"
verified = "no"
[modbus]
gap_readable = true
"""


def configuration(folder: Path, ports: list[int], options: argparse.Namespace) -> Path:
    """gateway.toml with a bus, a device and its points for each port; every point has a limit rule."""
    profile = [PROFILE]
    width = 2 if options.kind == "float32" else 1
    scale = "" if options.kind == "float32" else "scale = 0.1\n"
    for n in range(options.points):
        profile.append(
            f'[channels.t{n}]\nfunction = 3\nregister = {n * width}\ntype = "{options.kind}"\n{scale}'
            'quantity = "temperature"\nunit = "Cel"\ndecimals = 2\n'
        )
    (folder / "drivers" / "bench").mkdir(parents=True)
    (folder / "drivers" / "bench" / "unit.toml").write_text("".join(profile))
    text = [
        '[site]\nid = "bench"\norigin = "example.org"\nname_zh = "基准"\nname_en = "Bench"\n'
        '[clock]\ntrust = "declared"\n'
        f'[journal]\nmax_bytes = "20GB"\ncommit_every_s = {options.commit}\n[page]\nlisten = "127.0.0.1:0"\n'
        '[zones.cold]\nstage = "storage"\nkind = "frozen-store"\n'
    ]
    if options.influx:
        text.append(f'[sinks.influx]\nkind = "influxdb1"\nurl = "{options.influx}"\ndatabase = "bench"\n')
    if options.hub:
        text.append(f'[sinks.hub]\nkind = "hub"\nvia = "http"\nurl = "{options.hub}"\ntoken_file = "{folder}/token"\n')
    for d, port in enumerate(ports):
        text.append(f'[buses.b{d}]\nkind = "tcp"\nhost = "127.0.0.1"\nport = {port}\n')
        text.append(f'[devices.d{d}]\nbus = "b{d}"\nunit = 1\nprofile = "bench/unit"\ninterval_s = {options.interval}\n')
        for n in range(options.points):
            text.append(f'[points.p{d}-{n}]\ndevice = "d{d}"\nchannel = "t{n}"\nzone = "cold"\n')
    file = folder / "gateway.toml"
    file.write_text("".join(text))
    return file


def cpu_s(pid: int) -> float:
    """User and system seconds of a process with its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss_mb(pid: int) -> float:
    """Resident memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def wait_for(what: str, found: object, seconds: float = 20.0) -> None:
    """Poll until ``found()`` is true."""
    deadline = time.monotonic() + seconds
    while not found():  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} did not happen within {seconds} s")
        time.sleep(0.05)


class Children:
    """Everything started, ended together."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, core: int, *command: str, log: Path) -> subprocess.Popen[bytes]:
        """Start a program pinned to a core."""
        process = subprocess.Popen(["taskset", "-c", str(core), *command], stdout=log.open("wb"), stderr=subprocess.STDOUT)
        self._started.append(process)
        return process

    def end(self) -> None:
        """SIGTERM, then wait."""
        for process in reversed(self._started):
            process.send_signal(signal.SIGTERM)
        for process in self._started:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def hub(folder: Path, children: Children) -> str:
    """A hub with one gateway enrolled; returns its address."""
    port = free_port()
    config = folder / "hub.toml"
    config.write_text(f'listen = "127.0.0.1:{port}"\nstate_dir = "{folder}/hub"\n')
    program, where = str(BIN / "regulator-hub"), ["--config", str(config)]
    added = subprocess.run([program, "gateways", "add", *where, "bench"], check=True, capture_output=True, text=True)
    token = next(word for word in added.stdout.split() if word.startswith("rh_"))
    (folder / "token").write_text(token)
    (folder / "token").chmod(0o600)
    children.start(1, program, "run", *where, log=folder / "hub.log")
    return f"http://127.0.0.1:{port}"


def free_port() -> int:
    """A port that was free a moment ago."""
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def influx(folder: Path, children: Children) -> str:
    """A receiver that takes every line: InfluxDB itself would be the bottleneck of the machine."""
    port = free_port()
    children.start(1, sys.executable, str(ROOT / "bench" / "receiver.py"), str(port), log=folder / "influx.log")
    return f"http://127.0.0.1:{port}"


def measure(options: argparse.Namespace, folder: Path, children: Children) -> dict[str, object]:
    """Start everything, warm up, measure, stop."""
    ports_file = folder / "ports"
    registers = options.points * (2 if options.kind == "float32" else 1)
    field = ["--devices", str(options.devices), "--registers", str(registers), "--kind", options.kind]
    children.start(1, sys.executable, str(ROOT / "bench" / "field.py"), *field, "--port-file", str(ports_file), log=folder / "field.log")
    wait_for("the field", lambda: ports_file.exists() and ports_file.read_text().count("\n") == options.devices - 1)
    options.influx = influx(folder, children) if options.sinks else ""
    options.hub = hub(folder, children) if options.sinks else ""
    config = configuration(folder, [int(p) for p in ports_file.read_text().split()], options)
    started = time.monotonic()
    command = [str(BIN / "edge-gateway"), "--config", str(config), "--state", str(folder / "state"), "run"]
    gateway = children.start(0, *command, log=folder / "gateway.log")
    client = Client(folder / "state" / "control.sock")

    def first() -> bool:
        if gateway.poll() is not None:
            raise SystemExit((folder / "gateway.log").read_text())
        try:
            return client.get("/v1/position")["committed_seq"] > options.devices
        except NotRunning:
            return False

    wait_for("the first readings", first, 30.0)
    first_s = time.monotonic() - started
    time.sleep(options.warm_up)
    cpu, clock, before = cpu_s(gateway.pid), time.monotonic(), client.get("/v1/status")
    time.sleep(options.seconds)
    cpu, clock, after = cpu_s(gateway.pid) - cpu, time.monotonic() - clock, client.get("/v1/status")
    entries = after["journal"]["committed_seq"] - before["journal"]["committed_seq"]
    readings = entries * options.points
    result = {
        "devices": options.devices, "points": options.points, "interval_s": options.interval, "kind": options.kind,
        "sinks": options.sinks, "seconds": round(clock, 1), "readings_per_s": round(readings / clock),
        "asked_per_s": round(options.devices * options.points / options.interval),
        "cpu_s_per_1000": round(cpu / readings * 1000, 5), "cpu_share": round(cpu / clock, 3),
        "rss_mb": round(rss_mb(gateway.pid), 1), "first_readings_s": round(first_s, 2),
        "backlog": {name: sink["backlog"] for name, sink in after["sinks"].items()},
        "gaps_open": len(after["gaps"]),
        "segments_bytes": sum(f.stat().st_size for f in (folder / "state" / "segments").rglob("*.gz")),
        "segments": len(list((folder / "state" / "segments").rglob("*.gz"))),
    }  # fmt: skip
    if result["segments"]:
        per_segment = int(str(result["segments_bytes"])) / int(str(result["segments"]))
        result["bytes_per_reading"] = round(per_segment / (4095 * options.points), 2)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=50)
    parser.add_argument("--points", type=int, default=20)
    parser.add_argument("--interval", type=float, default=1.0)
    parser.add_argument("--kind", choices=["float32", "int16"], default="float32")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--warm-up", type=float, default=3.0)
    parser.add_argument("--commit", type=float, default=1.0)
    parser.add_argument("--no-sinks", dest="sinks", action="store_false")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    children = Children()
    try:
        print(json.dumps(measure(options, folder, children)), flush=True)
    finally:
        children.end()
        if options.keep:
            print(folder, file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
