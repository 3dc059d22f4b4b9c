"""All types and all orders, out of slaves that we did not write: libmodbus, modbus-tk, uModbus, pyModbusTCP, npm's modbus-serial.

What must come is computed here by ``struct`` (and, for BCD, from the decimal digits), never by the decoder's own code.
"""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import pytest

from edge_gateway.clock import SystemClock
from edge_gateway.profiles.registers import WIDTH
from edge_gateway.reading import Batch
from edge_gateway.sources.modbus import ModbusTcpConfig
from tests.profiles.devices import device
from tests.servers import libmodbus
from tests.servers.foreign_slave import NodeSlave, PythonSlave
from tests.servers.libmodbus import LibmodbusTcp
from tests.servers.modbus_tk_slave import ModbusTkSlave
from tests.sources.modbus_plant import Recorder, until

SEED, PER_CASE = 11, 3
ORDERS = ("ABCD", "CDAB", "BADC", "DCBA")
FORMS = {
    "int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "int64": ">q", "uint64": ">Q",
    "float16": ">e", "float32": ">f", "float64": ">d",
}  # fmt: skip
BCD = {"bcd16": 4, "bcd32": 8}


class Slave(Protocol):
    port: int


def values(type_: str, chance: random.Random) -> Iterator[tuple[float, bytes]]:
    """Values with their big-endian bytes: both ends, and random ones."""
    if type_ in BCD:
        for number in (0, 10 ** BCD[type_] - 1, *(chance.randrange(10 ** BCD[type_]) for _ in range(PER_CASE - 2))):
            yield number, bytes.fromhex(str(number).zfill(BCD[type_]))
        return
    form, bits = FORMS[type_], 8 * struct.calcsize(FORMS[type_])
    if type_.startswith("float"):
        for number in (-18.25, 0.1, chance.uniform(-1000, 1000)):
            data = struct.pack(form, number)
            yield struct.unpack(form, data)[0], data
        return
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if type_.startswith("int") else (0, (1 << bits) - 1)
    for whole in (low, high, *(chance.randint(low, high) for _ in range(PER_CASE - 2))):
        yield whole, struct.pack(form, whole)


def laid(data: bytes, order: str) -> list[int]:
    """The words on the wire for big-endian bytes: CDAB turns the words round, BADC the bytes in each word, DCBA all."""
    words = [data[at : at + 2] for at in range(0, len(data), 2)]
    if order in ("CDAB", "DCBA"):
        words.reverse()
    if order in ("BADC", "DCBA"):
        words = [word[::-1] for word in words]
    return [int.from_bytes(word, "big") for word in words]


def plan(types: Sequence[str], first: int, function: int) -> tuple[list[int], dict[str, dict[str, Any]], dict[str, float]]:
    """Registers from ``first`` on, the channels over them, and what must come."""
    chance = random.Random(SEED)
    words: list[int] = []
    channels: dict[str, dict[str, Any]] = {}
    expected: dict[str, float] = {}
    for type_ in types:
        for order in ORDERS:
            for number, (value, data) in enumerate(values(type_, chance)):
                name = f"{type_}-{order.lower()}-{number}"
                channels[name] = {"function": function, "register": first + len(words), "type": type_, "order": order}
                expected[f"d-{name}"] = value
                words += laid(data, order)
    return words, channels, expected


async def check(port: int, channels: dict[str, dict[str, Any]], expected: dict[str, float], unit: int = 17) -> int:
    """Poll as the gateway does, until each point was read; how many values were compared."""
    bus = ModbusTcpConfig(kind="tcp", host="127.0.0.1", port=port, timeout_s=2.0)
    source = bus.build("bus", [device(channels, unit=unit, interval_us=200_000)], SystemClock(declared=True))
    inbox = Recorder()
    task = asyncio.create_task(source.run(inbox))
    try:
        await until(lambda: {i.group.id for i in inbox.items if isinstance(i, Batch)} == {g.id for g in source.groups()})
    finally:
        task.cancel()
        await asyncio.wait([task])
    got: dict[str, Any] = {}
    for batch in (item for item in inbox.items if isinstance(item, Batch)):
        quality = batch.quality or ["good"] * len(batch.values)
        assert set(quality) == {"good"}, dict(zip(batch.group.points, quality, strict=True))
        got |= dict(zip(batch.group.points, batch.values, strict=True))
    assert got.keys() == expected.keys()
    for point, value in expected.items():
        form = FORMS[point.split("-")[1]] if "float" in point else ""
        same = struct.pack(form, got[point]) == struct.pack(form, value) if form else got[point] == value
        assert same, (point, got[point], value)  # a float is shown in its shortest decimal: it must be the same bits
    return len(got)


MAKERS: dict[str, Callable[[Path, Sequence[int]], AbstractContextManager[Slave]]] = {
    "modbus-tk": lambda folder, words: ModbusTkSlave(folder, words, unit=17, address=0x160),
    "umodbus": lambda folder, words: PythonSlave(folder, "umodbus", words, address=0x160),
    "pymodbustcp": lambda folder, words: PythonSlave(folder, "pymodbustcp", words, address=0x160),
    "modbus-serial": lambda folder, words: NodeSlave(folder, words, address=0x160),
}


@pytest.mark.parametrize("maker", MAKERS)
async def test_all_types_and_orders(maker: str, tmp_path: Path) -> None:
    words, channels, expected = plan([*FORMS, *BCD], 0x160, 3)
    with MAKERS[maker](tmp_path, words) as slave:
        assert await check(slave.port, channels, expected) == (len(FORMS) + len(BCD)) * len(ORDERS) * PER_CASE
        inputs = {name: channel | {"function": 4} for name, channel in channels.items()}
        assert await check(slave.port, inputs, expected) == len(expected)


@pytest.mark.parametrize("type_", [*FORMS, *BCD])
async def test_all_types_and_orders_out_of_libmodbus(type_: str, tmp_path: Path) -> None:
    """Its server holds 32 registers and serves one connection; it answers wrongly, on purpose, when two are asked for."""
    words, channels, expected = plan([type_], libmodbus.HOLDING_ADDRESS, 3)
    names = list(channels)
    most = libmodbus.HOLDING_COUNT // WIDTH[type_]
    compared = 0
    for at in range(0, len(names), most):
        chosen = names[at : at + most]
        first = channels[chosen[0]]["register"] - libmodbus.HOLDING_ADDRESS
        moved = {n: channels[n] | {"register": channels[n]["register"] - first} for n in chosen}
        there = words[first : first + libmodbus.HOLDING_COUNT]
        with LibmodbusTcp(tmp_path / str(at), words=there) as slave:
            compared += await check(slave.port, moved, {f"d-{n}": expected[f"d-{n}"] for n in chosen})
    assert compared == len(ORDERS) * PER_CASE


def test_the_types_are_all_that_a_profile_may_name() -> None:
    assert set(WIDTH) == {*FORMS, *BCD, "bool"}


async def test_a_wrong_order_is_caught(tmp_path: Path) -> None:
    words, channels, expected = plan(["float32"], 0, 3)
    channels["float32-abcd-0"]["order"] = "CDAB"
    with PythonSlave(tmp_path, "umodbus", words) as slave, pytest.raises(AssertionError):
        await check(slave.port, channels, expected)
