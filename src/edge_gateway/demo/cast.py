"""Who at a simulated site plays which part in the scenarios, and what its points show while nothing happens; data only.

The demonstration's own site is the default; ``own_site`` fills in another one from its configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """Zones, points and devices by part; "" and {}: nobody can play it."""

    door_room: str = "cold1"
    stopped_room: str = "cold2"
    unplugged: str = "cold2-th"
    stuck: str = "cold2-air"
    drifting: str = "chill1-entry-air"
    bathed: str = "cold1-air"
    #: point -> the point at whose place its probe hangs once they are swapped
    swapped: Mapping[str, str] = field(
        default_factory=lambda: {"cold1-air": "chill1-air", "cold1-rh": "chill1-rh", "chill1-air": "cold1-air", "chill1-rh": "cold1-rh"}
    )


#: The demonstration's own.
DEMO = Cast()


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """What a point shows: ``air``, ``humidity``, ``door`` or ``defrost`` of a room (``place``), a ``total`` that grows by ``value`` an hour, or ``still`` about ``value``.

    ``noise``: ± in the point's unit.
    """

    shows: str
    place: str = ""
    value: float = 0.0
    noise: float = 0.0
