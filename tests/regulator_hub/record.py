"""Entries for tests, made by hand as docs/reference/journal-format.md describes them."""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any

POINTS = ["cold1-air", "cold1-rh"]
RULE = {
    "id": "frozen-store", "kind": "limit", "points": ["cold1-air"], "high": "-18", "limit": "≤ -18 Cel", "verified": "no",
    "title_zh": "冷库温度", "title_en": "Frozen store temperature", "do_zh": ["关门"], "do_en": ["Close the door"],
    "severity": "major", "basis": "GB 31605-2020", "notices_only": False,
}  # fmt: skip
RESOLVED = {
    "software": "0.1.0",
    "gateway": "tlf-007",
    "site": {"id": "tlf-007", "name_zh": "吐鲁番示例清洗点", "name_en": "Turpan example site", "timezone": "Asia/Shanghai"},
    "zones": {"cold1": {"stage": "storage", "kind": "frozen-store", "name_zh": "冷库1", "name_en": "Cold store 1"}},
    "points": {
        "cold1-air": {"zone": "cold1", "quantity": "temperature", "unit": "Cel", "decimals": 1,
                      "name_zh": "冷库1 空气温度", "name_en": "Cold store 1 air"},
        "cold1-rh": {"zone": "cold1", "quantity": "humidity", "unit": "%", "decimals": 0,
                     "name_zh": "冷库1 湿度", "name_en": "Cold store 1 humidity"},
    },
    "groups": {"cold1-th.1": {"device": "cold1-th", "points": POINTS, "interval_us": 10_000_000}},
    "rules": [RULE],
}  # fmt: skip
TEXT = json.dumps(RESOLVED, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
SHA = hashlib.sha256(TEXT).hexdigest()


def now_us() -> int:
    return time.time_ns() // 1000


def entry(seq: int, kind: str, wall_us: int | None = None, **more: Any) -> bytes:
    """One entry's bytes."""
    at = now_us() if wall_us is None else wall_us
    common = {"v": 1, "seq": seq, "kind": kind, "rule_us": seq, "wall_us": at, "mono_us": seq, "boot": "0" * 12}
    return json.dumps({**common, "trusted": True, **more}, separators=(",", ":"), ensure_ascii=False).encode()


def snapshot(seq: int, config_seq: int | None = None, **more: Any) -> bytes:
    config = None if config_seq is None else {"config_seq": config_seq, "text": SHA, "texts": {}}
    return entry(seq, "snapshot", config=config, configs=[], state={}, **more)


def config(seq: int, text: str = SHA) -> bytes:
    return entry(seq, "config", text=text, texts={}, software="0.1.0", by="root", reason="start", changes=[])


def batch(seq: int, air: float | None, humidity: float | None = 60.0, *, config_seq: int = 1, **more: Any) -> bytes:
    return entry(seq, "batch", config_seq=config_seq, group="cold1-th.1", values=[air, humidity], **more)


def violation(seq: int, step: str, *, handling: str = "new", name: str = "tlf-007-1", **more: Any) -> bytes:
    condition = {"recovered": "recovered", "cancelled": "recovered", "unknown": "unknown"}.get(step, "active")
    body = {
        "violation": name, "rule": "frozen-store", "point": "cold1-air", "step": step, "condition": condition,
        "handling": handling, "first": {"rule_us": 1, "wall_us": now_us() - 60_000_000, "value": -15.2}, "peak": -14.9,
        "minutes": 31, "limit": "≤ -18 Cel", "severity": "major", "basis": "GB 31605-2020", "verified": "no",
    }  # fmt: skip
    return entry(seq, "violation", **{**body, **more})


def start(count: int = 5) -> list[bytes]:
    """Snapshot, configuration, batches: an epoch's first entries."""
    return [snapshot(0), config(1), *(batch(seq, -20.0 - seq) for seq in range(2, count))]
