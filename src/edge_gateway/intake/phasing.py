"""Phases on their way into the record: what rules say of automatic items, a person's steps, then which rules are armed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edge_gateway.intake import items
from edge_gateway.intake.loop import Intake
from edge_gateway.intake.unmoved import unmoved
from edge_gateway.phases import Signer


def look(intake: Intake, mono_us: int, wall_us: int) -> list[dict[str, Any]]:
    """The items of the phase that runs, each with its state and evidence."""
    return items.look(intake.state, intake.latest, (mono_us, wall_us))


async def sign_item(intake: Intake, item: str, who: Signer) -> dict[str, Any]:
    """Somebody signs an item. Durable on return. Raises PhaseRefused."""
    return await _step(intake, lambda seen, wall_us: intake.state.phases.sign(seen, item, who, wall_us))


async def next_phase(intake: Intake, who: Signer) -> dict[str, Any]:
    """The next phase begins. Durable on return. Raises PhaseRefused."""
    return await _step(intake, lambda seen, wall_us: intake.state.phases.next(seen, who, wall_us))


async def _step(intake: Intake, act: Callable[[list[dict[str, Any]], int], dict[str, Any]]) -> dict[str, Any]:
    async def step() -> object:
        _, stamp = await intake.moment()
        with unmoved(intake.state.phases):
            body = act(look(intake, stamp.mono_us, stamp.wall_us), stamp.wall_us)
            intake.fits("phase", [body], stamp)
        seq = await intake.add("phase", body, stamp=stamp, urgent=True)
        await intake.stand(stamp)
        return body | {"seq": seq}

    result = await intake.command(step)
    return dict(result) if isinstance(result, Mapping) else {}
