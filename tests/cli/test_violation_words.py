"""A violation at a terminal: figures with the units of their limit, the basis in the reader's language; pure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_gateway.cli.status import _bus, violation_text
from edge_gateway.cli.verbs import Context
from edge_gateway.cli.violation_lines import lines

ZONE = "Asia/Shanghai"
RECORD: dict[str, Any] = {
    "violation": "tlf-7", "rule": "jump", "point": "cold2-air", "level": "notice", "condition": "active", "handling": "new",
    "first": {"wall_us": 1_796_000_000_000_000, "value": 0.5600805955977065}, "limit": "≤ 0.5 Cel/s", "verified": "no",
    "peak": -12.600000000000001, "basis": "GB/T 24616-2019 (2019), clause not verified", "severity": "major",
}  # fmt: skip
RULE = {"title_zh": "冻库", "title_en": "Frozen store", "standard": "GB/T 24616-2019", "basis_edition": "2019", "clause": "unknown"}


def context(language: str) -> Context:
    return Context(Path(), Path(), Path(), language=language)


def test_what_a_rule_measured_has_the_unit_of_its_limit() -> None:
    said = violation_text(context("en"), RECORD, ZONE)
    assert "cold2-air  0.560081 °C/s  ≤ 0.5 °C/s (operator's value, unverified)" in said
    assert "Cel" not in said


@pytest.mark.parametrize(
    ("language", "clause", "basis"),
    [
        ("zh", "unknown", "GB/T 24616-2019（2019），条款未核实"), ("zh", "4.2", "GB/T 24616-2019（2019），4.2"),
        ("zh", "none", "GB/T 24616-2019（2019）"), ("en", "unknown", "GB/T 24616-2019 (2019), clause not verified"),
    ],
)  # fmt: skip
def test_limit_peak_and_basis_are_for_people(language: str, clause: str, basis: str) -> None:
    record = RECORD | {"limit": "≤ -18 Cel"}
    told = list(lines(context(language), {"violation": record, "rule": RULE | {"clause": clause}}, ZONE, 0))
    assert any(line.endswith(f"≤ -18 °C  {basis}") for line in told), told
    assert any("-12.6 °C" in line for line in told), told


def test_a_brokers_line_says_whether_it_is_connected() -> None:
    for connected, word in ((True, "up"), (False, "DOWN")):
        line = next(_bus(context("en"), "broker", {"connected": connected, "devices": {}}, ZONE))
        assert line.split()[:3] == ["bus", "broker", word]
