"""``record intake|lot|dispatch|document|void``: what a person puts on record of lots; the running gateway checks and keeps it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import click

from edge_gateway.cli.client import Client
from edge_gateway.cli.main import OK
from edge_gateway.cli.photo import photo_option, sent
from edge_gateway.cli.record_read import list_, show, trace
from edge_gateway.cli.record_words import TYPES
from edge_gateway.cli.verbs import Context, noun, option, verb
from edge_gateway.traceability.model import RecordRefused, grams

_Function = TypeVar("_Function", bound=Callable[..., Any])


@noun(
    "record",
    zh="台账：进货查验、加工与转移、产品出场、证照；以及批次追溯。您的系统用户名会写入记录；更正是指明旧记录的新记录。",
    examples=[
        "edge-gateway record intake A-1128 --product 牛肚 --supplier 示例屠宰场 --kg 120 --certificate 6501-42",
        "edge-gateway record lot W-1128 --from A-1128=118.5 --zone washing",
        "edge-gateway record dispatch W-1128 --receiver 示例餐饮 --slip O-77 --temperature dispatch-air",
        "edge-gateway record trace W-1128",
    ],
)
def command() -> None:
    """Records of intake, processing, dispatch and documents, and the trace of a lot. A correction is a new record that names the old."""


def _common(function: _Function) -> _Function:
    """What every record may have."""
    for add in (
        option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象"),
        option("--reason", default="", help="why: of a correction, or of going on without what is required", zh="理由：更正，或在缺项时继续"),
        option("--corrects", default="", metavar="RECORD", help="the record that this one replaces", zh="本记录所更正的旧记录"),
        option("--note", default="", help="anything else", zh="备注"),
        photo_option,
    ):
        function = add(function)
    return function


_measured = option("--temperature", metavar="POINT", default="", help="take the newest reading of this point", zh="取此测点的最新读数")
_zone_ = option("--zone", default="", help="the zone that it goes to", zh="去往的区域")
_expires = option("--expires", default="", metavar="DATE", help="last day: 2026-12-31", zh="有效期至：2026-12-31")


@verb(
    "intake",
    zh="进货查验：一个批次到货。温度取自测点的最新读数，并记下其条目、时延与质量。",
    examples=[
        "edge-gateway record intake A-1128 --product 牛肚 --supplier 示例屠宰场 --kg 120 --certificate 6501-42",
        "  --slip S-118 --zone intake --temperature intake-air --expires 2026-12-05 --photo certificate.jpg",
    ],
)
@click.argument("lot")
@option("--product", required=True, help="what it is", zh="品名")
@option("--supplier", required=True, help="who delivers", zh="供货者")
@option("--kg", required=True, help="weight", zh="重量（kg）")
@option("--certificate", default="", help="number of the quarantine certificate", zh="检疫证明编号")
@option("--slip", default="", help="number of the delivery or sale slip", zh="进货票据编号")
@_zone_
@_measured
@_expires
@_common
@click.pass_obj
def intake(ctx: Context, /, **asked: Any) -> int:
    """A lot comes in. Its temperature is a point's newest reading, with entry, age and quality."""
    return _record(ctx, "intake", asked)


@verb(
    "lot",
    zh="批次转移到另一区域，或由其他批次加工而成（--from，可重复；不写重量即取全部余量）。",
    examples=["edge-gateway record lot A-1128 --zone chilled-1", "edge-gateway record lot W-31 --from A-1128=40 --from B-1128 --kg 65.5 --zone washing"],
)
@click.argument("lot")
@option("--from", "parents", multiple=True, metavar="LOT[=KG]", help="made from this one; all that is left unless a weight is given", zh="由此批次加工；不写重量即全部余量")
@option("--kg", default="", help="weight of the new lot; else what went into it", zh="新批次重量；默认等于投入量")
@option("--product", default="", help="what the new lot is; else as the first it was made from", zh="新批次品名；默认同第一个来源批次")
@_zone_
@_expires
@_common
@click.pass_obj
def lot(ctx: Context, /, **asked: Any) -> int:
    """A lot goes to another zone, or is made from others (--from)."""
    return _record(ctx, "lot", asked)


@verb(
    "dispatch",
    zh="产品出场。缺少配置所要求的证明、票据时拒绝；--disposal 为无害化处理，须写理由。",
    examples=[
        "edge-gateway record dispatch W-31 --receiver 示例餐饮 --slip O-77 --temperature dispatch-air",
        'edge-gateway record dispatch W-32 --receiver 无害化处理厂 --disposal --reason "thawed, tlf-007-12"',
    ],
)
@click.argument("lot")
@option("--receiver", required=True, help="to whom", zh="收货者")
@option("--kg", default="", help="weight; else all that is left", zh="重量；默认全部余量")
@option("--slip", default="", help="number of the sale or processing slip", zh="销售或加工票据编号")
@option("--vehicle", default="", help="number plate", zh="车牌号")
@option("--disposal", is_flag=True, help="harmless disposal: nothing is required but a reason", zh="无害化处理：仅须理由")
@_measured
@_common
@click.pass_obj
def dispatch(ctx: Context, /, **asked: Any) -> int:
    """A lot, or part of it, leaves. Refused, and with what is missing, where the configuration requires more."""
    return _record(ctx, "dispatch", asked)


@verb(
    "document",
    zh="证照：许可证、健康证、检疫或检验证明等，及其有效期；到期前会提示。",
    examples=["edge-gateway record document 食品经营许可证 JY1650104001 --expires 2029-06-30 --photo l.jpg"],
)
@click.argument("document")
@click.argument("number")
@option("--holder", default="", help="whose it is", zh="持有人")
@option("--lot", default="", help="the lot that it belongs to", zh="所属批次")
@_expires
@_common
@click.pass_obj
def document(ctx: Context, /, **asked: Any) -> int:
    """A licence, a health certificate, a laboratory report: its number, whose it is, until when it is valid."""
    return _record(ctx, "document", asked)


@verb("void", zh="作废一条误记的记录；原记录仍在台账中。", examples=['edge-gateway record void tlf-007-R12 --reason "recorded twice"'])
@click.argument("record")
@option("--reason", required=True, help="why", zh="理由")
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_obj
def void(ctx: Context, record: str, reason: str, as_json: bool) -> int:
    """Take a record out of force that should not be. It stays in the journal, and this step names it."""
    return _said(ctx, Client(ctx.socket).post("/v1/records/void", {"record": record, "reason": reason}), as_json)


def _record(ctx: Context, kind: str, asked: dict[str, Any]) -> int:
    client = Client(ctx.socket)
    body = {name: asked.pop(name, "") for name in ("temperature", "reason", "corrects")}
    as_json, files = asked.pop("as_json"), asked.pop("photos")
    if weight := asked.pop("kg", ""):
        asked["grams"] = grams(weight)
    if parents := asked.pop("parents", ()):
        asked["from"] = _parts(parents)
    body |= {"given": asked, "photos": sent(client, [Path(file) for file in files])}
    return _said(ctx, client.post(f"/v1/records/{quote(kind)}", body), as_json)


def _said(ctx: Context, done: dict[str, Any], as_json: bool) -> int:
    if as_json:
        click.echo(json.dumps({"schema": "edge-gateway/record/1", **done}, ensure_ascii=False))
        return OK
    kind = ctx.say(*TYPES.get(str(done["type"]), (str(done["type"]), str(done["type"]))))
    if done.get("void"):
        kind = ctx.say(f"{kind}, void: {done['corrects']}", f"{kind}，作废 {done['corrects']}")
    elif done.get("corrects"):
        kind = ctx.say(f"{kind}, corrects {done['corrects']}", f"{kind}，更正 {done['corrects']}")
    click.echo(f"{done['record']}  {kind}  {done.get('lot') or done.get('number', '')}  {ctx.say('by', '记录人')} {done['by']}  {ctx.say('entry', '条目')} {done['seq']}")
    if done.get("lacking"):
        click.echo(ctx.say(f"goes on without: {', '.join(done['lacking'])}", f"缺项继续：{'、'.join(done['lacking'])}"), err=True)
    return OK


def _parts(parents: tuple[str, ...]) -> dict[str, int | None]:
    """``LOT[=KG]`` as lots and grams. Raises RecordRefused."""
    found: dict[str, int | None] = {}
    for text in parents:
        name, weighed, weight = text.partition("=")
        if name in found:
            raise RecordRefused(f"lot {name} stands there twice")
        found[name] = grams(weight) if weighed else None
    return found


for _verb in (intake, lot, dispatch, document, void, list_, show, trace):
    command.add_command(_verb)
