"""docs/reference/violations.md shows the state table and the hours as they are in the code. `python tests/violations/test_document.py` writes the table."""

from __future__ import annotations

from pathlib import Path

from edge_gateway.violations.deadlines import DEFAULTS
from edge_gateway.violations.table import OPEN, TABLE, Cell, Refused

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "violations.md"
BEGIN, END = "|---|---|---|---|---|\n", "<!-- end of table -->"


def shown(cell: Cell, handling: str) -> str:
    if isinstance(cell, Refused):
        return cell.why.format(id="it", handling=handling, by="", into="")
    return f"→ `{cell}`" if cell else "stays"


def rows() -> str:
    return "".join(f"| `{step}` | {' | '.join(shown(row[handling], handling) for handling in OPEN)} |\n" for step, row in TABLE.items())


def test_the_page_shows_the_table() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.partition(BEGIN)[2].partition(END)[0] == rows()


def test_the_page_shows_the_hours() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for severity, hours in DEFAULTS.items():
        assert f"| `{severity}` | {' | '.join(f'{value:g}' for value in hours.values())} |" in text


if __name__ == "__main__":
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(before + BEGIN + rows() + END + rest.partition(END)[2], encoding="utf-8")
