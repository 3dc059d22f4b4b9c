"""``scan``: what is on the wire, through the running gateway, or over a port of its own when there is none."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack, aclosing
from typing import Any

import click

from edge_gateway.cli.client import Client, NotRunning, Refused
from edge_gateway.cli.main import BUSY, INTERRUPTED, NO_ANSWER, OK
from edge_gateway.cli.port import LineType
from edge_gateway.cli.scan_words import following, lines, quiet_lines, talk
from edge_gateway.cli.verbs import Context, option, verb
from edge_gateway.errors import GatewayError

#: Events come at least this often (s), or the gateway is gone.
_SILENCE_S = 120.0

Event = Mapping[str, Any]


@verb(
    "scan",
    zh="查找总线上的设备。只读。结果进入收件箱（inbox）。TARGET：总线、串口、主机、或一段主机地址；只有一个串口时可省略。\n\n"
    "先监听 2 秒：有其他主站时先询问（非终端则需 --yes，否则退出码 7）。网关在运行时经由网关扫描，轮询穿插继续。"
    "Ctrl-C 停止，已找到的会保留。退出码：4 无应答，7 端口被占用或有其他主站。",
    examples=[
        "edge-gateway scan                        # the only serial line there is",
        "edge-gateway scan /dev/ttyUSB0 --line 19200-8E1 --addresses 1-10",
        "edge-gateway scan 192.168.1.0/28         # Modbus TCP, these hosts only",
        "edge-gateway scan zigbee --for 60        # a broker: topics that nobody configured",
        "edge-gateway scan --passive              # another master talks: only listen",
        "edge-gateway scan --identify             # which of the found is in my hand?",
    ],
)
@click.argument("target", required=False)
@option("--addresses", metavar="1-32,40", help="instead of 1-32", zh="代替 1-32")
@option("--line", "lines_", type=LineType(), multiple=True, help="only these settings", zh="仅限这些线路参数")
@option("--all", "every", is_flag=True, help="addresses 1-247", zh="地址 1-247")
@option("--profile", help="ask for a register of this device type", zh="按此设备类型的寄存器询问")
@option("--listen", "listen_s", type=click.FloatRange(0, 600), default=2.0, show_default=True, help="seconds", zh="先监听的秒数")
@option("--patience", "patience_s", type=click.FloatRange(0.02, 10), help="seconds for slow units  [default: 0.12]", zh="给慢速设备的秒数 [默认: 0.12]")
@option("--passive", is_flag=True, help="only listen: show a foreign master's traffic", zh="只监听：显示其他主站的通信")
@option("--identify", is_flag=True, help="warm a probe: what moves comes first", zh="握住探头：变化大的排前")
@option("--for", "for_s", type=click.FloatRange(min=0), help="end --passive, --identify", zh="监听或辨认的秒数")
@option("--topics", multiple=True, metavar="FILTER", help="of a broker", zh="MQTT 主题过滤器")
@option("--yes", is_flag=True, help="also where another master talks", zh="有其他主站也继续")
@option("--json", "as_json", is_flag=True, help="one JSON object at the end", zh="最后输出一个 JSON 对象")
@click.pass_obj
def command(ctx: Context, /, yes: bool, as_json: bool, lines_: Any, passive: bool, identify: bool, **asked: Any) -> int:
    """Find what answers on a line. Reads only; results go to the inbox. TARGET: a bus, port, host or range of hosts.

    Listens first: where another master talks it asks (without a terminal it wants --yes, else exit 7). The running gateway
    polls on in between. Ctrl-C stops, what was found is kept. Exit codes: 4 nothing answered, 7 busy.
    """
    wanted = {key: value for key, value in asked.items() if value is not None and value is not False}
    wanted["topics"] = list(asked["topics"])
    wanted |= {"lines": [f"{baud}-8{parity}{stopbits}" for baud, parity, stopbits in lines_], "active": yes}
    if passive and identify:
        raise click.UsageError("--passive or --identify, not both")
    if passive or identify:
        return quiet(ctx, wanted | {"mode": "passive" if passive else "identify"}, as_json)
    report = Report(ctx, as_json)
    try:
        run_events(ctx, wanted, report.take)
        if report.foreign and not yes:
            if not _agreed(ctx):
                return BUSY
            run_events(ctx, wanted | {"active": True, "listen_s": 0.0}, report.take)
    except KeyboardInterrupt:
        report.close(ctx.say("stopped; what was found is kept", "已停止；已找到的保留"))
        return INTERRUPTED
    if report.error:
        report.close(quiet=True)
        raise Refused(report.error["why"], hint=report.error.get("hint", ""), kind=report.error["error"])
    report.close()
    return OK if report.units else NO_ANSWER


class Report:
    """Events as lines while they come, or as one object at the end."""

    def __init__(self, ctx: Context, as_json: bool) -> None:
        self._ctx = ctx
        self._as_json = as_json
        self._events: list[Event] = []
        self.units: list[Event] = []
        self.error: Event = {}
        self.foreign = False

    def take(self, event: Event) -> None:
        """Show one event."""
        if event["event"] in ("unit", "topic"):
            self.units.append(event)
        elif event["event"] == "error":
            self.error = event
        elif event["event"] != "progress":
            self._events.append(event)
        self.foreign |= event["event"] == "foreign"
        if not self._as_json:
            for line in lines(self._ctx, event):
                click.echo(line)
        for line in talk(self._ctx, event):
            click.echo(line, err=True)
        self._progress(event)

    def _progress(self, event: Event) -> None:
        """How far it is, in place; on a terminal only."""
        if event["event"] == "progress" and sys.stderr.isatty():
            click.echo(f"\r  {event['framing']}  {event['done']}/{event['of']}  ", err=True, nl=False)

    def close(self, said: str = "", *, quiet: bool = False) -> None:
        """The last words; after an error only the object that was asked for."""
        if said:
            click.echo(f"\n{said}", err=True)
        if self._as_json:
            shown = {"schema": "edge-gateway/scan/1", "units": self.units, "events": self._events}
            click.echo(json.dumps(shown, ensure_ascii=False))
        elif not quiet and (not self.foreign or self.units):
            items = len({unit["item"] for unit in self.units if unit.get("item")})
            click.echo(following(self._ctx, items), err=True)


def quiet(ctx: Context, wanted: dict[str, Any], as_json: bool) -> int:
    """Listen, or watch what moves: lines as they come (JSON lines if asked), until Ctrl-C or the time is over."""
    errors: list[Event] = []
    heard = []

    def take(event: Event) -> None:
        heard.extend([event] if event["event"] in ("heard", "values") else [])
        errors.extend([event] if event["event"] == "error" else [])
        if as_json:
            click.echo(json.dumps(event, ensure_ascii=False))
            return
        if event["event"] == "values" and sys.stdout.isatty():
            click.clear()
        for line in quiet_lines(ctx, event):
            click.echo(line)

    try:
        run_events(ctx, wanted, take)
    except KeyboardInterrupt:
        return INTERRUPTED
    if errors:
        raise Refused(errors[0]["why"], hint=errors[0].get("hint", ""), kind=errors[0]["error"])
    return OK if heard else NO_ANSWER


def _agreed(ctx: Context) -> bool:
    """A person's word on disturbing another master; nobody is asked where nobody sits."""
    question = ctx.say(
        "A scan would disturb it: its answers and ours collide. `scan --passive` only listens. Go on all the same?",
        "扫描会干扰它：双方的应答会冲突。`scan --passive` 只监听。仍要继续？",
    )
    if not sys.stdin.isatty():
        click.echo(ctx.say("not scanned: say --yes to go on all the same", "未扫描：如仍要继续，请加 --yes"), err=True)
        return False
    return click.confirm(question, default=False, err=True)


def run_events(ctx: Context, wanted: dict[str, Any], take: Callable[[Event], None]) -> None:
    """Through the running gateway; else alone, with the state folder's lock so that none starts meanwhile."""
    client = Client(ctx.socket, timeout_s=_SILENCE_S)
    try:
        done = False
        for event in client.stream("/v1/scan", wanted):
            done = event["event"] == "done"
            if not done:
                take(event)
        if not done:
            raise GatewayError("the gateway ended", hint="what was found so far is in the inbox: `edge-gateway inbox list`")
    except NotRunning:
        with ExitStack() as stack:
            from edge_gateway.cli.read import lock_folder

            lock_folder(ctx, stack)
            asyncio.run(_alone(ctx, wanted, take))


async def _alone(ctx: Context, wanted: dict[str, Any], take: Callable[[Event], None]) -> None:
    async with aclosing(scans(ctx).run(wanted)) as events:
        async for event in events:
            take(event)


def scans(ctx: Context) -> Any:
    """Scans and the inbox without a gateway; a configuration that is missing or faulty is none."""
    from edge_gateway.app.scanning import Scans
    from edge_gateway.clock import SystemClock
    from edge_gateway.config.load import load
    from edge_gateway.errors import ConfigError

    try:
        config = load(ctx.config, ctx.state_dir, running=False).config
    except ConfigError:
        config = None
    return Scans(
        main=ctx.config,
        state_dir=ctx.state_dir,
        config=lambda: config,
        share=lambda _bus: None,
        wall_us=SystemClock().wall_us,
    )
