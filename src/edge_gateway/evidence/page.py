"""A pack's table as one plain page of HTML, in Chinese or English; figures come from ``tables``, nothing here is proof."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from edge_gateway.evidence.hours import HOUR_US, Hour
from edge_gateway.evidence.manifest import Manifest
from edge_gateway.evidence.tables import MAX_READINGS, gap_row, record_row
from edge_gateway.history.export import times
from edge_gateway.units import symbol

if TYPE_CHECKING:
    from edge_gateway.evidence.tables import Tables

#: More rows than this make a page that office machines open slowly: then days stand here and hours in hours.csv.
MAX_ROWS = 10_000
#: Words of entries as people read them in Chinese (the page's own); in English they stand as they are.
_CHINESE = {
    "notice": "预警", "violated": "违规", "violation": "违规", "recovered": "已恢复", "unknown": "状况不明", "active": "未恢复", "cancelled": "已取消",
    "new": "未知悉", "acknowledged": "已知悉", "correcting": "整改中", "submitted": "已提交", "closed": "已关闭", "withdrawn": "已撤销", "merged": "已合并",
    "overdue": "超期", "returned": "退回", "extended": "延期", "referred": "移送", "unmerged": "恢复独立", "withdrawal-asked": "申请撤销", "withdrawal-dropped": "放弃撤销",
}  # fmt: skip
_CHINESE_STATES = {"open": "开始", "closed": "结束"}
#: How well a limit is known; nothing for one that was read in the standard's own text.
_KNOWN = {"secondary": ("secondary source", "据二手来源"), "no": ("operator's value, unverified", "运营方数值，未核实")}
_STYLE = (
    "body{font:14px/1.5 system-ui,'Noto Sans SC','Microsoft YaHei',sans-serif;margin:2em auto;max-width:70em;padding:0 1em;color:#1a1a1a}"
    "table{border-collapse:collapse;margin:.5em 0 1.5em}td,th{border:1px solid #bbb;padding:.15em .6em;text-align:left}"
    ".wide{overflow-x:auto}td.n{text-align:right;font-variant-numeric:tabular-nums}h2{margin-top:2em}.worry{color:#a00000;font-weight:bold}"
    "@media print{body{margin:0}h2{break-after:avoid}tr{break-inside:avoid}}"
)


def page(tables: Tables, manifest: Manifest, zone: ZoneInfo, language: str) -> bytes:
    """The page, UTF-8. ``language``: ``zh-CN`` or ``en``."""
    words = _Words(language[:2])
    site = manifest.about.get("site") or {}
    title = f"{site.get(f'name_{words.language}') or manifest.gateway} · {words('evidence', '证据')}"
    body = "".join((*_head(manifest, zone, words), *_violations(tables, zone, words), *_records(tables, zone, words), *_gaps(tables, zone, words), *_hours(tables, zone, words)))
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{body}</body></html>\n"
    ).encode()


class _Words:
    """Sentences in one language."""

    def __init__(self, language: str) -> None:
        self.language = language

    def __call__(self, en: str, zh: str) -> str:
        return zh if self.language == "zh" else en


def _head(manifest: Manifest, zone: ZoneInfo, words: _Words) -> Iterator[str]:
    claim, witnessed = manifest.claim, manifest.about.get("witnessed")
    span = f"{_when(claim.from_us, zone)} – {_when(claim.to_us, zone)}" if claim else words("none", "无")
    yield f"<p>{words('Gateway', '网关')} <b>{escape(manifest.gateway)}</b> · {words('period', '时段')} {span}</p>"
    if witnessed:
        place = f"{witnessed['epoch']}/{witnessed['size'] - 1}"
        when = _when(witnessed["time_s"] * 1_000_000, zone)
        yield f"<p>{words(f'Witnessed through entry {place} at {when}.', f'见证至第 {place} 条，时间 {when}。')}</p>"
    else:
        said = words("UNWITNESSED: nobody but this gateway itself vouches for this record.", "未见证：除本网关自身外，无人证明此台账。")
        yield f'<p class="worry">{said}</p>'
    yield "<p>" + words(
        "This table is for reading. What counts are the entries in this pack: open verify.html, or run edge-gateway journal verify.",
        "本表仅供阅读，以证据包中的台账记录为准：请打开 verify.html，或运行 edge-gateway journal verify 核验。",
    ) + "</p>"
    yield f"<p>{words('What no verification proves:', '任何核验都不能证明：')}</p><ul>"
    yield from (f"<li>{escape(each)}</li>" for each in manifest.about.get("proves_not", {}).get(words.language, ()))
    yield "</ul>"


def _violations(tables: Tables, zone: ZoneInfo, words: _Words) -> Iterator[str]:
    yield f"<h2>{words('Violations', '违规')}</h2>"
    if not tables.courses:
        yield f"<p>{words('None in this period.', '此时段无违规。')}</p>"
    for course in tables.courses.values():
        yield f"<h3>{escape(course.id)} · {escape(course.rule)} · {_point(tables, course.point, words)}</h3>"
        head = (words("time", "时间"), words("step", "步骤"), words("condition", "状态"), words("handling", "处理"), words("limit", "限值"), words("reading", "读数"),
                words("peak", "极值"), words("minutes", "分钟"), words("by", "人员"), words("reason", "说明"))  # fmt: skip
        names = ("value", "peak", "minutes", "by", "reason")
        yield _table(head, (
            (_when(each["wall_us"], zone), *_said(each, words), _limit(tables, course.point, each, words), *(_shown(each.get(name)) for name in names))
            for each in course.steps
        ))  # fmt: skip
    if tables.courses:
        yield "<p>" + words(
            f"Every reading of these points from 30 minutes before to 30 minutes after: readings.csv ({len(tables.readings)} rows).",
            f"上述测点在违规前后各 30 分钟内的全部读数：readings.csv（{len(tables.readings)} 行）。",
        ) + "</p>"
        yield from _more(0, "readings.csv", tables.left_out["readings"], words)


def _said(step: Mapping[str, Any], words: _Words) -> list[str]:
    """Step, condition and handling."""
    said = [_shown(step.get(name)) for name in ("step", "condition", "handling")]
    return [words(each, _CHINESE.get(each, each)) for each in said]


def _limit(tables: Tables, point: str, step: Mapping[str, Any], words: _Words) -> str:
    """The limit with its unit as people write it, and how well it is known."""
    limit, unit = _shown(step.get("limit")), tables.units.get(point) or ""
    known = _KNOWN.get(str(step.get("verified", "no")))
    shown = limit.removesuffix(unit) + symbol(unit) if unit and limit.endswith(f" {unit}") else limit
    return f"{shown} ({words(*known)})" if known and limit else shown


def _records(tables: Tables, zone: ZoneInfo, words: _Words) -> Iterator[str]:
    """Intake, processing, dispatch, documents; nothing where nobody recorded any."""
    if not tables.records:
        return
    yield f"<h2>{words('Records of lots', '批次台账（进货查验、加工、出场、证照）')}</h2>"
    head = (
        words("time", "时间"), words("record", "记录"), words("type", "类型"), words("lot", "批次"), words("product", "品名"), words("kg", "重量 kg"), words("from or to", "供货或收货者"),
        words("certificate", "检疫证明"), words("slip", "票据"), words("zone", "区域"), words("temperature", "温度"), words("expires", "有效期至"), words("made from", "来源批次"),
        words("photos", "照片"), words("by", "记录人"), words("reason", "理由"), words("corrects", "更正"), words("without", "缺项"),
    )  # fmt: skip
    rows = [(_when(each["wall_us"], zone), *(_shown(column) for column in _short(record_row(each)))) for each in tables.records[:MAX_ROWS]]
    yield _table(head, rows)
    yield from _more(len(tables.records), "records.csv", tables.left_out["records"], words)


def _short(row: Sequence[Any]) -> list[Any]:
    """Hashes of photos by their first digits: the files lie beside this page under the whole name."""
    return [" ".join(f"photos/{name[:12]}…" for name in column.split()) if number == 12 and column else column for number, column in enumerate(row)]


def _gaps(tables: Tables, zone: ZoneInfo, words: _Words) -> Iterator[str]:
    yield f"<h2>{words('Gaps', '间断')}</h2>"
    rows = [(_when(each["wall_us"], zone), *_gap(each, words)) for each in tables.gaps[:MAX_ROWS]]
    if not rows:
        yield f"<p>{words('None in this period.', '此时段无间断。')}</p>"
        return
    yield _table((words("time", "时间"), words("gap", "间断"), words("state", "状态"), words("reason", "原因"), words("poll groups", "采集组"), words("slots", "缺测数")), rows)
    yield from _more(len(tables.gaps), "gaps.csv", tables.left_out["gaps"], words)


def _gap(gap: Mapping[str, Any], words: _Words) -> list[str]:
    """A gap's columns; state and reason in words."""
    from edge_gateway.web.pages import catalog

    name, state, reason, *rest = map(_shown, gap_row(gap))
    return [name, words(state, _CHINESE_STATES.get(state, state)), words(reason, catalog("zh", "gateway").get(f"gap.{reason}", reason)), *rest]


def _more(rows: int, file: str, left_out: int, words: _Words) -> Iterator[str]:
    """What the page does not show, and where it is."""
    if rows > MAX_ROWS:
        yield "<p>" + words(f"The first {MAX_ROWS} of {rows} rows; all of them: {file}.", f"此处仅列前 {MAX_ROWS} 行，共 {rows} 行；全部见 {file}。") + "</p>"
    if left_out:
        said = words(
            f"{file} ends after {MAX_READINGS} rows: {left_out} more are only in the entries of this pack.",
            f"{file} 仅列 {MAX_READINGS} 行：另有 {left_out} 行只在证据包的台账记录中。",
        )
        yield f'<p class="worry">{said}</p>'


def _hours(tables: Tables, zone: ZoneInfo, words: _Words) -> Iterator[str]:
    daily = len(tables.hours) > MAX_ROWS
    title = words("Days of each point (hours: hours.csv)", "各测点逐日（逐时见 hours.csv）") if daily else words("Hours of each point", "各测点逐时")
    yield f"<h2>{title}</h2><p>" + words(
        "Minimum, mean and maximum are over good readings; valid: their share of the readings taken.", "最小、平均、最大值仅计有效读数；有效率为有效读数占全部读数的比例。"
    ) + "</p>"
    head = (words("from", "起始"), words("minimum", "最小"), words("mean", "平均"), words("maximum", "最大"), words("good / taken", "有效数 / 读数"), words("valid", "有效率"))
    by_point: dict[str, list[tuple[int, Hour]]] = {}
    for (point, hour), each in sorted(tables.hours.items()):
        by_point.setdefault(point, []).append((hour, each))
    for point, hours in by_point.items():
        yield f"<h3>{_point(tables, point, words)}</h3>"
        rows = _days(hours, zone) if daily else hours
        yield _table(head, ((_when(hour * HOUR_US, zone)[:16], *_figures(each)) for hour, each in rows), numbers=True)


def _days(hours: Iterable[tuple[int, Hour]], zone: ZoneInfo) -> list[tuple[int, Hour]]:
    """Local days, each under its first hour."""
    days: dict[str, tuple[int, Hour]] = {}
    for hour, each in hours:
        days.setdefault(_when(hour * HOUR_US, zone)[:10], (hour, Hour()))[1].join(each)
    return list(days.values())


def _figures(hour: Hour) -> tuple[str, ...]:
    figures = (f"{hour.least:g}", f"{hour.mean:.4g}", f"{hour.greatest:g}") if hour.good else ("–", "–", "–")
    return (*figures, f"{hour.good} / {hour.taken}", f"{100 * hour.good / hour.taken:.1f} %")


def _table(head: Iterable[str], rows: Iterable[Sequence[str]], *, numbers: bool = False) -> str:
    top = "".join(f"<th>{escape(each)}</th>" for each in head)
    kind = ' class="n"' if numbers else ""
    lines = ("<tr>" + "".join(f"<td{kind if at else ''}>{escape(each)}</td>" for at, each in enumerate(row)) + "</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{top}</tr>{"".join(lines)}</table></div>'


def _point(tables: Tables, point: str, words: _Words) -> str:
    names = tables.names.get(point, (point, point))
    unit = tables.units.get(point)
    return escape(f"{words(names[1], names[0])} ({point}{', ' + symbol(unit) if unit else ''})")


def _shown(value: Any) -> str:
    return "" if value is None else str(value)


def _when(time_us: int, zone: ZoneInfo) -> str:
    local, offset, _ = times(time_us, zone)
    return f"{local[:19]} {offset}"
