"""A person's steps on how long the record stays, with the real program: what changes without one, what with one, what is on record."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.journal.reading import Reading
from tests.cli.site import Gateway, Plant, config_text
from tests.servers.process import free_port

HUB = '\n[sinks.county]\nkind = "hub"\nurl = "http://127.0.0.1:{port}"\ntoken_file = "token"\n'


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    (tmp_path / "token").write_text("t" * 40)
    (tmp_path / "token").chmod(0o600)
    with Plant() as plant:
        yield Gateway(tmp_path, config_text(plant.port))


def events(gateway: Gateway) -> list[dict[str, Any]]:
    reading = Reading(gateway.state)
    try:
        return [entry for _, entry in reading.entries() if entry["kind"] == "event"]
    finally:
        reading.close()


def written(gateway: Gateway, days: int | None, more: str = "") -> None:
    text = gateway.config.read_text().partition("\n[sinks.")[0]
    lines = [line for line in text.splitlines() if not line.startswith("keep_days")]
    keep = [f"keep_days = {days}"] if days is not None else []
    at = lines.index("[journal]") + 1
    gateway.write("\n".join([*lines[:at], *keep, *lines[at:]]) + "\n" + more)


def test_a_lower_keep_time_waits_for_a_person(gateway: Gateway) -> None:
    written(gateway, None)
    with gateway:
        assert "kept for 730 days" in gateway.verb("status").stdout
    written(gateway, 30)
    with gateway:
        said = gateway.verb("status")
        assert (said.returncode, "the record is kept for 730 days, the configuration asks for 30" in said.stdout) == (1, True)
        assert "shorten 30" in gateway.verb("check").stderr
        wrong = gateway.verb("journal", "shorten", "40", "--reason", "a slip")
        assert (wrong.returncode, "asks for 30 days, not 40" in wrong.stderr) == (1, True)
        assert gateway.verb("journal", "shorten", "30").returncode == 2, "no reason, no step"
        assert gateway.verb("journal", "shorten", "30", "--reason", "  ").returncode == 1
        done = gateway.verb("journal", "shorten", "30", "--reason", "agreed")
        assert (done.returncode, "kept for 30 days" in done.stdout) == (0, True), done.stderr
        assert "asks for" not in gateway.verb("status").stdout
        assert gateway.verb("journal", "shorten", "30", "--reason", "again").returncode == 1
    (event,) = [each for each in events(gateway) if each["event"] == "keep-time-shortened"]
    assert {key: event[key] for key in ("by", "why", "old", "new")} == {
        "by": getpass.getuser(), "why": "agreed", "old": 730, "new": 30,
    }  # fmt: skip
    with gateway:  # it stays so
        assert "kept for 30 days" in gateway.verb("status").stdout
        assert "shorten" not in gateway.verb("check").stderr


def test_what_a_hub_is_owed_stays_until_a_person_lets_it_go(gateway: Gateway) -> None:
    written(gateway, None, HUB.format(port=free_port()))
    with gateway:
        gateway.wait(lambda: gateway.status()["journal"]["committed_seq"] > 5, "entries")
        refused = gateway.verb("journal", "release", "--hub", "county", "--reason", "x")
        assert (refused.returncode, "is configured" in refused.stderr) == (1, True)
    written(gateway, None)
    with gateway:
        assert "hub 'county' is no longer configured" in gateway.verb("status").stdout
        assert gateway.verb("journal", "release", "--reason", "x").returncode == 2
        assert gateway.verb("journal", "release", "--hub", "other", "--reason", "x").returncode == 1
        epoch = gateway.status()["journal"]["epoch"]
        refused = gateway.verb("journal", "release", "--epoch", epoch, "--reason", "x")
        assert "is being written" in refused.stderr
        done = gateway.verb("journal", "release", "--hub", "county", "--reason", "moved away", "--json")
        body = json.loads(done.stdout)
        assert (body["event"], body["hub"], body["unwitnessed"] > 5) == ("hub-released", "county", True)
        assert "no longer configured" not in gateway.verb("status").stdout
    (event,) = [each for each in events(gateway) if each["event"] == "hub-released"]
    assert (event["by"], event["why"], event["until"]["epoch"]) == (getpass.getuser(), "moved away", epoch)
