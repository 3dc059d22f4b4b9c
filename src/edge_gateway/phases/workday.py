"""When a phase of the working day begins by itself: at civil times of the site, or with a contact of the line; pure, begins none itself.

Only a trusted wall clock moves the schedule; the contact counts on rule time. Of several times that passed while nobody
looked the last one counts.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from edge_gateway.phases.core import CLOSING, CONTACT, ORDER, PRODUCTION, SCHEDULE, Phases
from edge_gateway.reading import GOOD

#: Somebody who is one phase ahead of the schedule since no longer than this stays there.
AHEAD_US = 12 * 3_600_000_000
#: Times that passed longer ago than this are not looked for, and how far ahead the next one is.
MOST_DAYS = 8
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_US = dt.timedelta(microseconds=1)


class Workday:
    """What is due, and what the contact said. ``use`` a configuration; ``note`` readings; let time ``pass``."""

    def __init__(self) -> None:
        self._begin: dict[str, dt.time] = {}
        self._days: frozenset[str] = frozenset()
        self._zone = ZoneInfo("Asia/Shanghai")
        #: the contact's point, the value that means that the line runs, and how long it must (µs): running, standing
        self._point, self._running, self._hold_us = "", 1.0, (0, 0)
        self._looked_us: int | None = None
        self._due: dict[str, Any] | None = None
        self._contact: dict[str, Any] = {}

    def use(self, resolved: Mapping[str, Any]) -> None:
        """A configuration comes into force. A schedule that begins to hold looks from now on; another contact is not known yet."""
        told = resolved.get("workday") or {}
        self._begin = {phase: dt.time.fromisoformat(told["begin"][phase]) for phase in ORDER if phase in told.get("begin", {})}
        self._days = frozenset(told.get("days") or WEEKDAYS)
        self._zone = ZoneInfo(resolved.get("site", {}).get("timezone") or "Asia/Shanghai")
        before, self._point = self._point or self._contact.get("point", ""), str(told.get("contact") or "")
        self._running = float(told.get("running", 1))
        self._hold_us = (round(float(told.get("running_for_s", 0)) * 1e6), round(float(told.get("standing_for_s", 0)) * 1e6))
        if not self._begin:
            self._looked_us = None
        if before != self._point:
            same = self._point and resolved.get("points", {}).get(self._point, {}).get("renamed_from") == before
            self._contact = self._contact | {"point": self._point} if same else {}
        due = self._due
        if due is not None and (not self._begin if due["how"] == SCHEDULE else not self._point):
            self._due = None

    # --- what happens ---------------------------------------------------------------------------------------------

    def note(self, columns: tuple[Sequence[str], Sequence[Any], Sequence[str] | None], rule_us: int, wall_us: int) -> None:
        """A batch's readings. What is late or doubtful says nothing of the contact; what is bad leaves it unknown."""
        points, values, quality = columns
        if not self._point or self._point not in points:
            return
        column = points.index(self._point)
        value, good = values[column], GOOD if quality is None else quality[column]
        if value is None or good.startswith("bad"):
            if self._contact:
                self._contact["doubt"] = True
            return
        if good != GOOD:
            return
        runs = float(value) == self._running
        if runs != self._contact.get("seen"):
            self._contact |= {"point": self._point, "seen": runs, "since_rule_us": rule_us, "since_wall_us": wall_us, "value": value}
        self._contact.pop("doubt", None)

    def passing(self, now: tuple[int, int], phases: Phases, *, trusted: bool, marked: frozenset[str] = frozenset()) -> None:
        """Time passed, as a ``tick`` entry says: ``now`` its rule and wall time. A contact in ``marked`` is being worked on: it says nothing."""
        rule_us, wall_us = now
        if trusted and self._begin:
            passed = None if self._looked_us is None else self._passed(self._looked_us, wall_us)
            self._looked_us = wall_us
            if passed is not None:
                self._due = {"phase": passed[1], "how": SCHEDULE, "due_wall_us": passed[0]}
        if self._point in marked:
            self._contact = {key: each for key, each in self._contact.items() if key in ("point", "on")}
        elif (at_us := self.due_us()) is not None and at_us <= rule_us:
            self._settle()
        if self._due is not None and self._needless(self._due, phases):
            self._due = None

    def _settle(self) -> None:
        """The contact held for long enough: whether the line runs now, and what begins with it."""
        known, before = self._contact, self._contact.get("on")
        known["on"] = known["seen"]
        if known["on"] or before:  # a line of which nothing was known, and that stands, stopped nothing
            phase = PRODUCTION if known["on"] else CLOSING
            self._due = {"phase": phase, "how": CONTACT, "due_wall_us": known["since_wall_us"], "point": known["point"], "value": known["value"]}

    def _needless(self, due: Mapping[str, Any], phases: Phases) -> bool:
        wanted, running = str(due["phase"]), phases.phase
        if running == wanted:
            return True
        if due["how"] == CONTACT:
            return wanted == CLOSING and running != PRODUCTION
        ahead = running is not None and (ORDER.index(running) - ORDER.index(wanted)) % len(ORDER) == 1
        return ahead and int(due["due_wall_us"]) - phases.since_wall_us < AHEAD_US

    # --- questions ------------------------------------------------------------------------------------------------

    def due(self, phases: Phases) -> dict[str, Any] | None:
        """The phase that is to begin by itself (``phase``, ``how``, ``due_wall_us``, of a contact ``point`` and ``value``), until it runs."""
        return None if self._due is None or self._due["phase"] == phases.phase else dict(self._due)

    def due_us(self) -> int | None:
        """Rule time at which the contact has held for long enough; None: nothing changes."""
        known = self._contact
        if "seen" not in known or known["seen"] == known.get("on") or "doubt" in known:
            return None
        return int(known["since_rule_us"]) + self._hold_us[0 if known["seen"] else 1]

    def by_itself(self) -> bool:
        """Whether any phase begins by itself here."""
        return bool(self._begin or self._point)

    def told(self, wall_us: int) -> dict[str, Any]:
        """What pages and commands show: the next time of the schedule, and what is known of the contact; empty parts where there is none."""
        coming = next(self._ahead(wall_us), None)
        found: dict[str, Any] = {"schedule": None, "contact": None}
        if coming is not None:
            found["schedule"] = {"phase": coming[1], "wall_us": coming[0]}
        if self._point:
            found["contact"] = {"point": self._point, "runs": self._contact.get("on")}
        return found

    def _ahead(self, wall_us: int) -> Iterator[tuple[int, str]]:
        day = self._day(wall_us)
        for later in range(-1, MOST_DAYS):
            yield from (each for each in self._times(day + dt.timedelta(days=later)) if each[0] > wall_us)

    def _passed(self, since_us: int, until_us: int) -> tuple[int, str] | None:
        """The last time of the schedule in (since, until], with its phase."""
        day = self._day(until_us)
        for back in range(MOST_DAYS):
            found = [each for each in self._times(day - dt.timedelta(days=back)) if since_us < each[0] <= until_us]
            if found:
                return max(found)
            if self._day(since_us) > day - dt.timedelta(days=back):
                break
        return None

    def _times(self, day: dt.date) -> Iterator[tuple[int, str]]:
        """When the phases of the working day that begins on ``day`` begin; one that is earlier by the clock begins behind midnight."""
        if not self._begin or WEEKDAYS[day.weekday()] not in self._days:
            return
        first = next(iter(self._begin.values()))
        for phase, time in self._begin.items():
            at = dt.datetime.combine(day + dt.timedelta(days=time < first), time, self._zone)
            yield (at - _EPOCH) // _US, phase

    def _day(self, wall_us: int) -> dt.date:
        return (_EPOCH + dt.timedelta(microseconds=wall_us)).astimezone(self._zone).date()

    # --- state ----------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """JSON-able; empty where no phase begins by itself."""
        told = {"looked_us": self._looked_us, "due": self._due and dict(self._due), "contact": dict(self._contact)}
        return {key: each for key, each in told.items() if each not in (None, {})}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a snapshot."""
        looked, due = state.get("looked_us"), state.get("due")
        self._looked_us, self._due = None if looked is None else int(looked), None if due is None else dict(due)
        self._contact = dict(state.get("contact") or {})
