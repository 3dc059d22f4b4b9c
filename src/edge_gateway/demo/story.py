"""What goes wrong at the simulated site, and when: a seeded list of happenings; pure, moves nothing itself.

The times leave room for the packs' delays, so that in 40 simulated minutes one notice ends by itself, three violations
begin and end, and the hub is away and is back-filled. After ``CYCLE_S`` it all happens again, a little otherwise.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from edge_gateway.demo.cast import DEMO, Cast
from edge_gateway.demo.physics import World
from edge_gateway.demo.probes import Probes

#: One round of the story, in simulated seconds.
CYCLE_S = 2700
#: Times shift by up to this, by the seed.
JITTER_S = 15
#: The hub is away for a simulated minute, but at least so many real seconds (at a high speed nobody would see it).
CUT_S, CUT_REAL_S, CUT_MOST_S = 60, 4, 600


@dataclass(frozen=True, slots=True)
class Happening:
    """``what`` happens ``at_s`` simulated seconds after the story's begin."""

    at_s: int
    what: str


#: What can happen: id -> (English, Chinese).
TEXTS: dict[str, tuple[str, str]] = {
    "chlorine-empty": ("the chlorine tank of the cleaning hall runs empty", "清洗间加氯罐用尽"),
    "chlorine-refilled": ("the chlorine tank is refilled", "加氯罐已补充"),
    "compressor-stopped": ("the compressor of cold store 2 stops", "冷库2 压缩机停机"),
    "compressor-repaired": ("the compressor of cold store 2 runs again", "冷库2 压缩机恢复运行"),
    "door-opened": ("the door of cold store 1 is left open", "冷库1 库门未关"),
    "door-closed": ("the door of cold store 1 is shut", "冷库1 库门已关"),
    "hub-cut": ("the line to the hub is cut: the site goes on alone", "与监管端的线路中断：现场独立运行"),
    "hub-back": ("the line to the hub is back: what it missed is delivered", "与监管端的线路恢复：补传缺失数据"),
    "outlet-acid": ("acid runs into the wastewater", "酸液流入废水"),
    "outlet-neutral": ("the wastewater is neutralised", "废水已中和"),
}
_TIMES = {
    "chlorine-empty": 60,
    "compressor-stopped": 120,
    "door-opened": 300,
    "door-closed": 480,
    "chlorine-refilled": 585,
    "hub-cut": 630,
    "outlet-acid": 930,
    "outlet-neutral": 1440,
    "compressor-repaired": 1590,
}


def happenings(seed: int, speed: float, cycles: int | None = None) -> Iterator[Happening]:
    """The story in order of time, ``cycles`` rounds of it or without end."""
    cycle = 0
    while cycles is None or cycle < cycles:
        shift = random.Random(f"{seed}:story:{cycle}")
        start_s = cycle * CYCLE_S
        times = {what: start_s + at_s + shift.randint(0, JITTER_S) for what, at_s in _TIMES.items()}
        times["hub-back"] = times["hub-cut"] + min(max(CUT_S, round(CUT_REAL_S * speed)), CUT_MOST_S)
        yield from sorted((Happening(at_s, what) for what, at_s in times.items()), key=lambda h: (h.at_s, h.what))
        cycle += 1


def apply(world: World, what: str, cast: Cast = DEMO) -> None:
    """Make it happen at the site. What concerns only the line to the hub changes nothing there."""
    match what:
        case "door-opened" | "door-closed":
            world.rooms[cast.door_room].door_open = what == "door-opened"
        case "compressor-stopped" | "compressor-repaired":
            world.rooms[cast.stopped_room].compressor_works = what == "compressor-repaired"
        case "chlorine-empty":
            world.baths["chlorine"].target = 0.02
        case "chlorine-refilled":
            world.baths["chlorine"].target = 0.6
        case "outlet-acid":
            world.baths["outlet-ph"].target = 5.1
        case "outlet-neutral":
            world.baths["outlet-ph"].target = 7.4


class Telling:
    """World, probes and story together: ``advance`` brings them to a time and returns what happened on the way.

    ``coming``: other happenings than the demonstration's, in order of time. ``own``: another site than the demonstration's, and who plays there.
    """

    def __init__(self, seed: int, speed: float, coming: Iterator[Happening] | None = None, own: tuple[World, Cast] | None = None) -> None:
        self.world, self._cast = own or (World(seed), DEMO)
        self.probes = Probes(self.world, self._cast)
        self._coming = happenings(seed, speed) if coming is None else coming
        self._next = next(self._coming, None)

    def advance(self, to_s: float) -> list[Happening]:
        """Step to ``to_s`` simulated seconds; happenings in order. Going back is not possible and changes nothing."""
        happened = []
        while self.world.at_s + 1 <= to_s:
            self.world.step()
            while self._next is not None and self._next.at_s <= self.world.at_s:
                apply(self.world, self._next.what, self._cast)
                self.probes.apply(self._next.what)
                happened.append(self._next)
                self._next = next(self._coming, None)
        return happened
