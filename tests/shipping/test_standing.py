"""The whole record is lost, real gateway and hub over sockets: what stands open at the hub goes on here, and no number is given twice."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from regulator_hub.gateways import Gateways
from tests.cli.site import THAWED, Gateway, Plant, config_text
from tests.regulator_hub.harness import HubProcess

ID = "tlf-007"


@pytest.fixture
def plant() -> Iterator[Plant]:
    with Plant() as running:
        yield running


def lose(gateway: Gateway) -> None:
    """The card is gone: a new one, the same configuration."""
    shutil.rmtree(gateway.state)


def built(folder: Path, plant: Plant) -> tuple[HubProcess, Gateway]:
    hub = HubProcess(folder / "hub")
    (folder / "token").write_text(Gateways(hub.state_dir / "gateways").add(ID, mqtt=False, wall_us=0))
    (folder / "token").chmod(0o600)
    more = f'\n[sinks.hub]\nkind = "hub"\nurl = "{hub.url}"\ntoken_file = "{folder}/token"\ntimeout_s = 3.0\n'
    return hub, Gateway(folder, config_text(plant.port, more=more))


def at_hub(hub: HubProcess, *, ended: bool = False) -> dict[str, dict[str, Any]]:
    with urlopen(f"{hub.url}/api/v1/violations{'?ended=1' if ended else ''}", timeout=10) as answer:
        return {each["violation"]: each for each in json.loads(answer.read())["violations"]}


def here(gateway: Gateway) -> dict[str, dict[str, Any]]:
    return {each["violation"]: each for each in gateway.status().get("violations", [])}


def violated(found: dict[str, dict[str, Any]], name: str) -> bool:
    return name in found and found[name]["condition"] == "active"


def test_what_stands_open_at_the_hub_goes_on_after_the_whole_record_was_lost(tmp_path: Path, plant: Plant) -> None:
    hub, gateway = built(tmp_path, plant)
    with hub:
        with gateway:
            plant.set(1, THAWED)
            gateway.wait(lambda: at_hub(hub).get(f"{ID}-1", {}).get("violated", False), "the violation at the hub")
            assert gateway.verb("violations", "ack", f"{ID}-1", "--reason", "looked").returncode == 0
            gateway.wait(lambda: at_hub(hub)[f"{ID}-1"]["handling"] == "acknowledged", "the step at the hub")
            first = here(gateway)[f"{ID}-1"]["first"]["wall_us"]
        lose(gateway)
        with gateway:
            gateway.wait(lambda: f"{ID}-1" in here(gateway), "it is open here again", 30)
            taken = here(gateway)[f"{ID}-1"]
            assert (taken["handling"], taken["level"], taken["first"]["wall_us"]) == ("acknowledged", "violation", first)
            assert "state-recalled" in {alarm["code"] for alarm in gateway.status()["alarms"]}
            plant.set(2, THAWED)
            gateway.wait(lambda: violated(here(gateway), f"{ID}-2"), "the next one has the next number")
        with gateway:  # and over a restart, out of the new record
            assert {f"{ID}-1", f"{ID}-2"} <= set(here(gateway))
            plant.set(1, -200)
            gateway.wait(lambda: here(gateway)[f"{ID}-1"]["condition"] == "recovered", "its rule sees it end", 30)
            gateway.wait(lambda: at_hub(hub)[f"{ID}-1"]["condition"] == "recovered", "it is over at the hub too")
            assert set(at_hub(hub)) == {f"{ID}-1", f"{ID}-2"}


def test_no_number_is_given_twice_while_the_hub_is_away(tmp_path: Path, plant: Plant) -> None:
    """Planted: after the loss the hub cannot be asked before the next violation, which is the same as one that stands open there."""
    hub, gateway = built(tmp_path, plant)
    with hub, gateway:
        plant.set(1, THAWED)
        gateway.wait(lambda: at_hub(hub).get(f"{ID}-1", {}).get("violated", False), "the violation at the hub")
    lose(gateway)
    with gateway:
        gateway.wait(lambda: bool(here(gateway)), "a violation without the hub", 30)
        (name,) = here(gateway)
        assert int(name.removeprefix(f"{ID}-")) > 29_000_000  # minutes since 1970: more than any gateway ever counted
        with hub:
            gateway.wait(lambda: set(here(gateway)) == {f"{ID}-1"}, "merged into what stood open", 60)
            assert "violations-adopted" in {alarm["code"] for alarm in gateway.status()["alarms"]}
            gateway.wait(lambda: at_hub(hub, ended=True).get(name, {}).get("handling") == "merged", "the hub hears of it")
            assert set(at_hub(hub)) == {f"{ID}-1"}
            plant.set(1, -200)
            gateway.wait(lambda: here(gateway)[f"{ID}-1"]["condition"] == "recovered", "its rule sees it end", 30)
