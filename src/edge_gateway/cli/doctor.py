"""``doctor``: what is wrong here and what to do, check by check; ``doctor bus NAME`` looks at one line for a while."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import click

from edge_gateway.cli import health_lines
from edge_gateway.cli.client import Client, NotRunning, Refused
from edge_gateway.cli.doctor_checks import Check, every
from edge_gateway.cli.main import NO, OK
from edge_gateway.cli.verbs import Context, Verbs, option, verb
from edge_gateway.errors import ConfigError, GatewayError

_LEVELS = {"ok": ("[ OK ]", "[ 正常 ]"), "warn": ("[WARN]", "[ 注意 ]"), "fail": ("[FAIL]", "[ 故障 ]")}
#: Between two looks at a running gateway, and between two questions to a unit that is silent (s).
_PAUSE_S = 1.0


class _Seconds(click.ParamType[float]):
    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """``60``, ``60s`` or ``2m``."""
        if isinstance(value, float):
            return value
        text, factor = str(value).removesuffix("s"), 1
        if text.endswith("m"):
            text, factor = text[:-1], 60
        try:
            seconds = float(text) * factor
        except ValueError:
            seconds = -1.0
        if not 1 <= seconds <= 3600:
            self.fail(f"{value!r} is no time from 1s to 60m", param, ctx)
        return seconds


@click.group(
    "doctor",
    cls=Verbs,
    invoke_without_command=True,
    zh="逐项检查本机、网关、总线、磁盘、页面与上报去向，并说明如何处理。退出码：0 必需项均通过，1 有必需项未通过。",
    examples=[
        "edge-gateway doctor",
        "edge-gateway doctor bus line1 --duration 60s",
        "edge-gateway doctor --json",
    ],
)
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_context
def command(click_ctx: click.Context, as_json: bool) -> int:
    """Check machine, gateway, buses, disk, page and sinks; say how to mend what fails. Exit 1 only if a required check fails."""
    if click_ctx.invoked_subcommand is not None:
        return OK
    ctx: Context = click_ctx.obj
    checks = list(every(ctx))
    if as_json:
        shown = [check.as_dict() for check in checks]
        click.echo(json.dumps({"schema": "edge-gateway/doctor/1", "checks": shown}, ensure_ascii=False))
    else:
        for line in lines(ctx, checks):
            click.echo(line)
    return NO if any(check.level == "fail" for check in checks) else OK


def lines(ctx: Context, checks: list[Check]) -> Iterator[str]:
    """One line a check, with what to do below those that are not well."""
    for check in checks:
        en, zh = _LEVELS[check.level]
        yield f"{ctx.say(en, zh)} {check.what}"
        yield from (f"       {line}" for line in check.more)
        if check.fix:
            yield f"       {ctx.say('fix', '处理')}: {check.fix}"
    bad = sum(check.level != "ok" for check in checks)
    yield ctx.say(
        f"{bad} of {len(checks)} checks want a person" if bad else f"all {len(checks)} checks are well",
        f"{len(checks)} 项检查中有 {bad} 项需要处理" if bad else f"{len(checks)} 项检查全部正常",
    )


@verb(
    "bus",
    zh="观察一条总线一段时间：每个从站的计数、发现、可能原因与下一步。只读。\n\n"
    "网关在运行时经由网关（静默的设备会多问几次）；否则自行打开端口，询问已配置的设备。退出码：1 发现故障。",
    examples=[
        "edge-gateway doctor bus line1",
        "edge-gateway doctor bus line1 --duration 5m --lang zh",
        "edge-gateway doctor bus line1 --json",
    ],
)
@click.argument("bus_name", metavar="NAME")
@option(
    "--duration",
    "duration_s",
    type=_Seconds(),
    default="60s",
    show_default=True,
    help="how long to look",
    zh="观察时长",
)
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_obj
def bus(ctx: Context, bus_name: str, duration_s: float, as_json: bool) -> int:
    """Look at one line for a while: counters of each unit, what is seen, what may be behind it, what to do. Reads only.

    Through the running gateway (silent units are asked more often meanwhile), else over the port itself. Exit 1: a fault.
    """
    click.echo(
        ctx.say(f"looking at {bus_name} for {duration_s:g} s; reads only", f"观察 {bus_name} {duration_s:g} 秒；只读"),
        err=True,
    )
    try:
        before, after, zone = _through_gateway(ctx, bus_name, duration_s)
    except NotRunning:
        before, after, zone = _alone(ctx, bus_name, duration_s)
    units = _difference(before, after)
    findings = after["link"]["findings"]
    if as_json:
        shown = {"schema": "edge-gateway/doctor-bus/1", "bus": bus_name, "duration_s": duration_s, "units": units}
        click.echo(json.dumps(shown | {"findings": findings, "state": after["state"]}, ensure_ascii=False))
    else:
        for line in bus_lines(ctx, bus_name, after, units, zone):
            click.echo(line)
    return NO if any(finding["level"] == "fail" for finding in findings) or after["state"] == "down" else OK


command.add_command(bus)


def bus_lines(
    ctx: Context, bus_name: str, health: Mapping[str, Any], units: Mapping[str, Mapping[str, int]], zone: str
) -> Iterator[str]:
    """What was counted meanwhile, then what it means."""
    for number, counts in units.items():
        where = health_lines.names(health, [int(number)])
        yield f"{ctx.say('unit', '从站')} {where}  {health_lines.counters(ctx, counts)}"
    if not units:
        yield ctx.say("no exchange meanwhile", "期间没有通信")
    for finding in health["link"]["findings"]:
        en, zh = _LEVELS[finding["level"]]
        yield f"{ctx.say(en, zh)} {bus_name}  {health_lines.seen(ctx, health, finding, zone)}"
        yield from (f"       {line}" for line in health_lines.steps(ctx, finding))
    if health["state"] == "down":
        yield f"{ctx.say('[FAIL]', '[ 故障 ]')} {bus_name}  {health['said']}"


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    old = before["link"]["units"]
    return {
        unit: {what: count - old.get(unit, {}).get(what, 0) for what, count in counts.items()}
        for unit, counts in after["link"]["units"].items()
    }


def _through_gateway(ctx: Context, bus_name: str, duration_s: float) -> tuple[Any, Any, str]:
    client = Client(ctx.socket)
    before = _bus_of(client.get("/v1/status"), bus_name)
    ends_s = time.monotonic() + duration_s
    while (left_s := ends_s - time.monotonic()) > 0:
        time.sleep(min(_PAUSE_S, left_s))
        status = client.get("/v1/status")
        for about in _bus_of(status, bus_name)["devices"].values():
            if about["state"] != "answers" and time.monotonic() < ends_s:
                _knock(client, bus_name, about["unit"])
    time.sleep(_PAUSE_S)
    status = client.get("/v1/status")
    return before, _bus_of(status, bus_name), status["site"].get("timezone", "Asia/Shanghai")


def _knock(client: Client, bus_name: str, unit: int) -> None:
    """Ask a silent unit now, whatever its rest: an answer or none, the line's figures have it."""
    try:
        client.post("/v1/read", {"bus": bus_name, "unit": unit, "function": 3, "register": 0, "count": 1})
    except Refused:
        pass


def _bus_of(status: Mapping[str, Any], bus_name: str) -> Any:
    health = status["buses"].get(bus_name)
    if health is None or "link" not in health:
        lines_ = [name for name, about in status["buses"].items() if "link" in about]
        raise GatewayError(f"no Modbus line '{bus_name}' is being read", hint=f"lines: {', '.join(lines_) or 'none'}")
    return health


def _alone(ctx: Context, bus_name: str, duration_s: float) -> tuple[Any, Any, str]:
    """Without a gateway: the port is ours meanwhile, and the state folder's lock sees to it that none starts."""
    import asyncio

    from edge_gateway.cli.read import lock_folder
    from edge_gateway.config.load import load
    from edge_gateway.config.resolve import device_specs

    loaded = load(ctx.config, ctx.state_dir)
    config = loaded.config.buses.get(bus_name)
    if config is None or not hasattr(config, "settings") or config.kind == "mqtt":
        named = ", ".join(name for name, one in loaded.config.buses.items() if one.kind in ("tcp", "rtu", "ascii"))
        raise ConfigError(
            f"no Modbus line '{bus_name}' in the configuration", file=str(ctx.config), hint=f"lines: {named}"
        )
    specs = device_specs(loaded)[bus_name]
    if not specs:
        raise ConfigError(f"bus '{bus_name}' has no devices to ask", file=str(ctx.config), hint="edge-gateway scan")
    from edge_gateway.cli.doctor_line import look

    with ExitStack() as stack:
        lock_folder(ctx, stack)
        after = asyncio.run(look(config, bus_name, specs, duration_s))
    return {"link": {"units": {}}}, after, loaded.config.site.timezone
