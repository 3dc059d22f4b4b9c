"""Random courses of readings around limits and delays, fed to the engine as the gateway does; seeded."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from edge_gateway.rules.base import BoundRule, Step
from edge_gateway.rules.engine import Engine
from edge_gateway.rules.kinds import SEMANTICS

from .reference import Event, Seen, Told, joint, reference

S = 1_000_000
GROUPS = (("a", "b"), ("c",))
NUMBERS = (1.0, 1.0, 5.0, 8.9, 9.0, 9.5, 10.0, 10.1, 12.0, 30.0, 0.0, 0.5, -0.1, -4.0)


@dataclass
class Call:
    """One call of the engine, as the journal would hold it."""

    at: int
    points: tuple[str, ...] = ()
    values: list[Any] = field(default_factory=list)
    quality: list[str] | None = None

    def make(self, engine: Engine) -> list[Step]:
        if self.points:
            return engine.judge(self.at, self.at, self.points, self.values, self.quality)
        return engine.tick(self.at, self.at)


def rules(rng: random.Random) -> list[BoundRule]:
    """One to three rules a point, of every kind, with numbers that meet each other."""
    made = []
    for point in ("a", "b", "c"):
        for name, kind in rng.sample(
            [("l1", "limit"), ("l2", "limit"), ("r", "rate"), ("s", "stale"), ("f", "flat"), ("d", "spread"), ("w", "window"), ("x", "exposure"), ("g", "guarded"), ("c", "descent")],
            rng.randint(1, 4),
        ):
            notice = rng.choice([0, 0, 10, 20])
            numbers: dict[str, Any] = {
                "notice_after_us": notice * S,
                "violation_after_us": rng.choice([None, notice * S, (notice + 20) * S, (notice + 60) * S]),
                "clear_after_us": rng.choice([0, 0, 15, 30]) * S,
                "unknown_after_us": rng.choice([0, 0, 20]) * S,
                "undecided_after_us": rng.choice([0, 40, 3600]) * S,
                "fresh_us": rng.choice([15, 30, 90]) * S,
            }
            if kind == "limit":
                numbers |= rng.choice(
                    [{"high": "10", "clear_high": "9"}, {"high": "10"}, {"low": "0", "clear_low": "0.5"},
                     {"low": "0", "high": "10", "clear_low": "0.5", "clear_high": "9"}]
                )  # fmt: skip
            elif kind == "rate":
                numbers |= {"per_s": rng.choice(["0.1", "0.4"]), "window_us": rng.choice([0, 15]) * S}
            elif kind == "flat":
                numbers |= {"after_us": rng.choice([15, 30, 60]) * S, "terms": {"band": rng.choice(["0", "0.5"])}}
            elif kind == "guarded":
                kind, guarded = "limit", _guarded(rng, point)
                numbers |= guarded
            elif kind == "descent":
                terms = {"start": "9.5", "to": rng.choice(["0.5", "5"]), "rise": rng.choice(["0", "1"]), "within_us": rng.choice([30, 90, 300]) * S}
                numbers |= {"terms": terms}
            elif kind == "window":
                numbers |= _window(rng, point)
            elif kind == "exposure":
                numbers |= _exposure(rng)
            elif kind == "spread":
                others = rng.sample([name for name in ("a", "b", "c") if name != point], rng.randint(1, 2))
                numbers |= {"others": tuple(others)} | rng.choice([{"high": "3"}, {"high": "3", "clear_high": "1"}])
            else:
                numbers |= {"after_us": rng.choice([15, 30]) * S}
            numbers["semantics"] = SEMANTICS[kind][0 if len(made) % 4 == 3 else -1]  # records of before are judged too
            made.append(
                BoundRule(id=name, pack="t", pack_version="1.0.0", edition="2026-11", kind=kind, point=point, **numbers)
            )
    return made


def _window(rng: random.Random, point: str) -> dict[str, Any]:
    fn = rng.choice(["mean", "minimum", "maximum", "percentile", "flow-mean", "share"])
    window = rng.choice([40, 90, 200])
    terms: dict[str, Any] = {"fn": fn, "step_us": rng.choice([1, 10, 25]) * S, "interval_us": 10 * S}
    terms |= {"percentile": rng.choice(["50", "75", "95"])} if fn == "percentile" else {}
    terms |= {"valid_share": rng.choice(["0.25", "0.5"])} if rng.random() < 0.6 else {}
    limits = {"low": "0.5"} if fn == "share" else rng.choice([{"high": "10", "clear_high": "9"}, {"low": "0", "high": "10"}])
    others = (next(name for name in ("a", "b", "c") if name != point),) if fn == "flow-mean" else ()
    return {"terms": terms, "window_us": window * S, "others": others} | limits


def _guarded(rng: random.Random, point: str) -> dict[str, Any]:
    """A guard band, an excuse, or both. Contacts are readings like others here: 1 is rare, so NUMBERS have it."""
    limits = rng.choice([{"high": "10", "clear_high": "9"}, {"low": "0"}])
    terms: dict[str, Any] = {"uncertainty": rng.choice(["0.1", "0.5", "2"])} if rng.random() < 0.6 else {}
    if terms and rng.random() < 0.5:
        return {"terms": terms, **limits}
    terms |= {"most_us": rng.choice([20, 60]) * S, "rest_us": rng.choice([0, 30]) * S}
    terms |= {"peak_high": rng.choice(["12", "100"])} if "high" in limits else {"peak_low": rng.choice(["-1", "-100"])}
    return {"terms": terms, "others": (next(name for name in ("a", "b", "c") if name != point),), **limits}


def _exposure(rng: random.Random) -> dict[str, Any]:
    terms: dict[str, Any] = {"of": rng.choice(["minutes", "degree-minutes"]), "step_us": rng.choice([1, 10, 25]) * S}
    terms |= rng.choice([{"beyond_high": "10"}, {"beyond_low": "0"}, {"beyond_low": "0", "beyond_high": "10"}])
    terms |= {"unknown_excess": "0.5"} if terms["of"] == "degree-minutes" else {}
    return {"terms": terms, "window_us": rng.choice([90, 200]) * S, "high": rng.choice(["0.25", "0.5", "1"])}


def reading(rng: random.Random, calm: float, bad: float) -> tuple[Any, str]:
    if rng.random() < bad:
        return rng.choice(
            [(None, "bad:no-answer"), (float("nan"), "good"), (7.0, "bad:range"), (7.0, "uncertain:queued")]
        )
    return (calm if rng.random() < 0.7 else rng.choice(NUMBERS)), rng.choice(
        ["good", "good", "good", "uncertain:other"]
    )


def course(rng: random.Random, engine: Engine, length: int = 40) -> tuple[list[Call], list[Step]]:
    """Readings, passing time, power cuts: the engine is ticked when it asks for it, sometimes late, sometimes never."""
    calls: list[Call] = []
    steps: list[Step] = []
    now = rng.randint(0, 5) * S
    calm, bad = rng.choice(NUMBERS), rng.choice([0.0, 0.1, 0.5])

    def make(call: Call) -> None:
        calls.append(call)
        steps.extend(call.make(engine))

    for _ in range(length):
        if rng.random() < 0.15:
            calm = rng.choice(NUMBERS)
        if rng.random() < 0.1:
            bad = rng.choice([0.0, 0.1, 0.9])
        until = now + rng.choice([1, 5, 10, 10, 10, 20, 45, 120]) * S
        watched = rng.random() < 0.9  # else the power is off until then
        while watched and (due := engine.due_us()) is not None and max(due, now) < until:
            now = min(max(due, now) + rng.choice([0, 0, 0, 3, 12]) * S, until)
            make(Call(now))
        now = until
        if rng.random() < 0.1:
            make(Call(now))
        if rng.random() < 0.9:
            points = rng.choice(GROUPS)
            pairs = [reading(rng, calm, bad) for _ in points]
            quality = [word for _, word in pairs]
            plain = all(word == "good" for word in quality) and rng.random() < 0.8
            make(Call(now, points, [value for value, _ in pairs], None if plain else quality))
    return calls, steps


def events(calls: list[Call], point: str) -> list[Event]:
    """What one point saw of the calls; a batch of another group is a moment in which nothing was said."""
    seen: list[Event] = []
    for call in calls:
        if not call.points:
            seen.append((call.at, "tick"))
        elif point not in call.points:
            seen.append((call.at, "skip"))
        else:
            column = call.points.index(point)
            value, word = call.values[column], "good" if call.quality is None else call.quality[column]
            if word in ("uncertain:queued", "uncertain:future"):
                seen.append((call.at, "skip"))
            elif value is None or value != value or word.startswith("bad"):
                seen.append((call.at, None))
            else:
                seen.append((call.at, value))
    return seen


def told(steps: list[Step], rule: BoundRule) -> list[Told]:
    """The engine's steps of one rule, as the reference writes them."""
    return [
        Told(s.rule_us, s.step, s.first.rule_us, s.peak, s.beyond_us)
        for s in steps
        if (s.rule, s.point) == (rule.id, rule.point)
    ]


def expected(rule: BoundRule, calls: list[Call]) -> list[Told]:
    """The reference's steps. Silence counts from the first call of all, whatever it was about."""
    if rule.kind in ("spread", "window") or (rule.kind == "limit" and (rule.others or rule.terms)):
        return joint(rule, _together(calls, (rule.point, *rule.others)))
    seen = events(calls, rule.point)
    if rule.kind == "stale" and calls:
        seen = [(calls[0].at, None), *seen]
    return reference(rule, seen)


def _together(calls: list[Call], inputs: tuple[str, ...]) -> Seen:
    """What several points said, call by call."""
    alone = [events(calls, name) for name in inputs]
    seen: Seen = []
    for call, *said in zip(calls, *alone, strict=True):
        told_now = {which: what for which, (_, what) in enumerate(said) if what != "skip" and call.points}
        seen.append((call.at, told_now if call.points else "tick"))
    return seen


def differences(seed: int, build: Callable[[list[BoundRule]], Engine] = Engine) -> list[str]:
    """What the engine and the reference disagree on, for one seed."""
    rng = random.Random(seed)
    made = rules(rng)
    calls, steps = course(rng, build(made))
    found = []
    for rule in made:
        ours, theirs = told(steps, rule), expected(rule, calls)
        if ours != theirs:
            found.append(f"seed {seed}: {rule.kind} {rule.id}/{rule.point}:\n  engine    {ours}\n  reference {theirs}")
    return found


def through_json(engine: Engine, made: list[BoundRule]) -> Engine:
    """A restart: the state as bytes, and a new engine."""
    fresh = Engine(made)
    fresh.restore(json.loads(json.dumps(engine.snapshot())))
    return fresh
