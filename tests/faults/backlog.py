"""A backlog of a month drains beside live traffic: nothing of it is lost, polling misses nothing, a violation overtakes it all.

``python -m tests.faults.backlog --readings 52e6 --drain 5e6``: the journal is filled by the journal's own code while the hub is away; then hub
and gateway start, with 50 devices × 20 points at 1 s and a point that goes beyond its limit every few seconds. What the hub holds is compared
with the journal byte for byte. The last line is JSON; exit 1 on a difference, a missed slot, or a figure that is not kept.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

from rig import LOAD_CORE, Plan, Rig, wait_for  # type: ignore[import-not-found]
from startup import preload  # type: ignore[import-not-found]

from edge_gateway.journal.base import Position
from edge_gateway.journal.reading import Reading
from tests.faults import results
from tests.faults.judge import Verdict, slots

#: Readings of one entry, and the figures to keep: readings a second, seconds, seconds, millions of bytes.
POINTS = 20
DRAINED_PER_S, VIOLATION_S, FIRST_S, RSS_MB = 5_000, 2.0, 3.0, 150
CHANGES_S = 2.0
#: Gaps that say that nobody polled before the start.
OF_THE_START = {"stopped", "killed"}
_PART = 4096


class Hub:
    """What the hub shows over its API."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/api/v1"

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(self._url + path, timeout=60) as answer:
            return bytes(answer.read())

    def size(self) -> int:
        """Entries held in order of the newest epoch."""
        gateways = json.loads(self._get("/gateways"))["gateways"]
        return max((epoch["size"] for gateway in gateways for epoch in gateway["epochs"]), default=0)

    def entries(self, epoch: str, size: int) -> Iterator[bytes]:
        for first in range(0, size, _PART):
            count = min(_PART, size - first)
            yield from self._get(f"/gateways/bench/entries?epoch={epoch}&first={first}&count={count}").splitlines()

    def began_us(self) -> int:
        """Wall time of the first offending reading of the violation that is active now; 0 if none is."""
        try:
            shown = json.loads(self._get("/gateways/bench/violations"))["violations"]
        except urllib.error.HTTPError:
            return 0
        return max((int(step["first"]["wall_us"]) for step in shown if step["condition"] == "active" and step["point"] == "changer-0"), default=0)


def journal_entries(state: Path, epoch: str, first: int, end: int) -> Iterator[bytes]:
    """Entries as they lie here."""
    reading = Reading(state)
    try:
        while first < end:
            part = reading.read(Position(epoch, first), max_entries=_PART, max_bytes=1 << 24, end=end)
            yield from part
            first += len(part)
    finally:
        reading.close()


def compare(here: Iterable[bytes], there: Iterable[bytes]) -> dict[str, int]:
    """Entries of the hub against the journal's: how many are the same, missing, other."""
    found = {"same": 0, "lost": 0, "altered": 0}
    theirs = iter(there)
    for entry in here:
        other = next(theirs, None)
        found["lost" if other is None else "same" if other == entry else "altered"] += 1
    return found


def watch(rig: Rig, hub: Hub, began: int, drain: int, deadline_s: float) -> dict[str, Any]:
    """Until ``drain`` readings went to the hub: the rate, memory, and how late each violation was seen there. The rate counts from the gateway's start."""
    latencies: list[float] = []
    newest_us, rss, held = time.time_ns() // 1000, 0.0, began  # what was beyond its limit before is no news
    started, ends = time.monotonic(), time.monotonic() + deadline_s
    looked = 0.0
    while (held - began) * POINTS < drain and time.monotonic() < ends:
        since_us = hub.began_us()
        if since_us > newest_us:
            latencies.append(time.time() - since_us / 1e6)
            newest_us = since_us
        if time.monotonic() - looked > 0.5:
            looked = time.monotonic()
            rss = max(rss, rig.rss_mb())
            held = hub.size()
        time.sleep(0.03)
    seconds = time.monotonic() - started
    return {
        "drained": (held - began) * POINTS, "drained_per_s": round((held - began) * POINTS / seconds), "drain_s": round(seconds, 1), "rss_mb": round(rss),
        "violations": len(latencies), "violation_s": [round(each, 2) for each in (sorted(latencies)[len(latencies) // 2], max(latencies))] if latencies else [],
    }  # fmt: skip


def missed(lines: Iterable[bytes]) -> dict[str, Any]:
    """Live entries: slots that have neither a batch nor a gap, and the gaps by their reason."""
    entries = [json.loads(line) for line in lines]
    verdict = Verdict()
    slots(entries, verdict)
    gaps = Counter(entry["reason"] for entry in entries if entry["kind"] == "gap" and entry["state"] == "open")
    faults = {"unaccounted": verdict.unaccounted, "doubled": verdict.doubled, "out_of_order": verdict.out_of_order}
    return {"live_entries": len(entries), **faults, "gaps": dict(gaps)}


def measure(readings: int, drain: int, deadline_s: float = 1800.0) -> dict[str, Any]:
    """Everything; the JSON-able result with ``passed``."""
    plan = Plan(influx=0, hub=True, changer_s=CHANGES_S)
    with Rig(plan) as rig:
        rig.running(plan.devices)
        rig.stop("gateway")
        hub_command = rig.processes["hub"].args[3:]
        rig.stop("hub")
        began = time.monotonic()
        filled = asyncio.run(preload(rig.state, readings, POINTS, served="", hub="hub"))
        preload_s = time.monotonic() - began
        size_mb = sum(file.stat().st_size for file in rig.state.rglob("*") if file.is_file()) / 1e6
        rig.start("hub", LOAD_CORE, *hub_command)
        hub = Hub(hub_command_url(rig))
        wait_for("the hub", lambda: answers(hub))
        held = hub.size()
        first = rig.folder / "first.json"
        plan.launch = ("--first", str(first))
        started = rig.start_gateway()
        seen = watch(rig, hub, held, drain, deadline_s)
        wait_for("the first reading", first.exists, 120.0)
        first_s = json.loads(first.read_text())["batch"][0] / 1e9 - started
        rig.stop("gateway")
        reading = Reading(rig.state)
        newest = reading.known_epochs()[-1]
        reading.close()
        size = hub.size()
        same = compare(journal_entries(rig.state, newest.epoch, 0, size), hub.entries(newest.epoch, size))
        live = missed(journal_entries(rig.state, newest.epoch, filled["entries"], newest.size))
    planted = {name: faulty(compare(here, there)) for name, here, there in planted_faults()}
    planted |= {name: faulty(missed(lines)) for name, lines in planted_slots()}
    result: dict[str, Any] = {
        "readings": filled["entries"] * POINTS, **filled, "journal_mb": round(size_mb), "preload_s": round(preload_s), "first_reading_s": round(first_s, 2),
        **seen, **same, **live, "planted": planted,
    }  # fmt: skip
    return result | {"passed": passed(result, drain)}


def planted_faults() -> Iterator[tuple[str, list[bytes], list[bytes]]]:
    """What the comparison must notice."""
    whole = [b"%d" % n for n in range(100)]
    yield "an entry the hub lacks", whole, [*whole[:50], *whole[51:]]
    yield "the last entries the hub lacks", whole, whole[:90]
    yield "an altered entry", whole, [*whole[:50], b"other", *whole[51:]]


def planted_slots() -> Iterator[tuple[str, list[bytes]]]:
    """What the look for expected slots must notice."""
    polls = [{"kind": "batch", "group": f"u{unit}.0", "slot_us": second * 1_000_000} for second in range(6) for unit in range(3)]
    yield "a slot that nobody polled", [*map(_line, [*polls[:9], *polls[10:]])]
    yield "a slot polled twice", [*map(_line, [*polls[:9], polls[9], *polls[9:]])]
    yield "a poll out of its order", [*map(_line, [*polls[:9], polls[12], *polls[9:12], *polls[13:]])]


def _line(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry).encode()


def faulty(found: dict[str, Any]) -> bool:
    """Whether anything was noticed."""
    return any(found.get(kind) for kind in ("lost", "altered", "unaccounted", "doubled", "out_of_order"))


def passed(result: dict[str, Any], drain: int) -> bool:
    """Whether each figure is kept."""
    sound = not (result["lost"] or result["altered"] or result["unaccounted"] or result["doubled"] or result["out_of_order"] or result["gaps"].keys() - OF_THE_START)
    quick = result["drained_per_s"] >= DRAINED_PER_S and result["first_reading_s"] <= FIRST_S and result["rss_mb"] <= RSS_MB
    alarmed = result["violations"] > 0 and result["violation_s"][-1] <= VIOLATION_S
    return sound and quick and alarmed and result["drained"] >= drain and all(result["planted"].values())


def hub_command_url(rig: Rig) -> str:
    """Where the rig's hub listens."""
    text = (rig.folder / "hub.toml").read_text()
    return "http://" + text.partition('listen = "')[2].partition('"')[0]


def answers(hub: Hub) -> bool:
    """Whether it serves."""
    try:
        hub.size()
    except OSError:
        return False
    return True


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readings", type=float, default=52e6)
    parser.add_argument("--drain", type=float, default=5e6)
    parser.add_argument("--budget-s", type=float, default=1800.0, help="wait no longer for the draining")
    options = parser.parse_args()
    began = time.monotonic()
    result = {"n": int(options.drain), "seed": 1} | measure(int(options.readings), int(options.drain), options.budget_s)
    result |= {"seconds": round(time.monotonic() - began, 1), "load": os.getloadavg()}
    results.append("backlog", result)
    print(json.dumps(result))
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
