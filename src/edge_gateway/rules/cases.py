"""Runs the cases of a rule pack: readings and passing time in, steps out; knows no clock, journal or source.

A case names one rule of its pack. Time passes as in the gateway: whenever the engine is due, it is ticked.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge_gateway import toml_errors, toml_lines
from edge_gateway.errors import ConfigError
from edge_gateway.reading import BAD_NO_ANSWER, GOOD, UNCERTAIN_FUTURE, UNCERTAIN_LATE, UNCERTAIN_QUEUED, Value
from edge_gateway.rules.base import NOTICE, VIOLATED, BoundRule, Step
from edge_gateway.rules.bind import PointFacts, ZoneFacts, bind
from edge_gateway.rules.engine import Engine
from edge_gateway.rules.load import LoadedPack
from edge_gateway.rules.model_kinds import CombinedRule, Rule, SequenceRule, StaleRule, WindowRule
from edge_gateway.rules.series import samples
from edge_gateway.rules.standing import PHASE
from edge_gateway.units import QUANTITIES

_S = 1_000_000
_WORDS = {"bad": BAD_NO_ANSWER, "queued": UNCERTAIN_QUEUED, "future": UNCERTAIN_FUTURE}
#: ``restart``: state goes through a snapshot into a new engine; ``power-off``: until then nobody even ticks;
#: ``wait``: nothing but time.
_EVENTS = ("restart", "power-off", "wait")
#: From here on this phase of the day is on: rules that are not armed in it judge in shadow.
_PHASES = tuple(f"phase {name}" for name in ("pre-start", "production", "closing", "closed"))
#: A reading that comes late: ``late 0:10:00 -14``, by its own time and value. Live, ``intake.late`` marks it so.
_LATE = re.compile(r"late (\d+:\d\d:\d\d) (-?\d+(?:\.\d+)?)")
#: The point that a case's plain readings are of.
MAIN = "point"


class CasePoint(BaseModel):
    """A point of a case, in the zone of the rule: its quantity is enough."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    quantity: str
    unit: str | None = None
    interval_s: float | None = Field(default=None, gt=0)
    uncertainty: str = ""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"quantity": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _known(self) -> CasePoint:
        if self.quantity not in QUANTITIES:
            raise ValueError(f"unknown quantity '{self.quantity}'; known: {', '.join(sorted(QUANTITIES))}")
        return self


#: What a reading is: a number, or a word.
What = float | str


class Case(BaseModel):
    """One course of readings and what must come of it.

    ``readings`` are ``[time, what]``; time is ``h:mm:ss``, or ``h:mm:ss to h:mm:ss`` for one every ``interval_s``; what is a
    number, ``bad``, ``queued``, ``future``, ``late 0:10:00 -14`` (of 0:10:00 by its own time), ``restart``, ``power-off``, ``wait``, ``phase production``, or a table of them by point. ``series`` gives a
    point's samples from 0:00:00 on as promtool writes them (``series.py``). ``points`` names further points of the zone
    beside ``point``, which has the rule's first quantity unless it is named too. ``steps`` are ``[time, step]``, with a
    point where several are judged. ``starts`` is the wall time of 0:00:00. ``trace`` makes the case a worked trace of
    docs/reference/rules.md, in this order.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    rule: str
    about: str = ""
    trace: int | None = None
    interval_s: float = Field(default=10.0, ge=0)
    outlet: dict[str, float | str] | None = None
    points: dict[str, CasePoint] = Field(default_factory=dict)
    starts: dt.datetime | None = None
    readings: tuple[tuple[str, What | dict[str, What]], ...] = ()
    series: dict[str, str] = Field(default_factory=dict)
    steps: tuple[tuple[str, str] | tuple[str, str, str], ...] = ()

    @model_validator(mode="after")
    def _sound(self) -> Case:
        if not self.readings and not self.series:
            raise ValueError("a case needs readings, or series")
        for time, what in self.readings:
            for part in time.split(" to "):
                seconds(part)
            for name, each in what.items() if isinstance(what, dict) else [(MAIN, what)]:
                self._check(name)
                if isinstance(each, str) and (late := _LATE.fullmatch(each)):
                    seconds(late[1])
                elif isinstance(each, str) and each not in (*_WORDS, *(() if isinstance(what, dict) else (*_EVENTS, *_PHASES))):
                    raise ValueError(f"'{each}' is no reading; a number, 'late 0:10:00 20', or one of {', '.join((*_WORDS, *_EVENTS, *_PHASES))}")
        for name, text in self.series.items():
            self._check(name)
            list(samples(text, tuple(_WORDS)))
        for time, *_ in self.steps:
            seconds(time)
        if self.starts is not None and self.starts.tzinfo is None:
            raise ValueError("starts needs its offset: 2026-11-28T00:00:00+08:00")
        return self

    def _check(self, name: str) -> None:
        if name != MAIN and name not in self.points:
            raise ValueError(f"no point '{name}' in this case; name its quantity under points")

    @property
    def starts_us(self) -> int:
        """Wall time of 0:00:00 in µs."""
        return 0 if self.starts is None else round(self.starts.timestamp()) * _S


class CaseFile(BaseModel):
    """What ``<pack>.cases.toml`` may say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    case: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a case came to, beside what it should have. ``events`` are those of the point ``point``, in seconds."""

    case: Case
    rule: BoundRule
    events: list[tuple[int, What]]
    details: list[Step]

    @property
    def steps(self) -> list[tuple[int, str]]:
        """The steps taken, with times in seconds."""
        return [(step.rule_us // _S, step.step) for step in self.details]

    @property
    def expected(self) -> list[tuple[int, str]]:
        """The case's steps with times in seconds."""
        return [(seconds(each[0]), each[1]) for each in self.case.steps]

    @property
    def fault(self) -> str:
        """Where the first step differs from what the case says; "" if none does."""
        for at, (step, wanted) in enumerate(zip_longest(self.details, self.case.steps)):
            if step is None:
                return f"step {at + 1} should be {' '.join(wanted)}, and there is none"
            found = f"{clock(step.rule_us // _S)} {step.step}"
            if wanted is None:
                return f"step {at + 1} is {found} at {step.point}, and there should be none"
            if (step.rule_us // _S, step.step) != (seconds(wanted[0]), wanted[1]) or wanted[2:] not in ((), (step.point,)):
                return f"step {at + 1} should be {' '.join(wanted)}, and is {found} at {step.point}"
        return ""

    @property
    def passed(self) -> bool:
        return not self.fault

    @property
    def fired(self) -> bool:
        """Whether the rule came to what it is for: a violation, or a notice where it gives only these."""
        wanted = NOTICE if self.rule.notices_only else VIOLATED
        return any(step.step == wanted for step in self.details)


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
    rules = _bound(loaded, rule, case)
    engine = Engine(rules)
    events = sorted(_events(case), key=lambda event: event[0])
    steps: list[Step] = []
    now_us: int | None = None
    for second, name, what in events:
        at_us, wall_us = second * _S, second * _S + case.starts_us
        if now_us is not None:
            steps += _pass_time(engine, now_us, at_us, case.starts_us)
        now_us = None if what == "power-off" else at_us
        if what == "restart":
            state = json.loads(json.dumps(engine.snapshot()))
            engine = Engine(rules)
            engine.restore(state)
        elif what in _PHASES:
            steps += engine.stand(at_us, wall_us, PHASE, _disarmed(rules, str(what).removeprefix("phase ")))
        elif isinstance(what, str) and (late := _LATE.fullmatch(what)):
            columns: tuple[tuple[str, ...], list[Value], list[str] | None] = (name,), [float(late[2])], [UNCERTAIN_LATE]
            steps += engine.judge(at_us, wall_us, *columns)
            engine.late((at_us, wall_us), *columns, seconds(late[1]) * _S + case.starts_us)
        elif isinstance(what, str) and what in _WORDS:
            steps += engine.judge(at_us, wall_us, (name,), [None if what == "bad" else 0.0], [_WORDS[what]])
        elif not isinstance(what, str):
            steps += engine.judge(at_us, wall_us, (name,), [what], [GOOD])
    mine = next(each for each in rules if each.id == rule.id)
    return Outcome(case, mine, [(at, what) for at, name, what in events if name == MAIN], [step for step in steps if step.rule == rule.id])


def _disarmed(rules: list[BoundRule], phase: str) -> dict[tuple[str, str], str]:
    return {(rule.id, rule.point): phase for rule in rules if rule.armed_in and phase not in rule.armed_in}


def seconds(text: str) -> int:
    """``h:mm:ss`` as seconds. Raises ValueError for anything else."""
    parts = text.split(":")
    if len(parts) != 3 or not all(part.isdecimal() for part in parts) or int(parts[1]) > 59 or int(parts[2]) > 59:
        raise ValueError(f"'{text}' is no time; write h:mm:ss")
    return int(parts[0]) * 3600 + int(parts[1]) * 60 + int(parts[2])


def clock(second: int) -> str:
    """Seconds as ``h:mm:ss``."""
    return f"{second // 3600}:{second // 60 % 60:02}:{second % 60:02}"


def _events(case: Case) -> Iterator[tuple[int, str, What]]:
    """Readings one by one, (second, point, what): a range stands for one every interval, both ends included."""
    for time, what in case.readings:
        first, _, last = time.partition(" to ")
        step = max(1, round(case.interval_s))
        for second in range(seconds(first), seconds(last or first) + 1, step):
            for name, each in what.items() if isinstance(what, dict) else [(MAIN, what)]:
                yield second, name, each
    for name, text in case.series.items():
        every_s = _interval_s(case, name)
        for number, sample in enumerate(samples(text, tuple(_WORDS))):
            if sample is not None:
                yield round(number * every_s), name, sample


def _interval_s(case: Case, name: str) -> float:
    point = case.points.get(name)
    return case.interval_s if point is None or point.interval_s is None else point.interval_s


def _pass_time(engine: Engine, now_us: int, until_us: int, starts_us: int) -> list[Step]:
    """Tick whenever the engine is due, from ``now_us`` to before ``until_us``."""
    steps: list[Step] = []
    while (due_us := engine.due_us()) is not None and max(due_us, now_us) < until_us:
        now_us = max(due_us, now_us)
        steps += engine.tick(now_us, now_us + starts_us)
    return steps


def _bound(loaded: LoadedPack, rule: Rule, case: Case) -> list[BoundRule]:
    """The rule, and those that it combines, at points in the first place that it selects."""
    select = rule.select
    quantity = select.quantity[0] if select.quantity else "temperature"
    unit = None if isinstance(rule, StaleRule | SequenceRule | CombinedRule) else rule.unit
    if isinstance(rule, WindowRule) and rule.of == "share":
        unit = None
    zone = ZoneFacts(
        stage=select.stage[0] if select.stage else "storage",
        kind=select.zone_kind[0] if select.zone_kind else "frozen-store",
    )
    named = {MAIN: CasePoint(quantity=quantity, unit=unit), **case.points}
    points = [
        PointFacts(
            id=name, quantity=point.quantity, unit=point.unit or QUANTITIES[point.quantity].units[0], zone="zone",
            interval_us=round(_interval_s(case, name) * _S), uncertainty=point.uncertainty,
        )
        for name, point in named.items()
    ]  # fmt: skip
    outlets: dict[str, dict[str, Any]] = {} if case.outlet is None else {"outlet": {"zone": "zone", **case.outlet}}
    others = [name.removeprefix("!") for name in (*rule.all, *rule.any)] if isinstance(rule, CombinedRule) else []
    binding = bind([replace(loaded, only=frozenset((rule.id, *others)))], points, {"zone": zone}, outlets)
    if any(bound.id == rule.id for bound in binding.rules):
        return binding.rules
    why = next(each.why for each in binding.not_monitored if each.rule == rule.id)
    raise ConfigError(f"case '{case.name}': rule '{rule.id}' is not monitored: {why}", file=str(loaded.file))
