"""Units and quantities: codes, names in both languages, and how a value is shown."""

from __future__ import annotations

import pytest

from edge_gateway.units import QUANTITIES, UNITS, readable, show, symbol, unit_of


def test_every_quantity_has_known_units_and_names() -> None:
    for name, quantity in QUANTITIES.items():
        assert name == quantity.id
        assert quantity.units
        assert set(quantity.units) <= set(UNITS), name
        assert quantity.name_zh
        assert quantity.name_en
    for code, unit in UNITS.items():
        assert code == unit.code
        assert unit.name_zh
        assert unit.name_en


@pytest.mark.parametrize(
    ("value", "decimals", "code", "shown"),
    [(-17.83, 1, "Cel", "-17.8 °C"), (7.64, 2, "[pH]", "7.64 pH"), (1, 0, "1", "1"), (12.5, 1, "m3/h", "12.5 m³/h")],
)
def test_shown_with_its_symbol(value: float, decimals: int, code: str, shown: str) -> None:
    assert show(value, decimals, code) == shown


def test_an_unknown_code_stands_for_itself() -> None:
    assert symbol("furlong") == "furlong"


@pytest.mark.parametrize(
    ("limit", "shown", "unit"),
    [
        ("≤ -18 Cel", "≤ -18 °C", "°C"), ("≥ 0.05, ≤ 2 mg/L", "≥ 0.05, ≤ 2 mg/L", "mg/L"), ("≥ 6, ≤ 9 [pH]", "≥ 6, ≤ 9 pH", "pH"),
        ("≤ 0.5 Cel/s", "≤ 0.5 °C/s", "°C/s"), ("≤ 20 m3/h", "≤ 20 m³/h", "m³/h"), ("≤ 60 s", "≤ 60 s", "s"),
        ("≤ 120 min > -15 Cel in 24 h", "≤ 120 min > -15 °C in 24 h", ""), ("≤ 30 Cel·min > 4 Cel in 24 h", "≤ 30 °C·min > 4 °C in 24 h", ""),
        ("moves by more than 0.1 Cel within 3600 s", "moves by more than 0.1 °C within 3600 s", ""), ("", "", ""), ("Celsius [pHx]", "Celsius [pHx]", ""),
    ],
)  # fmt: skip
def test_a_limits_text_is_said_with_the_signs_that_people_read(limit: str, shown: str, unit: str) -> None:
    assert readable(limit) == shown
    assert unit_of(limit) == unit
