"""How soon each handling step, hub command and mark is seen: from the gateway's answer to a person until hub and InfluxDB show it.

`python bench/handling_latency.py` starts influxd, hub, plant and gateway as processes, lets persons take every step (and the hub give
every command) on `--violations` violations, and looks at both every 20 ms. Prints one JSON line; exit 1 if one took more than 2 s.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from edge_gateway.cli.client import Client  # noqa: E402
from regulator_hub.commanding import Wish, give  # noqa: E402
from regulator_hub.config import HubToml  # noqa: E402
from regulator_hub.glance import Glance  # noqa: E402
from tests.cli.site import FROZEN, THAWED  # noqa: E402
from tests.regulator_hub.commanded import Commanded, commanded  # noqa: E402
from tests.servers.influxd import Influxd  # noqa: E402

ASSESSMENT = {
    "cause": "door", "severity": "major", "zone": "cold1", "period": {"from_us": 1, "to_us": 2}, "lots": [], "products": [{"what": "none"}],
}  # fmt: skip
HOUR_US = 3_600_000_000
MOST_S = 2.0
GIVE_UP_S = 20.0


class Watched:
    """A site whose every step is looked for in both places."""

    def __init__(self, site: Commanded, influxd: Influxd) -> None:
        self.site, self._influxd = site, influxd
        self.client = Client(site.gateway.state / "control.sock")
        self.samples: list[dict[str, Any]] = []

    def take(self, what: str, path: str, body: dict[str, Any], kind: str = "violation") -> dict[str, Any]:
        """A person's step by the control socket; when it is durable there, the watch begins."""
        answer = dict(self.client.post(path, body | {"reason": what}))
        began = time.monotonic()
        self._look(what, int(answer["seq"]), kind, began)
        return answer

    def command(self, verb: str, violation: str, **more: Any) -> None:
        """A hub command; the watch begins when it is signed and kept, so its way to the gateway counts too."""
        config = HubToml(state_dir=self.site.hub.state_dir)
        glance = Glance(config.state_dir)
        with contextlib.closing(glance):
            view = glance.view("tlf-007")
        assert view is not None
        give(config, view, Wish(verb, violation, "Li Hua", "seen", more, HOUR_US), time.time_ns() // 1000)
        began = time.monotonic()
        step = {"return": "returned", "verify": "closed", "extend": "extended", "refer": "referred"}[verb]
        seq = self._until(lambda: next((s["seq"] for s in self._hub(violation)["steps"][::-1] if s["step"] == step and s.get("command")), None))
        self._look(f"hub command {verb}", int(seq), "violation", began)

    def _look(self, what: str, seq: int, kind: str, began: float) -> None:
        seen: dict[str, float] = {}
        looks: dict[str, Callable[[], object]] = {"hub": lambda: self._at_hub(seq, kind), "influxdb": lambda: self._at_influxdb(seq)}
        while len(seen) < len(looks) and time.monotonic() - began < GIVE_UP_S:
            for place, look in looks.items():
                if place not in seen and look():
                    seen[place] = round(time.monotonic() - began, 3)
            time.sleep(0.02)
        self.samples.append({"what": what, **{place: seen.get(place) for place in looks}})

    def _until(self, look: Callable[[], Any]) -> Any:
        until = time.monotonic() + GIVE_UP_S
        while (found := look()) is None:
            assert time.monotonic() < until, "never seen at the hub"
            time.sleep(0.02)
        return found

    def _hub(self, violation: str) -> dict[str, Any]:
        return next((v for v in self._asked("violations?ended=1")["violations"] if v["violation"] == violation), {"steps": []})

    def _at_hub(self, seq: int, kind: str) -> bool:
        if kind == "violation":
            return any(step["seq"] == seq for v in self._asked("violations?ended=1")["violations"] for step in v["steps"])
        return any(each["seq"] == seq for each in self._asked("marks")[f"{kind}s"])

    def _asked(self, what: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.site.hub.url}/api/v1/gateways/tlf-007/{what}", timeout=5) as answer:
            return dict(json.loads(answer.read()))

    def _at_influxdb(self, seq: int) -> bool:
        return bool(self._influxd.points("edge", "event", f"seq = {seq}"))

    def broken(self, unit: int) -> str:
        """A violation that has opened and recovered."""
        known = {v["violation"] for v in self.client.get("/v1/violations")["violations"]}

        def opened() -> str | None:
            return next((v["violation"] for v in self.client.get("/v1/violations")["violations"] if v["violation"] not in known and v["level"] == "violation"), None)

        self.site.plant.set(unit, THAWED)
        name = str(self._until(opened))
        self.site.plant.set(unit, FROZEN)
        self._until(lambda: next((v for v in self.client.get("/v1/violations")["violations"] if v["violation"] == name and v["condition"] == "recovered"), None))
        self._until(lambda: self._hub(name).get("condition") == "recovered" or None)
        return name


def life(watched: Watched, unit: int) -> None:
    """Every step of a violation, with the hub as the second person, of a mark, a change of phase, and of a calibration."""
    name = watched.broken(unit)
    path = f"/v1/violations/{name}/"
    watched.take("ack", path + "ack", {})
    watched.take("correct", path + "correct", ASSESSMENT)
    watched.take("submit", path + "submit", {})
    watched.command("return", name)
    watched.take("submit again", path + "submit", {})
    watched.command("extend", name, deadline="verify", until_us=(int(time.time()) + 10 * 86_400) * 1_000_000)
    watched.command("refer", name, to="ecology")
    watched.command("verify", name)
    mark = watched.take("mark started", "/v1/marks", {"type": "cleaning", "zones": [f"cold{unit}"], "for_s": 600}, "mark")["mark"]
    watched.take("mark extended", f"/v1/marks/{mark}/extend", {"for_s": 900}, "mark")
    watched.take("mark ended", f"/v1/marks/{mark}/end", {}, "mark")
    watched.take("phase", "/v1/phase/next", {}, "phase")
    point = f"cold{unit}-air"
    watched.client.post("/v1/marks", {"type": "calibration", "points": [point], "for_s": 600, "reason": "annual"})
    against = {"point": point, "reference": 0, "uncertainty": 0.05, "certificate": "LH-118", "allowed": 0.5}
    watched.take("calibration found", "/v1/calibrations", against | {"step": "as-found"}, "calibration")
    watched.take("calibration left", "/v1/calibrations", against | {"step": "as-left"}, "calibration")
    watched.take("calibration corrected", "/v1/calibrations/correct", {"point": point, "offset": 0.2}, "calibration")


@contextlib.contextmanager
def watched_site(folder: Path) -> Iterator[Watched]:
    """influxd, hub, plant, gateway."""
    with Influxd(folder / "influxd") as influxd:
        influxd.create_database("edge")
        sink = f'\n[sinks.influx]\nkind = "influxdb1"\nurl = "{influxd.url}"\ndatabase = "edge"\n'
        with commanded(folder, more=sink) as site:
            yield Watched(site, influxd)


def result_of(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts, and the worst and middle of both places; a step that was never seen counts as infinitely late."""
    found: dict[str, Any] = {"n": len(samples)}
    for place in ("hub", "influxdb"):
        times = sorted(float("inf") if sample[place] is None else sample[place] for sample in samples)
        found[place] = {"median_s": times[len(times) // 2], "worst_s": times[-1]}
    return found | {"passed": all(found[place]["worst_s"] <= MOST_S for place in ("hub", "influxdb")), "samples": samples}


def measure(folder: Path, violations: int) -> dict[str, Any]:
    """Run it."""
    with watched_site(folder) as watched:
        for number in range(violations):
            life(watched, 1 + number % 3)
        return result_of(watched.samples)


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--violations", type=int, default=6)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="handling-") as folder:
        result = measure(Path(folder), options.violations)
    print(json.dumps(result))
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
