"""Everything that is measured beside the field bus, and who answers on it, through the whole gateway: journal, InfluxDB, hub, page, read, status.

Real: both programs, InfluxDB, HTTP, a TCP plant. Not real: the kernel's folders, laid out as the kernel's.
"""

from __future__ import annotations

import asyncio
import json
import signal
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.journal.reading import Reading
from tests.cli.site import Gateway
from tests.regulator_hub.harness import HubProcess, registered
from tests.servers.influxd import Influxd
from tests.servers.process import free_port
from tests.sources.local_site import lay
from tests.sources.modbus_plant import Plant
from tests.sources.test_modbus_identity import instrument
from tests.sources.test_onewire import COLD, SITE
from tests.sources.test_onewire_text import pad, text

PROFILE = """id = "test/meter"
vendor = "test"
model = "meter"
name_zh = "测试"
name_en = "Meter"
verified = "no"
[[sources]]
cite = "made for a test"
verified = "no"
[modbus]
[identify]
serial = { function = 3, register = 100, type = "uint32" }
[channels.count]
function = 3
register = 0
quantity = "count"
unit = "1"
"""
POINTS = {"cold-air", "tank", "tank-ma", "flow", "water", "water-pulses", "free", "sync", "raw", "unwrapped", "heat", "apart"}


def site(folder: Path, plant: int, page: int, influx: str, hub: HubProcess) -> str:
    return (
        SITE.replace('listen = ""', f'listen = "127.0.0.1:{page}"')
        + f"""
[zones.hall]
stage = "washing"
kind = "cleaning-line"

[buses.probes]
kind = "onewire"
path = "{folder}/w1"
[devices.probe]
bus = "probes"
probe = "{COLD}"
interval_s = 0.2
[points.cold-air]
device = "probe"
channel = "temperature"
zone = "cold"

[buses.adc]
kind = "iio"
device = "ads1115"
path = "{folder}/iio"
[devices.loop]
bus = "adc"
interval_s = 0.2
loop = {{ input = "voltage0", shunt_ohm = 250.0, quantity = "level", unit = "m", low = 0.0, high = 1.0 }}
[points.tank]
device = "loop"
channel = "value"
zone = "hall"
[points.tank-ma]
device = "loop"
channel = "current"
zone = "hall"

[buses.meters]
kind = "pulse"
path = "{folder}/counter"
[devices.meter]
bus = "meters"
interval_s = 0.2
pulse = {{ count = "counter0/count0", unit = "L", per_pulse = 10.0 }}
[points.water]
device = "meter"
channel = "total"
zone = "hall"
[points.water-pulses]
device = "meter"
channel = "pulses"
zone = "hall"

[buses.gateway]
kind = "host"
disk = "{folder}"
[devices.box]
bus = "gateway"
interval_s = 0.5
[points.free]
device = "box"
channel = "disk-free"
zone = "hall"
[points.sync]
device = "box"
channel = "clock-synchronised"
zone = "hall"

[buses.plc]
kind = "tcp"
host = "127.0.0.1"
port = {plant}
timeout_s = 0.1
backoff_first_s = 0.1
backoff_most_s = 0.2
[devices.flow-meter]
bus = "plc"
unit = 1
profile = "test/meter"
interval_s = 0.2
[points.raw]
device = "flow-meter"
channel = "count"
zone = "hall"

[derived.flow]
kind = "flume"
of = ["tank"]
zone = "hall"
unit = "m3/h"
c = 1.429
n = 1.55
[derived.unwrapped]
kind = "counter"
of = ["raw"]
zone = "hall"
unit = "m3"
per_count = 0.1
[derived.heat]
kind = "degree-minutes"
of = ["cold-air"]
zone = "cold"
limit_cel = -25.0
[derived.apart]
kind = "difference"
of = ["tank-ma", "tank-ma2"]
zone = "hall"
[points.tank-ma2]
device = "loop2"
channel = "current"
zone = "hall"
[devices.loop2]
bus = "adc"
interval_s = 0.4
loop = {{ input = "voltage1", shunt_ohm = 250.0, quantity = "level", unit = "m", low = 0.0, high = 1.0 }}

[sinks.hub]
kind = "hub"
via = "http"
url = "{hub.url}"
token_file = "hub-token"
[sinks.influx]
kind = "influxdb1"
url = "{influx}"
database = "beside"
"""
    )


def kernel(folder: Path) -> None:
    """What the kernel shows: −19 °C; 14.56 mA (0.66 m) and 12 mA; a counter."""
    lay(folder / "w1" / COLD, w1_slave=text(pad(-19 * 16)))
    raws = {"in_voltage0_raw": "29120\n", "in_voltage1_raw": "24000\n", "in_voltage_scale": "0.125\n"}
    lay(folder / "iio/iio:device0", name="ads1115\n", **raws)
    lay(folder / "counter/counter0/count0", count="41\n")


@pytest.fixture
async def plant() -> Any:
    made = Plant({})
    made.registers = instrument(1, 70001) | {(1, 0): 65_530}
    await made.start()
    yield made
    await made.stop()


async def test_all_of_it(plant: Plant, influxd: Influxd, tmp_path: Path) -> None:
    """In a thread, so that the plant answers meanwhile."""
    await asyncio.to_thread(_day, plant, influxd, tmp_path)


def _day(plant: Plant, influxd: Influxd, folder: Path) -> None:
    influxd.create_database("beside")
    kernel(folder)
    (folder / "drivers/test").mkdir(parents=True)
    (folder / "drivers/test/meter.toml").write_text(PROFILE)
    with HubProcess(folder / "hub") as hub:
        token = folder / "hub-token"
        token.write_text(registered(hub.state_dir))
        token.chmod(0o600)
        page = free_port()
        gateway = Gateway(folder, site(folder, plant.port, page, influxd.url, hub))
        checked = gateway.verb("check")
        assert checked.returncode == 0, checked.stderr
        with gateway:
            gateway.wait(lambda: all(row["value"] is not None for row in rows(gateway).values()) and rows(gateway), "all have values")
            found = rows(gateway)
            assert set(found) == POINTS | {"tank-ma2"}
            assert (found["tank"]["value"], found["flow"]["value"]) == (0.66, pytest.approx(1.429 * 0.66**1.55 * 3600, rel=1e-7))
            assert found["apart"]["value"] == 2.56
            assert (found["flow"]["unit"], found["flow"]["zone"], found["apart"]["quantity"]) == ("m3/h", "hall", "difference")
            lay(folder / "counter/counter0/count0", count="44\n")
            plant.registers[1, 0] = 4  # across 0
            gateway.wait(lambda: (rows(gateway)["water"]["value"], rows(gateway)["unwrapped"]["value"]) == (30.0, 1.0), "totals")
            assert "derived" not in gateway.log()
            read = gateway.verb("read", "tank")
            assert "0.66 m" in read.stdout, read.stderr
            assert "raw=29120 scale=0.125" in read.stdout
            assert "is computed from tank" in gateway.verb("read", "flow").stderr
            assert "iio" in gateway.verb("status", "--json").stdout
            shown = fetch(f"http://127.0.0.1:{page}/?lang=en")
            assert all(each in shown for each in ("flow", "Disk free", "analogue inputs"))

            (folder / "iio/iio:device0/in_voltage1_raw").write_text("0\n")  # the wire breaks: current goes on, level does not
            (folder / "iio/iio:device0/in_voltage0_raw").write_text("0\n")
            gateway.wait(lambda: rows(gateway)["flow"]["quality"] == "bad:fault-current-low", "the flow follows its level")

            gateway.signal(signal.SIGKILL)
            gateway.wait(gateway._ended, "killed")
            lay(folder / "counter/counter0/count0", count="50\n")
            plant.registers |= instrument(1, 70002) | {(1, 0): 14}  # and somebody exchanges the meter
            heat = max(entry["values"][0] for entry in batches(gateway, "heat.derived"))
            gateway.start()
            gateway.wait(lambda: rows(gateway).get("water", {}).get("value") == 90.0, "the total goes on after kill -9")
            gateway.wait(lambda: rows(gateway)["unwrapped"]["value"] == 2.0, "and so does the derived one")
            gateway.wait(lambda: (rows(gateway)["heat"]["value"] or 0) > heat, "degree-minutes go on")
            gateway.wait(lambda: "instrument-replaced" in gateway.verb("status").stdout, "another instrument is told")
            gateway.wait(lambda: gateway.status()["sinks"]["influx"]["backlog"] == 0, "InfluxDB has all")
            gateway.wait(lambda: gateway.status()["sinks"]["hub"]["backlog"] == 0, "the hub holds all")
            told = json.loads(fetch(f"{hub.url}/api/v1/gateways/tlf-007/instruments"))["instruments"]
            assert [(each["event"], each["device"]) for each in told] == [
                ("instrument-replaced", "flow-meter"), ("instrument-identified", "flow-meter")
            ]  # fmt: skip
            assert (told[0]["old"]["serial"], told[0]["new"]["serial"]) == ("70001", "70002")
            assert gateway.status()["buses"]["plc"]["devices"]["flow-meter"]["identity"] == {"serial": "70002"}
            held = json.loads(fetch(f"{hub.url}/api/v1/gateways/tlf-007/points"))["points"]
            assert {point["point"] for point in held} == POINTS | {"tank-ma2"}
            assert gateway.stop() == 0
    stored = influxd.points("beside", "reading")
    assert {row["point"] for row in stored} == POINTS | {"tank-ma2"}
    assert {row["quality"] for row in stored if row["point"] == "flow"} >= {"good", "bad:fault-current-low"}
    replaced = [row for row in influxd.points("beside", "event") if row["kind"] == "instrument-replaced"]
    assert [json.loads(row["detail"])["new"]["serial"] for row in replaced] == ["70002"]
    assert "Traceback" not in gateway.log()
    totals = [entry["values"][0] for entry in batches(gateway, "meter.0")]
    assert totals == sorted(totals), "a total never falls"
    assert account(batches(gateway, "flow.derived"), batches(gateway, "loop.0")), "a derived reading for each of its input's"


def rows(gateway: Gateway) -> dict[str, dict[str, Any]]:
    return {row["point"]: row for row in gateway.status().get("rows", ())}


def batches(gateway: Gateway, group: str) -> list[dict[str, Any]]:
    reading = Reading(gateway.state)
    try:
        return [entry for _, entry in reading.entries() if entry["kind"] == "batch" and entry["group"] == group]
    finally:
        reading.close()


def account(derived: list[dict[str, Any]], inputs: list[dict[str, Any]]) -> bool:
    """The same slots, each derived entry behind its input's."""
    return [(entry["slot_us"], entry["mono_us"]) for entry in derived] == [(entry["slot_us"], entry["mono_us"]) for entry in inputs]


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())
