"""A day's bytes that run out, with the real gateway and the real hub: the ordered lane holds, a violation goes out, nobody is dark."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tests.cli.site import THAWED, Gateway, Plant, config_text
from tests.regulator_hub.harness import HubProcess, registered

ID = "tlf-007"


def test_at_the_bound_the_ordered_lane_holds_and_a_violation_goes_out(tmp_path: Path) -> None:
    hub = HubProcess(tmp_path / "hub")
    (tmp_path / "token").write_text(registered(hub.state_dir))
    (tmp_path / "token").chmod(0o600)
    sink = f'\n[sinks.hub]\nkind = "hub"\nurl = "{hub.url}"\ntoken_file = "token"\nbytes_per_day = 100000\n'

    def api(path: str) -> Any:
        with urlopen(f"{hub.url}/api/v1{path}", timeout=10) as answer:
            return json.loads(answer.read())

    def size() -> int:
        return int(api("/gateways")["gateways"][0]["epochs"][0]["size"])

    with Plant() as plant:
        gateway = Gateway(tmp_path, config_text(plant.port, interval_s=0.03, more=sink))
        with hub, gateway:
            def budget() -> dict[str, Any]:
                return dict(gateway.status()["sinks"]["hub"]["budget"])

            gateway.wait(lambda: bool(budget()["until_us"]), "the day's bytes are spent", 90)
            spent, held = budget()["used"], size()
            assert 100_000 <= spent < 130_000
            said = gateway.verb("status").stdout
            assert "only what is urgent goes out until" in said
            plant.set(1, THAWED)
            began = time.monotonic()
            gateway.wait(lambda: bool(api("/violations")["violations"]), "the violation at the hub", 20)
            assert time.monotonic() - began < 5
            assert size() == held, "the ordered lane's cursor stays"
            backlog = gateway.status()["sinks"]["hub"]["backlog"]
            gateway.wait(lambda: gateway.status()["sinks"]["hub"]["backlog"] > backlog + 20, "the backlog grows")
            assert budget()["used"] < spent + 20_000, "what is urgent is small"
        with hub, gateway:  # a restart gives nothing
            gateway.wait(lambda: bool(budget()["until_us"]), "still spent", 20)
            assert size() <= held + 30
        gateway.write(gateway.config.read_text().replace("bytes_per_day = 100000\n", ""))
        with hub, gateway:
            gateway.wait(lambda: size() > held + 100, "without a bound it goes on", 30)
