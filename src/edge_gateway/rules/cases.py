"""Runs the cases of a rule pack: readings and passing time in, steps out; knows no clock, journal or source.

A case names one rule of its pack. Time passes as in the gateway: whenever the engine is due, it is ticked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge_gateway import toml_errors, toml_lines
from edge_gateway.errors import ConfigError
from edge_gateway.reading import BAD_NO_ANSWER, GOOD, UNCERTAIN_FUTURE, UNCERTAIN_QUEUED
from edge_gateway.rules.base import BoundRule, Step
from edge_gateway.rules.bind import PointFacts, ZoneFacts, bind
from edge_gateway.rules.engine import Engine
from edge_gateway.rules.load import LoadedPack
from edge_gateway.rules.model_kinds import CombinedRule, Rule, SequenceRule, StaleRule
from edge_gateway.units import QUANTITIES

_S = 1_000_000
_WORDS = {"bad": BAD_NO_ANSWER, "queued": UNCERTAIN_QUEUED, "future": UNCERTAIN_FUTURE}
#: ``restart``: state goes through a snapshot into a new engine; ``power-off``: until then nobody even ticks;
#: ``wait``: nothing but time.
_EVENTS = ("restart", "power-off", "wait")


class Case(BaseModel):
    """One course of readings and what must come of it.

    ``readings`` are ``[time, what]``; time is ``h:mm:ss``, or ``h:mm:ss to h:mm:ss`` for one every ``interval_s``;
    what is a number, ``bad``, ``queued``, ``future``, ``restart``, ``power-off`` or ``wait``. ``steps`` are ``[time, step]``.
    ``trace`` makes the case a worked trace of docs/reference/rules.md, in this order.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    rule: str
    about: str = ""
    trace: int | None = None
    interval_s: float = Field(default=10.0, ge=0)
    outlet: dict[str, float | str] | None = None
    readings: tuple[tuple[str, float | str], ...] = Field(min_length=1)
    steps: tuple[tuple[str, str], ...] = ()

    @model_validator(mode="after")
    def _sound(self) -> Case:
        for _, what in self.readings:
            if isinstance(what, str) and what not in (*_WORDS, *_EVENTS):
                raise ValueError(f"'{what}' is no reading; a number, or one of {', '.join((*_WORDS, *_EVENTS))}")
        for time, _ in (*self.readings, *self.steps):
            for part in time.split(" to "):
                seconds(part)
        return self


class CaseFile(BaseModel):
    """What ``<pack>.cases.toml`` may say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    case: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a case came to, beside what it should have."""

    case: Case
    rule: BoundRule
    events: list[tuple[int, float | str]]
    steps: list[tuple[int, str]]
    details: list[Step]

    @property
    def expected(self) -> list[tuple[int, str]]:
        """The case's steps with times in seconds."""
        return [(seconds(time), step) for time, step in self.case.steps]

    @property
    def passed(self) -> bool:
        return self.steps == self.expected


def load_cases(file: Path) -> tuple[Case, ...]:
    """The cases of a file. Raises ConfigError with its first fault."""
    text = file.read_text(encoding="utf-8")
    raw = toml_errors.parse(text, str(file))
    try:
        return CaseFile.model_validate(raw).case
    except ValidationError as error:
        raise toml_errors.explain(error, CaseFile, toml_lines.lines(text), str(file))[0] from error


def run_case(loaded: LoadedPack, case: Case) -> Outcome:
    """Run one case against its rule. Raises ConfigError when the pack has no such rule, or it cannot be bound."""
    rule = next((rule for rule in loaded.pack.rule if rule.id == case.rule), None)
    if rule is None:
        hint = toml_errors.did_you_mean(case.rule, [each.id for each in loaded.pack.rule])
        raise ConfigError(f"case '{case.name}': no rule '{case.rule}'", file=str(loaded.file), hint=hint)
    bound = _bound(loaded, rule, case)
    engine = Engine([bound])
    events = [(seconds(time), what) for time, what in _spread(case)]
    steps: list[Step] = []
    now_us: int | None = None
    for second, what in events:
        at_us = second * _S
        if now_us is not None:
            steps += _pass_time(engine, now_us, at_us)
        now_us = None if what == "power-off" else at_us
        if what == "restart":
            state = json.loads(json.dumps(engine.snapshot()))
            engine = Engine([bound])
            engine.restore(state)
        elif isinstance(what, str) and what in _WORDS:
            steps += engine.judge(at_us, at_us, (bound.point,), [None if what == "bad" else 0.0], [_WORDS[what]])
        elif not isinstance(what, str):
            steps += engine.judge(at_us, at_us, (bound.point,), [what], [GOOD])
    return Outcome(case, bound, events, [(step.rule_us // _S, step.step) for step in steps], steps)


def seconds(text: str) -> int:
    """``h:mm:ss`` as seconds. Raises ValueError for anything else."""
    parts = text.split(":")
    if len(parts) != 3 or not all(part.isdecimal() for part in parts) or int(parts[1]) > 59 or int(parts[2]) > 59:
        raise ValueError(f"'{text}' is no time; write h:mm:ss")
    return int(parts[0]) * 3600 + int(parts[1]) * 60 + int(parts[2])


def clock(second: int) -> str:
    """Seconds as ``h:mm:ss``."""
    return f"{second // 3600}:{second // 60 % 60:02}:{second % 60:02}"


def _spread(case: Case) -> Iterator[tuple[str, float | str]]:
    """Readings one by one: a range stands for one every interval, both ends included."""
    for time, what in case.readings:
        first, _, last = time.partition(" to ")
        if not last:
            yield first, what
            continue
        step = max(1, round(case.interval_s))
        for second in range(seconds(first), seconds(last) + 1, step):
            yield clock(second), what


def _pass_time(engine: Engine, now_us: int, until_us: int) -> list[Step]:
    """Tick whenever the engine is due, from ``now_us`` to before ``until_us``."""
    steps: list[Step] = []
    while (due_us := engine.due_us()) is not None and max(due_us, now_us) < until_us:
        now_us = max(due_us, now_us)
        steps += engine.tick(now_us, now_us)
    return steps


def _bound(loaded: LoadedPack, rule: Rule, case: Case) -> BoundRule:
    """The rule at a point in the first place that it selects."""
    select = rule.select
    quantity = select.quantity[0] if select.quantity else "temperature"
    unit = QUANTITIES[quantity].units[0] if isinstance(rule, StaleRule | SequenceRule | CombinedRule) else rule.unit
    zone = ZoneFacts(
        stage=select.stage[0] if select.stage else "storage",
        kind=select.zone_kind[0] if select.zone_kind else "frozen-store",
    )
    point = PointFacts(id="point", quantity=quantity, unit=unit, zone="zone", interval_us=round(case.interval_s * _S))
    outlets: dict[str, dict[str, Any]] = {} if case.outlet is None else {"outlet": {"zone": "zone", **case.outlet}}
    binding = bind([loaded], [point], {"zone": zone}, outlets)
    for bound in binding.rules:
        if bound.id == rule.id:
            return bound
    why = next(each.why for each in binding.not_monitored if each.rule == rule.id)
    raise ConfigError(f"case '{case.name}': rule '{rule.id}' is not monitored: {why}", file=str(loaded.file))
