"""What probes show of the simulated site when something is wrong with them: stuck, drifting, swapped, in a bath, silent; knows no bus."""

from __future__ import annotations

from edge_gateway.demo.cast import DEMO, Cast
from edge_gateway.demo.physics import World

_DRIFT_PER_S = 12.0 / 3600  # °C: much faster than real probes, so that an hour shows it
#: An ice bath, and the error that the probe has in it.
_BATH = 0.3


class Probes:
    """``apply`` what happens, ask for a ``value``. Without a happening each probe shows the world as it is."""

    def __init__(self, world: World, cast: Cast = DEMO) -> None:
        self._world = world
        self._cast = cast
        self.silent: set[str] = set()  # devices
        self.dark = False  # no power: nothing answers, nothing cools
        self.noisy = False
        self._swapped = self._bathed = False
        self._stuck: float | None = None
        self._drifts_since_s: int | None = None

    def value(self, point: str) -> float:
        """What the point's probe shows. Raises KeyError for a point that the site does not have."""
        if point == self._cast.stuck and self._stuck is not None:
            return self._stuck
        if point == self._cast.bathed and self._bathed:
            return _BATH
        shown = self._world.value(self._cast.swapped.get(point, point) if self._swapped else point)
        if point == self._cast.drifting and self._drifts_since_s is not None:
            shown += (self._world.at_s - self._drifts_since_s) * _DRIFT_PER_S
        return shown

    def apply(self, what: str) -> None:
        """Make it happen. What concerns no probe and no power changes nothing here."""
        match what:
            case "defrost-begun" | "defrost-over":
                room = self._world.rooms[self._cast.door_room]
                room.compressor_works, room.defrosting = what == "defrost-over", what == "defrost-begun"
            case "power-cut" | "power-back":
                self.dark = what == "power-cut"
                for room in self._world.rooms.values():
                    room.compressor_works = not self.dark
            case "probe-unplugged":
                self.silent.add(self._cast.unplugged)
            case "probe-plugged":
                self.silent.discard(self._cast.unplugged)
            case "probes-swapped" | "probes-back":
                self._swapped = what == "probes-swapped"
            case "value-stuck":
                self._stuck = self._world.value(self._cast.stuck)
            case "drift-begun":
                self._drifts_since_s = self._world.at_s
            case "noise-begun" | "noise-over":
                self.noisy = what == "noise-begun"
            case "probe-in-bath" | "probe-back":
                self._bathed = what == "probe-in-bath"
