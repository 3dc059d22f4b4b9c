"""A parameter is set in a unit that really changes, read back where it then is, and every way of not keeping it is caught."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from edge_gateway.errors import LinkDown
from edge_gateway.links.modbus import RtuSettings, TcpSettings
from edge_gateway.provision import bench
from edge_gateway.provision.model import Parameter, Sheet
from edge_gateway.provision.steps import NothingWritten, Outcome, Place, apply, look
from tests.provision.unit import SerialUnits, SimulatedUnit, TcpUnits
from tests.servers.write_ledger import saw

BODY = {"why": "w", "verified": "primary", "source": "s"}
OFFSET = Parameter.model_validate(
    {"id": "offset", "name": "o", "address": 0x103, "type": "int16", "scale": 0.1, "low": -10, "high": 10, "set_to": 0}
    | BODY
)
ADDRESS = Parameter.model_validate(
    {"id": "address", "name": "a", "address": 0x7D0, "type": "uint16", "follows": "unit"} | BODY
)
BAUD = Parameter.model_validate(
    {"id": "baud", "name": "b", "address": 0x7D1, "type": "uint16", "follows": "baud",
     "values": {"2400": 0, "4800": 1, "9600": 2}} | BODY
)  # fmt: skip
COIL = Parameter.model_validate({"id": "coil", "name": "c", "table": "coil", "address": 7, "type": "bool"} | BODY)
FLOAT = Parameter.model_validate(
    {"id": "float", "name": "f", "address": 0x1C, "type": "float32", "values": {"2400": 0, "4800": 1, "9600": 2}} | BODY
)
SHEET = Sheet.model_validate(
    {
        "profile": "a/b",
        "device": "d",
        "line": {"baud": 9600, "format": "8N1", "unit": 1, "verified": "no", "source": "s"},
        "parameter": [
            item.model_dump(by_alias=True, exclude_none=True, mode="python") for item in (OFFSET, ADDRESS, BAUD)
        ],
        "check": [{"request": "FC03 x", "expect": "y", "verified": "no"}],
    }
)


def made(**more: Any) -> SimulatedUnit:
    registers = {0x103: 15, 0x7D0: 1, 0x7D1: 2, 0x1C: 0, 0x1D: 0}
    return SimulatedUnit(holding=registers, coils={7: 0}, address_at=0x7D0, baud_at=0x7D1, **more)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulated unit stores at once."""
    monkeypatch.setattr(bench, "STORE_S", 0.02)


@pytest.fixture
def unit() -> SimulatedUnit:
    return made()


@pytest.fixture(params=["tcp", "rtu"])
def at(request: pytest.FixtureRequest, unit: SimulatedUnit) -> Iterator[Place]:
    if request.param == "tcp":
        with TcpUnits(unit) as line:
            yield Place(settings=TcpSettings(host="127.0.0.1", port=line.port, timeout_s=0.3), unit=1)
    else:
        with SerialUnits(unit) as line:
            yield Place(settings=RtuSettings(port=line.path, timeout_s=0.2, quiet_s=0.05), unit=1)


async def nothing() -> None:
    return None


async def act(parameter: Parameter, at: Place, old: str, new: str) -> Outcome:
    return await apply(parameter, at, expected=old, new=new, about_to=nothing)


async def test_an_offset_is_set_and_read_back(unit: SimulatedUnit, at: Place) -> None:
    done = await act(OFFSET, at, "1.5", "-0.3")
    assert (done.result, done.old, done.read_back, done.answer, done.place) == ("applied", "1.5", "-0.3", "taken", at)
    assert unit.holding[0x103] & 0xFFFF == 0xFFFD
    assert [pdu.hex() for pdu in unit.writes] == ["060103fffd"]
    assert (await act(OFFSET, at, "-0.3", "-0.3")).result == "already"
    assert len(unit.writes) == 1


async def test_two_registers_and_a_coil_have_codes_of_their_own(unit: SimulatedUnit, at: Place) -> None:
    assert (await act(FLOAT, at, "2400", "9600")).result == "applied"
    assert (await act(COIL, at, "0", "1")).result == "applied"
    # The first is the message that the SolarNetwork wiki shows for an SDM120 (unit and checksum left out).
    assert [pdu.hex() for pdu in unit.writes] == ["10001c00020440000000", "050007ff00"]


async def test_an_address_moves_and_is_read_back_there(unit: SimulatedUnit, at: Place) -> None:
    done = await act(ADDRESS, at, "1", "9")
    assert (done.result, done.place.unit, done.read_back, unit.unit) == ("applied", 9, "9", 9)


async def test_a_rate_moves_and_is_read_back_there(unit: SimulatedUnit) -> None:
    with SerialUnits(unit) as line:
        at = Place(settings=RtuSettings(port=line.path, timeout_s=0.2, quiet_s=0.05), unit=1)
        done = await act(BAUD, at, "9600", "4800")
        assert (done.result, unit.baud) == ("applied", 4800)
        assert isinstance(done.place.settings, RtuSettings)
        assert done.place.settings.baud == 4800
        with pytest.raises(LinkDown):  # the old rate is really gone
            await act(OFFSET, at, "1.5", "0")
        assert (await act(OFFSET, done.place, "1.5", "0")).result == "applied"


async def test_what_waits_for_power_off_and_on_says_so(at: Place, unit: SimulatedUnit) -> None:
    unit.later = True
    later = ADDRESS.model_copy(update={"takes_effect": "after-power-cycle"})
    done = await act(later, at, "1", "9")
    assert (done.result, done.place.unit, unit.unit) == ("waits", 1, 1)
    unit.power_cycle()
    rows = await look(SHEET, Place(settings=at.settings, unit=9), Place(settings=at.settings, unit=9))
    assert [row.state for row in rows][:2] == ["differs", "same"]


# --- planted faults of the unit ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "result"),
    [("ignores", "not-kept"), ("refuses", "refused"), ("deaf", "unknown"), ("mute", "applied"), ("garbles", "applied")],
)
async def test_a_unit_that_lies_is_caught_by_reading_back(
    fault: str, result: str, unit: SimulatedUnit, at: Place
) -> None:
    unit.fault = fault
    done = await act(OFFSET, at, "1.5", "0")
    assert done.result == result
    assert (unit.holding[0x103] == 0) is (result == "applied" or fault == "deaf")


async def test_a_unit_that_forgets_is_caught_by_looking_again(unit: SimulatedUnit, at: Place) -> None:
    unit.fault = "forgets"
    assert (await act(OFFSET, at, "1.5", "0")).result == "applied"
    assert (await look(SHEET, at, at))[0].state == "same"
    unit.power_cycle()
    row = (await look(SHEET, at, at))[0]
    assert (row.state, row.value, row.wanted) == ("differs", "1.5", "0")


# --- nothing is written ----------------------------------------------------------------------------------------------


async def test_nothing_is_written_when_the_old_value_is_another(unit: SimulatedUnit, at: Place) -> None:
    with pytest.raises(NothingWritten, match=r"offset is 1\.5, not 0\.7"):
        await act(OFFSET, at, "0.7", "0")
    assert unit.writes == []


async def test_nothing_is_written_when_somebody_has_the_address(unit: SimulatedUnit, at: Place) -> None:
    unit.others = {9}
    with pytest.raises(NothingWritten, match="something answers as unit 9 already"):
        await act(ADDRESS, at, "1", "9")
    assert unit.writes == []


async def test_nothing_is_written_when_it_cannot_be_put_on_record(unit: SimulatedUnit, at: Place) -> None:
    async def full() -> None:
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        await apply(OFFSET, at, expected="1.5", new="0", about_to=full)
    assert unit.writes == []


async def test_a_line_that_goes_before_the_write_is_an_outcome_for_the_record(unit: SimulatedUnit) -> None:
    with ExitStack() as stack:
        line = stack.enter_context(TcpUnits(unit))
        at = Place(settings=TcpSettings(host="127.0.0.1", port=line.port, timeout_s=0.3, connect_timeout_s=0.5), unit=1)

        async def unplugged() -> None:
            stack.close()

        done = await apply(OFFSET, at, expected="1.5", new="0", about_to=unplugged)
    assert (done.result, done.read_back) == ("not-sent", None)
    assert done.answer
    assert unit.writes == []


@pytest.mark.parametrize("value", ["10.1", "0.05", "warm", "nan", "1e99", ""])
async def test_nothing_is_written_that_the_sheet_does_not_allow(value: str, unit: SimulatedUnit, at: Place) -> None:
    from edge_gateway.provision.values import NoSuchValue

    with pytest.raises(NoSuchValue):
        await act(OFFSET, at, "1.5", value)
    for address in ("0", "248", "255"):  # 0 is everybody
        with pytest.raises(NoSuchValue):
            await act(ADDRESS, at, "1", address)
    assert unit.writes == []


async def test_after_a_silence_the_others_are_not_asked(unit: SimulatedUnit, at: Place) -> None:
    rows = await look(SHEET, Place(settings=at.settings, unit=5), at)
    assert [row.state for row in rows] == ["unread"] * 3
    assert [asked for asked, _ in unit.asked].count(5) == 1


async def test_after_three_answers_that_are_none_the_others_are_not_asked() -> None:
    """A unit that answers another function than was asked: seven parameters would keep its line for seven times as long."""
    asked: list[bytes] = []

    async def lie(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                asked.append(question := await reader.readexactly(12))
                saw("liar", question[6], question[7:])
                writer.write(question[:4] + b"\x00\x05" + question[6:7] + b"\x04\x02\x00\x01")

    many = [OFFSET.model_copy(update={"id": f"p{number}", "address": number}) for number in range(7)]
    sheet = SHEET.model_copy(update={"parameter": tuple(many)})
    async with await asyncio.start_server(lie, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        at = Place(settings=TcpSettings(host="127.0.0.1", port=port, timeout_s=0.3), unit=1)
        rows = await look(sheet, at, at)
    assert [row.state for row in rows] == ["unread"] * 7
    assert all(row.said for row in rows)
    assert len(asked) == 3


@pytest.mark.parametrize("text", ["0", "248", "seven"])
async def test_a_sheet_whose_words_name_no_address_writes_nothing(text: str, unit: SimulatedUnit, at: Place) -> None:
    code = {"0": 0, "248": 248, "seven": 7}[text]
    parameter = ADDRESS.model_copy(update={"values": {"1": 1, text: code}})
    with pytest.raises(NothingWritten, match="no address"):
        await act(parameter, at, "1", text)
    assert unit.writes == []
    assert not unit.asked
