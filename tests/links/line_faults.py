"""Labelled exchange traces: what is really wrong is put into bits, volts, settings and sockets, and the trace is what follows.

Knows nothing of the judge. A draw in which the fault had no visible effect (fewer than five touched exchanges) is drawn
again: nobody could see it. ``alike``: nothing on the wire tells this fault from others, so that naming it among them is all
that can be asked.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edge_gateway.links.modbus_trace import LineRecord, Trace
from tests.links.line_bus import Bus, Unit, framed
from tests.links.line_physics import REVERSED, Driver, Format

SEED = 41_122


@dataclass(frozen=True)
class Labelled:
    """``fault``: the true cause; ``variant``: how it was made; ``alike``: see the module.
    ``noisy_hours``: hours since 1970 in which there was noise, where it was confined to some."""

    fault: str
    variant: str
    alike: bool
    record: LineRecord
    noisy_hours: frozenset[int] = frozenset()


Draw = Callable[[random.Random], "Bus | LineRecord"]
#: (fault, variant, alike, how many, draw)
_PLAN: list[tuple[str, str, bool, int, Draw]] = []


def _plan(fault: str, variant: str, count: int, *, alike: bool = False) -> Callable[[Draw], Draw]:
    def add(draw: Draw) -> Draw:
        _PLAN.append((fault, variant, alike, count, draw))
        return draw

    return add


def traces(seed: int = SEED) -> Iterator[Labelled]:
    """All of them, the same for the same seed."""
    for fault, variant, alike, count, draw in _PLAN:
        for n in range(count):
            rng = random.Random(f"{seed}/{fault}/{variant}/{n}")
            for _ in range(40):
                drawn = draw(rng)
                if isinstance(drawn, LineRecord):
                    yield Labelled(fault, variant, alike, drawn)
                    break
                rounds = max(22, 72 // len(drawn.asked)) if drawn.costly else rng.choice((60, 100, 150))
                record = drawn.run(rounds, 86_400 / rounds)
                if fault == "healthy" or _touched(record) >= 5:
                    hours = {hour for unit in record.units for hour, *_ in unit.hours if drawn.noisy(hour * 3600)}
                    yield Labelled(fault, variant, alike, record, frozenset(hours))
                    break
            else:
                raise AssertionError(f"no visible draw of {fault}, {variant}, number {n}")


def _touched(record: LineRecord) -> int:
    bad = sum(n for unit in record.units for outcome, n in unit.totals.items() if outcome != "answer")
    slow = sum(took > 0.6 * record.timeout_s for unit in record.units for took in unit.took_s)
    return bad + record.strange + slow + (record.uart[1] if record.uart else 0)


def _bus(rng: random.Random, least: int = 1, most: int = 6, baud: float = 0.0) -> Bus:
    """A sound line."""
    form = Format(baud or rng.choice((4800, 9600, 9600, 19_200)), rng.choice("NNE"), 1)
    addresses = rng.sample(range(1, 33), rng.randint(least, most))
    units = []
    for address in addresses:
        base_s = rng.uniform(0.003, 0.08)
        units.append(Unit(address, form, rng.randint(1, 10), lambda base_s=base_s: base_s + abs(rng.gauss(0, 0.003))))
    bus = Bus(rng, form, units, [(unit.address, unit.registers) for unit in units], rng.choice((0.3, 0.5, 1.0)))
    bus.counts = rng.random() < 0.5
    return bus


# --- sound -----------------------------------------------------------------------------------------------------------


@_plan("healthy", "serial", 26)
def _healthy(rng: random.Random) -> Bus:
    bus = _bus(rng)
    rate = rng.choice((0.0, 0.0, 0.01, 0.05))  # a stray burst now and then: less than 1 exchange in 200
    bus.bursts = lambda _wall: rate
    code = rng.choice((0, 0, 2))
    if code:  # a device that lacks a register says so now and then
        bus.units[0].code = lambda: code if rng.random() < 0.01 else 0
    return bus


@_plan("healthy", "fast serial line with a terminator", 6)
def _healthy_fast(rng: random.Random) -> Bus:
    bus = _bus(rng, 2, 6, 115_200)
    for unit in bus.units:
        unit.ring_s, unit.ring = rng.uniform(0.3e-6, 3e-6), rng.uniform(0.0, 0.08)
    return bus


@_plan("healthy", "TCP", 12)
def _healthy_tcp(rng: random.Random) -> LineRecord:
    trace, wall = _tcp(rng)
    trace.ended("opened")
    for n in range(rng.randint(50, 400)):
        if rng.random() < 0.003:
            trace.ended("closed")
            trace.ended("opened")
        _ok(trace, 1 + n % 3, rng, wall)
    return trace.record()


# --- nothing comes: many faults look like this ------------------------------------------------------------------------


@_plan("no-power", "one unit of several", 6, alike=True)
def _one_dead(rng: random.Random) -> Bus:
    bus = _bus(rng, 2)
    bus.units[-1].powered = lambda _at: False
    return bus


@_plan("no-power", "the whole line", 6, alike=True)
def _all_dead(rng: random.Random) -> Bus:
    bus = _bus(rng)
    for unit in bus.units:
        unit.powered = lambda _at: False
    return bus


@_plan("no-power", "went dead after a while", 4, alike=True)
def _went(rng: random.Random) -> Bus:
    bus = _bus(rng, 2)
    at_s = bus.wall_s + 30_000
    bus.units[0].powered = lambda wall_s: wall_s < at_s
    return bus


@_plan("address", "another address than configured", 6, alike=True)
def _other_address(rng: random.Random) -> Bus:
    bus = _bus(rng, 1, 4)
    bus.units[0].address += 100
    return bus


@_plan("swapped-unit", "its wires are swapped", 8, alike=True)
def _swapped_unit(rng: random.Random) -> Bus:
    bus = _bus(rng, 2, 4)
    bus.units[0].swapped = True
    return bus


@_plan("swapped-unit", "and its own bias pulls the idle line the wrong way", 5, alike=True)
def _swapped_biasing(rng: random.Random) -> Bus:
    bus = _bus(rng, 2, 4)
    bus.units[0].swapped = True
    bus.droop_s = rng.uniform(1.2, 3.0) * 10 / bus.form.baud
    for unit in bus.units[1:]:
        unit.turnaround_s = lambda: bus.droop_s + rng.uniform(0.002, 0.02)
    return bus


@_plan("swapped-line", "at the gateway, with bias of its own", 6, alike=True)
def _swapped_quiet(rng: random.Random) -> Bus:
    bus = _bus(rng)
    bus.swapped = True
    return bus


@_plan("swapped-line", "at the gateway, the bias is elsewhere", 8)
def _swapped_breaks(rng: random.Random) -> Bus:
    bus = _bus(rng)
    bus.swapped, bus.idle = True, REVERSED
    bus.every_bit = True
    return bus


@_plan("baud", "the unit's", 4, alike=True)
def _unit_baud(rng: random.Random) -> Bus:
    bus = _bus(rng, 2, 4)
    unit = bus.units[0]
    unit.form = Format(bus.form.baud * rng.choice((0.5, 2.0, 4.0, 0.25)), bus.form.parity, 1)
    return bus


@_plan("baud", "the whole line's", 4, alike=True)
def _line_baud(rng: random.Random) -> Bus:
    bus = _bus(rng)
    factor = rng.choice((0.5, 2.0, 4.0, 0.25))
    for unit in bus.units:
        unit.form = Format(bus.form.baud * factor, bus.form.parity, 1)
    return bus


@_plan("parity", "the unit throws away what it sees", 6, alike=True)
def _parity_strict(rng: random.Random) -> Bus:
    bus = _bus(rng, 1, 4)
    for unit in bus.units[: rng.choice((1, 4))]:
        unit.form = Format(bus.form.baud, rng.choice([p for p in "NEO" if p != bus.form.parity]), 1)
    return bus


# --- something comes -------------------------------------------------------------------------------------------------


@_plan("baud", "another master at the line's true rate is heard", 5)
def _talker(rng: random.Random) -> Bus:
    bus = _line_baud(rng)
    assert isinstance(bus, Bus)
    bus.foreign = _master(rng, bus.units[0].form, 0.05)
    return bus


@_plan("baud", "the unit's clock runs 4.5 to 6 % wrong", 5, alike=True)
def _clock_off(rng: random.Random) -> Bus:
    bus = _bus(rng, 2, 4)
    unit = bus.units[0]
    unit.strict = False
    unit.form = Format(bus.form.baud * (1 + rng.choice((-1, 1)) * rng.uniform(0.045, 0.06)), bus.form.parity, 1)
    bus.noise = 0.045
    return bus


@_plan("parity", "the unit does not mind, its answers come garbled", 6, alike=True)
def _parity_garbled(rng: random.Random) -> Bus:
    while True:
        bus = _bus(rng, 1, 3)
        bus.form = Format(bus.form.baud, "E", 1)
        for unit in bus.units:
            unit.form, unit.strict, unit.gap_bits = Format(bus.form.baud, "N", 1), False, rng.choice((0.0, 0.2))
        bus.trace.baud = int(bus.form.baud)
        return bus


@_plan("parity", "the unit does not mind and sends two stop bits: right bytes, parity errors counted", 5)
def _parity_lenient(rng: random.Random) -> Bus:
    bus = _bus(rng, 1, 3)
    bus.form, bus.counts = Format(bus.form.baud, "E", 1), True
    for unit in bus.units:
        unit.form, unit.strict, unit.gap_bits = Format(bus.form.baud, "N", 2), False, rng.uniform(0.0, 1.0)
    return bus


def _unterminated(rng: random.Random) -> Bus:
    """A fast long line; the delay grows with the unit's distance. At 115,200: 240 to 450 m."""
    bus = _bus(rng, 3, 6, rng.choice((57_600, 115_200, 115_200)))
    longest_s = rng.uniform(0.14, 0.26) / bus.form.baud
    bus.noise = rng.uniform(0.03, 0.048)
    for n, unit in enumerate(bus.units):
        unit.ring_s = longest_s * (n + 1) / len(bus.units)
    return bus


@_plan("termination", "no terminator at the gateway's end of a fast long line", 14)
def _no_terminator_here(rng: random.Random) -> Bus:
    bus = _unterminated(rng)
    ring = rng.uniform(0.66, 0.78)
    for unit in bus.units:
        unit.ring, unit.hears_ring = ring, rng.uniform(0.0, 0.5)
    return bus


@_plan("termination", "no terminator at the far end: the units do not understand the question", 4, alike=True)
def _no_terminator_there(rng: random.Random) -> Bus:
    bus = _unterminated(rng)
    ring = rng.uniform(0.72, 0.85)
    for unit in bus.units:
        unit.hears_ring = ring
    return bus


@_plan("duplicate", "two of the same model", 9)
def _twins(rng: random.Random) -> Bus:
    bus = _bus(rng, 1, 4)
    twin = bus.units[0]
    base_s = rng.uniform(0.004, 0.03)
    for unit in (twin, Unit(twin.address, bus.form, twin.registers)):
        unit.turnaround_s = lambda: base_s + rng.expovariate(1 / 0.0015)
        unit.strength = rng.uniform(0.7, 1.3)
        if unit is not twin:
            bus.units.append(unit)
    return bus


@_plan("duplicate", "two different devices", 9)
def _strangers(rng: random.Random) -> Bus:
    bus = _bus(rng, 1, 4)
    first = bus.units[0]
    apart_s = rng.uniform(0.002, 0.04)
    other = Unit(first.address, bus.form, first.registers, strength=rng.uniform(0.7, 1.3))
    first.turnaround_s = lambda: 0.006 + rng.uniform(0, 0.003)
    other.turnaround_s = lambda: 0.006 + apart_s + rng.uniform(0, 0.01)
    bus.units.append(other)
    return bus


@_plan("noise", "in some hours", 14)
def _noisy_hours(rng: random.Random) -> Bus:
    bus = _bus(rng, 2, 6)
    first, length, rate = rng.randrange(24), rng.randint(2, 6), rng.uniform(8, 40)
    bus.noisy = lambda wall_s: (int(wall_s // 3600) - first) % 24 < length
    bus.bursts = lambda wall_s: rate if bus.noisy(wall_s) else 0.02
    return bus


@_plan("noise", "all day", 8)
def _noisy(rng: random.Random) -> Bus:
    bus = _bus(rng, 2, 6)
    rate = rng.uniform(4, 30)
    bus.bursts = lambda _wall: rate
    return bus


@_plan("noise", "on one unit's branch", 6, alike=True)
def _noisy_branch(rng: random.Random) -> Bus:
    bus = _bus(rng, 2, 5)
    bus.units[0].burst_rate = rng.uniform(6, 30)
    return bus


def _master(rng: random.Random, form: Format, often: float) -> Callable[[float], list[Driver]]:
    """Another master asks its unit; its frames fall anywhere about our exchange."""
    address = rng.randint(40, 60)

    def frames(_wall_s: float) -> list[Driver]:
        if rng.random() > often:
            return []
        begin_s = rng.uniform(-0.03, 0.04)
        ask = Driver(begin_s, framed(bytes((address, 3, 0, 0, 0, 2))), form)
        data = bytes(rng.randrange(256) for _ in range(4))
        reply = Driver(ask.end_s + 0.01, framed(bytes((address, 3, 4)) + data), form)
        return [ask, reply]

    return frames


@_plan("foreign", "another master asks its own unit", 10)
def _foreign(rng: random.Random) -> Bus:
    bus = _bus(rng, 1, 4)
    bus.foreign = _master(rng, bus.form, rng.uniform(0.15, 0.6))
    return bus


@_plan("echo", "the adaptor hears itself", 8)
def _echo(rng: random.Random) -> Bus:
    bus = _bus(rng)
    bus.echo = True
    return bus


@_plan("bias", "the line droops when a driver lets go", 10)
def _droop(rng: random.Random) -> Bus:
    bus = _bus(rng, 1, 4)
    bus.droop_s = rng.uniform(0.8, 2.5) * 10 / bus.form.baud
    for unit in bus.units:
        spoils = rng.choice((0.0, 0.3))
        unit.turnaround_s = lambda spoils=spoils: (
            bus.droop_s * (1.0 - (rng.random() < spoils) * 0.5) + rng.uniform(0.0005, 0.02)
        )
    return bus


@_plan("loose", "a unit's contact comes and goes", 8, alike=True)
def _loose(rng: random.Random) -> Bus:
    bus = _bus(rng, 2, 4)
    away = [False]

    def powered(_wall_s: float) -> bool:
        away[0] = rng.random() < (0.6 if away[0] else 0.06)
        return not away[0]

    bus.units[0].powered = powered
    return bus


@_plan("late", "the time-out is shorter than the unit needs", 8)
def _late(rng: random.Random) -> Bus:
    bus = _bus(rng, 1, 4)
    needs_s = bus.timeout_s * rng.uniform(0.98, 1.6)
    bus.units[0].turnaround_s = lambda: needs_s + rng.gauss(0, 0.03)
    return bus


@_plan("slow", "busy exceptions", 5)
def _busy(rng: random.Random) -> Bus:
    bus = _bus(rng, 1, 4)
    share = rng.uniform(0.1, 0.4)
    bus.units[0].code = lambda: rng.choice((5, 6)) if rng.random() < share else 0
    return bus


@_plan("slow", "answers come nearly too late, some not at all", 6)
def _slow(rng: random.Random) -> Bus:
    bus = _bus(rng, 1, 4)
    unit = bus.units[0]
    unit.turnaround_s = lambda: min(rng.uniform(0.3, 1.0) * bus.timeout_s * 0.97, bus.timeout_s * 0.97)
    gives_up = rng.uniform(0.08, 0.2)
    unit.powered = lambda _at: rng.random() > gives_up
    return bus


# --- TCP ---------------------------------------------------------------------------------------------------------------


def _tcp(rng: random.Random) -> tuple[Trace, list[float]]:
    wall = [1_760_000_000.0]
    return Trace("tcp", timeout_s=rng.choice((0.5, 1.0)), wall_s=lambda: wall[0]), wall


def _ok(trace: Trace, unit: int, rng: random.Random, wall: list[float]) -> None:
    wall[0] += 30
    trace.answered(unit, rng.uniform(0.002, 0.05), wall[0])


def _asked(unit: int) -> bytes:
    return bytes((unit, 3, 0, 0, 0, 2))


@_plan("gateway-unit", "exceptions 10 and 11", 8)
def _behind(rng: random.Random) -> LineRecord:
    trace, wall = _tcp(rng)
    trace.ended("opened")
    code = rng.choice((10, 11, 11))
    for _ in range(rng.randint(5, 80)):
        _ok(trace, 1, rng, wall)
        trace.failed("exception", _asked(7), bytes((0x83, code)), 0.4, code)
    return trace.record()


@_plan("gateway-unit", "the gateway is silent for that unit", 4, alike=True)
def _behind_silent(rng: random.Random) -> LineRecord:
    trace, wall = _tcp(rng)
    for _ in range(rng.randint(5, 40)):
        trace.ended("opened")
        _ok(trace, 1, rng, wall)
        trace.failed("silence", _asked(7), b"", 1.0)
    return trace.record()


def _attempts(rng: random.Random, what: str, why: str) -> LineRecord:
    trace, wall = _tcp(rng)
    if rng.random() < 0.5:  # it worked once
        trace.ended("opened")
        for _ in range(rng.randint(3, 60)):
            _ok(trace, 1, rng, wall)
        trace.ended("closed")
    for _ in range(rng.randint(2, 12)):
        wall[0] += 20
        trace.ended(what, why)
    return trace.record()


@_plan("unreachable", "no route, or no answer to connecting", 6)
def _unreachable(rng: random.Random) -> LineRecord:
    return _attempts(rng, "unreachable", rng.choice(("no answer to connecting", "No route to host")))


@_plan("refused", "nothing listens there", 6)
def _refused(rng: random.Random) -> LineRecord:
    return _attempts(rng, "refused", "Connection refused")


@_plan("one-socket", "accepted, and closed at once: another client holds it", 6)
def _closed_at_once(rng: random.Random) -> LineRecord:
    trace, wall = _tcp(rng)
    for _ in range(rng.randint(4, 12)):
        wall[0] += 20
        trace.ended("opened")
        trace.ended("closed")
    return trace.record()


@_plan("one-socket", "refused as long as another client is there", 4)
def _in_turn(rng: random.Random) -> LineRecord:
    trace, wall = _tcp(rng)
    for _ in range(4):
        trace.ended("opened")
        for _ in range(rng.randint(2, 10)):
            _ok(trace, 1, rng, wall)
        trace.ended("closed")
        for _ in range(rng.randint(1, 3)):
            trace.ended("refused", "Connection refused")
    return trace.record()


@_plan("late", "over TCP: the answer to the question before", 3)
def _late_tcp(rng: random.Random) -> LineRecord:
    trace, wall = _tcp(rng)
    for _ in range(40):
        trace.ended("opened")
        _ok(trace, 1, rng, wall)
        trace.failed("silence", _asked(2), b"", 1.0)
        trace.late(2)
    return trace.record()


@_plan("slow", "over TCP: busy exceptions", 3)
def _busy_tcp(rng: random.Random) -> LineRecord:
    trace, wall = _tcp(rng)
    trace.ended("opened")
    for _ in range(60):
        _ok(trace, 1, rng, wall)
        if rng.random() < 0.3:
            trace.failed("exception", _asked(1), bytes((0x83, 6)), 0.02, 6)
    return trace.record()
