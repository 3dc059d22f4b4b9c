"""What happens at the simulated site, second by second: small deterministic models; knows no register, no topic, no clock.

The state after ``n`` seconds is a function of seed, story and ``n`` alone: noise is drawn once a simulated second for each
point, whoever asks and however often.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

#: One step of the models, in simulated seconds.
STEP_S = 1


@dataclass(slots=True)
class Room:
    """A cold room: heat comes in through walls and door (first order), a thermostat switches the compressor."""

    temperature: float
    on_above: float
    off_below: float
    ambient: float = 12.0
    wall_s: float = 5400.0  # time constant of the closed room
    door_s: float = 300.0  # the same of an open door, beside it
    cooling: float = 0.05  # °C a second while the compressor runs
    humidity: float = 78.0
    door_open: bool = False
    compressor_works: bool = True
    defrosting: bool = False
    running: bool = field(default=False)

    def step(self) -> None:
        """One second."""
        if self.temperature > self.on_above:
            self.running = True
        elif self.temperature < self.off_below:
            self.running = False
        warming = (self.ambient - self.temperature) / self.wall_s
        if self.door_open:
            warming += (self.ambient - self.temperature) / self.door_s
        if self.running and self.compressor_works:
            warming -= self.cooling
        self.temperature += warming * STEP_S
        self.humidity += ((95.0 if self.door_open else 78.0) - self.humidity) / 240.0


@dataclass(slots=True)
class Approach:
    """A quantity that goes to its target with a time constant: what is dosed, mixed, warmed or cooled."""

    value: float
    target: float
    time_s: float = 60.0

    def step(self) -> None:
        """One second."""
        self.value += (self.target - self.value) / self.time_s * STEP_S


def _rooms() -> dict[str, Room]:
    return {
        "cold1": Room(-20.3, on_above=-19.6, off_below=-20.6),
        "cold2": Room(-20.1, on_above=-19.6, off_below=-20.6, humidity=77.0),
        "chill1": Room(2.0, on_above=2.6, off_below=1.4, cooling=0.02),
        "precool": Room(1.6, on_above=2.2, off_below=1.0, cooling=0.02),
        "cutting": Room(9.6, on_above=10.2, off_below=9.2, ambient=24.0, cooling=0.02),
    }


def _baths() -> dict[str, Approach]:
    return {
        "chlorine": Approach(0.6, 0.6, 40.0),
        "hall-ph": Approach(7.3, 7.3),
        "hall-water": Approach(14.5, 14.5),
        "outlet-ph": Approach(7.4, 7.4),
        "outlet-water": Approach(22.0, 22.0, 600.0),
        "outlet-flow": Approach(6.2, 6.2, 120.0),
        "core1": Approach(1.4, 1.4),
        "core2": Approach(1.7, 1.7),
        "core3": Approach(1.9, 1.9),
    }


class World:
    """The whole site. ``advance`` steps it and applies ``happenings`` in time; ``value`` is what a perfect probe shows, with noise."""

    def __init__(self, seed: int) -> None:
        self.at_s = 0
        self.total_m3 = 18_250.0
        self.rooms: dict[str, Room] = {}
        self.baths: dict[str, Approach] = {}
        self._amounts: Mapping[str, float] = {}
        self._build()
        self._sources: Mapping[str, Callable[[], float]] = self._probes()
        self._random = {point: random.Random(f"{seed}:{point}") for point in self._sources}
        self._noise = dict.fromkeys(self._sources, 0.0)
        self._draw()

    def _build(self) -> None:
        """Rooms, baths and the noise of each probe."""
        self.rooms, self.baths, self._amounts = _rooms(), _baths(), _NOISE

    def step(self) -> None:
        """One second of everything."""
        self.at_s += STEP_S
        for room in self.rooms.values():
            room.step()
        for bath in self.baths.values():
            bath.step()
        if (flow := self.baths.get("outlet-flow")) is not None:
            self.total_m3 += flow.value * STEP_S / 3600
        self._draw()

    def value(self, point: str) -> float:
        """What the point's probe measures now. Raises KeyError for a point that the site does not have."""
        return self._sources[point]() + self._noise[point]

    def _draw(self) -> None:
        for point, amount in self._amounts.items():
            self._noise[point] = self._random[point].uniform(-amount, amount)

    def _probes(self) -> dict[str, Callable[[], float]]:
        rooms, baths = self.rooms, self.baths
        probes: dict[str, Callable[[], float]] = {}
        for id_, room in rooms.items():
            probes[f"{id_}-air"] = lambda room=room: room.temperature  # type: ignore[misc]
            probes[f"{id_}-rh"] = lambda room=room: room.humidity  # type: ignore[misc]
        for id_ in ("cold1", "cold2", "chill1"):
            probes[f"{id_}-door"] = lambda room=rooms[id_]: float(room.door_open)  # type: ignore[misc]
        for point, bath in _BATHS.items():
            probes[point] = lambda bath=baths[bath]: bath.value  # type: ignore[misc]
        probes["outlet1-total"] = lambda: self.total_m3
        # A second, wireless probe hangs at the chilled store's door, where it is a little warmer.
        probes["chill1-entry-air"] = lambda: rooms["chill1"].temperature + 0.4
        probes["chill1-entry-rh"] = lambda: rooms["chill1"].humidity + 3.0
        return probes


#: Point -> the bath that it measures.
_BATHS = {
    "hall-chlorine": "chlorine",
    "hall-ph": "hall-ph",
    "hall-water-temp": "hall-water",
    "outlet1-ph": "outlet-ph",
    "outlet1-temp": "outlet-water",
    "outlet1-flow": "outlet-flow",
    "offal-core1": "core1",
    "offal-core2": "core2",
    "offal-core3": "core3",
}
#: Noise of each probe, ± in its own unit. Contacts and totals have none.
_NOISE = {
    "cold1-air": 0.1, "cold2-air": 0.1, "chill1-air": 0.1, "precool-air": 0.1, "cutting-air": 0.1, "chill1-entry-air": 0.1,
    "cold1-rh": 0.6, "cold2-rh": 0.6, "chill1-rh": 0.6, "precool-rh": 0.6, "cutting-rh": 0.6, "chill1-entry-rh": 0.6,
    "hall-chlorine": 0.01, "hall-ph": 0.03, "hall-water-temp": 0.2, "outlet1-ph": 0.05, "outlet1-temp": 0.3,
    "outlet1-flow": 0.25, "offal-core1": 0.08, "offal-core2": 0.08, "offal-core3": 0.08,
}  # fmt: skip
