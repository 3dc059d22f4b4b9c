"""Only the end of the record is lost, real gateway and hub: its database is gone and its sealed segments are left, or an older copy of it runs.

What stands open at the hub stays open, under its number, and no number is given twice; what was ended here since stays ended.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli import site
from tests.cli.site import FROZEN, THAWED, Gateway, Plant
from tests.regulator_hub.harness import HubProcess
from tests.shipping.test_standing import ID, at_hub, built, here, violated

SEGMENT = 32
#: The gateway's own program, with small segments, of which a few entries are replayed in one go.
SMALL = f"""from dataclasses import replace
import edge_gateway.app.run as run
import edge_gateway.intake.recalling as recalling
recalling.AT_ONCE = 8
settings = run._settings
run._settings = lambda config, state_dir: replace(settings(config, state_dir), segment_entries={SEGMENT})
"""


@pytest.fixture
def plant() -> Iterator[Plant]:
    with Plant() as running:
        yield running


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "PROGRAM", site.program(tmp_path, SMALL))


def sealed(gateway: Gateway) -> int:
    return len(list((gateway.state / "segments").glob("*/*")))


def opened(hub: HubProcess, gateway: Gateway) -> None:
    gateway.wait(lambda: sealed(gateway) >= 2, "two segments are sealed", 40)
    gateway.settle(0.3)


def the_same_stands_open(hub: HubProcess, gateway: Gateway, plant: Plant) -> None:
    """It goes on under its number, another opens under the next one, and both are listed at the hub."""
    gateway.wait(lambda: f"{ID}-1" in here(gateway), "it is open here again", 30)
    assert here(gateway)[f"{ID}-1"]["point"] == "cold1-air"
    plant.set(2, THAWED)
    gateway.wait(lambda: violated(here(gateway), f"{ID}-2"), "the next one has the next number", 30)
    assert here(gateway)[f"{ID}-2"]["point"] == "cold2-air"
    gateway.wait(lambda: at_hub(hub).get(f"{ID}-2", {}).get("violated", False), "the hub hears of it", 30)
    assert {name: each["point"] for name, each in at_hub(hub).items()} == {f"{ID}-1": "cold1-air", f"{ID}-2": "cold2-air"}


@pytest.mark.usefixtures("small")
def test_what_stands_open_goes_on_when_the_database_is_gone_and_segments_are_left(tmp_path: Path, plant: Plant) -> None:
    hub, gateway = built(tmp_path, plant)
    with hub:
        with gateway:
            opened(hub, gateway)
            at = sealed(gateway)
            plant.set(1, THAWED)
            gateway.wait(lambda: at_hub(hub).get(f"{ID}-1", {}).get("violated", False), "the violation at the hub")
            gateway.kill()
            assert sealed(gateway) <= at + 1
            for path in gateway.state.glob("journal.sqlite*"):
                path.unlink()
            last = max((gateway.state / "segments").glob("*/*"))
            while sealed(gateway) > at:  # the snapshot that knows of it is gone too
                last.unlink()
                last = max((gateway.state / "segments").glob("*/*"))
        plant.set(1, FROZEN)  # nothing that it sees itself would open it
        with gateway:
            the_same_stands_open(hub, gateway, plant)


@pytest.mark.usefixtures("small")
def test_what_stands_open_goes_on_when_an_older_copy_of_the_record_runs(tmp_path: Path, plant: Plant) -> None:
    hub, gateway = built(tmp_path, plant)
    with hub:
        with gateway:
            opened(hub, gateway)
        shutil.copytree(gateway.state, tmp_path / "older", ignore=shutil.ignore_patterns("*.sock"))
        with gateway:
            plant.set(1, THAWED)
            gateway.wait(lambda: at_hub(hub).get(f"{ID}-1", {}).get("violated", False), "the violation at the hub")
            gateway.settle(5.0)  # the older copy has written less when it meets the hub
            gateway.kill()
        shutil.rmtree(gateway.state)
        shutil.copytree(tmp_path / "older", gateway.state)
        plant.set(1, FROZEN)  # nothing that it sees itself would open it
        with gateway:
            gateway.wait(lambda: f"{ID}-1" in here(gateway), "it is open here again", 30)
            the_same_stands_open(hub, gateway, plant)
