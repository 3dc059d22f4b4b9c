"""The truth campaign: the demonstration's plant with real mosquitto and real InfluxDB; every value that it gave, at hub and database.

`python -m tests.faults.truth --n 10 --seed 1` runs 10 minutes. The last line is JSON; exit 1 on any difference, on an empty
truth log, and when a planted fault is not found.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edge_gateway.demo.compare import Difference, Given, Seen, compare, from_hub, given_by_point
from edge_gateway.demo.follow import Follower, Teller
from edge_gateway.demo.run import play
from edge_gateway.demo.scene import SITE_ID
from edge_gateway.demo.site import SLACK_S, Site, SiteOptions
from edge_gateway.demo.truthlog import read_truth
from tests.servers.influxd import Influxd
from tests.servers.mosquitto import Mosquitto

#: 15 simulated minutes a real one: in so many the hub is cut off once.
SPEED = 15.0
DATABASE = "demo"
Readings = Mapping[str, Sequence[Seen]]


async def campaign(folder: Path, *, seconds: float, seed: int, speed: float = SPEED) -> dict[str, Any]:
    """One run; what was found, as a JSON-able object. Each point is read once a real second, whatever the ``speed``."""
    (folder / "site").mkdir()
    with Mosquitto(folder / "mosquitto") as broker, Influxd(folder / "influxd") as database:
        database.create_database(DATABASE)
        options = SiteOptions(
            folder=folder / "site",
            sockets=folder / "site",
            speed=speed,
            seed=seed,
            interval_s=speed,
            broker_port=broker.port,
            mqtt_protocol="5",
            receiver_url=database.url,
        )
        async with Site(options) as site:
            await site.start()
            follower = Follower(site, Teller("en"))
            await follower.first_reading()
            await play(site, follower, seconds, asyncio.Event())
            at_hub = await asyncio.to_thread(from_hub, site.hub_url, SITE_ID)
        given = given_by_point(read_truth(options.folder / "truth.jsonl"))
        slack_us = round(SLACK_S * speed * 1e6)
        at_database = from_database(database)
        hub = compare(given, at_hub, slack_us=slack_us)
        influx = compare(given, at_database, slack_us=slack_us)
        planted = {f"{name}-{where}": caught for where, readings in (("hub", at_hub), ("influx", at_database))
                   for name, caught in planted_faults(given, readings, slack_us).items()}  # fmt: skip
        planted["overwritten-in-influx"] = overwritten(database, given, slack_us)
    counted = [one.counts for readings in given.values() for one in readings]
    return {
        "readings": sum(counted),
        "late": len(counted) - sum(counted),
        "hub": asdict(hub),
        "influx": asdict(influx),
        "planted": planted,
    }


def from_database(database: Influxd) -> dict[str, list[Seen]]:
    """InfluxDB's readings with a value, by point, in order of time."""
    found: dict[str, list[Seen]] = {}
    for row in database.points(DATABASE, "reading"):
        if row.get("value") is not None:
            found.setdefault(row["point"], []).append(Seen(row["time"], row["value"], row["epoch"], row["seq"]))
    return found


def planted_faults(given: Mapping[str, Sequence[Given]], seen: Readings, slack_us: int) -> dict[str, bool]:
    """One reading dropped, doubled, altered in the middle of a record that is right: is it found?"""
    point = "cold1-air"
    middle = len(seen[point]) // 2
    before, at, after = list(seen[point][:middle]), seen[point][middle], list(seen[point][middle + 1 :])

    def differs(spoiled: list[Seen]) -> Difference:
        return compare(given, {**seen, point: spoiled}, slack_us=slack_us)

    sound = compare(given, seen, slack_us=slack_us)
    return {
        "dropped": differs(before + after).missing > sound.missing,
        "doubled": differs([*before, at, at, *after]).extra > sound.extra,
        "altered": differs([*before, Seen(at.t_us, at.value + 0.1), *after]).lost > sound.lost,
    }


def overwritten(database: Influxd, given: Mapping[str, Sequence[Given]], slack_us: int) -> bool:
    """A stored point is overwritten in the database itself: is it found?"""
    before = compare(given, from_database(database), slack_us=slack_us)
    row = [row for row in database.points(DATABASE, "reading", "\"point\" = 'hall-ph'") if row["value"] is not None][-1]
    tags = ",".join(f"{name}={row[name]}" for name in ("point", "quantity", "site", "zone"))
    status, why = database.write(DATABASE, f"reading,{tags} value={row['value'] + 1} {row['time']}".encode())
    assert status == 204, why
    return compare(given, from_database(database), slack_us=slack_us).altered > before.altered


def passed(result: Mapping[str, Any]) -> bool:
    """Nothing missing, altered or invented anywhere, something to compare, every planted fault found."""
    clean = not any(result[where][what] for where in ("hub", "influx") for what in ("missing", "altered", "extra"))
    return clean and bool(result["readings"]) and all(result["planted"].values())


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=float, default=10.0, help="minutes")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers and folder go
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="truth-") as folder:
        result = asyncio.run(campaign(Path(folder), seconds=options.n * 60, seed=options.seed))
    print(json.dumps({"n": options.n, "seed": options.seed, **result, "seconds": round(time.monotonic() - began, 1)}))
    return 0 if passed(result) else 1


if __name__ == "__main__":
    sys.exit(main())
