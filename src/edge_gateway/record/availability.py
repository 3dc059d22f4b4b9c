"""What slot accounting says of each point and local day: how much of it good readings stand for; pure.

A point's availability on a day is the share of the time for which its group was expected, that day, that good readings stand for:
each for the time until the next slot, at most its interval. Memory is by points and days, never by readings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from edge_gateway.record.slots import Whose

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Doubt:
    """Of one point: time (µs) of readings that were not good."""

    uncertain_us: int = 0
    bad_us: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Cell:
    """One group on one day. Times in µs; slots are counted on the day that they begin in."""

    batch_us: int = 0
    gap_us: Counter[str] = field(default_factory=Counter)
    unexplained_us: int = 0
    doubts: dict[int, Doubt] = field(default_factory=dict)

    @property
    def expected_us(self) -> int:
        """For how long its readings were expected."""
        return self.batch_us + self.gap_us.total() + self.unexplained_us


@dataclass(slots=True)
class Slots:
    """A group's slots over the whole period: ``good``, ``bad`` (a point or more) by reason, in gaps by reason, unexplained, doubled."""

    good: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    gaps: Counter[str] = field(default_factory=Counter)
    unexplained: int = 0
    doubled: int = 0


@dataclass(frozen=True, slots=True)
class Stretch:
    """A gap, or (``reason`` empty) unexplained slots. Wall times in µs."""

    group: str
    since_us: int
    until_us: int
    slots: int
    reason: str


@dataclass(slots=True)
class Day:
    """One point's day. ``cell`` is its group's, ``doubt`` its own."""

    day: date
    point: str
    cell: Cell
    doubt: Doubt

    @property
    def good_us(self) -> int:
        """For how long good readings stand."""
        return self.cell.batch_us - self.doubt.uncertain_us - self.doubt.bad_us.total()

    @property
    def availability(self) -> float:
        """0 to 1: the share of the time expected that good readings stand for."""
        return self.good_us / self.cell.expected_us

    def with_(self, other: Day) -> Day:
        """The same day of the same point, in another group or configuration."""
        mine, its = self.cell, other.cell
        cell = Cell(mine.batch_us + its.batch_us, mine.gap_us + its.gap_us, mine.unexplained_us + its.unexplained_us)
        doubt = Doubt(self.doubt.uncertain_us + other.doubt.uncertain_us, self.doubt.bad_us + other.doubt.bad_us)
        return Day(self.day, self.point, cell, doubt)


class Availability:
    """A ``record.slots.Teller``. ``told`` hears of each gap and unexplained stretch; only what lies in ``period`` (µs) counts."""

    def __init__(self, zone: ZoneInfo, told: Callable[[Stretch], None] = lambda _: None, period: tuple[int, int] = (-(2**62), 2**62)) -> None:
        self.slots: dict[str, Slots] = {}
        self._zone, self._told, self._period = zone, told, period
        self._cells: dict[int, dict[Whose, Cell]] = {}
        self._day = (0, 0, 0)  # ordinal, and where it begins and ends (µs)

    def batch(self, whose: Whose, span: tuple[int, int], quality: Sequence[str] | None) -> None:
        """See ``record.slots.Teller``."""
        if self._period[0] <= span[0] < self._period[1]:
            its = self._slots(whose.group)
            bad = None if quality is None else next((mark for mark in quality if mark.startswith("bad")), None)
            if bad is None:
                its.good += 1
            else:
                its.bad[bad] += 1
        for ordinal, span_us in self._parts(span):
            cell = self._cell(ordinal, whose)
            cell.batch_us += span_us
            for column, mark in enumerate(quality or ()):
                if mark != "good":
                    doubt = cell.doubts.setdefault(column, Doubt())
                    if mark.startswith("bad"):
                        doubt.bad_us[mark] += span_us
                    else:
                        doubt.uncertain_us += span_us

    def gap(self, whose: Whose, span: tuple[int, int], slots: int, reason: str) -> None:
        """See ``record.slots.Teller``."""
        if self._outside(span):
            return
        self._slots(whose.group).gaps[reason] += slots
        self._told(Stretch(whose.group, *span, slots, reason))
        for ordinal, span_us in self._parts(span):
            self._cell(ordinal, whose).gap_us[reason] += span_us

    def unexplained(self, whose: Whose, span: tuple[int, int], slots: int) -> None:
        """See ``record.slots.Teller``."""
        if self._outside(span):
            return
        self._slots(whose.group).unexplained += slots
        self._told(Stretch(whose.group, *span, slots, ""))
        for ordinal, span_us in self._parts(span):
            self._cell(ordinal, whose).unexplained_us += span_us

    def doubled(self, whose: Whose, at_us: int) -> None:
        """See ``record.slots.Teller``."""
        if not self._outside((at_us, at_us)):
            self._slots(whose.group).doubled += 1

    def days(self) -> Iterator[Day]:
        """Every point's days, in order. A point whose group changed within a day has one day all the same."""
        for ordinal in sorted(self._cells):
            found: dict[str, Day] = {}
            for whose, cell in self._cells[ordinal].items():
                for column, point in enumerate(whose.points):
                    if cell.expected_us:
                        own = Day(date.fromordinal(ordinal), point, cell, cell.doubts.get(column, Doubt()))
                        found[point] = found[point].with_(own) if point in found else own
            yield from (found[point] for point in sorted(found))

    def _slots(self, group: str) -> Slots:
        return self.slots.setdefault(group, Slots())

    def _cell(self, ordinal: int, whose: Whose) -> Cell:
        return self._cells.setdefault(ordinal, {}).setdefault(whose, Cell())

    def _outside(self, span: tuple[int, int]) -> bool:
        return span[1] < self._period[0] or span[0] >= self._period[1]

    def _parts(self, span: tuple[int, int]) -> Iterator[tuple[int, int]]:
        """The span's share (µs) of each local day that it touches."""
        at_us, until_us = max(span[0], self._period[0]), min(span[1], self._period[1])
        while at_us < until_us:
            if not self._day[1] <= at_us < self._day[2]:
                self._day = _local_day(at_us, self._zone)
            end_us = min(until_us, self._day[2])
            yield self._day[0], end_us - at_us
            at_us = end_us


def _local_day(at_us: int, zone: ZoneInfo) -> tuple[int, int, int]:
    day = (_EPOCH + timedelta(microseconds=at_us)).astimezone(zone).date()
    begins, ends = (datetime(d.year, d.month, d.day, tzinfo=zone) for d in (day, day + timedelta(days=1)))
    return day.toordinal(), *((each.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1) for each in (begins, ends))  # type: ignore[return-value]

