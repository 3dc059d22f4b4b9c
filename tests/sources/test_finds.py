"""The inbox's file: kept seven days, bounded, ignored for good, never half written."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edge_gateway.app.scanning import Scans
from edge_gateway.errors import GatewayError
from edge_gateway.sources.finds import FILE, KEPT_US, MOST_BYTES, MOST_ITEMS, Finds
from tests.sources.modbus_plant import Plant

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


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{", '{"next": 1}', '{"next": "x", "items": []}', '{"next": 1, "items": [1]}', '{"next": 1, "items": [{}]}',
     '{"next": 2, "items": [{"id": 1, "key": "k", "first_us": 1, "seen_us": "x", "ignored": false, "found": {}}]}', "[" * 100_000],
    ids=range(9),
)  # fmt: skip
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


def test_two_finders_at_once_lose_nothing(tmp_path: Path) -> None:
    """A scan and a broker's topics: 2 × 40 items from two threads."""
    finds = Finds(tmp_path)
    with ThreadPoolExecutor(2) as threads:
        done = [threads.submit(finds.put, f"{finder}-{n}", {}, NOW) for n in range(40) for finder in "ab"]
    assert sorted(one.result() for one in done) == list(range(1, 81))
    assert len(finds.items(NOW)) == 80


async def test_a_scan_goes_on_where_nothing_can_be_kept(tmp_path: Path) -> None:
    """A full or read-only disk, a damaged inbox: what is found is shown all the same, and the reason once, at the end."""
    (tmp_path / FILE).write_text("{")
    scans = Scans(
        main=tmp_path / "gateway.toml", state_dir=tmp_path, config=lambda: None, share=lambda _bus: None, wall_us=lambda: NOW
    )
    plant = Plant({(unit, address): 7 for unit in (1, 2) for address in range(3)})
    await plant.start()
    wanted = {"target": f"127.0.0.1:{plant.port}", "addresses": "1,2"}
    found = [event async for event in scans.run(wanted)]
    await plant.stop()
    assert [event["unit"] for event in found if event["event"] == "unit"] == [1, 2]
    assert [event["event"] for event in found][-1] == "error"
    assert sum(event["event"] == "error" for event in found) == 1
    assert "delete" in found[-1]["hint"]
