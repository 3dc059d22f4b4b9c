"""Only the end of the record is lost while a delay runs and a mark stands, real gateway and hub: both go on from the hub's copy, also where it is reached late.

Lost in three ways: the database is gone and sealed segments are left; the hub is away at that start, and at the next one; an older
copy of the record runs, which only the hub can tell. Planted: a hub that gives no state back. Then the delay begins anew and the mark is forgotten.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.site import PACK, THAWED, Gateway, Plant
from tests.regulator_hub.harness import HubProcess
from tests.shipping import test_standing_end as end
from tests.shipping.test_recalled import KNOWS_NO_RECALL, fired, records
from tests.shipping.test_standing import ID, here
from tests.shipping.test_standing import built as site

pytestmark = pytest.mark.usefixtures("small")
small, sealed = end.small, end.sealed
DELAY_S = 15.0
#: Where the hub is reached late: longer than a busy machine takes until then, for the delay must not have run out anew meanwhile.
LONG_S = 40.0


@pytest.fixture
def plant() -> Iterator[Plant]:
    with Plant() as running:
        yield running


def built(folder: Path, plant: Plant, patch: str = "", delay_s: float = DELAY_S) -> tuple[HubProcess, Gateway]:
    hub, gateway = site(folder, plant)
    if patch:
        hub = HubProcess(folder / "hub", patch=patch)
        gateway.write(gateway.config.read_text().replace(gateway.config.read_text().split('url = "')[1].split('"')[0], hub.url))
    (folder / "rules" / "house.toml").write_text(PACK.replace("violation_after_s = 0.5", f"notice_after_s = {delay_s - 1}\nviolation_after_s = {delay_s}"))
    return hub, gateway


def begun(hub: HubProcess, gateway: Gateway, plant: Plant) -> tuple[str, int]:
    """A mark stands on one point, the delay of another's rule runs, and the hub holds both: the mark's id, and when the delay began (µs)."""
    told = gateway.verb("mark", "start", "cleaning", "--zone", "cold2", "--for", "20m", "--reason", "the drain", "--json")
    assert told.returncode == 0, told.stderr
    plant.set(1, THAWED)

    def beyond() -> list[int]:
        bodies = [json.loads(each) for _, entries in records(hub) for each in entries]
        return [body["wall_us"] for body in bodies if body["kind"] == "batch" and -5.0 in body["values"]]

    gateway.wait(lambda: bool(beyond()), "the hub holds the reading that the delay began with")
    return str(json.loads(told.stdout)["mark"]), beyond()[0]


def lose_the_end(gateway: Gateway, keep: int) -> None:
    """Killed; the database is gone, and what was sealed since."""
    gateway.kill()
    for path in gateway.state.glob("journal.sqlite*"):
        path.unlink()
    while sealed(gateway) > keep:
        max((gateway.state / "segments").glob("*/*")).unlink()


def marked(gateway: Gateway) -> set[str]:
    found = gateway.verb("mark", "list", "--json")
    return {each["mark"] for each in json.loads(found.stdout)["marks"]}


def alarms(gateway: Gateway) -> set[str]:
    return {alarm["code"] for alarm in gateway.status().get("alarms", [])}


def events(hub: HubProcess, name: str) -> list[dict[str, object]]:
    return [body for _, entries in records(hub) for body in map(json.loads, entries) if body.get("event") == name]


def goes_on(gateway: Gateway, mark: str, first_us: int) -> None:
    """The mark stands, the delay ends when it would have, and the record holds by itself."""
    assert mark in marked(gateway)
    gateway.wait(lambda: fired(gateway), "the delay ends", LONG_S + 20)
    found = next(each for each in here(gateway).values() if each["point"] == "cold1-air")
    assert (found["first"]["wall_us"], found["level"]) == (first_us, "violation")


def holds_by_itself(gateway: Gateway) -> None:
    verified = json.loads(gateway.verb("journal", "verify", "--json").stdout)
    assert verified["outcome"] != "broken", verified
    again = json.loads(gateway.verb("journal", "recompute", "--json").stdout)
    assert again["outcome"] != "differs", again
    gaps = json.loads(gateway.verb("journal", "gaps", "--json").stdout)
    assert gaps["outcome"] == "accounted", gaps


def test_a_delay_and_a_mark_go_on_when_the_database_is_gone_and_segments_are_left(tmp_path: Path, plant: Plant) -> None:
    hub, gateway = built(tmp_path, plant)
    with hub:
        with gateway:
            gateway.wait(lambda: sealed(gateway) >= 2, "two segments are sealed", 40)
            keep = sealed(gateway)
            mark, first_us = begun(hub, gateway, plant)
            lose_the_end(gateway, keep)
        with gateway:
            gateway.wait(lambda: "state-recalled" in alarms(gateway), "the hub's state")
            goes_on(gateway, mark, first_us)
        with gateway:  # over a restart, out of the new record
            assert mark in marked(gateway)
        holds_by_itself(gateway)


def test_from_a_hub_that_gives_no_state_back_the_delay_begins_anew(tmp_path: Path, plant: Plant) -> None:
    hub, gateway = built(tmp_path, plant, KNOWS_NO_RECALL)
    with hub:
        with gateway:
            gateway.wait(lambda: sealed(gateway) >= 2, "two segments are sealed", 40)
            keep = sealed(gateway)
            mark, first_us = begun(hub, gateway, plant)
            lose_the_end(gateway, keep)
        with gateway:
            assert mark not in marked(gateway)
            gateway.wait(lambda: fired(gateway), "the delay ends", DELAY_S + 15)
            (found,) = here(gateway).values()
            assert found["first"]["wall_us"] > first_us


@pytest.mark.parametrize(("segments_left", "restarted"), [(True, False), (False, True)])
def test_a_hub_that_is_away_at_that_start_is_asked_again(segments_left: bool, restarted: bool, tmp_path: Path, plant: Plant) -> None:
    hub, gateway = built(tmp_path, plant, delay_s=LONG_S)
    with gateway:
        with hub:
            gateway.wait(lambda: sealed(gateway) >= 2, "two segments are sealed", 40)
            keep = sealed(gateway)
            mark, first_us = begun(hub, gateway, plant)
        lose_the_end(gateway, keep)
        if not segments_left:
            shutil.rmtree(gateway.state)
    with gateway:
        if segments_left:  # without them, and without a signer that knows better, it may be a new gateway
            gateway.wait(lambda: "state-not-recalled" in alarms(gateway), "it is said that the hub could not be asked")
        gateway.wait(lambda: any(row.get("value") is not None for row in gateway.status().get("rows", [])), "it reads all the same")
        assert mark not in marked(gateway)
        if restarted:  # killed in between: what is wanted of the hub is known to the next start too
            gateway.kill()
            gateway.start()
        with hub:
            gateway.wait(lambda: "state-recalled" in alarms(gateway), "the hub's state", 40)
            goes_on(gateway, mark, first_us)
            gateway.wait(lambda: bool(events(hub, "state-recalled")), "the hub has it in the record", 20)
            assert bool(events(hub, "state-not-recalled")) is segments_left
            gateway.stop()
            gateway.start()  # a replay takes it over at its place
            assert mark in marked(gateway)
            assert {each["first"]["wall_us"] for each in here(gateway).values() if each["point"] == "cold1-air"} == {first_us}
    holds_by_itself(gateway)


def test_a_delay_and_a_mark_go_on_when_an_older_copy_of_the_record_runs(tmp_path: Path, plant: Plant) -> None:
    hub, gateway = built(tmp_path, plant)
    with hub:
        with gateway:
            gateway.wait(lambda: sealed(gateway) >= 2, "two segments are sealed", 40)
        shutil.copytree(gateway.state, tmp_path / "older", ignore=shutil.ignore_patterns("*.sock"))
        with gateway:
            gateway.settle(5.0)  # the older copy has written less when it meets the hub
            mark, first_us = begun(hub, gateway, plant)
            gateway.kill()
        shutil.rmtree(gateway.state)
        shutil.copytree(tmp_path / "older", gateway.state)
        began = time.monotonic()
        with gateway:
            gateway.wait(lambda: "state-recalled" in alarms(gateway), "the hub's state", 30)
            assert time.monotonic() - began < 30
            goes_on(gateway, mark, first_us)
        with gateway:
            assert mark in marked(gateway)
            assert f"{ID}-1" in here(gateway)
