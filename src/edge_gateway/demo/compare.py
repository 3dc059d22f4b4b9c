"""Compares the plant's truth log with what the hub and the receiver hold, as a program of its own; believes neither.

Each point's readings are compared as a sequence: none missing, none different, none that the plant never gave, none twice,
each observed when it was given. Readings that the truth marks as not counting may be there or not.
Exit 1 if anything differs or if the truth log has no reading.
"""

from __future__ import annotations

import argparse
import json
import sys
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edge_gateway.demo.lines import read_lines
from edge_gateway.demo.truthlog import read_truth

#: Sequences are aligned with up to this many comparisons; where that does not do, all of a point counts as different.
_MOST_CELLS = 4_000_000
#: Faults that cancel out in number (one lost, one invented) are told apart up to so many at a time.
_SPARE = 12
_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Given:
    """One reading as the plant gave it."""

    t_us: int
    value: float
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Seen:
    """One reading as somebody holds it; ``t_us`` is when it was observed."""

    t_us: int
    value: float
    epoch: str = ""
    seq: int = 0


@dataclass(slots=True)
class Difference:
    """What is wrong with the readings of one holder."""

    readings: int = 0
    missing: int = 0
    altered: int = 0
    extra: int = 0  # never given, or given once and held twice
    examples: list[str] = field(default_factory=list)

    @property
    def lost(self) -> int:
        """Missing or different."""
        return self.missing + self.altered

    def note(self, sentence: str) -> None:
        """Keep a few for people."""
        if len(self.examples) < _EXAMPLES:
            self.examples.append(sentence)


def given_by_point(truth: Iterable[Mapping[str, Any]]) -> dict[str, list[Given]]:
    """Every reading of a truth log, by point, in the order in which it was given."""
    found: dict[str, list[Given]] = {}
    for line in truth:
        for point, value in line.get("values", {}).items():
            found.setdefault(point, []).append(Given(line["t_us"], float(value), line["counts"]))
    return found


def compare(given: Mapping[str, Sequence[Given]], seen: Mapping[str, Sequence[Seen]], *, slack_us: int) -> Difference:
    """Compare all points. ``slack_us``: how far the time of observation may be from the time of giving."""
    total = Difference()
    for point in sorted(given.keys() | seen.keys()):
        readings = _once(point, seen.get(point, ()), total)
        total.readings += len(readings)
        _compare_point(point, given.get(point, ()), readings, slack_us, total)
    return total


def _once(point: str, seen: Sequence[Seen], total: Difference) -> list[Seen]:
    """The readings without those that repeat another's time of observation; repetitions are counted."""
    times: set[int] = set()
    kept = []
    for reading in seen:
        if reading.t_us in times:
            total.extra += 1
            total.note(f"{point}: {reading.value} at {reading.t_us} is held twice")
        else:
            times.add(reading.t_us)
            kept.append(reading)
    return kept


def _compare_point(point: str, given: Sequence[Given], seen: Sequence[Seen], slack_us: int, total: Difference) -> None:
    for one, other in _aligned(given, seen, slack_us):
        if other is None and one is not None:
            if one.counts:
                total.missing += 1
                total.note(f"{point}: {one.value} given at {one.t_us} is missing")
        elif one is None and other is not None:
            total.extra += 1
            total.note(f"{point}: {other.value} observed at {other.t_us} was never given")
        elif one is not None and other is not None and not _same(one, other, slack_us):
            total.altered += 1
            total.note(f"{point}: {one.value} given at {one.t_us} is held as {other.value} observed at {other.t_us}")


def _same(one: Given, other: Seen, slack_us: int) -> bool:
    return one.value == other.value and abs(one.t_us - other.t_us) <= slack_us


Pair = tuple[Given | None, Seen | None]


def _aligned(given: Sequence[Given], seen: Sequence[Seen], slack_us: int) -> list[Pair]:
    """The cheapest way to make the sequences one: pairs in order, with None where one side has nothing.

    Only so far off the diagonal as readings may lack or be too many: sequences that are nearly equal are quick.
    """
    uncounted = sum(not one.counts for one in given)
    band = uncounted + abs(len(given) - len(seen)) + _SPARE
    if (len(given) + 1) * (2 * band + 1) > _MOST_CELLS:
        lone: list[Pair] = [(one, None) for one in given]
        return lone + [(None, other) for other in seen]
    steps: list[dict[int, _Step]] = []
    before: dict[int, float] = {}
    for row in range(len(given) + 1):
        here: dict[int, float] = {}
        chosen: dict[int, _Step] = {}
        for column in range(max(0, row - band), min(len(seen), row + band) + 1):
            options: list[tuple[float, _Step]] = []
            if column - 1 in before:  # a pair that differs explains one fault; two lone ones would be two
                same = _same(given[row - 1], seen[column - 1], slack_us)
                options.append((before[column - 1] + (0.0 if same else 1.5), (1, 1)))
            if column in before:  # leaving out what does not count is free
                options.append((before[column] + (1.0 if given[row - 1].counts else 0.0), (1, 0)))
            if column - 1 in here:
                options.append((here[column - 1] + 1.0, (0, 1)))
            here[column], chosen[column] = min(options, key=lambda o: o[0], default=(0.0, (0, 0)))
        steps.append(chosen)
        before = here
    return _traced(given, seen, steps)


_Step = tuple[int, int]


def _traced(given: Sequence[Given], seen: Sequence[Seen], steps: Sequence[Mapping[int, _Step]]) -> list[Pair]:
    pairs: list[Pair] = []
    row, column = len(given), len(seen)
    while row or column:
        step = steps[row][column]
        pairs.append((given[row - 1] if step[0] else None, seen[column - 1] if step[1] else None))
        row, column = row - step[0], column - step[1]
    return pairs[::-1]


# -- what the holders say ----------------------------------------------------------------------------------------------


def from_hub(url: str, gateway: str) -> dict[str, list[Seen]]:
    """The hub's readings with a value, by point, in order of epoch and seq."""
    found: dict[str, list[Seen]] = {}
    position = "first=0"
    while True:
        answer = fetch(f"{url}/api/v1/gateways/{gateway}/readings?{position}")
        for reading in answer["readings"]:
            if reading["value"] is not None:
                seen = Seen(reading["time_us"], float(reading["value"]), reading["epoch"], reading["seq"])
                found.setdefault(reading["point"], []).append(seen)
        if answer["next"] is None:
            return found
        position = f"from={answer['next']['from']}&first={answer['next']['first']}"


def from_file(path: Path) -> tuple[dict[str, list[Seen]], int]:
    """The receiver's readings with a value, by point, in order of time, and how many were overwritten with others.

    As a database would: a line of the same series and time takes the place of the earlier one.
    """
    held: dict[tuple[str, int], tuple[str, Mapping[str, Any]]] = {}
    overwritten = 0
    for line in read_lines(path):
        if line.measurement != "reading":
            continue
        before = held.get((line.series, line.time_us))
        overwritten += before is not None and before[1] != line.fields
        held[line.series, line.time_us] = (line.tags["point"], line.fields)
    found: dict[str, list[Seen]] = {}
    for (_, t_us), (point, fields) in held.items():
        if "value" in fields:
            found.setdefault(point, []).append(Seen(t_us, fields["value"], fields["epoch"], fields["seq"]))
    for readings in found.values():
        readings.sort(key=lambda seen: seen.t_us)
    return found, overwritten


def steps_from_hub(url: str, gateway: str) -> list[tuple[str, str, str]]:
    """Every (rule, point, step) in the hub's record, in order."""
    steps = []
    for about in fetch(f"{url}/api/v1/gateways")["gateways"]:
        for epoch in about["epochs"] if about["gateway"] == gateway else ():
            first = 0
            while first < epoch["size"]:
                text = _get(f"{url}/api/v1/gateways/{gateway}/entries?epoch={epoch['epoch']}&first={first}&count=5000")
                for line in text.splitlines():
                    entry = json.loads(line)
                    step = entry.get("step") if entry["kind"] == "violation" else entry.get("event")
                    if entry["kind"] == "violation" or step == "would-have-fired":
                        steps.append((entry["rule"], entry["point"], step))
                first += 5000
    return steps


def fetch(url: str) -> Any:
    """A JSON answer."""
    return json.loads(_get(url))


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 -- loopback http, given by our own caller
        body: bytes = answer.read()
        return body


def judge(options: Mapping[str, Any]) -> dict[str, Any]:
    """The comparison as one JSON-able object; see ``main`` for the options."""
    given = given_by_point(read_truth(Path(options["truth"])))
    slack_us = options["slack_us"]
    held = from_hub(options["hub_url"], options["gateway"])
    lines, overwritten = from_file(Path(options["lines"]))
    for point in options.get("computed", ()):  # by the gateway itself: nobody gave them
        held.pop(point, None)
        lines.pop(point, None)
    hub = compare(given, held, slack_us=slack_us)
    influx = compare(given, lines, slack_us=slack_us)
    influx.altered += overwritten
    steps = steps_from_hub(options["hub_url"], options["gateway"])
    return {
        "readings": sum(one.counts for readings in given.values() for one in readings),
        "violations": sum(step == "violated" for _, _, step in steps),
        "hub_readings": hub.readings,
        "influx_readings": influx.readings,
        "lost": hub.lost + influx.lost,
        "extra": hub.extra + influx.extra,
        "hub": asdict(hub),
        "influx": asdict(influx),
        "steps": sorted({*steps}),
    }


def sound(result: Mapping[str, Any]) -> bool:
    """Nothing lost, nothing invented, and something to compare."""
    return bool(result["readings"]) and not result["lost"] and not result["extra"]


def main() -> None:
    """Entry point. Options: truth, lines (files), hub_url, gateway, slack_us; computed: points that the plant does not give."""
    parser = argparse.ArgumentParser(prog="python -m edge_gateway.demo.compare", description=__doc__)
    parser.add_argument("--options-file", type=Path, required=True)
    result = judge(json.loads(parser.parse_args().options_file.read_text(encoding="utf-8")))
    print(json.dumps(result))
    sys.exit(0 if sound(result) else 1)


if __name__ == "__main__":
    main()
