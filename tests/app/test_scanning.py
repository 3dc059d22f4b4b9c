"""Listening, and what moves, in virtual time: the foreign master is heard at its own settings, and nothing is ever asked of it."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from edge_gateway.app.scanning import Scans
from edge_gateway.errors import GatewayError
from edge_gateway.links.modbus_pdu import crc16
from tests.servers.read_only import assert_read_only
from tests.servers.sim_bus import SimBus, SimEar, SimUnit, in_virtual_time

NOW = 1_760_000_000_000_000


def frame(*values: int) -> bytes:
    body = bytes(values)
    return body + crc16(body)


def scans(folder: Path) -> Scans:
    return Scans(
        main=folder / "gateway.toml", state_dir=folder, config=lambda: None, share=lambda _bus: None, wall_us=lambda: NOW
    )


def events(bus: SimBus, one: Scans, wanted: dict[str, Any], stop: Any = None) -> list[dict[str, Any]]:
    async def run() -> list[dict[str, Any]]:
        found = []
        async with aclosing(one.run(wanted)) as events:
            async for event in events:
                found.append(event)
                if stop is not None and stop(found):
                    break
        return found

    with (
        mock.patch("edge_gateway.links.modbus.open_line", bus.open_line),
        mock.patch("edge_gateway.links.modbus_ear.open_ear", bus.open_ear),
    ):
        found = in_virtual_time(run())
    assert bus.open_lines == 0
    assert_read_only(bus.functions.elements())
    return found


class ForeignBus(SimBus):
    """A master at 4800-8N1 that asks unit 5 once a second, and unit 6, which is silent; other settings hear rubbish."""

    def open_ear(self, settings: Any) -> SimEar:
        right = (settings.baud, settings.parity) == (4800, "N")
        self.foreign = self._said if right else self._rubbish
        return super().open_ear(settings)

    @staticmethod
    def _said(begin_s: float, end_s: float) -> list[tuple[float, bytes]]:
        found: list[tuple[float, bytes]] = []
        for second in range(int(begin_s), int(end_s) + 2):
            for at_s, data in (
                (second + 0.10, frame(5, 3, 0, 0, 0, 2)),
                (second + 0.15, frame(5, 3, 4, 0, 213, 1, 200)),
                (second + 0.60, frame(6, 3, 0, 0, 0, 2)),
            ):
                if begin_s < at_s <= end_s:
                    found.append((at_s, data))
        return found

    @staticmethod
    def _rubbish(begin_s: float, end_s: float) -> list[tuple[float, bytes]]:
        return [(begin_s, b"\xf8\x80\x1e" * round(20 * (end_s - begin_s)))]


def test_a_foreign_master_is_heard_at_its_own_settings(tmp_path: Path) -> None:
    bus = ForeignBus([SimUnit(5, {(3, 0): 213})])
    found = events(bus, scans(tmp_path), {"target": "/dev/ttyUSB0", "mode": "passive", "for_s": 30})
    assert bus.asked == [], "whoever listens says nothing"
    traffic = found[-1]
    assert (traffic["event"], traffic["framing"], traffic["units"]) == ("traffic", "4800-8N1", [5, 6])
    five, six = traffic["kinds"]
    assert five["answered"] == five["times"] >= 20
    assert (five["every_s"], five["register"], five["count"], five["data"]) == (pytest.approx(1.0, abs=0.2), 0, 2, "00d501c8")
    assert six["answered"] == 0
    assert six["times"] >= 20


def test_a_scan_is_not_begun_where_another_master_talks(tmp_path: Path) -> None:
    bus = ForeignBus([SimUnit(5, {(3, 0): 213})])
    found = events(bus, scans(tmp_path), {"target": "/dev/ttyUSB0"})
    assert [event["event"] for event in found] == ["plan", "listened", "foreign"]
    assert bus.asked == []
    agreed = events(bus, scans(tmp_path), {"target": "/dev/ttyUSB0", "active": True, "addresses": "1-3"})
    assert agreed[-1]["event"] == "end"
    assert bus.asked != []


def test_what_moves_comes_first(tmp_path: Path) -> None:
    still, warmed = SimUnit(2, {(4, 1): 213, (4, 2): 456}), SimUnit(7, {(4, 1): 198, (4, 2): 500})
    bus = SimBus([still, warmed])
    one = scans(tmp_path)
    found = events(bus, one, {"target": "/dev/ttyUSB0", "addresses": "1-8", "lines": ["9600-8N1"]})
    assert sum(event["event"] == "unit" for event in found) == 2

    def warming(so_far: list[dict[str, Any]]) -> bool:
        warmed.registers[4, 1] += 7
        return len(so_far) == 4

    last = events(bus, one, {"target": "/dev/ttyUSB0", "mode": "identify"}, warming)[-1]
    first = last["rows"][0]
    assert (first["unit"], first["name_en"], first["value"]) == (7, "Temperature", pytest.approx(21.9))
    assert first["change"] == pytest.approx(2.1)
    assert [row["change"] for row in last["rows"][1:]] == [0, 0, 0]
    with pytest.raises(GatewayError, match="nothing in the inbox"):
        events(bus, scans(tmp_path / "empty"), {"target": "/dev/ttyUSB0", "mode": "identify"})
