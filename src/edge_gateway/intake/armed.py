"""Follows the civil day that somebody vouches for, and tells the engine which rules are not armed on it; knows no rule's numbers."""

from __future__ import annotations

from collections.abc import Iterable

from edge_gateway.rules.arming import REASONS, disarmed, unarmed
from edge_gateway.rules.base import BoundRule, Step
from edge_gateway.rules.calendar import day_of
from edge_gateway.rules.engine import Engine


class Armed:
    """The picture in force. ``day`` is the last one that somebody vouched for, None if nobody ever did."""

    def __init__(self, day: str | None = None) -> None:
        self.day = day
        self._again = True
        self._told: dict[str, list[str]] = {}

    def again(self) -> None:
        """Other rules are in force: the picture must be told anew."""
        self._again = True

    def at(
        self, now: tuple[int, int], engine: Engine, rules: Iterable[BoundRule], *, trusted: bool
    ) -> tuple[list[Step], dict[str, list[str]] | None]:
        """At a ``config`` or ``tick`` entry, ``now`` its rule and wall time: the steps of rules that are armed or not any more.

        Besides the rules that are not armed, by reason, where they are others than were told last. A wall time that is not
        ``trusted`` moves no day.
        """
        day = day_of(now[1]) if trusted else self.day
        if day == self.day and not self._again:
            return [], None
        self.day, self._again = day, False
        picture = unarmed(rules, day)
        stands = {standing.why for _, standings in engine.standing() for standing in standings}
        steps: list[Step] = []
        for why in REASONS:
            if picture[why] or why in stands:
                steps += engine.stand(*now, why, picture[why])
        told, self._told = self._told, disarmed(picture)
        return steps, self._told if self._told != told else None
