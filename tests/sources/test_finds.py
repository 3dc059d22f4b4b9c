"""The inbox's file: kept seven days, bounded, ignored for good, never half written."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_gateway.errors import GatewayError
from edge_gateway.sources.finds import FILE, KEPT_US, MOST_BYTES, MOST_ITEMS, Finds

NOW = 1_760_000_000_000_000


def test_a_number_stays_with_its_key_and_seven_days(tmp_path: Path) -> None:
    finds = Finds(tmp_path / "state")
    assert finds.items(NOW) == []
    assert finds.put("line1|9600-8N1|2", {"unit": 2}, NOW) == 1
    assert finds.put("line1|9600-8N1|5", {"unit": 5}, NOW) == 2
    assert finds.put("line1|9600-8N1|2", {"unit": 2, "again": True}, NOW + KEPT_US) == 1
    later = finds.items(NOW + KEPT_US + 1)
    assert [(item["id"], item["found"]) for item in later] == [(1, {"unit": 2, "again": True})]
    assert finds.put("line1|9600-8N1|5", {"unit": 5}, NOW + KEPT_US + 1) == 3, "a number is not given twice"


def test_what_is_ignored_stays_so(tmp_path: Path) -> None:
    finds = Finds(tmp_path)
    finds.put("a", {}, NOW)
    finds.ignore(1, NOW)
    assert finds.put("a", {}, NOW + 2 * KEPT_US) == 1
    assert finds.items(NOW + 2 * KEPT_US)[0]["ignored"]
    with pytest.raises(GatewayError, match="no item 7"):
        finds.ignore(7, NOW)


def test_it_is_bounded_and_the_oldest_go_first(tmp_path: Path) -> None:
    finds = Finds(tmp_path)
    for number in range(MOST_ITEMS + 20):
        finds.put(f"k{number}", {}, NOW + number)
    items = finds.items(NOW + 1000)
    assert len(items) == MOST_ITEMS
    assert items[0]["key"] == "k20"
    with pytest.raises(GatewayError, match="too large"):
        finds.put("big", {"text": "x" * MOST_BYTES}, NOW)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"next": 1}', '{"next": "x", "items": []}'])
def test_a_damaged_file_is_an_error_that_says_what_to_do(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(GatewayError) as error:
        Finds(tmp_path).items(NOW)
    assert "delete" in error.value.hint
    assert (tmp_path / FILE).read_text() == content


def test_what_became_a_device_is_dropped(tmp_path: Path) -> None:
    finds = Finds(tmp_path)
    finds.put("a", {}, NOW)
    finds.put("b", {}, NOW)
    finds.drop(1, NOW)
    assert [item["id"] for item in finds.items(NOW)] == [2]
    assert not list(tmp_path.glob("*.new"))
