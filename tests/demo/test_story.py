"""The story and the site's physics: the same seed tells the same, whoever asks and however often."""

from __future__ import annotations

from itertools import islice

import pytest

from edge_gateway.demo.scene import DEVICES
from edge_gateway.demo.story import CYCLE_S, TEXTS, Happening, Telling, happenings

POINTS = [point.id for device in DEVICES for point in device.points]


def course(seed: int, times: list[float]) -> tuple[list[Happening], list[tuple[float, ...]]]:
    telling = Telling(seed, speed=60)
    happened, values = [], []
    for to_s in times:
        happened += telling.advance(to_s)
        values.append(tuple(telling.world.value(point) for point in POINTS))
    return happened, values


def test_the_same_seed_is_the_same_site_however_it_is_asked() -> None:
    every = [float(n) for n in range(1201)]
    events, values = course(1, every)
    assert course(1, every) == (events, values)
    sparse_events, sparse = course(1, [600.9, 600.2, 1200.0])
    assert sparse_events == events
    assert sparse == [values[600], values[600], values[1200]]


def test_another_seed_is_another_day() -> None:
    assert course(1, [1200.0]) != course(2, [1200.0])
    assert list(happenings(1, 60, cycles=1)) != list(happenings(2, 60, cycles=1))


@pytest.mark.parametrize("speed", [1, 30, 60, 200])
def test_happenings_come_in_order_and_again(speed: float) -> None:
    two = list(islice(happenings(3, speed), 2 * len(TEXTS)))
    assert [h.at_s for h in two] == sorted(h.at_s for h in two)
    assert {h.what for h in two[: len(TEXTS)]} == set(TEXTS)
    assert two[len(TEXTS)].at_s >= CYCLE_S
    cut, back = (next(h.at_s for h in two if h.what == what) for what in ("hub-cut", "hub-back"))
    assert back - cut >= 60


@pytest.mark.parametrize("seed", range(1, 6))
def test_what_happens_shows_in_the_values(seed: int) -> None:
    """Beyond the packs' limits, for long enough, and back, within 40 minutes."""
    beyond: dict[str, list[int]] = {"cold1": [], "cold2": [], "chlorine": [], "ph": []}
    telling = Telling(seed, speed=60)
    for at_s in range(2400):
        telling.advance(at_s)
        world = telling.world
        for name, broken in (
            ("cold1", world.value("cold1-air") > -18),
            ("cold2", world.value("cold2-air") > -18),
            ("chlorine", world.value("hall-chlorine") < 0.05),
            ("ph", world.value("outlet1-ph") < 6),
        ):
            if broken:
                beyond[name].append(at_s)
    assert 120 < len(beyond["cold1"]) < 600, "a notice, no violation"
    assert len(beyond["cold2"]) > 960
    assert len(beyond["chlorine"]) > 360
    assert len(beyond["ph"]) > 360
    assert max(max(times) for times in beyond.values()) < 2400 - 480, "all is well again in time"
    for point in ("chill1-air", "precool-air", "cutting-air", "hall-ph", "outlet1-temp", "offal-core1"):
        assert point in POINTS


def test_quiet_points_stay_within_their_limits() -> None:
    telling = Telling(1, speed=60)
    for at_s in range(CYCLE_S):
        telling.advance(at_s)
        world = telling.world
        assert 0.3 < world.value("chill1-air") < 3.7
        assert 0.3 < world.value("precool-air") < 3.7
        assert world.value("chill1-entry-air") < 3.7
        assert world.value("cutting-air") < 11.7
        assert 6.6 < world.value("hall-ph") < 8.4
        assert max(world.value(f"offal-core{n}") for n in (1, 2, 3)) < 2.8
