"""The short form of ``make tamper``: what was tampered with is found, honest journals that crashed are not blamed, weak verifiers are found out."""

from __future__ import annotations

import pytest

from tests.faults import tamper

# SQLite passes over a cut inside a checkpoint; the run ends after it all the same.
pytestmark = [
    pytest.mark.campaign,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_what_was_tampered_with_is_found() -> None:
    tally = tamper.packs(range(7_000, 7_008))
    assert tally.wrong == []
    assert tally.tampered == tally.found > 600
    assert tally.histories == tally.histories_found == 24
    assert tally.cut_backs_against == tally.cut_backs_found_against > 0
    assert tally.honest == tally.honest_verified > 50


def test_honest_journals_that_crashed_are_not_blamed_and_forged_folders_are_found() -> None:
    tally = tamper.folders(range(7_000, 7_021))
    assert tally.wrong == []
    assert (tally.crashed_journals, tally.false_alarms) == (21, 0)
    assert tally.crashed_verified > 10
    assert tally.tampered == tally.found > 30


@pytest.mark.parametrize("planted", tamper.PLANTED)
def test_a_weak_verifier_is_found_out(planted: str) -> None:
    assert tamper.caught(planted, 7_000, 6)
