"""``phase show|sign|next``: the working day's phases and what must be in order in each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from edge_gateway.cli.client import Client
from edge_gateway.cli.main import NO, OK
from edge_gateway.cli.person import person_options, said
from edge_gateway.cli.photo import photo_option, sent
from edge_gateway.cli.verbs import Context, noun, option, verb
from edge_gateway.cli.words import local
from edge_gateway.phases import NAMES_ZH
from edge_gateway.web.chinese_records import LACKS

_SIGNS = {"done": "[x]", "open": "[ ]", "beyond": "[!]", "unknown": "[?]"}
_HOW = {"schedule": ("by schedule", "按日程"), "contact": ("by the line's contact", "由生产线触点")}
_NAMES = {"pre-start": "before the start", "production": "production", "closing": "closing", "closed": "closed"}


@noun(
    "phase",
    zh="工作日的三个时段：开工前、生产中、收尾。自动项由规则判定并附证据，其余由人签认；未完成项须说明理由才能开工，收尾不能带着未完成项结束。",
    examples=["edge-gateway phase show", 'edge-gateway phase sign machine-tools --reason "all sound"', "edge-gateway phase next"],
)
def command() -> None:
    """The three phases of a working day: what is in order by the rules, what a person signs, and when work goes on."""


@verb("show", zh="显示当前时段和各项状态。退出码 1：有未完成项。", examples=["edge-gateway phase show", "edge-gateway phase show --json"])
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_obj
def show(ctx: Context, as_json: bool) -> int:
    """The phase that runs and its items. Exit code 1: something is open."""
    told = Client(ctx.socket).get("/v1/phase")
    if as_json:
        click.echo(json.dumps({"schema": "edge-gateway/phase/1", **told}, ensure_ascii=False))
    else:
        for line in _lines(ctx, told):
            click.echo(line)
    return NO if any(item["state"] != "done" for item in told["items"]) else OK


def _lines(ctx: Context, told: dict[str, Any]) -> Iterator[str]:
    if told["phase"] is None:
        yield ctx.say("no phase was begun: every rule is armed", "尚未开始任何时段：全部规则处于判定状态")
    else:
        since = local(told["since_wall_us"], told["timezone"] or "Asia/Shanghai")
        by = ctx.say(*_HOW[told["how"]]) if told["how"] else ctx.say(f"by {told['by']}", told["by"])
        yield ctx.say(f"{_NAMES[told['phase']]}  since {since}  {by}", f"{told['phase_zh']}  自 {since}  {by}")
        if told["left"]:
            yield f"  {ctx.say('begun with open items', '带着未完成项进入')}: {', '.join(told['left'])}"
    for item in told["items"]:
        kind = ctx.say("automatic", "自动") if item["automatic"] else ctx.say("signed", "签认")
        yield f"  {_SIGNS[item['state']]} {item['item']}  {ctx.say(item['name_en'], item['name_zh'])}  ({kind})"
        for each in item["evidence"]:
            yield f"        {_SIGNS[each['state']]} {_evidence(ctx, each)}"
        if signed := item.get("signed"):
            yield f"        {signed['by']}: {signed['reason']}"
    for each in told["disarmed"][:20]:
        yield f"  {ctx.say('not armed', '不判定')}: {each['rule']}/{each['point']}"
    yield f"  {ctx.say('next', '下一时段')}: {ctx.say(_NAMES[told['next']], told['next_zh'])}"
    yield from _by_itself(ctx, told)
    if told["example"] and told["items"]:
        yield ctx.say("  the items are an example: name your own in [phases.<id>]", "  以上各项为示例：请在 [phases.<id>] 中配置本场所的项目")


def _evidence(ctx: Context, each: dict[str, Any]) -> str:
    """What a rule at a point, or a record of a lot or document, says of an item."""
    if "rule" in each:
        return f"{each['rule']}/{each['point']}" + ("" if each["value"] is None else f" = {each['value']}")
    what = f"{ctx.say('lot', '批次')} {each['lot']}" if "lot" in each else f"{each['document']} ({each['record']})"
    return f"{what}: {ctx.say('missing', '缺少')} {', '.join(LACKS[lack] if ctx.language == 'zh' else lack for lack in each['lacking'])}" if each["lacking"] else what


def _by_itself(ctx: Context, told: dict[str, Any]) -> Iterator[str]:
    """What begins without a person, and why something does not."""
    zone = told["timezone"] or "Asia/Shanghai"
    if (waits := told["waits"]) is not None:
        when, what = local(waits["due_wall_us"], zone), (_NAMES[waits["phase"]], NAMES_ZH[waits["phase"]])
        if waits["why"] == "open":
            yield ctx.say(f"  ! {what[0]} was due by itself at {when} and waits: closing has open items", f"  ! {what[1]}应于 {when} 自动开始，正在等待：收尾还有未完成项")
        else:
            yield ctx.say("  ! the schedule waits: nobody vouches for the clock", "  ! 日程等待中：时钟未经校准")
    elif (coming := told["schedule"]) is not None:
        when = local(coming["wall_us"], zone)
        yield ctx.say(f"  by schedule: {_NAMES[coming['phase']]} at {when}", f"  按日程：{when} 进入{NAMES_ZH[coming['phase']]}")
    if (contact := told["contact"]) is not None:
        state = {True: ("the line runs", "生产线在运行"), False: ("the line stands", "生产线停着"), None: ("not known yet", "尚不清楚")}[contact["runs"]]
        yield f"  {ctx.say('by contact', '由触点')} {contact['point']}: {ctx.say(*state)}"


@verb("sign", zh="签认一项：写明所见，或附照片。规则判为超限的项目不能签认；未知的自动项须由第二人以口令签认。", examples=['edge-gateway phase sign machine-tools --reason "all sound"'])
@click.argument("item")
@option("--reason", default="", help="what you saw", zh="所见情况，写入记录")
@photo_option
@person_options
@click.pass_obj
def sign(ctx: Context, item: str, reason: str, photos: tuple[Path, ...], as_: str | None, secret_file: Path | None, by: str | None) -> int:
    """Sign an item, with a reason or a photo. What a rule calls beyond its limit cannot be signed; what is unknown takes a second person (--as)."""
    client = Client(ctx.socket)
    body = {"item": item, "reason": reason, "photos": sent(client, photos)} | said(ctx, as_, secret_file, by)
    made = client.post("/v1/phase/sign", body)
    click.echo(f"{item}  {ctx.say('signed by', '签认人')} {made['by']}  {ctx.say('entry', '条目')} {made['seq']}")
    return OK


@verb("next", zh="进入下一时段。有未完成项时须写明理由；收尾不能带着未完成项结束。", examples=["edge-gateway phase next", 'edge-gateway phase next --reason "chlorine probe is being changed"'])
@option("--reason", default="", help="why work goes on although something is open", zh="有未完成项仍继续的理由")
@person_options
@click.pass_obj
def next_(ctx: Context, reason: str, as_: str | None, secret_file: Path | None, by: str | None) -> int:
    """Begin the next phase. With something open it needs a reason; the day closes with nothing open."""
    client = Client(ctx.socket)
    made = client.post("/v1/phase/next", {"reason": reason} | said(ctx, as_, secret_file, by))
    zh = client.get("/v1/phase")["phase_zh"]
    left = f"  {ctx.say('left open', '未完成')}: {', '.join(made['open'])}" if made["open"] else ""
    click.echo(f"{ctx.say(_NAMES[made['phase']], zh)}{left}  {ctx.say('entry', '条目')} {made['seq']}")
    return OK


for _verb in (show, sign, next_):
    command.add_command(_verb)
