"""``rules …``: the rule packs of this site, what they judge here, and what is not monitored; decides nothing itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from edge_gateway.cli import rules_backtest, rules_cards, rules_explain, rules_list, rules_sign, rules_state, rules_test
from edge_gateway.cli.drivers_show import columns
from edge_gateway.cli.main import NO, OK, WARNINGS, say_errors
from edge_gateway.cli.rules_list import STATES
from edge_gateway.cli.verbs import Context, noun, option, verb
from edge_gateway.web.rule_words import limit_words

if TYPE_CHECKING:
    from edge_gateway.config.load import Loaded
    from edge_gateway.rules.base import BoundRule


@noun(
    "rules",
    zh="规则包：检查本站点的规则、用例检验。",
    examples=["edge-gateway rules check", "edge-gateway rules test", "edge-gateway rules test cold-chain --junit rules.xml"],
)
def command() -> None:
    """Rule packs: what they judge at this site, and whether they do what their cases say."""


@verb(
    "check",
    zh="检查本站点的规则包：每条规则在哪些测点、按什么限值判定，今天哪些不生效，哪些未监测以及原因。静态、离线。\n\n"
    "退出码：0 正确，1 有错误，3 有未监测的规则且指定了 --strict。",
    examples=["edge-gateway rules check", "edge-gateway rules check --json", "edge-gateway rules check --day 2027-01-01"],
)
@option("--day", metavar="DATE", help="on which day (Beijing time); today by default", zh="按哪一天（北京时间）；默认今天")
@option("--strict", is_flag=True, help="a rule that is not monitored is fatal (exit 3)", zh="有未监测的规则即视为失败（退出码 3）")
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_obj
def check(ctx: Context, day: str | None, strict: bool, as_json: bool) -> int:
    """Check this site's rule packs: where each rule judges and by which limit, what is not armed today, and what is not monitored, and why.

    Static and offline. Exit codes: 0 sound, 1 faults, 3 something is not monitored and --strict was given.
    """
    from edge_gateway.config.load import ConfigRefused, load

    day = _day(day)
    try:
        loaded = load(ctx.config, ctx.state_dir, running=False)
    except ConfigRefused as refused:
        if as_json:
            click.echo(json.dumps({"schema": "edge-gateway/rules-check/1", "faults": [str(fault) for fault in refused.faults]}, ensure_ascii=False))
        else:
            say_errors(refused.faults, ctx.language)
        return NO
    if as_json:
        click.echo(json.dumps(_document(loaded, day), ensure_ascii=False))
    else:
        for line in _lines(ctx, loaded, day):
            click.echo(line)
    return WARNINGS if strict and loaded.binding.not_monitored else OK


def _day(asked: str | None) -> str:
    import datetime as dt

    if asked is None:
        return dt.datetime.now(dt.timezone(dt.timedelta(hours=8))).date().isoformat()
    try:
        return dt.date.fromisoformat(asked).isoformat()
    except ValueError:
        raise click.BadParameter(f"'{asked}' is no date; write 2027-01-01") from None


def _standing(loaded: Loaded, day: str) -> dict[tuple[str, str], str]:
    """Why rules are not armed on a day, by (rule, point)."""
    from edge_gateway.rules.arming import unarmed

    found: dict[tuple[str, str], str] = {}
    for why, refs in unarmed(loaded.binding.rules, day).items():
        for key, ref in refs.items():
            found[key] = f"{found[key]}; {why} ({ref})" if key in found else f"{why} ({ref})"
    return found


def _document(loaded: Loaded, day: str) -> dict[str, Any]:
    standing = _standing(loaded, day)
    rules = [
        {
            "rule": rule.id, "pack": rule.pack, "point": rule.point, "kind": rule.kind, "limit": rule.limit, "verified": rule.verified,
            "basis": rule.basis, "decision": rule.decision, "severity": rule.severity, "department": rule.department,
            "armed_in": list(rule.armed_in), "not_armed": standing.get((rule.id, rule.point), ""),
        }
        for rule in loaded.binding.rules
    ]  # fmt: skip
    missing = [{"rule": each.rule, "pack": each.pack, "place": each.place, "why": each.why} for each in sorted(loaded.binding.not_monitored)]
    packs = [{"pack": each.pack.id, "version": each.pack.version, "file": str(each.file), "state": each.state or "enforced"} for each in loaded.packs]
    return {"schema": "edge-gateway/rules-check/1", "day": day, "faults": [], "packs": packs, "rules": rules, "not_monitored": missing}


def _lines(ctx: Context, loaded: Loaded, day: str) -> Iterator[str]:
    standing = _standing(loaded, day)
    for pack in loaded.packs:
        mine = [rule for rule in loaded.binding.rules if rule.pack == pack.pack.id]
        name = ctx.say(pack.pack.name_en, pack.pack.name_zh)
        yield f"{pack.pack.id} {pack.pack.version}  {name}  {ctx.say(*STATES[pack.state or 'enforced'])}  {pack.file}"
        table = [["", rule.id, rule.point, limit_words(rule.limit, ctx.language), _known(ctx, rule), _off(ctx, standing, rule)] for rule in mine]
        yield from columns(table)
    if loaded.binding.not_monitored:
        yield ctx.say("not monitored (never to be read as compliant):", "未监测（不等于合格）：")
    for each in sorted(loaded.binding.not_monitored):
        place = f" @ {each.place}" if each.place else ""
        yield f"  {each.rule}{place}  {ctx.say(each.title_en, each.title_zh)}  ({_why(ctx, each.why)})"


def _known(ctx: Context, rule: BoundRule) -> str:
    return {
        "primary": ctx.say("verified", "已核实"),
        "secondary": ctx.say("from secondary sources", "二手来源"),
    }.get(rule.verified, ctx.say("operator's value, unverified", "运营方设定值，未核实"))


def _off(ctx: Context, standing: dict[tuple[str, str], str], rule: BoundRule) -> str:
    why = standing.get((rule.id, rule.point))
    return ctx.say(f"not armed: {why}", f"不生效：{why}") if why else ""


def _why(ctx: Context, why: str) -> str:
    from edge_gateway.web.chinese import chinese

    return chinese(why) if ctx.language == "zh" else why


for _each in (rules_list.command, check, rules_test.command, rules_explain.command, rules_cards.command, rules_backtest.backtest, rules_sign.command, rules_state.command):
    command.add_command(_each)

