"""The short form of `make backlog`: some minutes' backlog drains beside live traffic; what compares finds what it should."""

from __future__ import annotations

import pytest

from tests.faults.backlog import compare, faulty, measure, missed, passed, planted_faults, planted_slots


@pytest.mark.campaign
@pytest.mark.timing
@pytest.mark.alone
def test_a_backlog_drains_beside_live_traffic_and_nothing_is_lost() -> None:
    """N = 90,000 readings in 4,500 entries: more than one segment."""
    result = measure(90_000, 80_000)
    assert result["drained"] >= 80_000, result
    assert (result["lost"], result["altered"], result["unaccounted"], result["doubled"], result["out_of_order"]) == (0, 0, 0, 0, 0)
    assert result["same"] >= 4_000
    assert result["live_entries"] > 0


def test_what_the_hub_lacks_or_holds_otherwise_is_told() -> None:
    whole = [b"%d" % n for n in range(100)]
    assert compare(whole, whole) == {"same": 100, "lost": 0, "altered": 0}
    for name, here, there in planted_faults():
        assert faulty(compare(here, there)), name


def test_a_slot_that_was_missed_doubled_or_late_is_told() -> None:
    seen = {name: missed(lines) for name, lines in planted_slots()}
    assert {name: [kind for kind in ("unaccounted", "doubled", "out_of_order") if found[kind]] for name, found in seen.items()} == {
        "a slot that nobody polled": ["unaccounted"], "a slot polled twice": ["doubled"], "a poll out of its order": ["unaccounted", "out_of_order"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("lost", 1), ("altered", 1), ("unaccounted", 1), ("doubled", 1), ("out_of_order", 1), ("gaps", {"busy": 1}), ("drained_per_s", 4_999),
        ("first_reading_s", 3.01), ("rss_mb", 151), ("violations", 0), ("violation_s", [0.5, 2.1]), ("drained", 9), ("planted", {"a": True, "b": False}),
    ],
)  # fmt: skip
def test_a_figure_that_is_not_kept_fails_the_run(what: str, value: object) -> None:
    kept = {
        "lost": 0, "altered": 0, "unaccounted": 0, "doubled": 0, "out_of_order": 0, "gaps": {"killed": 1}, "drained_per_s": 5_000,
        "first_reading_s": 3.0, "rss_mb": 150, "violations": 1, "violation_s": [0.5, 2.0], "drained": 10, "planted": {"a": True},
    }  # fmt: skip
    assert passed(kept, 10)
    assert not passed(kept | {what: value}, 10)
