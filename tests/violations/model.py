"""The life of violations once more, written from docs/reference/violations.md alone: what is permitted, and what becomes of it. Imports nothing of ours."""

from __future__ import annotations

from dataclasses import dataclass, field

HOURS = {"major": (1, 24, 72, 72, 24), "minor": (8, 72, 168, 24, 24)}
ASSESSED = {"cause", "severity", "zone", "period", "lots", "products"}
OPEN = ("new", "acknowledged", "correcting", "submitted")


@dataclass
class Case:
    """One violation as the page describes it. Times in hours."""

    number: int
    place: str
    severity: str
    found: bool = False
    notice: bool = False
    condition: str = "active"
    handling: str = "new"
    episode: int = 1
    returns: int = 0
    excursion: str = "violation"
    told: set[str] = field(default_factory=set)
    submitters: set[str] = field(default_factory=set)
    opener: set[str] = field(default_factory=set)
    asker: set[str] | None = None
    follows: int | None = None
    cause: Case | None = None
    recovered_h: float = 0.0
    awaited: float = 0.0
    due: dict[str, float] = field(default_factory=dict)

    def hours(self, what: str) -> int:
        return HOURS[self.severity][("acknowledge", "correct", "verify", "recur", "stable").index(what)]


class Model:
    """All of them; ``now`` is both clocks, in hours."""

    def __init__(self) -> None:
        self.cases: list[Case] = []
        self.count = 0
        self.ended: dict[str, tuple[int, float, str]] = {}

    def at(self, place: str) -> Case | None:
        return next((case for case in self.cases if case.place == place and not case.found), None)

    def of(self, number: int) -> Case | None:
        return next((case for case in self.cases if case.number == number), None)

    # --- readings ---------------------------------------------------------------------------------------------------

    def rule(self, what: str, place: str, severity: str, now: float) -> None:
        case = self.at(place)
        if case is None:
            self.count += 1
            case = Case(self.count, place, severity, notice=True)
            last = self.ended.get(place)
            if last is not None and now <= last[1]:
                case.follows = last[0]
                if last[2] == "withdrawn":
                    del self.ended[place]
            self.cases.append(case)
        before = case.condition
        if what in ("notice", "violated"):
            if before == "recovered" and not case.notice:
                case.episode += 1
            case.excursion = "notice" if what == "notice" else "violation"
        if what == "violated":
            case.notice = False
        case.condition = {"unknown": "unknown", "recovered": "recovered", "cancelled": "recovered"}.get(what, "active")
        if case.condition == "recovered":
            case.recovered_h = now
        if case.cause is not None and case.condition == "active" and not self.hides(case.cause):
            case.cause, case.handling = None, "new"
        if case.handling == "submitted" and case.condition == "active" and case.excursion == "violation":
            case.handling = "correcting"
            case.due.pop("correct", None)
        if case.notice and what == "cancelled":
            self.cases.remove(case)
        if case.condition != "active":
            self.over(case, now)
        self.clocks(now)

    def hides(self, cause: Case) -> bool:
        return cause in self.cases and cause.condition == "active" and cause.handling in OPEN

    def over(self, cause: Case, now: float) -> None:
        """By readings, and not known any more are two things: ten minutes, and at once."""
        if cause.condition == "unknown":
            self.let_go(cause)
            return
        for held in self.cases:
            if held.cause is cause:
                held.awaited = now + 1 / 6

    def let_go(self, cause: Case) -> None:
        for case in self.cases:
            if case.cause is cause and case.condition != "recovered":
                case.cause, case.handling, case.due = None, "new", {}

    def clocks(self, now: float) -> None:
        """Each deadline that should run and does not begins now; those that should not run are gone."""
        for case in self.cases:
            runs = {"new": ("acknowledge", "correct"), "acknowledged": ("correct",), "correcting": ("correct",), "submitted": ("verify",)}
            wanted = () if case.notice else runs.get(case.handling, ())
            case.due = {what: case.due.get(what, now + case.hours(what)) for what in wanted}

    # --- persons ----------------------------------------------------------------------------------------------------

    def second(self, case: Case, who: tuple[str, str]) -> bool:
        name, proof = who
        if proof == "hub":
            return True
        return proof == "secret" and name not in case.submitters | (case.asker or set()) | case.opener

    def person(self, step: str, number: int, who: tuple[str, str], told: set[str], now: float) -> bool:
        """Whether it is permitted; and if so, it is done. ``told``: parts of an assessment; ``worse`` raises the severity."""
        case = self.of(number)
        if case is None or case.notice or case.handling not in OPEN:
            return False
        allowed = getattr(self, "_" + step.replace("-", "_"))(case, who, told, now)
        if allowed:
            self.clocks(now)
        return bool(allowed)

    def _ack(self, case: Case, _who: object, _told: object, _now: float) -> bool:
        if case.handling != "new":
            return False
        case.handling = "acknowledged"
        return True

    def _correct(self, case: Case, _who: object, told: set[str], now: float) -> bool:
        if case.handling not in ("acknowledged", "correcting"):
            return False
        case.handling = "correcting"
        self._worse(case, told, now)
        case.told |= told - {"worse"}
        return True

    def _worse(self, case: Case, told: set[str], now: float) -> None:
        if "worse" in told and case.severity == "minor":
            case.severity = "major"
            case.due = {what: min(at, now + case.hours(what)) for what, at in case.due.items()}

    def _submit(self, case: Case, who: tuple[str, str], told: set[str], _now: float) -> bool:
        if case.handling != "correcting" or not case.told >= ASSESSED:
            return False
        if case.condition == "active" and not case.found:
            return False
        case.handling = "submitted"
        case.submitters.add(who[0])
        return True

    def _return(self, case: Case, who: tuple[str, str], _told: object, _now: float) -> bool:
        if case.handling != "submitted" or ((case.severity == "major" or case.found) and not self.second(case, who)):
            return False
        case.handling = "correcting"
        case.returns += 1
        case.due.pop("correct", None)
        return True

    def _state(self, case: Case, who: tuple[str, str], _told: object, now: float) -> bool:
        if case.handling != "submitted" or not case.found or case.condition == "recovered" or not self.second(case, who):
            return False
        case.condition, case.recovered_h = "recovered", now
        return True

    def _close(self, case: Case, who: tuple[str, str], _told: object, now: float) -> bool:
        if case.handling != "submitted" or case.condition != "recovered":
            return False
        if (case.severity == "major" or case.found) and not self.second(case, who):
            return False
        self.end(case, "closed", now)
        return True

    def _ask_withdrawal(self, case: Case, who: tuple[str, str], _told: object, _now: float) -> bool:
        if case.asker is not None:
            return False
        case.asker = {who[0]}
        return True

    def _drop_withdrawal(self, case: Case, who: tuple[str, str], _told: object, _now: float) -> bool:
        if case.asker is None or not (who[0] in case.asker or self.second(case, who)):
            return False
        case.asker = None
        return True

    def _withdraw(self, case: Case, who: tuple[str, str], _told: object, now: float) -> bool:
        if case.asker is None or not self.second(case, who):
            return False
        self.end(case, "withdrawn", now)
        return True

    def _refer(self, case: Case, who: tuple[str, str], _told: object, _now: float) -> bool:
        return self.second(case, who)

    def end(self, case: Case, how: str, now: float) -> None:
        case.handling = how
        self.let_go(case)
        self.cases = [other for other in self.cases if other is not case and other.cause is not case]
        if not case.found:
            self.ended[case.place] = (case.number, now + case.hours("recur"), how)

    def find(self, who: tuple[str, str], severity: str, now: float) -> None:
        self.count += 1
        self.cases.append(Case(self.count, f"found {self.count}", severity, found=True, opener={who[0]}))
        self.clocks(now)

    def hold(self, numbers: list[int], under: int, now: float) -> bool:
        cause = self.of(under)
        if cause is None or cause.handling == "merged" or cause.condition != "active" or under in numbers:
            return False
        for number in numbers:
            case = self.of(number)
            if case is None or case.handling == "merged":
                continue
            for each in [case, *(other for other in self.cases if other.cause is case)]:
                each.handling, each.cause, each.asker, each.awaited = "merged", cause, None, 0.0
                if each.severity == "major" and cause.severity == "minor":
                    cause.severity = "major"
                    cause.due = {what: min(at, now + cause.hours(what)) for what, at in cause.due.items()}
        self.clocks(now)
        return True

    def passing(self, now: float) -> None:
        """Time alone: what outlived its cause by ten minutes is new, minor ones close by themselves."""
        for case in self.cases:
            if case.cause is not None and case.condition != "recovered" and not self.hides(case.cause) and now >= case.awaited - 1e-9:
                case.cause, case.handling, case.due = None, "new", {}
        self.clocks(now)
        for case in list(self.cases):
            complete = (case.severity, case.handling, case.condition) == ("minor", "submitted", "recovered") and not case.found
            if complete and case.asker is None and now - case.recovered_h >= case.hours("stable"):
                self.end(case, "closed", now)
