"""The short form of `python -m tests.faults.slots`: six hours of a site with every kind of fault."""

from __future__ import annotations

import pytest

from tests.faults.slots import run


@pytest.mark.campaign
@pytest.mark.timeout(300)
def test_no_slot_of_a_site_is_unexplained() -> None:
    report = run(0.25, 2, 0.25)
    assert report["faults"] == []
    assert report["passed"], report["planted"]
    assert set(report["planted"]) == {"gap-dropped", "stop-dropped", "slot-twice", "slot-missing", "bad-as-good", "silent-source", "buses-go-on"}
    assert report["slots"]["good"] > 2_000
    assert report["slots"]["gaps"] > 100
