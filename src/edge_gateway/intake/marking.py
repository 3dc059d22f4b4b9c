"""Marks on their way into the record: a person's steps, each an entry, then which rules are armed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from edge_gateway.intake.loop import Intake
from edge_gateway.intake.unmoved import unmoved
from edge_gateway.marks import MarkRefused, Now

#: Of what was beyond its limit already when a mark began: so many are named.
MOST_NAMED = 50
SCOPES = ("points", "devices", "zones")


async def start_mark(intake: Intake, type_: str, scope: Mapping[str, Sequence[str]], for_us: int, who: tuple[str, str]) -> dict[str, Any]:
    """A mark begins; ``who``: the OS user and the reason. Durable on return. Raises MarkRefused."""

    def begin(now: Now) -> dict[str, Any]:
        state = intake.state
        body = state.marks.start(type_, scope, scoped(state.resolved.get("points", {}), scope), for_us, now)
        after = _beyond(intake, str(body["mark"]))
        state.marks.note_after(str(body["mark"]), after)
        return body | ({"after": after} if after else {})

    return await _step(intake, begin, who)


async def extend_mark(intake: Intake, id_: str, for_us: int, who: tuple[str, str]) -> dict[str, Any]:
    """A mark lasts so long from now on. Durable on return. Raises MarkRefused."""
    return await _step(intake, lambda now: intake.state.marks.extend(id_, for_us, now), who)


async def end_mark(intake: Intake, id_: str, who: tuple[str, str]) -> dict[str, Any]:
    """A mark is over. Durable on return. Raises MarkRefused."""
    return await _step(intake, lambda now: intake.state.marks.end(id_, now), who)


def scoped(points: Mapping[str, Any], scope: Mapping[str, Sequence[str]]) -> list[str]:
    """The points of a scope, and those derived from one of them. Raises MarkRefused for a name that is not there."""
    for key, known in (("points", set(points)), ("devices", _told(points, "device")), ("zones", _told(points, "zone"))):
        strange = sorted(set(scope.get(key, ())) - known)
        if strange:
            raise MarkRefused(f"no point lies in {key[:-1]} '{strange[0]}'" if key != "points" else f"no point '{strange[0]}'", hint="`edge-gateway read` and `status` name them")
    wanted = {id_ for id_, about in points.items() if id_ in scope.get("points", ()) or _lies_in(about, scope)}
    while True:
        made = {id_ for id_, about in points.items() if id_ not in wanted and wanted & set(about.get("derived", {}).get("of", ()))}
        if not made:
            return sorted(wanted)
        wanted |= made


def _lies_in(about: Mapping[str, Any], scope: Mapping[str, Sequence[str]]) -> bool:
    return about.get("device", "") in scope.get("devices", ()) or about.get("zone", "") in scope.get("zones", ())


def _told(points: Mapping[str, Any], key: str) -> set[str]:
    return {str(about[key]) for about in points.values() if about.get(key)}


def _beyond(intake: Intake, id_: str) -> list[dict[str, Any]]:
    """Armed rules in a mark that were beyond their limit before it began."""
    state = intake.state
    keys: Iterable[tuple[str, str]] = [key for key, ref in state.marks.refs(state.rules()).items() if id_ in ref.split(",")]
    found = [(rule, point, first) for rule, point in keys if (first := state.engine.excursion(rule, point)) is not None]
    told = [{"rule": rule, "point": point, "since_wall_us": first.wall_us} for rule, point, first in found]
    return sorted(told, key=lambda each: (each["rule"], each["point"]))[:MOST_NAMED]


async def _step(intake: Intake, act: Callable[[Now], dict[str, Any]], who: tuple[str, str]) -> dict[str, Any]:
    async def step() -> object:
        _, stamp = await intake.moment()
        with unmoved(intake.state.marks):
            body = act(Now(rule_us=stamp.rule_us, wall_us=stamp.wall_us, by=who[0], reason=who[1]))
            intake.fits("mark", [body], stamp)
        return body | {"seq": await intake.add_mark(body, stamp)}

    result = await intake.command(step)
    return dict(result) if isinstance(result, Mapping) else {}
