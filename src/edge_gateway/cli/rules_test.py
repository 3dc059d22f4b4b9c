"""``rules test``: every rule pack against its cases, with coverage; knows no gateway and no record."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_gateway.cli.junit import document
from edge_gateway.cli.main import NO, OK
from edge_gateway.cli.verbs import Context, option, picked, verb
from edge_gateway.errors import ConfigError

if TYPE_CHECKING:
    from edge_gateway.rules.cases import Outcome


@dataclass(slots=True)
class Tried:
    """One pack's trial: what is wrong with its files, what each case came to, and how often each rule fires or stays quiet."""

    id: str
    file: Path
    faults: list[str] = field(default_factory=list)
    cases: list[tuple[str, str, str]] = field(default_factory=list)  # rule, name, fault
    #: rule -> (cases in which it fires, cases in which it stays quiet)
    coverage: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def uncovered(self) -> list[str]:
        """Rules without a case that fires, or without one that stays quiet."""
        return [rule for rule, (fires, quiet) in self.coverage.items() if not fires or not quiet]

    @property
    def wrong(self) -> int:
        """Faults of the files, cases that came out differently, rules that are not covered."""
        return len(self.faults) + sum(bool(fault) for *_, fault in self.cases) + len(self.uncovered)


@verb(
    "test",
    zh="用规则包自带的用例检验规则包（全部，或指明的）：给定读数和时间，须得出写明的步骤。\n\n"
    "每条规则至少要有一个触发的用例和一个不触发的用例。有错或未覆盖则退出码为 1。",
    examples=["edge-gateway rules test", "edge-gateway rules test cold-chain house", "edge-gateway rules test --junit rules.xml"],
)
@click.argument("packs", nargs=-1, metavar="[PACK]...")
@option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="also write JUnit's XML into this file", zh="同时把 JUnit XML 写入此文件")
@option("--json", "as_json", is_flag=True, help="one JSON object", zh="输出一个 JSON 对象")
@click.pass_obj
def command(ctx: Context, packs: tuple[str, ...], junit: Path | None, as_json: bool) -> int:
    """Try rule packs against their cases (all packs, or those named): readings and passing time in, the steps that must come of them out.

    Every rule must have a case that fires and one that stays quiet. Exit code 1 when anything comes out differently or is not covered.
    """
    tried = [trial(id_, file) for id_, file in chosen(ctx, packs).items()]
    if junit is not None:
        junit.write_text(_junit(tried), encoding="utf-8")
    if as_json:
        click.echo(json.dumps(_json(tried), ensure_ascii=False))
    else:
        for line in _lines(ctx, tried):
            click.echo(line)
    return NO if any(each.wrong for each in tried) else OK


def chosen(ctx: Context, wanted: Sequence[str]) -> dict[str, Path]:
    """The packs named, or all along the search path (the folder beside the configuration first). Raises ConfigError."""
    from edge_gateway.rules.load import available

    return picked(available([ctx.config.parent / "rules"]), wanted, "rule pack", "no-pack")


def trial(id_: str, file: Path) -> Tried:
    """Try one pack file against the cases beside it."""
    from edge_gateway.rules.cases import load_cases, run_case
    from edge_gateway.rules.load import read_pack

    found = Tried(id_, file)
    loaded, errors = read_pack(file)
    found.faults += [str(error) for error in errors]
    beside = file.with_name(f"{id_}.cases.toml")
    if loaded is None:
        return found
    try:
        cases = load_cases(beside)
    except ConfigError as error:
        found.faults.append(str(error))
        return found
    except OSError:
        found.faults.append(f"{beside}: no cases: a pack without cases is not tried")
        cases = ()
    outcomes: list[Outcome] = []
    for case in cases:
        try:
            outcome = run_case(loaded, case)
        except ConfigError as error:
            found.cases.append((case.rule, case.name, str(error)))
            continue
        outcomes.append(outcome)
        found.cases.append((case.rule, case.name, outcome.fault))
    for rule in loaded.pack.rule:
        fired = [outcome.fired for outcome in outcomes if outcome.rule.id == rule.id]
        found.coverage[rule.id] = sum(fired), len(fired) - sum(fired)
    return found


def _totals(tried: Sequence[Tried]) -> dict[str, int]:
    return {
        "packs": len(tried),
        "rules": sum(len(each.coverage) for each in tried),
        "cases": sum(len(each.cases) for each in tried),
        "covered": sum(len(each.coverage) - len(each.uncovered) for each in tried),
        "faults": sum(each.wrong for each in tried),
    }


def _lines(ctx: Context, tried: Sequence[Tried]) -> Iterator[str]:
    fault = ctx.say("FAULT", "错误")
    for each in tried:
        yield from (f"{fault}  {why}" for why in each.faults)
        yield from (f"{fault}  {each.id}: {name}: {why}" for _, name, why in each.cases if why)
        yield from (f"{fault}  {each.id}: {_uncovered(ctx, rule, each.coverage[rule][0])}" for rule in each.uncovered)
    for each in tried:
        covered, rules = len(each.coverage) - len(each.uncovered), len(each.coverage)
        yield ctx.say(f"{each.id}: {len(each.cases)} cases, {covered} of {rules} rules covered", f"{each.id}：{len(each.cases)} 个用例，覆盖 {rules} 条规则中的 {covered} 条")
    total = _totals(tried)
    yield ctx.say(
        f"{total['packs']} packs, {total['cases']} cases, {total['covered']} of {total['rules']} rules covered: {total['faults']} faults",
        f"{total['packs']} 个规则包，{total['cases']} 个用例，覆盖 {total['rules']} 条规则中的 {total['covered']} 条：{total['faults']} 处错误",
    )


def _uncovered(ctx: Context, rule: str, fires: int) -> str:
    if not fires:
        return ctx.say(f"no case in which '{rule}' fires", f"没有触发规则 '{rule}' 的用例")
    return ctx.say(f"no case in which '{rule}' stays quiet", f"没有规则 '{rule}' 不触发的用例")


def _json(tried: Sequence[Tried]) -> dict[str, Any]:
    packs = [
        {
            "id": each.id,
            "file": str(each.file),
            "faults": each.faults,
            "cases": [{"rule": rule, "name": name, "fault": fault} for rule, name, fault in each.cases],
            "coverage": {rule: {"fires": fires, "quiet": quiet} for rule, (fires, quiet) in each.coverage.items()},
        }
        for each in tried
    ]
    return {"schema": "edge-gateway/rules-test/1", **_totals(tried), "results": packs}


def _junit(tried: Sequence[Tried]) -> str:
    """A suite a pack, a test a case; a file's own faults are a test called "files", each rule's coverage one of its name."""
    suites: list[tuple[str, list[tuple[str, list[str]]]]] = []
    for each in tried:
        tests = [("files", each.faults), *((name, [fault] if fault else []) for _, name, fault in each.cases)]
        tests += [(f"coverage of {rule}", [f"{fires} fire, {quiet} stay quiet"] if not fires or not quiet else []) for rule, (fires, quiet) in each.coverage.items()]
        suites.append((each.id, tests))
    return document("rules", suites)
