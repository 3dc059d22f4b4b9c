"""Units and quantities: codes, names in both languages, and how a value is shown."""

from __future__ import annotations

import pytest

from edge_gateway.units import QUANTITIES, UNITS, show, symbol


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
