"""What intake makes of the clock: steps told in their size, stamps of another time not vouched for, corrections behind all that need one."""

from __future__ import annotations

import pytest

from edge_gateway.intake.clockwatch import Change, ClockWatch
from edge_gateway.testing import FakeClock

SECOND = 1_000_000


def told(watch: ClockWatch) -> list[str]:
    return [change.event or "correction" for change in watch.look()]


@pytest.mark.parametrize("step_us", [SECOND, -SECOND, 315_576_000 * SECOND, -315_576_000 * SECOND])
def test_a_step_is_told_in_its_size_and_once(step_us: int) -> None:
    clock = FakeClock()
    watch = ClockWatch(clock)
    clock.advance(3 * SECOND)
    clock.step_wall(step_us)
    assert watch.look() == [Change("clock-stepped", {"step_us": step_us})]
    clock.advance(3 * SECOND)
    assert watch.look() == []


def test_what_slews_is_no_step() -> None:
    clock = FakeClock()
    watch = ClockWatch(clock)
    for _ in range(100):
        clock.advance(SECOND // 2)
        clock.step_wall(50_000)  # chrony slews by a tenth of the time at most
        assert watch.look() == []


def test_a_stamp_from_before_a_step_is_not_vouched_for_and_has_a_correction_behind_it() -> None:
    clock = FakeClock()
    watch = ClockWatch(clock)
    before = clock.wall_us(), clock.mono_us()
    clock.step_wall(3600 * SECOND)
    assert watch.strange(clock.wall_us(), clock.mono_us())
    assert told(watch) == ["clock-stepped"]
    assert not watch.vouched(*before)
    assert watch.vouched(clock.wall_us(), clock.mono_us())
    assert told(watch) == ["correction"]
    assert told(watch) == []


def test_trust_that_comes_is_told_with_a_correction_and_what_was_read_before_stays_untrusted() -> None:
    clock = FakeClock(wall_us=25 * SECOND)
    clock.trust = False
    watch = ClockWatch(clock)
    assert not watch.vouched(clock.wall_us(), clock.mono_us())
    before = clock.wall_us(), clock.mono_us()
    clock.advance(60 * SECOND)
    clock.step_wall(1_760_000_000 * SECOND)
    clock.trust = True
    changes = watch.look()
    assert [change.event for change in changes] == ["clock-stepped", "clock-trusted", ""]
    assert changes[-1].before_us == 25 * SECOND - before[1]
    assert not watch.vouched(*before)
    assert told(watch) == ["correction"], "one more behind what came late"


def test_holdover_ends_without_a_step_and_comes_back() -> None:
    clock = FakeClock()
    watch = ClockWatch(clock)
    clock.trust = False  # the kernel's maximum error went beyond 2 s
    assert told(watch) == ["clock-untrusted"]
    assert not watch.vouched(clock.wall_us(), clock.mono_us())
    clock.advance(SECOND)
    clock.trust = True
    assert told(watch) == ["clock-trusted", "correction"]


def test_a_process_that_was_held_up_between_two_readings_makes_no_step() -> None:
    class Jerky(FakeClock):
        held = 1

        def wall_us(self) -> int:
            if self.held:  # two seconds pass between reading one clock and the other
                self.held -= 1
                self.advance(2 * SECOND)
            return super().wall_us()

    clock = Jerky()
    watch = ClockWatch(clock)
    clock.held = 1
    assert watch.look() == []
