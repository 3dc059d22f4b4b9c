"""``watch``: which rows count as changed."""

from __future__ import annotations

from typing import Any

from edge_gateway.cli.watch import changed, named


def row(point: str, value: float | None, quality: str = "good", age_s: float = 0.1) -> dict[str, Any]:
    return {"point": point, "value": value, "quality": quality, "state": "normal", "stale": False, "age_s": age_s}


def test_a_change_is_told_once_and_an_age_is_none() -> None:
    before: dict[str, Any] = {}
    assert [r["point"] for r in changed([row("a", 1.0), row("b", 2.0)], before)] == ["a", "b"]
    assert list(changed([row("a", 1.0, age_s=9.0), row("b", 2.0)], before)) == []
    assert [r["point"] for r in changed([row("a", 1.5), row("b", 2.0)], before)] == ["a"]
    assert [r["point"] for r in changed([row("a", None, "bad:no-answer"), row("b", 2.0)], before)] == ["a"]


def test_a_pattern_names_points() -> None:
    rows = [row("hall-cl", 1.0), row("cold2-air", 1.0), row("cold1-air", 1.0)]
    assert [r["point"] for r in named(rows, "cold*")] == ["cold1-air", "cold2-air"]
    assert named(rows, "dry*") == []
