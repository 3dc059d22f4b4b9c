"""The trace of a line: figures and bytes as real lines report them, bounds, hours, and the cost of a success."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from edge_gateway.errors import BadFrame, DeviceRefused, LinkDown
from edge_gateway.links.health import judge
from edge_gateway.links.health_watch import Watch
from edge_gateway.links.modbus import NoAnswer, RtuSettings, TcpSettings, open_line, request
from edge_gateway.links.modbus_pdu import crc16
from edge_gateway.links.modbus_trace import CODES, HOURS, KEPT, MOST_BYTES, RECENT, Exchange, Trace
from tests.links.outcomes import outcome_of

ASKED = bytes((5, 3, 0, 0, 0, 2))
SENT = ASKED + crc16(ASKED)


def framed(body: bytes) -> bytes:
    return body + crc16(body)


ANSWER = framed(bytes((5, 3, 4, 0, 17, 0, 18)))


@pytest.mark.parametrize(
    ("received", "outcome"),
    [
        (b"", "silence"),
        (ANSWER[:-1] + bytes((ANSWER[-1] ^ 8,)), "crc"),
        (ANSWER[:6], "short"),
        (ANSWER[:2], "short"),
        (b"\x00\x80\xf8", "garbage"),
        (framed(bytes((6, 3, 4, 0, 17, 0, 18))), "wrong-unit"),
        (framed(bytes((5, 4, 4, 0, 17, 0, 18))), "wrong-function"),
        (framed(bytes((5, 3, 2, 0, 17))), "wrong-length"),
        (SENT, "echo"),
        (SENT + ANSWER, "echo"),
        (SENT[:5], "echo"),
    ],
)
def test_what_rejected_bytes_were(received: bytes, outcome: str) -> None:
    assert outcome_of(SENT, received, 4) == outcome


class Wall:
    def __init__(self, hour: float) -> None:
        self.s = hour * 3600.0

    def __call__(self) -> float:
        return self.s


def test_figures_and_bounds() -> None:
    trace = Trace("rtu", timeout_s=0.5, wall_s=Wall(1000))
    for n in range(1000):
        trace.answered(5, 0.020 + n / 1e5, float(n))
    for n in range(100):
        trace.failed("crc", SENT, bytes(1000), 0.5)
        trace.strange(bytes(1000) + bytes((n,)))
    trace.failed("silence", SENT, b"", 0.5)
    trace.late(5)
    (unit,) = trace.record().units
    assert len(unit.recent) == RECENT
    assert unit.recent == bytes(RECENT - 101) + bytes([CODES["crc"]] * 100 + [CODES["late"]])
    assert unit.totals["answer"] == 1000
    assert unit.totals["crc"] == 100
    assert unit.totals["late"] == unit.totals["silence"] == 1
    assert len(unit.kept) == KEPT
    assert len(unit.kept[0].received) == MOST_BYTES
    assert unit.hours == ((1000, 1101, 100, 1),)
    assert len(trace.record().strangers) <= 24
    assert trace.record().strange == 100


def test_more_bytes_of_a_failure_and_of_nobody() -> None:
    trace = Trace("rtu", timeout_s=0.5)
    trace.failed("garbage", SENT, b"\x85", 0.01)
    trace.trailed(5, b"\x03\x04")
    trace.trailed(9, b"x")
    record = trace.record()
    assert record.units[0].kept[-1].received == b"\x85\x03\x04"
    assert record.strangers == (b"x",)


@pytest.mark.parametrize(
    ("ahead", "kept"), [(1, [(1000, 1), (1001, 1)]), (30, [(1030, 1)]), (-3, [(997, 1)]), (23, [(1000, 1), (1023, 1)])]
)
def test_hours_pass_and_jump(ahead: int, kept: list[tuple[int, int]]) -> None:
    """No hour ever shows what belongs to another: after a jump back, or of a day, all begins anew."""
    wall = Wall(1000.2)
    trace = Trace("rtu", timeout_s=0.5, wall_s=wall)
    trace.answered(5, 0.02, 0.0)
    wall.s += 3600 * ahead
    trace.answered(5, 0.02, 61.0)
    (unit,) = trace.record().units
    assert [(hour, asked) for hour, asked, _, _ in unit.hours] == kept


def test_an_hour_of_a_day_ago_is_not_todays() -> None:
    wall = Wall(1000)
    trace = Trace("rtu", timeout_s=0.5, wall_s=wall)
    for hour in range(3 * HOURS):
        wall.s = (1000 + hour) * 3600
        trace.failed("crc", SENT, b"\x05", 0.1)
    (unit,) = trace.record().units
    assert len(unit.hours) == HOURS
    assert all(row[1:] == (1, 1, 0) for row in unit.hours)


def test_who_listens_hears_good_and_bad() -> None:
    trace = Trace("rtu", timeout_s=0.5)
    heard: list[Exchange] = []
    end = trace.listen(heard.append)
    trace.answered(5, 0.02, 0.0)
    trace.failed("silence", SENT, b"", 0.5)
    end()
    trace.answered(5, 0.02, 0.0)
    assert [exchange.outcome for exchange in heard] == ["answer", "silence"]


def test_a_success_is_cheap() -> None:
    """At 50 exchanges a second it must not be seen: 5 µs would be 0.25 ms a second. Measured: about 0.4 µs."""
    trace = Trace("rtu", timeout_s=0.5)
    best_s = 1.0
    for _ in range(5):
        started_s = time.perf_counter()
        for _ in range(10_000):
            trace.answered(5, 0.02, 1.0)
        best_s = min(best_s, time.perf_counter() - started_s)
    assert best_s / 10_000 < 5e-6


async def _slave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Unit 1 answers, 2 is silent, 3 refuses, 4 answers as somebody else, 5 stops half way, 9 hangs up."""
    while header := await reader.read(12):
        unit = header[6]
        replies = {1: bytes((3, 2, 0, 7)), 3: bytes((0x83, 2)), 4: bytes((3, 2, 0, 7)), 5: bytes((3, 2, 0, 7))}
        if unit == 9:
            writer.close()
            return
        if unit in replies:
            body = replies[unit]
            frame = header[:4] + (len(body) + 1).to_bytes(2, "big") + bytes((8 if unit == 4 else unit,)) + body
            writer.write(frame[:-2] if unit == 5 else frame)


async def test_a_tcp_line_reports() -> None:
    server = await asyncio.start_server(_slave, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    line = open_line(TcpSettings(host="127.0.0.1", port=port, timeout_s=0.1))
    for unit, raises in ((1, None), (2, NoAnswer), (3, DeviceRefused), (4, BadFrame), (5, BadFrame), (9, LinkDown)):
        if not line.is_open:
            await line.open()
        if raises is None:
            await line.exchange(unit, request(3, 0, 1))
        else:
            with pytest.raises(raises):
                await line.exchange(unit, request(3, 0, 1))
    server.close()
    with pytest.raises(LinkDown):
        await line.open()
    record = line.trace.record()
    outcomes = {unit.unit: [name for name, count in unit.totals.items() if count] for unit in record.units}
    assert outcomes == {1: ["answer"], 2: ["silence"], 3: ["exception"], 4: ["wrong-unit"], 5: ["short"]}
    assert record.units[2].kept[0].code == 2
    assert [(what, detail) for _, what, detail in record.ends][-2:] == [
        ("closed", "0"),
        ("refused", "Connection refused"),
    ]


async def test_a_serial_line_reports_with_the_bytes(tmp_path: Path) -> None:
    master, slave = os.openpty()
    settings = RtuSettings(port=os.ttyname(slave), baud=19_200, timeout_s=0.1, quiet_s=0.05, late_max_s=0.01)
    line = open_line(settings)
    await line.open()

    async def exchange(reply: bytes) -> None:
        asking = asyncio.ensure_future(line.exchange(5, request(3, 0, 2)))
        await asyncio.to_thread(os.read, master, 64)
        os.write(master, reply)
        await asking

    await exchange(ANSWER)
    with pytest.raises(BadFrame):
        await exchange(ANSWER[:-1] + bytes((ANSWER[-1] ^ 1,)))
    with pytest.raises(NoAnswer):
        await exchange(b"")
    with pytest.raises(DeviceRefused):
        await exchange(framed(b"\x05\x83\x06"))
    record = line.trace.record()
    (unit,) = record.units
    assert {name: n for name, n in unit.totals.items() if n} == {"answer": 1, "exception": 1, "silence": 1, "crc": 1}
    assert [(e.outcome, e.sent) for e in unit.kept] == [("crc", SENT), ("silence", SENT), ("exception", SENT)]
    assert unit.kept[0].received[:-1] == ANSWER[:-1]
    assert unit.kept[2].code == 6
    assert 0 < unit.took_s[0] < 0.1
    assert record.uart is None, "a pseudo-terminal counts no framing errors"
    line.close()
    os.close(master)
    os.close(slave)


async def test_hosts_that_refuse_or_hang_up_are_told_apart() -> None:
    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    line = open_line(TcpSettings(host="127.0.0.1", port=port, timeout_s=0.2))
    for _ in range(4):
        await line.open()
        with pytest.raises(LinkDown):
            await line.exchange(1, request(3, 0, 1))
    assert judge(line.trace.record())[0].code == "one-socket"
    server.close()
    other = open_line(TcpSettings(host="127.0.0.1", port=port, timeout_s=0.2))
    for _ in range(2):
        with pytest.raises(LinkDown):
            await other.open()
    assert judge(other.trace.record())[0].code == "refused"


def test_only_the_units_of_the_configuration_are_judged() -> None:
    """A person may ask any address by hand; nobody there is no fault of the line."""
    trace = Trace("rtu", timeout_s=0.5, baud=9600)
    for _ in range(30):
        trace.answered(5, 0.02, 1.0)
        trace.failed("silence", bytes((77, 3, 0, 0, 0, 1)), b"", 0.5)
    watch = Watch(trace)
    told = watch.report(100.0, {5})
    assert [finding["code"] for finding in told["findings"]] == ["healthy"]
    assert list(told["units"]) == ["5"]
    assert watch.report(100.1, {5, 77}) is told, "judged again only every few seconds"
    assert watch.report(110.0, {5, 77})["findings"][0]["code"] == "silent"


def test_what_the_kernel_counted_before_the_line_was_opened_is_not_the_lines() -> None:
    """A scan with another parity, or another program, has left its errors in the driver's counters."""
    counted = (7, 900)
    trace = Trace("rtu", timeout_s=0.5, baud=9600)
    trace.uart = lambda: counted
    trace.ended("opened")
    for _ in range(60):
        trace.answered(5, 0.02, 1.0)
    assert trace.record().uart == (0, 0)
    assert judge(trace.record())[0].code == "healthy"
    counted = (7, 960)
    assert trace.record().uart == (0, 60)
    assert judge(trace.record())[0].code == "parity"
    trace.failed("crc", SENT, ANSWER, 0.1)
    assert trace.record().units[0].kept[-1].parity == 60
