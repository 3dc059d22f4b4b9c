"""Readings of derived points again: what must stand behind each batch, by the formulas in force and the readings as journaled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edge_gateway.derived.core import SUMMED, Derivation
from edge_gateway.derived.formulas import State
from edge_gateway.reading import Value
from edge_gateway.recompute.base import BEFORE, Body, Unknown


class Following:
    """``note`` each batch, then ask what is ``expected`` of the derived batches that follow it."""

    def __init__(self) -> None:
        self._derivation = Derivation()
        #: readings that must follow, the next one last: (group, value, quality, surely)
        self._waiting: list[tuple[str, Value, str, bool]] = []
        #: False: the record begins in the middle, and inputs from before are not known
        self._whole = True
        self._heard: set[str] = set()
        #: False: what sums over time have come to is not known
        self._known = False

    def begins(self) -> None:
        """An epoch begins: what was cut off at the end of the last one follows no more."""
        self._waiting.clear()

    def lost(self) -> None:
        """Something could not be read: what depends on earlier readings is not known until a run begins."""
        self._whole = self._known = False
        self._heard.clear()
        self._waiting.clear()

    def run_began(self, *, damaged: bool) -> None:
        """Readings from before count no more; sums go on, unless the gateway itself could not read what they were."""
        self._derivation.forget()
        self._waiting.clear()
        self._known = self._known and not damaged
        self._whole = not damaged

    def use(self, resolved: Mapping[str, Any]) -> None:
        """A configuration comes into force."""
        self._derivation.use(resolved)

    def snapshot(self, sums: Mapping[str, Any], resolved: Mapping[str, Any] | None, *, first: bool) -> dict[str, State] | None:
        """What goes on over a snapshot: None when it is what was derived, or when there is nothing to derive it from."""
        own = self._derivation.snapshot()
        if self._known and not first:
            return None if own == sums else own
        if not self._known:
            self._whole = first and resolved is None
        self._derivation.restore(sums)
        if resolved is not None:
            self.use(resolved)
        self._known = True
        return None

    def note(self, entry: Body, points: tuple[str, ...], values: Sequence[Value]) -> None:
        """A batch as journaled: what must follow it stands before what was waiting already."""
        columns = points, values, entry.get("quality")
        made = self._derivation.note(str(entry["group"]), columns, int(entry["mono_us"]), int(entry["rule_us"]))
        if not self._whole:
            self._heard.update(points)
        for formula, value, mark in reversed(made):
            surely = (self._whole or self._heard.issuperset(formula.of)) and (self._known or formula.kind not in SUMMED)
            self._waiting.append((formula.group.id, value, mark, surely))

    def expected(self, group: str) -> tuple[Value, str] | Unknown | None:
        """The reading that must stand here for ``group``; None when another one must, or none."""
        if not self._waiting or self._waiting[-1][0] != group:
            return None if self._whole else Unknown(BEFORE)
        _, value, mark, surely = self._waiting.pop()
        return (value, mark) if surely else Unknown(BEFORE)

    def missing(self) -> str:
        """The group of a derived reading that should have come before this one; "" when none is missing."""
        if not self._waiting:
            return ""
        group = self._waiting[-1][0]
        self._waiting.clear()
        return group
