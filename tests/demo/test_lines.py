"""The demonstration's own reader of line protocol."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_gateway.demo.lines import parse, read_lines


def test_tags_fields_and_time() -> None:
    line = parse('reading,point=a\\ b,site=x\\,y value=-1.5e-3,ok=true,n=7i,text="a, \\"b\\" = c\\\\" 1700000000000000')
    assert line.measurement == "reading"
    assert line.tags == {"point": "a b", "site": "x,y"}
    assert line.fields == {"value": -0.0015, "ok": True, "n": 7, "text": 'a, "b" = c\\'}
    assert line.time_us == 1_700_000_000_000_000


def test_the_order_of_tags_makes_no_other_series() -> None:
    assert parse("m,a=1,b=2 v=1 1").series == parse("m,b=2,a=1 v=2 5").series
    assert parse("m,a=1 v=1 1").series != parse("m,a=2 v=1 1").series


@pytest.mark.parametrize("text", ["m v=1", "m 5", 'm v="a 1', "m v=x 1", "m v=1 noon", "m,a v=1 1"])
def test_what_is_no_line_is_refused_with_its_number(text: str, tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_text(f"m v=1 1\n\n{text}\n")
    with pytest.raises(ValueError, match=r":3: "):
        list(read_lines(file))
