"""Devices that share a unit with holes and answers too slowly, while people reload, borrow the line and read: every slot and value is right."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random

import pytest

from edge_gateway.clock import SystemClock
from edge_gateway.errors import GatewayError
from edge_gateway.profiles.spec import DeviceSpec
from edge_gateway.reading import Batch
from edge_gateway.sources.modbus_source import ModbusSource
from tests.profiles.devices import device, registers
from tests.sources.modbus_plant import Plant, Recorder, running

pytestmark = pytest.mark.timing

TICK = 50_000
HOLES = {(1, 3), (2, 5)}


def wanting(random: Random, number: int) -> DeviceSpec:
    wanted = tuple(f"r{register}" for register in sorted(random.sample(range(8), random.randint(1, 4))))
    return device(registers(0, 8), id=f"d{number}", unit=1 + number // 3, interval_us=TICK, wanted=wanted)


async def disturb(random: Random, source: ModbusSource, devices: list[DeviceSpec]) -> None:
    """One of: a reload that changes one device, a line lent for up to 0.2 s, a person's reading."""
    await asyncio.sleep(random.uniform(0, 0.25))
    kind = random.random()
    if kind < 0.6:
        number = random.randrange(6)
        devices[number] = wanting(random, number)
        await source.update(devices)
    elif kind < 0.8:
        async with source.lent():
            await asyncio.sleep(random.uniform(0, 0.2))
    else:
        with suppress(GatewayError):
            await source.read_now({"unit": 1, "function": 3, "register": 0, "count": 1})


def judge(inbox: Recorder) -> int:
    """Good readings; each is its register's, and stands in the raw bytes of its batch."""
    good = 0
    for batch in (item for item in inbox.items if isinstance(item, Batch)):
        raw = {
            block.start + at // 2: int.from_bytes(block.data[at : at + 2])
            for block in batch.blocks
            for at in range(0, len(block.data), 2)
        }
        for point, value in zip(batch.group.points, batch.values, strict=True):
            register = int(point.rpartition("r")[2])
            if value is not None:
                assert value == 100 + register == raw[register]
                good += 1
    for number in range(6):
        inbox.account(f"d{number}.0", TICK)
    return good


async def test_no_slot_and_no_value_is_lost_or_confused() -> None:
    """N = 30 disturbances, seed 7."""
    random = Random(7)
    plant = Plant({(unit, at): 100 + at for unit in (1, 2) for at in range(8) if (unit, at) not in HOLES})
    await plant.start()

    async def slow(_unit: int, _start: int) -> None:
        part = random.random()
        await asyncio.sleep(0.12 if part < 0.05 else 0.02 if part < 0.2 else 0)

    plant.before = slow
    devices = [wanting(random, number) for number in range(6)]
    async with running(plant, list(devices), timeout_s=0.05) as (source, inbox):
        for _ in range(30):
            await disturb(random, source, devices)
    inbox.items += source.farewell(SystemClock(declared=True).mono_us())
    await plant.stop()
    assert judge(inbox) > 100


async def test_a_source_that_forgets_who_goes_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: what a reload drops is not accounted for."""
    monkeypatch.setattr(ModbusSource, "_retire", lambda self, slots, begins_us, mono_us: setattr(slots, "retired", True))
    with pytest.raises(AssertionError):
        await test_no_slot_and_no_value_is_lost_or_confused()
