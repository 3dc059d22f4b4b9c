"""A calibration without a violation and a day's phases, only with the commands, against the running gateway."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.journal.reading import Reading
from tests.cli.site import FROZEN, Gateway, Plant, config_text
from tests.cli.test_record_page import plain

_TEXT = re.compile(r"^ *```text\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
ASKED = ("--reference", "0", "--uncertainty", "0.05", "--cert", "LH-2026-118", "--steady-for", "1s", "--allowed", "0.5")


@pytest.fixture
def plant() -> Iterator[Plant]:
    with Plant() as running:
        yield running


@pytest.fixture
def gateway(plant: Plant, tmp_path: Path) -> Iterator[Gateway]:
    running = Gateway(tmp_path, config_text(plant.port))
    with running:
        running.wait(lambda: running.status().get("points", {}).get("normal") == 3, "readings")
        yield running
    assert "Traceback" not in running.log()


def entries(gateway: Gateway, *kinds: str) -> list[dict[str, Any]]:
    reading = Reading(gateway.state)
    try:
        return [entry for _, entry in reading.entries() if entry["kind"] in kinds]
    finally:
        reading.close()


#: What commands of this run said, by the command as a page shows it.
RAN: dict[str, list[str]] = {}


def say(gateway: Gateway, *arguments: str) -> str:
    """What a command says; kept, to be compared with the pages."""
    ran = gateway.verb(*arguments)
    text = ran.stdout + ran.stderr
    shown = " ".join(f'"{each}"' if " " in each else each for each in arguments)
    RAN.setdefault(f"edge-gateway {shown}", []).append(text)
    return text


def compare(page: str, commands: int) -> None:
    """Every command that the page shows was run here, and said what stands there ("…": more than is shown)."""
    text = (Path(__file__).resolve().parents[2] / "docs/how-to" / page).read_text(encoding="utf-8")
    parts = [part for block in _TEXT.findall(text) for part in re.split(r"^ *\$ ", block, flags=re.MULTILINE)[1:]]
    assert len(parts) == commands
    for part in parts:
        command, _, shown = part.partition("\n")
        wanted = sorted(plain(shown))  # two streams have no order
        said = [sorted(plain(text)) for text in RAN[command]]
        assert wanted in said or ("…" in wanted and any({*wanted} - {"…"} <= {*each} for each in said)), command


def test_a_calibration_without_a_violation(gateway: Gateway, plant: Plant) -> None:
    plant.set(1, FROZEN)
    say(gateway, "mark", "start", "calibration", "--point", "cold1-air", "--for", "45m", "--reason", "annual, certificate LH-2026-118")
    plant.set(1, 3)  # the ice bath, 0.3 °C
    gateway.wait(lambda: any(row["value"] == 0.3 for row in gateway.status()["rows"]), "the probe in the bath")
    assert "error +0.3 °C  within" in say(gateway, "calibrate", "found", "cold1-air", *ASKED, "--reason", "annual", "--due", "2027-11-28")
    plant.set(1, 0)
    gateway.wait(lambda: any(row["value"] == 0.0 for row in gateway.status()["rows"]), "adjusted")
    assert "error +0 °C" in say(gateway, "calibrate", "left", "cold1-air", *ASKED, "--reason", "offset set on the device", "--keep-mark")
    plant.set(1, FROZEN)
    gateway.wait(lambda: all(row["value"] == FROZEN / 10 for row in gateway.status()["rows"]), "the probe is back")
    assert "would have fired: 1" in say(gateway, "mark", "end", "M-1", "--reason", "probe is back in the store")
    assert "calibration" in say(gateway, "mark", "list")
    assert "as-found +0.3 °C  as-left +0 °C  due 2027-11-28" in say(gateway, "calibrate", "list")
    assert "nothing is open" in say(gateway, "violations", "list")
    assert [e["step"] for e in entries(gateway, "violation")] == []
    assert [e["step"] for e in entries(gateway, "calibration")] == ["as-found", "as-left"]
    assert [e["error"] for e in entries(gateway, "calibration")] == [0.3, 0.0]
    told = [e["event"] for e in entries(gateway, "event") if e["event"].startswith("would-have")]
    assert told[0] == "would-have-fired"
    compare("calibrate-without-a-violation.md", 6)


def test_a_probe_that_was_off_corrects_the_past_and_changes_no_reading(gateway: Gateway, plant: Plant) -> None:
    plant.set(1, 9)
    strict = [*ASKED[:-1], "0.5", "--reason", "annual"]
    say(gateway, "mark", "start", "calibration", "--point", "cold1-air", "--for", "45m", "--reason", "annual")
    gateway.wait(lambda: any(row["value"] == 0.9 for row in gateway.status()["rows"]), "the probe in the bath")
    assert "will correct the readings" in say(gateway, "calibrate", "found", "cold1-air", *strict)
    plant.set(1, 0)
    gateway.wait(lambda: any(row["value"] == 0.0 for row in gateway.status()["rows"]), "adjusted")
    assert "readings from the beginning of the record to" in say(gateway, "calibrate", "left", "cold1-air", *strict)
    assert "corrected by +0.2 °C; raw readings stay" in say(gateway, "calibrate", "correct", "cold1-air", "--from", "1h", "--offset", "0.2", "--reason", "dropped today")
    assert "a correction by 0 is none" in say(gateway, "calibrate", "correct", "cold1-air", "--offset", "0", "--reason", "x")
    assert "修正 -0.9 °C；原始读数不变" in gateway.verb("--lang", "zh", "calibrate", "list").stdout
    before = list(entries(gateway, "batch"))
    exported = gateway.verb("export", "--point", "cold1-air")
    assert "a calibration says by how much they were off" in exported.stderr
    head, first, *_ = exported.stdout.splitlines()
    assert (head.split(",")[-1], first.split(",")[4], first.split(",")[-1]) == ("correction", "-19.0", "0.2")
    assert entries(gateway, "batch")[: len(before)] == before
    assert [(e["step"], e.get("implied")) for e in entries(gateway, "calibration")] == [("as-found", None), ("as-left", None), ("corrected", True), ("corrected", None)]
    assert any(row.get("correction", {}).get("offset") == 0.2 for row in gateway.status()["rows"])


def test_a_date_that_has_passed_is_a_problem(gateway: Gateway, plant: Plant) -> None:
    assert "error" in say(gateway, "calibrate", "found", "cold1-air", *ASKED, "--reason", "annual", "--due", "2026-01-01")
    assert "calibration of cold1-air: overdue since 2026-01-01" in gateway.status()["problems"]
    assert gateway.verb("calibrate", "list").returncode == 3
    assert "已过期" in gateway.verb("--lang", "zh", "calibrate", "list").stdout


def test_the_same_bath_without_a_mark_is_a_violation(gateway: Gateway, plant: Plant) -> None:
    """The planted fault of the test above: nobody marked the point."""
    plant.set(1, 3)
    gateway.wait(lambda: bool(gateway.status()["violations"]), "a violation")


def test_a_day_through_its_phases(gateway: Gateway) -> None:
    assert "every rule is armed" in say(gateway, "phase", "show")
    assert "before the start" in say(gateway, "phase", "next")
    shown = say(gateway, "phase", "show")
    assert "[ ] people-health" in shown
    assert "[?] machine-steriliser" in shown, "no rule of this site watches a steriliser"
    assert "going on needs a reason" in say(gateway, "phase", "next")
    assert "signed by" in say(gateway, "phase", "sign", "people-health", "--reason", "8 of 8 certificates valid")
    assert "a second person signs" in say(gateway, "phase", "sign", "machine-steriliser", "--reason", "looks hot")
    assert "production" in say(gateway, "phase", "next", "--reason", "no probe at the steriliser yet, thermometer used")
    assert "closing" in say(gateway, "phase", "next", "--reason", "three looks, nothing seen")
    assert "cannot be closed" in say(gateway, "phase", "next", "--reason", "late")
    steps = [(e["step"], e["phase"]) for e in entries(gateway, "phase")]
    assert steps == [("began", "pre-start"), ("signed", "pre-start"), ("began", "production"), ("began", "closing")]
    compare("work-through-a-day.md", 7)
