"""A serial line with two askers in turn: what one of them left unanswered is never taken for the other's answer."""

from __future__ import annotations

import asyncio
import os
import struct
import tty
from typing import Self

import pytest

from edge_gateway.clock import SystemClock
from edge_gateway.errors import GatewayError, LinkDown
from edge_gateway.links.modbus import NoAnswer, RtuSettings, request
from edge_gateway.links.modbus_pdu import crc16
from edge_gateway.links.modbus_rtu import RtuLine
from edge_gateway.profiles.spec import DeviceSpec
from edge_gateway.provision import bench
from edge_gateway.provision.model import Parameter
from edge_gateway.sources.modbus import ModbusRtuConfig
from edge_gateway.sources.modbus_lend import Lender, settings_of
from edge_gateway.sources.modbus_scan import Framing
from edge_gateway.sources.modbus_source import ModbusSource
from tests.servers.write_ledger import saw
from tests.sources.modbus_plant import Recorder
from tests.sources.test_modbus_source import device, registers

OWN = Framing(9600)


class SlowUnit:
    """Unit 1 on a terminal: register n holds 100 + n, and each answer takes ``delays_s`` (then nothing)."""

    def __init__(self) -> None:
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.port = os.ttyname(slave)
        self._slave = slave
        self.delays_s: list[float] = []
        self.asked: list[tuple[int, int]] = []

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._master, self._readable)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._slave)
        os.close(self._master)

    def _readable(self) -> None:
        unit, function, start, count, _ = struct.unpack(">BBHHH", os.read(self._master, 8))
        saw("slow-unit", unit, struct.pack(">BHH", function, start, count))
        self.asked.append((start, count))
        words = range(100 + start, 100 + start + count)
        answer = struct.pack(f">BBB{count}H", unit, function, 2 * count, *words)
        delay_s = self.delays_s.pop(0) if self.delays_s else 0.01
        asyncio.get_running_loop().call_later(delay_s, os.write, self._master, answer + crc16(answer))


def source_on(port: str) -> ModbusSource:
    config = ModbusRtuConfig(kind="rtu", port=port, timeout_s=0.5, late_max_s=1.0)
    about: DeviceSpec = device(registers(7, 1), interval_us=1_000_000)
    return config.build("bus", (about,), SystemClock())


async def test_a_late_answer_to_a_scan_is_no_reading() -> None:
    with SlowUnit() as unit:
        source = source_on(unit.port)
        lender = Lender(settings_of(unit.port), source)
        unit.delays_s = [0.2, 0.4]
        with pytest.raises(NoAnswer):
            await lender.ask(OWN, 1, request(3, 0, 1), 0.06)
        await lender.close()
        try:
            read = await source.read_now({"unit": 1, "function": 3, "register": 7, "count": 1})
        except NoAnswer:
            read = await _again(source)
        source.close()
    assert read["registers"] == [107]


async def _again(source: ModbusSource) -> dict[str, list[int]]:
    await asyncio.sleep(1.1)
    return await source.read_now({"unit": 1, "function": 3, "register": 7, "count": 1})


async def test_a_line_without_what_the_scan_owes_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: lines tell each other nothing."""
    monkeypatch.setattr(RtuLine, "take_over", lambda self, other: None)
    with pytest.raises(AssertionError):
        await test_a_late_answer_to_a_scan_is_no_reading()


async def test_a_late_answer_to_a_poll_is_not_what_a_scan_found() -> None:
    with SlowUnit() as unit:
        source = source_on(unit.port)
        lender = Lender(settings_of(unit.port), source)
        unit.delays_s = [0.3]
        with pytest.raises(NoAnswer):
            await source.read_now({"unit": 1, "function": 3, "register": 7, "count": 1, "timeout_s": 0.05})
        answer = await lender.ask(OWN, 1, request(3, 0, 1), 0.5)
        await lender.close()
        source.close()
    assert answer[2:] == b"\x00\x64"


async def test_a_scan_under_other_settings_costs_the_units_no_poll() -> None:
    """No unit understood it, so that none owes an answer."""
    with SlowUnit() as unit:
        source = source_on(unit.port)
        lender = Lender(settings_of(unit.port), source)
        unit.delays_s = [5.0]
        with pytest.raises(NoAnswer):
            await lender.ask(Framing(4800), 1, request(3, 0, 1), 0.06)
        await lender.close()
        assert source.turns.line.wait_s(1, request(3, 0, 1)) == 0
        source.close()


async def test_a_late_answer_to_a_parameter_is_no_reading() -> None:
    parameter = Parameter.model_validate(
        {"id": "x", "name": "x", "name_zh": "x", "table": "holding", "address": 3, "type": "uint16", "low": 0, "high": 9,
         "verified": "no", "source": "-", "why": "-"}
    )  # fmt: skip
    with SlowUnit() as unit:
        source = source_on(unit.port)
        unit.delays_s = [0.3, 0.3]
        settings = RtuSettings(port=unit.port, timeout_s=0.06)
        async with source.lent() as line:
            with pytest.raises(NoAnswer):
                await bench.read(settings, 1, parameter, line)
        try:
            read = await source.read_now({"unit": 1, "function": 3, "register": 7, "count": 1})
        except NoAnswer:
            read = await _again(source)
        source.close()
    assert read["registers"] == [107]


@pytest.mark.parametrize("address", [0, 248])
async def test_nobody_is_read_at_an_address_for_everybody(address: int) -> None:
    with SlowUnit() as unit:
        source = source_on(unit.port)
        with pytest.raises(GatewayError, match="serial line"):
            await source.read_now({"unit": address, "function": 3, "register": 7, "count": 1})
        source.close()
    assert not unit.asked


async def test_a_bus_that_is_configured_anew_ends_the_scan_and_has_its_line() -> None:
    with SlowUnit() as unit:
        old, new = source_on(unit.port), source_on(unit.port)
        running = asyncio.create_task(old.run(Recorder()))
        lender = Lender(settings_of(unit.port), old)
        assert (await lender.ask(OWN, 1, request(3, 0, 1), 0.5))[2:] == b"\x00\x64"
        running.cancel()
        await asyncio.wait([running])
        with pytest.raises(LinkDown, match="configured anew"):
            await lender.ask(OWN, 1, request(3, 0, 1), 0.5)
        assert (await new.read_now({"unit": 1, "function": 3, "register": 7, "count": 1}))["registers"] == [107]
        await lender.close()
        new.close()
