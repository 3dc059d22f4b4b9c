"""``rules explain``: why a rule fired or did not, with the readings, out of the record; reads only, also beside a running gateway."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from edge_gateway.cli.main import OK, WARNINGS
from edge_gateway.cli.verbs import Context, option, verb
from edge_gateway.web.rule_words import basis_words, decision_words, limit_words

if TYPE_CHECKING:
    from edge_gateway.history.explained import Explained, Stretch

#: Stretches shown; of more than these the first and the last.
MOST_SHOWN = 40


@verb(
    "explain",
    zh="解释一条规则在某个时刻前后为什么触发或没有触发：限值与依据、判定规则、延时、读数（按段）、记录中的每一步。只读；网关可同时运行。\n\n"
    "退出码：0 已说明，3 记录有损坏，只说明到能读的部分。",
    examples=[
        "edge-gateway rules explain frozen-store-air",
        "edge-gateway rules explain frozen-store-air 2026-03-05T14:20 --point cold1-air",
        "edge-gateway rules explain frozen-store-air 2h --around 180 --json",
    ],
)
@click.argument("rule")
@click.argument("at", required=False)
@option("--point", default="", help="this point only", zh="仅此测点")
@option("--around", "minutes", type=click.FloatRange(1, 44_640), default=60.0, show_default=True, help="minutes before and after", zh="前后各多少分钟")
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_obj
def command(ctx: Context, rule: str, at: str | None, point: str, minutes: float, as_json: bool) -> int:
    """Explain why a rule fired or did not, around a moment (now by default): limit, basis, delays, the readings in stretches, each step on record.

    Reads only, also beside a running gateway. Exit codes: 0 explained, 3 the record is damaged, and it is explained as far as it reads.
    """
    from edge_gateway.cli.export import site_zone
    from edge_gateway.history.explained import explain
    from edge_gateway.history.export import moment_us
    from edge_gateway.journal.reading import Reading

    reading = Reading(ctx.state_dir)
    try:
        zone, now_us = ZoneInfo(site_zone(reading)), time.time_ns() // 1000
        try:
            at_us = moment_us(at, zone, now_us) if at else now_us
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        around_us = round(minutes * 60e6)
        found = explain(reading, rule, point, (at_us - around_us, at_us + around_us))
    finally:
        reading.close()
    if as_json:
        click.echo(json.dumps({"schema": "edge-gateway/rules-explain/1", "rule": rule, "points": [_document(each) for each in found]}, ensure_ascii=False))
    else:
        for each in found:
            for line in _lines(ctx, each, zone):
                click.echo(line)
    return WARNINGS if any(each.damaged for each in found) else OK


def _document(found: Explained) -> dict[str, Any]:
    from edge_gateway.history.explained import verdict

    word, figures = verdict(found)
    steps = [{"wall_us": at, "what": what} | {key: entry[key] for key in ("violation", "peak", "minutes", "why") if key in entry} for at, what, entry in found.steps]
    return {
        "point": found.rule.point, "limit": found.rule.limit, "basis": found.rule.basis, "verified": found.rule.verified,
        "decision": found.rule.decision, "calibration": found.calibration, "verdict": word, **figures, "not_armed": list(found.not_armed), "steps": steps,
        "stretches": [asdict(each) for each in found.stretches], "damaged": list(found.damaged),
    }  # fmt: skip


def _lines(ctx: Context, found: Explained, zone: ZoneInfo) -> Iterator[str]:
    rule = found.rule
    yield f"{rule.id} @ {rule.point}  {ctx.say(rule.title_en, rule.title_zh)}"
    known = ctx.say("operator's value, unverified", "运营方设定值，未核实") if rule.verified == "no" else rule.verified
    yield f"  {ctx.say('limit', '限值')}  {limit_words(rule.limit, ctx.language)}  ({known})  {basis_words(rule.basis, ctx.language)}"
    yield f"  {ctx.say('decided by', '判定规则')}  {decision_words(rule.decision, ctx.language)}  {_delays(ctx, found)}"
    if found.calibration is not None:
        yield f"  {ctx.say('its band is that of the calibration', '其保护带取自校准')}  {_calibration(ctx, found.calibration)}"
    yield f"  {_verdict(ctx, found)}"
    rows = [(each.since_us, _stretch(ctx, each, zone)) for each in found.stretches]
    rows += [(at, f"  {_time(at, zone)}  ** {what} {entry.get('violation', '')}".rstrip()) for at, what, entry in found.steps]
    rows.sort(key=lambda row: row[0])
    if len(rows) > MOST_SHOWN:
        left = len(rows) - MOST_SHOWN
        half = MOST_SHOWN // 2
        rows = [*rows[:half], (0, ctx.say(f"  … {left} more (--json has all)", f"  ……另有 {left} 行（--json 为全部）")), *rows[-half:]]
    yield from (text for _, text in rows)
    for fault in found.damaged:
        yield ctx.say(f"  the record is damaged: {fault}", f"  记录有损坏：{fault}")


def _calibration(ctx: Context, about: Mapping[str, Any]) -> str:
    due = f"  {ctx.say('due', '到期')} {about['due']}" if about.get("due") else ""
    return f"{about.get('certificate', '')}  ±{about['uncertainty']:g} {about['unit']}{due}".strip()


def _delays(ctx: Context, found: Explained) -> str:
    rule = found.rule
    notice = f"{rule.notice_after_us / 1e6:g} s"
    if rule.violation_after_us is None:
        return ctx.say(f"notice after {notice}, never a violation", f"{notice} 后预警，不成为违规")
    minutes = f"{rule.violation_after_us / 60e6:g} min"
    return ctx.say(f"notice after {notice}, violation after {minutes}", f"{notice} 后预警，{minutes} 后违规")


def _verdict(ctx: Context, found: Explained) -> str:
    from edge_gateway.history.explained import verdict

    word, f = verdict(found)
    longest, delay = f["beyond_min"], f["delay_min"]
    return {
        "violated": ctx.say(f"It fired: readings were beyond the limit for {longest} min.", f"已触发：读数超限 {longest} 分钟。"),
        "would": ctx.say("It would have fired, and was not armed.", "本应触发，但当时不生效。"),
        "noticed": ctx.say(f"A notice and no violation: beyond for {longest} min, the delay is {delay} min.", f"有预警，未成违规：超限 {longest} 分钟，延时为 {delay} 分钟。"),
        "not-armed": ctx.say(f"It was not armed: {f['why']}.", f"当时不生效：{f['why']}。"),
        "silent": ctx.say("There are no readings of it in this time: nothing could be judged.", "这段时间没有读数：无从判定。"),
        "unknown": ctx.say("No reading was known: unknown is neither within the limit nor beyond it.", "没有有效读数：未知既不算合格也不算超限。"),
        "short": ctx.say(f"It did not fire: {f['beyond']} of {f['known']} readings were beyond, for {longest} min at most; the delay is {delay} min.", f"未触发：{f['known']} 个读数中 {f['beyond']} 个超限，最长 {longest} 分钟；延时为 {delay} 分钟。"),
        "within": ctx.say(f"It did not fire: all {f['known']} known readings were within the limit.", f"未触发：{f['known']} 个有效读数都在限值内。"),
        "several": ctx.say("It took no step: it judges what several readings come to.", "没有步骤：此规则由多个读数共同判定。"),
    }[word]  # fmt: skip


_SIDES = {"beyond": ("BEYOND", "超限"), "within": ("within", "限内"), "unknown": ("unknown", "未知"), "seen": ("", "")}


def _stretch(ctx: Context, each: Stretch, zone: ZoneInfo) -> str:
    values = "" if each.least is None else f"{each.least:g}" if each.least == each.most else f"{each.least:g} … {each.most:g}"
    until = "" if each.count == 1 else f" – {_time(each.until_us, zone)[-8:]}"
    return f"  {_time(each.since_us, zone)}{until}  {each.point}  {each.count} x  {values}  {ctx.say(*_SIDES[each.side])}".rstrip()


def _time(time_us: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(time_us / 1e6, zone).strftime("%Y-%m-%d %H:%M:%S")
