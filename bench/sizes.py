"""Bytes a reading takes: on disk once sealed, and on the wire to the hub as a backlog and live.

`python bench/sizes.py [--segments 3]`. The real gateway polls the field five times a second, without sinks, until so many
segments are sealed; what a segment takes is its file, footer included, its first one (configuration, start) left out.
On the wire: the same entries in the hub sink's messages, compressed as it does, without HTTP's headers: a backlog in the
largest messages that the protocol allows, live in one message a round of polls. Values are independent draws: int16 of
five neighbouring tenths, float32 of 41 on a grid of 0.01; a store that wanders slowly takes less. One JSON line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from rig import Plan, Rig, wait_for

from edge_gateway.journal.files import DiskFiles
from edge_gateway.journal.segments import SegmentFile
from edge_gateway.sinks.hub_sink import MAX_ENTRIES
from edge_gateway.wire.hub import WireError, encode_message, lines

SHAPES = {
    "50 devices × 20 int16": (50, 20, "int16"),
    "50 devices × 20 float32 on a 0.01 grid": (50, 20, "float32"),
    "60 two-point devices, int16": (60, 2, "int16"),
    "60 two-point devices, float32 on a 0.01 grid": (60, 2, "float32"),
}
SESSION = "0123456789abcdef" * 2


def sealed(plan: Plan, segments: int) -> list[SegmentFile]:
    """The files of so many segments after the first, read back."""
    with Rig(plan) as rig:
        rig.running(plan.devices)
        wait_for("sealing", lambda: len(files(rig.state)) > segments, 60.0 * segments)
        rig.stop("gateway")
        found = [
            SegmentFile(DiskFiles(), rig.state, path.parent.name, int(path.name[:12])) for path in files(rig.state)
        ]
        for each in found:
            each.kept = list(each.entries())  # type: ignore[attr-defined]  # the folder goes with the rig
        return found[1:]


def files(state: Path) -> list[Path]:
    """Sealed segments, oldest first."""
    return sorted((state / "segments").glob("*/*.ndjson.gz"))


def message_bytes(entries: Sequence[bytes]) -> list[int]:
    """Sizes of the messages that bring these entries: half as many as long as one exceeds the protocol's bounds."""
    sizes: list[int] = []
    at = 0
    while at < len(entries):
        count = min(MAX_ENTRIES, len(entries) - at)
        while True:
            header = {
                "kind": "entries",
                "session": SESSION,
                "n": 12345,
                "epoch": SESSION[:16],
                "first": at,
                "count": count,
            }
            try:
                sizes.append(len(encode_message(header, lines(entries[at : at + count]))))
                break
            except WireError:
                count = (count + 1) // 2
        at += count
    return sizes


def measure(plan: Plan, segments: int) -> dict[str, Any]:
    """All three figures of one shape."""
    found = sealed(plan, segments)
    disk, backlog, live, entries_a_message = [], [], [], []
    for file in found:
        entries: list[bytes] = file.kept  # type: ignore[attr-defined]
        readings = file.footer["kinds"]["batch"] * plan.points
        disk.append(file.segment.size_bytes / readings)
        sizes = message_bytes(entries)
        backlog.append(sum(sizes) / readings)
        entries_a_message.append(len(entries) / len(sizes))
        rounds = [entries[at : at + plan.devices] for at in range(0, len(entries), plan.devices)]
        live.append(sum(sum(message_bytes(each)) for each in rounds) / readings)
    return {
        "segments": len(found),
        "gaps": sum(file.footer["kinds"].get("gap", 0) for file in found),
        "disk": [round(each, 2) for each in (statistics.median(disk), min(disk), max(disk))],
        "wire_backlog": round(statistics.median(backlog), 2),
        "entries_a_message": round(statistics.median(entries_a_message)),
        "wire_live": round(statistics.median(live), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--segments", type=int, default=3)
    segments = parser.parse_args().segments
    found = {}
    for name, (devices, points, kind) in SHAPES.items():
        plan = Plan(devices=devices, points=points, kind=kind, interval_s=0.2, every_s=0.2, influx=0, hub=False)
        found[name] = measure(plan, segments)
    print(json.dumps(found, ensure_ascii=False))


if __name__ == "__main__":
    main()
