"""How close a serial line comes to its arithmetic limit, in short (`python bench/rtu_line.py` has all cases), and that the measure cannot flatter."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from bench.rtu_line import GOALS, measure
from edge_gateway.links.modbus import request
from edge_gateway.links.modbus_pdu import crc16
from tests.servers import paced_unit
from tests.servers.paced_unit import UNIT, PacedUnit, Pump, limit_per_s, silence_s

pytestmark = [pytest.mark.timing, pytest.mark.alone]

#: A busy machine wakes us late: the best of so many tries of a second counts.
TRIES = 6


@pytest.fixture
def unit() -> Iterator[PacedUnit]:
    made = PacedUnit(9600)
    yield made
    made.stop()


@pytest.mark.parametrize(("baud", "registers"), [(9_600, 100), (19_200, 100), (115_200, 100)])
async def test_a_line_is_used_close_to_its_limit(unit: PacedUnit, baud: int, registers: int) -> None:
    best = 0.0
    for _ in range(TRIES):
        row = await measure(unit, baud, registers, 1.0)
        assert row["use"] <= 1.0, f"more than the line allows: {row}"
        assert row["early"] == 0
        best = max(best, row["use"])
        if best >= GOALS[baud]:
            break
    assert best >= GOALS[baud]


async def test_a_line_that_keeps_no_silence_is_caught(unit: PacedUnit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: the next request goes out at once; the unit discards it."""
    monkeypatch.setattr("edge_gateway.links.modbus.FIXED_SILENCE_S", 0.0)
    with pytest.raises(Exception, match="no answer"):
        await measure(unit, 115_200, 10, 0.5)


def test_the_limit_is_the_issues_arithmetic() -> None:
    """performance.md: 19.7, 35.8 and 85.8 polls/s of 10 registers, 3.9, 7.6 and 34.7 of 100, with 11 bits and 5 ms."""
    for baud, ten, hundred in ((9_600, 19.7, 3.9), (19_200, 35.8, 7.6), (115_200, 85.8, 34.7)):
        assert limit_per_s(baud, 10) == pytest.approx(ten, abs=0.05)
        assert limit_per_s(baud, 100) == pytest.approx(hundred, abs=0.05)


def test_the_unit_takes_the_lines_time_and_discards_what_comes_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer of 10 registers at 19,200 baud: its last byte after 33 characters, a silence and 5 ms; not before."""
    baud = 19_200
    asked = bytes((UNIT,)) + request(3, 0, 10)
    asked += crc16(asked)
    written: list[tuple[float, int]] = []
    monkeypatch.setattr(paced_unit.os, "read", lambda *_: asked)
    monkeypatch.setattr(paced_unit.os, "write", lambda _, data: written.append((time.perf_counter(), len(data))))
    pump = Pump(0, baud)
    started_s = time.perf_counter()
    pump.serve()
    wire_s = 33 * 11 / baud + silence_s(baud) + 0.005
    assert sum(n for _, n in written) == 25
    assert written[-1][0] - started_s >= wire_s
    with monkeypatch.context() as at_once:  # a tenth of the silence before its end, however late this machine is
        at_once.setattr(paced_unit.time, "perf_counter", lambda: pump._busy_until_s + 0.9 * silence_s(baud))
        pump.serve()
    assert (pump.answered, pump.early) == (1, 1), "asked again at once"
