"""Readings as CSV for office programs or as JSON lines, streamed; pure but for the record that it is given to read.

CSV: UTF-8 with BOM (Chinese Excel garbles it otherwise), CRLF, local time, its offset and UTC beside each other, and
no text cell that a spreadsheet would run as a formula.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import orjson

from edge_gateway.history.record import Row

COLUMNS = ("time_local", "utc_offset", "time_utc", "point", "value", "unit", "quality", "epoch", "seq", "clock", "correction")
BOM = "\ufeff"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SPAN = re.compile(r"^(\d+)(min|h|d)$")
_SPANS = {"min": 60, "h": 3600, "d": 86_400}
#: Bytes handed out at once.
_CHUNK = 64 * 1024

Format = Literal["csv", "jsonl"]


@dataclass(slots=True)
class Count:
    """What an export held, known once it was read to its end."""

    rows: int = 0
    untrusted: int = 0
    corrected: int = 0


def export(
    rows: Iterable[Row], zone: ZoneInfo, how: Format, count: Count, *, empty: str = "", bom: bool = True
) -> Iterator[bytes]:
    """The export, in pieces. ``empty`` is the sentence in a CSV without readings. ``count`` is filled on the way."""
    head = ((BOM if bom else "") + ",".join(COLUMNS) + "\r\n") if how == "csv" else ""
    lines, size = [head], len(head)
    last_us, when = -1, ("", "", "")
    for row in rows:
        if row.time_us != last_us:
            last_us, when = row.time_us, times(row.time_us, zone)
        line = _csv(row, when) if how == "csv" else _json(row, when)
        count.rows += 1
        count.untrusted += row.clock == "untrusted"
        count.corrected += row.correction is not None
        lines.append(line)
        size += len(line)
        if size >= _CHUNK:
            yield "".join(lines).encode()
            lines, size = [], 0
    if how == "csv" and not count.rows and empty:
        lines.append(cell(empty) + "\r\n")
    if data := "".join(lines).encode():
        yield data


def times(time_us: int, zone: ZoneInfo) -> tuple[str, str, str]:
    """Local time, its offset from UTC, and UTC, to the microsecond."""
    utc = _EPOCH + timedelta(microseconds=time_us)
    local = utc.astimezone(zone)
    offset = local.strftime("%z")
    return (
        local.strftime("%Y-%m-%d %H:%M:%S.%f"),
        f"{offset[:3]}:{offset[3:5]}",
        utc.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    )


def _csv(row: Row, when: tuple[str, str, str]) -> str:
    value = "" if row.value is None else str(row.value)
    texts = (row.point, value if isinstance(row.value, int | float) else cell(value), row.unit, row.quality, row.epoch)
    point, number, unit, quality, epoch = texts
    return (
        f"{when[0]},{when[1]},{when[2]},{cell(point)},{number},{cell(unit)},{cell(quality)},{cell(epoch)},"
        f"{row.seq},{row.clock},{'' if row.correction is None else row.correction}\r\n"
    )


def cell(text: str) -> str:
    """A text cell: quoted where needed; what a spreadsheet would take for a formula gets a ``'`` before it.

    Integers beyond 2^53 come as text; they stay numbers.
    """
    if text.startswith(_FORMULA) and not text.removeprefix("-").isdigit():
        text = "'" + text
    if any(c in text for c in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


def _json(row: Row, when: tuple[str, str, str]) -> str:
    body: dict[str, Any] = {
        "time_us": row.time_us,
        "time_local": when[0],
        "utc_offset": when[1],
        "time_utc": when[2],
        "point": row.point,
        "value": row.value,
        "unit": row.unit,
        "quality": row.quality,
        "epoch": row.epoch,
        "seq": row.seq,
        "clock": row.clock,
    } | ({} if row.correction is None else {"correction": row.correction})
    return orjson.dumps(body).decode() + "\n"


def moment_us(text: str, zone: ZoneInfo, now_us: int) -> int:
    """A moment as people write it, in µs UTC: ``2026-03-05``, ``2026-03-05T14:00`` (local), with an offset, or ``24h`` ago.

    Raises ValueError saying what is understood.
    """
    if span := _SPAN.match(text):
        return now_us - int(span[1]) * _SPANS[span[2]] * 1_000_000
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(
            f"'{text}' is no moment; write 2026-03-05, 2026-03-05T14:00, 2026-03-05T06:00Z, or 30min, 24h, 7d for so long ago"
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    return (moment - _EPOCH) // timedelta(microseconds=1)


def day_us(text: str, zone: ZoneInfo) -> tuple[int, int]:
    """A local day's first and last-plus-one microsecond. Raises ValueError for what is no date."""
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"'{text}' is no date; write 2026-03-05") from error
    return moment_us(day.isoformat(), zone, 0), moment_us((day + timedelta(days=1)).isoformat(), zone, 0)
