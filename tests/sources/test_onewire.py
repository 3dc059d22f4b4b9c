"""Probes on a fake 1-Wire folder, slot by slot, and through the whole gateway."""

from __future__ import annotations

import asyncio
import json
import os
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from edge_gateway.clock import SystemClock
from edge_gateway.errors import ConfigError
from edge_gateway.journal.reading import Reading
from edge_gateway.profiles.spec import DeviceSpec, PointSpec
from edge_gateway.reading import BAD_FRAME, BAD_LINK_DOWN, BAD_NO_ANSWER, BAD_POWER_ON, GapClosed
from edge_gateway.sources.onewire import OneWireConfig
from tests.cli.site import Gateway
from tests.sources.local_site import TICK, lay, running, spec
from tests.sources.modbus_plant import until
from tests.sources.test_onewire_text import POWER_UP, pad, text

pytestmark = pytest.mark.timing

COLD, WARM = "28-0316a2794eff", "28-0000064d3a1c"


def bus(folder: Path, **settings: float) -> OneWireConfig:
    return OneWireConfig(kind="onewire", path=str(folder), **settings)


async def test_every_slot_is_a_reading_with_the_drivers_text(tmp_path: Path) -> None:
    said = text(pad(-18 * 16))
    lay(tmp_path / COLD, w1_slave=said)
    config = bus(tmp_path)
    async with running(config, [spec(config, "cold", COLD, "temperature")]) as (source, inbox):
        await until(lambda: len(inbox.items) >= 3)
    first = inbox.batches("cold.0")[0]
    assert (first.values, first.quality) == ([-18.0], None)
    assert first.message is not None
    assert (first.message.topic, first.message.payload.decode()) == (f"{COLD}/w1_slave", said)
    inbox.account("cold.0", TICK)
    assert source.health()["state"] == "up"


async def test_a_broken_checksum_is_tried_once_more_in_the_slot(tmp_path: Path) -> None:
    """The probe's file is a pipe: the first opening of each slot reads rubbish, the second is well."""
    lay(tmp_path / COLD)
    pipe = tmp_path / COLD / "w1_slave"
    os.mkfifo(pipe)
    good = text(pad(25 * 16))
    answers = [text(pad(0x0191), verdict="NO"), good, text(pad(0x0191), verdict="NO"), text(pad(0x0191), verdict="NO")]

    def feed() -> None:
        for answer in answers:
            with pipe.open("w") as end:
                while _held(pipe) < 2:  # the reader's opening has returned too
                    time.sleep(0.001)
                end.write(answer)
            while _held(pipe):  # the reader has closed it before the next is written
                time.sleep(0.001)

    config = bus(tmp_path)
    async with running(config, [spec(config, "cold", COLD, "temperature")]) as (_, inbox):
        await asyncio.to_thread(feed)
        await until(lambda: len(inbox.batches("cold.0")) >= 2)
    one, two = inbox.batches("cold.0")[:2]
    assert (one.values, one.quality) == ([25.0], None)
    assert (two.values, two.quality) == ([None], [BAD_FRAME])


def _held(file: Path) -> int:
    """How often this process has it open."""
    count = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            count += descriptor.readlink() == file
    return count


async def test_a_power_on_value_is_bad_and_the_probe_goes_on(tmp_path: Path) -> None:
    lay(tmp_path / COLD, w1_slave=text(POWER_UP))
    config = bus(tmp_path)
    async with running(config, [spec(config, "cold", COLD, "temperature")]) as (_, inbox):
        await until(lambda: inbox.batches("cold.0"))
        lay(tmp_path / COLD, w1_slave=text(pad(4 * 16)))
        await until(lambda: inbox.batches("cold.0")[-1].quality is None)
    assert inbox.batches("cold.0")[0].quality == [BAD_POWER_ON]
    assert inbox.batches("cold.0")[-1].values == [4.0]
    inbox.account("cold.0", TICK)


async def test_a_missing_probe_and_a_missing_bus_say_so(tmp_path: Path) -> None:
    lay(tmp_path / "w1" / WARM, w1_slave=text(pad(16)))
    config, nowhere = bus(tmp_path / "w1"), bus(tmp_path / "none")
    devices = [spec(config, "cold", COLD, "temperature"), spec(config, "warm", WARM, "temperature")]
    async with running(config, devices) as (source, inbox), running(nowhere, devices[:1]) as (lost, other):
        await until(lambda: inbox.batches("cold.0") and inbox.batches("warm.0") and other.batches("cold.0"))
        assert inbox.batches("cold.0")[0].quality == [BAD_NO_ANSWER]
        assert inbox.batches("warm.0")[0].quality is None
        assert source.health()["devices"]["cold"]["said"] == f"probe {COLD} is not on the bus; there are {WARM}"
        assert other.batches("cold.0")[0].quality == [BAD_LINK_DOWN]
        assert "dtoverlay=w1-gpio" in lost.health()["said"]


async def test_a_driver_that_hangs_holds_up_nobody_but_its_bus(tmp_path: Path) -> None:
    """The file is a pipe that nobody writes: opening it blocks, as a wedged driver does. The loop goes on turning."""
    lay(tmp_path / COLD)
    os.mkfifo(tmp_path / COLD / "w1_slave")
    config = bus(tmp_path, timeout_s=0.15)
    turns = 0
    async with running(config, [spec(config, "cold", COLD, "temperature")]) as (source, inbox):
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + 1.0
        while loop.time() < ends_s:
            await asyncio.sleep(0.005)
            turns += 1
        assert turns >= 100, "the event loop was blocked"
        assert inbox.batches("cold.0")[0].quality == [BAD_NO_ANSWER]
        assert [gap.reason for gap in inbox.gaps()] == ["unreachable"]
        assert "hangs" in source.health()["said"]
        with (tmp_path / COLD / "w1_slave").open("w") as end:  # the driver comes back
            end.write(text(pad(16)))
        (tmp_path / COLD / "w1_slave").unlink()
        lay(tmp_path / COLD, w1_slave=text(pad(16)))
        await until(lambda: inbox.batches("cold.0")[-1].quality is None)
    assert any(isinstance(item, GapClosed) for item in inbox.items)
    inbox.account("cold.0", TICK)


async def test_a_reload_leaves_other_devices_their_slots(tmp_path: Path) -> None:
    for probe in (COLD, WARM):
        lay(tmp_path / probe, w1_slave=text(pad(16)))
    config = bus(tmp_path)
    cold, warm = spec(config, "cold", COLD, "temperature"), spec(config, "warm", WARM, "temperature")
    async with running(config, [cold, warm]) as (source, inbox):
        await until(lambda: len(inbox.batches("cold.0")) >= 3)
        await source.update([cold, spec(config, "warm", WARM, "temperature", interval_us=2 * TICK)])
        await until(lambda: len(inbox.batches("warm.0")) >= 6 and not source.health()["gaps"])
        with pytest.raises(ConfigError):
            await source.update([spec(config, "cold", COLD, "temperature"), broken(cold)])
        await source.update([cold])
        await until(lambda: len(inbox.batches("cold.0")) >= 25)
    for item in source.farewell(SystemClock(declared=True).mono_us()):
        await inbox.put(item)
    inbox.account("cold.0", TICK)
    assert not inbox.gaps("cold.0")
    assert {gap.reason for gap in inbox.gaps("warm.0")} == {"reconfigured"}


def broken(device: DeviceSpec) -> DeviceSpec:
    """With a point whose channel there is not."""
    return replace(device, id="other", points=(PointSpec(id="x", channel="humidity"),))


async def test_a_full_journal_is_a_gap_and_not_a_queue(tmp_path: Path) -> None:
    lay(tmp_path / COLD, w1_slave=text(pad(16)))
    config = bus(tmp_path)
    async with running(config, [spec(config, "cold", COLD, "temperature")]) as (source, inbox):
        await until(lambda: inbox.batches("cold.0"))
        inbox.is_full = True
        await until(lambda: inbox.gaps("cold.0"))
        before = len(inbox.batches("cold.0"))
        await asyncio.sleep(3 * TICK / 1e6)  # slots pass: that none is read is what is shown
        assert len(inbox.batches("cold.0")) == before
        inbox.is_full = False
        await until(lambda: len(inbox.batches("cold.0")) > before)
    assert [gap.reason for gap in inbox.gaps("cold.0")] == ["journal-full"]
    inbox.account("cold.0", TICK)
    assert source.unaccounted_us(0) < 0


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
packs = ["house"]

[zones.cold]
stage = "storage"
kind = "frozen-store"
"""


def site(path: Path) -> str:
    return f"""{SITE}
[buses.probes]
kind = "onewire"
path = "{path}"

[devices.cold-probe]
bus = "probes"
probe = "{COLD}"
interval_s = 0.2

[points.cold-air]
device = "cold-probe"
channel = "temperature"
zone = "cold"
"""


def test_a_probe_is_judged_journaled_shown_and_read(tmp_path: Path) -> None:
    lay(tmp_path / "w1" / COLD, w1_slave=text(pad(-19 * 16)))
    gateway = Gateway(tmp_path, site(tmp_path / "w1"))
    checked = gateway.verb("check")
    assert checked.returncode == 0, checked.stderr
    with gateway:
        gateway.wait(lambda: gateway.status().get("points", {}).get("normal") == 1, "the probe within limits")
        one = gateway.verb("read", "cold-air")
        assert (one.returncode, one.stdout.startswith("cold-air  ")) == (0, True), one.stderr
        assert "-19.0 °C" in one.stdout
        assert f"{COLD}/w1_slave" in one.stdout
        lay(tmp_path / "w1" / WARM, w1_slave=text(pad(16)))  # an electrician adds a probe: status tells its number
        gateway.wait(lambda: f"there, without a device: {WARM}" in gateway.verb("status").stdout, "the new probe's number")
        lay(tmp_path / "w1" / COLD, w1_slave=text(pad(-5 * 16)))
        gateway.wait(lambda: gateway.status()["points"]["violation"] == 1, "a violation: a probe has rules like any point")
        (tmp_path / "w1" / COLD / "w1_slave").unlink()
        gateway.wait(lambda: gateway.status()["rows"][0]["quality"] == BAD_NO_ANSWER, "the probe is missed")
        shown = gateway.verb("status").stdout
        assert "no answer from the device" in shown
        assert gateway.stop() == 0
    alone = gateway.verb("read", "cold-air")
    assert (alone.returncode, "no answer" in alone.stdout) == (1, True)
    reading = Reading(gateway.state)
    try:
        batches = [entry for _, entry in reading.entries() if entry["kind"] == "batch"]
    finally:
        reading.close()
    assert batches[0]["values"] == [-19.0]
    assert json.dumps(batches[0]["message"]).count("t=-19000") == 1
    assert batches[-1]["quality"] == [BAD_NO_ANSWER]
