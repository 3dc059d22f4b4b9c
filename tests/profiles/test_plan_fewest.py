"""The planner's requests are the fewest there can be: against an exhaustive search (small maps) and a proof by pairs (large ones).

Judged by a model of its own: a string of one character an address, written from the profile's words.
"""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest

from edge_gateway.profiles import plan as planner
from edge_gateway.profiles.plan import plan
from edge_gateway.profiles.spec import DeviceSpec
from tests.profiles.devices import device

N, SEED = 200, 4


class Map:
    """A random device, and an independent answer to: may addresses first … end-1 be one request?"""

    def __init__(self, random_: random.Random, *, large: bool) -> None:
        self.size = random_.randint(200, 1500) if large else random_.randint(8, 60)
        self.function = random_.choice((1, 2, 3, 4))
        bits = self.function < 3
        self.most = random_.randint(1, 200) if bits else random_.randint(4, 125 if large else 20)
        self.max_gap = random_.randint(0, 12)
        self.gap_readable = random_.random() < 0.6
        self.ranges = self._ranges(random_) if random_.random() < 0.3 else []
        self.items = self._items(random_, random_.randint(20, 160) if large else random_.randint(1, 9), bits)
        self.wanted = {name for name in self.items if random_.random() < 0.8} or set(self.items)
        taken = {a for first, end, _ in self.items.values() for a in range(first, end)}
        holes = [random_.randrange(self.size) for _ in range(random_.choice((0, 0, 1, 3)))]
        self.holes = [a for a in holes if a not in taken]

    def _ranges(self, random_: random.Random) -> list[tuple[int, int]]:
        cuts = sorted(random_.sample(range(1, self.size + 4), min(3, self.size)))
        bounds = [0, *cuts, self.size + 4]
        return [(a, b - 1) for a, b in pairwise(bounds)]

    def _items(self, random_: random.Random, count: int, bits: bool) -> dict[str, tuple[int, int, str]]:
        """Overlaps included: two channels may share registers."""
        found: dict[str, tuple[int, int, str]] = {}
        for n in range(count):
            kind = "bool" if bits else random_.choice(("uint16", "uint16", "int32", "float32", "uint64"))
            width = {"bool": 1, "uint16": 1, "int32": 2, "float32": 2, "uint64": 4}[kind]
            first = random_.randrange(self.size)
            if width > self.most or not self._one_range(first, first + width):
                continue
            found[f"c{n}"] = (first, first + width, kind)
        return found or {"c": (0, 1, "bool" if bits else "uint16")}

    def _one_range(self, first: int, end: int) -> bool:
        return not self.ranges or any(a <= first and end - 1 <= b for a, b in self.ranges)

    def may(self, first: int, end: int) -> bool:
        if end - first > self.most or not self._one_range(first, end):
            return False
        known = {a for lo, hi, _ in self.items.values() for a in range(lo, hi)}
        line = "".join("c" if a in known else "h" if a in self.holes else "." for a in range(first, end))
        if "h" in line:
            return False
        longest = max(map(len, line.split("c")))
        return longest == 0 or ((self.gap_readable or bool(self.ranges)) and longest <= self.max_gap)

    def device(self) -> DeviceSpec:
        channels: dict[str, dict[str, Any]] = {
            name: {"function": self.function, "register": first, "type": kind}
            for name, (first, _, kind) in self.items.items()
        }
        most = "max_bits" if self.function < 3 else "max_registers"
        traits: dict[str, Any] = {
            most: self.most,
            "gap_readable": self.gap_readable,
            "max_gap": self.max_gap,
            "holes": [(a, a) for a in self.holes],
            "ranges": [{"function": self.function, "first": a, "last": b} for a, b in self.ranges],
        }
        return device(channels, wanted=tuple(self.wanted), **traits)

    def spans(self) -> list[tuple[int, int]]:
        return sorted({self.items[name][:2] for name in self.wanted})


def fewest(of: Map) -> int:
    """Exhaustively: sets of spans that one request can cover, breadth first over what is covered."""
    spans = of.spans()
    windows = set()
    for first, _ in spans:
        for _, end in spans:
            if first < end and of.may(first, end):
                windows.add(frozenset(i for i, (a, b) in enumerate(spans) if first <= a and b <= end))
    covered, requests = {frozenset[int]()}, 0
    while frozenset(range(len(spans))) not in covered:
        covered = {some | window for some in covered for window in windows}
        requests += 1
    return requests


def greedy(of: Map) -> int:
    """From left to right, as far as one request reaches: what anybody would do by hand."""
    requests, first, last = 0, -1, -1
    for a, b in of.spans():
        if first >= 0 and of.may(first, max(last, b)):
            last = max(last, b)
        else:
            requests, first, last = requests + 1, a, b
    return requests


def apart(of: Map, firsts: list[tuple[int, int]]) -> bool:
    """No two of these can be in one request: then there are at least as many requests."""
    return not any(
        of.may(min(a, c), max(b, d)) for n, (a, b) in enumerate(firsts) for c, d in firsts[n + 1 :]
    )


def sound(of: Map, spec: DeviceSpec) -> list[Any]:
    """The plan, each request of it permitted, every point in one."""
    (poll,) = plan(spec)
    assert all(of.may(block.start, block.start + block.count) for block in poll.blocks)
    columns = sorted(field.column for block in poll.blocks for field in block.fields)
    assert columns == list(range(len(poll.group.points)))
    return list(poll.blocks)


def test_small_maps_have_the_exhaustive_minimum() -> None:
    random_ = random.Random(SEED)
    several = 0
    for _ in range(N):
        of = Map(random_, large=False)
        blocks = sound(of, of.device())
        assert len(blocks) == fewest(of), vars(of)
        several += len(blocks) > 1
    assert several > N / 4, "the maps are too easy to tell anything"


def test_large_maps_never_exceed_the_greedy_bound() -> None:
    random_ = random.Random(SEED)
    for _ in range(N):
        of = Map(random_, large=True)
        blocks = sound(of, of.device())
        assert len(blocks) <= greedy(of), vars(of)
        firsts = [(b.start + b.fields[0].at, b.start + b.fields[0].at + b.fields[0].channel.width) for b in blocks]
        assert apart(of, firsts), "fewer requests would do"


@pytest.mark.parametrize("fault", ["stingy", "bold"])
def test_a_planner_that_is_not_the_best_is_caught(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """Planted: one that joins only direct neighbours, and one that minds no gap."""
    real = planner._joins

    def joins(run: Any, channel: Any, readable: Any) -> bool:
        if fault == "stingy":
            return real(run, channel, readable) and channel.register_ <= max(c.register_ + c.width for _, _, c in run)
        return bool(readable.together(channel.function, run[0][2].register_, channel.register_ + channel.width))

    monkeypatch.setattr(planner, "_joins", joins)
    with pytest.raises(AssertionError):
        test_small_maps_have_the_exhaustive_minimum()
