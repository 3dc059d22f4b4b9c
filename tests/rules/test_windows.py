"""Windows and exposure, sentence by sentence: civil periods, late readings, doubt, minutes that nobody saw."""

from __future__ import annotations

import json
import random

import pytest

from edge_gateway.rules.base import Step
from edge_gateway.rules.calendar import period_of
from edge_gateway.rules.engine import Engine
from edge_gateway.rules.exposure import ExposureTrack
from edge_gateway.rules.windows import WindowTrack

from .test_engine import Line, S, rule
from .traces import differences

H = 3600 * S
#: 2026-11-28 00:00 in Beijing.
MIDNIGHT = 1_795_795_200 * S
HOURLY = {"high": "60", "violation_after_us": 0, "terms": {"fn": "mean", "period": "hour", "valid_share": "0.75", "interval_us": 600 * S, "late_us": 300 * S}}


class Site:
    """One point with wall time; rule time runs beside it."""

    def __init__(self, **numbers: object) -> None:
        self.engine = Engine([rule("window", **numbers)])

    def at(self, wall_us: int, value: float | None, rule_us: int | None = None) -> list[Step]:
        quality = ["bad:frame" if value is None else "good"]
        return self.engine.judge(wall_us - MIDNIGHT if rule_us is None else rule_us, wall_us, ("p1",), [value], quality)

    def tick(self, wall_us: int) -> list[Step]:
        return self.engine.tick(wall_us - MIDNIGHT, wall_us)


def test_civil_periods_are_beijings() -> None:
    assert period_of(MIDNIGHT, "day") == (MIDNIGHT, MIDNIGHT + 24 * H)
    assert period_of(MIDNIGHT - 1, "day")[1] == MIDNIGHT
    assert period_of(MIDNIGHT + H, "hour") == (MIDNIGHT + H, MIDNIGHT + 2 * H)


def test_an_hour_is_judged_once_after_its_end_also_when_nothing_comes_any_more() -> None:
    site = Site(**HOURLY)
    for minute in range(0, 60, 10):
        assert site.at(MIDNIGHT + minute * 60 * S, 70.0) == []
    assert site.tick(MIDNIGHT + H + 299 * S) == []  # late readings are waited for
    steps = site.tick(MIDNIGHT + H + 300 * S)
    assert [(s.step, s.first.wall_us, s.value) for s in steps] == [("violated", MIDNIGHT, 70.0)]
    assert site.tick(MIDNIGHT + 2 * H) == []


def test_the_next_hour_within_the_limit_recovers_it_and_an_undecided_one_does_not() -> None:
    site = Site(**HOURLY)
    told = []
    for hour, (value, valid) in enumerate([(70.0, 6), (50.0, 2), (50.0, 6)]):
        for n in range(6):
            told += site.at(MIDNIGHT + hour * H + n * 600 * S, value if n < valid else None)
    told += site.tick(MIDNIGHT + 4 * H)
    assert [(s.step, (s.rule_us) // H) for s in told] == [("violated", 1), ("recovered", 4)]


def test_a_late_reading_counts_in_its_own_hour_and_after_that_in_none() -> None:
    in_time, too_late = Site(**HOURLY), Site(**HOURLY)
    for site in (in_time, too_late):
        for n in range(5):
            site.at(MIDNIGHT + n * 600 * S, 58.0)
    in_time.at(MIDNIGHT + 3000 * S, 100.0, rule_us=H + 100 * S)
    assert [s.step for s in in_time.tick(MIDNIGHT + H + 301 * S)] == ["violated"]  # 65
    too_late.at(MIDNIGHT + H, 58.0)
    assert too_late.tick(MIDNIGHT + H + 301 * S) == []
    assert too_late.at(MIDNIGHT + 3000 * S, 1000.0, rule_us=H + 302 * S) == []
    assert too_late.tick(MIDNIGHT + 2 * H + 301 * S) == []


def test_an_hour_under_a_doubtful_clock_is_undecided() -> None:
    site = Site(**HOURLY)
    for n in range(6):
        site.at(MIDNIGHT + n * 600 * S, 90.0)
    site.engine.doubt(MIDNIGHT + 600 * S)
    assert site.tick(MIDNIGHT + 2 * H) == []


def test_no_hour_ends_by_a_clock_that_nobody_vouches_for() -> None:
    site = Site(**HOURLY)
    for n in range(6):
        site.at(MIDNIGHT + n * 600 * S, 90.0)
    assert site.engine.tick(2 * H, MIDNIGHT + 2 * H, trusted=False) == []
    far = MIDNIGHT + 4 * 365 * 24 * H  # a wrong clock ahead of ours leaves nothing behind
    site.engine.doubt(far)
    site.at(far, 90.0, rule_us=2 * H)
    assert [s.step for s in site.engine.tick(3 * H, MIDNIGHT + 3 * H)] == ["violated"]
    track = site.engine._tracks["r1/p1"]
    assert isinstance(track, WindowTrack)
    assert (track.periods, track.doubtful) == ({}, set())


@pytest.mark.parametrize("seed", range(100))
def test_the_order_of_late_readings_within_the_tolerance_changes_nothing(seed: int) -> None:
    rng = random.Random(seed)
    readings = [(n * 600, rng.uniform(50, 70)) for n in range(6)]
    outcomes = set()
    for _ in range(4):
        rng.shuffle(readings)
        site = Site(**HOURLY)
        site.engine = _restarted(site.engine)
        for n, (second, value) in enumerate(readings):
            site.at(MIDNIGHT + second * S, value, rule_us=H + n)
        outcomes.add(tuple((s.step, s.value) for s in site.tick(MIDNIGHT + H + 300 * S)))
    assert len(outcomes) == 1


def _restarted(engine: Engine) -> Engine:
    fresh = Engine([rule("window", **HOURLY)])
    fresh.restore(json.loads(json.dumps(engine.snapshot())))
    return fresh


WARM = {"high": "1", "window_us": 600 * S, "terms": {"of": "minutes", "beyond_high": "7", "step_us": 10 * S}, "fresh_us": 60 * S, "violation_after_us": 0}


def test_minutes_beyond_are_added_up_over_the_window_and_roll_out_of_it() -> None:
    line = Line(rule("exposure", **WARM))
    warm = {0, 300, 330, 360}  # half a minute, then a minute and a half
    told = line.run(*((second, 8 if second in warm else 5) for second in range(0, 1200, 30)))
    assert told == [(360, "violated"), (930, "recovered")]  # of the window from 330 on one minute is left


def test_minutes_that_nobody_saw_make_it_undecided_and_never_violated() -> None:
    line = Line(rule("exposure", **WARM))
    assert line.run((0, 8), (30, None), (300, 8)) == []
    track = line.engine._tracks["r1/p1"]
    assert isinstance(track, ExposureTrack)
    assert track.between() == (0.5, 5.0)
    assert line.run((330, 8)) == []  # a minute at least, and not more
    assert line.run((331, 8)) == [(331, "violated")]


def test_degree_minutes_weigh_how_far_beyond() -> None:
    line = Line(rule("exposure", **(WARM | {"terms": {"of": "degree-minutes", "beyond_high": "7", "unknown_excess": "2", "step_us": 10 * S}})))
    assert line.run((0, 8), (60, 9)) == []  # 1 x 1
    track = line.engine._tracks["r1/p1"]
    assert isinstance(track, ExposureTrack)
    assert track.between() == (1.0, 1.0)
    assert line.run((61, None)) == [(61, "violated")]
    line.at(91, None)
    assert track.between()[1] == pytest.approx(1 + 2 / 60 + 1)


# --- planted faults -----------------------------------------------------------------------------------------------


def test_an_exposure_that_takes_what_nobody_saw_for_good_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    between = ExposureTrack.between
    monkeypatch.setattr(ExposureTrack, "between", lambda self: (between(self)[0],) * 2)
    assert any(differences(seed) for seed in range(400))


def test_a_window_that_counts_unknown_readings_as_known_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def any_value(self: WindowTrack, at: int, value: float | None, rule_us: int, wall_us: int) -> Step | None:
        return observe(self, at, 0.0 if value is None else value, rule_us, wall_us)

    observe = WindowTrack.observe
    monkeypatch.setattr(WindowTrack, "observe", any_value)
    assert any(differences(seed) for seed in range(400))


def test_an_undecided_window_that_clears_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WindowTrack, "undecided", lambda self, rule_us, wall_us: WindowTrack.known(self, 0.5, rule_us, wall_us))
    assert any(differences(seed) for seed in range(400))
