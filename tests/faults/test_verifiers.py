"""The short form of the verifiers' campaign: tampered packs get one answer from both, and a verifier with a check dropped is found out."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from tests.evidence import weakened
from tests.evidence.weakened import JAVASCRIPT, PYTHON, Weak
from tests.faults.verifiers import compared, found_out, tampered


@pytest.mark.campaign
async def test_both_give_one_answer_to_packs_of_the_tampering_campaign() -> None:
    assert await compared(list(islice(tampered(range(5, 7)), 60))) == []


@pytest.mark.campaign
@pytest.mark.parametrize("weak", [JAVASCRIPT[0], JAVASCRIPT[4], PYTHON[0], PYTHON[4], PYTHON[7], PYTHON[-2]], ids=lambda weak: f"{Path(weak.file).stem}-{weak.name}")
async def test_a_dropped_check_is_found_out(weak: Weak, tmp_path: Path) -> None:
    assert await found_out(weak, 10, tmp_path, 1000) > 0


def test_every_dropped_check_stands_in_the_sources_once(tmp_path: Path) -> None:
    assert len(JAVASCRIPT) >= 8
    assert len(PYTHON) >= 8
    for weak in (*JAVASCRIPT, *PYTHON):
        with weakened.weakened(weak, tmp_path):
            pass
