"""Late answers as a whole source meets them: what is asked instead, what is recorded, and when a unit is asked again."""

from __future__ import annotations

import asyncio
import os
import struct
import tty
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from edge_gateway.clock import SystemClock
from edge_gateway.links.modbus_pdu import crc16
from edge_gateway.profiles.spec import DeviceSpec
from edge_gateway.reading import BAD_NO_ANSWER
from edge_gateway.sources.modbus import ModbusRtuConfig
from edge_gateway.sources.modbus_source import ModbusSource
from tests.profiles.devices import device, registers
from tests.servers.write_ledger import saw
from tests.sources.modbus_plant import Recorder, until

pytestmark = pytest.mark.timing

TICK = 100_000  # µs
LATE_MAX_S = 0.6


class Slave:
    """Unit 1 on a terminal: register n holds n. ``delay`` says how late it answers the n-th request; None: never."""

    def __init__(self, delay: Callable[[int], float | None]) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self.asked: list[tuple[float, int, int]] = []  # loop time, start, count
        self._delay = delay
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._master, self._readable)

    def _readable(self) -> None:
        frame = os.read(self._master, 8)
        unit, function, start, count = struct.unpack(">BBHH", frame[:6])
        saw("late-source", unit, frame[1:6])
        self.asked.append((self._loop.time(), start, count))
        answer = struct.pack(f">BBB{count}H", unit, function, 2 * count, *range(start, start + count))
        delay_s = self._delay(len(self.asked))
        if delay_s is not None:
            self._loop.call_later(delay_s, os.write, self._master, answer + crc16(answer))

    def close(self) -> None:
        self._loop.remove_reader(self._master)
        os.close(self._master)
        os.close(self._slave)


@asynccontextmanager
async def polling(slave: Slave, spec: DeviceSpec, **more: Any) -> AsyncIterator[tuple[ModbusSource, Recorder]]:
    config = ModbusRtuConfig(
        kind="rtu", port=slave.port, baud=115_200, timeout_s=0.04, quiet_s=0.02, late_max_s=LATE_MAX_S,
        backoff_first_s=0.05, backoff_most_s=0.2, **more,
    )  # fmt: skip
    source = config.build("bus", [spec], SystemClock(declared=True))
    inbox = Recorder()
    running = asyncio.create_task(source.run(inbox))
    try:
        yield source, inbox
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        slave.close()


async def test_a_lost_answer_costs_no_slot_where_it_can_be_asked_otherwise() -> None:
    slave = Slave(lambda n: None if n == 3 else 0.0)
    async with polling(slave, device(registers(10, 4), gap_readable=True, interval_us=TICK)) as (source, inbox):
        await until(lambda: len(inbox.batches("d.0")) >= 8)
    assert all(batch.quality is None and batch.values == [10, 11, 12, 13] for batch in inbox.batches("d.0"))
    counts = [(start, count) for _, start, count in slave.asked]
    assert counts[2:4] == [(10, 4), (10, 5)], "repeated in another shape"
    altered = next(batch for batch in inbox.batches("d.0") if len(batch.blocks[0].data) == 10)
    assert altered.blocks[0].data == bytes.fromhex("000a000b000c000d000e"), "the evidence is what came"
    assert source.health()["counters"]["retries"] == 1
    inbox.account("d.0", TICK)


async def test_the_planned_request_returns_when_the_late_answer_has_come() -> None:
    slave = Slave(lambda n: 0.15 if n == 3 else 0.0)
    async with polling(slave, device(registers(10, 4), gap_readable=True, interval_us=TICK)) as (source, inbox):
        await until(lambda: len(slave.asked) > 4 and slave.asked[-1][2] == 4)
        assert slave.asked[-1][0] - slave.asked[2][0] < LATE_MAX_S, "no need to wait until it is taken for lost"
        health = source.health()
    assert health["counters"]["late"] == 1
    assert health["late"][0]["unit"] == 1
    assert health["late"][0]["pdu"] == "0308000a000b000c000d"
    assert all(batch.quality is None for batch in inbox.batches("d.0"))


async def test_in_parts_where_nothing_may_be_read_along() -> None:
    slave = Slave(lambda n: None if n == 3 else 0.0)
    async with polling(slave, device(registers(10, 4), interval_us=TICK)) as (_, inbox):
        await until(lambda: len(inbox.batches("d.0")) >= 6)
    assert [(s, c) for _, s, c in slave.asked][3:5] == [(10, 3), (13, 1)]
    assert all(batch.quality is None and batch.values == [10, 11, 12, 13] for batch in inbox.batches("d.0"))


async def test_a_single_register_waits_and_says_so() -> None:
    """Nothing else can be asked: the readings are bad until the answer is taken for lost, and that is no unit's failure."""
    slave = Slave(lambda n: None if n == 3 else 0.0)
    async with polling(slave, device(registers(10, 1), interval_us=TICK)) as (source, inbox):
        await until(lambda: len(slave.asked) >= 3 and source.health()["devices"]["d"]["said"].startswith("a late"))
        assert source.bus.units[1].backoff.failures == 1, "only the question without an answer"
        await until(lambda: len(slave.asked) >= 5 and inbox.items and inbox.batches("d.0")[-1].quality is None)
    waited_s = slave.asked[3][0] - slave.asked[2][0]
    assert LATE_MAX_S <= waited_s < LATE_MAX_S + 0.4
    bad = [batch for batch in inbox.batches("d.0") if batch.quality is not None]
    assert 1 <= len(bad) <= 2, "the question without an answer, and perhaps a slot before the gap"
    assert all(batch.quality == [BAD_NO_ANSWER] and batch.values == [None] for batch in bad)
    assert len(inbox.gaps("d.0")) == 1
    inbox.account("d.0", TICK)
