"""What `violations correct` says of zone and period where nobody does: those of a cause and of all that it holds."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from edge_gateway.cli.violations import _period, _zone

ROWS = [{"point": "mains", "zone": "hall"}]
NOW = (ZoneInfo("Asia/Shanghai"), 9_000)


def test_the_zones_of_all_it_holds_are_its_scope() -> None:
    assert _zone({"point": "mains", "scope": {"points": ["a"], "zones": ["cold1", "cold2"]}}, ROWS) == "cold1, cold2"
    assert _zone({"point": "mains", "scope": {"zones": [f"a-zone-of-many-{n}" for n in range(60)]}}, ROWS) == "hall", "an assessment's zone is short"
    assert _zone({"point": "mains"}, ROWS) == "hall"
    assert _zone({"point": "", "scope": {"zone": "wash"}}, ROWS) == "wash"
    assert _zone({"point": "gone"}, ROWS) is None


def test_the_period_begins_with_the_first_of_them() -> None:
    records = [{"first": {"wall_us": 500}}, {"first": {"wall_us": 900}, "whole": {"first": {"wall_us": 300}}}]
    assert _period(None, None, records, NOW) == {"from_us": 300, "to_us": 9_000}
    assert _period(None, None, records[:1], NOW) == {"from_us": 500, "to_us": 9_000}
