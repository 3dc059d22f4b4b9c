"""A pack into shadow and back, by commands against a running gateway: the second person, the record, a file that takes nothing back."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.site import FROZEN, THAWED, Gateway, Plant, config_text, peopled
from tests.cli.test_handling import SECRETS, entries, open_, refused


@pytest.fixture(scope="module")
def plant() -> Iterator[Plant]:
    with Plant() as found:
        yield found


@pytest.fixture
def gateway(plant: Plant, tmp_path: Path) -> Iterator[Gateway]:
    with peopled(tmp_path, plant, {"李敏": SECRETS["李敏"]}) as found:
        yield found


def test_back_from_enforced_by_two_persons_and_into_force_by_one(gateway: Gateway, plant: Plant) -> None:
    second = ("--second", "李敏", "--secret-file", str(gateway.folder / "李敏"))
    plant.set(1, THAWED)
    gateway.wait(lambda: gateway.status()["points"]["violation"] == 1, "a violation")
    refused(gateway.verb("rules", "state", "house", "shadow", "--reason", "r", "--by", "wang"), "only a second person takes it back")
    refused(gateway.verb("rules", "state", "house", "shadow", "--reason", "r", "--by", "李敏", *second), "somebody else than who asks")
    (gateway.folder / "wrong").write_text("no\n", encoding="utf-8")
    wrong = ("--second", "李敏", "--secret-file", str(gateway.folder / "wrong"))
    refused(gateway.verb("rules", "state", "house", "shadow", "--reason", "r", "--by", "wang", *wrong), "do not belong together")
    refused(gateway.verb("rules", "state", "hause", "shadow", "--reason", "r"), "did you mean 'house'")
    done = gateway.verb("rules", "state", "house", "shadow", "--reason", "probes moved", "--by", "wang", *second)
    assert (done.returncode, "agreed by 李敏" in done.stdout) == (0, True), done.stderr
    gateway.wait(lambda: [v["condition"] for v in open_(gateway)] == ["unknown"], "what is open is unknown")
    plant.set(1, FROZEN)
    plant.set(2, THAWED)
    gateway.wait(lambda: any(e.get("event") == "would-have-fired" for e in entries(gateway)), "it is counted")
    assert [v["point"] for v in open_(gateway)] == ["cold1-air"], "and not reported"
    assert gateway.verb("rules", "state", "house", "enforced", "--reason", "trial over", "--by", "wang").returncode == 0
    gateway.wait(lambda: len(open_(gateway)) == 2, "what still holds is reported")
    told = [(e["old"], e["new"], e["by"], e.get("second", "")) for e in entries(gateway) if e.get("event") == "pack-state-changed"]
    assert told == [("enforced", "shadow", "wang", "李敏"), ("shadow", "enforced", "wang", "")]
    configs = [e for e in entries(gateway) if e.get("event") == "rules-not-armed"]
    assert [e["rules"] for e in configs] == [{"shadow": ["house-air"]}, {}]


def test_a_pack_that_was_taken_out_comes_back_as_it_was(gateway: Gateway, plant: Plant) -> None:
    """Out of ``packs`` and back in shadow would be out of force without a second person."""
    text, shadow = config_text(plant.port), '[rules.state]\nhouse = "shadow"\n'
    before = gateway.status()["config"]
    gateway.write(text.replace('packs = ["house"]', "packs = []"))
    gateway.signal(signal.SIGHUP)
    gateway.wait(lambda: gateway.status()["config"] != before, "no rule judges")
    gateway.stop()
    gateway.start()
    gateway.write(config_text(plant.port, more=shadow))
    gateway.signal(signal.SIGHUP)
    gateway.wait(lambda: "a file alone does not take it back" in json.dumps(gateway.status()), "the reload is refused")
    gateway.stop()
    gateway.start()
    plant.set(3, THAWED)
    gateway.wait(lambda: gateway.status()["points"]["violation"] == 1, "and is enforced, also at a start")
    assert [e["packs"] for e in entries(gateway) if e.get("event") == "packs-kept-enforced"] == [["house"]]


def test_a_file_alone_takes_no_pack_back_neither_at_a_reload_nor_at_a_start(gateway: Gateway, plant: Plant) -> None:
    gateway.write(config_text(plant.port, more='[rules.state]\nhouse = "shadow"\n'))
    gateway.signal(signal.SIGHUP)
    gateway.wait(lambda: "a file alone does not take it back" in json.dumps(gateway.status()), "the reload is refused")
    done = gateway.verb("rules", "check")
    assert "SHADOW" in done.stdout, "the file is sound, and says so"
    gateway.stop()
    gateway.start()
    gateway.wait(lambda: gateway.status().get("points", {}).get("normal") == 3, "it runs")
    plant.set(3, THAWED)
    gateway.wait(lambda: gateway.status()["points"]["violation"] == 1, "and is enforced")
    assert [e["packs"] for e in entries(gateway) if e.get("event") == "packs-kept-enforced"] == [["house"]]
