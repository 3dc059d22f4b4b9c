"""``violations …``: what is open, and a person's steps on it from finding to closing; the gateway decides what is permitted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote
from zoneinfo import ZoneInfo

import click

from edge_gateway.cli.client import Client
from edge_gateway.cli.main import OK
from edge_gateway.cli.person import person_options, said
from edge_gateway.cli.photo import photo_option, sent
from edge_gateway.cli.status import violation_text
from edge_gateway.cli.verbs import Context, noun, option, verb
from edge_gateway.cli.violation_lines import lines
from edge_gateway.history.export import moment_us
from edge_gateway.violations.assessment import CAUSES, DISPOSITIONS, MOST_TEXT, SEVERITIES

_Function = TypeVar("_Function", bound=Callable[..., Any])


@noun(
    "violations",
    zh="违规处置：识别、评估、消除。每一步及其人员、时间、理由都写入记录。较重违规的关闭和任何撤销需要第二个人证明身份，或由监管端命令。",
    examples=[
        'edge-gateway violations ack tlf-007-12 --reason "door seal torn, repair called"',
        'edge-gateway violations correct tlf-007-12 --cause door --no-lots --product none --reason "…"',
        'edge-gateway violations submit tlf-007-12 --reason "-19.2 C since 15:10"',
        'edge-gateway violations close tlf-007-12 --as 李敏 --reason "looked at it, holds"',
    ],
)
def command() -> None:
    """Carry violations from opening to closing. Every step is on record: who, when, why. Major ones need a second person to close."""


@verb(
    "list",
    zh="列出未关闭的违规和计时中的预警，带期限；已超期的注明。",
    examples=["edge-gateway violations list", "edge-gateway violations list --json"],
)
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_obj
def list_(ctx: Context, as_json: bool) -> int:
    """What is open: violations and running notices, with their deadlines."""
    client = Client(ctx.socket)
    found = client.get("/v1/violations")["violations"]
    if as_json:
        click.echo(json.dumps({"schema": "edge-gateway/violations/1", "violations": found}, ensure_ascii=False))
        return OK
    zone = client.get("/v1/status")["site"].get("timezone", "Asia/Shanghai")
    for violation in found:
        click.echo(violation_text(ctx, violation, zone))
    if not found:
        click.echo(ctx.say("nothing is open", "没有未关闭的违规"), err=True)
    return OK


@verb(
    "show",
    zh="显示一条违规的全部：状态、期限、评估、处理记录、怎么办。已关闭、撤销、合并的，以及加上 --steps 的，从台账中读出其全部步骤；网关未运行时也可以。",
    examples=["edge-gateway violations show tlf-007-12", "edge-gateway violations show tlf-007-12 --steps", "edge-gateway violations show tlf-007-12 --json"],
)
@click.argument("violation")
@option("--steps", is_flag=True, help="of an open one too: every step out of the record", zh="未关闭的也从台账中列出全部步骤")
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_obj
def show(ctx: Context, violation: str, steps: bool, as_json: bool) -> int:
    """Everything of one: state, deadlines, assessment, who did what, what to do.

    One that is over (closed, withdrawn, merged, or a notice that ended) is read from the record with every step that it took; that needs no gateway.
    """
    from edge_gateway.cli.violation_past import now, past, step_lines

    found, zone, now_us = now(ctx, violation)
    if found is None or steps:
        found = past(ctx.state_dir, violation) | (found or {})
    if as_json:
        click.echo(json.dumps({"schema": "edge-gateway/violation/1", **found}, ensure_ascii=False))
        return OK
    for line in lines(ctx, found, zone, now_us):
        click.echo(line)
    for line in step_lines(ctx, found, zone) if "steps" in found else ():
        click.echo(line)
    return OK


_DONE = {
    "ack": ("acknowledged", "已知悉"), "correct": ("correcting", "整改中"), "submit": ("submitted", "已提交"),
    "return": ("returned", "已退回"), "close": ("closed", "已关闭"), "ask-withdrawal": ("withdrawal asked for", "已申请撤销"),
    "drop-withdrawal": ("withdrawal dropped", "已放弃撤销"), "withdraw": ("withdrawn", "已撤销"), "open": ("opened", "已登记"),
}  # fmt: skip
_REASON_ZH = "理由，写入记录"


def _step(ctx: Context, step: str, violation: str, asked: dict[str, Any]) -> int:
    """``asked`` holds the step's own keys, and the options that every step has."""
    client = Client(ctx.socket, timeout_s=60)
    person = said(ctx, asked.pop("as_"), asked.pop("secret_file"), asked.pop("by"))
    body = {key: value for key, value in asked.items() if value is not None and key != "photos"} | person
    body["photos"] = sent(client, asked.get("photos") or ())
    path = "/v1/violations" if step == "open" else f"/v1/violations/{quote(violation, safe='')}/{step}"
    answer = client.post(path, body)
    proof = {"secret": ctx.say(" (proven)", "（已证明）"), "claimed": ctx.say(" (claimed)", "（声明）")}.get(str(answer.get("proof")), "")
    by, entry = ctx.say("by", "处理人"), ctx.say("entry", "条目")
    click.echo(f"{answer['violation']}  {ctx.say(*_DONE[step])}  {by} {answer.get('by')}{proof}  {entry} {answer.get('seq')}")
    return OK


def _reason(help_en: str) -> Callable[[_Function], _Function]:
    return option("--reason", required=True, help=help_en, zh=_REASON_ZH)


@verb(
    "ack",
    zh="知悉（识别）：表示您已知道此违规。限值仍被突破时也可以。",
    examples=['edge-gateway violations ack tlf-007-12 --reason "door seal torn, repair called"'],
)
@click.argument("violation")
@_reason("what you know or do about it")
@person_options
@photo_option
@click.pass_obj
def ack(ctx: Context, /, violation: str, **asked: Any) -> int:
    """Acknowledge: you know of it. Allowed while the limit is still broken."""
    return _step(ctx, "ack", violation, asked)


def _assessment_options(function: _Function) -> _Function:
    for each in (
        option("--product", "products", multiple=True, metavar="WHAT:KG[:LOT]", help=f"what became of the product: {', '.join(DISPOSITIONS)}", zh="产品处置：kept 保留、re-chilled 复冷、isolated 隔离、destroyed 销毁，及公斤数；none 表示无产品"),
        option("--no-lots", is_flag=True, help="no lot is concerned", zh="不涉及批次"),
        option("--lot", "lots", multiple=True, help="a lot that is concerned; several times if need be", zh="涉及的批次；可多次给出"),
        option("--to", help="its end; without --from and --to: from the first offending reading until now", zh="终止时刻；省略时为首次超限至今"),
        option("--from", "from_", metavar="MOMENT", help="beginning of the period that is concerned", zh="涉及时段的起始时刻"),
        option("--zone", help="the zone that is concerned; without it, the point's, and those of all it holds", zh="涉及区域；省略时为测点及其全部后果所在区域"),
        option("--severity", type=click.Choice(SEVERITIES), help="not below the rule's, which it is without this", zh="严重程度，不得低于规则；省略时同规则"),
        option("--cause", type=click.Choice(CAUSES), help="the kind of cause; the reason says it in words", zh="原因类别；理由中写明"),
    ):  # fmt: skip
        function = each(function)
    return function


def _assessed(ctx: Context, violation: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Options as the assessment's keys; zone, period and severity as the record, and all that it holds, has them where nobody says otherwise."""
    client = Client(ctx.socket)
    found = client.get(f"/v1/violations/{quote(violation, safe='')}")
    record = found["violation"]
    status, before = client.get("/v1/status"), record.get("assessment") or {}
    zone_name, now_us = status["site"].get("timezone", "Asia/Shanghai"), int(status["wall_us"])
    from_, to, lots = asked.pop("from_"), asked.pop("to"), asked.pop("lots")
    none = asked.pop("no_lots")
    if none and lots:
        raise click.UsageError(ctx.say("--lot, or --no-lots", "--lot 与 --no-lots 只能用其一"))
    if none or lots:
        asked["lots"] = list(lots)
    if from_ or to or "period" not in before:
        asked["period"] = _period(from_, to, [record, *found.get("consequences", ())], (ZoneInfo(zone_name), now_us))
    if not asked["zone"] and "zone" not in before:
        asked["zone"] = _zone(record, client.get("/v1/points")["points"])
    if not asked["severity"] and "severity" not in before:
        asked["severity"] = record["severity"]
    products = asked.pop("products")
    if products:
        asked["products"] = [_product(each) for each in products]
    return asked


def _zone(record: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str | None:
    """The zones of a cause and all that it holds, else its point's, else what a finding says; None: nobody knows."""
    scope = record.get("scope") or {}
    together = ", ".join(scope.get("zones") or ())
    zones = [together if len(together) <= MOST_TEXT else "", *(row["zone"] for row in rows if row["point"] == record["point"]), scope.get("zone")]
    return next((zone for zone in zones if zone), None)


def _period(from_: str | None, to: str | None, records: Sequence[Mapping[str, Any]], now: tuple[ZoneInfo, int]) -> dict[str, int]:
    """From the first offending reading of all of them until now, where nobody says otherwise. ``now``: the site's zone, its wall time (µs)."""
    zone, now_us = now
    firsts = [(record.get("whole") or record)["first"] for record in records]
    try:
        since_us = moment_us(from_, zone, now_us) if from_ else min(int(first["wall_us"]) for first in firsts)
        until_us = moment_us(to, zone, now_us) if to else max(now_us, since_us)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    return {"from_us": since_us, "to_us": until_us}


def _product(text: str) -> dict[str, str]:
    what, _, rest = text.partition(":")
    kg, _, lot = rest.partition(":")
    return {"what": what} | ({"kg": kg} if kg else {}) | ({"lot": lot} if lot else {})


@verb(
    "correct",
    zh="整改与评估：原因、严重程度、范围（区域、时段、批次）、产品处置。可分几次给出，后来的为准。",
    examples=[
        'edge-gateway violations correct tlf-007-12 --cause door --photo seal.jpg --reason "new seal"',
        'edge-gateway violations correct tlf-007-12 --lot L-118 --product isolated:120:L-118 --reason "…"',
    ],
)
@click.argument("violation")
@_reason("what was found and done")
@_assessment_options
@person_options
@photo_option
@click.pass_obj
def correct(ctx: Context, /, violation: str, **asked: Any) -> int:
    """Correct and assess: cause, severity, scope (zone, period, lots), what became of the product. In several steps if need be."""
    return _step(ctx, "correct", violation, _assessed(ctx, violation, asked))


@verb(
    "submit",
    zh="提交整改结果，由他人核实。评估不完整或限值仍被突破时拒绝。",
    examples=['edge-gateway violations submit tlf-007-12 --reason "-19.2 C since 15:10"'],
)
@click.argument("violation")
@_reason("why it is over")
@person_options
@photo_option
@click.pass_obj
def submit(ctx: Context, /, violation: str, **asked: Any) -> int:
    """Submit for verification. Refused without a full assessment, and while the limit is still broken."""
    return _step(ctx, "submit", violation, asked)


@verb(
    "return",
    zh="退回整改。较重违规须由第二个人证明身份。",
    examples=['edge-gateway violations return tlf-007-12 --as 李敏 --reason "the new seal is not on the photo"'],
)
@click.argument("violation")
@_reason("what is missing")
@person_options
@photo_option
@click.pass_obj
def return_(ctx: Context, /, violation: str, **asked: Any) -> int:
    """Send it back to be corrected. A major one: only by a second person."""
    return _step(ctx, "return", violation, asked)


@verb(
    "close",
    zh="核实并关闭（消除）：已提交且好的读数已回到限值以内。较重违规须由第二个人证明身份；自查发现的，此人同时声明已消除。",
    examples=[
        'edge-gateway violations close tlf-007-12 --as 李敏 --reason "looked at it, holds"',
        'edge-gateway violations close tlf-007-13 --reason "minor: cold again since 15:10"',
    ],
)
@click.argument("violation")
@_reason("what was verified")
@person_options
@photo_option
@click.pass_obj
def close(ctx: Context, /, violation: str, **asked: Any) -> int:
    """Verify and close: submitted, and good readings are back within the limit. A major one: only by a second person."""
    return _step(ctx, "close", violation, asked)


@verb(
    "withdraw",
    zh="申请撤销（并非违规，例如已证实传感器故障）；--confirm 由第二个人确认，--drop 放弃申请。",
    examples=[
        'edge-gateway violations withdraw tlf-007-12 --reason "probe lay in the ice bath"',
        'edge-gateway violations withdraw tlf-007-12 --confirm --as 李敏 --reason "compared it"',
    ],
)
@click.argument("violation")
@option("--confirm", is_flag=True, help="a second person: it was none", zh="第二个人确认撤销")
@option("--drop", is_flag=True, help="it is one after all", zh="放弃申请")
@_reason("why it is no violation")
@person_options
@photo_option
@click.pass_obj
def withdraw(ctx: Context, /, violation: str, confirm: bool, drop: bool, **asked: Any) -> int:
    """Ask for its withdrawal (it was no violation); a second person confirms. What still holds opens a new one."""
    if confirm and drop:
        raise click.UsageError(ctx.say("--confirm, or --drop", "--confirm 与 --drop 只能用其一"))
    return _step(ctx, "withdraw" if confirm else "drop-withdrawal" if drop else "ask-withdrawal", violation, asked)


@verb(
    "open",
    zh="自查：登记您自己发现的问题，处置流程相同。",
    examples=[
        'edge-gateway violations open --title "cracked tile" --severity minor --zone wash1 --reason "…"',
    ],
)
@option("--title", required=True, help="what it is, in a few words", zh="问题简述")
@option("--severity", type=click.Choice(SEVERITIES), required=True, help="how severe it is", zh="严重程度")
@option("--zone", help="where it is", zh="所在区域")
@option("--point", help="the point that it concerns, if one", zh="涉及的测点（如有）")
@option("--basis", help="the article that it breaks, if you know it", zh="依据条款（如已知）")
@_reason("what you saw")
@person_options
@photo_option
@click.pass_obj
def open_(ctx: Context, /, **asked: Any) -> int:
    """A finding of your own (自查): no rule saw it; it takes the same path. A second person states that it is over."""
    return _step(ctx, "open", "", asked)


for _verb in (list_, show, ack, correct, submit, return_, close, withdraw, open_):
    command.add_command(_verb)
command.elsewhere = {
    "extend": ("deadlines are moved by the hub: `regulator-hub violations extend ID --deadline WHICH --until TIME`", "期限由监管端延长：`regulator-hub violations extend 编号 --deadline 哪一项 --until 时刻`"),
    "refer": ("the hub refers to a department: `regulator-hub violations refer ID --to DEPARTMENT`", "移送由监管端办理：`regulator-hub violations refer 编号 --to 部门`"),
    "verify": ("here it is `violations close`; the hub's own word is `regulator-hub violations verify ID`", "本机为 `violations close`；监管端为 `regulator-hub violations verify 编号`"),
}  # fmt: skip
