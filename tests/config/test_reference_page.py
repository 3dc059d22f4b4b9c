"""docs/reference/configuration.md has every key there is, as the models have it."""

from __future__ import annotations

import os
from pathlib import Path

from tests.config.reference_page import tables

PAGE = Path(__file__).resolve().parents[2] / "docs/reference/configuration.md"
BEGIN, END = "<!-- drawn from the models: begin -->\n", "<!-- drawn from the models: end -->\n"


def test_the_page_has_every_key() -> None:
    """After a change: `GOLDEN=write pytest tests/config/test_reference_page.py`."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    found, _, after = rest.partition(END)
    if os.environ.get("GOLDEN") == "write":
        PAGE.write_text(f"{before}{BEGIN}{tables()}{END}{after}", encoding="utf-8")
        return
    assert found == tables()
