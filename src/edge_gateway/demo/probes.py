"""What probes show of the simulated site when something is wrong with them: stuck, drifting, swapped, in a bath, silent; knows no bus."""

from __future__ import annotations

from edge_gateway.demo.physics import World

#: Point -> the point at whose place its probe hangs.
_SWAPPED = {"cold1-air": "chill1-air", "cold1-rh": "chill1-rh", "chill1-air": "cold1-air", "chill1-rh": "cold1-rh"}
_DRIFT_PER_S = 12.0 / 3600  # °C: much faster than real probes, so that an hour shows it
#: An ice bath, and the error that the probe has in it.
_BATH = 0.3
_STUCK, _DRIFTING, _BATHED, _UNPLUGGED = "cold2-air", "chill1-entry-air", "cold1-air", "cold2-th"


class Probes:
    """``apply`` what happens, ask for a ``value``. Without a happening each probe shows the world as it is."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.silent: set[str] = set()  # devices
        self.dark = False  # no power: nothing answers, nothing cools
        self.noisy = False
        self._swapped = self._bathed = False
        self._stuck: float | None = None
        self._drifts_since_s: int | None = None

    def value(self, point: str) -> float:
        """What the point's probe shows. Raises KeyError for a point that the site does not have."""
        if point == _STUCK and self._stuck is not None:
            return self._stuck
        if point == _BATHED and self._bathed:
            return _BATH
        shown = self._world.value(_SWAPPED.get(point, point) if self._swapped else point)
        if point == _DRIFTING and self._drifts_since_s is not None:
            shown += (self._world.at_s - self._drifts_since_s) * _DRIFT_PER_S
        return shown

    def apply(self, what: str) -> None:
        """Make it happen. What concerns no probe and no power changes nothing here."""
        match what:
            case "defrost-begun" | "defrost-over":
                self._world.rooms["cold1"].compressor_works = what == "defrost-over"
            case "power-cut" | "power-back":
                self.dark = what == "power-cut"
                for room in self._world.rooms.values():
                    room.compressor_works = not self.dark
            case "probe-unplugged":
                self.silent.add(_UNPLUGGED)
            case "probe-plugged":
                self.silent.discard(_UNPLUGGED)
            case "probes-swapped" | "probes-back":
                self._swapped = what == "probes-swapped"
            case "value-stuck":
                self._stuck = self._world.value(_STUCK)
            case "drift-begun":
                self._drifts_since_s = self._world.at_s
            case "noise-begun" | "noise-over":
                self.noisy = what == "noise-begun"
            case "probe-in-bath" | "probe-back":
                self._bathed = what == "probe-in-bath"
