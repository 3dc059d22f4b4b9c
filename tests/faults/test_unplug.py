"""The adaptor pulled out in short (`make unplug` does it 50 times), and a planted line that does not look the name up again."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_gateway.sources.modbus_turn import Turns
from tests.faults.unplug import campaign

pytestmark = pytest.mark.timing


async def test_readings_return_and_every_slot_is_accounted_for(tmp_path: Path) -> None:
    """N = 4, seed 3."""
    result = await campaign(tmp_path, 4, 3, 0.1)
    assert result.passed, result


async def test_a_line_that_rests_too_long_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: the line is rested for two seconds after each failure to open it."""
    real = Turns.connect

    async def slow(self: Turns) -> None:
        self.backoff.first_s = self.backoff.most_s = 2.5
        await real(self)

    monkeypatch.setattr(Turns, "connect", slow)
    result = await campaign(tmp_path, 1, 5, 0.1)
    assert result.late > 0, result
