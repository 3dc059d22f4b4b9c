"""Which readings a derived point has: in whose slot, with how old inputs, and what goes on after a restart."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from edge_gateway.derived.core import Derivation
from edge_gateway.reading import BAD_MISSING, BAD_NO_ANSWER, BAD_STALE, GOOD, UNCERTAIN_QUEUED, Value

S = 1_000_000


def resolved(**formulas: dict[str, Any]) -> dict[str, Any]:
    """Points a (every 10 s), b (every 60 s), m (messages); derived points as given."""
    groups = {
        "one.0": {"device": "one", "points": ["x", "a"], "interval_us": 10 * S},
        "two.0": {"device": "two", "points": ["b"], "interval_us": 60 * S},
        "three.0": {"device": "three", "points": ["m"], "interval_us": 0},
    }
    points: dict[str, Any] = {point: {} for point in "xabm"}
    for id_, formula in formulas.items():
        interval_us = 0 if formula["of"][0] == "m" else 10 * S
        groups[f"{id_}.derived"] = {"device": "derived", "points": [id_], "interval_us": interval_us}
        points[id_] = {"derived": formula}
    return {"groups": groups, "points": points}


def formula(kind: str, *of: str, ages_s: Sequence[int] = (30, 180), **about: Any) -> dict[str, Any]:
    return {"kind": kind, "of": list(of), "max_age_us": [age * S for age in ages_s][: len(of)], **about}


APART = {"apart": formula("difference", "a", "b")}


def using(document: dict[str, Any]) -> Derivation:
    made = Derivation()
    made.use(document)
    return made


def note(
    derivation: Derivation, group: str, at_s: int, *values: Value, quality: list[str] | None = None
) -> list[tuple[str, Value, str]]:
    points = {"one.0": ("x", "a"), "two.0": ("b",), "three.0": ("m",)}.get(group, (group.removesuffix(".derived"),))
    made = derivation.note(group, (points, list(values), quality), at_s * S, at_s * S)
    return [(each.point, value, mark) for each, value, mark in made]


def test_a_reading_for_each_reading_of_the_first_input() -> None:
    derivation = using(resolved(**APART))
    assert note(derivation, "two.0", 0, 5.0) == []
    assert note(derivation, "one.0", 1, 9, 7.0) == [("apart", 2.0, GOOD)]
    assert note(derivation, "one.0", 11, 9, 7.5) == [("apart", 2.5, GOOD)]
    assert note(derivation, "three.0", 12, 1.0) == []


def test_inputs_of_another_group_may_be_so_old_and_no_older() -> None:
    derivation = using(resolved(**APART))
    note(derivation, "two.0", 0, 5.0)
    assert note(derivation, "one.0", 180, 9, 7.0) == [("apart", 2.0, GOOD)]
    assert note(derivation, "one.0", 181, 9, 7.0) == [("apart", None, BAD_STALE)]


def test_a_planted_derivation_without_ages_is_caught_by_the_same_readings() -> None:
    derivation = using(resolved(apart=formula("difference", "a", "b", ages_s=(10**9, 10**9))))
    note(derivation, "two.0", 0, 5.0)
    assert note(derivation, "one.0", 181, 9, 7.0) != [("apart", None, BAD_STALE)]


def test_an_input_that_was_never_read_is_stale() -> None:
    assert note(using(resolved(**APART)), "one.0", 1, 9, 7.0) == [("apart", None, BAD_STALE)]


def test_quality_follows_the_worst_input() -> None:
    derivation = using(resolved(**APART))
    note(derivation, "two.0", 0, None, quality=[BAD_NO_ANSWER])
    assert note(derivation, "one.0", 1, 9, 7.0) == [("apart", None, BAD_NO_ANSWER)]
    note(derivation, "two.0", 2, 5.0)
    assert note(derivation, "one.0", 3, 9, 7.0, quality=[GOOD, UNCERTAIN_QUEUED]) == [("apart", 2.0, UNCERTAIN_QUEUED)]
    assert note(derivation, "one.0", 4, 9, None, quality=[GOOD, BAD_NO_ANSWER]) == [("apart", None, BAD_NO_ANSWER)]


def test_a_message_without_the_input_says_nothing_and_no_slot_passes_in_silence() -> None:
    derivation = using(resolved(**APART, echo=formula("sum", "m", "a", ages_s=(900, 30))))
    note(derivation, "two.0", 0, 5.0)
    assert note(derivation, "one.0", 1, 9, None, quality=[GOOD, BAD_MISSING]) == [("apart", None, BAD_MISSING)]
    assert note(derivation, "three.0", 2, None, quality=[BAD_MISSING]) == []


def test_a_derived_point_of_a_derived_point() -> None:
    derivation = using(resolved(**APART, twice=formula("sum", "apart", "b")))
    note(derivation, "two.0", 0, 5.0)
    ((point, value, mark),) = note(derivation, "one.0", 1, 9, 7.0)
    assert note(derivation, f"{point}.derived", 1, value) == [("twice", 7.0, GOOD)]
    assert mark == GOOD
    assert set(derivation.follow(("one.0",))) == {"apart.derived", "twice.derived"}
    assert derivation.follow(("two.0",)) == ()


def test_a_batch_of_the_configuration_before_is_read_by_its_own_columns() -> None:
    derivation = using(resolved(**APART))
    note(derivation, "two.0", 0, 5.0)
    made = derivation.note("one.0", (("a",), [7.0], None), S, S)
    assert [(value, mark) for _, value, mark in made] == [(2.0, GOOD)]


HEAT = formula("degree-minutes", "a", limit_cel=0.0, side="above", reset_after_us=600 * S)


def test_sums_over_time_survive_snapshot_and_replay() -> None:
    document = resolved(heat=HEAT)
    whole = using(document)
    readings = [(second, float(second % 7)) for second in range(0, 400, 10)]
    expected = [note(whole, "one.0", second, 9, value) for second, value in readings]
    for cut in (1, 7, 20, 39):
        first = using(document)
        for second, value in readings[:cut]:
            note(first, "one.0", second, 9, value)
        again = Derivation()
        again.restore(json.loads(json.dumps(first.snapshot())))
        again.use(document)
        assert [note(again, "one.0", second, 9, value) for second, value in readings[cut:]] == expected[cut:]


def test_a_planted_restart_without_the_snapshot_is_caught_by_the_same_readings() -> None:
    document = resolved(heat=HEAT)
    whole = using(document)
    note(whole, "one.0", 0, 9, 5.0)
    note(whole, "one.0", 10, 9, 5.0)
    assert note(using(document), "one.0", 20, 9, 5.0) != note(whole, "one.0", 20, 9, 5.0)


def test_another_limit_begins_anew_and_a_reload_does_not() -> None:
    derivation = using(resolved(heat=HEAT))
    note(derivation, "one.0", 0, 9, 0.0)
    ((_, before, _),) = note(derivation, "one.0", 10, 9, 6.0)
    assert before == 0.5
    derivation.use(resolved(heat=HEAT, **APART))
    ((_, after, _),) = note(derivation, "one.0", 20, 9, 6.0)[:1]
    assert after == 1.5
    derivation.use(resolved(heat=HEAT | {"limit_cel": 1.0}))
    assert note(derivation, "one.0", 30, 9, 6.0)[0][1] == 0.0
