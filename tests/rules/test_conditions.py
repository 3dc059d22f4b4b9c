"""Guard bands, excuses and rules over other rules, sentence by sentence."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from edge_gateway.rules.base import BoundRule, Step
from edge_gateway.rules.conditions import CombinedTrack, GuardedTrack
from edge_gateway.rules.engine import Engine

from .reference import Event, Told, _limit
from .test_engine import S, rule
from .traces import Call, course, differences, rules, through_json, told

GUARDED = {"high": "10", "clear_high": "9", "terms": {"uncertainty": "0.5"}, "violation_after_us": 60 * S}
DEFROST = {"high": "-18", "others": ("p2",), "terms": {"most_us": 600 * S, "rest_us": 600 * S, "peak_high": "-12"}, "violation_after_us": 0, "fresh_us": 120 * S}


class Zone:
    """A point and its contact, fed by seconds; an instant is over a microsecond later."""

    def __init__(self, *made: BoundRule) -> None:
        self.engine = Engine(made)

    def at(self, second: int, value: float | None, contact: float | None = None) -> list[str]:
        points = ("p1",) if contact is None else ("p1", "p2")
        values = [value] if contact is None else [value, contact]
        marks = ["bad:frame" if each is None or each < -99 else "good" for each in values]
        steps = self.engine.judge(second * S, second * S, points, values, marks)
        for later in (1, 2):  # what a rule over several points does concerns a rule over it an instant later
            steps += self.engine.tick(second * S + later, second * S + later)
        return [step.step for step in steps]


def test_within_the_probes_uncertainty_of_the_limit_nothing_fires_ends_or_recovers() -> None:
    zone = Zone(rule(**GUARDED))
    assert [zone.at(0, 10.4), zone.at(70, 10.5)] == [[], []]  # undecided: 10 lies within 0.5 of both
    assert zone.at(80, 10.6) == ["notice"]
    assert [zone.at(90, 9.6), zone.at(100, 8.9), zone.at(110, 10.6)] == [[], ["cancelled"], ["notice"]]
    assert zone.at(140, 10.1) == []
    assert zone.at(170, 10.2) == []  # the delay has passed; an undecided value does not fire
    assert zone.at(171, 10.6) == ["violated"]


def test_undecided_for_too_long_is_told_once() -> None:
    zone = Zone(rule(**GUARDED, undecided_after_us=100 * S))
    told_now = [zone.at(second, 10.2) for second in range(0, 300, 50)]
    assert told_now == [[], [], ["undecided"], [], [], []]
    assert [zone.at(300, 5), zone.at(310, 10.2), zone.at(410, 10.2)] == [[], [], ["undecided"]]


def test_a_defrost_excuses_for_a_while_and_up_to_its_peak() -> None:
    zone = Zone(rule(**DEFROST))
    assert [zone.at(second, -15, 1) for second in range(0, 601, 60)] == [[]] * 11
    assert zone.at(660, -15, 1) == ["violated"]  # longer than it may last
    short = Zone(rule(**DEFROST))
    assert [short.at(0, -15, 1), short.at(60, -11, 1)] == [[], ["violated"]]  # warmer than it may get


def test_windows_that_follow_each_other_soon_are_one() -> None:
    zone = Zone(rule(**DEFROST))
    for second in range(0, 480, 60):
        assert zone.at(second, -15, 1) == []
    assert zone.at(480, -19, 0) == []
    assert zone.at(540, -15, 1) == []
    assert zone.at(660, -15, 1) == ["violated"]


@pytest.mark.parametrize("contact", [-100.0, 0.0])
def test_a_contact_that_is_unknown_or_off_excuses_nothing(contact: float) -> None:
    assert Zone(rule(**DEFROST)).at(0, -15, contact) == ["violated"]


def test_a_contacts_last_word_excuses_no_longer_than_it_is_fresh() -> None:
    zone = Zone(rule(**DEFROST))
    assert [zone.at(0, -15, 1), zone.at(100, -15), zone.at(130, -15)] == [[], [], ["violated"]]


def test_an_open_violation_stays_open_through_a_defrost() -> None:
    zone = Zone(rule(**DEFROST))
    assert zone.at(0, -15, 0) == ["violated"]
    assert [zone.at(60, -15, 1), zone.at(120, -19, 1)] == [[], ["recovered"]]


# --- over other rules ---------------------------------------------------------------------------------------------


def combined(of: str, *names: str, **numbers: Any) -> BoundRule:
    keys = [[name.startswith("!"), [f"{name.removeprefix('!')}/p1"]] for name in names]
    return rule("combined", name="z", terms={"of": of, "rules": json.dumps(keys)}, **numbers)


HOT = rule(name="hot", high="10", violation_after_us=0)
WET = rule(name="wet", high="20", violation_after_us=0)


def test_all_hold_once_the_last_one_does() -> None:
    zone = Zone(HOT, WET, combined("all", "hot", "wet", violation_after_us=0))
    assert zone.at(0, 15) == ["violated"]
    assert zone.at(10, 25) == ["violated", "violated"]
    assert zone.at(20, 15) == ["recovered", "recovered"]  # wet ended, and so did both together


def test_the_opposite_of_a_rule() -> None:
    zone = Zone(HOT, WET, combined("all", "hot", "!wet", violation_after_us=0))
    assert zone.at(0, 15) == ["violated", "violated"]
    assert zone.at(10, 25) == ["violated", "recovered"]


def test_kleene_unknown_decides_nothing_where_it_could_decide() -> None:
    zone = Zone(HOT, combined("any", "hot", violation_after_us=0))
    assert zone.at(0, 15) == ["violated", "violated"]
    assert zone.at(10, None) == ["unknown", "unknown"]
    assert zone.at(20, 5) == ["recovered", "recovered"]


def test_what_is_undecided_is_unknown_to_others() -> None:
    zone = Zone(rule(**(GUARDED | {"violation_after_us": 0}), name="hot"), combined("any", "hot", violation_after_us=0))
    assert zone.at(0, 11) == ["violated", "violated"]
    assert zone.at(10, 10.2) == ["unknown"]
    assert zone.at(20, 11) == ["active"]


# --- over rules whose probe is silent (from the third semantics on) -------------------------------------------------

DRY = rule(name="wet", point="p2", high="20", violation_after_us=0, fresh_us=120 * S)


def both(of: str, *terms: str, **numbers: Any) -> BoundRule:
    keys = [[term.startswith("!"), [term.removeprefix("!")]] for term in terms]
    return rule("combined", name="z", terms={"of": of, "rules": json.dumps(keys)}, violation_after_us=0, semantics=3, **numbers)


class Pair(Zone):
    """Two points of one group; time is looked at whenever the engine asks for it."""

    def at(self, second: int, value: float | None, other: float | None = None) -> list[str]:
        told_now = []
        while (due_us := self.engine.due_us()) is not None and due_us < second * S:
            told_now += self.engine.tick(due_us, due_us)
        return [*(step.step for step in told_now if step.rule == "z"), *self.now(second, value, other)]

    def now(self, second: int, value: float | None, other: float | None) -> list[str]:
        words = ["bad:no-answer" if each is None else "good" for each in (value, other)]
        steps = self.engine.judge(second * S, second * S, ("p1", "p2"), [value, other], words)
        for later in (1, 2):
            steps += self.engine.tick(second * S + later, second * S + later)
        return [step.step for step in steps if step.rule == "z"]

    def restarted(self, *made: BoundRule) -> None:
        self.engine = through_json(self.engine, list(made))


def test_a_rule_whose_probe_never_spoke_is_not_one_that_does_not_hold() -> None:
    pair = Pair(HOT, DRY, both("all", "hot/p1", "!wet/p2"))
    assert [pair.at(second, 15, None) for second in range(0, 300, 30)] == [[]] * 10
    assert pair.at(310, 15, 5) == []  # it speaks again, and nothing steps: found at the next look, within a minute
    assert [step for second in range(320, 371, 10) for step in pair.at(second, 15, 5)] == ["violated"]


def test_what_holds_is_not_over_while_another_that_decides_is_silent() -> None:
    pair = Pair(HOT, DRY, both("any", "hot/p1", "wet/p2", unknown_after_us=90 * S))
    assert pair.at(0, 15, 5) == ["violated"]
    assert [pair.at(second, 15, None) for second in (60, 120, 180)] == [[], [], []]  # hot still decides
    assert pair.at(190, 5, None) == []  # hot is over; whether wet holds nobody knows
    assert [step for second in range(200, 400, 20) for step in pair.at(second, 5, None)] == ["unknown"]  # too long, and told once
    assert [step for second in range(400, 480, 20) for step in pair.at(second, 5, 5)] == ["recovered"]


def test_a_probe_that_is_silent_for_no_longer_than_a_reading_is_fresh_speaks() -> None:
    pair = Pair(HOT, DRY, both("all", "hot/p1", "!wet/p2"))
    assert [pair.at(0, 5, 5), pair.at(119, 15, None)] == [[], ["violated"]]
    later = Pair(HOT, DRY, both("all", "hot/p1", "!wet/p2"))
    assert [later.at(0, 5, 5), later.at(121, 15, None)] == [[], []]


def test_silence_is_known_after_a_restart_too() -> None:
    made = HOT, DRY, both("all", "hot/p1", "!wet/p2")
    pair = Pair(*made)
    assert pair.at(0, 5, 5) == []
    pair.restarted(*made)
    assert pair.at(100, 15, None) == ["violated"]  # its last word is not forgotten
    gone = Pair(*made)
    assert gone.at(0, 5, 5) == []
    gone.restarted(*made)
    assert gone.at(200, 15, None) == []


def test_records_of_earlier_semantics_are_judged_as_they_were() -> None:
    earlier = rule("combined", name="z", terms=both("all", "hot/p1", "!wet/p2").terms, violation_after_us=0, semantics=2)
    assert Pair(HOT, DRY, earlier).at(0, 15, None) == ["violated"]


def test_silence_taken_for_no_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_gateway.rules.conditions._speaks", lambda *_: True)
    with pytest.raises(AssertionError):
        test_a_rule_whose_probe_never_spoke_is_not_one_that_does_not_hold()
    with pytest.raises(AssertionError):
        test_what_holds_is_not_over_while_another_that_decides_is_silent()


@pytest.mark.parametrize("seed", range(150))
def test_combined_agrees_with_the_steps_of_the_others(seed: int) -> None:
    assert not _combined_differs(seed)


def _combined_differs(seed: int) -> bool:
    ours, theirs = conjunctions(seed)
    return ours != theirs


def conjunctions(seed: int) -> tuple[list[Told], list[Told]]:
    """A rule over random others: the engine's steps of it, with restarts, and what the others' steps come to."""
    rng = random.Random(seed)
    base = [each for each in rules(rng) if each.kind == "limit" and not each.terms]
    keys = [f"{each.id}/{each.point}" for each in base]
    chosen = [[rng.random() < 0.3, rng.sample(keys, rng.randint(1, len(keys)))] for _ in range(rng.randint(1, 3))] if keys else []
    if not chosen:
        return [], []
    of = rng.choice(["all", "any"])
    both = rule(
        "combined", name="z", point="a", terms={"of": of, "rules": json.dumps(chosen)}, notice_after_us=rng.choice([0, 10 * S]),
        violation_after_us=rng.choice([10 * S, 60 * S]), clear_after_us=rng.choice([0, 15 * S]), fresh_us=10**12,
    )  # fmt: skip
    calls, _ = course(rng, Engine([*base, both]))
    engine, ours = Engine([*base, both]), list[Step]()
    for call in calls:
        if rng.random() < 0.2:
            engine = through_json(engine, [*base, both])
        ours += call.make(engine)
    return told(ours, both), _expected(both, base, calls)


def _expected(both: BoundRule, base: list[BoundRule], calls: list[Call]) -> list[Told]:
    """The others alone first; after each call that made one of them step, what the expression comes to."""
    engine = Engine(base)
    only = {f"{each.id}/{each.point}": each.notices_only for each in base}
    holds: dict[str, bool | None] = dict.fromkeys(only, False)
    before: dict[str, bool | None] = {}
    events: list[Event] = []
    concerned = False
    for n, call in enumerate(calls):
        if not call.points and not concerned:
            events.append((call.at, "tick"))
        for step in call.make(engine):
            concerned, key = True, f"{step.rule}/{step.point}"
            if step.step == "unknown":
                before[key], holds[key] = holds[key], None
            elif step.step == "active":
                holds[key] = before[key]
            else:
                holds[key] = step.step == "violated" or (step.step == "notice" and only[key])
        if concerned and n + 1 < len(calls) and calls[n + 1].at > call.at:
            events.append((call.at, _kleene(both, holds)))
            concerned = False
    return _limit(both, events, None, 0.5, None, 0.5)


def _kleene(both: BoundRule, holds: dict[str, bool | None]) -> float | None:
    """Unknown as one half: and is the least, or the greatest, not the rest to one."""
    number = {True: 1.0, None: 0.5, False: 0.0}
    found = []
    for opposite, keys in json.loads(str(both.terms["rules"])):
        value = max(number[holds[key]] for key in keys)
        found.append(1 - value if opposite else value)
    value = min(found) if both.terms["of"] == "all" else max(found)
    return None if value == 0.5 else value


# --- planted faults -----------------------------------------------------------------------------------------------


def test_a_guard_band_on_one_side_only_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GuardedTrack, "_doubtful", lambda self, value: self.high < value <= self.high + self.uncertainty)
    assert any(differences(seed) for seed in range(600))


def test_an_excuse_without_an_end_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GuardedTrack, "_excused", lambda self, rule_us: len(self.inputs) > 1 and self.values[1] == 1)
    assert any(differences(seed) for seed in range(600))


def test_unknown_taken_for_false_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    value = CombinedTrack.value
    monkeypatch.setattr(CombinedTrack, "value", lambda self, rule_us: value(self, rule_us) or 0.0)
    assert any(_combined_differs(seed) for seed in range(200))
