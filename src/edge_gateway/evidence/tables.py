"""Tables for people, out of the entries as they pass: hours of each point, steps of violations, readings around them, gaps; proves nothing.

Hourly figures are over good readings; *valid* is their share of the readings taken. What was not taken is in the gaps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from edge_gateway.errors import JournalDamaged
from edge_gateway.evidence.glance import MARGIN_US, Course
from edge_gateway.evidence.hours import HOUR_US, Hour
from edge_gateway.history.export import BOM, cell, times
from edge_gateway.history.record import when
from edge_gateway.journal.reading import Reading
from edge_gateway.record.offsets import Correction
from edge_gateway.record.photo import photos_of
from edge_gateway.traceability.model import kg

#: Readings around violations that are kept, and records and gaps; beyond it ``left_out`` counts them, and the pack says so.
MAX_READINGS = 200_000


@dataclass(slots=True)
class _Bucket:
    """Rows of one group in one hour, not yet added up."""

    hour: int
    points: Sequence[str]
    rows: list[Sequence[Any]] = field(default_factory=list)


class Tables:
    """``hours`` by (point, hour since 1970 in UTC); ``readings`` around violations; ``gaps`` as their entries."""

    def __init__(self, reading: Reading, corrections: Sequence[Correction], courses: Mapping[str, Course], order: Sequence[str], points: Iterable[str] | None) -> None:
        """``order``: the epochs' names, as ``corrections`` number them. ``points``: only these; None: all."""
        self.hours: dict[tuple[str, int], Hour] = {}
        self.readings: list[tuple[str, int, str, Any, str, str, int, str]] = []
        self.gaps: list[dict[str, Any]] = []
        self.records: list[dict[str, Any]] = []
        self.undecoded = 0
        self.left_out: Counter[str] = Counter()
        self.courses = {id_: each for id_, each in courses.items() if points is None or each.point in points}
        self.units: dict[str, str] = {}
        self.names: dict[str, tuple[str, str]] = {}
        self._reading = reading
        self._corrections = corrections
        self._order = {epoch: number for number, epoch in enumerate(order)}
        self._points = None if points is None else frozenset(points)
        self._watched: dict[str, list[Course]] = {}
        for each in self.courses.values():
            self._watched.setdefault(each.point, []).append(each)
        self._buckets: dict[tuple[str, str, int], _Bucket] = {}
        self._groups: dict[tuple[str, str, int], tuple[Sequence[str], list[tuple[int, str]]] | None] = {}

    # --- looking ------------------------------------------------------------------------------------------------------

    def see(self, epoch: str, entry: dict[str, Any]) -> None:
        """The next entry; one that does not decode is counted."""
        kind = entry["kind"]
        if kind in ("gap", "record"):
            rows = self.gaps if kind == "gap" else self.records
            if len(rows) < MAX_READINGS:
                rows.append(entry | {"wall_us": when(entry, (self._order[epoch], entry["seq"]), self._corrections)[0]})
            else:
                self.left_out[f"{kind}s"] += 1
        if kind != "batch":
            return
        try:
            self._batch(epoch, entry)
        except (KeyError, TypeError, ValueError, AttributeError):
            self.undecoded += 1

    def _batch(self, epoch: str, entry: dict[str, Any]) -> None:
        key = (epoch, entry["group"], entry["config_seq"])
        known = self._groups[key] if key in self._groups else self._group(key)
        values = entry["values"]
        if known is None or len(values) != len(known[0]):
            self.undecoded += 1
            return
        time_us, clock = when(entry, (self._order[epoch], entry["seq"]), self._corrections)
        quality = entry.get("quality")
        for column, point in known[1]:
            why = quality[column] if quality else "good"
            self._around(point, time_us, values[column], why, (epoch, entry["seq"], clock))
        hour = time_us // HOUR_US
        bucket = self._buckets.get(key)
        if bucket is None or bucket.hour != hour:
            if bucket is not None:
                self._close(bucket)
            bucket = self._buckets[key] = _Bucket(hour, known[0])
        if quality is not None:
            values = [value if why == "good" else None for value, why in zip(values, quality, strict=True)]
        bucket.rows.append(values)

    def _group(self, key: tuple[str, str, int]) -> tuple[Sequence[str], list[tuple[int, str]]] | None:
        """A group's points, and the columns that violations are about; None if its configuration is not here."""
        epoch, group, config_seq = key
        try:
            config = self._reading.config(epoch, config_seq)
        except (KeyError, JournalDamaged):
            self._groups[key] = None
            return None
        names: Sequence[str] = config["groups"][group]["points"]
        for name in names:
            point = config["points"][name]
            self.units[name] = str(point.get("unit") or "")
            self.names[name] = (str(point.get("name_zh") or name), str(point.get("name_en") or name))
        found = (names, [(column, name) for column, name in enumerate(names) if name in self._watched])
        self._groups[key] = found
        return found

    def _around(self, point: str, time_us: int, value: Any, why: str, where: tuple[str, int, str]) -> None:
        for each in self._watched[point]:
            if not each.begin_us - MARGIN_US <= time_us or (each.over and time_us >= each.end_us + MARGIN_US):
                continue
            if len(self.readings) >= MAX_READINGS:
                self.left_out["readings"] += 1
            else:
                epoch, seq, clock = where
                self.readings.append((each.id, time_us, point, value, why, epoch, seq, clock))

    def _close(self, bucket: _Bucket) -> None:
        taken = len(bucket.rows)
        for point, column in zip(bucket.points, zip(*bucket.rows, strict=True), strict=True):
            if self._points is None or point in self._points:
                hour = self.hours.get((point, bucket.hour))
                if hour is None:
                    hour = self.hours[point, bucket.hour] = Hour()
                good = [value for value in column if value is not None] if None in column else column
                try:
                    hour.add(taken, good)
                except TypeError:  # integers beyond 2^53 are written as text
                    hour.add(taken, [float(value) for value in good])

    def finish(self) -> None:
        """All entries have passed."""
        for bucket in self._buckets.values():
            self._close(bucket)
        self._buckets.clear()

    # --- giving -------------------------------------------------------------------------------------------------------

    def members(self, zone: ZoneInfo) -> Iterator[tuple[str, bytes]]:
        """``(name, bytes)`` of the files for spreadsheets."""
        yield "hours.csv", _csv(HOURS, self._hours_csv(zone))
        yield "violations.csv", _csv(VIOLATIONS, self._violations_csv(zone))
        yield "readings.csv", _csv(READINGS, self._readings_csv(zone))
        if self.records:
            yield "records.csv", _csv(RECORDS, self._records_csv(zone))
        if self.gaps:
            yield "gaps.csv", _csv(GAPS, self._gaps_csv(zone))

    def _hours_csv(self, zone: ZoneInfo) -> Iterator[str]:
        last, when = -1, ("", "", "")
        for (point, hour), each in sorted(self.hours.items(), key=lambda item: (item[0][1], item[0][0])):
            if hour != last:
                last, when = hour, times(hour * HOUR_US, zone)
            figures = f"{each.least!r},{each.mean!r},{each.greatest!r}" if each.good else ",,"
            yield f"{when[0][:16]},{when[1]},{cell(point)},{cell(self.units[point])},{figures},{each.good},{each.taken},{each.good / each.taken:.4f}\r\n"

    def _violations_csv(self, zone: ZoneInfo) -> Iterator[str]:
        for course in self.courses.values():
            for step in course.steps:
                when = times(step["wall_us"], zone)
                told = (course.id, course.rule, course.point, step.get("step"), step.get("condition"), step.get("handling"), step.get("limit"),
                        step.get("value"), step.get("peak"), step.get("minutes"), step.get("by"), step.get("reason"), step["seq"])  # fmt: skip
                yield f"{when[0]},{when[1]}," + ",".join("" if each is None else cell(str(each)) for each in told) + "\r\n"

    def _records_csv(self, zone: ZoneInfo) -> Iterator[str]:
        for record in self.records:
            when = times(record["wall_us"], zone)
            yield f"{when[0]},{when[1]}," + ",".join("" if each is None else cell(str(each)) for each in record_row(record)) + f",{record['seq']}\r\n"

    def _gaps_csv(self, zone: ZoneInfo) -> Iterator[str]:
        for gap in self.gaps:
            when = times(gap["wall_us"], zone)
            yield f"{when[0]},{when[1]}," + ",".join("" if each is None else cell(str(each)) for each in gap_row(gap)) + f",{gap['seq']}\r\n"

    def _readings_csv(self, zone: ZoneInfo) -> Iterator[str]:
        for id_, time_us, point, value, why, epoch, seq, clock in self.readings:
            when = times(time_us, zone)
            shown = "" if value is None else value
            yield f"{cell(id_)},{when[0]},{when[1]},{cell(point)},{shown},{cell(self.units[point])},{cell(why)},{epoch},{seq},{clock}\r\n"


HOURS = ("hour_local 当地时间", "utc_offset 时差", "point 测点", "unit 单位", "min 最小", "mean 平均", "max 最大", "good 有效数", "taken 读数", "valid 有效率")
VIOLATIONS = (
    "time_local 当地时间", "utc_offset 时差", "violation 违规", "rule 规则", "point 测点", "step 步骤", "condition 状态", "handling 处理", "limit 限值", "value 读数",
    "peak 极值", "minutes 分钟", "by 人员", "reason 说明", "seq",
)  # fmt: skip
READINGS = (
    "violation 违规", "time_local 当地时间", "utc_offset 时差", "point 测点", "value 读数", "unit 单位", "quality 质量", "epoch 纪元", "seq", "clock 时钟",
)  # fmt: skip


RECORDS = (
    "time_local 当地时间", "utc_offset 时差", "record 记录", "type 类型", "lot 批次", "product 品名", "kg 重量", "party 供货或收货者", "certificate 检疫证明", "slip 票据",
    "zone 区域", "temperature 温度", "expires 有效期至", "from 来源批次", "photos 照片", "by 记录人", "reason 理由", "corrects 更正",
    "without 缺项", "seq",
)  # fmt: skip
GAPS = ("time_local 当地时间", "utc_offset 时差", "gap 间断", "state 状态", "reason 原因", "poll groups 采集组", "slots 缺测数", "seq")


def record_row(record: Mapping[str, Any]) -> tuple[Any, ...]:
    """A record's columns between its time and its number; what is not as it should be is shown as it is."""
    grams, told, parents = record.get("grams"), record.get("temperature"), record.get("from")
    weight = kg(grams) if isinstance(grams, int) and not isinstance(grams, bool) and abs(grams) < 10**12 else grams
    value = f"{told.get('value')} ({told.get('point')}, {told.get('quality')})" if isinstance(told, dict) else told
    made = " ".join(map(str, parents)) if isinstance(parents, dict) else parents
    photos = " ".join(photo.sha256 for photo in photos_of(record)) or None
    lacking = record.get("lacking")
    without = ", ".join(map(str, lacking)) if isinstance(lacking, list) else lacking
    party = record.get("supplier") or record.get("receiver") or record.get("holder")
    lot = record.get("lot") or f"{record.get('document', '')} {record.get('number', '')}".strip()
    kind = f"{record.get('type')}{', void' if record.get('void') else ''}{', disposal' if record.get('disposal') else ''}"
    return (
        record.get("record"), kind, lot, record.get("product"), weight, party, record.get("certificate"), record.get("slip"), record.get("zone"), value,
        record.get("expires"), made, photos, record.get("by"), record.get("reason"), record.get("corrects"), without,
    )  # fmt: skip


def gap_row(gap: Mapping[str, Any]) -> tuple[Any, ...]:
    """A gap's columns between its time and its number."""
    groups = gap.get("groups")
    return gap.get("gap"), gap.get("state"), gap.get("reason"), ", ".join(map(str, groups)) if isinstance(groups, list) else groups, gap.get("slots")


def _csv(columns: Sequence[str], rows: Iterable[str]) -> bytes:
    return (BOM + ",".join(columns) + "\r\n" + "".join(rows)).encode()
