"""How soon a violation reaches the hub while a backlog is being delivered: from the plant's answer to the hub's API.

`python bench/violation_latency.py` preloads a day of 200 points at 10 s (1.7 million readings) through the real intake and journal,
then starts hub and gateway, lets points go beyond their limit one after the other, and asks the hub every 20 ms. Prints one JSON
line; exit 1 if one took more than 2 s, or none was seen while the backlog stood.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from edge_gateway import __version__  # noqa: E402
from edge_gateway.app.field import Field  # noqa: E402
from edge_gateway.clock import SystemClock  # noqa: E402
from edge_gateway.config.load import load  # noqa: E402
from edge_gateway.config.resolve import setup  # noqa: E402
from edge_gateway.intake.loop import Intake  # noqa: E402
from edge_gateway.intake.recovery import open_run, recover  # noqa: E402
from edge_gateway.intake.ruletime import resume  # noqa: E402
from edge_gateway.journal.store import JournalSettings, open_journal  # noqa: E402
from edge_gateway.reading import Batch, Block, Group  # noqa: E402
from edge_gateway.telemetry import silent  # noqa: E402
from tests.servers.process import ServerProcess, accepts_tcp, free_port  # noqa: E402

GATEWAY = "bench"
POINTS = 10  # of an ordinary device
ALARM_UNIT = 100  # units from here on have one point each, which is let go beyond its limit
_NORMAL, _BEYOND = -200, -100

_PROFILE = """id = "bench/{0}"
vendor = "bench"
model = "{0}"
name_zh = "基准"
name_en = "Benchmark unit"
verified = "no"
[[sources]]
cite = "made for the benchmark"
verified = "no"
[modbus]
"""
_CHANNEL = """[channels.t{0}]
function = 3
register = {0}
type = "int16"
scale = 0.1
quantity = "temperature"
unit = "Cel"
decimals = 1
"""
_PACK = """id = "bench"
version = "1.0.0"
edition = "2026-11"
name_zh = "基准"
name_en = "Benchmark"
[[rule]]
id = "too-warm"
kind = "limit"
select = { zone_kind = "frozen-store", quantity = "temperature" }
unit = "Cel"
high = "-18"
clear_at = "-18.3"
notice_after_s = 0
violation_after_s = 0
clear_after_s = 0
severity = "major"
department = "market-regulation"
title_zh = "过热"
title_en = "Too warm"
do_zh = ["关门"]
do_en = ["Shut the door"]
[rule.basis]
standard = "none"
clause = "unknown"
edition = "2026"
effective_from = "unknown"
verified = "no"
source = "made for the benchmark"
"""


class Plant:
    """A Modbus TCP server in a thread: calm values, until a unit is armed; remembers when it first answered beyond the limit."""

    def __init__(self) -> None:
        self.armed: set[int] = set()
        self.answered: dict[int, float] = {}
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        threading.Thread(target=self._run, name="plant", daemon=True).start()
        self._ready.wait(10)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.run_forever()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        self.port: int = server.sockets[0].getsockname()[1]
        self._ready.set()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await reader.readexactly(12)
                unit, _, _, count = struct.unpack(">BBHH", request[6:])
                value = _BEYOND if unit in self.armed else _NORMAL
                body = struct.pack(f">{count}h", *([value] * count))
                if unit in self.armed:
                    self.answered.setdefault(unit, time.monotonic())
                writer.write(request[:4] + struct.pack(">HBBB", 3 + len(body), unit, 3, len(body)) + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def close(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)


def configuration(folder: Path, options: argparse.Namespace, plant_port: int, hub_port: int) -> Path:
    """gateway.toml with its profiles and its pack."""
    (folder / "drivers" / "bench").mkdir(parents=True)
    (folder / "rules").mkdir()
    (folder / "rules" / "bench.toml").write_text(_PACK)
    for name, count in (("unit", POINTS), ("alarm", 1)):
        text = _PROFILE.format(name) + "".join(_CHANNEL.format(n) for n in range(count))
        (folder / "drivers" / "bench" / f"{name}.toml").write_text(text)
    site = (
        f'[site]\nid = "{GATEWAY}"\norigin = "example.org"\nname_zh = "基准"\nname_en = "Bench"\n[clock]\ntrust = "declared"\n'
        f'[journal]\nmax_bytes = "20GB"\ncommit_every_s = 5.0\n[page]\nlisten = ""\n[rules]\npacks = ["bench"]\n'
        '[zones.cold]\nstage = "storage"\nkind = "frozen-store"\n'
        f'[sinks.hub]\nkind = "hub"\nvia = "http"\nurl = "http://127.0.0.1:{hub_port}"\ntoken_file = "{folder}/token"\n'
    )
    text = [site]
    devices = [(f"d{n}", n + 1, "unit", 10.0, POINTS) for n in range(options.points // POINTS)]
    devices += [(f"a{n}", ALARM_UNIT + n, "alarm", 0.5, 1) for n in range(options.alarms)]
    for bus in ("ordinary", "alarms"):
        text.append(f'[buses.{bus}]\nkind = "tcp"\nhost = "127.0.0.1"\nport = {plant_port}\n')
    for name, unit, profile, interval_s, points in devices:
        bus = "ordinary" if profile == "unit" else "alarms"
        text.append(
            f'[devices.{name}]\nbus = "{bus}"\nunit = {unit}\nprofile = "bench/{profile}"\ninterval_s = {interval_s}\n'
        )
        text += [f'[points.{name}-{p}]\ndevice = "{name}"\nchannel = "t{p}"\nzone = "cold"\n' for p in range(points)]
    file = folder / "gateway.toml"
    file.write_text("".join(text))
    return file


async def preload(config: Path, state: Path, readings: int) -> int:
    """As many readings as asked through the real intake into the real journal; the entries that it holds then."""
    loaded = load(config, state)
    clock = SystemClock(declared=True)
    settings = JournalSettings(max_bytes=20_000_000_000, hub_name="hub", sinks=("hub",))
    journal = await open_journal(state, settings=settings, clock=clock)
    try:
        found = await recover(journal, journal.recover(), GATEWAY)
        rule_time, carried = resume(
            found.last, mono_us=clock.mono_us(), wall_us=clock.wall_us(), boot=clock.boot, trusted=True
        )
        intake = Intake(
            journal=journal, state=found.state, rule_time=rule_time, clock=clock, commit_every_us=1_000_000, tell=silent
        )
        field = Field(loaded, clock=clock, inbox=intake.inbox, messages={})
        await open_run(intake, found, setup(loaded, field.groups(), __version__), clock, carried=carried, damaged="")
        running = asyncio.create_task(intake.run())
        groups = [group for group in field.groups().values() if group.device.startswith("d")]
        rounds = readings // (POINTS * len(groups))
        began_us = clock.wall_us() - rounds * 10_000_000
        for number in range(rounds):
            for group in groups:
                await intake.inbox.put(_batch(group, number, began_us + number * 10_000_000, clock.mono_us()))
        intake.inbox.close()
        await running
        return journal.committed_seq
    finally:
        await journal.close()


def _batch(group: Group, number: int, wall_us: int, mono_us: int) -> Batch:
    """A poll as the source makes it, of values that move a little."""
    raw = [_NORMAL - (number * 7 + at) % 9 for at in range(POINTS)]
    block = Block(unit=1, function=3, start=0, data=struct.pack(f">{POINTS}h", *raw))
    values: list[float | int | None] = [value / 10 for value in raw]
    return Batch(group=group, mono_us=mono_us, wall_us=wall_us, values=values, slot_us=mono_us, blocks=[block])


class Hub:
    """The hub's process and what it shows."""

    def __init__(self, folder: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/api/v1"
        program = [sys.executable, "-c", "from regulator_hub.cli import main; main()"]
        config = folder / "hub.toml"
        config.write_text(f'listen = "127.0.0.1:{port}"\nstate_dir = "{folder}/hub"\n')
        add = [*program, "gateways", "add", "--config", str(config), GATEWAY]
        added = subprocess.run(add, check=True, capture_output=True, text=True, env=_environment())
        (folder / "token").write_text(added.stdout.strip())
        (folder / "token").chmod(0o600)
        command = [*program, "run", "--config", str(config)]
        self.process = ServerProcess("hub", command, folder, lambda: accepts_tcp(port))
        self.process.environment = _environment()

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return json.loads(answer.read())

    def size(self) -> int:
        """Entries held in order."""
        gateways = self.get("/gateways")["gateways"]
        return sum(epoch["size"] for gateway in gateways for epoch in gateway["epochs"])

    def violated(self) -> dict[str, bool]:
        """Point → whether its violation came on the ordered lane already."""
        try:
            shown = self.get(f"/gateways/{GATEWAY}/violations")["violations"]
        except urllib.error.HTTPError:
            return {}  # it knows no such gateway yet
        return {step["point"]: step["in_order"] for step in shown if step["violated"]}


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Preload, start, arm one point after the other; the figures."""
    plant, hub_port = Plant(), free_port()
    hub = Hub(folder, hub_port)
    config, state = configuration(folder, options, plant.port, hub_port), folder / "state"
    began = time.monotonic()
    entries = asyncio.run(preload(config, state, options.readings))
    preload_s = time.monotonic() - began
    program = [sys.executable, "-c", "from edge_gateway.cli import main; main()"]
    command = [*program, "--config", str(config), "--state", str(state), "run"]
    gateway = ServerProcess("gateway", command, folder, (state / "control.sock").exists)
    gateway.environment = _environment()
    samples: list[dict[str, Any]] = []
    try:
        with hub.process:
            plant.armed.add(ALARM_UNIT)  # beyond its limit from the first poll on, before the hub is met
            began = time.monotonic()
            gateway.start(60.0)
            for number in range(options.alarms):
                sample = one(plant, hub, number, entries)
                if sample["backlog"] <= 0:
                    break
                samples.append(sample)
                time.sleep(options.pause)
            while hub.size() < entries:
                time.sleep(0.1)
            drain_s = time.monotonic() - began
    finally:
        gateway.stop()
        plant.close()
    latencies = sorted(sample["seconds"] for sample in samples)
    return {
        "readings": options.readings, "entries": entries, "preload_s": round(preload_s, 1), "drain_s": round(drain_s, 1),
        "entries_per_s": round(entries / drain_s), "violations": len(samples),
        "first_s": samples[0]["seconds"] if samples else None, "median_s": latencies[len(latencies) // 2] if samples else None,
        "worst_s": latencies[-1] if samples else None, "samples": samples,
    }  # fmt: skip


def one(plant: Plant, hub: Hub, number: int, entries: int) -> dict[str, Any]:
    """Let one point go beyond its limit; how long until the hub shows it. Raises TimeoutError after a minute."""
    unit, point = ALARM_UNIT + number, f"a{number}-0"
    plant.armed.add(unit)
    deadline = time.monotonic() + 60
    while point not in (shown := hub.violated()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{point}: no violation at the hub within 60 s")
        time.sleep(0.02)
    seconds = time.monotonic() - plant.answered[unit]
    return {"seconds": round(seconds, 3), "backlog": entries - hub.size(), "in_order": shown[point]}


def options_of(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readings", type=int, default=1_728_000)
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--alarms", type=int, default=20)
    parser.add_argument("--pause", type=float, default=0.5, help="seconds between two violations")
    return parser.parse_args(arguments)


def main() -> int:
    """Entry point."""
    with tempfile.TemporaryDirectory(prefix="violation-latency-") as folder:
        result = measure(Path(folder), options_of())
    print(json.dumps(result))
    return 0 if result["violations"] and result["worst_s"] <= 2.0 else 1


if __name__ == "__main__":
    sys.exit(main())
