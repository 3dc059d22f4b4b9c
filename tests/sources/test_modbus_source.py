"""A Modbus bus slot by slot: what is read, what becomes of a unit that does not answer, and that no slot is forgotten."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge_gateway.clock import SystemClock
from edge_gateway.errors import ConfigError, GatewayError, SourceError
from edge_gateway.reading import (
    BAD_BUSY,
    BAD_FRAME,
    BAD_GATEWAY,
    BAD_LINK_DOWN,
    BAD_NO_ANSWER,
    BAD_REFUSED,
    GOOD,
    Batch,
    GapClosed,
    GapOpened,
)
from edge_gateway.sources import modbus_memory
from edge_gateway.sources.modbus import ModbusRtuConfig, ModbusTcpConfig
from tests.profiles.devices import device, registers
from tests.sources.modbus_plant import SILENT, Plant, Recorder, SerialPeer, running, until, words

pytestmark = pytest.mark.timing

TICK = 100_000  # µs


@pytest.fixture
async def plant() -> AsyncIterator[Plant]:
    made = Plant({})
    await made.start()
    yield made
    await made.stop()


async def test_batches_carry_values_raw_bytes_and_aligned_slots(plant: Plant) -> None:
    plant.registers = words(1, [610, 0xFF4E], 1)
    channels = {
        "rh": {"function": 4, "register": 1, "scale": "0.1"},
        "t": {"function": 4, "register": 2, "type": "int16", "scale": "0.1"},
    }
    async with running(plant, [device(channels, interval_us=TICK)]) as (source, inbox):
        await until(lambda: len(inbox.items) >= 4)
    batches = inbox.batches("d.0")
    assert len(batches) == len(inbox.items)
    for batch in batches:
        assert batch.values == [61.0, -17.8]
        assert batch.quality is None
        (block,) = batch.blocks
        assert (block.unit, block.function, block.start, block.data.hex(), block.offset_us) == (1, 4, 1, "0262ff4e", 0)
        assert batch.slot_us is not None
        assert batch.slot_us % TICK == 0
        assert 0 <= batch.mono_us - batch.slot_us < TICK
    inbox.account("d.0", TICK)
    assert plant.connections == 1
    health = source.health()
    assert health["devices"]["d"]["state"] == "answers"
    assert health["counters"]["answers"] >= 4


async def test_two_intervals_are_two_groups(plant: Plant) -> None:
    plant.registers = words(1, range(10))
    spec = device(registers(0, 10), interval_us=TICK, intervals={"r3": 3 * TICK})
    async with running(plant, [spec]) as (source, inbox):
        await until(lambda: len(inbox.batches("d.1")) >= 2)
    assert [g.interval_us for g in source.groups()] == [TICK, 3 * TICK]
    assert inbox.batches("d.1")[0].values == [3]
    assert inbox.batches("d.0")[0].values == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    inbox.account("d.0", TICK)
    inbox.account("d.1", 3 * TICK)


async def test_a_dead_unit_is_rested_and_the_others_miss_nothing(plant: Plant) -> None:
    plant.registers = words(1, [1]) | words(2, [2]) | words(3, [3])
    plant.trouble[2] = SILENT
    tick = 200_000
    devices = [device(registers(0, 1), id=f"d{n}", unit=n, interval_us=tick) for n in (1, 2, 3)]
    async with running(plant, devices, backoff_first_s=0.3, backoff_most_s=1.0) as (source, inbox):
        await until(lambda: inbox.gaps("d2.0") and len(inbox.batches("d3.0")) >= 8)
        assert source.health()["devices"]["d2"]["state"] == "silent"
        assert source.health()["devices"]["d2"]["gap"] == "backed-off"
        plant.trouble.clear()
        await until(lambda: inbox.batches("d2.0")[-1].quality is None, within_s=5)
    for n in (1, 2, 3):
        inbox.account(f"d{n}.0", tick)
    for n in (1, 3):
        assert not inbox.gaps(f"d{n}.0")
        assert all(b.quality is None and b.mono_us - (b.slot_us or 0) < tick / 2 for b in inbox.batches(f"d{n}.0"))
    bad = inbox.batches("d2.0")[0]
    assert (bad.values, bad.quality, bad.blocks) == ([None], [BAD_NO_ANSWER], [])
    assert {g.reason for g in inbox.gaps("d2.0")} == {"backed-off"}
    assert len(inbox.gaps("d2.0")) == 1, "a gap stays open while the unit is silent"
    asked_at_first = [unit for unit, *_ in plant.asked[:3]]
    assert asked_at_first == [1, 2, 3]
    rounds = [unit for unit, *_ in plant.asked]
    assert rounds[rounds.index(2, 3) - 1] == 3, "a failing unit comes last in its round"


async def test_a_unit_that_was_well_is_asked_twice(plant: Plant) -> None:
    """One lost answer is no lost reading."""
    plant.registers = words(1, [7])
    async with running(plant, [device(registers(0, 1), interval_us=4 * TICK)]) as (_, inbox):
        await until(lambda: len(inbox.items) >= 1)
        plant.trouble[1] = SILENT
        before = len(plant.asked)
        await until(lambda: len(plant.asked) > before)
        plant.trouble.clear()
        await until(lambda: len(inbox.items) >= 3)
    assert all(isinstance(i, Batch) and i.quality is None for i in inbox.items)


async def test_a_line_that_is_gone_and_comes_back(plant: Plant) -> None:
    plant.registers = words(1, [1]) | words(2, [2])
    devices = [device(registers(0, 1), id=f"d{n}", unit=n, interval_us=TICK) for n in (1, 2)]
    async with running(plant, devices) as (source, inbox):
        await until(lambda: len(inbox.items) >= 4)
        await plant.stop()
        await until(lambda: all(any(g.reason == "unreachable" for g in inbox.gaps(f"d{n}.0")) for n in (1, 2)))
        assert source.health()["state"] == "down"
        assert "Connection refused" in source.health()["said"]
        await plant.start()
        await until(lambda: all(inbox.batches(f"d{n}.0")[-1].quality is None for n in (1, 2)))
        assert source.health()["state"] == "up"
    for n in (1, 2):
        inbox.account(f"d{n}.0", TICK)
        assert any(b.quality == [BAD_LINK_DOWN] for b in inbox.batches(f"d{n}.0"))
        assert {g.reason for g in inbox.gaps(f"d{n}.0")} == {"unreachable"}


async def test_nobody_there_at_the_start() -> None:
    free = socket.create_server(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()
    plant = Plant(words(1, [5]))
    plant.port = port
    async with running(plant, [device(registers(0, 1), interval_us=TICK)]) as (_, inbox):
        await until(lambda: inbox.gaps("d.0"))
        await plant.start()
        await until(lambda: inbox.batches("d.0")[-1].values == [5])
    inbox.account("d.0", TICK)
    await plant.stop()


async def test_a_peer_that_closes_between_polls_costs_no_reading(plant: Plant) -> None:
    plant.registers = words(1, [5])
    async with running(plant, [device(registers(0, 1), interval_us=TICK)]) as (_, inbox):
        for _ in range(3):
            count = len(inbox.items)
            await until(lambda count=count: len(inbox.items) > count)  # type: ignore[misc]
            for writer in list(plant._writers):
                writer.close()
        await until(lambda: len(inbox.items) >= 6)
    assert all(isinstance(i, Batch) and i.quality is None for i in inbox.items)
    assert plant.connections >= 3


async def test_a_refused_register_spoils_only_itself(plant: Plant) -> None:
    plant.registers = words(1, range(20))
    del plant.registers[(1, 13)]
    async with running(plant, [device(registers(0, 20), interval_us=TICK)]) as (source, inbox):
        await until(lambda: len(inbox.items) >= 4)
        asked = len(plant.asked)
        await until(lambda: len(plant.asked) >= asked + 6)
        assert source.health()["devices"]["d"]["refused"] == ["d-r13"]
    for batch in inbox.batches("d.0"):
        assert batch.quality is not None
        assert [i for i, q in enumerate(batch.quality) if q != GOOD] == [13]
        assert batch.quality[13] == BAD_REFUSED
        assert [v for v in batch.values if v is not None] == [n for n in range(20) if n != 13]
        assert [b.offset_us <= 0 for b in batch.blocks] == [True] * len(batch.blocks)
    assert (1, 3, 13, 1) not in plant.asked[asked:], "what never worked is not asked each time"
    assert not inbox.gaps()


async def test_a_register_that_worked_is_asked_singly_each_time(plant: Plant) -> None:
    plant.registers = words(1, range(4))
    async with running(plant, [device(registers(0, 4), interval_us=TICK)]) as (_, inbox):
        await until(lambda: len(inbox.items) >= 2)
        kept = plant.registers.pop((1, 2))
        await until(lambda: (inbox.batches("d.0")[-1].quality or [GOOD] * 4)[2] == BAD_REFUSED)
        plant.registers[(1, 2)] = kept
        await until(lambda: inbox.batches("d.0")[-1].quality is None)
        assert inbox.batches("d.0")[-1].values == [0, 1, 2, 3]


async def test_what_was_refused_is_tried_again_in_time(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modbus_memory, "RELEARN_US", 6 * TICK)
    plant.registers = words(1, range(4))
    kept = plant.registers.pop((1, 2))
    async with running(plant, [device(registers(0, 4), interval_us=TICK)]) as (source, inbox):
        await until(lambda: source.health()["devices"]["d"]["refused"] == ["d-r2"])
        plant.registers[(1, 2)] = kept
        await until(lambda: inbox.batches("d.0")[-1].quality is None)
        assert source.health()["devices"]["d"]["refused"] == []
    for batch in inbox.batches("d.0"):
        assert [v for v in batch.values if v is not None] in ([0, 1, 3], [0, 1, 2, 3])


async def test_a_serial_device_that_vanishes_and_comes_back(tmp_path: Path) -> None:
    """The adaptor is unplugged: the terminal hangs up; later another one stands under the same name."""
    port = tmp_path / "bus0"
    peer = SerialPeer(port)
    config = ModbusRtuConfig(
        kind="rtu", port=str(port), baud=115_200, timeout_s=0.1, quiet_s=0.05, backoff_first_s=0.05, backoff_most_s=0.2
    )
    source = config.build("line", [device(registers(0, 2), interval_us=TICK)], SystemClock(declared=True))
    inbox = Recorder()
    task = asyncio.create_task(source.run(inbox))
    await until(lambda: len(inbox.batches("d.0")) >= 2)
    peer.close()
    await until(inbox.gaps)
    assert source.health()["state"] == "down"
    peer = SerialPeer(port)
    await until(lambda: inbox.batches("d.0")[-1].quality is None)
    task.cancel()
    await asyncio.wait([task])
    peer.close()
    inbox.account("d.0", TICK)
    assert {g.reason for g in inbox.gaps()} == {"unreachable"}
    assert {tuple(b.values) for b in inbox.batches("d.0")} == {(0, 1), (None, None)}


async def test_busy_is_asked_again_within_the_slot(plant: Plant) -> None:
    plant.registers = words(1, [9])
    plant.trouble[1] = 6
    async with running(plant, [device(registers(0, 1), interval_us=500_000)]) as (_, inbox):
        await until(lambda: len(plant.asked) == 1)
        plant.trouble.clear()
        await until(lambda: inbox.items)
        assert inbox.batches("d.0")[0].values == [9]
        plant.trouble[1] = 6
        await until(lambda: inbox.batches("d.0")[-1].quality == [BAD_BUSY])
    assert not inbox.gaps()


@pytest.mark.parametrize(("code", "quality"), [(4, BAD_REFUSED), (10, BAD_GATEWAY), (11, BAD_GATEWAY)])
async def test_device_failure_and_gateway_codes_mark_the_unit(plant: Plant, code: int, quality: str) -> None:
    plant.registers = words(1, [1]) | words(2, [2])
    plant.trouble[1] = code
    devices = [device(registers(0, 1), id=f"d{n}", unit=n, interval_us=TICK) for n in (1, 2)]
    async with running(plant, devices, backoff_first_s=0.2) as (source, inbox):
        await until(lambda: inbox.gaps("d1.0"))
        assert source.health()["devices"]["d1"]["state"] == "silent"
        assert f"exception {code}" in source.health()["devices"]["d1"]["said"]
        plant.trouble.clear()
        await until(lambda: inbox.batches("d1.0")[-1].quality is None)
    assert inbox.batches("d1.0")[0].quality == [quality]
    assert not inbox.gaps("d2.0")


async def test_an_ignored_block_does_not_condemn_the_unit(plant: Plant) -> None:
    plant.registers = words(1, [1]) | words(1, [2], 50)

    async def ignore(unit: int, start: int) -> None:
        plant.trouble = {1: SILENT} if start == 0 else {}

    plant.before = ignore
    spec = device(registers(0, 1) | registers(50, 1), interval_us=4 * TICK)
    async with running(plant, [spec]) as (source, inbox):
        await until(lambda: any(b.values == [None, 2] for b in inbox.batches("d.0")))
        assert source.health()["devices"]["d"]["state"] == "answers"
        plant.before = None
        plant.trouble = {}
        await until(lambda: inbox.batches("d.0")[-1].values == [1, 2])
    inbox.account("d.0", 4 * TICK)


async def test_rubbish_is_counted_and_never_data(plant: Plant) -> None:
    plant.registers = words(1, [1])
    real = plant.answer
    plant.answer = lambda *asked: b"\x03\x04\xde\xad\xbe\xef"  # type: ignore[method-assign]
    async with running(plant, [device(registers(0, 1), interval_us=TICK)]) as (source, inbox):
        await until(lambda: inbox.items)
        plant.answer = real  # type: ignore[method-assign]
        await until(lambda: inbox.batches("d.0")[-1].values == [1])
    assert inbox.batches("d.0")[0].quality == [BAD_FRAME]
    assert {tuple(b.values) for b in inbox.batches("d.0")} == {(None,), (1,)}
    assert source.health()["counters"]["bad_frames"] >= 1


async def test_a_slow_line_opens_a_busy_gap(plant: Plant) -> None:
    plant.registers = words(1, [1])

    async def slow(unit: int, start: int) -> None:
        await asyncio.sleep(3.5 * TICK / 1e6)

    plant.before = slow
    async with running(plant, [device(registers(0, 1), interval_us=TICK)], timeout_s=2) as (source, inbox):
        await until(lambda: len(inbox.batches("d.0")) >= 3)
        assert source.unaccounted_us(SystemClock().mono_us()) < 5 * TICK
    assert {g.reason for g in inbox.gaps()} == {"busy"}
    inbox.account("d.0", TICK)


async def test_a_full_journal_stops_the_reading(plant: Plant) -> None:
    plant.registers = words(1, [1])
    async with running(plant, [device(registers(0, 1), interval_us=TICK)]) as (source, inbox):
        await until(lambda: len(inbox.items) >= 2)
        inbox.is_full = True
        await until(inbox.gaps)
        asked = len(plant.asked)
        await asyncio.sleep(4 * TICK / 1e6)
        assert len(plant.asked) == asked
        assert source.unaccounted_us(SystemClock().mono_us()) <= 0
        inbox.is_full = False
        await until(lambda: isinstance(inbox.items[-1], Batch))
    assert [g.reason for g in inbox.gaps()] == ["journal-full"]
    inbox.account("d.0", TICK)


async def test_a_stuck_turn_is_seen_by_the_watchdog(plant: Plant) -> None:
    plant.registers = words(1, [1])
    plant.trouble[1] = SILENT
    async with running(plant, [device(registers(0, 1), interval_us=TICK)], timeout_s=30) as (source, _):
        await until(lambda: plant.asked)
        await until(lambda: source.unaccounted_us(SystemClock().mono_us()) > 2 * TICK)


async def test_update_leaves_untouched_devices_alone(plant: Plant) -> None:
    plant.registers = words(1, range(9)) | words(2, range(9)) | words(3, range(9))
    one, two = (device(registers(0, 2), id=f"d{n}", unit=n, interval_us=TICK) for n in (1, 2))
    async with running(plant, [one, two]) as (source, inbox):
        await until(lambda: len(inbox.items) >= 6)
        changed = device(registers(0, 5), id="d2", unit=2, interval_us=TICK)
        added = device(registers(0, 1), id="d3", unit=3, interval_us=2 * TICK)
        await source.update([one, changed, added])
        assert [g.id for g in source.groups()] == ["d1.0", "d2.0", "d3.0"]
        await until(lambda: inbox.batches("d3.0") and len(inbox.batches("d2.0")[-1].values) == 5)
        await source.update([one])
        count = len(inbox.batches("d2.0"))
        await until(lambda: len(inbox.batches("d1.0")) >= 40)
        assert len(inbox.batches("d2.0")) <= count + 1
    assert not inbox.gaps("d1.0")
    for group, interval_us in (("d1.0", TICK), ("d2.0", TICK), ("d3.0", 2 * TICK)):
        inbox.account(group, interval_us)
    assert {g.reason for g in inbox.gaps()} <= {"reconfigured"}
    opened = [i.id for i in inbox.items if isinstance(i, GapOpened)]
    assert opened == [i.id for i in inbox.items if isinstance(i, GapClosed)]


async def test_update_with_a_fault_changes_nothing(plant: Plant) -> None:
    plant.registers = words(1, range(9))
    one = device(registers(0, 2), id="d1", interval_us=TICK)
    async with running(plant, [one]) as (source, inbox):
        with pytest.raises(ConfigError):
            await source.update([device(registers(0, 2), id="d1", interval_us=TICK, wanted=("nope",))])
        await until(lambda: len(inbox.batches("d1.0")) >= 2)


async def test_read_now_beside_the_polling(plant: Plant) -> None:
    plant.registers = words(1, [610, 0xFF4E], 1)
    channels = {
        "rh": {"function": 4, "register": 1, "scale": "0.1"},
        "t": {"function": 4, "register": 2, "type": "int16", "scale": "0.1"},
    }
    async with running(plant, [device(channels, interval_us=TICK)]) as (source, inbox):
        found = await source.read_now({"point": "d-t"})
        assert (found["value"], found["quality"], found["data"], found["register"]) == (-17.8, GOOD, "ff4e", 2)
        raw = await source.read_now({"unit": 1, "function": 3, "register": 1, "count": 2})
        assert raw["registers"] == [610, 0xFF4E]
        with pytest.raises(GatewayError, match="no point"):
            await source.read_now({"point": "nope"})
        with pytest.raises(GatewayError, match="read-only"):
            await source.read_now({"unit": 1, "function": 6, "register": 1})
        with pytest.raises(SourceError, match="exception 2"):
            await source.read_now({"unit": 1, "function": 3, "register": 100})
        await until(lambda: len(inbox.items) >= 3)
    inbox.account("d.0", TICK)


async def test_read_now_without_running(plant: Plant) -> None:
    plant.registers = words(1, [42])
    bus = ModbusTcpConfig(kind="tcp", host="127.0.0.1", port=plant.port)
    source = bus.build("bus", [device(registers(0, 1))], SystemClock())
    assert (await source.read_now({"point": "d-r0"}))["value"] == 42
    source.close()


async def test_a_scaled_clock_scales_the_slots(plant: Plant) -> None:
    plant.registers = words(1, [1])
    source = ModbusTcpConfig(kind="tcp", host="127.0.0.1", port=plant.port).build(
        "bus", [device(registers(0, 1), interval_us=3_000_000)], SystemClock(declared=True, speed=60)
    )
    inbox = Recorder()
    task = asyncio.create_task(source.run(inbox))
    await until(lambda: len(inbox.batches("d.0")) >= 5, within_s=5)
    task.cancel()
    inbox.account("d.0", 3_000_000)


async def test_a_serial_port_held_by_another_is_refused() -> None:
    master, slave = os.openpty()
    port = os.ttyname(slave)
    config = ModbusRtuConfig(kind="rtu", port=port, timeout_s=0.05, quiet_s=0.05)
    first = config.build("a", [device(registers(0, 1))], SystemClock())
    await first.turns.line.open()
    second = config.build("b", [device(registers(0, 1))], SystemClock())
    with pytest.raises(SourceError, match="held by another program"):
        await second.turns.line.open()
    first.close()
    await second.turns.line.open()
    second.close()
    os.close(master)
    os.close(slave)


async def test_a_missing_serial_port_says_what_to_do() -> None:
    source = ModbusRtuConfig(kind="rtu", port="/dev/edge-gateway-nowhere").build(
        "a", [device(registers(0, 1))], SystemClock()
    )
    with pytest.raises(SourceError, match="plugged in"):
        await source.read_now({"point": "d-r0"})
