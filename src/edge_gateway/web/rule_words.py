"""A rule's limit and standard in the reader's language, from the texts that the record has of them; pure, knows no rule and no page.

What a text of these forms says is put into Chinese; any other stands as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from edge_gateway.units import readable, symbol

#: ``运营方设定 operator's value``: one name in two languages.
_BOTH = re.compile(r"^([\u4e00-\u9fff]+) ([A-Za-z' ]+?)(?=$| \()")
_CLAUSE = re.compile(r", clause (not verified|.+)$")
_WINDOW = re.compile(r" \((mean|minimum|maximum|flow-mean|share|[\d.]+th percentile), (hour|day|[\d.]+ s)\)$")
_EXPOSURE = re.compile(r"^≤ (\S+) (min|\S+·min) ((?:< \S+)?(?: or )?(?:> \S+)?)( \S+)? in (\S+) h$")
_FLAT = re.compile(r"^moves by more than (.+) within (\S+) s$")
_APART = re.compile(r"^(.+) apart$")
_DESCENT = re.compile(r"^(≤ .+) in (\S+) h, rising by (.+) at most$")
#: The unit of what has none.
_NO_UNIT = re.compile(r"(?<=\d) 1(?=$| \()")
_STEP = re.compile(r"^([a-z0-9-]+) ([\d.]+) s$")
_BAND = re.compile(r"^guard band ±(\S+) (\S+)$")
_RULES = re.compile(r"^not (all|any) of: (.+)$")
_TAKEN: Mapping[str, str] = {"mean": "均值", "minimum": "最小值", "maximum": "最大值", "flow-mean": "流量加权均值", "share": "有效数据占比", "hour": "小时", "day": "日"}
#: Steps of a cleaning cycle that packs name so; others are shown by their id.
_STEPS: Mapping[str, str] = {"pre-rinse": "预冲洗", "rinse": "冲洗", "wash": "清洗", "disinfect": "消毒", "chill": "冷却"}
_FORMS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (_WINDOW, lambda found: f"（{_length(found[2])}{_taken(found[1])}）"),
    (_EXPOSURE, lambda found: f"{found[5]} 小时内 {found[3].replace(' or ', ' 或 ')}{found[4] or ''} 累计 ≤ {found[1]} {'分钟' if found[2] == 'min' else found[2]}"),
    (_FLAT, lambda found: f"{found[2]} 秒内变化大于 {found[1]}"),
    (_APART, lambda found: f"相差 {found[1]}"),
    (_DESCENT, lambda found: f"{found[2]} 小时内降至 {found[1]}，回升不超过 {found[3]}"),
    (_RULES, lambda found: f"{'不得同时成立' if found[1] == 'all' else '均不得成立'}：{found[2].replace(', ', '、')}"),
)


def limit_words(limit: str, language: str) -> str:
    """A limit as the record has it, with the signs that people read for its units."""
    limit = _NO_UNIT.sub("", readable(limit))
    if language != "zh":
        return limit
    steps = [_STEP.match(part) for part in limit.split(" → ")]
    if all(steps):
        return " → ".join(f"{_STEPS.get(step[1], step[1])} {step[2]} 秒" for step in steps if step)
    for form, said in _FORMS:
        limit = form.sub(said, limit)
    return limit


def standard_words(standard: str, language: str) -> str:
    """A standard that has a name in both languages is called by the reader's."""
    both = _BOTH.match(standard)
    return standard if both is None else both[1 if language == "zh" else 2] + standard[both.end() :]


def basis_words(basis: str, language: str) -> str:
    """A basis in one line as the record has it: standard, edition, clause."""
    said = standard_words(basis, language)
    if language != "zh":
        return said
    return _CLAUSE.sub(lambda found: "，条款未核实" if found[1] == "not verified" else f"，条款 {found[1]}", said).replace("(unknown)", "(未知)")


def decision_words(decision: str, language: str) -> str:
    """How a value near a limit is decided."""
    if (band := _BAND.match(decision)) is not None:
        return f"{'保护带' if language == 'zh' else 'guard band'} ±{band[1]} {symbol(band[2])}".rstrip()
    return "简单接受" if language == "zh" and decision == "simple acceptance" else decision


def _taken(name: str) -> str:
    return _TAKEN.get(name) or f"第 {name.removesuffix('th percentile')} 百分位"


def _length(length: str) -> str:
    return _TAKEN.get(length) or f"{length.removesuffix(' s')} 秒"
