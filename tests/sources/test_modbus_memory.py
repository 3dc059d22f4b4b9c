"""What a unit refuses: learned, planned around, kept, shown, forgotten with the profile, tried again; never what once worked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from edge_gateway.clock import SystemClock
from edge_gateway.profiles.plan import PlannedBlock
from edge_gateway.profiles.spec import DeviceSpec
from edge_gateway.reading import BAD_REFUSED, GOOD
from edge_gateway.sources import modbus_memory
from edge_gateway.sources.modbus import ModbusTcpConfig
from edge_gateway.sources.modbus_memory import MOST_HOLES, Memory
from edge_gateway.sources.modbus_memory_file import MemoryFile
from edge_gateway.sources.modbus_source import ModbusSource
from tests.profiles.devices import device, registers
from tests.sources.modbus_plant import Plant, Recorder, until, words

pytestmark = pytest.mark.timing

TICK = 100_000  # µs


@pytest.fixture
async def plant() -> AsyncIterator[Plant]:
    made = Plant(words(1, range(20)))
    await made.start()
    yield made
    await made.stop()


@asynccontextmanager
async def gateway(plant: Plant, spec: DeviceSpec, folder: Path) -> AsyncIterator[tuple[ModbusSource, Recorder]]:
    """A source as the gateway runs it, with a state folder; ended as at a stop."""
    bus = ModbusTcpConfig(kind="tcp", host="127.0.0.1", port=plant.port, timeout_s=0.2)
    source = bus.build("bus", [spec], SystemClock(declared=True))
    source.remember(folder)
    inbox = Recorder()
    task = asyncio.create_task(source.run(inbox))
    try:
        yield source, inbox
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def counts(plant: Plant) -> list[tuple[int, int]]:
    return [(start, count) for _, _, start, count in plant.asked]


async def test_requests_are_planned_around_a_hole(plant: Plant, tmp_path: Path) -> None:
    del plant.registers[(1, 13)]
    async with gateway(plant, device(registers(0, 20), interval_us=TICK), tmp_path) as (source, inbox):
        await until(lambda: len(inbox.items) >= 4)
        learned = source.health()["devices"]["d"]["learned"]
    (hole,) = learned["holes"]
    assert {k: hole[k] for k in ("function", "first", "last", "exception", "gap")} == {
        "function": 3, "first": 13, "last": 13, "exception": 2, "gap": False,
    }  # fmt: skip
    assert 500 < hole["retry_s"] <= 600
    assert counts(plant)[-2:] == [(0, 13), (14, 6)], "two requests, not the halves in which it was found"
    assert inbox.batches("d.0")[-1].values == [n if n != 13 else None for n in range(20)]


async def test_what_was_learned_survives_a_restart(plant: Plant, tmp_path: Path) -> None:
    spec = device(registers(0, 20), interval_us=TICK)
    del plant.registers[(1, 13)]
    async with gateway(plant, spec, tmp_path) as (_, inbox):
        await until(lambda: len(inbox.items) >= 3)
    plant.asked.clear()
    async with gateway(plant, spec, tmp_path) as (source, inbox):
        await until(lambda: len(inbox.items) >= 2)
        assert source.health()["devices"]["d"]["refused"] == ["d-r13"]
    assert set(counts(plant)) == {(0, 13), (14, 6)}, "asked for what is known to be refused"
    assert inbox.batches("d.0")[0].quality == [GOOD] * 13 + [BAD_REFUSED] + [GOOD] * 6


async def test_another_profile_is_another_device(plant: Plant, tmp_path: Path) -> None:
    del plant.registers[(1, 13)]
    async with gateway(plant, device(registers(0, 20), interval_us=TICK), tmp_path) as (_, inbox):
        await until(lambda: len(inbox.items) >= 3)
    plant.asked.clear()
    async with gateway(plant, device(registers(0, 20, scale="0.1"), interval_us=TICK), tmp_path) as (source, inbox):
        assert source.health()["devices"]["d"]["learned"]["holes"] == []
        await until(lambda: inbox.items)
    assert counts(plant)[0] == (0, 20)


async def test_a_reload_with_another_profile_forgets_too(plant: Plant, tmp_path: Path) -> None:
    del plant.registers[(1, 13)]
    async with gateway(plant, device(registers(0, 20), interval_us=TICK), tmp_path) as (source, inbox):
        await until(lambda: source.health()["devices"]["d"]["learned"]["holes"])
        await source.update([device(registers(0, 13), interval_us=TICK)])
        assert source.health()["devices"]["d"]["learned"]["holes"] == []
        await until(lambda: len(inbox.batches("d.0")[-1].values) == 13)


async def test_what_worked_before_the_restart_is_still_asked_after_it(plant: Plant, tmp_path: Path) -> None:
    spec = device(registers(0, 4), interval_us=TICK)
    async with gateway(plant, spec, tmp_path) as (_, inbox):
        await until(lambda: len(inbox.items) >= 2)
    kept = plant.registers.pop((1, 2))
    for _ in range(2):  # also when it was refused all the while between two restarts
        async with gateway(plant, spec, tmp_path) as (_, inbox):
            await until(lambda inbox=inbox: len(inbox.items) >= 4)  # type: ignore[misc]
            assert counts(plant)[-6:].count((2, 1)) >= 2, "it is asked alone in every slot"
    plant.registers[(1, 2)] = kept
    async with gateway(plant, spec, tmp_path) as (source, inbox):
        await until(lambda: inbox.items and inbox.batches("d.0")[-1].quality is None)
        await until(lambda: counts(plant)[-1] == (0, 4))
        assert source.health()["devices"]["d"]["learned"]["holes"] == []


async def test_a_gap_that_cannot_be_read_along_costs_a_request_and_no_reading(plant: Plant, tmp_path: Path) -> None:
    del plant.registers[(1, 5)]
    spec = device(registers(0, 5) | registers(7, 5), interval_us=TICK, gap_readable=True)
    async with gateway(plant, spec, tmp_path) as (source, inbox):
        await until(lambda: len(inbox.items) >= 3)
        learned = source.health()["devices"]["d"]["learned"]
    assert [(h["first"], h["last"], h["gap"]) for h in learned["holes"]] == [(5, 6, True)]
    assert all(batch.quality is None for batch in inbox.batches("d.0"))
    assert counts(plant)[:3] == [(0, 12), (0, 5), (7, 5)]
    assert (0, 12) not in counts(plant)[1:]


async def test_a_unit_that_takes_less_at_once_than_its_manual_says(plant: Plant, tmp_path: Path) -> None:
    real = plant.answer

    def answer(unit: int, function: int, start: int, count: int) -> bytes | None:
        return bytes((function | 0x80, 3)) if count > 11 else real(unit, function, start, count)

    plant.answer = answer  # type: ignore[method-assign]
    async with gateway(plant, device(registers(0, 20), interval_us=TICK), tmp_path) as (source, inbox):
        await until(lambda: len(inbox.items) >= 3)
        assert source.health()["devices"]["d"]["learned"]["most"] == {"3": 10}
    assert all(batch.quality is None for batch in inbox.batches("d.0"))
    assert set(counts(plant)[1:]) == {(0, 10), (10, 10)}


async def test_what_is_refused_is_tried_at_growing_waits(plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modbus_memory, "RELEARN_US", 2 * TICK)
    monkeypatch.setattr(modbus_memory, "MOST_WAIT_US", 8 * TICK)
    del plant.registers[(1, 13)]
    async with gateway(plant, device(registers(0, 20), interval_us=TICK), tmp_path) as (_, inbox):
        await until(lambda: len(inbox.items) >= 40)
    slots = [batch.slot_us or 0 for batch in inbox.batches("d.0")]
    tried = counts(plant).count((13, 1))
    assert 4 <= tried <= 2 + (slots[-1] - slots[0]) / (8 * TICK) + 3
    assert all((b.quality or []).count(BAD_REFUSED) == 1 for b in inbox.batches("d.0")), "trying costs the others nothing"


async def test_many_holes_are_learned_in_a_few_slots(plant: Plant, tmp_path: Path) -> None:
    """N = 50 of 100 refused: more divisions than one slot may make."""
    plant.registers = {(1, a): a for a in range(0, 100, 2)}
    async with gateway(plant, device(registers(0, 100), interval_us=TICK), tmp_path) as (source, inbox):
        await until(lambda: len(source.health()["devices"]["d"]["refused"]) == 50)
        slots = len(inbox.items)
        await until(lambda: len(inbox.items) >= slots + 3)
        assert len(source.health()["devices"]["d"]["learned"]["holes"]) == 50
    assert slots <= 12
    assert inbox.batches("d.0")[-1].values == [a if a % 2 == 0 else None for a in range(100)]


def test_a_file_that_is_damaged_is_an_empty_one(tmp_path: Path) -> None:
    file = MemoryFile(tmp_path, "bus")
    good = {"format": 1, "units": {"1": {"profile": "p"} | Memory().as_dict()}}
    for text in (
        b"", b"[]", b"{", b"null", b'{"format":9,"units":{}}', b'{"format":1}', json.dumps(good)[:-9].encode(),
        b'{"format":1,"units":{"1":{"profile":"p","holes":[[3]],"most":{},"worked":{}}}}',
        b'{"format":1,"units":{"1":{"profile":"p","holes":[],"most":{"3":0},"worked":{}}}}',
        b'{"format":1,"units":{"1":{"profile":"p","holes":[],"most":[],"worked":{"3":[["a",2]]}}}}',
    ):  # fmt: skip
        file.path.write_bytes(text)
        memory = Memory()
        file.restore({1: memory}, {1: "p"}, 0)
        assert (memory.holes, memory.most, memory.worked) == ([], {}, {}), text
        assert str(tmp_path) in file.said


def test_a_disk_that_refuses_costs_the_memory_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "learned").write_text("a file where the folder should be", encoding="utf-8")
    file = MemoryFile(tmp_path / "learned", "bus")
    file.save(b"{}")
    assert "forgotten at the next start" in file.said


def test_memory_is_bounded() -> None:
    memory = Memory()
    for start in range(0, 4 * MOST_HOLES, 2):
        memory.refused(PlannedBlock(1, 3, start, 1, ()), 2, 0)
    assert len(memory.holes) == MOST_HOLES
    assert memory.full


async def test_a_wide_channel_that_is_refused_leaves_its_neighbours_alone(plant: Plant, tmp_path: Path) -> None:
    """A float at 2 is refused because register 3 is none; register 2 is read with its neighbours all the same."""
    plant.registers = words(1, range(3))
    channels = registers(0, 3) | {"f": {"function": 3, "register": 2, "type": "float32"}}
    async with gateway(plant, device(channels, interval_us=TICK), tmp_path) as (source, inbox):
        await until(lambda: len(inbox.items) >= 5)
        assert source.health()["devices"]["d"]["refused"] == ["d-f"]
    assert counts(plant)[-2:] == [(0, 3), (0, 3)]
    assert inbox.batches("d.0")[-1].values == [0, 1, None, 2]


@pytest.mark.parametrize("text", ["[" * 100_000, '{"format":1,"units":{"1":{"profile":"p","holes":[[3,1e999,5,2,false]],"most":{},"worked":{}}}}'], ids=["deep", "endless"])
def test_whatever_the_file_holds_the_gateway_starts(tmp_path: Path, text: str) -> None:
    (tmp_path / "bus.json").write_text(text)
    file, memory = MemoryFile(tmp_path, "bus"), Memory()
    file.restore({1: memory}, {1: "p"}, 0)
    assert "learned anew" in file.said
    assert not memory.holes
