"""Every crash point: gateway, signer and hub are killed before call 1, 2, 3 … that writes, syncs, renames, unlinks or sends.

``python -m tests.faults.crashpoints --n 2000 --seed 1``. A pass is a site of its own with real hub, mosquitto, signer and plant; in it
one process is started again and again, each time on what the last kill left, and killed one call later than before. After each kill
the record at rest must verify and hold what was seen acknowledged; each start must need no person; at the end everything drains and
is compared with the plant's truth log. The last line is JSON; exit 1 on anything else.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

from edge_gateway.errors import JournalError
from edge_gateway.journal import verify
from tests.faults import results
from tests.faults.alone import ALONE
from tests.faults.harness import Load, Site
from tests.faults.plant import now_us
from tests.faults.points import Points
from tests.faults.trapped import Trapped

#: Calls of one pass: a start with its recovery, then commits, deliveries, seals, checkpoints.
DEPTHS = {"gateway": 320, "stop": 60, "hub": 200, "signer": 80}
#: What a planted fault is looked for with, and from which call on.
PLANTED, FIRST_AT_WORK = ("unsealed", "early"), 240
LOAD = Load(units=6, interval_s=0.1, topics=2, publish_s=0.15, signer=True, segment_entries=16)


class Pass:
    """One site, one process that is killed at call after call. ``left`` may end it early (the time, or enough points)."""

    first = step = 1
    depth = 0

    def __init__(self, site: Site, which: str, counted: Points, left: Callable[[], int]) -> None:
        self.site, self.which, self.counted, self.left = site, which, counted, left
        self.depth = DEPTHS[which]
        self.state = site.folder / "state"

    def calls(self) -> Iterator[int]:
        for call in range(self.first, self.first + self.depth, self.step):
            if not self.left():
                return
            yield call

    # --- the gateway ----------------------------------------------------------------------------------------------

    def starts(self, gateway: Trapped) -> None:
        """Killed before call n of a start, n = 1, 2, …"""
        for call in self.calls():
            gateway.begin(call)
            if self.counted.reached(self.which, gateway, call):
                self.site.seen.kills.append(now_us())
                self.at_rest(call)
            if not self.counted.sound:
                return

    def stops(self, gateway: Trapped) -> None:
        """Killed before call n of an orderly stop, until a stop has no call n any more."""
        for call in self.calls():
            gateway.start()
            self.site.await_progress()
            gateway.end(signal=signal.SIGTERM, arm=call)
            if not self.counted.reached(self.which, gateway, call):
                return
            self.site.seen.kills.append(now_us())
            self.at_rest(call)

    def at_rest(self, call: int) -> None:
        """The record as the kill left it, read by the verifier."""
        try:
            found = verify.check(self.state)
        except JournalError as error:
            if self.site.seen.positions:
                self.counted.broken += 1
                self.counted.note(f"{self.which}, call {call}: {error}")
            return
        if found.broken is not None:
            self.counted.broken += 1
            self.counted.note(f"{self.which}, call {call}: entry {found.broken.first}: {found.broken.why}")
        sizes = {epoch.epoch: epoch.size for epoch in found.epochs}
        for epoch, seen in self.site.seen.positions.items():
            if found.broken is None and sizes.get(epoch, 0) < seen[-1][1]:
                self.counted.lost += seen[-1][1] - sizes.get(epoch, 0)
                self.counted.note(f"{self.which}, call {call}: {seen[-1][1]} entries were acknowledged, {sizes.get(epoch, 0)} are there")


def site_pass(folder: Path, which: str, counted: Points, left: Callable[[], int], *, planted: str = "", first: int = 1, segment: int = LOAD.segment_entries) -> None:
    """One pass over the gateway (``gateway``: starts, ``stop``: stops) from call ``first`` on, and what the judge says of it."""
    load = replace(LOAD, planted=planted, segment_entries=segment)
    with Site(folder, load) as site, contextlib.ExitStack() as ends:
        plain = site.gateway
        one = Pass(site, which, counted, left)
        one.first, one.step = first, 5 if planted else 1
        if planted:  # it is met by chance, once in some twenty points: as far as ``left`` permits
            one.depth *= 4
        site.configure("mqtt" if counted.total % 2 else "http")
        gateway = ends.enter_context(Trapped("gateway", plain.command[3:], folder, plain._ready, plain.environment))
        site.gateway = gateway  # type: ignore[assignment]
        (one.starts if which == "gateway" else one.stops)(gateway)
        if not counted.sound:
            return
        gateway.start()
        drained = site.drain(15.0 if planted else 90.0)
        verdict = site.verdict()
        counted.acknowledged += verdict.acknowledged
        counted.lost += verdict.lost
        counted.broken += sum(verdict.faults.values()) - verdict.lost + (not drained)
        counted.epochs += len(site.hub.epochs())
        counted.alarms += sorted({alarm["kind"] for alarm in site.hub.alarms()} - {"dark"})
        for why in [*verdict.examples, *([] if drained else ["not drained"])]:
            counted.note(f"{which}: {why}")


def campaign(n: int, folder: Path, budget_s: float, passes: tuple[str, ...] = tuple(DEPTHS)) -> Points:
    """Pass after pass, until ``n`` points or the budget's end."""
    counted, ends, number = Points(), time.monotonic() + budget_s, 0

    def left() -> int:
        return max(0, n - counted.total) if time.monotonic() < ends else 0

    while left() and counted.sound:
        which = passes[number % len(passes)]
        place = folder / f"{number}-{which}"
        place.mkdir()
        if which in ALONE:
            ALONE[which](place, counted).run(call for call in range(1, 1 + DEPTHS[which]) if left())
        else:  # each round of passes goes on at the call where the last one ended
            site_pass(place, which, counted, left, first=1 + (number // len(passes)) * DEPTHS[which] if which == "gateway" else 1)
        number += 1
    return counted


def caught(folder: Path, planted: str, most: int = 150) -> int:
    """Points until a planted fault is noticed, from where a start has become work; 0 if it is not."""
    counted = Points()
    site_pass(folder, "gateway", counted, lambda: most - counted.total, planted=planted, first=FIRST_AT_WORK, segment=4)
    for why in counted.why:
        print(f"{planted}: {why}")
    return 0 if counted.sound else max(1, counted.total)


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1, help="kept with the result: the order of calls is the machine's choice")
    parser.add_argument("--budget-s", type=float, default=3600.0, help="begin no further point after so many seconds")
    parser.add_argument("--only", choices=list(DEPTHS))
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="crashpoints-") as name:
        folder = Path(name)
        planted = {}
        for each in PLANTED:
            (folder / each).mkdir()
            planted[each] = caught(folder / each, each)
        counted = campaign(options.n, folder, options.budget_s, (options.only,) if options.only else tuple(DEPTHS))
    result = {"n": counted.total, "seed": options.seed, **asdict(counted), "planted": planted, "seconds": round(time.monotonic() - began, 1)}
    for why in result.pop("why"):
        print(why)
    result["passed"] = counted.sound and all(planted.values()) and counted.acknowledged > 0
    results.append("crashpoints", result)
    print(json.dumps(result))
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
