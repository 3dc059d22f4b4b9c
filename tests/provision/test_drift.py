"""Drift is looked for at a start and once a day, by reading alone, between polls: none is missed, none waits for more than one request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from edge_gateway import events
from edge_gateway.app import drift
from edge_gateway.app.drift import Drift
from edge_gateway.app.field import Field
from edge_gateway.app.provisioning import Provisioning
from edge_gateway.clock import SystemClock
from edge_gateway.config.load import load
from edge_gateway.intake.inbox import Inbox
from edge_gateway.reading import Batch, GapOpened
from tests.cli.site import PACK, config_text
from tests.provision.unit import SimulatedUnit, TcpUnits
from tests.sources.modbus_plant import until

pytestmark = pytest.mark.timing

INTERVAL_S = 0.1


class Record:
    """Stands where intake stands: keeps what would become entries."""

    def __init__(self) -> None:
        self.added: list[dict[str, Any]] = []

    async def command(self, act: Callable[[], Awaitable[object]]) -> object:
        return await act()

    async def add(self, kind: str, body: dict[str, Any], **_: Any) -> int:
        self.added.append({"kind": kind, **body})
        return len(self.added)


def module(*, corrected: int = 0) -> SimulatedUnit:
    """An R4DCB08: its sheet has ten parameters whose place is known and that have a target over TCP; channel 3 is corrected."""
    holding = dict.fromkeys(range(8), 205) | dict.fromkeys(range(8, 16), 0) | {0xFD: 0, 0xFE: 1, 0xFF: 3}
    holding[10] = corrected
    return SimulatedUnit(holding=holding)


def site(folder: Path, port: int) -> str:
    text = config_text(port, interval_s=INTERVAL_S)
    text = text[: text.index("\n[zones.cold2]")]
    return text.replace("generic/xy-md02", "eletechsup/r4dcb08").replace('channel = "temperature"', 'channel = "temperature-1"')


async def test_it_finds_what_differs_tells_once_and_costs_no_poll(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "FIRST_US", 600_000)
    monkeypatch.setattr(drift, "EVERY_US", 1_500_000)
    monkeypatch.setattr(drift, "AGAIN_US", 100_000)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "house.toml").write_text(PACK)
    unit, told, record = module(corrected=-5), [], Record()
    with TcpUnits(unit) as line:
        (tmp_path / "gateway.toml").write_text(site(tmp_path, line.port))
        loaded = load(tmp_path / "gateway.toml", tmp_path / "state")
        clock, inbox = SystemClock(declared=True), Inbox(max_items=4096)
        field = Field(loaded, clock=clock, inbox=inbox, messages={})
        provisioning = Provisioning(field, record, tmp_path)  # type: ignore[arg-type]
        looking = Drift(field, provisioning, record, clock, told.append)  # type: ignore[arg-type]
        tasks = [asyncio.create_task(field.run()), asyncio.create_task(looking.run())]
        await until(lambda: len(record.added) >= 1)
        unit.holding[10] = 0  # somebody mends it at the device
        await until(lambda: len(record.added) >= 2)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    items = [item for item in inbox._items if item is not None]
    first, second = record.added
    assert (first["event"], first["device"], first["unread"]) == ("drift", "cold1-th", [])
    row = {"parameter": "correction-3", "value": "-0.5", "wanted": "0", "unit_of_measure": "Cel"}
    assert first["differs"] == [row]
    assert (second["event"], second["differs"]) == ("drift", []), "that it is gone is told once"
    assert told == [events.DriftFound(device="cold1-th", parameter="correction-3", value="-0.5", wanted="0")]
    assert looking.status()[0]["differs"] == []
    assert unit.writes == [], "it only reads"
    asked = [pdu for _, pdu in unit.asked if pdu[1:3] != b"\0\0"]
    assert len(asked) == 2 * 10, "each parameter with a known place and a target once a round: no rate over TCP"
    # No slot is missed, and no poll starts later than its slot and one request.
    assert not [item for item in items if isinstance(item, GapOpened)]
    batches = [item for item in items if isinstance(item, Batch)]
    assert len(batches) > 15
    slots = [batch.slot_us for batch in batches]
    assert slots == list(range(slots[0], slots[0] + len(slots) * 100_000, 100_000))  # type: ignore[operator,call-overload]
    late_s = sorted((batch.mono_us - (batch.slot_us or 0)) / 1e6 for batch in batches)
    assert late_s[-1] < INTERVAL_S, f"a poll waited {late_s[-1]:.3f} s"


async def test_a_silent_device_is_tried_again_and_one_without_a_sheet_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift, "FIRST_US", 100_000)
    monkeypatch.setattr(drift, "AGAIN_US", 100_000)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "house.toml").write_text(PACK)
    unit, record = module(corrected=7), Record()
    unit.unit = 9  # nobody answers as unit 1
    with TcpUnits(unit) as line:
        (tmp_path / "gateway.toml").write_text(site(tmp_path, line.port).replace("timeout_s = 1.0", "timeout_s = 0.05\nbackoff_most_s = 0.2\nbackoff_first_s = 0.1"))
        loaded = load(tmp_path / "gateway.toml", tmp_path / "state")
        clock = SystemClock(declared=True)
        field = Field(loaded, clock=clock, inbox=Inbox(max_items=4096), messages={})
        provisioning = Provisioning(field, record, tmp_path)  # type: ignore[arg-type]
        looking = Drift(field, provisioning, record, clock, lambda _: None)  # type: ignore[arg-type]
        tasks = [asyncio.create_task(field.run()), asyncio.create_task(looking.run())]
        await asyncio.sleep(0.5)
        assert record.added == []
        assert looking.status() == []
        unit.unit = 1
        await until(lambda: len(record.added) == 1)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    assert record.added[0]["differs"][0]["value"] == "0.7"
    assert provisioning.sheet_of("tasmota/ds18b20") == (None, [])
