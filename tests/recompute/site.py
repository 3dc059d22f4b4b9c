"""A site with every kind of source, written into a real journal by the real intake: what each source would hand over, from its own parts."""

from __future__ import annotations

import random
import struct
from pathlib import Path
from typing import Any

from edge_gateway.app.field import Field
from edge_gateway.config.load import Loaded, load
from edge_gateway.config.resolve import device_specs, setup
from edge_gateway.intake.inbox import Inbox
from edge_gateway.intake.state import Setup
from edge_gateway.profiles.decode import decoder
from edge_gateway.profiles.payload import PayloadReader
from edge_gateway.profiles.plan import plan
from edge_gateway.profiles.spec import DeviceSpec
from edge_gateway.reading import BAD_NO_ANSWER, GOOD, Batch, Block, Group, Message
from edge_gateway.sources.local_look import Found, Reader, Unread, column
from edge_gateway.testing import FakeClock
from tests.sources.local_site import lay

METER = """
id = "house/meter"
vendor = "House"
model = "Meter"
name_zh = "表"
name_en = "Meter"
verified = "no"
[[sources]]
cite = "made for this test, of every form that registers have"
verified = "no"
[modbus]
gap_readable = true
[channels.flow]
function = 3
register = 0
type = "float32"
order = "CDAB"
scale = "0.1"
quantity = "flow"
unit = "m3/h"
[channels.total]
function = 3
register = 4
type = "uint32"
order = "ABCD"
quantity = "count"
unit = "1"
[channels.wide]
function = 3
register = 8
type = "uint64"
quantity = "count"
unit = "1"
[channels.pump]
function = 1
register = 3
type = "bool"
quantity = "state"
unit = "1"
"""

CONFIG = """
[site]
id = "tlf-007"
origin = "example.org/xj"
name_zh = "站"
name_en = "Site"
[rules]
packs = []
[zones.hall]
stage = "washing"
kind = "cleaning-line"
[buses.plc]
kind = "tcp"
host = "127.0.0.1"
port = 1502
[buses.broker]
kind = "mqtt"
host = "127.0.0.1"
[buses.wire]
kind = "onewire"
path = "{folder}/w1"
[buses.loops]
kind = "iio"
device = "ads1115"
path = "{folder}/iio"
[buses.counters]
kind = "pulse"
path = "{folder}/counter"
[buses.box]
kind = "host"
disk = "{folder}"
sys = "{folder}/sys"
proc = "{folder}/proc"
[devices.meter]
bus = "plc"
unit = 7
profile = "house/meter"
interval_s = 10
[devices.air]
bus = "plc"
unit = 8
profile = "generic/xy-md02"
interval_s = 10
[devices.node]
bus = "broker"
topic = "tele/node/SENSOR"
profile = "tasmota/ds18b20"
[devices.probe]
bus = "wire"
probe = "28-0316a2794eff"
interval_s = 10
[devices.level]
bus = "loops"
interval_s = 10
loop = {{ input = "voltage0", shunt_ohm = 150, quantity = "level", unit = "m", low = 0.0, high = 3.3 }}
[devices.water]
bus = "counters"
interval_s = 10
pulse = {{ count = "counter0/count0", unit = "m3", per_pulse = 0.01, start = 1204.3 }}
[devices.gateway]
bus = "box"
interval_s = 10
[derived.both]
kind = "sum"
of = ["flow", "flow2"]
zone = "hall"
[derived.flow2]
kind = "flume"
of = ["tank"]
unit = "m3/h"
c = 0.1771
n = 1.548
zone = "hall"
[derived.heat]
kind = "degree-minutes"
of = ["air-t"]
limit_cel = -18
zone = "hall"
[derived.wraps]
kind = "counter"
of = ["pulses"]
modulus = 65536
unit = "m3"
zone = "hall"
"""
POINTS = {
    "flow": ("meter", "flow"), "total": ("meter", "total"), "wide": ("meter", "wide"), "pump": ("meter", "pump"),
    "air-t": ("air", "temperature"), "air-h": ("air", "humidity"), "node-b": ("node", "temperature"), "probe-t": ("probe", "temperature"),
    "tank": ("level", "value"), "tank-ma": ("level", "current"), "water": ("water", "total"), "pulses": ("water", "pulses"),
    "disk": ("gateway", "disk-free"), "hot": ("gateway", "cpu-temperature"), "up": ("gateway", "uptime"),
}  # fmt: skip


class Site:
    """Its configuration, and ``round``: what all its sources hand over in one slot, by chance of ``seed``."""

    def __init__(self, folder: Path, clock: FakeClock, seed: int = 1) -> None:
        self.folder, self.clock, self.chance = folder, clock, random.Random(seed)
        (folder / "drivers/house").mkdir(parents=True, exist_ok=True)
        self.profile_file = folder / "drivers/house/meter.toml"
        self.profile_file.write_text(METER)
        flume_first = CONFIG.index("[derived.both]"), CONFIG.index("[derived.flow2]"), CONFIG.index("[derived.heat]")
        both, flow2, heat = flume_first
        text = CONFIG[:both] + CONFIG[flow2:heat] + CONFIG[both:flow2] + CONFIG[heat:]
        text = text.format(folder=folder)
        for point, (device, channel) in POINTS.items():
            select = 'select = "00000B"\n' if device == "node" else ""
            text += f'[points.{point}]\ndevice = "{device}"\nchannel = "{channel}"\nzone = "hall"\n{select}'
        (folder / "gateway.toml").write_text(text)
        self.count = 65_000
        self._lay()
        self.reload()
        self._readers: dict[str, Reader] = {}

    def reload(self) -> None:
        """Read the files anew."""
        self.loaded: Loaded = load(self.folder / "gateway.toml", None, running=False)
        self.field = Field(self.loaded, clock=self.clock, inbox=Inbox(), messages={}, kept={})
        self.specs = {spec.id: spec for specs in device_specs(self.loaded).values() for spec in specs}
        self.groups: dict[str, Group] = {group.device: group for group in self.field.groups().values()}

    def setup(self, software: str = "1") -> Setup:
        """What intake is told."""
        return setup(self.loaded, self.field.groups(), software)

    def _lay(self) -> None:
        lay(self.folder / "proc", meminfo="MemTotal: 9 kB\nMemAvailable: 3 kB\n", uptime=f"{self.clock.mono_us() / 1e6:.2f} 1\n")
        lay(self.folder / "sys/class/thermal/thermal_zone0", type="cpu-thermal\n", temp=f"{self.chance.randint(30000, 60000)}\n")
        lay(self.folder / "iio/iio:device0", name="ads1115\n", in_voltage0_raw=f"{self.chance.randint(900, 24000)}\n", in_voltage_scale="0.125\n")
        lay(self.folder / "counter/counter0/count0", count=f"{self.count}\n")
        data = self.chance.choice([b"\x72\x01\x4b\x46\x7f\xff\x0e\x10", b"\x50\x05\x4b\x46\x7f\xff\x0c\x10", b"\x50\x05\x4b\x46\x7f\xff\x0e\x10"])
        from edge_gateway.sources.onewire_text import crc8

        pad = " ".join(f"{b:02x}" for b in data + bytes([crc8(data)]))
        verdict = self.chance.choice(["YES", "YES", "YES", "NO"])
        lay(self.folder / "w1/28-0316a2794eff", w1_slave=f"{pad} : crc=00 {verdict}\n{pad} t=23125\n")

    def round(self) -> list[Batch]:
        """One batch of each device, 10 s after the last round."""
        self.clock.advance(10_000_000)
        self.count += self.chance.randint(0, 400)
        self._lay()
        batches = [self.registers("meter"), self.registers("air"), self.message()]
        return batches + [self.local(device) for device in ("probe", "level", "water", "gateway")]

    def registers(self, device: str) -> Batch:
        """As a turn of the line makes it; now and then nobody answers, or one of two requests has no answer."""
        spec = self.specs[device]
        (poll,) = plan(spec)
        group = self.groups[device]
        values: list[Any] = [None] * len(group.points)
        quality = [BAD_NO_ANSWER] * len(values)
        blocks = []
        for block in poll.blocks:
            if self.chance.random() < 0.1:
                continue
            data = self._bytes(device, block.count, block.function, block.start)
            some, marks = decoder(block)(data)
            for index, field in enumerate(block.fields):
                values[field.column], quality[field.column] = some[index], marks[index] if marks else GOOD
            blocks.append(Block(unit=spec.unit, function=block.function, start=block.start, data=data))
        return self._batch(group, values, quality, blocks=blocks)

    def _bytes(self, device: str, count: int, function: int, start: int) -> bytes:
        chance = self.chance
        if function == 1:
            return bytes([chance.getrandbits(count)])
        if device == "air":
            return struct.pack(">hH", chance.choice([-205, -180, 31, 0x7FFF, -179]), chance.randint(0, 1100))
        flow = struct.pack(">f", chance.choice([12.34, 0.1, 7.7e-3, float("nan"), 1e30]))
        known = {0: flow[2:] + flow[:2], 4: struct.pack(">I", chance.getrandbits(32)), 8: struct.pack(">Q", chance.getrandbits(64))}
        data = bytearray(2 * count)
        for register, its in known.items():
            if start <= register and register - start + len(its) // 2 <= count:
                data[2 * (register - start) : 2 * (register - start) + len(its)] = its
        return bytes(data)

    def message(self, payload: bytes | None = None) -> Batch:
        """One of two probes of a node."""
        probe = f'"DS18B20-2":{{"Id":"00000B","Temperature":{self.chance.choice(["21.06", "-127", "null", "126"])}}}'
        text = f'{{"Time":"2026-11-27T10:00:{self.chance.randint(10, 59)}+08:00","DS18B20-1":{{"Id":"00000A","Temperature":1.5}},{probe}}}'
        data = payload or text.encode()
        spec = self.specs["node"]
        read = PayloadReader(spec).read(data)
        message = Message(topic=spec.topic, payload=data, packet_id=0, time_us=read.time_us)
        return self._batch(self.groups["node"], read.values, read.quality, message=message, slot=False)

    def local(self, device: str) -> Batch:
        """As a source of this machine's own makes it."""
        spec: DeviceSpec = self.specs[device]
        bus = self.loaded.config.devices[device].bus
        config: Any = self.loaded.config.buses[bus]
        if bus not in self._readers:
            self._readers[bus] = config.reader({}, self.clock.boot)
            self._readers[bus].open([spec])
        found: Found | Unread
        try:
            found = self._readers[bus].read(spec)
        except Unread as unread:
            found = unread
        columns = [column(found, point.channel) for point in spec.points]
        batch = self._batch(self.groups[device], [value for value, _ in columns], [mark for _, mark in columns])
        if isinstance(found, Found):
            if (recorded := getattr(self._readers[bus], "recorded", None)) is not None:
                recorded(spec, found)
            batch.keep = found.keep
            batch.message = Message(topic=found.topic, payload=found.text) if found.text else None
        return batch

    def _batch(self, group: Group, values: list[Any], quality: list[str] | None, *, slot: bool = True, **more: Any) -> Batch:
        marks = None if quality is None or all(mark == GOOD for mark in quality) else quality
        slot_us = self.clock.mono_us() if slot else None
        return Batch(
            group=group, mono_us=self.clock.mono_us(), wall_us=self.clock.wall_us(), values=values, quality=marks, slot_us=slot_us, **more
        )
