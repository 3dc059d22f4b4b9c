"""Slot accounting over entries made by hand: every slot is told once, whatever stops, boots and clocks do; what is missing is named."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from edge_gateway.record.availability import Availability, Stretch
from edge_gateway.record.slots import Accounts

TEN = 10_000_000
#: 2026-03-05 00:00 in Turpan's zone, as the wall time of monotonic zero of the first boot.
ZONE = ZoneInfo("Asia/Shanghai")
MIDNIGHT = 1_772_640_000_000_000
CONFIG: dict[str, Any] = {
    "points": {"a": {"channel": "t"}, "b": {"channel": "t"}, "m": {"channel": "t"}, "sum": {"derived": {"of": ["a"]}}},
    "devices": {"d": {"bus": "line"}, "n": {"bus": "broker"}},
    "buses": {"line": {"kind": "rtu"}, "broker": {"kind": "mqtt"}},
    "groups": {
        "d.0": {"device": "d", "points": ["a", "b"], "interval_us": TEN},
        "n.0": {"device": "n", "points": ["m"], "interval_us": 6 * TEN},
        "sum.derived": {"device": "derived", "points": ["sum"], "interval_us": TEN},
    },
}


class Record:
    """Entries of one epoch; ``wall_us`` is what is added to monotonic time."""

    def __init__(self, groups: tuple[str, ...] = ("d.0",)) -> None:
        self.entries: list[dict[str, Any]] = []
        self.boot, self.wall_us, self.trusted = "b1", MIDNIGHT, True
        self.stretches: list[Stretch] = []
        self.configs = {"c": CONFIG | {"groups": {g: CONFIG["groups"][g] for g in groups}}}
        self.add("config", 5_000_000, text="c")

    def add(self, kind: str, mono_us: int, **body: Any) -> None:
        entry = {"kind": kind, "seq": len(self.entries), "mono_us": mono_us, "wall_us": mono_us + self.wall_us, "boot": self.boot, "trusted": self.trusted}
        self.entries.append(entry | body)

    def batches(self, first: int, last: int, group: str = "d.0", step: int = TEN, **body: Any) -> None:
        for slot_us in range(first * TEN, last * TEN + 1, step):
            self.add("batch", slot_us + 40_000, group=group, slot_us=slot_us, **body)

    def gap(self, since: int, until: int, reason: str = "backed-off", group: str = "d.0") -> None:
        self.add("gap", since * TEN + 1, gap=f"{group}/{since}", state="open", groups=[group], reason=reason, since_slot_us=since * TEN)
        self.add("gap", until * TEN + 1, gap=f"{group}/{since}", state="closed", until_slot_us=until * TEN, slots=until - since)

    def stop(self, since_us: int, *, boot: str, until_us: int, reason: str = "power-off", text: str = "c") -> None:
        last = self.entries[-1]
        self.boot = boot
        self.add("gap", until_us - 3, gap="run", state="open", groups=["*"], reason=reason, since_slot_us=since_us,
                 since_wall_us=last["wall_us"] - last["mono_us"] + since_us, since_boot=last["boot"])  # fmt: skip
        self.add("config", until_us - 2, text=text)
        self.add("gap", until_us - 1, gap="run", state="closed", until_slot_us=until_us, slots=0)

    def accounted(self, corrections: Mapping[str, int] | None = None) -> Availability:
        known = corrections or {}

        def offset(_: str, entry: Mapping[str, Any]) -> int:
            return known[entry["boot"]] if not entry["trusted"] and entry["boot"] in known else int(entry["wall_us"] - entry["mono_us"])

        found = Availability(ZONE, self.stretches.append)
        accounts = Accounts(found, offset, lambda text: self.configs[text])
        for entry in self.entries:
            accounts.take("e", json.loads(json.dumps(entry)))
        accounts.finish()
        return found


def whole(found: Availability, group: str = "d.0") -> tuple[int, int, int, int, int]:
    its = found.slots[group]
    return its.good, its.bad.total(), its.gaps.total(), its.unexplained, its.doubled


def test_every_slot_is_good_bad_or_in_a_gap() -> None:
    record = Record()
    record.batches(1, 10)
    record.batches(11, 11, quality=["good", "bad:sentinel"])
    record.gap(12, 15)
    record.batches(15, 20)
    found = record.accounted()
    assert whole(found) == (16, 1, 3, 0, 0)
    a, b = list(found.days())
    assert (a.point, round(a.availability, 4), round(b.availability, 4)) == ("a", round(1 - 3 / 19, 4), round(1 - 4 / 19, 4))
    assert b.doubt.bad_us == {"bad:sentinel": TEN}
    assert a.cell.gap_us == {"backed-off": 3 * TEN}


@pytest.mark.parametrize("missing", [1, 5, 19])
def test_a_missing_batch_is_unexplained(missing: int) -> None:
    record = Record()
    record.batches(1, 20)
    del record.entries[missing]
    assert whole(record.accounted()) == (19, 0, 0, 1, 0)
    assert record.stretches == [Stretch("d.0", MIDNIGHT + missing * TEN, MIDNIGHT + (missing + 1) * TEN, 1, "")]


def test_a_dropped_gap_and_a_doubled_slot_are_seen() -> None:
    record = Record()
    record.batches(1, 10)
    record.gap(11, 15)
    record.batches(15, 20)
    record.entries = [e for e in record.entries if e["kind"] != "gap"]
    assert whole(record.accounted())[3] == 4
    again = Record()
    again.batches(1, 5)
    again.batches(5, 9)
    assert whole(again.accounted())[4] == 1
    inside = Record()
    inside.batches(1, 10)
    inside.gap(11, 15)
    inside.batches(14, 20)
    assert whole(inside.accounted())[4] == 1


def test_a_power_loss_is_counted_by_the_wall() -> None:
    """An hour without power, another boot whose monotonic clock begins anew: 360 slots, on the day they belong to."""
    record = Record()
    record.batches(1, 10)
    record.wall_us = MIDNIGHT + 3_600_000_000 + 100_000_000 - 20_000_000  # monotonic 20 s is an hour after the last entry
    record.stop(11 * TEN, boot="b2", until_us=20_000_001)
    record.batches(3, 10)
    found = record.accounted()
    assert whole(found)[3:] == (0, 0)
    assert whole(found)[2] == pytest.approx(360, abs=1)
    (day, _) = found.days()
    assert day.cell.expected_us == pytest.approx(3_600_000_000 + 170 * 1_000_000, abs=11_000_000)


@pytest.mark.parametrize("wrong_us", [-MIDNIGHT, -365 * 86_400_000_000, 365 * 86_400_000_000])
def test_a_wrong_clock_at_boot_moves_no_slot_to_another_day(wrong_us: int) -> None:
    record = Record()
    record.batches(1, 10)
    right_us = MIDNIGHT + 3_600_000_000
    record.wall_us, record.trusted = right_us + wrong_us, False
    record.stop(11 * TEN, boot="b2", until_us=20_000_001)
    record.batches(3, 10)
    record.wall_us, record.trusted = right_us, True
    record.batches(11, 20)
    found = record.accounted({"b2": right_us})
    assert whole(found)[3:] == (0, 0)
    assert {day.day.isoformat() for day in found.days()} == {"2026-03-05"}


def test_a_kill_lies_in_the_stops_gap_and_a_late_slot_in_it_is_a_batch() -> None:
    record = Record()
    record.batches(1, 10)
    record.stop(11 * TEN, boot="b1", until_us=13 * TEN + 5, reason="killed")
    record.batches(13, 20)  # the source was ready before the gap was closed
    found = record.accounted()
    assert whole(found) == (18, 0, 2, 0, 0)


def test_messages_stand_until_the_next_and_silence_is_a_gap() -> None:
    record = Record(("n.0",))
    record.batches(0, 20, "n.0", 5 * TEN)
    record.gap(26, 38, "silent", "n.0")
    record.batches(38, 38, "n.0")
    found = record.accounted()
    assert whole(found, "n.0") == (6, 0, 2, 0, 0)
    assert next(found.days()).availability == pytest.approx(26 / 38, abs=0.002)
    record.entries = [e for e in record.entries if e["kind"] != "gap"]
    assert whole(record.accounted(), "n.0")[3] == 2


def test_another_interval_and_a_device_that_goes_are_no_faults() -> None:
    record = Record()
    record.configs["d"] = record.configs["c"] | {"groups": {"d.0": {"device": "d", "points": ["a", "b"], "interval_us": 3 * TEN}}}
    record.configs["none"] = record.configs["c"] | {"groups": {}}
    record.batches(1, 10)
    record.add("config", 105_000_000, text="d")
    record.batches(12, 30, step=3 * TEN)
    record.add("config", 305_000_000, text="none")
    record.add("event", 900_000_000, event="stopped")
    found = record.accounted()
    assert whole(found)[3:] == (0, 0)
    assert whole(found)[0] == 17


class Spans:
    """A teller that keeps what stands for what time."""

    def __init__(self) -> None:
        self.spans: list[tuple[int, int]] = []

    def batch(self, whose: Any, span: tuple[int, int], quality: Any) -> None:
        self.spans.append(span)

    def gap(self, whose: Any, span: tuple[int, int], slots: int, reason: str) -> None:
        self.spans.append(span)

    def unexplained(self, whose: Any, span: tuple[int, int], slots: int) -> None:
        raise AssertionError("a slot is unexplained")

    def doubled(self, whose: Any, at_us: int) -> None:
        raise AssertionError("a slot is doubled")


@pytest.mark.parametrize(("since_s", "until_s", "first_s"), [(185, 198, 200), (185, 211, 240), (185, 250, 280)])
def test_no_time_is_told_twice_where_a_stop_brings_another_interval(since_s: int, until_s: int, first_s: int) -> None:
    record = Record()
    for name, interval in (("c", 60), ("d", 40)):
        record.configs[name] = CONFIG | {"groups": {"d.0": CONFIG["groups"]["d.0"] | {"interval_us": interval * 1_000_000}}}
    record.batches(6, 18, step=6 * TEN)  # the last one is of 180 s, and would stand until 240 s
    record.stop(since_s * 1_000_000, boot="b1", until_us=until_s * 1_000_000, reason="stopped", text="d")
    for slot_s in range(first_s, 400, 40):
        record.add("batch", slot_s * 1_000_000 + 40_000, group="d.0", slot_us=slot_s * 1_000_000)
    told = Spans()
    accounts = Accounts(told, lambda _, entry: int(entry["wall_us"] - entry["mono_us"]), lambda text: record.configs[text])
    for entry in record.entries:
        accounts.take("e", entry)
    accounts.finish()
    spans = [span for span in told.spans if span[1] > span[0]]
    assert all(one[1] == other[0] for one, other in pairwise(spans)), [[(us - MIDNIGHT) / 1e6 for us in span] for span in spans]


@pytest.mark.parametrize("lies", [1, 40, 100])
def test_silence_is_measured_from_the_reload_that_exchanged_a_broker(lies: int) -> None:
    """A message is due an interval after the one before, or after the source began that waits for it: of that nothing is missing."""
    record = Record(("n.0",))
    record.batches(0, 20, "n.0", 5 * TEN)
    at_us = 20 * TEN + lies * TEN // 20
    record.add("gap", at_us + 1, gap="reload-b", state="open", groups=["n.0"], reason="reconfigured", since_slot_us=at_us + 1)
    record.add("gap", at_us + 1, gap="reload-b", state="closed", until_slot_us=at_us + 1, slots=0)
    record.add("batch", at_us + 6 * TEN, group="n.0", slot_us=at_us + 6 * TEN)
    record.batches(32, 32, "n.0")
    assert whole(record.accounted(), "n.0")[3:] == (0, 0)
    record.entries = [e for e in record.entries if e["kind"] != "gap"]  # planted: without it nobody says why
    assert whole(record.accounted(), "n.0")[3] == 1


@pytest.mark.parametrize("to_messages", [True, False])
def test_a_device_that_speaks_by_itself_from_a_reload_on_has_other_slots(to_messages: bool) -> None:
    """The same id on a bus of another kind: slots by the grid, or when messages come; what ends says so, as both sources do."""
    record = Record()
    spoken = CONFIG | {"groups": {"d.0": CONFIG["groups"]["d.0"]}, "devices": {"d": {"bus": "broker"}}}
    record.configs["m"] = spoken
    polled, told = [10_000_000, 20_000_000, 30_000_000], [10_300_000, 17_700_000, 27_600_000]
    before, after = (polled, told) if to_messages else (told, polled)
    record.entries.clear()
    record.add("config", 5_000_000, text="c" if to_messages else "m")
    for slot_us in before:
        record.add("batch", slot_us + 40_000, group="d.0", slot_us=slot_us)
    record.add("config", 34_000_000, text="m" if to_messages else "c")
    record.add("gap", 34_000_001, gap="reload", state="open", groups=["d.0"], reason="reconfigured", since_slot_us=34_000_001)
    record.add("gap", 34_000_002, gap="reload", state="closed", until_slot_us=34_000_001, slots=0)
    for slot_us in after:
        record.add("batch", 30_000_000 + slot_us + 40_000, group="d.0", slot_us=30_000_000 + slot_us)
    (slots,) = record.accounted().slots.values()
    assert (slots.good, slots.unexplained, slots.doubled) == (6, 0, 0)
