"""The kill campaign: gateway, signer, hub and mosquitto killed with SIGKILL at random moments under load; nothing acknowledged may be lost.

`python -m tests.faults.killloop --n 1000 --seed 1`: so many kills, on one fresh site after the other. mosquitto has its defaults, so it
forgets what it acknowledged. The hub is served over MQTT in some rounds and over HTTP in others. A signer that comes back is asked to sign
a roll-back. The planted faults run first, each on a site of its own. The last line is JSON; exit 1 on any loss, disorder or
double, a start that took longer than 5 s to its first durable reading, a planted fault that was not found, and when nothing was acknowledged.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_gateway.errors import SignerAway, SignerRefused
from edge_gateway.journal import verify
from edge_gateway.journal.reading import Reading
from edge_gateway.record.checkpoint import Checkpoint
from edge_gateway.record.merkle import leaf_hash
from edge_gateway.signer.base import Ask
from edge_gateway.signer.client import Client as SignerClient
from tests.faults import results
from tests.faults.harness import GATEWAY, Load, Site
from tests.faults.judge import Record, Seen
from tests.faults.plant import now_us
from tests.servers.process import ServerProcess

FIRST = (("hub", "mosquitto"), ("signer",), ("gateway",))
TARGETS = ("gateway", "hub", "mosquitto", "signer")
#: Lost time between a kill and the restart, and load before a kill (s).
DOWN_S, UNDER_LOAD_S = (0.0, 1.0), (0.2, 1.0)
#: From a start to the first reading that is durable, at most (s).
FIRST_READING_S = 5.0
#: Kills of one site.
A_SITE = 120
LOAD = Load(units=16, interval_s=0.1, topics=4, publish_s=0.05, signer=True)
#: Each planted fault, and who is killed until it shows. A hub that is asked to cosign is missed at once: so there is no signer for ``puback``.
PLANTED = {"puback": ("hub", "mosquitto"), "sent": TARGETS, "early": ("gateway",), "forgets": ("signer",)}


@dataclass(slots=True)
class Start:
    """One start of the gateway: when, and how much was seen committed before."""

    at_us: int
    epoch: str
    size: int


class Campaign:
    """One run on one site."""

    def __init__(self, site: Site, n: int, seed: int, *, only_mqtt: bool = False, ends: float = float("inf")) -> None:
        self.site = site
        self.n = n
        self.ends = ends
        self.random = random.Random(seed)
        self.kills = dict.fromkeys(TARGETS, 0)
        self.rounds_via = {"http": 0, "mqtt": 0}
        self.vias = ("mqtt",) if only_mqtt else ("mqtt", "http")
        self.via = self.vias[0]
        self.targets = PLANTED.get(site.load.planted, TARGETS)
        self._turn: list[str] = []
        self.starts: list[Start] = []
        self.rolled_back = 0
        self._servers: dict[str, ServerProcess] = {"hub": site.hub.process, "mosquitto": site.broker}

        if site.load.signer:
            self._servers["signer"] = site.signer

    def run(self) -> bool:
        """All rounds and the drain; whether it drained."""
        site = self.site
        self._start_gateway()
        site.await_progress()
        site.await_messages()
        site.await_receipt()
        number = 0
        while sum(self.kills.values()) < self.n and time.monotonic() < self.ends:
            self.round(self._victims(number))
            number += 1
        return site.drain(15.0 if site.load.planted else 120.0)

    def _victims(self, number: int) -> list[str]:
        """First the hub and then its broker, signer and gateway alone; then each is hit in turn, in an order of chance, and others often go with it."""
        if number < len(FIRST) and (planned := [victim for victim in FIRST[number] if victim in self.targets]):
            return planned
        if number % len(self.targets) == 0 or not self._turn:
            self._turn = self.random.sample(self.targets, len(self.targets))
        first = self._turn[number % len(self.targets)]
        others = [target for target in self.targets if target != first]
        self.random.shuffle(others)
        return [first, *others[: self.random.choice((0, 0, 1, 1, 2, 3))]]

    def round(self, victims: list[str]) -> None:
        """Load, kills, pauses, restarts in an order of chance, and on."""
        site = self.site
        self.rounds_via[self.via] += 1
        time.sleep(self.random.uniform(*UNDER_LOAD_S))
        for victim in victims:
            self._kill(victim)
            if victim == victims[0] == "hub":  # away for whole segments, so that one wrongly taken for held is freed before it is back
                site.await_progress(3 * site.load.segment_entries)
            time.sleep(self.random.uniform(0, 0.15))
        time.sleep(self.random.uniform(*DOWN_S))
        self.random.shuffle(victims)
        for victim in victims:
            self._start(victim)
        site.await_progress()
        if self.random.random() < 0.4:  # else the next kill comes while it is still finding its broker
            site.await_messages()
        if self.random.random() < 0.2 and not site.load.planted:
            site.await_receipt()

    def _kill(self, victim: str) -> None:
        self.kills[victim] += 1
        if victim == "gateway":
            self.site.kill_gateway()
        else:
            self._servers[victim].kill()

    def _start(self, victim: str) -> None:
        if victim == "gateway":
            self.via = self.random.choice(self.vias) if self.rounds_via["http"] else self.vias[-1]
            self._start_gateway()
            return
        self._servers[victim].start()
        if victim == "signer":
            self._ask_for_a_roll_back()

    def _start_gateway(self) -> None:
        self.site.configure(self.via)
        self.starts.append(Start(now_us(), *self.site.latest))
        self.site.gateway.start()

    def _ask_for_a_roll_back(self) -> None:
        """What the record's newest checkpoint covers was signed: one entry of the same log must never be signed again."""
        reading = Reading(self.site.folder / "state")
        try:
            epochs = [epoch for epoch, size, _ in reading.checkpoints() if size > 1]
        finally:
            reading.close()
        if not epochs:
            return
        forged = Checkpoint(f"example.org/{GATEWAY}/{epochs[-1]}", 1, leaf_hash(b"forged"))
        try:
            asyncio.run(SignerClient(self.site.signer_socket).sign(Ask(head=forged, old=0, path=[])))
            self.rolled_back += 1
        except (SignerRefused, SignerAway):
            pass


def first_readings_s(starts: Sequence[Start], record: Record, seen: Seen) -> list[float]:
    """By start: seconds until a reading that was made after it was seen committed, or until it ended where none was in time.

    A start that ended sooner than that has none: it says nothing.
    """
    entries = [(epoch, [json.loads(line) for line in lines]) for epoch, lines in record]
    made = [(e["mono_us"], epoch, e["seq"]) for epoch, its in entries for e in its if e["kind"] == "batch"]
    found = []
    for start, following in zip(starts, [*starts[1:], None], strict=True):
        ends_us = following.at_us if following else seen.ended_us
        _, epoch, first = min((each for each in made if start.at_us < each[0] < ends_us), default=(0, "", 0))
        committed = (at_us for at_us, size in seen.positions.get(epoch, []) if start.at_us < at_us < ends_us and size > first)
        took_s = (next(committed, ends_us) - start.at_us) / 1e6
        if took_s > FIRST_READING_S or start.at_us + took_s * 1e6 < ends_us:
            found.append(took_s)
    return found


def campaign(folder: Path, *, n: int, seed: int, planted: str = "", load: Load | None = None, ends: float = float("inf")) -> dict[str, Any]:
    """One site; the JSON-able result with `passed`."""
    began = time.monotonic()
    with Site(folder, load or Load(planted=planted, signer=planted != "puback")) as site:
        run = Campaign(site, n, seed, only_mqtt=planted == "puback", ends=ends)
        drained = run.run()
        verdict = site.verdict()
        alarms = sorted({alarm["kind"] for alarm in site.hub.alarms()} - {"dark"})
        epochs = len(site.hub.epochs())
        firsts = first_readings_s(run.starts, site.hub.record(), site.seen)
        at_rest = verify.check(folder / "state").broken
    heard = site.heard
    counts = {name: value for name, value in asdict(verdict).items() if name != "examples"}
    examples = verdict.examples + ([f"the record is broken: {at_rest.why}"] if at_rest else [])
    sound = verdict.sound and drained and not (alarms or run.rolled_back or at_rest)
    slow = sum(each > FIRST_READING_S for each in firsts)
    return {
        "campaign": "killloop", "n": sum(run.kills.values()), "seed": seed, "kills": run.kills, "rounds_via": run.rounds_via,
        **counts, "pubacks": len(heard.acknowledged), "sent_again_with_dup": heard.again.total(), "receipts": heard.receipts_seen, "epochs": epochs, "alarms": alarms,
        "drained": drained, "rolled_back": run.rolled_back, "broken": at_rest is not None, "first_readings_s": firsts, "slow": slow,
        "seconds": round(time.monotonic() - began, 1), "examples": examples, "sound": sound, "passed": sound and not slow,
    }  # fmt: skip


def merged(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """All sites of a campaign as one result; starts as their distribution."""
    whole: dict[str, Any] = {}
    for run in runs:
        for key, value in run.items():
            if isinstance(value, dict):
                whole[key] = {name: whole.get(key, {}).get(name, 0) + count for name, count in value.items()}
            elif isinstance(value, bool):
                whole[key] = whole.get(key, value) and value if key in ("passed", "sound", "drained") else whole.get(key, False) or value
            elif isinstance(value, int | float | list):
                whole[key] = whole.get(key, type(value)()) + value
    firsts = sorted(whole.pop("first_readings_s"))
    whole["first_reading_s"] = {
        "starts": len(firsts), "median": round(statistics.median(firsts), 2), "p99": round(firsts[int(len(firsts) * 0.99)], 2), "worst": round(firsts[-1], 2),
    }  # fmt: skip
    return whole


def found(folder: Path, planted: str, seed: int) -> bool:
    """Whether a planted fault is noticed within a few kills."""
    folder.mkdir()
    result = campaign(folder, n=8, seed=seed, planted=planted)
    return bool(result["rolled_back"] if planted == "forgets" else result["lost"])


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1000, help="kills")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--budget-s", type=float, default=3600.0, help="begin no further round after so many seconds")
    options = parser.parse_args()
    runs: list[dict[str, Any]] = []
    began = time.monotonic()
    ends = began + options.budget_s
    with tempfile.TemporaryDirectory(prefix="killloop-") as name:
        planted = {each: found(Path(name) / each, each, options.seed) for each in PLANTED}
        while (done := sum(run["n"] for run in runs)) < options.n and time.monotonic() < ends and all(run["sound"] for run in runs):
            folder = Path(name) / str(len(runs))
            folder.mkdir()
            seed = options.seed * 1000 + len(runs)
            runs.append(campaign(folder, n=min(A_SITE, options.n - done), seed=seed, load=LOAD, ends=ends))
            print(json.dumps({key: value for key, value in runs[-1].items() if key != "first_readings_s"}), file=sys.stderr)
    result = merged(runs) | {"seed": options.seed, "sites": len(runs), "planted": planted, "seconds": round(time.monotonic() - began, 1), "load": os.getloadavg()}
    for example in result.pop("examples"):
        print(example)
    result["passed"] = result["passed"] and all(planted.values())
    results.append("killloop", result)
    print(json.dumps(result))
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
