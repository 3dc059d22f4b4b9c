"""A group that goes while its slot is due: that slot too is in the record, with the reason."""

from __future__ import annotations

import asyncio

from edge_gateway.clock import SystemClock
from edge_gateway.reading import Batch, GapClosed
from edge_gateway.sources.modbus_source import ModbusSource
from tests.profiles.devices import device, registers
from tests.sources.modbus_plant import Plant, Recorder, running, until, words

TICK = 100_000


def accounted_until(inbox: Recorder, group: str) -> int:
    """The first slot (µs) of ``group`` of which nothing is said."""
    inbox.account(group, TICK)
    gaps = {gap.id for gap in inbox.gaps(group)}
    ends = [item.until_slot_us for item in inbox.items if isinstance(item, GapClosed) and item.id in gaps]
    slots = [(item.slot_us or 0) + TICK for item in inbox.items if isinstance(item, Batch) and item.group.id == group]
    return max(ends + slots)


async def test_a_bus_that_is_stopped_in_the_midst_of_a_question() -> None:
    plant, asked = Plant(words(1, [1]) | words(2, [1])), asyncio.Event()
    await plant.start()
    devices = [device(registers(0, 1), id=f"d{unit}", unit=unit, interval_us=TICK) for unit in (1, 2)]
    async with running(plant, devices, timeout_s=2) as (source, inbox):
        await until(lambda: all(len(inbox.batches(f"d{unit}.0")) >= 2 for unit in (1, 2)))

        async def hang(_unit: int, _start: int) -> None:
            asked.set()
            await asyncio.sleep(60)

        plant.before = hang
        await until(asked.is_set)
        await asyncio.sleep(0.01)
    now_us = SystemClock(declared=True).mono_us()
    inbox.items += source.farewell(now_us)
    for unit in (1, 2):
        assert accounted_until(inbox, f"d{unit}.0") > now_us, "a due slot of which nothing is said"
    await plant.stop()


async def test_a_device_that_goes_while_it_waits_for_another() -> None:
    plant, asked = Plant(words(1, [1]) | words(2, [1])), asyncio.Event()
    await plant.start()
    both = [device(registers(0, 1), id=f"d{unit}", unit=unit, interval_us=TICK) for unit in (1, 2)]
    held: list[int] = []

    async def hold(unit: int, _start: int) -> None:
        held.append(unit)
        asked.set()
        await asyncio.sleep(0.04)

    async with running(plant, both, timeout_s=2) as (source, inbox):
        await until(lambda: all(len(inbox.batches(f"d{unit}.0")) >= 2 for unit in (1, 2)))
        plant.before = hold
        await until(asked.is_set)
        (other,) = {1, 2} - {held[0]}
        due_us = due(source, f"d{other}.0")
        await source.update([one for one in both if one.unit == held[0]])
        await until(lambda: len(inbox.batches(f"d{held[0]}.0")) >= 6)
    assert accounted_until(inbox, f"d{other}.0") == due_us + TICK
    assert [gap.reason for gap in inbox.gaps(f"d{other}.0")] == ["reconfigured"]
    await plant.stop()


def due(source: ModbusSource, group: str) -> int:
    return next(slots.due_us for poll in source.bus.polls for slots in poll.slots if slots.group.id == group)
