"""From what a person asks to what a scan does: which line, which addresses and settings, what is known there; opens nothing."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edge_gateway.config.model import GatewayConfig
from edge_gateway.errors import GatewayError
from edge_gateway.profiles.load import readable
from edge_gateway.profiles.model import ModbusProfile
from edge_gateway.sources.modbus import ModbusRtuConfig, ModbusTcpConfig
from edge_gateway.sources.modbus_lend import Settings, settings_of, settings_of_host
from edge_gateway.sources.modbus_scan import (
    ALL_ADDRESSES,
    PATIENT_S,
    TCP_UNITS,
    Framing,
    Plan,
    addresses,
    candidates,
    default_addresses,
    factory,
    framing,
    own_block,
    rest,
    span,
)

#: Hosts that one scan may be asked for.
MOST_HOSTS = 256
LISTEN_S, MOST_LISTEN_S = 2.0, 600.0
#: What may be opened at a person's word alone. Opening is an act for some devices: a watchdog's would restart the machine.
_TERMINAL = re.compile(r"/dev/(tty[A-Z]\w*|pts/\d+)")
#: Where Linux names serial adaptors: stable names first.
_ADAPTORS = ("serial/by-id/*", "ttyUSB*", "ttyACM*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One line (or TCP endpoint) to scan. ``known``: the configuration's devices by (framing, unit)."""

    target: str
    bus: str
    place: dict[str, Any]
    settings: Callable[[Framing | None], Settings]
    plan: Plan
    listen_s: float
    profiles: Sequence[ModbusProfile] = field(repr=False)
    known: Mapping[tuple[str, int], Sequence[str]] = field(repr=False)

    @property
    def serial(self) -> bool:
        """Whether it is a line that others may talk on."""
        return bool(self.plan.framings)

    def announcement(self) -> dict[str, Any]:
        """What is said before anything is asked."""
        plan = self.plan
        more = rest(plan) if self.serial else None
        return {
            "event": "plan",
            "target": self.target,
            **self.place,
            "bus": self.bus,
            "framings": [str(one) for one in plan.framings],
            "addresses": span(plan.addresses),
            "listen_s": self.listen_s if self.serial else 0.0,
            "estimate_s": round(plan.estimate_s + (self.listen_s if self.serial else 0.0), 1),
            "estimate_rest_s": round(more.estimate_s, 1) if more is not None else 0.0,
            "rest": span(more.addresses) if more is not None else "",
            "own": sorted({device for devices in self.known.values() for device in devices}),
            "late_s": round(plan.longest_s, 1),
        }


def profiles_of(folder: Path) -> list[ModbusProfile]:
    """Every Modbus profile along the search path that measures without a write."""
    return [p for p in readable(folder) if isinstance(p, ModbusProfile) and p.modbus.needs == "nothing"]


def jobs(wanted: Mapping[str, Any], config: GatewayConfig | None, folder: Path) -> list[Job]:
    """The jobs that ``wanted`` asks for: ``target``, ``addresses``, ``lines``, ``every``, ``profile``, ``listen_s``.

    Raises GatewayError: no such line, too many hosts, addresses that are none.
    """
    profiles = profiles_of(folder)
    target = str(wanted.get("target") or "") or _only_line(config)
    buses = {} if config is None else config.buses
    bus = buses.get(target)
    if isinstance(bus, ModbusRtuConfig | ModbusTcpConfig):
        return [_of_bus(target, bus, wanted, config, profiles)]
    if bus is not None:
        raise GatewayError(f"'{target}' is no Modbus bus", hint="scan a serial line or a Modbus TCP host")
    if target.startswith("/"):
        mine = next((i for i, b in buses.items() if isinstance(b, ModbusRtuConfig) and _same(b.port, target)), "")
        if mine:
            return [_of_bus(mine, buses[mine], wanted, config, profiles)]
        if not _TERMINAL.fullmatch(os.path.realpath(target)):
            raise GatewayError(f"{target} is no serial port", hint="name a port such as /dev/ttyUSB0")
        return [_serial(target, "", target, None, wanted, profiles, {})]
    return list(_hosts(target, wanted, config, profiles))


def _same(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _only_line(config: GatewayConfig | None) -> str:
    """The one line there is. Raises GatewayError where there are several, or none."""
    lines = [] if config is None else [i for i, bus in config.buses.items() if isinstance(bus, ModbusRtuConfig)]
    if len(lines) == 1:
        return lines[0]
    if lines:
        raise GatewayError("there are several serial lines", hint=f"say which: {', '.join(lines)}")
    ports: dict[str, str] = {}
    for pattern in _ADAPTORS:
        for port in sorted(Path("/dev").glob(pattern)):
            ports.setdefault(os.path.realpath(port), str(port))
    if len(ports) == 1:
        return next(iter(ports.values()))
    if ports:
        raise GatewayError("there are several serial adaptors", hint=f"say which: {', '.join(ports.values())}")
    raise GatewayError("no serial adaptor is plugged in", hint="name a port such as /dev/ttyUSB0, or hosts such as 192.168.1.0/28")


def _of_bus(
    id_: str, bus: Any, wanted: Mapping[str, Any], config: GatewayConfig | None, profiles: Sequence[ModbusProfile]
) -> Job:
    devices = {} if config is None else config.devices
    own = Framing(bus.baud, bus.parity, bus.stopbits) if isinstance(bus, ModbusRtuConfig) else None
    known: dict[tuple[str, int], list[str]] = {}
    for name, device in devices.items():
        if device.bus == id_ and device.unit is not None:
            known.setdefault((str(own) if own else "", device.unit), []).append(name)
    if own is not None:
        if bus.kind != "rtu":
            raise GatewayError(f"bus '{id_}' speaks {bus.kind.upper()}, and a scan only RTU", hint="ask one unit at a time with `read --unit`")
        job = _serial(id_, id_, bus.port, own, wanted, profiles, known)
        return replace(job, settings=settings_of(bus.port, bus.settings()))
    job = _endpoint(id_, id_, bus.host, bus.port, wanted, profiles, known)
    if bus.framing != "mbap" and any(not 1 <= address <= 247 for address in job.plan.addresses):
        units = tuple(address for address in job.plan.addresses if 1 <= address <= 247)
        job = replace(job, plan=replace(job.plan, addresses=units))
    settings = bus.settings()  # its own framing, TLS and pauses: another would be asked something else, or in the clear
    return replace(job, settings=lambda _framing: settings)


def _serial(
    target: str,
    bus: str,
    port: str,
    own: Framing | None,
    wanted: Mapping[str, Any],
    profiles: Sequence[ModbusProfile],
    known: Mapping[tuple[str, int], Sequence[str]],
) -> Job:
    lines = tuple(framing(str(line)) for line in wanted.get("lines") or ())
    listed = _addresses(wanted)
    if any(not 1 <= address <= 247 for address in listed):
        hint = "addresses are 1 to 247; 0 is for everybody and nobody answers to it"
        raise GatewayError(f"'{wanted['addresses']}': not all are addresses on a serial line", hint=hint)
    named = _named(wanted, profiles)
    plan = Plan(
        lines or tuple(candidates(profiles, own)),
        tuple(listed or default_addresses(profiles, every=bool(wanted.get("every")))),
        () if lines or listed or named else factory(profiles),
        own_block(named) if named else None,
        min(max(float(wanted.get("patience_s") or PATIENT_S), 0.02), 10.0),
    )
    return Job(
        target=target,
        bus=bus,
        place={"port": port},
        settings=settings_of(port),
        plan=plan,
        listen_s=min(max(float(wanted.get("listen_s", LISTEN_S)), 0.0), MOST_LISTEN_S),
        profiles=profiles,
        known=known,
    )


def _endpoint(
    target: str,
    bus: str,
    host: str,
    port: int,
    wanted: Mapping[str, Any],
    profiles: Sequence[ModbusProfile],
    known: Mapping[tuple[str, int], Sequence[str]],
) -> Job:
    named = _named(wanted, profiles)
    units = _addresses(wanted) or list(ALL_ADDRESSES if wanted.get("every") else TCP_UNITS)
    plan = Plan((), tuple(units), block=own_block(named) if named else None)
    return Job(
        target=target,
        bus=bus,
        place={"host": host, "tcp_port": port},
        settings=settings_of_host(host, port),
        plan=plan,
        listen_s=0.0,
        profiles=profiles,
        known=known,
    )


def _hosts(
    target: str, wanted: Mapping[str, Any], config: GatewayConfig | None, profiles: Sequence[ModbusProfile]
) -> Iterator[Job]:
    """A host or a range of them, as a person names it: never more than that."""
    name, _, port_text = target.partition(":") if target.count(":") == 1 else (target, "", "")
    if port_text and not (port_text.isascii() and port_text.isdecimal() and 1 <= int(port_text[:6]) <= 65535):
        raise GatewayError(f"'{target}' has no such port", hint="1 to 65535, such as 192.168.1.50:502")
    port = int(port_text or 502)
    for host in _each_host(name):
        buses = {} if config is None else config.buses
        mine = next(
            (i for i, b in buses.items() if isinstance(b, ModbusTcpConfig) and (b.host, b.port) == (host, port)), ""
        )
        if mine:
            yield _of_bus(mine, buses[mine], wanted, config, profiles)
        else:
            yield _endpoint(f"{host}:{port}", "", host, port, wanted, profiles, {})


def _each_host(name: str) -> list[str]:
    if "/" not in name:
        return [name]
    try:
        network = ipaddress.ip_network(name, strict=False)
    except ValueError as error:
        raise GatewayError(f"'{name}' is no range of addresses", hint="write it such as 192.168.1.0/28") from error
    if network.num_addresses > MOST_HOSTS:
        raise GatewayError(f"{name} has {network.num_addresses} addresses", hint=f"name at most {MOST_HOSTS} at a time")
    return [str(host) for host in network.hosts()]


def _addresses(wanted: Mapping[str, Any]) -> list[int]:
    return addresses(str(wanted["addresses"])) if wanted.get("addresses") else []


def _named(wanted: Mapping[str, Any], profiles: Sequence[ModbusProfile]) -> ModbusProfile | None:
    name = wanted.get("profile")
    if not name:
        return None
    found = next((profile for profile in profiles if profile.id == name), None)
    if found is None:
        raise GatewayError(f"no Modbus profile '{name}' that can be read", hint=", ".join(p.id for p in profiles)[:400])
    return found
