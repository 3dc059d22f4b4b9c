"""Who is told of which readings: the tracks of each point and the plans of its groups; judges nothing.

A track is enlisted and dismissed while the gateway runs (a rule that is not armed is told of no readings, its shadow is).
Then the plans over its points are given up: the next batch of the group makes a new one.
"""

from __future__ import annotations

from edge_gateway.rules.conditions import CombinedTrack
from edge_gateway.rules.measure import Measured
from edge_gateway.rules.plan import Plan, Point
from edge_gateway.rules.track import Track
from edge_gateway.rules.windows import WindowTrack


class Roster:
    """Points by name, plans by their group's points, and the tracks that look at more than readings."""

    __slots__ = ("combined", "combining", "periods", "plans", "points")

    def __init__(self) -> None:
        self.points: dict[str, Point] = {}
        self.plans: dict[tuple[str, ...], Plan] = {}
        #: windows of civil hours and days: time's passing ends them
        self.periods: list[WindowTrack] = []
        #: rules over other rules, and their ids
        self.combined: list[CombinedTrack] = []
        self.combining: set[str] = set()

    def enlist(self, track: Track) -> None:
        """``track`` is told of its readings from now on, in the order of the rules."""
        point = self.points.setdefault(track.rule.point, Point())
        if isinstance(track, Measured):
            for at, name in enumerate(track.inputs):
                self.points.setdefault(name, Point()).measured.append((track, at))
            if isinstance(track, WindowTrack) and track.period:
                self.periods.append(track)
                self.periods.sort(key=_order)
            if isinstance(track, CombinedTrack):
                self.combined.append(track)
                self.combined.sort(key=_order)
                self.combining.add(track.rule.id)
            return
        point.add(track)
        for tracks in (point.tracks, point.rates, point.silences):
            tracks.sort(key=_order)

    def dismiss(self, track: Track) -> None:
        """``track`` is told of no more readings."""
        if isinstance(track, Measured):
            for name in track.inputs:
                point = self.points[name]
                point.measured = [each for each in point.measured if each[0] is not track]
            self.periods = [each for each in self.periods if each is not track]
            self.combined = [each for each in self.combined if each is not track]
            return
        point = self.points[track.rule.point]
        point.tracks = [each for each in point.tracks if each is not track]
        point.rates = [each for each in point.rates if each is not track]
        point.silences = [each for each in point.silences if each is not track]

    def plans_of(self, track: Track) -> list[Plan]:
        """The plans that ``track`` is part of."""
        names = {track.rule.point, *track.inputs} if isinstance(track, Measured) else {track.rule.point}
        plans = (self.points[name].plan for name in sorted(names) if name in self.points)
        return [plan for plan in plans if plan is not None]

    def give_up(self, plan: Plan) -> None:
        """Each of a plan's points keeps what it knows for itself."""
        plan.give_up()
        self.plans = {key: each for key, each in self.plans.items() if each is not plan}


def _order(track: Track) -> int:
    return track.order
