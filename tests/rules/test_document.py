"""docs/reference/rules.md shows the packs' own cases and limits; REGENERATE=1 writes them there."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from edge_gateway.rules.cases import Outcome, clock, load_cases, run_case
from edge_gateway.rules.load import LoadedPack, load_pack
from edge_gateway.rules.model_kinds import (
    CombinedRule,
    DescentRule,
    ExposureRule,
    FlatRule,
    LimitRule,
    RateRule,
    Rule,
    SequenceRule,
    SpreadRule,
    StaleRule,
    WindowRule,
)

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "rules.md"
NAMES = ("cold-chain", "offal-cooling", "plant-rooms", "cleaning-water", "wastewater", "cleaning-sequence", "instrument-health")
PACKS = [load_pack(name, [ROOT / "rules"]) for name in NAMES]


def outcomes() -> list[tuple[LoadedPack, Outcome]]:
    """The worked traces, by number."""
    cases = [(pack, case) for pack in PACKS for case in load_cases(ROOT / "rules" / f"{pack.pack.id}.cases.toml")]
    traced = sorted(((p, c) for p, c in cases if c.trace is not None), key=lambda each: each[1].trace or 0)
    return [(pack, run_case(pack, case)) for pack, case in traced]


def traces() -> str:
    return "\n".join(_trace(pack, outcome) for pack, outcome in outcomes())


def _trace(pack: LoadedPack, outcome: Outcome) -> str:
    case, rule = outcome.case, outcome.rule
    delays = [f"notice after {rule.notice_after_us / 1e6:g} s" if rule.notice_after_us else "notice at once"]
    if rule.violation_after_us is not None:
        delays.append(f"violation after {rule.violation_after_us / 60e6:g} min")
    if rule.clear_high or rule.clear_low:
        delays.append(f"clear at {' … '.join(n for n in (rule.clear_low, rule.clear_high) if n)}")
    if rule.clear_after_us:
        delays.append(f"for {rule.clear_after_us / 60e6:g} min")
    lines = [
        f"### Trace {case.trace}: {case.name}",
        "",
        f"`{pack.pack.id}/{rule.id}`: {rule.limit}, {', '.join(delays)}; interval {case.interval_s:g} s.",
        "",
        case.about,
        "",
        "| time | reading | step | first offending | minutes beyond |",
        "|---|---|---|---|---|",
    ]
    told = {step.rule_us // 1_000_000: step for step in outcome.details}
    rows = [(seconds, what) for seconds, what in _folded(outcome)]
    for at in sorted({time for time, _ in rows} | set(told)):
        reading = next((text for time, text in rows if time == at), "*(time alone)*")
        step = told.get(at)
        if step is None:
            lines.append(f"| {clock(at)} | {reading} | | | |")
        else:
            first, minutes = clock(step.first.rule_us // 1_000_000), step.beyond_us / 60e6
            lines.append(f"| {clock(at)} | {reading} | **{step.step}** | {first} | {minutes:.2f} |")
    return "\n".join([*lines, ""])


def _folded(outcome: Outcome) -> list[tuple[int, str]]:
    """Readings of one kind in a row as one line, except where a step falls on one."""
    steps = {at for at, _ in outcome.steps}
    rows: list[tuple[int, str]] = []
    run: list[int] = []
    events = outcome.events
    for index, (at, what) in enumerate(events):
        run.append(at)
        following = events[index + 1] if index + 1 < len(events) else None
        cut = following is None or following[1] != what or at in steps or following[0] in steps
        between = following is not None and any(at < step < following[0] for step in steps)
        if cut or between:
            text = f"`{what}`" if isinstance(what, str) else f"{what:g}"
            rows.append((run[0], text if len(run) == 1 else f"{text} ({len(run)} readings, to {clock(at)})"))
            run = []
    return rows


def packs() -> str:
    lines = []
    for pack in PACKS:
        head = pack.pack
        lines += [f"### `{head.id}` {head.version} ({head.name_zh}, {head.name_en}; gathered {head.edition})", ""]
        lines += [head.note_en, ""] if head.note_en else []
        lines += ["| rule | limit | violation after | armed | basis | in force from | verified |", "|---|---|---|---|---|---|---|"]
        lines += [_row(rule) for rule in head.rule]
        lines.append("")
    return "\n".join(lines)


def _row(rule: Rule) -> str:
    after = "notices only" if rule.violation_after_s is None else f"{rule.violation_after_s / 60:g} min" if rule.violation_after_s else "at once"
    basis = rule.basis
    clause = {"unknown": ", clause not verified", "none": ""}.get(basis.clause, f", {basis.clause}")
    note = basis.verified if basis.verified != "no" else "no: operator's unverified value"
    armed = ", ".join(rule.armed_in) or "always"
    return f"| `{rule.id}` | {_limit(rule)} | {after} | {armed} | {basis.standard}{clause}. {basis.source} | {basis.effective_from} | {note} |"


def _limit(rule: Rule) -> str:
    match rule:
        case StaleRule():
            return f"silence ≤ {rule.factor:g} intervals, at least {rule.after_s:g} s"
        case FlatRule():
            return f"moves by more than {rule.band} {rule.unit} within {rule.after_s / 3600:g} h"
        case SpreadRule():
            return f"≤ {rule.most} {rule.unit} apart"
        case RateRule():
            return f"≤ {rule.per_s} {rule.unit}/s"
        case ExposureRule():
            most = f"{rule.most_minutes} min" if rule.most_minutes else f"{rule.most_degree_minutes} {rule.unit}·min"
            return f"≤ {most} above {rule.high} {rule.unit} in {rule.window_s / 3600:g} h"
        case DescentRule():
            return f"≤ {rule.to} {rule.unit} within {rule.within_s / 3600:g} h, rising by {rule.rise} {rule.unit} at most"
        case SequenceRule():
            return " → ".join(f"{step.id} {step.least_s:g} s" for step in rule.step)
        case CombinedRule():
            return f"not {' and '.join(rule.all) or ' or '.join(rule.any)}"
    sides = [f"≥ {rule.low}"] if rule.low is not None else []
    sides += [f"≤ {rule.high}"] if rule.high is not None else []
    if not sides:
        return f"the permit's, in {rule.unit}"
    permit = " (or the permit's)" if rule.permit else ""
    taken = ""
    if isinstance(rule, WindowRule):
        taken = f", {rule.of}{f' {rule.percentile:g}' if rule.percentile else ''} of {rule.period or f'{rule.window_s:g} s'}"
    excuse = f"; {rule.excuse.quantity} excuses {rule.excuse.most_s / 60:g} min up to {rule.excuse.peak}" if isinstance(rule, LimitRule) and rule.excuse else ""
    return f"{', '.join(sides)} {rule.unit}{permit}{taken}{excuse}"


def written(page: str, name: str, text: str) -> str:
    block = re.compile(rf"(<!-- {name}: [^>]*-->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    assert block.search(page), f"no block '{name}'"
    return block.sub(lambda found: found[1] + text + "\n" + found[2], page)


def test_the_page_shows_the_packs_and_their_traces_as_they_are() -> None:
    page = PAGE.read_text(encoding="utf-8")
    wanted = written(written(page, "traces", traces()), "packs", packs())
    if os.environ.get("REGENERATE"):
        PAGE.write_text(wanted, encoding="utf-8")
    elif page != wanted:
        pytest.fail(
            "docs/reference/rules.md is not what packs and cases say: REGENERATE=1 pytest tests/rules/test_document.py"
        )


def test_there_are_twelve_worked_traces_and_all_hold() -> None:
    found = outcomes()
    assert [outcome.case.trace for _, outcome in found] == list(range(1, 13))
    assert all(outcome.passed and outcome.case.about for _, outcome in found)
