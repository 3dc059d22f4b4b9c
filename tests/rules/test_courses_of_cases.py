"""How a case's course is read: its times, ranges and series, what each word does, and where a difference is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_gateway.errors import ConfigError
from edge_gateway.rules.cases import Case, Outcome, clock, load_cases, run_case, seconds
from edge_gateway.rules.load import LoadedPack, read_pack
from edge_gateway.rules.series import MOST, samples
from tests.rules.test_cases import PACK, RULE_WORDS, WORDS

SILENT = """
[[rule]]
id = "silent"
kind = "stale"
select = { zone_kind = "chilled-store", quantity = "temperature" }
factor = 3
notices_only = true
"""


@pytest.fixture
def pack(tmp_path: Path) -> LoadedPack:
    file = tmp_path / "trial.toml"
    file.write_text(PACK % {"words": RULE_WORDS} + SILENT + RULE_WORDS, encoding="utf-8")
    loaded, faults = read_pack(file)
    assert loaded is not None, faults
    return loaded


def run(pack: LoadedPack, **case: Any) -> Outcome:
    return run_case(pack, Case.model_validate({"name": "n", "rule": "warm", **case}))


@pytest.mark.parametrize(("text", "second"), [("0:00:00", 0), ("0:00:59", 59), ("0:59:01", 3541), ("1:02:03", 3723), ("26:00:00", 93_600)])
def test_times_there_and_back(text: str, second: int) -> None:
    assert seconds(text) == second
    assert clock(second) == text


@pytest.mark.parametrize("text", ["0:60:00", "0:00:60", "00:00", "0:0:0:0", "a:00:00", "-1:00:00", ""])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="is no time"):
        seconds(text)


def test_a_range_is_a_reading_every_interval_both_ends_included(pack: LoadedPack) -> None:
    assert run(pack, interval_s=20, readings=[["0:00:10 to 0:00:50", 5.0]]).events == [(10, 5.0), (30, 5.0), (50, 5.0)]
    assert run(pack, interval_s=20, readings=[["0:00:10 to 0:00:49", 5.0]]).events == [(10, 5.0), (30, 5.0)]
    assert run(pack, interval_s=0, readings=[["0:00:00 to 0:00:02", 5.0]]).events == [(0, 5.0), (1, 5.0), (2, 5.0)]
    assert run(pack, readings=[["0:00:10", 5.0]]).events == [(10, 5.0)]
    assert run(pack, readings=[["0:00:00 to 0:00:30", 5.0]]).events[1][0] == 10, "ten seconds where nothing is said"


def test_a_series_has_its_point_s_interval(pack: LoadedPack) -> None:
    course = {"rule": "apart", "interval_s": 30, "points": {"point": {"quantity": "temperature", "interval_s": 5}, "b": "temperature"}}
    assert run(pack, **course, series={"point": "1 _ 2 bad", "b": "1x2"}).events == [(0, 1.0), (10, 2.0), (15, "bad")]


def test_series_end_where_they_are_too_long() -> None:
    assert len(list(samples(f"1x{MOST - 1}", WORDS))) == MOST == 14 * 1440
    for text in (f"1x{MOST}", f"1x{MOST - 1} 1"):
        with pytest.raises(ValueError, match="more than"):
            list(samples(text, WORDS))
    assert list(samples("_x3 1", WORDS)) == [None, None, None, 1.0]


def test_a_bad_reading_is_unknown_and_one_that_is_not_judged_is_nothing(pack: LoadedPack) -> None:
    beyond = ["0:00:00 to 0:00:50", 5.0]
    assert run(pack, readings=[beyond, ["0:01:00", "bad"], ["0:01:10", 5.0]]).steps == [(0, "notice"), (60, "unknown"), (70, "violated")]
    assert run(pack, readings=[beyond, ["0:01:00", "queued"], ["0:01:10", 5.0]]).steps == [(0, "notice"), (60, "violated")]
    assert run(pack, readings=[beyond, ["0:01:00", "future"], ["0:01:10", 3.0]]).steps == [(0, "notice"), (60, "violated"), (70, "recovered")]


def test_time_passes_up_to_the_last_reading_and_not_while_the_power_is_off(pack: LoadedPack) -> None:
    once = ["0:00:00", 5.0]
    assert run(pack, interval_s=30, readings=[once]).steps == [(0, "notice")]
    assert run(pack, interval_s=30, readings=[once, ["0:02:00", "wait"]]).steps == [(0, "notice"), (60, "violated")], "time alone"
    assert run(pack, interval_s=30, readings=[once, ["0:01:00", "wait"]]).steps == [(0, "notice")], "before its last instant only"
    assert run(pack, interval_s=10, readings=[once, ["0:02:00", "wait"]]).steps == [(0, "notice")], "it speaks for three intervals"
    dark = run(pack, interval_s=30, readings=[once, ["0:00:30", "power-off"], ["0:02:00", 5.0]])
    assert dark.steps == [(0, "notice"), (120, "violated")], "nobody was there at 0:01:00"
    assert dark.details[-1].first.rule_us == 0


def test_a_restart_changes_nothing(pack: LoadedPack) -> None:
    plain = [["0:00:00 to 0:02:00", 5.0], ["0:02:10", 3.0]]
    again = [*plain, *(["0:00:15", "restart"], ["0:01:05", "restart"], ["0:02:05", "restart"])]
    assert run(pack, readings=plain).steps == run(pack, readings=again).steps == [(0, "notice"), (60, "violated"), (130, "recovered")]


def test_a_silence_is_counted_by_the_interval_of_the_case(pack: LoadedPack) -> None:
    course: dict[str, Any] = {"rule": "silent", "readings": [["0:00:00", 1.0], ["0:05:00", "wait"]]}
    assert run(pack, interval_s=20, **course).steps == [(60, "notice")]
    assert run(pack, interval_s=10, **course).steps == [(30, "notice")]


def test_whether_a_rule_came_to_what_it_is_for(pack: LoadedPack) -> None:
    assert run(pack, readings=[["0:00:00 to 0:02:00", 5.0]]).fired
    assert not run(pack, readings=[["0:00:00 to 0:00:30", 5.0]]).fired
    assert run(pack, rule="silent", readings=[["0:00:00", 1.0], ["0:05:00", "wait"]]).fired, "a notice is all that it gives"


def test_wall_time_begins_where_the_case_says(pack: LoadedPack) -> None:
    course: dict[str, Any] = {"interval_s": 30, "readings": [["0:00:05", 5.0], ["0:02:00", "wait"]]}
    [notice, violated] = run(pack, starts="2026-11-28T00:00:00+08:00", **course).details
    midnight_us = 1_795_795_200_000_000
    assert (notice.rule_us, notice.wall_us, violated.wall_us) == (5_000_000, midnight_us + 5_000_000, midnight_us + 65_000_000)
    assert run(pack, **course).details[0].wall_us == 5_000_000


def test_steps_with_their_expectation(pack: LoadedPack) -> None:
    outcome = run(pack, readings=[["0:00:00", 5.0]], steps=[["0:00:00", "notice", "point"]])
    assert (outcome.passed, outcome.expected, outcome.fault) == (True, [(0, "notice")], "")


def test_what_cannot_be_run_says_why(pack: LoadedPack, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="case 'n': no rule 'wram': did you mean 'warm'"):
        run(pack, rule="wram", readings=[["0:00:00", 1.0]])
    with pytest.raises(ConfigError, match="is not monitored: there is one such point here"):
        run(pack, rule="apart", readings=[["0:00:00", 1.0]])
    for bad in ({"interval_s": -1}, {"name": ""}, {"points": {"b": {"quantity": "temperature", "interval_s": 0}}}, {"more": 1}):
        with pytest.raises(ValueError, match=r"should|Extra"):
            run(pack, **{"readings": [["0:00:00", 1.0]]} | bad)
    file = tmp_path / "y.cases.toml"
    file.write_text('[[case]]\nname = "n"\nrule = "warm"\nreadings = [["0:00:00", 1]]\n', encoding="utf-8")
    assert [each.name for each in load_cases(file)] == ["n"]
