"""One printable page a rule, whole in itself: no file, script or picture beside it; is told what a rule is, reads nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edge_gateway.rules.base import BoundRule
from edge_gateway.units import UNITS
from edge_gateway.web.pages import template
from edge_gateway.web.rule_words import decision_words, limit_words, standard_words

_WORDS: Mapping[str, tuple[str, str]] = {
    "do": ("What to do, in this order", "怎么办（按顺序）"),
    "consequence": ("If it goes on", "不处理的后果"),
    "about": ("About this rule", "关于本规则"),
    "unverified": ("Operator's value, unverified", "运营方设定值，未核实"),
    "nowhere": ("Not monitored here. That is not compliance.", "此处未监测，不等于合格。"),
    "delays": ("Delays", "延时"), "notice": ("notice", "预警"), "violation": ("violation", "违规"), "after": ("after ", ""), "never": ("notices only", "只作预警"),
    "basis": ("Basis", "依据"), "dates": ("In force", "有效期"), "known": ("How well it is known", "核实情况"), "decision": ("Decided by", "判定规则"),
    "department": ("Department", "主管部门"), "armed": ("Armed", "适用时段"), "season": ("Season", "适用季节"), "always": ("always", "全天"), "year": ("all year", "全年"), "at once": ("at once", "立即"), "over": ("Over when", "恢复条件"), "within": ("within the limit", "回到限值以内"), "for": ("for", "持续"),
    "next": ("the next complete run passes", "下一次完整运行合格"), "decided": ("the next decided value is within the limit", "下一个判定值在限值以内"), "excuse": ("Excused meanwhile", "放行"), "excused": ("by a contact of its zone (defrost, door) for", "由本区域触点（除霜、库门）放行，最长"), "never beyond": ("never beyond", "且不得超过"),
    "here not": ("The pack's limit:", "规则包的限值："), "edition": ("Pack's edition", "规则包版次"), "to": ("to", "至"), "source": ("Source", "来源"),
    "follows": ("Told as part of it", "并入本条的后果"), "over point": ("at its point", "同一测点"), "over device": ("of its device", "同一设备"),
    "over zone": ("in its zone", "同一区域"), "over site": ("anywhere at the site", "全站"),
    "shadow": ("In shadow: counted, not reported", "影子：只计数，不上报"), "draft": ("A draft: not in force", "草案：未启用"), "s": ("s", "秒"), "min": ("min", "分钟"),
    "clause": ("clause", "条款"), "not verified": ("not verified", "未核实"), "major": ("MAJOR", "较重"), "minor": ("minor", "一般"), "simple acceptance": ("simple acceptance: the value as it is", "简单接受：按读数判定"),
    "primary": ("read in the primary text", "已读原文"), "secondary": ("quoted by others, the text itself was not read", "二手引用，未读原文"), "no": ("operator's value, unverified", "运营方设定值，未核实"),
    "market-regulation": ("market regulation", "市场监管"), "agriculture": ("agriculture and rural affairs", "农业农村"), "health": ("health", "卫生健康"), "ecology": ("ecology and environment", "生态环境"),
    "pre-start": ("before start", "开工前"), "production": ("production", "生产中"), "closing": ("closing", "收尾"), "closed": ("ended", "已结束"), "unknown": ("unknown", "未知"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Card:
    """A rule as it is in a pack, and as it judges at its points here (none: it is not monitored). ``names``: point -> what people call it."""

    rule: BoundRule
    site: str
    here: Sequence[BoundRule] = ()
    names: Mapping[str, str] = field(default_factory=dict)


def page(card: Card, language: str) -> str:
    """The page in ``zh`` or ``en``."""
    words = {key: pair[language == "zh"] for key, pair in _WORDS.items()}
    shown = card.here[0] if card.here else card.rule
    limits: dict[str, list[str]] = {}
    for rule in card.here:
        limits.setdefault(limit_words(rule.limit, language), []).append(card.names.get(rule.point, rule.point))
    content = {
        "rule": shown.id, "title": shown.title_zh if language == "zh" else shown.title_en, "major": shown.severity == "major",
        "severity": words[shown.severity], "state": words.get(shown.state, ""), "unverified": shown.verified == "no",
        "limits": [{"text": text, "points": "、".join(points) if language == "zh" else ", ".join(points)} for text, points in limits.items()],
        "elsewhere": "" if card.here else limit_words(shown.limit, language), "do": shown.do_zh if language == "zh" else shown.do_en,
        "consequence": shown.consequence_zh if language == "zh" else shown.consequence_en,
        "rows": _rows(shown, words, chinese=language == "zh"), "site": card.site, "pack": f"{shown.pack} {shown.pack_version} ({shown.edition})",
    }  # fmt: skip
    return template("card.html").render(card=content, w=words, html_lang="zh-CN" if language == "zh" else "en")


def _rows(rule: BoundRule, words: Mapping[str, str], *, chinese: bool) -> list[tuple[str, str]]:
    dates = [words.get(date or "unknown", date) for date in (rule.effective_from, rule.effective_to)]
    rows = [
        (words["delays"], _delays(rule, words)),
        (words["over"], _over(rule, words)),
        *_excused(rule, words),
        (words["decision"], words.get(rule.decision) or decision_words(rule.decision, "zh" if chinese else "en")),
        (words["basis"], _basis(rule, words, chinese=chinese)),
        (words["dates"], f" {words['to']} ".join(dict.fromkeys(dates))),
        (words["known"], words.get(rule.verified, rule.verified)),
        (words["source"], (chinese and rule.source_zh) or rule.source),
        (words["edition"], f"{rule.pack} {rule.pack_version} ({rule.edition})"),
        (words["department"], words.get(rule.department, rule.department)),
        (words["armed"], ", ".join(words.get(phase, phase) for phase in rule.armed_in) or words["always"]),
        (words["season"], ", ".join(part.replace("/", " – ") for part in rule.season) or words["year"]),
    ]
    if rule.consequences:
        rows.append((words["follows"], f"{', '.join(rule.consequences)} ({words[f'over {rule.consequences_over}']})"))
    return rows


def _over(rule: BoundRule, words: Mapping[str, str]) -> str:
    """The hysteresis, and how long it must be well."""
    if rule.kind in ("descent", "sequence"):
        return words["next"]
    if rule.terms.get("period"):
        return words["decided"]
    sides = [f"≥ {rule.clear_low}"] if rule.clear_low is not None else []
    sides += [f"≤ {rule.clear_high}"] if rule.clear_high is not None else []
    unit = UNITS[rule.unit].symbol if rule.unit in UNITS else rule.unit
    text = f"{', '.join(sides)} {unit}".rstrip() if sides else words["within"]
    return f"{text}; {words['for']} {_span(rule.clear_after_us, words)}" if rule.clear_after_us else text


def _excused(rule: BoundRule, words: Mapping[str, str]) -> list[tuple[str, str]]:
    most, peak = rule.terms.get("most_us"), rule.terms.get("peak_high", rule.terms.get("peak_low"))
    if rule.kind != "limit" or most is None:
        return []
    unit = UNITS[rule.unit].symbol if rule.unit in UNITS else rule.unit
    return [(words["excuse"], f"{words['excused']} {_span(int(most), words)}, {words['never beyond']} {peak} {unit}".rstrip())]


def _basis(rule: BoundRule, words: Mapping[str, str], *, chinese: bool) -> str:
    """A standard that has a name in both languages is called by the reader's."""
    standard = standard_words(rule.standard, "zh" if chinese else "en")
    gap = "" if chinese else " "
    clause = "" if rule.clause == "none" else f", {words['clause']}{gap}{words['not verified'] if rule.clause == 'unknown' else f' {rule.clause}'.rstrip() if chinese else rule.clause}"
    return f"{standard} ({words.get(rule.basis_edition, rule.basis_edition)}){clause}"


def _delays(rule: BoundRule, words: Mapping[str, str]) -> str:
    notice = f"{words['notice']} {_after(rule.notice_after_us, words)}"
    if rule.violation_after_us is None:
        return f"{notice}; {words['never']}"
    return f"{notice}; {words['violation']} {_after(rule.violation_after_us, words)}"


def _span(us: int, words: Mapping[str, str]) -> str:
    return f"{us / 1e6:g} {words['s']}" if us < 120_000_000 else f"{us / 60e6:g} {words['min']}"


def _after(us: int, words: Mapping[str, str]) -> str:
    return f"{words['after']}{_span(us, words)}" if us else words["at once"]
