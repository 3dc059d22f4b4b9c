"""``provision diff|apply|verify``: a device's own parameters against their sheet; the only command that can write to the bus.

The running gateway does it; this module asks, shows, and takes a person's word.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from edge_gateway.cli.client import Client
from edge_gateway.cli.main import NO, OK
from edge_gateway.cli.verbs import Context, noun, option, verb
from edge_gateway.errors import GatewayError
from edge_gateway.units import symbol


@noun(
    "provision",
    zh="设备自身参数（地址、波特率、修正值）与参数表对照、设置、复核。只有 apply 会向总线写入。",
    examples=[
        "edge-gateway provision diff cold1-th",
        'edge-gateway provision apply cold1-th --by "Li Wei" --why "new probe"',
        "edge-gateway provision verify cold1-th",
    ],
)
def command() -> None:
    """A device's own parameters (address, rate, offsets) against its sheet: look, set, check. Only apply writes."""


_PLACE = [
    option(
        "--sheet",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="another parameter sheet",
        zh="指定参数表",
    ),
    option("--unit", type=click.IntRange(1, 247), help="the address it has now", zh="设备当前的地址"),
    option("--line", metavar="9600-8N1", help="the line settings it has now", zh="设备当前的串口参数"),
    option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象"),
]


def _placed(function: Any) -> Any:
    for decorate in reversed(_PLACE):
        function = decorate(function)
    return function


def _asked(device: str, sheet: Path | None, unit: int | None, line: str | None) -> dict[str, Any]:
    asked: dict[str, Any] = {"device": device, "at_unit": unit, "at_line": line or ""}
    if sheet is not None:
        try:
            asked |= {"sheet_text": sheet.read_text("utf-8"), "sheet_name": sheet.name}
        except (OSError, UnicodeDecodeError) as error:
            raise GatewayError(f"{sheet}: cannot be read: {error}") from error
    return asked


def _ask(ctx: Context, step: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    return Client(ctx.socket).post(f"/v1/provision/{step}", dict(asked))


@verb(
    "diff",
    zh="读取设备参数并与参数表对照。只读。退出码：1 有不同或读不出。",
    examples=["edge-gateway provision diff cold1-th", "edge-gateway provision diff cold1-th --unit 1 --line 9600-8N1"],
)
@click.argument("device")
@_placed
@click.pass_obj
def diff(ctx: Context, device: str, sheet: Path | None, unit: int | None, line: str | None, as_json: bool) -> int:
    """Read the device's parameters and compare them with its sheet. Reads only. Exit code 1: something differs."""
    return _shown(ctx, _ask(ctx, "diff", _asked(device, sheet, unit, line)), as_json)


@verb(
    "verify",
    zh="复核：再次读取全部参数，结果写入记录。断电重启设备之后使用。退出码：1 有不同或读不出。",
    examples=["edge-gateway provision verify cold1-th"],
)
@click.argument("device")
@_placed
@click.pass_obj
def verify(ctx: Context, device: str, sheet: Path | None, unit: int | None, line: str | None, as_json: bool) -> int:
    """Read everything again, and put what was found on record: after the device was off and on. Exit code 1: it differs."""
    return _shown(ctx, _ask(ctx, "verify", _asked(device, sheet, unit, line)), as_json)


@verb(
    "apply",
    zh="把与参数表不同的参数逐个写入设备：每个都要您输入确认，写后读回，并写入记录。一次一台设备。\n\n"
    "没有终端时不写入，除非同时给出 --yes 和 --expect（每个参数现在的值）。",
    examples=[
        'edge-gateway provision apply cold1-th --by "Li Wei" --why "new probe"',
        'edge-gateway provision apply cold1-th --unit 1 --by "Li Wei" --why "factory address"',
        'edge-gateway provision apply cold1-th --set temperature-correction=0 --by "Li Wei" --why "…"',
    ],
)
@click.argument("device")
@option("--by", required=True, metavar="NAME", help="who sets it", zh="设置人姓名")
@option("--why", required=True, metavar="TEXT", help="why, for the record", zh="原因，写入记录")
@option("--set", "chosen", multiple=True, metavar="ID=VALUE", help="only this one, to this value", zh="只设此参数")
@option("--expect", multiple=True, metavar="ID=VALUE", help="the value it has now", zh="该参数现在的值")
@option("--yes", is_flag=True, help="do not ask", zh="不再询问")
@option("--unverified", is_flag=True, help="also what nobody confirms", zh="也允许未经核实的参数")
@_placed
@click.pass_obj
def apply(ctx: Context, /, device: str, sheet: Path | None, unit: int | None, line: str | None, **given: Any) -> int:
    """Write what differs from the sheet into the device, one parameter at a time: you confirm each, it is read back and recorded.

    Without a terminal nothing is set, unless --yes is given and --expect names the value that each parameter has now.
    """
    expected = dict(_pairs(given["expect"], "--expect"))
    if not sys.stdin.isatty() and not (given["yes"] and expected):
        en = "a person confirms at a terminal; without one: --yes and --expect ID=VALUE, the value that it has now"
        raise click.UsageError(ctx.say(en, "须由人在终端确认；没有终端时：--yes 并用 --expect ID=VALUE 给出现在的值"))
    asked = _asked(device, sheet, unit, line)
    found = _ask(ctx, "diff", asked)
    changes = _changes(ctx, found, dict(_pairs(given["chosen"], "--set")), unverified=given["unverified"])
    done: list[dict[str, Any]] = []
    for row, new in changes:
        old = expected.get(row["id"], row["value"])
        if given["yes"] and not sys.stdin.isatty() and row["id"] not in expected:
            click.echo(ctx.say(f"{row['id']}: no --expect, left alone", f"{row['id']}：未给 --expect，未动"), err=True)
            continue
        if not given["yes"] and not _confirmed(ctx, device, row, old, new):
            click.echo(ctx.say(f"{row['id']}: not confirmed, left alone", f"{row['id']}：未确认，未动"), err=True)
            continue
        sent = {"parameter": row["id"], "new": new, "expected": old, "by": given["by"], "why": given["why"]}
        outcome = _ask(ctx, "apply", asked | sent | {"unverified": given["unverified"]})
        done.append(outcome)
        if not given["as_json"]:
            for text in _outcome(ctx, outcome):
                click.echo(text)
        if outcome["result"] not in ("applied", "already"):
            break  # what comes next would speak to a device that is somewhere else, or not well
        asked |= {"at_unit": outcome["unit"], "at_line": outcome["line"]}
    if given["as_json"]:
        click.echo(json.dumps({"schema": "edge-gateway/provision/1", "applied": done}, ensure_ascii=False))
    elif not changes:
        click.echo(ctx.say("nothing to set: all is as the sheet says", "无需设置：与参数表一致"), err=True)
    kept = all(outcome["result"] in ("applied", "already", "waits") for outcome in done)
    return OK if kept and len(done) == len(changes) else NO


for _verb in (diff, apply, verify):
    command.add_command(_verb)


def _pairs(texts: Sequence[str], name: str) -> Iterator[tuple[str, str]]:
    for text in texts:
        id_, equals, value = text.partition("=")
        if not equals or not id_:
            raise click.UsageError(f"{name} {text}: write ID=VALUE")
        yield id_, value


def _changes(
    ctx: Context, found: Mapping[str, Any], chosen: Mapping[str, str], *, unverified: bool
) -> list[tuple[dict[str, Any], str]]:
    """Which parameters, and to what: those named, else those that differ. What moves the device comes last."""
    rows = {row["id"]: row for row in found["parameters"]}
    for id_ in chosen:
        if id_ not in rows:
            raise GatewayError(f"the sheet has no parameter '{id_}'", hint=f"it has: {', '.join(rows)}")
    differing = {id_: row["wanted"] for id_, row in rows.items() if row["state"] == "differs"}
    picked = dict(chosen) or differing
    changes = []
    for id_, value in sorted(picked.items(), key=lambda item: _moves(rows[item[0]])):
        row = rows[id_]
        if row["state"] in ("unread", "by-hand"):
            raise GatewayError(f"{id_} cannot be set: {row['said'] or row['note'] or row['state']}")
        if row["verified"] == "no" and not unverified and not chosen:
            said = f"{id_}: nobody confirms where it lies; left alone without --unverified"
            click.echo(ctx.say(said, f"{id_}：位置未经核实；未加 --unverified，不写"), err=True)
            continue
        changes.append((row, value))
    return changes


def _moves(row: Mapping[str, Any]) -> int:
    return {"": 0, "unit": 1}.get(row["follows"], 2)


def _confirmed(ctx: Context, device: str, row: Mapping[str, Any], old: str, new: str) -> bool:
    """The person types which device, which parameter, from what to what."""
    phrase = f"{device} {row['id']} {old} -> {new}"
    unit = f" {symbol(row['unit_of_measure'])}" if row["unit_of_measure"] else ""
    name = ctx.say(row["name"], row["name_zh"] or row["name"])
    click.echo(f"{device}  {name}  {old}{unit} → {new}{unit}    {_known(ctx, row)}", err=True)
    before = ctx.say(row["before"], row["before_zh"] or row["before"])
    if before:
        click.echo(f"  {before}", err=True)
    prompt = ctx.say(f"type  {phrase}  to write it", f"确认写入请输入  {phrase}")
    try:
        typed = click.prompt(prompt, default="", show_default=False, err=True)
    except click.Abort:
        return False
    return str(typed).replace("→", "->").split() == phrase.split()


def _known(ctx: Context, row: Mapping[str, Any]) -> str:
    words = {
        "primary": ("from the maker's or a maintained driver's text", "出自原厂或维护中的驱动"),
        "secondary": ("from others' texts, unverified", "据他人资料，未核实"),
        "no": ("UNVERIFIED: sources differ or are silent", "未核实：来源不一或没有来源"),
    }
    return ctx.say(*words[row["verified"]])


_STATES = {
    "same": ("same", "一致"),
    "differs": ("DIFFERS", "不同"),
    "free": ("nothing expected", "无要求"),
    "by-hand": ("set by hand at the device", "在设备上手动设置"),
    "unread": ("NOT READ", "未读出"),
}
_RESULTS = {
    "applied": ("set, and read back", "已设置并读回"),
    "already": ("was so already, nothing written", "原已如此，未写入"),
    "waits": ("written; it counts after power off and on: then `provision verify`", "已写入；断电重启后生效，之后请 `provision verify`"),
    "not-kept": ("NOT KEPT: the device took it, but does not have it", "未保持：设备应答了，但值没有改变"),
    "refused": ("REFUSED by the device", "设备拒绝"),
    "not-sent": ("NOT SENT: the line went away just before", "未发送：线路刚好中断"),
    "unknown": ("UNKNOWN: it answers neither as before nor as set", "不明：按旧值和新值都没有应答"),
}  # fmt: skip


def _outcome(ctx: Context, outcome: Mapping[str, Any]) -> Iterator[str]:
    unit = f" {symbol(outcome['unit_of_measure'])}" if outcome["unit_of_measure"] else ""
    line = f"{outcome['device']}  {outcome['parameter']}  {outcome['old']} → {outcome['new']}{unit}"
    entry = f"  {ctx.say('entry', '条目')} {outcome['seq']}" if "seq" in outcome else ""
    yield f"{line}  {ctx.say(*_RESULTS[outcome['result']])}{entry}"
    if outcome["result"] == "not-sent":
        yield f"  {outcome['answer']}"
    if outcome["result"] in ("refused", "not-kept", "unknown"):
        yield ctx.say(f"  the device said: {outcome['answer']}", f"  设备应答：{outcome['answer']}")


def _shown(ctx: Context, found: Mapping[str, Any], as_json: bool) -> int:
    if as_json:
        click.echo(json.dumps({"schema": "edge-gateway/provision/1"} | dict(found), ensure_ascii=False))
    else:
        at = f"{found['bus']}  {ctx.say('unit', '单元')} {found['unit']}  {found['line']}".rstrip()
        click.echo(f"{found['device']}  {found['profile']}  {at}  {ctx.say('sheet', '参数表')} {found['sheet']}")
        for row in found["parameters"]:
            click.echo(_line(ctx, row))
    return NO if any(row["state"] in ("differs", "unread") for row in found["parameters"]) else OK


def _line(ctx: Context, row: Mapping[str, Any]) -> str:
    unit = f" {symbol(row['unit_of_measure'])}" if row["unit_of_measure"] else ""
    parts = [f"  {row['id']:<24}", ctx.say(*_STATES[row["state"]])]
    if row["value"] is not None:
        parts.append(f"{ctx.say('is', '现为')} {row['value']}{unit}")
    if row["wanted"] is not None:
        parts.append(f"{ctx.say('should be', '应为')} {row['wanted']}{unit}")
    if row["said"]:
        parts.append(row["said"])
    return "  ".join([*parts, _known(ctx, row)])
