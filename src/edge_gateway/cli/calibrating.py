"""``calibrate found|left|correct|list``: the walk-through of a calibration: mark, wait until the probe is steady, record it against the reference."""

from __future__ import annotations

import json
import time
from typing import Any
from zoneinfo import ZoneInfo

import click

from edge_gateway.cli.client import Client, Refused
from edge_gateway.cli.demo import Duration
from edge_gateway.cli.main import NO, OK, WARNINGS
from edge_gateway.cli.verbs import Context, noun, option, verb
from edge_gateway.cli.words import local
from edge_gateway.history.export import moment_us
from edge_gateway.units import symbol

_LOOK_S = 0.5


@noun(
    "calibrate",
    zh="校准流程：自动标记测点，等待读数稳定，与标准值对照并记录校准前（found）与校准后（left）的误差、证书和不确定度。读数由网关取得，不由人填写。",
    examples=[
        'edge-gateway calibrate found cold2 --reference 0 --uncertainty 0.05 --cert LH-118 --reason annual',
        'edge-gateway calibrate left cold2 --reference 0 --uncertainty 0.05 --cert LH-118 --reason adjusted',
        "edge-gateway calibrate list",
    ],
)
def command() -> None:
    """Calibrate a probe without a violation: mark it, wait until it is steady, record what it showed before (found) and after (left) against a reference."""


def _options(function: Any) -> Any:
    for each in (
        option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象"),
        option("--wait", "wait_s", type=Duration(), default="10m", help="how long to wait for it to be steady", zh="等待稳定的最长时间"),
        option("--steady-for", "steady_s", type=Duration(), default="60s", help="steady is: so long …", zh="稳定判据：持续时间"),
        option("--steady-within", "band", type=click.FloatRange(min=0), default=0.1, help="… within so much, in the point's unit", zh="稳定判据：波动范围（测点单位）"),
        option("--reason", required=True, help="why, and what was done", zh="理由，写入记录"),
        option("--due", default="", metavar="DATE", help="when the next is due", zh="下次校准日期"),
        option("--medium", default="", help="ice bath, buffer solution …", zh="介质：冰浴、标准液等"),
        option("--allowed", type=float, help="the error that is allowed", zh="允许误差"),
        option("--cert", "certificate", required=True, help="the reference's certificate", zh="标准器证书编号"),
        option("--uncertainty", type=float, required=True, help="of the reference, in the point's unit", zh="标准值的不确定度"),
        option("--reference", type=float, required=True, help="what is right, in the point's unit", zh="标准值"),
    ):
        function = each(function)
    return function


@verb("found", zh="校准前：若无标记则先开始 45 分钟的校准标记，等待稳定后记录。", examples=['edge-gateway calibrate found cold2 --reference 0 --uncertainty 0.05 --cert LH-118 --reason annual'])
@click.argument("point")
@_options
@click.pass_obj
def found(ctx: Context, /, point: str, **asked: Any) -> int:
    """As found: begins a mark of 45 min where none runs, waits until the probe is steady, records its error."""
    client = Client(ctx.socket)
    if _mark(client, point) is None:
        wanted = {"type": "calibration", "for_s": 2700, "points": [point], "reason": f"{asked['certificate']}: {asked['reason']}"}
        made = client.post("/v1/marks", wanted)
        click.echo(f"{made['mark']}  {ctx.say('mark of 45 min: the rules run in shadow', '已标记 45 分钟：规则转为影子判定')}", err=asked["as_json"])
    return _record(ctx, client, "as-found", point, asked)


@verb("left", zh="校准后：等待稳定后记录，然后结束标记。", examples=['edge-gateway calibrate left cold2 --reference 0 --uncertainty 0.05 --cert LH-118 --reason adjusted'])
@click.argument("point")
@_options
@option("--keep-mark", is_flag=True, help="let the mark run on, until the probe is back", zh="保留标记，直到探头复位")
@click.pass_obj
def left(ctx: Context, /, point: str, keep_mark: bool, **asked: Any) -> int:
    """As left: waits until the probe is steady, records its error, and ends the mark."""
    client = Client(ctx.socket)
    code = _record(ctx, client, "as-left", point, asked)
    mark = _mark(client, point)
    if mark is not None and not keep_mark:
        made = client.post(f"/v1/marks/{mark}/end", {"reason": f"calibrated: {asked['reason']}"})
        click.echo(f"{mark}  {ctx.say('ended', '标记已结束')}  {ctx.say('would have fired', '本会触发')}: {made['fired']}", err=asked["as_json"])
    return code


@verb(
    "correct",
    zh="说明过去某段时间的读数偏差：新增一条修正记录，原始读数不变。默认从上次校准到本次校准前读数，修正值为校准前误差的相反数。",
    examples=['edge-gateway calibrate correct cold2 --from 2026-11-01 --reason "dropped on that day, see the log"'],
)
@click.argument("point")
@option("--from", "from_", default="", metavar="MOMENT", help="first moment: 2026-03-05, 2026-03-05T14:00 (local), or 24h ago; else the calibration before", zh="起始时刻；默认上次校准")
@option("--until", default="", metavar="MOMENT", help="last moment; else the reading as found", zh="截止时刻；默认校准前读数")
@option("--offset", type=float, help="what is added to a reading to make it right; else the error as found, turned round", zh="与读数相加得到正确值；默认校准前误差的相反数")
@option("--cert", "certificate", default="", help="else the one as found", zh="证书编号；默认校准前所用")
@option("--reason", required=True, help="why", zh="理由，写入记录")
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_obj
def correct(ctx: Context, /, point: str, from_: str, until: str, as_json: bool, **asked: Any) -> int:
    """Say that readings of the past were off, and by how much: an entry more; the readings stay as they are."""
    client = Client(ctx.socket)
    zone = ZoneInfo(client.get("/v1/calibrations")["timezone"])
    try:
        times = {key: moment_us(text, zone, time.time_ns() // 1000) for key, text in (("from_wall_us", from_), ("until_wall_us", until)) if text}
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    given = {key: value for key, value in asked.items() if value not in (None, "")}
    made = client.post("/v1/calibrations/correct", {"point": point} | times | given)
    if as_json:
        click.echo(json.dumps({"schema": "edge-gateway/calibration/1", **made}, ensure_ascii=False))
    else:
        click.echo(f"{point}  {_correction(ctx, client, made)}  {ctx.say('entry', '条目')} {made['seq']}")
    return OK


@verb("list", zh="列出各测点最近一次校准和到期日。退出码 3：有即将到期或已过期。", examples=["edge-gateway calibrate list"])
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_obj
def list_(ctx: Context, as_json: bool) -> int:
    """The last calibration of each point. Exit code 3: one is due within 30 days, or overdue."""
    client = Client(ctx.socket)
    told = client.get("/v1/calibrations")
    urgent = [each for each in told["due"] if each["soon"]]
    if as_json:
        click.echo(json.dumps({"schema": "edge-gateway/calibrations/1", **told}, ensure_ascii=False))
        return WARNINGS if urgent else OK
    for point, about in sorted(told["points"].items()):
        errors = "  ".join(f"{_step(ctx, step)} {about[step]['error']:+g} {symbol(about[step].get('unit', ''))}".rstrip() for step in ("as-found", "as-left") if step in about)
        due = f"  {ctx.say('due', '到期')} {about['due']}" if about.get("due") else ""
        click.echo(f"{point}  {errors}{due}")
        for made in about.get("corrections", ()):
            click.echo(f"  {_correction(ctx, client, made)}")
    for each in told["due"]:
        words = ctx.say("overdue", "已过期") if each["overdue"] else ctx.say(f"due in {each['days']} days", f"{each['days']} 天后到期")
        click.echo(f"  ! {each['point']}  {words}  ({each['due']})")
    if not told["points"]:
        click.echo(ctx.say("no calibration is on record", "尚无校准记录"), err=True)
    return WARNINGS if urgent else OK


def _mark(client: Client, point: str) -> str | None:
    marks = client.get("/v1/marks")["marks"]
    return next((str(mark["mark"]) for mark in marks if point in mark["points"] and mark["type"] in ("calibration", "probe-swap")), None)


def _record(ctx: Context, client: Client, step: str, point: str, asked: dict[str, Any]) -> int:
    _steady(ctx, client, point, asked)
    keys = ("reference", "uncertainty", "certificate", "allowed", "medium", "due", "reason")
    made = client.post("/v1/calibrations", {"step": step, "point": point} | {key: asked[key] for key in keys if asked[key] not in (None, "")})
    if asked["as_json"]:
        click.echo(json.dumps({"schema": "edge-gateway/calibration/1", **made}, ensure_ascii=False))
    else:
        verdict = "" if "within" not in made else ctx.say("  within", "  合格") if made["within"] else ctx.say("  beyond what is allowed", "  超出允许误差")
        figures = ((ctx.say("reads", "读数"), f"{made['reading']:g}"), (ctx.say("reference", "标准值"), f"{made['reference']:g}"), (ctx.say("error", "误差"), f"{made['error']:+g}"))
        shown = "  ".join(f"{what} {number} {symbol(made['unit'])}".rstrip() for what, number in figures)
        click.echo(f"{point}  {_step(ctx, step)}  {shown}{verdict}  {ctx.say('entry', '条目')} {made['seq']}")
        for rule, band in made.get("guard", {}).items():
            within = f"±{band} {symbol(made['unit'])}".rstrip()
            click.echo(ctx.say(f"  {rule}: from now on nothing is decided within {within} of its limit", f"  {rule}：此后距限值 {within} 以内不作判定"))
        if (off := made.get("corrected")) is not None:
            click.echo(f"  {_correction(ctx, client, off)}  {ctx.say('entry', '条目')} {off['seq']}")
        elif step == "as-found" and not made.get("within", True):
            click.echo(ctx.say("  `calibrate left` will correct the readings since the calibration before", "  `calibrate left` 将修正上次校准以来的读数"))
    return OK if made.get("within", True) else NO


def _step(ctx: Context, step: str) -> str:
    return ctx.say(step, {"as-found": "校准前", "as-left": "校准后"}[step])


def _correction(ctx: Context, client: Client, made: dict[str, Any]) -> str:
    """Which readings were off by how much."""
    zone = str(client.get("/v1/calibrations")["timezone"])
    begin = ctx.say("the beginning of the record", "台账起始") if made["from_wall_us"] is None else local(made["from_wall_us"], zone)
    end, by = local(made["until_wall_us"], zone), f"{made['offset']:+g} {symbol(made.get('unit', ''))}".strip()
    return ctx.say(f"readings from {begin} to {end}: corrected by {by}; raw readings stay", f"{begin} 至 {end} 的读数：修正 {by}；原始读数不变")


def _steady(ctx: Context, client: Client, point: str, asked: dict[str, Any]) -> None:
    """Wait until the newest readings stay within the band for long enough. Raises Refused."""
    until_s, seen = time.monotonic() + asked["wait_s"], list[tuple[float, float]]()
    while True:
        row = next((row for row in client.get("/v1/points")["points"] if row["point"] == point), None)
        if row is None:
            raise Refused(f"no point '{point}'", hint="`edge-gateway status --points` shows them")
        now_s = time.monotonic()
        if row["value"] is None or row["stale"]:
            seen.clear()
        else:
            seen.append((now_s, float(row["value"])))
            while max(value for _, value in seen) - min(value for _, value in seen) > asked["band"]:
                del seen[0]
        if seen and now_s - seen[0][0] >= asked["steady_s"]:
            click.echo(ctx.say(f"steady for {asked['steady_s']:g} s", f"已稳定 {asked['steady_s']:g} 秒"), err=True)
            return
        if now_s >= until_s:
            raise Refused(f"{point} was not steady within {asked['wait_s']:g} s", hint="wait for the bath, or widen --steady-within")
        time.sleep(_LOOK_S)


for _verb in (found, left, correct, list_):
    command.add_command(_verb)
