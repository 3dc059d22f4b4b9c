"""Calibrations of probes: what they showed against a reference, by which certificate, and when the next is due; pure, changes no reading.

A correction is set where the figure is made (on the device, or in its profile or configuration, each an entry of its own); here
stands what was found before it and what was left after it.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_gateway.errors import GatewayError

AS_FOUND, AS_LEFT = "as-found", "as-left"
#: Marks under which a probe is calibrated.
MARKS = ("calibration", "probe-swap")
#: Warned so many days before the next is due.
WARN_DAYS = (90, 30)
MOST_TEXT = 128
#: Points whose calibration is remembered: more than a gateway has.
MOST_POINTS = 5_000
_DIGITS = 9
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

    def record(
        self, step: str, point: str, reading: Reading, asked: Mapping[str, Any], marks: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        """The body of the entry; ``marks``: those that run. ``error`` = reading − reference, in the point's unit. Raises CalibrationRefused."""
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
        self._keep(body)
        return body

    def last(self) -> dict[str, dict[str, Any]]:
        """By point what was found and left last: copies."""
        return {point: dict(about) for point, about in self._last.items()}

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
        about = {} if step == AS_FOUND else dict(self._last.pop(point, {}))
        before = self._last.pop(point, {})
        about[step] = {key: body[key] for key in ("mark", "reading", "reference", "error", "uncertainty", "certificate", "within") if key in body}
        due = body.get("due") or about.get("due") or before.get("due")
        self._last[point] = {**about, **({"due": due} if due else {})}
        if len(self._last) > MOST_POINTS:
            del self._last[next(iter(self._last))]


def _number(asked: Mapping[str, Any], key: str) -> float:
    value = asked.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or (key != "reference" and value < 0):
        raise CalibrationRefused(f"'{key}' is no number", hint=f"--{key}")
    return float(value)


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise CalibrationRefused(f'"{text}" is no date', hint="year-month-day, such as 2027-11-28") from None
