"""What keeps a Modbus bus from doing what is asked of it: other serial settings than the maker's, too little time; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from edge_gateway.config.model import GatewayConfig
from edge_gateway.config.references import Locate
from edge_gateway.errors import ConfigError
from edge_gateway.profiles.model import ModbusProfile, ModbusTraits
from edge_gateway.profiles.plan import by_unit, plan_unit
from edge_gateway.profiles.spec import DeviceSpec
from edge_gateway.sources.modbus import ModbusRtuConfig, ModbusTcpConfig
from edge_gateway.sources.modbus_time import LineTime

#: Intervals that people would write (s).
SENSIBLE_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 1800, 3600)
#: A share of the time that leaves room for retries.
COMFORTABLE = 0.8

Specs = Mapping[str, Sequence[DeviceSpec]]


@dataclass(frozen=True, slots=True)
class Job:
    """One poll of a bus: of which device (the first that it feeds) and unit, how often, and how long it takes (s).

    ``wire_s``: the bytes and silences alone; ``poll_s``: with the answer's assumed delay and the unit's rests;
    ``failing_s``: the longest when the unit falls silent.
    """

    device: str
    unit: int
    interval_s: float
    requests: int
    wire_s: float
    poll_s: float
    failing_s: float


@dataclass(frozen=True, slots=True)
class Budget:
    """A bus' time. ``load`` 1 is all of it; ``silent_s``: the longest that one unit's silence keeps the line."""

    jobs: tuple[Job, ...]

    @property
    def requests(self) -> int:
        return sum(job.requests for job in self.jobs)

    @property
    def round_s(self) -> float:
        """Every poll once."""
        return sum(job.poll_s for job in self.jobs)

    @property
    def load(self) -> float:
        return sum(job.poll_s / job.interval_s for job in self.jobs)

    @property
    def wire_load(self) -> float:
        return sum(job.wire_s / job.interval_s for job in self.jobs)

    @property
    def silent_s(self) -> float:
        return max(job.failing_s for job in self.jobs)

    def in_time(self, silent: int | None = None) -> bool:
        """Is every slot read within half its interval, also when all are due at once and the longest other poll has just begun?

        Earliest deadline first, a poll is never interrupted (Jeffay, Stanat, Martel 1991: demand up to each deadline, and one
        later poll that holds the line). With ``silent`` that unit's poll takes until it fails, and it is the others' slots
        that count.
        """
        others = [job for job in self.jobs if job.unit != silent]
        lost_s = max((job.failing_s for job in self.jobs if job.unit == silent), default=0.0)
        for deadline_s in {job.interval_s / 2 for job in others}:
            demand_s = sum(
                job.poll_s * (int((deadline_s - job.interval_s / 2) / job.interval_s + 1e-9) + 1)
                for job in others
                if job.interval_s / 2 <= deadline_s
            )
            later_s = max((job.poll_s for job in others if job.interval_s / 2 > deadline_s), default=0.0)
            if demand_s + max(later_s, lost_s) > deadline_s:
                return False
        return True

    def stands_silence(self) -> bool:
        """Do the others keep their slots when any one unit falls silent?"""
        return all(self.in_time(unit) for unit in {job.unit for job in self.jobs})

    def slowed(self, interval_s: float) -> Budget:
        """The same with nothing read more often than every ``interval_s``."""
        return Budget(tuple(replace(job, interval_s=max(job.interval_s, interval_s)) for job in self.jobs))

    def fitting_s(self, *, silence: bool = False) -> float:
        """The shortest interval that people would write at which the bus has time enough (and stands a unit's silence)."""
        for interval_s in SENSIBLE_S:
            slowed = self.slowed(interval_s)
            if slowed.load <= COMFORTABLE and slowed.in_time() and (not silence or slowed.stands_silence()):
                return interval_s
        return float(round(self.round_s * 4 + (self.silent_s * 4 if silence else 0)))


def budget(time: LineTime, devices: Sequence[DeviceSpec], *, distinct: bool) -> Budget:
    """What polling ``devices`` takes on a line of this pace."""
    jobs = [
        Job(
            device=poll.groups[0].device,
            unit=poll.unit,
            interval_s=poll.interval_us / 1e6,
            requests=len(poll.blocks),
            wire_s=sum(time.request_s(block, 0.0) for block in poll.blocks),
            poll_s=time.poll_s(poll),
            failing_s=time.failing_s(poll),
        )
        for together in by_unit(devices)
        for poll in plan_unit(together, distinct=distinct)
    ]
    return Budget(tuple(jobs))


def budgets(config: GatewayConfig, specs: Specs) -> dict[str, Budget]:
    """Of all Modbus buses that have devices."""
    return {
        bus_id: budget(bus.time(), specs[bus_id], distinct=not bus.numbered)
        for bus_id, bus in config.buses.items()
        if isinstance(bus, ModbusRtuConfig | ModbusTcpConfig) and specs.get(bus_id)
    }


def bus_faults(config: GatewayConfig, specs: Specs, locate: Locate) -> Iterator[ConfigError]:
    """Buses that cannot carry what is asked of them, however quick their units."""
    for bus_id, its in budgets(config, specs).items():
        if its.wire_load > 1:
            worst = max(its.jobs, key=lambda job: job.wire_s / job.interval_s)
            why = f"bus '{bus_id}' cannot carry this: its bytes alone take {its.wire_load:.0%} of the time"
            hint = f"use interval_s = {its.fitting_s():g} or more on this bus, or a higher baud rate"
            yield locate(("devices", worst.device, "interval_s"), why, code="bus-overload", hint=hint)


def bus_warnings(config: GatewayConfig, specs: Specs, locate: Locate) -> Iterator[ConfigError]:
    """Warnings of all Modbus buses."""
    for bus_id, bus in config.buses.items():
        if isinstance(bus, ModbusRtuConfig):
            yield from _serial(bus, specs.get(bus_id, ()), locate)
    for bus_id, its in budgets(config, specs).items():
        yield from _time(bus_id, its, locate)


def _serial(bus: ModbusRtuConfig, devices: Sequence[DeviceSpec], locate: Locate) -> Iterator[ConfigError]:
    ours = f"{bus.baud} {bus.parity} {bus.stopbits}"
    for device in devices:
        if isinstance(device.profile, ModbusProfile):
            theirs = _settings(device.profile.modbus)
            if theirs != ours:
                why = f"the bus speaks {ours}, {device.profile.id} leaves the factory with {theirs}"
                hint = "ignore this if the device was set to the bus's settings (see firmware_configs/)"
                yield locate(("devices", device.id, "bus"), why, code="serial-settings", hint=hint)


def _settings(traits: ModbusTraits) -> str:
    return f"{traits.baud} {traits.parity} {traits.stopbits}"


def _time(bus_id: str, its: Budget, locate: Locate) -> Iterator[ConfigError]:
    """One warning at most: the worst of too busy, late, and late once a unit falls silent."""
    worst = max(its.jobs, key=lambda job: job.poll_s / job.interval_s)
    at = ("devices", worst.device, "interval_s")
    if its.load > 1:
        why = f"bus '{bus_id}' is asked to be busy {its.load:.0%} of the time: one round of its polls takes {its.round_s:.2f} s"
        hint = f"slots will be missed; use interval_s = {its.fitting_s():g} or more on this bus"
        yield locate(at, why, code="too-fast", hint=hint)
    elif not its.in_time():
        why = f"bus '{bus_id}' cannot read every point within half its interval: one round of its polls takes {its.round_s:.2f} s"
        hint = f"some readings come late; use interval_s = {its.fitting_s():g} or more on this bus"
        yield locate(at, why, code="late-slots", hint=hint)
    elif not its.stands_silence():
        why = f"on bus '{bus_id}' a unit that falls silent keeps the line for {its.silent_s:.2f} s: the others miss slots then"
        hint = f"use a shorter timeout_s, or interval_s = {its.fitting_s(silence=True):g} or more on this bus"
        yield locate(at, why, code="no-slack", hint=hint)
