"""The simulated plant of a site's own configuration: rooms that keep their set temperature, everything else steady; knows no register."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edge_gateway.demo.cast import Signal
from edge_gateway.demo.physics import Room, World

#: Whatever is to be kept, its surroundings are so much warmer (K): a room that nobody cools takes six minutes for 2 K.
_WARMER = 32.0
#: A thermostat switches so far from what is to be kept (K).
_SWING = 0.5


class OwnWorld(World):
    """``rooms``: zone -> the air temperature that it keeps (°C). ``signals``: what each point shows."""

    def __init__(self, seed: int, rooms: Mapping[str, float], signals: Mapping[str, Signal]) -> None:
        self._signals = signals
        self._set = rooms
        super().__init__(seed)

    def _build(self) -> None:
        self.rooms = {
            zone: Room(kept, on_above=kept + _SWING, off_below=kept - _SWING, ambient=kept + _WARMER) for zone, kept in self._set.items()
        }
        self.baths = {}
        self._amounts = {point: signal.noise for point, signal in self._signals.items() if signal.noise}

    def _probes(self) -> dict[str, Callable[[], float]]:
        return {point: self._shown(signal) for point, signal in self._signals.items()}

    def _shown(self, signal: Signal) -> Callable[[], float]:
        if signal.shows == "total":
            return lambda: 1000.0 + signal.value * self.at_s / 3600
        if (room := self.rooms.get(signal.place)) is None:
            return lambda: signal.value
        return {
            "air": lambda: room.temperature,
            "humidity": lambda: room.humidity,
            "door": lambda: float(room.door_open),
            "defrost": lambda: float(room.defrosting),
        }[signal.shows]
