"""``mark start|extend|end|list``: a person says that points are worked at; their rules run in shadow meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import click

from edge_gateway.cli.client import Client
from edge_gateway.cli.demo import Duration
from edge_gateway.cli.main import OK
from edge_gateway.cli.verbs import Context, noun, option, verb
from edge_gateway.cli.words import local
from edge_gateway.phases import NAMES_ZH
from edge_gateway.rules.permits import why

_MOST_RULES = 12
_REASON_ZH = "理由，写入记录"


@noun(
    "mark",
    zh="标记正在校准、除霜、清洗等处置的测点。数据照常记录，规则转为影子判定，到时自动结束。您的系统用户名与理由会写入记录。",
    examples=[
        'edge-gateway mark start calibration --point cold2-air --for 45m --reason "cert. LH-2026-118"',
        "edge-gateway mark list",
        'edge-gateway mark end M-42 --reason "probe is back in its place"',
    ],
)
def command() -> None:
    """Mark points that are calibrated, defrosted, cleaned. Data stays, their rules run in shadow, and it ends by itself. Your OS user and your reason are recorded."""


@verb(
    "start",
    zh="开始标记。类型：calibration 校准、probe-swap 更换探头、defrost 除霜、cleaning 清洗、power-test 断电试验、sensor-fault 传感器故障、door-loading 开门装卸。",
    examples=[
        'edge-gateway mark start calibration --point cold2-air --for 45m --reason "cert. LH-2026-118"',
        'edge-gateway mark start door-loading --zone cold2 --for 20m --reason "truck at the door"',
    ],
)
@click.argument("type_", metavar="TYPE")
@option("--point", "points", multiple=True, metavar="POINT", help="a point; several times", zh="测点，可多次")
@option("--device", "devices", multiple=True, metavar="DEVICE", help="all points of a device", zh="设备的全部测点")
@option("--zone", "zones", multiple=True, metavar="ZONE", help="all points of a zone", zh="区域的全部测点")
@option("--for", "for_s", type=Duration(), required=True, help="how long, at most what the type permits: 45m, 2h", zh="时长，不超过该类型的上限：45m、2h")
@option("--reason", required=True, help="what is done, and a certificate's number", zh=_REASON_ZH)
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_obj
def start(ctx: Context, /, type_: str, for_s: float, reason: str, as_json: bool, **scope: tuple[str, ...]) -> int:
    """Begin a mark. TYPE: calibration, probe-swap, defrost, cleaning, power-test, sensor-fault, door-loading."""
    client = Client(ctx.socket)
    asked = {"type": type_, "for_s": for_s, "reason": reason} | {key: list(names) for key, names in scope.items()}
    made = client.post("/v1/marks", asked)
    if as_json:
        click.echo(json.dumps({"schema": "edge-gateway/mark/1", **made}, ensure_ascii=False))
        return OK
    zone = _zone(client)
    click.echo(f"{made['mark']}  {ctx.say('runs until', '运行至')} {local(made['until_wall_us'], zone)}  {ctx.say('entry', '条目')} {made['seq']}")
    for line in _told(ctx, made, zone):
        click.echo(line)
    return OK


def _told(ctx: Context, made: dict[str, Any], zone: str) -> Iterator[str]:
    rules = [f"{each['rule']}/{each['point']}" for each in made["rules"]]
    more = f" … +{len(rules) - _MOST_RULES}" if len(rules) > _MOST_RULES else ""
    if rules:
        yield f"  {ctx.say('in shadow', '影子判定')}: {', '.join(rules[:_MOST_RULES])}{more}"
    else:
        yield f"  {ctx.say('no rule watches these points', '没有规则监视这些测点')}"
    for each in made.get("after", ()):
        words = ctx.say("beyond its limit before the mark began: flagged, and it stays", "标记开始前已超限：已注明，违规保留")
        yield f"  ! {each['rule']}/{each['point']}  {words}  ({ctx.say('since', '自')} {local(each['since_wall_us'], zone)})"


@verb(
    "extend",
    zh="从现在起再延长。总时长不超过该类型的上限；相隔不足 30 分钟的标记合并计算。",
    examples=['edge-gateway mark extend M-42 --for 30m --reason "ice bath not stable yet"'],
)
@click.argument("mark")
@option("--for", "for_s", type=Duration(), required=True, help="how long from now on", zh="从现在起的时长")
@option("--reason", required=True, help="why it takes longer", zh=_REASON_ZH)
@click.pass_obj
def extend(ctx: Context, mark: str, for_s: float, reason: str) -> int:
    """Let a mark last longer, from now on. Marks less than 30 minutes apart count as one towards what its type permits."""
    client = Client(ctx.socket)
    made = client.post(f"/v1/marks/{quote(mark, safe='')}/extend", {"for_s": for_s, "reason": reason})
    click.echo(f"{mark}  {ctx.say('runs until', '运行至')} {local(made['until_wall_us'], _zone(client))}  {ctx.say('entry', '条目')} {made['seq']}")
    return OK


@verb("end", zh="提前结束标记：规则立即恢复判定。", examples=['edge-gateway mark end M-42 --reason "probe is back in its place"'])
@click.argument("mark")
@option("--reason", required=True, help="what was done", zh=_REASON_ZH)
@click.pass_obj
def end(ctx: Context, mark: str, reason: str) -> int:
    """End a mark before its time: the rules are armed again at once."""
    made = Client(ctx.socket).post(f"/v1/marks/{quote(mark, safe='')}/end", {"reason": reason})
    click.echo(f"{mark}  {ctx.say('ended', '已结束')}  {_fired(ctx, made)}  {ctx.say('entry', '条目')} {made['seq']}")
    return OK


@verb("list", zh="列出运行中的标记和最近一周结束的标记。", examples=["edge-gateway mark list", "edge-gateway mark list --json"])
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_obj
def list_(ctx: Context, as_json: bool) -> int:
    """Marks that run, and those that ended within the last week."""
    told = Client(ctx.socket).get("/v1/marks")
    if as_json:
        click.echo(json.dumps({"schema": "edge-gateway/marks/1", **told}, ensure_ascii=False))
        return OK
    for mark in told["marks"]:
        click.echo(_line(ctx, mark, told, ctx.say("runs until", "运行至") + " " + local(mark["until_wall_us"], told["timezone"])))
    for mark in told["ended"]:
        lasted = (mark["ended_rule_us"] - mark["from_rule_us"]) // 60_000_000
        click.echo(_line(ctx, mark, told, ctx.say(f"ended, {lasted} min", f"已结束，{lasted} 分钟")))
    if not told["marks"]:
        click.echo(ctx.say("no mark runs", "没有运行中的标记"), err=True)
    return OK


def _line(ctx: Context, mark: dict[str, Any], told: dict[str, Any], when: str) -> str:
    type_ = ctx.say(mark["type"], told["types"].get(mark["type"], {}).get("zh", mark["type"]))
    scope = " ".join(f"{key[:-1]}={','.join(names)}" for key, names in mark["scope"].items())
    flag = ctx.say("  ! begun after an excursion", "  ! 超限后才开始") if mark.get("after") else ""
    return f"{mark['mark']}  {type_}  {scope}  {when}  {_fired(ctx, mark)}  {ctx.say('by', '标记人')} {mark['by']}: {mark['reason']}{flag}"


def _fired(ctx: Context, mark: dict[str, Any]) -> str:
    count = mark["fired"]
    return ctx.say(f"would have fired: {count}", f"本会触发：{count} 次")


def worked_at(ctx: Context, status: dict[str, Any], zone: str) -> Iterator[str]:
    """Lines of ``status``: marks that run, the phase of the day, calibrations and permits that are due within 30 days or overdue."""
    for mark in status.get("marks", ()):
        scope = " ".join(f"{key[:-1]}={','.join(names)}" for key, names in mark["scope"].items())
        yield f"{ctx.say('mark', '标记')}     {mark['mark']}  {mark['type']}  {scope}  {ctx.say('until', '至')} {local(mark['until_wall_us'], zone)}"
    phase = status.get("phase") or {}
    if phase.get("phase"):
        name = ctx.say(phase["phase"], NAMES_ZH[phase["phase"]])
        yield f"{ctx.say('phase', '时段')}    {name}  {ctx.say('since', '自')} {local(phase['since_wall_us'], zone)}"
    for each in status.get("calibration_due", ()):
        if each["soon"]:
            words = ctx.say("calibration overdue since", "校准已过期") if each["overdue"] else ctx.say("calibration due", "校准到期")
            yield f"{ctx.say('due', '到期')}      {each['point']}  {words} {each['due']}"


    for each in status.get("permits_due", ()):
        yield f"{ctx.say('due', '到期')}      {why(each, ctx.say('en', 'zh'))}"


def _zone(client: Client) -> str:
    return str(client.get("/v1/marks")["timezone"] or "Asia/Shanghai")


for _verb in (start, extend, end, list_):
    command.add_command(_verb)
