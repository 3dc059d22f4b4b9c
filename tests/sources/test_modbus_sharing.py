"""Logical devices behind one unit: one exchange feeds them all, each with its own bytes, slots and gaps."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from edge_gateway.profiles.spec import DeviceSpec, PointSpec
from edge_gateway.reading import BAD_NO_ANSWER, BAD_REFUSED, GOOD, Batch
from tests.profiles.devices import profile, registers
from tests.sources.modbus_plant import SILENT, Plant, running, until, words

pytestmark = pytest.mark.timing

TICK = 100_000  # µs
SHARED = profile(registers(0, 26))
FLAGS = profile(registers(0, 40, function=2, type="bool"))


def logical(number: int, *, interval_us: int = TICK) -> DeviceSpec:
    """Device n reads registers 2n and 2n + 1 of unit 1."""
    points = tuple(PointSpec(id=f"d{number}-r{a}", channel=f"r{a}") for a in (2 * number, 2 * number + 1))
    return DeviceSpec(id=f"d{number}", profile=SHARED, points=points, interval_us=interval_us, unit=1)


@pytest.fixture
async def plant() -> AsyncIterator[Plant]:
    made = Plant(words(1, range(100, 126)))
    await made.start()
    yield made
    await made.stop()


async def test_thirteen_devices_cost_one_poll(plant: Plant) -> None:
    devices = [logical(n) for n in range(13)]
    async with running(plant, devices) as (source, inbox):
        await until(lambda: all(len(inbox.batches(f"d{n}.0")) >= 3 for n in range(13)))
        asked = list(plant.asked)
    assert [group.id for group in source.groups()] == [f"d{n}.0" for n in range(13)]
    assert set(asked) == {(1, 3, 0, 26)}
    slots = {batch.slot_us for batch in inbox.items if isinstance(batch, Batch)}
    assert len(slots) <= len(asked) <= len(slots) + 1, "one request a slot"
    for n in range(13):
        inbox.account(f"d{n}.0", TICK)
        for batch in inbox.batches(f"d{n}.0"):
            assert (batch.values, batch.quality) == ([100 + 2 * n, 101 + 2 * n], None)
            (block,) = batch.blocks
            assert (block.unit, block.function, block.start) == (1, 3, 2 * n)
            assert block.data == bytes((0, 100 + 2 * n, 0, 101 + 2 * n)), "its own bytes and no others"


async def test_bits_are_shared_in_whole_bytes(plant: Plant) -> None:
    packed = 0b10110010_11110000_00001111_10101010_01010101
    plant.answer = lambda *asked: bytes((2, 5)) + packed.to_bytes(5, "little")  # type: ignore[method-assign]
    ends = DeviceSpec(id="a", profile=FLAGS, points=(PointSpec(id="a0", channel="r0"),), interval_us=TICK, unit=1)
    inner = DeviceSpec(
        id="b",
        profile=FLAGS,
        points=tuple(PointSpec(id=f"b{n}", channel=f"r{n}") for n in (19, 20, 39)),
        interval_us=TICK,
        unit=1,
    )
    async with running(plant, [ends, inner]) as (_, inbox):
        await until(lambda: inbox.batches("b.0"))
    assert plant.asked[0] == (1, 2, 0, 40)
    batch = inbox.batches("b.0")[0]
    assert batch.values == [packed >> n & 1 for n in (19, 20, 39)]
    (block,) = batch.blocks
    assert (block.start, block.data) == (16, packed.to_bytes(5, "little")[2:])


async def test_intervals_are_polls_of_their_own(plant: Plant) -> None:
    devices = [logical(0), logical(1), logical(2, interval_us=3 * TICK)]
    async with running(plant, devices) as (_, inbox):
        await until(lambda: len(inbox.batches("d2.0")) >= 2)
        assert set(plant.asked) == {(1, 3, 0, 4), (1, 3, 4, 2)}
    inbox.account("d2.0", 3 * TICK)


async def test_a_silent_unit_opens_a_gap_of_each_group(plant: Plant) -> None:
    devices = [logical(n) for n in range(3)]
    async with running(plant, devices, backoff_first_s=0.25, backoff_most_s=0.3) as (_, inbox):
        await until(lambda: all(inbox.batches(f"d{n}.0") for n in range(3)))
        plant.trouble[1] = SILENT
        await until(lambda: all(inbox.gaps(f"d{n}.0") for n in range(3)))
        plant.trouble.clear()
        await until(lambda: all(inbox.batches(f"d{n}.0")[-1].quality is None for n in range(3)))
    for n in range(3):
        inbox.account(f"d{n}.0", TICK)
        assert {gap.reason for gap in inbox.gaps(f"d{n}.0")} == {"backed-off"}
        assert [BAD_NO_ANSWER] * 2 in [batch.quality for batch in inbox.batches(f"d{n}.0")]
        assert all(gap.groups == (f"d{n}.0",) for gap in inbox.gaps(f"d{n}.0"))


async def test_a_refused_register_spoils_only_its_device(plant: Plant) -> None:
    del plant.registers[(1, 3)]
    async with running(plant, [logical(n) for n in range(3)]) as (source, inbox):
        await until(lambda: all(len(inbox.batches(f"d{n}.0")) >= 3 for n in range(3)))
        devices = source.health()["devices"]
        assert [devices[f"d{n}"]["refused"] for n in range(3)] == [[], ["d1-r3"], []]
    for n in (0, 2):
        assert all(batch.quality is None for batch in inbox.batches(f"d{n}.0"))
    assert all(batch.quality == [GOOD, BAD_REFUSED] for batch in inbox.batches("d1.0"))
    assert all(batch.values == [102, None] for batch in inbox.batches("d1.0"))
    assert plant.asked[-2:] in ([(1, 3, 0, 3), (1, 3, 4, 2)], [(1, 3, 4, 2), (1, 3, 0, 3)])


async def test_a_device_that_joins_takes_no_slot_from_the_others(plant: Plant) -> None:
    async with running(plant, [logical(0), logical(1)]) as (source, inbox):
        await until(lambda: len(inbox.batches("d0.0")) >= 2)
        await source.update([logical(0), logical(1), logical(2)])
        await until(lambda: len(inbox.batches("d2.0")) >= 2)
        assert plant.asked[-1] == (1, 3, 0, 6)
        await source.update([logical(0), logical(2)])
        count = len(inbox.batches("d0.0"))
        await until(lambda: len(inbox.batches("d0.0")) >= count + 3)
        assert plant.asked[-1] == (1, 3, 0, 6), "between its channels lies one of the profile's"
    for n in range(3):
        inbox.account(f"d{n}.0", TICK)
    assert not inbox.gaps("d0.0")
    assert not inbox.gaps("d2.0")
