"""How `regulator-hub violations` words one: limits and times as the gateway's own commands have them; pure."""

from __future__ import annotations

from typing import Any

from regulator_hub import told

ROW: dict[str, Any] = {
    "violation": "tlf-007-1", "shown": "tlf-007-1", "condition": "recovered", "handling": "new", "severity": "major", "name_zh": "冷库2", "name_en": "Cold store 2",
    "limit": "≤ -18 Cel", "overdue": [], "waiting": [], "timezone": "Asia/Shanghai", "due": {"correct": 1_795_873_658_000_000}, "answers": [],
    "steps": [{"step": "violated", "wall_us": 1_795_873_658_999_999}],
}  # fmt: skip


def test_limits_and_times_are_those_of_the_gateways_commands() -> None:
    said = list(told.lines(ROW))
    assert "≤ -18 °C" in said[0]
    assert any("2026-11-28 21:47:38 +08:00" in line and "correct" in line for line in said), said
    assert "  2026-11-28 21:47:38 +08:00  violated" in said
