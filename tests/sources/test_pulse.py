"""Pulse totals: exact arithmetic, counters that wrap or begin anew, lines by the kernel's own numbering, and restarts.

No GPIO chip and no kernel counter is at hand here. The counter is a folder laid out like the kernel's. For lines, ``ioctl`` is
answered by ``Chip``, which checks what it is asked (layout and numbers as a C program prints them from linux/gpio.h) and hands
out a pipe that carries the kernel's event records.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from edge_gateway.clock import SystemClock
from edge_gateway.errors import LinkDown
from edge_gateway.links import gpio
from edge_gateway.reading import BAD_LINK_DOWN, BAD_MISSING, GOOD, UNCERTAIN_RESET
from edge_gateway.sources.pulse import PulseConfig, PulseSetting
from edge_gateway.sources.pulse_total import Total, advance, quantity
from tests.sources.local_site import TICK, lay, running, spec
from tests.sources.modbus_plant import Recorder, until

pytestmark = pytest.mark.timing


def test_a_total_is_exact_after_ten_thousand_restarts() -> None:
    """N = 10,000 lives of a counter, seed 5: the total is the number of pulses, to the last one."""
    random = Random(5)
    total: Total | None = None
    true = count = 0
    for life in range(10_000):
        count = 0 if life else 7_000_000  # the first reading ever takes the counter as it stands
        for _ in range(random.randrange(1, 5)):
            total, mark = advance(total, count, f"boot{life}")
            new = random.randrange(0, 500)
            count, true = count + new, true + new
            assert mark in (GOOD, UNCERTAIN_RESET)
        total, _ = advance(total, count, f"boot{life}")
        assert total.pulses == true
        total = Total.of(total.keep())


def test_a_new_life_is_said_once() -> None:
    total, mark = advance(Total(10, 10, "a"), 3, "b")
    assert (total.pulses, mark) == (13, UNCERTAIN_RESET)
    total, mark = advance(total, 4, "b")
    assert (total.pulses, mark) == (14, GOOD)


def test_a_driver_loaded_anew_is_no_flood() -> None:
    total, mark = advance(Total(5_000_000, 4_000_000, "a"), 2, "a")
    assert (total.pulses, mark) == (5_000_002, UNCERTAIN_RESET)


@pytest.mark.parametrize(("before", "after", "new"), [(2**32 - 3, 4, 7), (2**31 - 2, -(2**31), 2), (2**31 - 1, 2**64 - 2**31, 1)])
def test_32_bits_wrap_without_a_jump(before: int, after: int, new: int) -> None:
    total, mark = advance(Total(100, before, "a"), after, "a")
    assert (total.pulses, mark) == (100 + new, GOOD)


def test_a_planted_total_that_takes_differences_as_they_are_is_caught() -> None:
    def naive(total: Total, count: int) -> int:
        return total.pulses + count - total.count

    assert naive(Total(100, 2**32 - 3, "a"), 4) != advance(Total(100, 2**32 - 3, "a"), 4, "a")[0].pulses
    assert naive(Total(10, 10, "a"), 3) < 10 <= advance(Total(10, 10, "a"), 3, "b")[0].pulses


@pytest.mark.parametrize(("pulses", "per", "start", "expected"), [(3, 0.1, 0.0, 0.3), (7, 0.01, 12345.67, 12345.74), (0, 1.0, 0.1, 0.1)])
def test_the_quantity_is_the_decimal_that_people_expect(pulses: int, per: float, start: float, expected: float) -> None:
    assert quantity(pulses, per, start) == expected


# --- the kernel's counter -----------------------------------------------------------------------------------------


def counter(folder: Path, count: int) -> None:
    lay(folder / "counter0" / "count0", count=f"{count}\n")


METER = PulseSetting(count="counter0/count0", unit="L", per_pulse=10.0, start=500.0)


async def test_a_counter_is_read_and_kept(tmp_path: Path) -> None:
    counter(tmp_path, 1000)
    config = PulseConfig(kind="pulse", path=str(tmp_path))
    devices = [spec(config, "meter", METER, "total", "pulses")]
    async with running(config, devices) as (_, inbox):
        await until(lambda: inbox.batches("meter.0"))
        counter(tmp_path, 1003)
        await until(lambda: inbox.batches("meter.0")[-1].values == [530.0, 3])
    last = inbox.batches("meter.0")[-1]
    assert last.keep is not None
    inbox.account("meter.0", TICK)
    counter(tmp_path, 1005)  # counted by the kernel while nobody looked
    async with running(config, devices, {"meter": last.keep}) as (_, after):
        await until(lambda: after.batches("meter.0"))
    assert (after.batches("meter.0")[0].values, after.batches("meter.0")[0].quality) == ([550.0, 5], None)


async def test_a_person_s_look_leaves_the_mark_of_a_counter_that_began_anew_to_the_record(tmp_path: Path) -> None:
    counter(tmp_path, 1000)
    config = PulseConfig(kind="pulse", path=str(tmp_path))
    devices = [spec(config, "meter", METER, "total", "pulses")]
    kept = {"meter": {"pulses": 40, "count": 990, "life": "an earlier boot"}}
    source = config.build("bus", devices, SystemClock(declared=True), kept)
    for _ in range(2):
        looked = await source.read_now({"point": "meter-total"})
        assert (looked["value"], looked["quality"]) == (500.0 + 10 * 1040, UNCERTAIN_RESET)
    inbox = Recorder()
    task = asyncio.create_task(source.run(inbox))
    await until(lambda: len(inbox.batches("meter.0")) > 1)
    task.cancel()
    await asyncio.wait([task])
    first, second = inbox.batches("meter.0")[:2]
    assert (first.values, first.quality) == ([10_900.0, 1040], [UNCERTAIN_RESET] * 2)
    assert (second.values, second.quality) == ([10_900.0, 1040], None)


async def test_without_a_gateway_there_is_no_total_to_read(tmp_path: Path) -> None:
    """The counter alone says nothing of what was counted before: not a number is shown, least of all a total from 0."""
    counter(tmp_path, 1000)
    config = PulseConfig(kind="pulse", path=str(tmp_path))
    alone = config.build("bus", [spec(config, "meter", METER, "total")], SystemClock(declared=True))
    answer = await alone.read_now({"point": "meter-total"})
    alone.close()
    assert (answer["value"], answer["quality"]) == (None, BAD_MISSING)
    assert "running gateway" in answer["data"]


async def test_a_counter_that_is_gone_leaves_the_total_alone(tmp_path: Path) -> None:
    counter(tmp_path, 5)
    config = PulseConfig(kind="pulse", path=str(tmp_path))
    async with running(config, [spec(config, "meter", METER, "total")]) as (source, inbox):
        await until(lambda: inbox.batches("meter.0"))
        (tmp_path / "counter0" / "count0" / "count").unlink()
        await until(lambda: inbox.batches("meter.0")[-1].quality == [BAD_LINK_DOWN])
        assert "no such counter" in source.health()["devices"]["meter"]["said"]
        counter(tmp_path, 9)
        await until(lambda: inbox.batches("meter.0")[-1].quality is None)
    assert inbox.batches("meter.0")[-1].values == [540.0]


# --- lines --------------------------------------------------------------------------------------------------------


class Chip:
    """A GPIO chip as the kernel's interface shows it: answers the one request, and sends events."""

    def __init__(self, folder: Path) -> None:
        self.device = folder / "gpiochip0"
        self.device.touch()
        self.requests: list[bytes] = []
        self.pipes: list[int] = []
        self.seqno = 0

    def ioctl(self, _descriptor: int, number: int, argument: bytearray) -> int:
        assert (number, len(argument)) == (0xC250B407, 592)
        self.requests.append(bytes(argument))
        reading, writing = os.pipe()
        self.pipes.append(writing)
        argument[588:592] = struct.pack("=i", reading)
        self.seqno = 0
        return 0

    def pulse(self, edges: int, *, drop: int = 0) -> None:
        """That many edges, of which the kernel's buffer dropped the first ``drop``."""
        for number in range(edges):
            self.seqno += 1
            if number >= drop:
                event = struct.pack("=QIIII24x", 10**9 + number, 2, 17, self.seqno, self.seqno)
                os.write(self.pipes[-1], event)


@pytest.fixture
def chip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chip]:
    made = Chip(tmp_path)

    def answer(descriptor: int, number: int, argument: Any) -> int:
        return made.ioctl(descriptor, number, argument)

    monkeypatch.setattr(fcntl, "ioctl", answer)
    yield made
    for writing in made.pipes:
        os.close(writing)


def test_a_line_is_requested_as_the_header_says(chip: Chip) -> None:
    settings = gpio.LineSettings(chip=str(chip.device), line=17, edge="falling", debounce_us=5000)
    os.close(gpio.open_line(settings))
    (request,) = chip.requests
    assert struct.unpack_from("=I", request, 0) == (17,)
    assert request[256:288].rstrip(b"\0") == b"edge-gateway"
    flags, attrs = struct.unpack_from("=QI", request, 288)
    assert (flags, attrs) == (0x4 | 0x20 | 0x100, 1), "input, falling edge, pull-up: never an output"
    assert struct.unpack_from("=IIIIQ", request, 320) == (3, 0, 5000, 0, 1)
    assert struct.unpack_from("=II", request, 560) == (1, 1024)


def test_dropped_events_are_counted_by_their_numbers(chip: Chip) -> None:
    line = gpio.open_line(gpio.LineSettings(chip=str(chip.device), line=17, edge="falling"))
    edges = gpio.Edges()
    chip.pulse(3)
    assert edges.drain(line) == 3
    chip.pulse(900, drop=880)
    assert (edges.drain(line), edges.dropped) == (903, 880)
    os.close(line)


def test_a_chip_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(LinkDown, match="cannot be opened"):
        gpio.open_line(gpio.LineSettings(chip=str(tmp_path / "none"), line=1))


async def test_a_line_counts_on_after_a_reload_and_a_restart(chip: Chip) -> None:
    config = PulseConfig(kind="pulse", chip=str(chip.device))
    setting = PulseSetting(line=17, unit="m3", per_pulse=0.1)
    devices = [spec(config, "meter", setting, "total")]
    async with running(config, devices) as (source, inbox):
        await until(lambda: inbox.batches("meter.0"))
        chip.pulse(5)
        await until(lambda: inbox.batches("meter.0")[-1].values == [0.5])
        keep = inbox.batches("meter.0")[-1].keep
        assert keep is not None
        chip.pulse(2)  # since the last look: a reload hands them over
    assert source.memory()["meter"]["pulses"] == 7
    async with running(config, devices, source.memory()) as (_, inbox):
        await until(lambda: inbox.batches("meter.0"))
    assert (inbox.batches("meter.0")[0].values, inbox.batches("meter.0")[0].quality) == ([0.7], [UNCERTAIN_RESET])
    async with running(config, devices, {"meter": keep}) as (_, inbox):  # killed instead: those two are lost, and it is said
        await until(lambda: inbox.batches("meter.0"))
    assert (inbox.batches("meter.0")[0].values, inbox.batches("meter.0")[0].quality) == ([0.5], [UNCERTAIN_RESET])
