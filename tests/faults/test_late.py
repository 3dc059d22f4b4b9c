"""Late answers on a serial line, in short (`make late` runs 10,000): none is misattributed, and a guard without the rule of shapes is caught."""

from __future__ import annotations

import pytest

from edge_gateway.links.modbus_owed import Owed
from tests.faults.late import campaign

pytestmark = pytest.mark.timing


async def test_none_is_misattributed() -> None:
    """N = 160, seed 2."""
    result = await campaign(160, 2, 0.008)
    assert result.passed, result
    assert result.quarantined > 30
    assert 2 * result.equal >= result.n


async def test_a_guard_without_the_rule_of_shapes_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """N = 80, seed 3."""
    monkeypatch.setattr(Owed, "wait_s", lambda *_: 0.0)
    result = await campaign(80, 3, 0.008)
    assert result.misattributed > 0, result
