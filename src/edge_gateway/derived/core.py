"""Derived points as readings come in: which formula is due, with which inputs, how old; pure, keeps what must outlive a restart.

A derived point has a reading for each reading of its first input, at that instant and in that slot. Its other inputs take part
with their newest reading, if it is no older than ``max_age``; else the result is ``bad:stale``. The result's quality is the
worst of its inputs'. A message that comes without the first input says nothing; the derived point is then ``bad:missing`` where
it has slots, and has no reading where it has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_gateway.derived import formulas
from edge_gateway.derived.formulas import State
from edge_gateway.reading import (
    BAD_MISSING,
    BAD_STALE,
    GOOD,
    UNCERTAIN_FUTURE,
    UNCERTAIN_LATE,
    UNCERTAIN_QUEUED,
    Group,
    Value,
)

#: Formulas that add up over time.
SUMMED = frozenset({"degree-minutes", "counter"})
#: Whose time is not the reading's own: such readings add nothing to a sum over time.
_NO_TIME = (UNCERTAIN_QUEUED, UNCERTAIN_FUTURE, UNCERTAIN_LATE)


@dataclass(frozen=True, slots=True)
class Formula:
    """One derived point: ``about`` has its constants; ``max_age_us`` one for each input."""

    point: str
    group: Group
    kind: str
    of: tuple[str, ...]
    about: dict[str, Any]
    max_age_us: tuple[int, ...]

    @property
    def key(self) -> str:
        """What a sum over time belongs to: with another limit or input it begins anew."""
        return f"{self.kind} {' '.join(self.of)} {self.about.get('limit_cel')} {self.about.get('side')} {self.about.get('modulus')}"


@dataclass(slots=True)
class _Plan:
    """What a batch of one group means here: columns that are inputs, formulas that it triggers."""

    points: tuple[str, ...]
    inputs: list[tuple[int, str]] = field(default_factory=list)
    due: list[Formula] = field(default_factory=list)


class Derivation:
    """``use`` a resolved configuration, ``note`` each batch. Only intake changes it."""

    def __init__(self) -> None:
        self._plans: dict[str, _Plan] = {}
        self._newest: dict[str, tuple[Value, str, int]] = {}
        self._sums: dict[str, State] = {}

    def use(self, resolved: Mapping[str, Any]) -> None:
        """Take over the derived points of a resolved configuration; sums over time go on where the formula is the same."""
        groups = {
            point: (id_, body) for id_, body in resolved.get("groups", {}).items() for point in body["points"]
        }
        found = [_formula(id_, body, groups) for id_, body in resolved.get("points", {}).items() if "derived" in body]
        wanted = {point for formula in found for point in formula.of}
        self._plans = {}
        for id_, body in resolved.get("groups", {}).items():
            points = tuple(body["points"])
            if wanted.isdisjoint(points):
                continue
            inputs = [(index, point) for index, point in enumerate(points) if point in wanted]
            self._plans[id_] = _Plan(points, inputs, [each for each in found if each.of[0] in points])
        self._newest = {point: known for point, known in self._newest.items() if point in wanted}
        keys = {formula.point: formula.key for formula in found}
        self._sums = {point: state for point, state in self._sums.items() if keys.get(point) == state.get("key")}

    def follow(self, groups: Iterable[str]) -> tuple[str, ...]:
        """The groups of derived points that have no readings while these groups have none."""
        found: list[str] = []
        waiting = list(groups)
        while waiting:
            plan = self._plans.get(waiting.pop())
            for formula in plan.due if plan else ():
                if formula.group.id not in found:
                    found.append(formula.group.id)
                    waiting.append(formula.group.id)
        return tuple(found)

    def note(
        self, group: str, columns: tuple[tuple[str, ...], Sequence[Value], Sequence[str] | None], mono_us: int, rule_us: int
    ) -> Sequence[tuple[Formula, Value, str]]:
        """A batch (points, values, quality) is in the record: the derived readings that follow from it, in order."""
        plan = self._plans.get(group)
        if plan is None:
            return ()
        points, values, quality = columns
        inputs = plan.inputs
        if points != plan.points:  # on its way when another configuration came into force
            inputs = [(index, point) for index, point in enumerate(points) if any(point == its for _, its in plan.inputs)]
        heard = set()
        for index, point in inputs:
            mark = GOOD if quality is None else quality[index]
            if mark != BAD_MISSING:
                self._newest[point] = values[index], mark, mono_us
                heard.add(point)
        made: list[tuple[Formula, Value, str]] = []
        for each in plan.due:
            if each.of[0] in heard:
                made.append((each, *self._compute(each, mono_us, rule_us)))
            elif each.group.interval_us:  # its slot must not pass in silence
                made.append((each, None, BAD_MISSING))
        return made

    def _compute(self, formula: Formula, mono_us: int, rule_us: int) -> tuple[Value, str]:
        found = [self._input(point, age_us, mono_us) for point, age_us in zip(formula.of, formula.max_age_us, strict=True)]
        quality = formulas.worst([mark for _, mark in found])
        values = [float(value) for value, _ in found if value is not None]
        known = len(values) == len(found) and not quality.startswith("bad")
        about = formula.about
        if formula.kind in SUMMED:
            return self._summed(formula, values[0] if known else None, quality, rule_us)
        if not known:
            return None, quality if quality.startswith("bad") else BAD_STALE
        if formula.kind == "flume":
            value, mark = formulas.flume(values[0], about)
        elif formula.kind == "sum":
            value, mark = formulas.total(values)
        else:
            value, mark = formulas.difference(values)
        return value, formulas.worst((mark, quality))

    def _input(self, point: str, max_age_us: int, mono_us: int) -> tuple[Value, str]:
        known = self._newest.get(point)
        if known is None or mono_us - known[2] > max_age_us:
            return formulas.stale()
        return known[0], known[1]

    def _summed(self, formula: Formula, value: float | None, quality: str, rule_us: int) -> tuple[Value, str]:
        state = self._sums.setdefault(formula.point, {"key": formula.key})
        if formula.kind == "counter":
            return formulas.counter(state, value, quality, formula.about)
        if quality in _NO_TIME:
            return formulas.rounded(state.get("sum", 0.0))[0], quality
        return formulas.degree_minutes(state, value, quality, formula.about, rule_us, formula.max_age_us[0])

    def snapshot(self) -> dict[str, State]:
        """Sums over time, JSON-able. Newest readings are not kept: after a restart they are old (``forget``)."""
        return {point: dict(state) for point, state in self._sums.items()}

    def forget(self) -> None:
        """A run begins: what was read before it is old, whatever the clock of another boot says; sums go on."""
        self._newest.clear()

    def restore(self, sums: Mapping[str, Any]) -> None:
        """Take over a snapshot's sums, before ``use``."""
        self._sums = {point: dict(state) for point, state in sums.items()}


def _formula(id_: str, body: Mapping[str, Any], groups: Mapping[str, tuple[str, Mapping[str, Any]]]) -> Formula:
    about = dict(body["derived"])
    group_id, group = groups[id_]
    own = Group(id=group_id, device=group["device"], points=tuple(group["points"]), interval_us=int(group["interval_us"]))
    return Formula(id_, own, str(about["kind"]), tuple(about["of"]), about, tuple(map(int, about["max_age_us"])))
