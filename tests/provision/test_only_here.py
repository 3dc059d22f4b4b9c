"""Only `provision apply` can write to the field bus: by the floors, by who imports what, by what lines refuse, and by trying."""

from __future__ import annotations

import ast
import asyncio
import os
import random
import struct
import tty
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest

from edge_gateway.errors import GatewayError
from edge_gateway.links.modbus import Line, RtuSettings, TcpSettings, open_line
from tests.servers.write_ledger import READING
from tests.test_architecture import SOURCE, Module, faults, floor_of, read_modules

WIRE = "edge_gateway.provision.wire"
MAY_IMPORT_WIRE = {"edge_gateway.provision.bench"}
MAY_IMPORT_BENCH = {"edge_gateway.provision.steps"}
MAY_IMPORT_STEPS = {"edge_gateway.app.provisioning", "edge_gateway.app.drift"}
#: How pymodbus and others call what writes.
WRITERS = {
    "write_coil", "write_coils", "write_register", "write_registers", "mask_write_register", "readwrite_registers",
    "write_file_record", "write_bit", "write_bits", "force_multiple_coils",
}  # fmt: skip


@cache
def house() -> dict[str, Module]:
    return read_modules(SOURCE)


def importers(modules: dict[str, Module], target: str) -> set[str]:
    return {name for name, module in modules.items() if target in {found for found, _ in module.imports}}


def writers(source: Path) -> Iterator[str]:
    """Every use of a foreign function that writes to a bus."""
    for path in source.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
            if name in WRITERS:
                yield f"{path}:{node.lineno}: {name}"


def test_who_may_import_what_writes() -> None:
    modules = house()
    assert importers(modules, WIRE) == MAY_IMPORT_WIRE
    assert importers(modules, "edge_gateway.provision.bench") == MAY_IMPORT_BENCH
    assert importers(modules, "edge_gateway.provision.steps") <= MAY_IMPORT_STEPS
    assert list(writers(SOURCE)) == []


def test_no_source_and_no_link_can_reach_it() -> None:
    modules = house()
    here = floor_of(WIRE, modules)
    assert here is not None
    for name in modules:
        if name.startswith(("edge_gateway.sources", "edge_gateway.links", "edge_gateway.profiles")):
            floor = floor_of(name, modules)
            assert floor is not None
            assert floor < here, name


def test_a_planted_import_and_a_planted_writer_are_caught(tmp_path: Path) -> None:
    modules = house()
    source = modules["edge_gateway.sources.modbus_turn"]
    planted = Module(source.name, source.path, False, (*source.imports, (WIRE, 1)))
    found = faults({**modules, source.name: planted})
    assert any("upward, from floor 3 to floor 4" in fault for fault in found), found
    assert source.name in importers({**modules, source.name: planted}, WIRE)
    (tmp_path / "sneaky.py").write_text("client.write_register(1, 2)\n")
    assert len(list(writers(tmp_path))) == 1


class Recorder:
    """The far end of a line: keeps every byte, says nothing."""

    def __init__(self) -> None:
        self.data = bytearray()

    async def tcp(self) -> int:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError):
                while data := await reader.read(4096):
                    self.data += data
            writer.close()

        self.server = await asyncio.start_server(serve, "127.0.0.1", 0)
        return int(self.server.sockets[0].getsockname()[1])

    def serial(self) -> str:
        self.master, slave = os.openpty()
        tty.setraw(slave)
        self.slave = slave
        os.set_blocking(self.master, False)
        asyncio.get_running_loop().add_reader(self.master, lambda: self.data.extend(os.read(self.master, 4096)))
        return os.ttyname(slave)


SEED, N = 4, 2000


async def _try(line: Line, unit: int, pdu: bytes) -> None:
    if not line.is_open:
        await line.open()
    with suppress(GatewayError, ValueError, struct.error, IndexError):
        await line.exchange(unit, pdu, 0.0005)


@pytest.mark.parametrize("kind", ["tcp", "rtu"])
async def test_lines_send_no_request_that_could_change_anything(kind: str) -> None:
    """Every function code in the shapes of its request, and ``N`` random ones: what goes out only reads."""
    recorder = Recorder()
    line: Line
    if kind == "tcp":
        line = open_line(TcpSettings(host="127.0.0.1", port=await recorder.tcp(), timeout_s=0.0005))
    else:
        line = open_line(RtuSettings(port=recorder.serial(), baud=115_200, timeout_s=0.0005, quiet_s=0.0005))
    chance = random.Random(SEED)
    shapes = [struct.pack(">HH", 0, 1), struct.pack(">HHBH", 0, 1, 2, 7), struct.pack(">HHH", 0, 1, 2), b"", b"\x0e\x01\x00"]
    asked = [bytes((function,)) + shape for function in range(256) for shape in shapes]
    refused = [pdu for pdu in asked if pdu[0] not in READING]
    asked += [bytes((chance.choice((5, 6, 15, 16, 22, 23, 8, 90)),)) + chance.randbytes(chance.randrange(9)) for _ in range(N)]
    sent = 0
    for pdu in asked:
        before = line.counters.requests
        await _try(line, chance.randrange(256), pdu)
        if line.counters.requests > before:
            sent += 1
            assert pdu[0] in READING, pdu.hex()
    for pdu in refused:
        with pytest.raises(ValueError, match=r"read"):
            await line.exchange(1, pdu, 0.0005)
    line.close()
    assert sent >= 4, "the harness sent nothing at all"
    if kind == "tcp":
        recorder.server.close()
    else:
        asyncio.get_running_loop().remove_reader(recorder.master)
        os.close(recorder.master)
        os.close(recorder.slave)
