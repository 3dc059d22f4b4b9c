"""A line's health as JSON-able words and figures, judged again only every few seconds; knows no devices and no language."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from edge_gateway.links.health import Finding, judge
from edge_gateway.links.modbus_trace import DAMAGED, LineRecord, Trace, UnitRecord

#: Status, page and metrics ask often; a judgement is this old at most (s).
FRESH_S = 5.0


class Watch:
    """Looks at one trace."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._judged_s = -FRESH_S
        self._report: dict[str, Any] = {}

    def report(self, now_s: float, units: Collection[int]) -> dict[str, Any]:
        """``findings`` (gravest first) and ``units`` (address as text -> counters since the line was made).

        Only of ``units``: what a person asks of any other address by hand is no fault of the line.
        """
        if now_s - self._judged_s >= FRESH_S:
            self._judged_s = now_s
            record = self._trace.record()
            known = tuple(unit for unit in record.units if unit.unit in units)
            self._report = shown(replace(record, units=known))
        return self._report

    def forget(self) -> None:
        """Judge anew when asked next."""
        self._judged_s = -FRESH_S


def shown(record: LineRecord) -> dict[str, Any]:
    """The judgement of a record."""
    return {
        "findings": [_finding(finding) for finding in judge(record)],
        "units": {str(unit.unit): _counters(unit) for unit in record.units},
    }


def _finding(finding: Finding) -> dict[str, Any]:
    """``hours``: beginnings of hours, wall seconds."""
    return {
        "code": finding.code,
        "level": finding.level,
        "causes": list(finding.causes),
        "units": list(finding.units),
        "figures": dict(finding.figures),
        "hours": [hour * 3600 for hour in finding.hours],
    }


def _counters(unit: UnitRecord) -> dict[str, int]:
    totals = unit.totals
    return {
        "frames": totals["answer"] + totals["padded"],
        "timeouts": totals["silence"],
        "crc_errors": totals["crc"],
        "damaged": sum(totals[name] for name in DAMAGED),
        "exceptions": totals["exception"],
        "late": totals["late"],
        "retries": unit.retries,
    }
