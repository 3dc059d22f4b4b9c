"""Scans in virtual time: late answers, doubled addresses, gateways, foreign masters; the plan's arithmetic; a lent line."""

from __future__ import annotations

import asyncio
import struct
from typing import Any
from unittest import mock

import pytest

from edge_gateway.errors import GatewayError
from edge_gateway.profiles.load import load
from edge_gateway.profiles.model import ModbusProfile
from edge_gateway.profiles.skeleton import captured, of_registers
from edge_gateway.sources.modbus_identify import objects, printable
from edge_gateway.sources.modbus_lend import Lender, settings_of
from edge_gateway.sources.modbus_scan import (
    Framing,
    Plan,
    Probe,
    addresses,
    candidates,
    default_addresses,
    factory,
    framing,
    own_block,
    rest,
    span,
)
from edge_gateway.sources.modbus_scan_run import Scanner
from tests.servers.read_only import assert_read_only
from tests.servers.sim_bus import SimBus, SimUnit, in_virtual_time
from tests.servers.unknown_bus import UnknownBus

NINE_SIX = Framing(9600)


@pytest.fixture(scope="module")
def known() -> list[ModbusProfile]:
    loaded = [load(name).profile for name in ("generic/xy-md02", "zw/rcl101", "yosemitech/y532", "tuf/2000m")]
    return [profile for profile in loaded if isinstance(profile, ModbusProfile)]


def scanned(bus: SimBus, plan: Plan, profiles: list[ModbusProfile]) -> list[dict[str, Any]]:
    """All events of one scan of a line that is ours alone."""

    async def run() -> list[dict[str, Any]]:
        lender = Lender(settings_of("/dev/simulated"))
        try:
            return [event async for event in Scanner(lender, plan, profiles, {}).run()]
        finally:
            await lender.close()

    with mock.patch("edge_gateway.links.modbus.open_line", bus.open_line):
        events = in_virtual_time(run())
    assert bus.open_lines == 0, "the line was not given back"
    assert_read_only(bus.functions.elements())
    return events


def units(events: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    return {event["unit"]: event for event in events if event["event"] == "unit"}


def md02(address: int, **more: Any) -> SimUnit:
    return SimUnit(address, {(4, 1): 213, (4, 2): 456}, **more)


# --- the plan -----------------------------------------------------------------------------------------------------


def test_what_a_dead_address_costs() -> None:
    probe = Probe(NINE_SIX, 1)
    assert probe.cost_s == pytest.approx(15 * 10 / 9600 + 0.06 + 35 / 9600)  # request, answer, patience, silence
    slow = Plan((Framing(4800),), (1,))
    assert slow.estimate_s == pytest.approx(2 * (15 * 10 / 4800 + 35 / 4800) + 0.06 + 0.12)


def test_the_simulated_line_takes_as_long_as_the_plan_says(known: list[ModbusProfile]) -> None:
    plan = Plan((NINE_SIX, Framing(9600, "E")), tuple(range(1, 33)))
    (end,) = [event for event in scanned(SimBus([]), plan, known) if event["event"] == "end"]
    assert end["took_s"] == pytest.approx(plan.estimate_s, rel=0.03)


def test_candidates_begin_with_the_bus_and_then_what_makers_set(known: list[ModbusProfile]) -> None:
    assert candidates(known)[0] == NINE_SIX
    assert candidates([], None) == [Framing(9600), Framing(9600, "E"), Framing(4800), Framing(19200)]
    own = candidates(known, Framing(9600, "N", 2))
    assert own[0] == Framing(9600, "N", 2)
    assert NINE_SIX not in own, "one stop bit and two understand each other"


def test_known_devices_at_their_factory_settings_come_first(known: list[ModbusProfile]) -> None:
    first = factory(known)
    wanted = [profile for profile in known if profile.id in ("zw/rcl101", "yosemitech/y532")]
    assert {(1, own_block(profile)) for profile in wanted} <= {(probe.address, probe.block) for probe in first}
    assert (1, own_block(known[0])) not in {(probe.address, probe.block) for probe in first}, "the usual question is enough"
    assert next(Plan((NINE_SIX,), (5,), first).probes()) == first[0]


def test_the_rest_and_how_addresses_are_written(known: list[ModbusProfile]) -> None:
    plan = Plan((NINE_SIX,), tuple(default_addresses(known)))
    assert span(rest(plan).addresses) == "33-247"
    assert addresses("1-3,40") == [1, 2, 3, 40]
    assert framing("19200-8e1") == Framing(19200, "E")
    for wrong in ("x", "5-2", "1-300"):
        with pytest.raises(GatewayError):
            addresses(wrong)
    for wrong in ("9600", "9600-7E1", "12-8N1"):
        with pytest.raises(GatewayError):
            framing(wrong)


# --- what is on the line ------------------------------------------------------------------------------------------


def test_a_unit_says_what_it_is_and_its_values_are_shown(known: list[ModbusProfile]) -> None:
    unit = md02(7, device_id={0: "Acme", 1: "TH-9", 2: "1.07"})
    found = units(scanned(SimBus([unit]), Plan((NINE_SIX,), tuple(range(1, 9))), known))[7]
    assert (found["vendor"], found["product"], found["revision"]) == ("Acme", "TH-9", "1.07")
    best = found["matches"][0]
    assert best["profile"] == "generic/xy-md02"
    assert best["score"] > 0.9
    assert [(v["channel"], v["value"], v["unit"]) for v in best["values"]] == [("temperature", 21.3, "Cel"), ("humidity", 45.6, "%")]


def test_a_unit_of_no_profile_is_found_and_stays_unnamed(known: list[ModbusProfile]) -> None:
    unit = SimUnit(4, {(3, n): 0xABCD for n in range(4)}, server_id=b"\x05\xffMETER")
    found = units(scanned(SimBus([unit]), Plan((NINE_SIX,), (4,)), known))[4]
    assert found["matches"] == []
    assert found["server_id"] == "METER"


def test_what_was_read_goes_along_so_that_a_profile_can_be_begun(known: list[ModbusProfile]) -> None:
    unit = SimUnit(4, {(3, n): 0x0100 + n for n in range(4)} | {(4, 1): 213, (4, 2): 456})
    blocks = units(scanned(SimBus([unit]), Plan((NINE_SIX,), (4,)), known))[4]["blocks"]
    for block in blocks:
        cells = [unit.registers[block["function"], block["start"] + n] for n in range(block["count"])]
        assert bytes.fromhex(block["data"]) == struct.pack(f">{len(cells)}H", *cells)
    assert [(block["function"], block["start"], block["count"]) for block in blocks] == [(4, 1, 2)]  # only what a profile asked for
    profile, cases = of_registers("acme/x1", [captured(block) for block in blocks])
    assert "f4-r1 = 213" in cases
    assert 'scale = "0.1" = 21.3' in profile


@pytest.mark.parametrize("turnaround_s", [0.075, 0.11, 0.15, 0.4])
def test_a_late_answer_is_no_other_units_and_its_unit_is_asked_again(
    turnaround_s: float, known: list[ModbusProfile]
) -> None:
    """It comes while the next address is asked: that address must not be found, the late one must."""
    plan = Plan((NINE_SIX,), tuple(range(1, 9)))
    events = scanned(SimBus([md02(3, turnaround_s=turnaround_s)]), plan, known)
    assert set(units(events)) == {3}


def test_a_real_line_finds_a_late_unit_where_it_is(known: list[ModbusProfile]) -> None:
    """The gateway's own line on a pseudo terminal in real time: 100 ms are late in the quick pass, and nobody else answers."""
    found: list[dict[str, Any]] = []

    async def run(path: str) -> None:
        lender = Lender(settings_of(path))
        found.extend([e async for e in Scanner(lender, Plan((NINE_SIX,), tuple(range(1, 7))), known, {}).run()])
        await lender.close()

    with UnknownBus([md02(2, turnaround_s=0.1), md02(5)]) as bus:
        asyncio.run(run(bus.path))
        assert_read_only(bus.functions.elements())
    named = {unit: event["matches"][0]["profile"] for unit, event in units(found).items()}
    assert named == {2: "generic/xy-md02", 5: "generic/xy-md02"}
    assert next(iter(units(found))) == 2, "found late, but before the next one"


def test_a_planted_scan_that_forgets_late_answers_misses_their_unit(known: list[ModbusProfile]) -> None:
    plan = Plan((NINE_SIX,), tuple(range(1, 9)))
    with mock.patch.object(Scanner, "_suspect", return_value=None):
        assert units(scanned(SimBus([md02(3, turnaround_s=0.4)]), plan, known)) == {}


def test_two_units_at_one_address_are_said_to_garble(known: list[ModbusProfile]) -> None:
    bus = SimBus([md02(5, turnaround_s=0.020), md02(5, turnaround_s=0.021), md02(6)])
    found = units(scanned(bus, Plan((NINE_SIX,), tuple(range(1, 9))), known))
    assert found[5]["state"] == "garbled"
    assert found[5]["bad"] == found[5]["asked"] == 10
    assert found[6]["state"] == "answers"


def test_a_silent_unit_is_found_when_its_type_is_named(known: list[ModbusProfile]) -> None:
    profile = next(p for p in known if p.id == "zw/rcl101")
    unit = SimUnit(9, {(3, 0x40): 0x3F00, (3, 0x41): 0}, silent=True)
    assert units(scanned(SimBus([unit]), Plan((NINE_SIX,), tuple(range(1, 12))), known)) == {}
    named = Plan((NINE_SIX,), tuple(range(1, 12)), block=own_block(profile))
    found = units(scanned(SimBus([unit]), named, known))
    assert found[9]["matches"][0]["profile"] == "zw/rcl101"


def test_a_slow_unit_is_found_in_the_patient_pass(known: list[ModbusProfile]) -> None:
    bus = SimBus([md02(8, turnaround_s=0.115)])  # the last address: nobody is asked while it answers
    assert set(units(scanned(bus, Plan((NINE_SIX,), (7, 8)), known))) == {8}


def test_the_iterator_may_be_left_at_any_time(known: list[ModbusProfile]) -> None:
    bus = SimBus([md02(2)])

    async def run() -> dict[str, Any]:
        lender = Lender(settings_of("/dev/simulated"))
        events = Scanner(lender, Plan((NINE_SIX,), tuple(range(1, 33))), known, {}).run()
        async for event in events:
            await events.aclose()
            await lender.close()
            return event
        raise AssertionError

    with mock.patch("edge_gateway.links.modbus.open_line", bus.open_line):
        assert in_virtual_time(run())["unit"] == 2
    assert bus.open_lines == 0


# --- a lent line --------------------------------------------------------------------------------------------------


class Polling:
    """A source that is due every ``every_s`` and needs the line for ``takes_s``."""

    def __init__(self, every_s: float, takes_s: float) -> None:
        self._every_s, self._takes_s = every_s, takes_s
        self._lock = asyncio.Lock()
        self._due_s = asyncio.get_running_loop().time() + every_s
        self.late_s: list[float] = []
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(max(0.0, self._due_s - loop.time()))
            async with self._lock:
                self.late_s.append(loop.time() - self._due_s)
                await asyncio.sleep(self._takes_s)
            self._due_s += self._every_s

    def due_in_s(self) -> float:
        return self._due_s - asyncio.get_running_loop().time()

    def lent(self) -> Any:
        return self._lock


@pytest.mark.parametrize(("every_s", "takes_s"), [(0.5, 0.05), (0.1, 0.1)])
def test_the_line_goes_back_when_a_slot_is_due(every_s: float, takes_s: float, known: list[ModbusProfile]) -> None:
    """Also a source that leaves no time lets the scan ask once a second, and no more."""
    bus = SimBus([])
    plan = Plan((NINE_SIX,), tuple(range(1, 17)))

    async def run() -> tuple[float, list[float]]:
        polling = Polling(every_s, takes_s)
        lender = Lender(settings_of("/dev/simulated"), polling)
        started_s = asyncio.get_running_loop().time()
        async for _ in Scanner(lender, plan, known, {}).run():
            pass
        await lender.close()
        polling.task.cancel()
        return asyncio.get_running_loop().time() - started_s, polling.late_s

    with mock.patch("edge_gateway.links.modbus.open_line", bus.open_line):
        took_s, late_s = in_virtual_time(run())
    assert len(late_s) >= 4
    if takes_s < every_s:
        assert max(late_s) <= 0.25
    else:
        assert took_s >= 8, "at most one question a second"


# --- foreign bytes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "short", [b"", b"\x2b\x0e", b"\x2b\x0e\x01\x81\x00\x00\x05\x00", b"\x2b\x0e\x01\x81\x00\x00\x01\x00\xff\x41"]
)
def test_a_short_identification_is_no_error(short: bytes) -> None:
    assert set(objects(short)) <= {0}


def test_foreign_texts_are_cut_to_what_may_be_shown() -> None:
    assert printable(b"A\x1b[31mB\xff\x00 ") == "A[31mB"
    assert len(printable(b"x" * 300)) == 64
