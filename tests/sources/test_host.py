"""The machine's own health: each channel from the kernel's file, and a machine that lacks one says so for that channel alone."""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.reading import BAD_LINK_DOWN, BAD_UNPARSED
from edge_gateway.sources.host import ContactSetting, HostConfig
from tests.sources.local_site import TICK, lay, running, spec
from tests.sources.modbus_plant import until

pytestmark = pytest.mark.timing

ALL = ("clock-synchronised", "clock-error", "disk-free", "memory-free", "cpu-temperature", "under-voltage", "uptime")


def machine(folder: Path) -> HostConfig:
    lay(folder / "proc", meminfo="MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 375 kB\n", uptime="12345.67 2.0\n")
    lay(folder / "sys/class/thermal/thermal_zone0", type="cpu-thermal\n", temp="48312\n")
    lay(folder / "sys/class/hwmon/hwmon0", name="cpu_thermal\n")
    lay(folder / "sys/class/hwmon/hwmon1", name="rpi_volt\n", in0_lcrit_alarm="0\n")
    return HostConfig(kind="host", disk=str(folder), sys=str(folder / "sys"), proc=str(folder / "proc"))


async def test_every_channel(tmp_path: Path) -> None:
    config = machine(tmp_path)
    async with running(config, [spec(config, "box", None, *ALL)]) as (source, inbox):
        await until(lambda: inbox.batches("box.0"))
        lay(tmp_path / "sys/class/hwmon/hwmon1", in0_lcrit_alarm="1\n")
        await until(lambda: inbox.batches("box.0")[-1].values[5] == 1)
    first = inbox.batches("box.0")[0]
    assert first.quality is None, source.health()
    found = dict(zip(ALL, first.values, strict=True))
    stat = os.statvfs(tmp_path)
    assert found["clock-synchronised"] in (0, 1)
    assert isinstance(found["clock-error"], float)
    assert found["disk-free"] == pytest.approx(stat.f_bavail / stat.f_blocks * 100, abs=2)
    assert (found["memory-free"], found["cpu-temperature"]) == (37.5, 48.312)
    assert (found["under-voltage"], found["uptime"]) == (0, 12345.67)
    inbox.account("box.0", TICK)


@pytest.mark.parametrize(("word", "now"), [("0\n", 0), ("50000\n", 0), ("50005\n", 1), ("1\n", 1)])
async def test_the_firmwares_word_where_there_is_no_hwmon(tmp_path: Path, word: str, now: int) -> None:
    config = machine(tmp_path)
    (tmp_path / "sys/class/hwmon/hwmon1/name").write_text("other\n")
    lay(tmp_path / "sys/devices/platform/soc/soc:firmware", get_throttled=word)
    async with running(config, [spec(config, "box", None, "under-voltage")]) as (_, inbox):
        await until(lambda: inbox.batches("box.0"))
    assert inbox.batches("box.0")[0].values == [now]


async def test_what_this_machine_cannot_tell_is_bad_alone(tmp_path: Path) -> None:
    config = machine(tmp_path)
    (tmp_path / "sys/class/hwmon/hwmon1/name").write_text("other\n")
    (tmp_path / "sys/class/thermal/thermal_zone0/temp").write_text("hot\n")
    async with running(config, [spec(config, "box", None, "under-voltage", "cpu-temperature", "uptime")]) as (source, inbox):
        await until(lambda: inbox.batches("box.0"))
        said = source.health()["devices"]["box"]["said"]
    (batch, *_) = inbox.batches("box.0")
    assert batch.values == [None, None, 12345.67]
    assert batch.quality == [BAD_LINK_DOWN, BAD_UNPARSED, "good"]
    assert "no rpi_volt" in said


async def test_a_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No chip is at hand: ``ioctl`` is answered with the kernel's layouts, the line's level is ours to set."""
    (tmp_path / "gpiochip0").touch()
    high = [1]

    def answer(_descriptor: int, number: int, argument: Any) -> int:
        if number == 0xC250B407:
            flags, attrs = struct.unpack_from("=QI", argument, 288)
            assert (flags, attrs) == (0x4 | 0x100, 0), "an input with pull-up, no edges"
            reading, writing = os.pipe()
            os.close(writing)
            argument[588:592] = struct.pack("=i", reading)
        else:
            assert (number, len(argument)) == (0xC010B40E, 16)
            argument[:8] = struct.pack("=Q", high[0])
        return 0

    monkeypatch.setattr(fcntl, "ioctl", answer)
    config = machine(tmp_path)
    door = ContactSetting(chip=str(tmp_path / "gpiochip0"), line=4)
    async with running(config, [spec(config, "door", door, "contact")]) as (_, inbox):
        await until(lambda: inbox.batches("door.0"))
        high[0] = 0
        await until(lambda: inbox.batches("door.0")[-1].values == [1])
    assert inbox.batches("door.0")[0].values == [0], "pulled up: the contact is open"


async def test_a_door_without_a_chip_says_so(tmp_path: Path) -> None:
    config = machine(tmp_path)
    door = ContactSetting(chip=str(tmp_path / "none"), line=4)
    async with running(config, [spec(config, "door", door, "contact")]) as (source, inbox):
        await until(lambda: inbox.batches("door.0"))
        assert "gpioinfo" in source.health()["devices"]["door"]["said"]
    assert inbox.batches("door.0")[0].quality == [BAD_LINK_DOWN]


async def test_a_disk_of_no_size_is_bad_alone(tmp_path: Path) -> None:
    config = machine(tmp_path).model_copy(update={"disk": "/proc"})
    async with running(config, [spec(config, "box", None, "disk-free", "uptime")]) as (_, inbox):
        await until(lambda: len(inbox.batches("box.0")) >= 2)
    assert inbox.batches("box.0")[0].quality == [BAD_UNPARSED, "good"]
