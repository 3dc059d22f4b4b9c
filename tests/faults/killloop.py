"""The kill campaign: gateway, hub and mosquitto killed with SIGKILL at random moments under load; nothing acknowledged may be lost.

`python -m tests.faults.killloop --n 50 --seed 1`. mosquitto has its defaults, so it forgets what it acknowledged. The hub is served over
MQTT in some rounds and over HTTP in others. `--planted puback` runs a gateway that takes a PUBACK for a receipt: it must be
found. The last line is JSON; exit 1 on any loss, disorder or double, and when nothing was acknowledged.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.faults.harness import Load, Site

TARGETS = ("gateway", "hub", "mosquitto")
#: Lost time between a kill and the restart, and load before a kill (s).
DOWN_S, UNDER_LOAD_S = (0.0, 1.5), (0.2, 1.5)


class Campaign:
    """One run on one site."""

    def __init__(self, site: Site, n: int, seed: int, *, only_mqtt: bool) -> None:
        self.site = site
        self.n = n
        self.random = random.Random(seed)
        self.kills = dict.fromkeys(TARGETS, 0)
        self.rounds_via = {"http": 0, "mqtt": 0}
        self.vias = ("mqtt",) if only_mqtt else ("mqtt", "http")
        self.via = self.vias[0]
        self.worst_s = 0.0

    def run(self) -> bool:
        """All rounds and the drain; whether it drained."""
        site = self.site
        site.configure(self.via)
        site.gateway.start()
        site.await_progress()
        site.await_messages()
        site.await_receipt()
        for number in range(self.n):
            self.round(self._victims(number))
        return site.drain(15.0 if site.load.planted else 90.0)

    def _victims(self, number: int) -> list[str]:
        """First each alone, the gateway last; then each is hit in turn, in an order of chance, and others often go with it."""
        if number < len(TARGETS):
            return [("hub", "mosquitto", "gateway")[number]]
        if number % len(TARGETS) == 0:
            self._turn = self.random.sample(TARGETS, len(TARGETS))
        first = self._turn[number % len(TARGETS)]
        others = [target for target in TARGETS if target != first]
        self.random.shuffle(others)
        return [first, *others[: self.random.choice((0, 0, 0, 1, 1, 2))]]

    def round(self, victims: list[str]) -> None:
        """Load, kills, pauses, restarts in an order of chance, and on."""
        site = self.site
        self.rounds_via[self.via] += 1
        time.sleep(self.random.uniform(*UNDER_LOAD_S))
        for victim in victims:
            self._kill(victim)
            time.sleep(self.random.uniform(0, 0.15))
        if victims == ["hub"]:  # away for whole segments, so that one wrongly taken for held is freed before it is back
            site.await_progress(3 * site.load.segment_entries)
        else:
            time.sleep(self.random.uniform(*DOWN_S))
        self.random.shuffle(victims)
        began = time.monotonic()
        for victim in victims:
            self._start(victim)
        site.await_progress()
        if "gateway" in victims:
            self.worst_s = max(self.worst_s, time.monotonic() - began)
        if self.random.random() < 0.5:  # else the next kill comes while it is still finding its broker
            site.await_messages()
        if self.random.random() < 0.3 and not site.load.planted:
            site.await_receipt()

    def _kill(self, victim: str) -> None:
        self.kills[victim] += 1
        if victim == "gateway":
            self.site.kill_gateway()
        else:
            (self.site.hub.process if victim == "hub" else self.site.broker).kill()

    def _start(self, victim: str) -> None:
        if victim == "gateway":
            self.via = self.random.choice(self.vias) if self.rounds_via["http"] else self.vias[-1]
            self.site.configure(self.via)
            self.site.gateway.start()
        else:
            (self.site.hub.process if victim == "hub" else self.site.broker).start()


def campaign(folder: Path, *, n: int, seed: int, planted: str = "", load: Load | None = None) -> dict[str, Any]:
    """Run it; the JSON-able result with `passed`."""
    began = time.monotonic()
    with Site(folder, load or Load(planted=planted)) as site:
        run = Campaign(site, n, seed, only_mqtt=bool(planted))
        drained = run.run()
        verdict = site.verdict()
        alarms = sorted({alarm["kind"] for alarm in site.hub.alarms()} - {"dark"})
        epochs = len(site.hub.epochs())
    heard = site.heard
    counts = {name: value for name, value in asdict(verdict).items() if name != "examples"}
    return {
        "campaign": "killloop", "n": n, "seed": seed, "planted": planted, "kills": run.kills, "rounds_via": run.rounds_via,
        **counts, "pubacks": len(heard.acknowledged), "sent_again_with_dup": heard.again.total(), "receipts": heard.receipts_seen, "epochs": epochs, "alarms": alarms,
        "drained": drained, "segment_entries": site.load.segment_entries,
        "slowest_first_entry_s": round(run.worst_s, 2), "seconds": round(time.monotonic() - began, 1),
        "examples": verdict.examples, "passed": verdict.sound and drained and not alarms,
    }  # fmt: skip


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--planted", choices=["", "puback"], default="")
    parser.add_argument("--keep", type=Path, help="leave everything in this folder")
    options = parser.parse_args()
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
        result = campaign(options.keep, n=options.n, seed=options.seed, planted=options.planted)
    else:
        with tempfile.TemporaryDirectory(prefix="killloop-") as folder:
            result = campaign(Path(folder), n=options.n, seed=options.seed, planted=options.planted)
    print(json.dumps(result))
    if options.planted:  # found, or the campaign is worth nothing
        return 0 if result["lost"] > 0 else 1
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
