"""The whole record is lost while a delay runs, real gateway and hub over HTTP and over MQTT: it runs on from the hub's copy, and fires in time.

Planted: a hub that gives no state back. Then the delay begins anew, which is what the first test would find.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from urllib.request import urlopen

import pytest

from regulator_hub.gateways import Gateways
from tests.cli.site import PACK, THAWED, Gateway, Plant, config_text
from tests.regulator_hub.harness import HubProcess
from tests.servers.mosquitto import Mosquitto
from tests.shipping.test_standing import ID, at_hub, here, lose

DELAY_S = 6.0
#: A hub of an older release.
KNOWS_NO_RECALL = "from regulator_hub.desk import Desk\ndel Desk._handlers['recall']\n"


@pytest.fixture
def plant() -> Iterator[Plant]:
    with Plant() as running:
        yield running


def built(folder: Path, plant: Plant, broker: Mosquitto | None = None, patch: str = "") -> tuple[HubProcess, Gateway]:
    """Over MQTT if there is a broker."""
    toml = f'[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\n' if broker else ""
    hub = HubProcess(folder / "hub", patch=patch, toml=toml)
    (folder / "token").write_text(Gateways(hub.state_dir / "gateways").add(ID, mqtt=broker is not None, wall_us=0))
    (folder / "token").chmod(0o600)
    way = f'url = "{hub.url}"' if broker is None else 'via = "mqtt"\nbus = "mq"'
    more = f'\n[sinks.hub]\nkind = "hub"\n{way}\ntoken_file = "{folder}/token"\ntimeout_s = 3.0\n'
    if broker is not None:
        more += f'\n[buses.mq]\nkind = "mqtt"\nhost = "127.0.0.1"\nport = {broker.port}\n'
    gateway = Gateway(folder, config_text(plant.port, more=more))
    (folder / "rules" / "house.toml").write_text(PACK.replace("violation_after_s = 0.5", f"notice_after_s = {DELAY_S - 1}\nviolation_after_s = {DELAY_S}"))
    return hub, gateway


def records(hub: HubProcess) -> list[tuple[str, list[bytes]]]:
    """What the hub holds, an epoch each, oldest first."""
    with urlopen(f"{hub.url}/api/v1/gateways", timeout=10) as answer:
        epochs = [each["epoch"] for each in json.loads(answer.read())["gateways"][0]["epochs"]]
    found = []
    for epoch in epochs:
        with urlopen(f"{hub.url}/api/v1/gateways/{ID}/entries?epoch={epoch}&first=0", timeout=10) as answer:
            found.append((epoch, [line for line in answer.read().split(b"\n") if line]))
    return found


def fired(gateway: Gateway) -> bool:
    return any(each["level"] == "violation" for each in here(gateway).values())


def begun_and_lost(hub: HubProcess, gateway: Gateway, plant: Plant) -> int:
    """A point goes beyond its limit, and the record goes while the delay runs. When the delay began, as the hub holds it (µs)."""
    with gateway:
        before_us = time.time_ns() // 1000
        plant.set(1, THAWED)
        gateway.settle(2.0)
        assert here(gateway) == {}
    lose(gateway)
    ((_, entries),) = records(hub)
    beyond = [body for body in map(json.loads, entries) if body["kind"] == "batch" and -5.0 in body["values"]]
    assert beyond
    assert beyond[0]["wall_us"] >= before_us
    return int(beyond[0]["wall_us"])


@pytest.mark.parametrize("via", ["http", "mqtt"])
def test_a_delay_runs_on_after_the_whole_record_was_lost(via: str, tmp_path: Path, plant: Plant, request: pytest.FixtureRequest) -> None:
    hub, gateway = built(tmp_path, plant, request.getfixturevalue("mosquitto") if via == "mqtt" else None)
    with hub:
        first_us = begun_and_lost(hub, gateway, plant)
        with gateway:
            gateway.wait(lambda: bool(gateway.status().get("rows")), "it reads")
        with gateway:  # a restart goes on from the new record
            gateway.wait(lambda: fired(gateway), "the delay ends", DELAY_S + 10)
            ((name, found),) = here(gateway).items()
            assert (name, found["first"]["wall_us"]) == (f"{ID}-1", first_us)
            gateway.wait(lambda: at_hub(hub).get(f"{ID}-1", {}).get("violated", False), "the hub hears of it")
        (old, before), (_, after) = records(hub)
        bodies = [json.loads(each) for each in after]
        (told,) = [body for body in bodies if body.get("event") == "state-recalled"]
        taken = before[told["first"] : told["size"]]
        assert (told["epoch"], told["size"], told["hub"]) == (old, len(before), "hub")
        assert told["sha256"] == sha256(b"".join(each + b"\n" for each in taken)).hexdigest()
        (step,) = [body for body in bodies if body["kind"] == "violation" and body["step"] == "violated"]
        started = [body["wall_us"] for body in bodies if body.get("event") == "started"]
        assert step["wall_us"] < max(first_us + DELAY_S * 1e6, started[-1] + 2e6) + 1e6  # rule time went on while nothing ran
        _holds_by_itself(gateway)


def _holds_by_itself(gateway: Gateway) -> None:
    """The new record verifies and accounts for its slots without the old one."""
    verified = json.loads(gateway.verb("journal", "verify", "--json").stdout)
    assert verified["outcome"] != "broken", verified
    gaps = json.loads(gateway.verb("journal", "gaps", "--json").stdout)
    assert gaps["outcome"] == "accounted", gaps
    again = gateway.verb("journal", "recompute", "--json")
    assert json.loads(again.stdout)["outcome"] == "recomputed", again.stdout


def test_from_a_hub_that_gives_no_state_back_the_delay_begins_anew(tmp_path: Path, plant: Plant) -> None:
    hub, gateway = built(tmp_path, plant, patch=KNOWS_NO_RECALL)
    with hub:
        first_us = begun_and_lost(hub, gateway, plant)
        with gateway:
            gateway.wait(lambda: fired(gateway), "the delay ends", DELAY_S + 10)
            (found,) = here(gateway).values()
            assert found["first"]["wall_us"] > first_us + 2_000_000
            assert "state-recalled" not in {alarm["code"] for alarm in gateway.status()["alarms"]}
