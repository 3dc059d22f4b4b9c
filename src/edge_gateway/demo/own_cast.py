"""Who at a site can play which part of a scenario, and what must then be on record by the site's own rules; pure.

A scenario is written for the demonstration's site. Here its parts go to the site's rooms and probes, what must come of it to
the site's own rules of the same kind, and its times stretch where the site's delays are longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_gateway.demo.cast import Cast
from edge_gateway.demo.scenarios import ENDED, Outcome, Scenario
from edge_gateway.rules.base import FIRED, VIOLATED, BoundRule

if TYPE_CHECKING:
    from edge_gateway.demo.own_site import OwnSite

#: A room warms by what separates it from its limit in less than this (s); so far two rooms must be apart to be told by their probes (K).
_WARMS_S, _APART = 480.0, 4.0
#: How fast the drifting probe drifts (K/s), and the simulated time that judging may take beside the delay (s).
_DRIFT_PER_S, _AIR_S = 12.0 / 3600, 90.0
#: Scenario -> what begins the excursion, and what must have come of it before which happening.
_SPAN = {
    "defrost": ("defrost-begun", "defrost-over"), "compressor-stop": ("compressor-stopped", "compressor-repaired"),
    "probe-unplugged": ("probe-unplugged", "probe-plugged"), "probe-swapped": ("probes-swapped", "probes-back"), "stuck-value": ("value-stuck", ENDED),
    "drift": ("drift-begun", ENDED), "clock-jump": ("compressor-stopped", "compressor-repaired"), "hub-down": ("compressor-stopped", "hub-back"),
    "ice-bath-calibration": ("as-found", "probe-back"),
}  # fmt: skip
#: Scenario -> which parts act in it, with what of its record is about each: (part, kind of rule, step).
_PARTS: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "door-open": (("door_air", "limit", "notice"),),
    "defrost": (("door_air", "limit", FIRED),),
    "compressor-stop": (("stopped_air", "limit", VIOLATED),),
    "probe-unplugged": (("stuck", "stale", VIOLATED),),
    "probe-swapped": (("warm_air", "limit", VIOLATED), ("cold_air", "limit", VIOLATED)),
    "stuck-value": (("stuck", "flat", "notice"),),
    "drift": (("drifting", "spread", "notice"),),
    "clock-jump": (("stopped_air", "limit", VIOLATED),),
    "hub-down": (("stopped_air", "limit", VIOLATED),),
    "ice-bath-calibration": (("bathed", "limit", FIRED),),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnScenario(Scenario):
    """``instead``: what may stand on record in place of a step that must. ``about``: points whose violations are nobody's surprise."""

    instead: Mapping[Outcome, tuple[Outcome, ...]]
    about: frozenset[str]

    def faults(self, steps: Iterable[Outcome]) -> list[tuple[Outcome, bool]]:
        """See Scenario."""
        found = set(steps)
        unwanted = ("violated", "notice") if self.quiet else ("violated",)
        return [(step, True) for step in self.must if found.isdisjoint((step, *self.instead.get(step, ())))] + [
            (step, False) for step in sorted(found.difference(self.must)) if step[2] in unwanted and step[1] not in self.about
        ]


def cast_of(site: OwnSite) -> tuple[Cast, dict[str, str]]:
    """The cast, and which point plays each part of ``_PARTS`` that somebody can play."""
    airs: dict[str, str] = {}
    for point, signal in site.signals.items():
        if signal.shows == "air":
            airs.setdefault(signal.place, point)
    watched = [room for room in site.rooms if _rules(site, airs.get(room, ""), "limit")]
    watched.sort(key=lambda room: site.rooms[room])
    door = watched[0] if watched else ""
    stopped = watched[1] if len(watched) > 1 and site.rooms[watched[1]] < 0 else door
    parts = {"door_air": airs.get(door, ""), "stopped_air": airs.get(stopped, ""), "stuck": airs.get(stopped, "")}
    # a bath of ice is warmer than a frozen store's limit only
    parts["bathed"] = airs.get(door, "") if door and site.rooms[door] < -_APART else ""
    swapped: dict[str, str] = {}
    if watched and site.rooms[watched[-1]] - site.rooms[door] > _APART:
        parts["cold_air"], parts["warm_air"] = airs[door], airs[watched[-1]]
        swapped = {airs[door]: airs[watched[-1]], airs[watched[-1]]: airs[door]}
    pairs = [other for rule in site.rules if rule.kind == "spread" for other in rule.others if other in site.points]
    parts["drifting"] = pairs[0] if pairs else ""
    return Cast(
        door_room=door, stopped_room=stopped, unplugged=_unit_of(site, parts["stuck"]), stuck=parts["stuck"], drifting=parts["drifting"],
        bathed=parts["bathed"], swapped=swapped,
    ), {part: point for part, point in parts.items() if point}  # fmt: skip


def _unit_of(site: OwnSite, point: str) -> str:
    """The first device behind the unit that carries a point: it stands for all of them."""
    its = next((device for device in site.devices if point in device["points"]), None)
    if its is None:
        return ""
    return str(next(device["id"] for device in site.devices if (device["bus"], device["unit"]) == (its["bus"], its["unit"])))


def _rules(site: OwnSite, point: str, kind: str) -> list[BoundRule]:
    """Rules of a kind that judge a point and are always armed."""
    return [rule for rule in site.rules if rule.kind == kind and point in (rule.point, *(rule.others if kind == "spread" else ())) and not rule.armed_in and not rule.season]


def fitted(scenario: Scenario, site: OwnSite, parts: Mapping[str, str]) -> OwnScenario | tuple[str, str]:
    """The scenario as this site can play it, or why it cannot, in English and Chinese."""
    must, instead, longest_s = [], {}, 0.0
    for part, kind, step in _PARTS.get(scenario.id, ()):
        point = parts.get(part, "")
        rules = [rule for rule in _rules(site, point, kind) if step != VIOLATED or not rule.notices_only] if point else []
        if not rules:
            en = f"a rule of kind '{kind}' that is always armed, at {point}" if point else f"a place for it that a rule of kind '{kind}' watches"
            return f"this site has not {en}", f"本站点没有{f'在测点 {point} 上' if point else '适合的测点及其'}始终启用的“{kind}”类规则"
        rule = min(rules, key=lambda each: _takes_s(each, step))
        outcome = (rule.id, rule.point, FIRED if rule.state else step)
        must.append(outcome)
        instead[outcome] = tuple((each.id, each.point, other) for each in rules for other in ((FIRED,) if each.state else (step, VIOLATED) if step == "notice" else (step,)))
        longest_s = max(longest_s, _takes_s(rule, step) + _warms_s(kind, rule))
    if scenario.id == "noisy-bus" and not site.serial:
        return "this site has no serial line that is acted", "本站点没有可模拟的串行线路"
    story = scenario.story
    extra_s = 0
    if scenario.id in _SPAN:
        first, last = _SPAN[scenario.id]
        times = {what: at_s for at_s, what in story} | {ENDED: scenario.lasts_s}
        extra_s = max(0, round(longest_s - (times[last] - times[first])))
        story = tuple((at_s + extra_s * (at_s > times[first]), what) for at_s, what in story)
    known = {name: getattr(scenario, name) for name in ("id", "en", "zh", "quiet", "jump_s", "timeout_s")}
    return OwnScenario(**known, story=story, lasts_s=scenario.lasts_s + extra_s, must=tuple(must), instead=instead, about=_about(scenario, site, parts))


def _takes_s(rule: BoundRule, step: str) -> float:
    """From the first offending reading to the step (s); a contact may excuse it for a while before."""
    after_us = rule.notice_after_us if step == "notice" or rule.violation_after_us is None else rule.violation_after_us
    excused_us = int(rule.terms.get("most_us", 0)) if rule.kind == "limit" else 0
    return (rule.after_us + after_us + excused_us) / 1e6


def _warms_s(kind: str, rule: BoundRule) -> float:
    if kind == "spread":
        return float(rule.high or 0) / _DRIFT_PER_S + _AIR_S
    return (_WARMS_S if kind == "limit" else 0.0) + _AIR_S + 2 * rule.fresh_us / 3e6


def names_of(scenario: Scenario, site: OwnSite, cast: Cast) -> dict[tuple[str, str], tuple[str, str]]:
    """The demonstration's names in what is told, and this site's in their place."""
    warm = site.zones.get(cast.drifting, "") if scenario.id == "drift" else next((site.zones[point] for point in cast.swapped if site.zones[point] != cast.door_room), "")
    rooms = {("cold store 1", "冷库1"): cast.door_room, ("cold store 2", "冷库2"): cast.stopped_room, ("the chilled store", "冷藏库"): warm}
    return {demo: site.zone_names[room] for demo, room in rooms.items() if room}


def _about(scenario: Scenario, site: OwnSite, parts: Mapping[str, str]) -> frozenset[str]:
    """Points of the rooms that act; without power, every point whose rules fire before it is back."""
    if scenario.id == "power-cut":
        return frozenset(rule.point for rule in site.rules if not rule.notices_only and _takes_s(rule, VIOLATED) < 900)
    zones = {site.zones[parts[part]] for part, _, _ in _PARTS.get(scenario.id, ()) if part in parts}
    return frozenset(point for point, zone in site.zones.items() if zone in zones)

