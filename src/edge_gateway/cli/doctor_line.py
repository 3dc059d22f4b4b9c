"""One line asked for a while without a gateway: every configured unit in turn, counted and judged; records nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from edge_gateway.clock import SystemClock
from edge_gateway.profiles.spec import DeviceSpec

#: Between two rounds (s): this is no race.
_PAUSE_S = 0.2


async def look(config: Any, bus_id: str, specs: Sequence[DeviceSpec], duration_s: float) -> Mapping[str, Any]:
    """What the source's ``health`` says after asking all units over and over for ``duration_s``."""
    clock = SystemClock()
    source = config.build(bus_id, specs, clock)
    loop = asyncio.get_running_loop()
    ends_s = loop.time() + duration_s
    try:
        while loop.time() < ends_s:
            for poll in source.bus.polls:
                if loop.time() < ends_s:
                    await source.turns.take(poll, clock.mono_us())
            await asyncio.sleep(_PAUSE_S)
        source.turns.watch.forget()
        health: Mapping[str, Any] = source.health()
        return health
    finally:
        source.close()
