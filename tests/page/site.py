"""Rows, resolved configurations and a running gateway for tests of the page; no browser here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_gateway.page.newest import Reading
from edge_gateway.page.view import Layout, points_view
from edge_gateway.page.words import Words
from edge_gateway.rules.base import BoundRule, rules_document
from edge_gateway.web import pages
from tests.cli.site import Gateway, config_text

NOW_US = 1_772_690_607_000_000  # 2026-03-05 14:03:27 in Beijing
MONO_US = 5_000_000_000
S, MIN = 1_000_000, 60_000_000


def rule(point: str = "air", **changes: Any) -> BoundRule:
    """A frozen store's limit, notice after 60 s, violation after 15 min."""
    body: dict[str, Any] = {
        "id": "frozen-store-air", "pack": "cold-chain", "pack_version": "1", "edition": "2026-11", "kind": "limit",
        "point": point, "quantity": "temperature", "unit": "Cel", "high": "-18", "notice_after_us": MIN,
        "violation_after_us": 15 * MIN, "limit": "≤ -18 Cel", "severity": "major", "standard": "GB/T 24616-2019",
        "clause": "unknown", "basis_edition": "2019", "verified": "no", "title_zh": "冻库空气温度过高",
        "title_en": "Frozen store too warm", "do_zh": ("关好库门",), "do_en": ("Shut the door",),
    }  # fmt: skip
    return BoundRule(**body | changes)


def resolved(rules: list[BoundRule] | None = None, **points: dict[str, Any]) -> dict[str, Any]:
    """A resolved configuration with one group a point, read every 10 s."""
    usual = {"device": "d1", "zone": "cold1", "quantity": "temperature", "unit": "Cel", "decimals": 1}
    names = {"name_zh": "冷库1 空气", "name_en": "Cold store 1 air"}
    return {
        "site": {"id": "tlf-007", "name_zh": "示例站", "name_en": "Sample", "timezone": "Asia/Shanghai"},
        "zones": {"cold1": {"name_zh": "冷库1", "name_en": "Cold store 1"}},
        "points": {id_: usual | names | about for id_, about in (points or {"air": {}}).items()},
        "groups": {
            f"d.{id_}": {"device": "d1", "points": [id_], "interval_us": 10 * S} for id_ in points or {"air": {}}
        },
        "rules": rules_document([rule()] if rules is None else rules),
    }


def reading(value: float | None, age_s: float = 3.0, quality: str = "good") -> Reading:
    """A reading so many seconds ago."""
    return Reading(value, quality, MONO_US - int(age_s * S))


def rows(found: dict[str, Any], readings: dict[str, Any], **more: Any) -> dict[str, dict[str, Any]]:
    """The view's rows by point, in their order."""
    asked: dict[str, Any] = {"violations": [], "pending": [], "gaps": [], "mono_us": MONO_US, "wall_us": NOW_US} | more
    return {row["point"]: row for row in points_view(Layout.of(found), readings, **asked)}


def words(language: str = "zh", zone: str = "Asia/Shanghai", *, mute: bool = False) -> Words:
    """The page's words at ``NOW_US``."""
    return Words(pages.catalog(language, "gateway"), language, zone, NOW_US, mute)


def step(**changes: Any) -> dict[str, Any]:
    """An open violation."""
    body: dict[str, Any] = {
        "violation": "tlf-007-1", "rule": "frozen-store-air", "point": "air", "level": "violation", "condition": "active",
        "handling": "new", "episode": 1, "opened_wall_us": NOW_US - 82 * MIN, "limit": "≤ -18 Cel", "severity": "major",
        "basis": "GB/T 24616-2019 (2019), clause not verified", "verified": "no", "peak": -14.9, "minutes": 81.5,
        "first": {"rule_us": 1, "wall_us": NOW_US - 82 * MIN, "value": -17.8}, "value": -15.2,
    }  # fmt: skip
    return body | changes


#: Short delays that a test can wait for: a notice after 1.5 s, a violation after 3 s.
PACK = """id = "house"
version = "1.0.0"
edition = "2026-11"
name_zh = "测试"
name_en = "Short delays"

[[rule]]
id = "house-air"
kind = "limit"
select = { zone_kind = "frozen-store", quantity = "temperature" }
unit = "Cel"
high = "-18"
notice_after_s = 1.5
violation_after_s = 3
severity = "major"
department = "market-regulation"
title_zh = "冻库温度过高"
title_en = "Frozen store too warm"
do_zh = ["关门"]
do_en = ["Shut the door"]
[rule.basis]
standard = "house rule"
clause = "1"
edition = "2026"
effective_from = "2026-01-01"
verified = "no"
source = "the operator"

[[rule]]
id = "house-turbidity"
kind = "limit"
select = { quantity = "turbidity" }
unit = "[NTU]"
high = "1"
notices_only = true
severity = "minor"
department = "health"
title_zh = "浊度过高"
title_en = "Too turbid"
do_zh = ["换水"]
do_en = ["Change the water"]
[rule.basis]
standard = "house rule"
clause = "2"
edition = "2026"
effective_from = "2026-01-01"
verified = "no"
source = "the operator"
"""

NAMES = {
    1: ("冷库1 空气", "Cold store 1 air"),
    2: ("冷库2 空气", "Cold store 2 air"),
    3: ("<b>冷库3</b>", "<b>Store 3</b>"),
}
#: A sink that nobody answers at, and a fourth unit that does not exist.
MORE = """
[devices.lost-th]
bus = "plc"
unit = 77
profile = "generic/xy-md02"
interval_s = 1.0

[points.lost-air]
device = "lost-th"
channel = "temperature"
zone = "cold3"
name_zh = "远端探头"
name_en = "Lost probe"

[points.cold1-rh]
device = "cold1-th"
channel = "humidity"
zone = "cold1"

[sinks.influx]
kind = "influxdb1"
url = "http://127.0.0.1:9"
database = "edge"
"""


def gateway(folder: Path, plant_port: int, page_port: int, more: str = MORE) -> Gateway:
    """A gateway with named points, short delays, a dead unit and a dead sink; not started yet."""
    text = config_text(plant_port, page=f"127.0.0.1:{page_port}", interval_s=1.0, more=more)
    text = text.replace("timeout_s = 1.0", "timeout_s = 0.2")  # the dead unit's turn makes nobody stale
    for unit, (name_zh, name_en) in NAMES.items():
        named = f'[points.cold{unit}-air]\nname_zh = "{name_zh}"\nname_en = "{name_en}"'
        text = text.replace(f"[points.cold{unit}-air]", named)
    found = Gateway(folder, text)
    (folder / "rules" / "house.toml").write_text(PACK, encoding="utf-8")
    found.page = page_port
    return found
