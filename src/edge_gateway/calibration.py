"""Calibrations of probes: what they showed against a reference, by which certificate, and when the next is due; pure, changes no reading.

From now on a figure is put right where it is made (on the device, or in its profile or configuration, each an entry of its own);
here stands what was found before that and what was left after it, and which readings of the past were off by how much: a correction
is an entry more, and raw readings stay as they are.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_gateway.errors import GatewayError

AS_FOUND, AS_LEFT, CORRECTED = "as-found", "as-left", "corrected"
#: Marks under which a probe is calibrated.
MARKS = ("calibration", "probe-swap")
#: Warned so many days before the next is due.
WARN_DAYS = (90, 30)
MOST_TEXT = 128
#: Points whose calibration is remembered: more than a gateway has.
MOST_POINTS = 5_000
#: Corrections that are remembered of one point, the newest; the others are in the record.
MOST_CORRECTIONS = 10
_DIGITS = 9
#: What is remembered of a step, and of a correction.
_KEPT = ("mark", "reading", "reading_wall_us", "unit", "reference", "error", "uncertainty", "certificate", "within")
_CORRECTION = ("from_wall_us", "until_wall_us", "offset", "unit", "mark", "reason", "by", "implied", "wall_us", "seq")
_TEXTS = ("certificate", "medium", "due", "reason", "laboratory")


class CalibrationRefused(GatewayError):
    """What was asked for is no calibration: mark the point first, or say what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The newest reading of the point: nobody types it."""

    value: float
    unit: str
    wall_us: int


class Calibrations:
    """The last calibration of each point."""

    def __init__(self) -> None:
        self._last: dict[str, dict[str, Any]] = {}

    def draft(
        self, step: str, point: str, reading: Reading, asked: Mapping[str, Any], marks: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        """The body of the entry, to be ``replay``ed once it is added; ``marks``: those that run. ``error`` = reading − reference, in the point's unit. Raises CalibrationRefused."""
        mark = next((m["mark"] for m in marks if point in m["points"] and m["type"] in MARKS), None)
        if mark is None:
            raise CalibrationRefused(f"{point} is not marked as being calibrated", hint=f"edge-gateway mark start calibration --point {point} --for 45m …")
        if step not in (AS_FOUND, AS_LEFT):
            raise CalibrationRefused(f"no step '{step}'", hint="as-found or as-left")
        if step == AS_LEFT and self._last.get(point, {}).get(AS_FOUND, {}).get("mark") != mark:
            raise CalibrationRefused(f"what {point} showed before was not recorded under {mark}", hint="first `calibrate found`")
        texts = {key: str(asked.get(key) or "") for key in _TEXTS}
        for key in ("certificate", "reason"):
            if not texts[key].strip():
                raise CalibrationRefused(f"{key} is missing", hint=f"--{key}")
        if any(len(text) > MOST_TEXT for text in texts.values()):
            raise CalibrationRefused(f"a text is at most {MOST_TEXT} characters")
        if texts["due"]:
            _day(texts["due"])
        reference = _number(asked, "reference")
        error = round(reading.value - reference, _DIGITS)
        body: dict[str, Any] = {
            "step": step, "point": point, "mark": mark, "reading": reading.value, "unit": reading.unit, "reading_wall_us": reading.wall_us,
            "reference": reference, "error": error, "uncertainty": _number(asked, "uncertainty"), **{key: text for key, text in texts.items() if text},
        }  # fmt: skip
        if asked.get("allowed") is not None:
            allowed = _number(asked, "allowed")
            body |= {"allowed": allowed, "within": -allowed <= error <= allowed}
        return body

    def implied(self, left: Mapping[str, Any]) -> dict[str, Any] | None:
        """What an as-left implies of the past: as found the probe was beyond what is allowed, so its readings since the last calibration were off.

        The body of a ``corrected`` entry, or None: it was within, nobody said what is allowed, or somebody corrected it already.
        """
        about = self._last.get(str(left["point"]), {})
        found = about.get(AS_FOUND, {})
        by_hand = any(each.get("mark") == left["mark"] for each in about.get("corrections", ()))
        if left["step"] != AS_LEFT or found.get("within") is not False or by_hand:
            return None
        period = about.get("since_wall_us"), int(found["reading_wall_us"])
        words = {key: str(left[key]) for key in ("certificate", "reason", "by") if left.get(key)}
        return _corrected(str(left["point"]), found, period, -float(found["error"]), words) | {"implied": True}

    def correct(self, point: str, asked: Mapping[str, Any], now_us: int) -> dict[str, Any]:
        """A person's word that readings of a period were off: the right value is the reading plus ``offset``. Raises CalibrationRefused.

        ``from_wall_us``, ``until_wall_us`` (without them from the calibration before to the reading as found), ``offset`` (without it the
        error as found, turned round), ``certificate``, ``reason``.
        """
        about = self._last.get(point, {})
        found = about.get(AS_FOUND)
        if found is None or "reading_wall_us" not in found:
            raise CalibrationRefused(f"nothing is known of {point}'s error", hint="first `calibrate found`")
        words = {key: str(asked.get(key) or found.get(key) or "") for key in ("certificate", "reason")}
        if not words["reason"].strip():
            raise CalibrationRefused("reason is missing", hint="--reason")
        if any(len(text) > MOST_TEXT for text in words.values()):
            raise CalibrationRefused(f"a text is at most {MOST_TEXT} characters")
        begin = _instant(asked, "from_wall_us", about.get("since_wall_us"))
        end = _instant(asked, "until_wall_us", int(found["reading_wall_us"])) or 0
        if end > now_us or (begin is not None and begin >= end):
            raise CalibrationRefused("the period ends before it begins, or has not passed yet", hint="--from and --until, of readings that are on record")
        offset = round(_number(asked, "offset", least=None) if asked.get("offset") is not None else -float(found["error"]), _DIGITS)
        if not offset:
            raise CalibrationRefused("a correction by 0 is none", hint="--offset, in the point's unit")
        return _corrected(point, found, (begin, end), offset, words)

    def last(self) -> dict[str, dict[str, Any]]:
        """By point what was found and left last: copies."""
        return {point: dict(about) for point, about in self._last.items()}

    def correction(self, point: str) -> dict[str, Any] | None:
        """The newest correction of a point's readings; None where there is none."""
        made = self._last.get(point, {}).get("corrections")
        return dict(made[-1]) if made else None

    def valid(self, points: Sequence[str], unit: str, day: str | None) -> dict[str, Any] | None:
        """The newest step of the first of these points that was calibrated, with its ``due``, on a day (None: nobody vouches for one).

        None once the calibration has lapsed, where it was made in another unit, or says nothing of its uncertainty.
        """
        about = next((self._last[point] for point in points if point in self._last), {})
        newest, due = about.get(AS_LEFT) or about.get(AS_FOUND), str(about.get("due") or "")
        if not isinstance(newest, dict) or newest.get("unit") != unit or (day and due and due < day):
            return None
        known = isinstance(newest.get("uncertainty"), int | float)
        return newest | ({"due": due} if due else {}) if known else None

    def uncertainty(self, points: Sequence[str], unit: str, day: str | None) -> float | None:
        """What the ``valid`` calibration of these points says: their probe is known no better. In ``unit``."""
        about = self.valid(points, unit, day)
        return None if about is None else float(about["uncertainty"])

    def due(self, today: str) -> list[dict[str, Any]]:
        """Points whose next calibration is near or overdue on a day, the most urgent first: ``days`` left, negative when overdue."""
        found = []
        for point, about in self._last.items():
            told = about.get("due")
            if told and (days := (_day(told) - _day(today)).days) <= max(WARN_DAYS):
                found.append({"point": point, "due": told, "days": days, "overdue": days < 0, "soon": days <= min(WARN_DAYS)})
        return sorted(found, key=lambda each: (each["days"], each["point"]))

    # --- state ----------------------------------------------------------------------------------------------------

    def replay(self, entry: Mapping[str, Any]) -> None:
        """Take over a ``calibration`` entry that was journaled after the last snapshot."""
        self._keep(entry)

    def snapshot(self) -> dict[str, Any]:
        """JSON-able."""
        return self.last()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a snapshot."""
        self._last = {point: dict(about) for point, about in state.items()}

    def _keep(self, body: Mapping[str, Any]) -> None:
        point, step = str(body["point"]), str(body["step"])
        about = self._last.pop(point, {})
        if step == CORRECTED:
            made = {key: body[key] for key in _CORRECTION if key in body}
            about = about | {"corrections": [*about.get("corrections", ()), made][-MOST_CORRECTIONS:]}
        else:
            about = (_anew(about) if step == AS_FOUND else about) | {step: {key: body[key] for key in _KEPT if key in body}}
        due = body.get("due") or about.get("due")
        self._last[point] = {**about, **({"due": due} if due else {})}
        if len(self._last) > MOST_POINTS:
            del self._last[next(iter(self._last))]


def _anew(before: Mapping[str, Any]) -> dict[str, Any]:
    """What stays known of a point when it is calibrated again: its corrections, its date, and when its figures were known last."""
    known = (before.get(AS_LEFT) or before.get(AS_FOUND) or {}).get("reading_wall_us")
    kept = {key: before[key] for key in ("corrections", "due") if key in before}
    return kept | ({} if known is None else {"since_wall_us": known})


def _corrected(point: str, found: Mapping[str, Any], period: tuple[int | None, int], offset: float, words: Mapping[str, str]) -> dict[str, Any]:
    about = {key: found[key] for key in ("mark", "unit", "uncertainty") if key in found}
    return {"step": CORRECTED, "point": point, "points": [point], "from_wall_us": period[0], "until_wall_us": period[1], "offset": offset, "error": found["error"], **about, **words}


def _instant(asked: Mapping[str, Any], key: str, otherwise: int | None) -> int | None:
    value = asked.get(key)
    if value is None:
        return otherwise
    if isinstance(value, bool) or not isinstance(value, int):
        raise CalibrationRefused(f"'{key}' is no time", hint="--from and --until, of readings that are on record")
    return value


def _number(asked: Mapping[str, Any], key: str, *, least: float | None = 0.0) -> float:
    value = asked.get(key)
    least = None if key == "reference" else least
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or (least is not None and value < least):
        raise CalibrationRefused(f"'{key}' is no number", hint=f"--{key}")
    return float(value)


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise CalibrationRefused(f'"{text}" is no date', hint="year-month-day, such as 2027-11-28") from None
