"""What people see of the working day: the phase that runs, what it began with, and what begins by itself next; decides nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edge_gateway.clock import Clock
from edge_gateway.intake.state import State
from edge_gateway.page.words import Words
from edge_gateway.phases import items_of


def told(state: State, clock: Clock) -> dict[str, Any]:
    """The phase that runs, and how it began; ``waits``: why one that is due by itself does not begin."""
    phases, workday = state.phases, state.workday
    now_us, due = clock.wall_us(), workday.due(phases)
    coming, waits = workday.told(now_us), None
    if due is not None:
        waits = {"why": "open", "phase": due["phase"], "due_wall_us": due["due_wall_us"]}
    elif coming["schedule"] is not None and not clock.trusted():
        waits = {"why": "clock", "phase": coming["schedule"]["phase"], "due_wall_us": coming["schedule"]["wall_us"]}
    found = {"phase": phases.phase, "since_wall_us": phases.since_wall_us, "by": phases.by, "how": phases.how, "left": list(phases.left)}
    return found | coming | {"waits": waits}


def problems(day: Mapping[str, Any]) -> Iterator[str]:
    """Sentences for ``status``, in English."""
    if (waits := day["waits"]) is not None:
        why = "closing has open items" if waits["why"] == "open" else "the clock is not trusted"
        yield f"phase {waits['phase']} is due by itself and waits: {why}"


def lines(day: Mapping[str, Any], resolved: Mapping[str, Any], words: Words) -> list[dict[str, Any]]:
    """What the page says of it: sentences, and whether one wants a person. Nothing where no phase was ever begun, nor begins by itself."""
    found: list[dict[str, Any]] = []

    def say(key: str, *, bad: bool = False, **values: str) -> None:
        found.append({"text": words.say(key, **values), "bad": bad})

    def when(wall_us: int) -> str:
        return f"{words.local(wall_us):%m-%d %H:%M}"

    names = {item.id: item.name_zh if words.language == "zh" else item.name_en for item in items_of(resolved.get("phases", {}))}
    if day["phase"] is not None:
        by = words.t[f"phase.by-{day['how']}"] if day["how"] else str(day["by"])
        say("phase.runs", phase=words.t[f"phase.{day['phase']}"], time=when(day["since_wall_us"]), by=by)
        if day["left"]:
            say("phase.left", items=words.t["phase.comma"].join(names.get(item, item) for item in day["left"]))
    if (waits := day["waits"]) is not None:
        say(f"phase.waits-{waits['why']}", bad=True, phase=words.t[f"phase.{waits['phase']}"], time=when(waits["due_wall_us"]))
    elif (next_ := day["schedule"]) is not None:
        say("phase.coming", phase=words.t[f"phase.{next_['phase']}"], time=when(next_["wall_us"]))
    return found
