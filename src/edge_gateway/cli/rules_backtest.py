"""``rules backtest`` and ``replay``: what rules made of the record, and what others would have; read the state folder only."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_gateway.cli.main import NO, OK, WARNINGS, say_errors
from edge_gateway.cli.verbs import Context, option, verb
from edge_gateway.errors import JournalDamaged

if TYPE_CHECKING:
    from edge_gateway.recompute.backtest import Backtest, Excursion
    from edge_gateway.rules.base import BoundRule

#: What --set may change of a rule: limits as decimal text, delays in seconds.
LIMITS = ("low", "high", "clear_low", "clear_high", "per_s")
DELAYS = ("notice_after_s", "violation_after_s", "clear_after_s", "after_s", "fresh_for_s", "window_s")
_US = {"fresh_for_s": "fresh_us"} | {name: name.removesuffix("_s") + "_us" for name in DELAYS if name != "fresh_for_s"}
#: Violations that are listed on either side; the rest is counted.
_LISTED = 20
_WHY = {
    "no-reading": ("the record holds no reading of its points", "台账中没有其测点的读数"),
    "configuration-does-not-tell": ("the record's configuration does not tell its rules", "台账的配置未载明规则"),
}


@verb(
    "backtest",
    zh="用另一套规则重放台账中的读数，与当时生效的规则并列比较：违规次数、分钟数、新增和消失的违规、无法判定的部分。不写任何内容。\n\n"
    "另一套规则：配置文件中现在的规则包；或用 --set 改变当时的规则。生效规则的重放须与台账逐条一致，否则指出第一处不同。\n\n退出码：0 已比较，1 台账与其规则不符，3 部分无法判定。",
    examples=["edge-gateway rules backtest", "edge-gateway rules backtest --set frozen-store-air.high=-19", "edge-gateway rules backtest /media/usb/state --json"],
)
@click.argument("folder", required=False, type=click.Path(path_type=Path, file_okay=False))
@option("--set", "sets", multiple=True, metavar="RULE.KEY=VALUE", help=f"change a rule that was in force: {', '.join((*LIMITS, *DELAYS))}", zh="改变当时生效的规则")
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_obj
def backtest(ctx: Context, /, folder: Path | None, sets: Sequence[str], as_json: bool) -> int:
    """Replay the record's readings through other rules, beside the rules that were in force. Writes nothing.

    The other rules are the packs of the configuration as its files are now, or with --set those of the record, changed. The replay of the
    rules in force must give the journaled outcomes one for one; else the first difference is named, and nothing is compared.

    Exit codes: 0 compared, 1 the record is not what its rules give, 3 something cannot be decided.
    """
    from edge_gateway.config.load import ConfigRefused, load

    asked, seen = [_asked(each) for each in sets], set[str]()
    if sets:
        change = _changing(asked, seen)
    else:
        try:
            rules = load(ctx.config, None, running=False).binding.rules
        except ConfigRefused as refused:
            say_errors(refused.faults, ctx.language)
            return NO
        change = lambda _: rules  # noqa: E731
    test, damaged = _run(folder or ctx.state_dir, change)
    if unknown := [id_ for id_, _, _ in asked if id_ not in seen]:
        raise click.BadParameter(f"no rule '{unknown[0]}' was in force in this record")
    answer = _answer(test, damaged)
    if as_json:
        click.echo(json.dumps({"schema": "edge-gateway/rules-backtest/1"} | answer, ensure_ascii=False))
    else:
        for line in _lines(ctx, test, answer):
            click.echo(line)
    if test.first is not None:
        return NO
    return WARNINGS if damaged or answer["not_decidable"] or answer["outcomes"]["undecided"] else OK


@verb(
    "replay",
    zh="重放一份台账：读数、时间和人员的处置按记录取用，由当时的规则逐条重新判定，列出违规并给出结果的散列。同一台账在任何机器上结果相同。离线、只读。\n\n退出码：0 一致，1 有不同，3 部分无法判定。",
    examples=["edge-gateway replay /media/usb/state", "edge-gateway replay /media/usb/state --json"],
)
@click.argument("log", type=click.Path(path_type=Path, file_okay=False, exists=True))
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_obj
def command(ctx: Context, /, log: Path, as_json: bool) -> int:
    """Replay a record (a state folder, or a copy of one) through the rules of its time: its violations, and the hash of all outcomes.

    Readings, time and persons' steps are taken as they are journaled. The same record gives the same hash on every machine. Offline and
    read-only. Exit codes: 0 as journaled, 1 something differs, 3 something cannot be decided.
    """
    test, damaged = _run(log, list)
    answer = _answer(test, damaged)
    kept = {key: answer[key] for key in ("entries", "outcomes", "first", "damaged") if key in answer} | {"violations": answer["before"]["violations"]}
    if as_json:
        click.echo(json.dumps({"schema": "edge-gateway/replay/1"} | kept, ensure_ascii=False))
    else:
        for each in test.before.violations:
            click.echo(_told(ctx, each))
        for line in _sameness(ctx, answer):
            click.echo(line)
    return NO if test.first is not None else WARNINGS if damaged or answer["outcomes"]["undecided"] else OK


def _asked(text: str) -> tuple[str, str, str]:
    """RULE.KEY=VALUE. Raises click.BadParameter."""
    name, _, value = text.partition("=")
    rule, _, key = name.rpartition(".")
    if not rule or key not in (*LIMITS, *DELAYS):
        raise click.BadParameter(f"'{text}': write RULE.KEY=VALUE, with KEY one of {', '.join((*LIMITS, *DELAYS))}")
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or (key in DELAYS and number < 0):
        raise click.BadParameter(f"'{text}': '{value}' is no {'time' if key in DELAYS else 'number'}")
    return rule, key, value


def _changing(asked: Sequence[tuple[str, str, str]], seen: set[str]) -> Callable[[Sequence[BoundRule]], Sequence[BoundRule]]:
    """``seen`` takes the ids of all rules that were in force."""

    def changed(rules: Sequence[BoundRule]) -> Sequence[BoundRule]:
        found = list(rules)
        seen.update(rule.id for rule in rules)
        for id_, key, value in asked:
            more: dict[str, Any] = {key: value} if key in LIMITS else {_US[key]: round(float(value) * 1e6)}
            if key in ("low", "high"):  # the hysteresis keeps its width
                found = [_moved(rule, key, value) if rule.id == id_ else rule for rule in found]
            found = [replace(rule, **more) if rule.id == id_ else rule for rule in found]
        return found

    return changed


def _moved(rule: BoundRule, key: str, value: str) -> BoundRule:
    from decimal import Decimal

    old, clear = getattr(rule, key), getattr(rule, f"clear_{key}")
    if old is None or clear is None:
        return rule
    kept = str(Decimal(clear) - Decimal(old) + Decimal(value))
    return replace(rule, clear_low=kept) if key == "low" else replace(rule, clear_high=kept)


def _run(folder: Path, change: Callable[[Sequence[BoundRule]], Sequence[BoundRule]]) -> tuple[Backtest, str]:
    from edge_gateway.journal.reading import Reading
    from edge_gateway.recompute.backtest import Backtest

    reading = Reading(folder)
    test, damaged = Backtest(reading.text, change), ""
    try:
        for epoch, entry in reading.entries():
            test.take(epoch, entry)
    except (JournalDamaged, KeyError) as damage:
        damaged = str(damage)
    finally:
        reading.close()
    test.end()
    return test, damaged


def _answer(test: Backtest, damaged: str) -> dict[str, Any]:
    sides = {
        name: {"violations": [asdict(each) for each in side.violations], "count": len(side.violations), "minutes": side.minutes(), "undecided": dict(side.undecided)}
        for name, side in (("before", test.before), ("after", test.after))
    }
    journaled, derived = test.hashes
    return {
        "entries": test.entries,
        "outcomes": {"sha256": {"journaled": journaled, "derived": derived}, "undecided": dict(test.undecided)},
        "first": None if test.first is None else asdict(test.first),
        **sides,
        "new": [asdict(each) for each in test.new()],
        "lost": [asdict(each) for each in test.lost()],
        "not_decidable": [{"rule": rule, "point": point, "why": why} for (rule, point), why in sorted(test.not_decidable.items())],
    } | ({"damaged": damaged} if damaged else {})


def _sameness(ctx: Context, answer: dict[str, Any]) -> Iterator[str]:
    if (first := answer["first"]) is not None:
        place = f"{first['epoch']}/{first['seq']} {first['point']}"
        told = [json.dumps(first[key], ensure_ascii=False) for key in ("journaled", "derived")]
        yield ctx.say(f"DIFFERS, first at {place}: journaled {told[0]}, the rules of its time give {told[1]}", f"有不同，首处位于 {place}：台账为 {told[0]}，当时的规则得 {told[1]}")
    for why, count in answer["outcomes"]["undecided"].items():
        yield ctx.say(f"{count} journaled outcomes cannot be judged again: {why}", f"台账中 {count} 个结果无法重新判定：{why}")
    yield ctx.say(f"hash of the outcomes {answer['outcomes']['sha256']['derived']}", f"规则结果的散列 {answer['outcomes']['sha256']['derived']}")


def _lines(ctx: Context, test: Backtest, answer: dict[str, Any]) -> Iterator[str]:
    yield from _sameness(ctx, answer)
    if answer["first"] is not None:
        return
    for name, words in (("before", ("in force", "当时生效")), ("after", ("changed", "改变之后"))):
        side = answer[name]
        yield ctx.say(f"{words[0]}: {side['count']} violations, {side['minutes']} minutes", f"{words[1]}：违规 {side['count']} 次，{side['minutes']} 分钟")
    for found, words in ((test.new(), ("new", "新增")), (test.lost(), ("lost", "消失"))):
        yield ctx.say(f"{words[0]}: {len(found)}", f"{words[1]}：{len(found)}")
        yield from (f"  {_told(ctx, each)}" for each in found[:_LISTED])
    for each in answer["not_decidable"]:
        yield ctx.say(f"not decidable: {each['rule']} at {each['point']}: {_WHY[each['why']][0]}", f"无法判定：{each['rule']} @ {each['point']}：{_WHY[each['why']][1]}")
    if sum(test.after.undecided.values()):
        count = sum(test.after.undecided.values())
        yield ctx.say(f"undecided for too long {count} times", f"长时间未能判定 {count} 次")


def _told(ctx: Context, each: Excursion) -> str:
    begun = (datetime.fromtimestamp(each.from_wall_us / 1e6, UTC) + timedelta(hours=8)).strftime("%Y-%m-%d %H:%M:%S")
    until = "" if each.until_us is not None else ctx.say(", goes on", "，仍在持续")
    return ctx.say(f"{begun} {each.rule} {each.point}: {each.minutes} min, peak {each.peak}{until}", f"{begun} {each.rule} {each.point}：{each.minutes} 分钟，峰值 {each.peak}{until}")
