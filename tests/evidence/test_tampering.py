"""Some seeds of the tampering campaign: nothing tampered with is verified, nothing honest is refused, nothing crashes."""

from __future__ import annotations

import io

import pytest

from edge_gateway.evidence.check import check
from edge_gateway.evidence.judge import Asked
from tests.faults.tampering import cases


@pytest.mark.parametrize("seed", range(6))
def test_every_case_comes_out_as_it_must(seed: int) -> None:
    found = set()
    for case in cases(seed):
        outcome = check(io.BytesIO(case.pack), Asked(case.key, case.witness, case.against)).outcome
        assert case.must == "either" or (outcome == "verified") == (case.must == "verify"), (case.name, outcome)
        found.add(outcome)
    assert found == {"verified", "broken", "cannot-decide"}
