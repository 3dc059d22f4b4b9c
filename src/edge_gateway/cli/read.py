"""``read``: one reading now, through the running gateway, or over a port of its own when there is none."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from edge_gateway.cli.client import Client, NotRunning
from edge_gateway.cli.main import NO, OK
from edge_gateway.cli.port import HostType, LineType, is_port, serial_bus, tcp_bus
from edge_gateway.cli.raw import as_json as decodings_json
from edge_gateway.cli.raw import raw_lines
from edge_gateway.cli.verbs import Context, option, verb
from edge_gateway.cli.words import limits, name, quality, span, word
from edge_gateway.errors import GatewayError, JournalBusy, LinkDown
from edge_gateway.units import show

if TYPE_CHECKING:
    from edge_gateway.config.load import Loaded
    from edge_gateway.config.model import BusConfig
    from edge_gateway.profiles.spec import DeviceSpec
    from edge_gateway.sources.local_source import LocalSource
    from edge_gateway.sources.modbus_source import ModbusSource


class PortBusy(GatewayError):
    """Another program has the port."""

    exit_code = 7


@verb(
    "read",
    zh="立即读取一个测点，或某个单元的寄存器（以各种可能的读法显示，可信的做标记）。只读：功能码 1–4。不写入台账。\n\n"
    "网关在运行时经由网关读取（不占用端口），否则自行打开端口。退出码：4 设备无应答，7 端口被占用。",
    examples=[
        "edge-gateway read cold1-air",
        "edge-gateway read /dev/ttyUSB0 --unit 2 --reg 0 --count 2 --raw",
        "edge-gateway read --bus line1 --unit 1 --fc 4 --reg 1 --count 2",
        "edge-gateway read --tcp 192.168.1.50:502 --unit 1 --count 10",
    ],
)
@click.argument("what", required=False, metavar="[POINT|PORT]")
@option("--bus", help="a bus of the configuration", zh="配置中的总线")
@option("--tcp", type=HostType(), help="a Modbus TCP endpoint", zh="Modbus TCP 端点")
@option("--line", type=LineType(), default="9600-8N1", show_default=True, help="of a bare PORT", zh="裸端口的线路参数")
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
@option("--raw", is_flag=True, help="every reading (always so with --unit)", zh="显示所有读法（有 --unit 时总是如此）")
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_obj
def command(ctx: Context, /, what: str | None, as_json: bool, **raw: Any) -> int:
    """Read one point, or registers of a unit in every reading they could have, the plausible ones marked. Nothing is recorded.

    Read-only (function codes 1 to 4). Goes through the running gateway without touching its port; without one it opens
    the port itself. Exit codes: 4 the device did not answer, 7 another program has the port.
    """
    point = None if is_port(what) else what
    if [what, raw["bus"], raw["tcp"]].count(None) != 2:
        raise click.UsageError("name a point, or --unit with a port, --bus or --tcp")
    if point is None and raw["unit"] is None:
        raise click.UsageError("registers need --unit")
    wanted: dict[str, Any] = {"point": point} if point else _registers(raw, what)
    answer = _ask(ctx, wanted)
    if as_json:
        more = {} if point else {"decodings": decodings_json(answer)}
        click.echo(json.dumps({"schema": "edge-gateway/read/1"} | answer | more, ensure_ascii=False))
    else:
        for line in _point_lines(ctx, answer, raw["raw"]) if point else raw_lines(ctx, answer):
            click.echo(line)
        click.echo(_statistics(ctx, answer["counters"]), err=True)
    return OK if answer.get("quality", "good").startswith("good") else NO


def _ask(ctx: Context, wanted: dict[str, Any]) -> dict[str, Any]:
    """Through the running gateway where it has the line; else alone."""
    client = Client(ctx.socket)
    try:
        if wanted.get("line") and not (bus := _bus_of_port(ctx, wanted)):
            client.get("/v1/position")  # a gateway that runs, and has another port
            return asyncio.run(_bare(ctx, wanted))
        if wanted.get("line"):
            wanted = {key: value for key, value in wanted.items() if key not in ("line", "port")} | {"bus": bus}
        answer = client.post("/v1/read", wanted)
        if point := wanted.get("point"):
            rows = client.get("/v1/points")["points"]
            answer |= next(({"row": row} for row in rows if row["point"] == point), {})
        return answer
    except NotRunning:
        return asyncio.run(_bare(ctx, wanted) if wanted.get("line") else _alone(ctx, wanted))


def _bus_of_port(ctx: Context, wanted: Mapping[str, Any]) -> str:
    """The configured bus that has this port or endpoint, "" if none has: then nobody lends it."""
    from edge_gateway.config.load import load
    from edge_gateway.errors import ConfigError

    try:
        buses = load(ctx.config, ctx.state_dir, running=False).config.buses
    except ConfigError:
        return ""
    for id_, bus in buses.items():
        if bus.kind in ("rtu", "ascii") and os.path.realpath(bus.port) == os.path.realpath(str(wanted["port"])):
            return id_
        if bus.kind == "tcp" and [bus.host, bus.port] == wanted["port"]:
            return id_
    return ""


def _registers(raw: Mapping[str, Any], port: str | None) -> dict[str, Any]:
    wanted = {
        "unit": raw["unit"],
        "function": raw["fc"],
        "register": raw["reg"],
        "count": raw["count"],
    }
    if raw["bus"]:
        return wanted | {"bus": raw["bus"]}
    return wanted | {"port": list(raw["tcp"]) if raw["tcp"] else port, "line": list(raw["line"])}


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
        lock_folder(ctx, stack)
        source = bus.build(bus_id, specs[bus_id], SystemClock())
        return await _once(source, wanted) | _facts(loaded, source, wanted.get("point"))


async def _bare(ctx: Context, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """A port or endpoint that no configuration names."""
    from edge_gateway.clock import SystemClock

    tcp = isinstance(wanted["port"], list)
    bus: BusConfig = tcp_bus(*wanted["port"]) if tcp else serial_bus(wanted["port"], tuple(wanted["line"]))
    assert bus.kind != "mqtt"
    baud, parity, stopbits = wanted["line"]
    where = ":".join(map(str, wanted["port"])) if tcp else f"{wanted['port']} {baud}-8{parity}{stopbits}"
    with ExitStack() as stack:
        if not tcp:
            lock_folder(ctx, stack)
        return {"where": where} | await _once(bus.build("port", (), SystemClock()), wanted)


async def _once(source: ModbusSource | LocalSource, wanted: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return await source.read_now(wanted)
    except LinkDown as error:
        if "held by" in error.why or "busy" in error.why.lower():
            raise PortBusy(error.why, hint=error.hint) from error
        raise
    finally:
        source.close()


def _facts(loaded: Loaded, source: ModbusSource | LocalSource, point: str | None) -> dict[str, Any]:
    """What the configuration says of a point: its name and limits."""
    from edge_gateway.config.resolve import resolved
    from edge_gateway.page.view import Layout

    if not point:
        return {}
    document = resolved(loaded, {group.id: group for group in source.groups()}, "")
    about = document["points"][point]
    limits_ = Layout.of(document).limits.get(point, [])
    return {"row": {"name_zh": about["name_zh"], "name_en": about["name_en"], "unit": about["unit"], "limits": limits_}}


def _bus_of(
    loaded: Loaded, specs: Mapping[str, tuple[DeviceSpec, ...]], wanted: Mapping[str, Any]
) -> tuple[str, BusConfig]:
    from edge_gateway.toml_errors import did_you_mean

    buses = loaded.config.buses
    if point := wanted.get("point"):
        for bus, devices in specs.items():
            if any(point == spec.id for device in devices for spec in device.points):
                return bus, buses[bus]
        if (derived := loaded.config.derived.get(str(point))) is not None:
            raise GatewayError(f"'{point}' is computed from {', '.join(derived.of)}", hint="read those")
        raise GatewayError(f"no point '{point}'", hint=did_you_mean(str(point), loaded.config.points))
    bus = str(wanted["bus"])
    if bus not in buses:
        raise GatewayError(f"no bus '{bus}'", hint=did_you_mean(bus, buses))
    return bus, buses[bus]


def lock_folder(ctx: Context, stack: ExitStack) -> None:
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


def _point_lines(ctx: Context, answer: Mapping[str, Any], raw: bool) -> Iterator[str]:
    """Never a number without unit, limit, age and quality. It was read just now: its age is what the answer took."""
    row = answer.get("row", {})
    shown = ctx.say("no value", "无数据")
    if answer["value"] is not None:
        shown = show(answer["value"], answer["decimals"], answer["unit_of_measure"])
    parts = [answer["point"], name(ctx, row) if row else "", shown]
    if row:
        parts += [f"{ctx.say('limit', '限值')} {limits(ctx, row)}", _beyond(ctx, answer, row), _next(ctx, row)]
    age = f"{ctx.say('age', '距今')} {answer['round_trip_ms'] / 1000:.1f} s"
    yield "  ".join(part for part in (*parts, age, f"{ctx.say('quality', '质量')} {quality(ctx, answer['quality'])}") if part)
    if "file" in answer:  # no registers: what the kernel's file said
        text = " | ".join(str(answer["data"]).splitlines())
        yield f"  {answer['device']}  {answer['channel']}  {answer['file']}  {text}  {answer['round_trip_ms']} ms"
        return
    where = f"unit {answer['unit']} FC{answer['function']:02d} reg {answer['register']} x{answer['count']}"
    yield f"  {answer['device']}  {answer['channel']}  {where}  raw {answer['data']}  {answer['round_trip_ms']} ms"
    if raw:
        yield from raw_lines(ctx, answer)


def _beyond(ctx: Context, answer: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """How far outside the narrowest limit the value is; "" inside."""
    if answer["value"] is None:
        return ""
    value, found = float(answer["value"]), ""
    for limit in row["limits"]:
        low, high = (None if limit[side] is None else float(limit[side]) for side in ("low", "high"))
        if high is not None and value > high:
            over = show(value - high, answer["decimals"], answer["unit_of_measure"])
            found = ctx.say(f"{over} above", f"高出 {over}")
        elif low is not None and value < low:
            under = show(low - value, answer["decimals"], answer["unit_of_measure"])
            found = ctx.say(f"{under} below", f"低于下限 {under}")
    return found


def _next(ctx: Context, row: Mapping[str, Any]) -> str:
    """What the running gateway holds of the point: a state other than normal, and what comes after which delay."""
    state = row.get("state")
    if state in (None, "normal"):
        return ""
    waits = ""
    if row.get("next") and row.get("wait_s") is not None:
        waits = ctx.say(f", {row['next']} after {span(row['wait_s'])}", f"，{span(row['wait_s'])}后转为{word(ctx, row['next'])}")
    return f"{word(ctx, str(state))}{waits}"


def _statistics(ctx: Context, counters: Mapping[str, Any]) -> str:
    """As mbpoll does: how many frames went and came, and what went wrong."""
    wrong = {name: counters.get(name, 0) for name in ("no_answer", "bad_frames", "strange", "refused")}
    received = counters.get("answers", 0) + counters.get("refused", 0)
    errors = ctx.say(f"{sum(wrong.values())} errors", f"错误 {sum(wrong.values())}")
    more = ", ".join(f"{name} {number}" for name, number in wrong.items() if number)
    sent = counters.get("requests", 0)
    text = ctx.say(f"frames: {sent} sent, {received} received, ", f"帧：发送 {sent}，收到 {received}，") + errors
    return f"{text} ({more})" if more else text
