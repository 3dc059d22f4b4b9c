"""``read``: one reading now, through the running gateway, or over a port of its own when there is none."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from edge_gateway.cli.client import Client, NotRunning
from edge_gateway.cli.main import NO, OK
from edge_gateway.cli.verbs import Context, option, verb
from edge_gateway.cli.words import quality
from edge_gateway.errors import GatewayError, JournalBusy, LinkDown
from edge_gateway.units import show

if TYPE_CHECKING:
    from edge_gateway.config.load import Loaded
    from edge_gateway.config.model import BusConfig
    from edge_gateway.profiles.spec import DeviceSpec

_ORDERS = {"ABCD": (0, 1, 2, 3), "CDAB": (2, 3, 0, 1), "BADC": (1, 0, 3, 2), "DCBA": (3, 2, 1, 0)}


class PortBusy(GatewayError):
    """Another program has the port."""

    exit_code = 7


@verb(
    "read",
    zh="立即读取一个测点，或某个单元的寄存器。只读：功能码 1–4。不写入台账。\n\n网关在运行时经由网关读取（不占用端口），否则自行打开端口。退出码：4 设备无应答，7 端口被占用。",
    examples=[
        "edge-gateway read cold1-air",
        "edge-gateway read --bus line1 --unit 1 --fc 4 --reg 1 --count 2",
    ],
)
@click.argument("point", required=False)
@option("--bus", help="a bus of the configuration", zh="配置中的总线")
@option("--unit", type=click.IntRange(0, 255), help="Modbus address", zh="Modbus 地址")
@option("--fc", type=click.IntRange(1, 4), default=3, show_default=True, help="function code", zh="功能码")
@option(
    "--reg",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    help="PDU address, from 0",
    zh="PDU 地址，从 0 起",
)
@option(
    "--count",
    type=click.IntRange(1, 2000),
    default=1,
    show_default=True,
    help="registers or bits",
    zh="寄存器或位的数量",
)
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_obj
def command(ctx: Context, /, point: str | None, as_json: bool, **raw: Any) -> int:
    """Read one point, or registers of a unit, now. Read-only (function codes 1 to 4); nothing of it is recorded.

    Goes through the running gateway without touching its port; without one it opens the port itself.
    Exit codes: 4 the device did not answer, 7 another program has the port.
    """
    if (point is None) == (raw["bus"] is None):
        raise click.UsageError("name a point, or --bus and --unit")
    if point is None and raw["unit"] is None:
        raise click.UsageError("--bus needs --unit")
    wanted: dict[str, Any] = {"point": point} if point else _registers(raw)
    try:
        answer = Client(ctx.socket).post("/v1/read", wanted)
    except NotRunning:
        answer = asyncio.run(_alone(ctx, wanted))
    if as_json:
        click.echo(json.dumps({"schema": "edge-gateway/read/1"} | answer, ensure_ascii=False))
    else:
        for line in _point_lines(ctx, answer) if point else _raw_lines(answer):
            click.echo(line)
        click.echo(_statistics(ctx, answer["counters"]), err=True)
    return OK if answer.get("quality", "good").startswith("good") else NO


def _registers(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "bus": raw["bus"],
        "unit": raw["unit"],
        "function": raw["fc"],
        "register": raw["reg"],
        "count": raw["count"],
    }


# --- without a gateway ------------------------------------------------------------------------------------------


async def _alone(ctx: Context, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Open the port, ask once, close it. Raises GatewayError: faulty configuration, no such point, port taken, no answer."""
    from edge_gateway.clock import SystemClock
    from edge_gateway.config.load import load
    from edge_gateway.config.resolve import device_specs

    loaded = load(ctx.config, ctx.state_dir, running=False)
    specs = device_specs(loaded)
    bus_id, bus = _bus_of(loaded, specs, wanted)
    if bus.kind == "mqtt":
        hint = "see the newest value in `status --points`"
        raise GatewayError(f"'{bus_id}' is a broker: its devices speak when they want", hint=hint)
    with ExitStack() as stack:
        _lock(ctx, stack)
        source = bus.build(bus_id, specs[bus_id], SystemClock())
        try:
            return await source.read_now(wanted)
        except LinkDown as error:
            if "held by" in error.why or "busy" in error.why.lower():
                raise PortBusy(error.why, hint=error.hint) from error
            raise
        finally:
            source.close()


def _bus_of(
    loaded: Loaded, specs: Mapping[str, tuple[DeviceSpec, ...]], wanted: Mapping[str, Any]
) -> tuple[str, BusConfig]:
    from edge_gateway.toml_errors import did_you_mean

    buses = loaded.config.buses
    if point := wanted.get("point"):
        for bus, devices in specs.items():
            if any(point == spec.id for device in devices for spec in device.points):
                return bus, buses[bus]
        raise GatewayError(f"no point '{point}'", hint=did_you_mean(str(point), loaded.config.points))
    bus = str(wanted["bus"])
    if bus not in buses:
        raise GatewayError(f"no bus '{bus}'", hint=did_you_mean(bus, buses))
    return bus, buses[bus]


def _lock(ctx: Context, stack: ExitStack) -> None:
    """Keep a gateway from starting meanwhile. A gateway that holds the folder and does not answer has the ports: exit 7."""
    from edge_gateway.journal.files import DiskFiles

    file = ctx.state_dir / "lock"
    try:
        if file.is_file():  # never made here: it would belong to whoever reads
            stack.callback(DiskFiles().lock(file).close)
    except JournalBusy as error:
        raise PortBusy("a gateway that does not answer holds the ports", hint=error.why) from error
    except PermissionError:
        pass  # a serial port has a lock of its own


# --- for people -------------------------------------------------------------------------------------------------


def _point_lines(ctx: Context, answer: Mapping[str, Any]) -> Iterator[str]:
    shown = ctx.say("no value", "无数据")
    if answer["value"] is not None:
        shown = show(answer["value"], answer["decimals"], answer["unit_of_measure"])
    yield f"{answer['point']}  {shown}  {quality(ctx, answer['quality'])}  {answer['round_trip_ms']} ms"
    where = f"unit {answer['unit']} FC{answer['function']:02d} reg {answer['register']} x{answer['count']}"
    yield f"  {answer['device']}  {answer['channel']}  {where}  raw {answer['data']}"


def _raw_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """Registers in every plausible reading: word order, sign and off-by-one are what goes wrong."""
    first = answer["register"]
    yield f"unit {answer['unit']} FC{answer['function']:02d} reg {first} x{answer['count']} (PDU address)  {answer['round_trip_ms']} ms"
    for index, bit in enumerate(answer.get("bits", ())):
        yield f"  bit {first + index:<6} {bit}"
    registers = answer.get("registers", ())
    for index, register in enumerate(registers):
        signed = register - 0x10000 if register & 0x8000 else register
        yield f"  reg {first + index:<6} 0x{register:04X}  u16 {register:<6} i16 {signed}"
    data = bytes.fromhex(answer["data"])
    for at in range(0, len(data) - 3 if len(registers) > 1 else 0, 4):
        for order, places in _ORDERS.items():
            part = bytes(data[at + place] for place in places)
            (real,), (whole,) = struct.unpack(">f", part), struct.unpack(">i", part)
            yield f"  reg {first + at // 2}..{first + at // 2 + 1} {order}  f32 {real:.6g}  i32 {whole}  u32 {whole & 0xFFFFFFFF}"


def _statistics(ctx: Context, counters: Mapping[str, Any]) -> str:
    counts = ", ".join(f"{name} {number}" for name, number in counters.items() if number)
    return f"{ctx.say('frames', '帧')}: {counts}"
