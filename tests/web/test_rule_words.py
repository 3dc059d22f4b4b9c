"""Limits, standards and decision rules in the reader's language: of every rule of the shipped packs, and form by form."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge_gateway.rules.bind import PointFacts, ZoneFacts, bind
from edge_gateway.rules.load import load_pack
from edge_gateway.units import QUANTITIES
from edge_gateway.web.rule_words import basis_words, decision_words, limit_words, standard_words

RULES = Path(__file__).resolve().parents[2] / "rules"
PACKS = sorted(file.stem for file in RULES.glob("*.toml") if not file.name.endswith(".cases.toml"))
#: What stays as it is in a Chinese limit: units, and ids of rules.
_KEPT = {"C", "pH", "NTU", "mg", "L", "K", "m", "h", "s", "%", "min"}


@pytest.mark.parametrize(
    ("limit", "chinese", "english"),
    [
        ("≥ 6, ≤ 8.5 [pH]", "≥ 6, ≤ 8.5 pH", "≥ 6, ≤ 8.5 pH"),
        ("≤ -18 Cel", "≤ -18 °C", "≤ -18 °C"),
        ("≥ 1 1", "≥ 1", "≥ 1"),
        ("≤ 10 1", "≤ 10", "≤ 10"),
        ("≤ 500 mg/L (flow-mean, hour)", "≤ 500 mg/L（小时流量加权均值）", "≤ 500 mg/L (flow-mean, hour)"),
        ("≥ 0.9 1 (share, day)", "≥ 0.9（日有效数据占比）", "≥ 0.9 (share, day)"),
        ("≥ 82 Cel (20th percentile, 3600 s)", "≥ 82 °C（3600 秒第 20 百分位）", "≥ 82 °C (20th percentile, 3600 s)"),
        ("≤ 120 min > -15 Cel in 24 h", "24 小时内 > -15 °C 累计 ≤ 120 分钟", "≤ 120 min > -15 °C in 24 h"),
        ("≤ 480 Cel·min > 4 Cel in 24 h", "24 小时内 > 4 °C 累计 ≤ 480 °C·min", "≤ 480 °C·min > 4 °C in 24 h"),
        ("≤ 30 min < 0 or > 4 Cel in 1 h", "1 小时内 < 0 或 > 4 °C 累计 ≤ 30 分钟", "≤ 30 min < 0 or > 4 °C in 1 h"),
        ("moves by more than 0 Cel within 21600 s", "21600 秒内变化大于 0 °C", "moves by more than 0 °C within 21600 s"),
        ("≤ 3 Cel apart", "相差 ≤ 3 °C", "≤ 3 °C apart"),
        ("≤ 3 Cel in 12 h, rising by 1 Cel at most", "12 小时内降至 ≤ 3 °C，回升不超过 1 °C", "≤ 3 °C in 12 h, rising by 1 °C at most"),
        ("pre-rinse 120 s → own-step 300 s", "预冲洗 120 秒 → own-step 300 秒", "pre-rinse 120 s → own-step 300 s"),
        ("not all of: a, !b", "不得同时成立：a、!b", "not all of: a, !b"),
        ("not any of: a", "均不得成立：a", "not any of: a"),
        ("≤ 0.5 Cel/s", "≤ 0.5 °C/s", "≤ 0.5 °C/s"),
        ("", "", ""),
    ],
)
def test_a_limit_in_both_languages(limit: str, chinese: str, english: str) -> None:
    assert limit_words(limit, "zh") == chinese
    assert limit_words(limit, "en") == english


def test_no_limit_of_a_shipped_rule_is_half_english() -> None:
    packs = [load_pack(name, [RULES]) for name in PACKS]
    ids = {rule.id for pack in packs for _, rule in pack.rules()}
    seen = set()
    for kind in ("frozen-store", "chilled-store", "pre-cooling", "cutting-room", "cleaning-line", "steriliser", "outlet"):
        for stage in ("storage", "washing", "dispatch", "wastewater"):
            points = [PointFacts(id=f"{name}-{n}", zone="z", quantity=name, unit=about.units[0], interval_us=10_000_000) for name, about in QUANTITIES.items() for n in (1, 2)]
            outlets = {"o": {"zone": "z", "flow_m3_h": 20.0}}
            for rule in bind(packs, points, {"z": ZoneFacts(stage=stage, kind=kind)}, outlets).rules:
                seen.add(rule.id)
                words = limit_words(rule.limit, "zh")
                left = set(re.findall(r"[A-Za-z][A-Za-z-]*", words)) - _KEPT - ids
                assert not left, (rule.id, words)
    assert len(ids - seen) == 0, ids - seen


def test_a_standard_with_two_names_is_called_by_the_reader_s() -> None:
    permit = "排污许可证 discharge permit"
    assert (standard_words(permit, "zh"), standard_words(permit, "en")) == ("排污许可证", "discharge permit")
    assert (standard_words("运营方设定 operator's value", "zh"), standard_words("GB 12694-2016", "zh")) == ("运营方设定", "GB 12694-2016")
    assert basis_words(f"{permit} (2025-06-01), clause 9165X", "zh") == "排污许可证 (2025-06-01)，条款 9165X"
    assert basis_words(f"{permit} (2025-06-01), clause 9165X", "en") == "discharge permit (2025-06-01), clause 9165X"
    assert basis_words("GB 5749-2022 (2022), clause not verified", "zh") == "GB 5749-2022 (2022)，条款未核实"
    assert basis_words("", "zh") == ""


def test_a_decision_rule_in_both_languages() -> None:
    assert (decision_words("guard band ±0.5 Cel", "zh"), decision_words("guard band ±0.5 Cel", "en")) == ("保护带 ±0.5 °C", "guard band ±0.5 °C")
    assert (decision_words("simple acceptance", "zh"), decision_words("simple acceptance", "en")) == ("简单接受", "simple acceptance")
