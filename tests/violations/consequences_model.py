"""Causes and consequences once more, written from docs/reference/violations.md alone: who is told, and under whom the others go on. Imports nothing of ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

RANK = ("minor", "major")


@dataclass(eq=False)
class Case:
    """One notice or violation. Times in seconds."""

    number: int
    rule: str
    point: str
    severity: str
    since: float = 0.0
    notice: bool = True
    condition: str = "active"
    acknowledged: bool = False
    part: bool = False
    cause: Case | None = None
    awaited: float = 0.0
    points: set[str] = field(default_factory=set)
    zones: set[str] = field(default_factory=set)


#: Whether the first explains the second, and whether it does so because its rule says so.
Explains = Callable[[Case, Case], bool]


class Told:
    """All that is open. ``together``: two silences began at one time; ``declared``: a rule says that the other is its consequence."""

    def __init__(self, together: Explains, declared: Explains, zone_of: dict[str, str], severity: dict[str, str]) -> None:
        self.together, self.declared, self.zone_of, self.severity = together, declared, zone_of, severity
        self.cases: list[Case] = []
        self.count = 0

    def at(self, rule: str, point: str) -> Case | None:
        return next((case for case in self.cases if (case.rule, case.point) == (rule, point)), None)

    # --- who is whose ---------------------------------------------------------------------------------------------

    def held(self, cause: Case) -> list[Case]:
        return [case for case in self.cases if case.part and case.cause is cause]

    def under(self, cause: Case) -> list[Case]:
        return [each for case in self.held(cause) for each in (case, *self.under(case))]

    def over(self, case: Case) -> list[Case]:
        above = []
        while case.part and case.cause is not None and case.cause in self.cases:
            case = case.cause
            above.append(case)
        return above

    def explains(self, cause: Case, other: Case) -> bool:
        return (not cause.part and self.together(cause, other)) or self.declared(cause, other)

    def fits(self, cause: Case, other: Case) -> bool:
        seen = [cause, *self.over(cause)][-1]
        all_active = cause.condition == other.condition == seen.condition == "active"
        return all_active and not seen.part and self.explains(cause, other) and not (seen.notice and not other.notice)

    def put(self, cases: list[Case], cause: Case) -> None:
        for case in cases:
            all_of_it = self.under(case)
            for up in (cause, *self.over(cause)):
                for each in (case, *all_of_it):
                    up.points |= {each.point} | each.points
                    up.zones |= {self.zone_of[up.point], self.zone_of[each.point]} | each.zones
                    up.severity = max(up.severity, each.severity, key=RANK.index)
                up.zones.discard("")
            stay = [each for each in all_of_it if each.cause is not None and self.declared(each.cause, each) and not self.explains(cause, each)]
            moved = [case, *(each for each in all_of_it if each not in stay)]
            for each in moved:
                each.part, each.cause, each.awaited = True, cause, 0.0
            for each in moved:
                if not self.held(each):
                    each.points, each.zones = set(), set()

    # --- what happens ---------------------------------------------------------------------------------------------

    def step(self, what: str, rule: str, point: str, now: float, since: float) -> None:
        case = self.at(rule, point)
        if case is None:
            self.count += 1
            case = Case(self.count, rule, point, self.severity[rule])
            self.cases.append(case)
        case.since = since
        if what == "violated":
            case.notice = False
        case.condition = {"unknown": "unknown", "recovered": "recovered", "cancelled": "recovered"}.get(what, "active")
        if case.condition == "active" and case.part and not self.hidden(case):
            self.alone(case)
        for each in self.over(case):
            each.severity = max(each.severity, case.severity, key=RANK.index)
        if what == "cancelled" and case.notice:
            self.cases.remove(case)
        self.over_with(case, now)
        if what in ("notice", "violated"):
            self.sort_out(case)

    def over_with(self, case: Case, now: float) -> None:
        """By readings, and not known any more are two things: ten minutes, and at once."""
        for each in self.held(case):
            if case.condition == "recovered":
                each.awaited = now + 600
            elif case.condition == "unknown" and each.condition != "recovered":
                self.alone(each)

    def sort_out(self, case: Case) -> None:
        if case.part and case.cause is not None and not self.fits(case.cause, case):
            self.alone(case)
        if not case.part and not case.acknowledged:
            below = self.under(case)
            fitting = [each for each in self.cases if each is not case and each not in below and self.fits(each, case)]
            if fitting:
                self.put([case], min(fitting, key=lambda each: (each.part, each.number)))
        above = self.over(case)
        fresh = [each for each in self.cases if not each.part and not each.acknowledged and each is not case and each not in above]
        self.put([each for each in fresh if self.fits(case, each)], case)

    def hidden(self, case: Case) -> bool:
        return case.cause in self.cases and case.cause is not None and case.cause.condition == "active"

    @staticmethod
    def alone(case: Case) -> None:
        case.part, case.cause, case.awaited, case.acknowledged = False, None, 0.0, False

    def passing(self, now: float) -> None:
        for case in [each for each in self.cases if each.part and each.condition != "recovered"]:
            if not self.hidden(case) and now >= case.awaited:
                self.alone(case)

    def acknowledge(self, number: int) -> None:
        next(case for case in self.cases if case.number == number).acknowledged = True

    def withdraw(self, number: int) -> None:
        self.end(next(case for case in self.cases if case.number == number))

    def end(self, cause: Case) -> None:
        held = self.held(cause)
        self.cases.remove(cause)
        for case in held:
            if case.condition == "recovered":
                self.end(case)
            else:
                self.alone(case)
