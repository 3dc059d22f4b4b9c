"""Setting a device's own parameters through the running gateway: which device, may it, on whose word; knows no frame.

One device at a time. Before anything is written, the record says who asked for what; afterwards it says what became of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_gateway.app.field import Field
from edge_gateway.config.model import DeviceConfig, GatewayConfig
from edge_gateway.errors import ConfigError, GatewayError
from edge_gateway.intake.loop import Intake
from edge_gateway.links.modbus import Line, RtuSettings, TcpSettings
from edge_gateway.provision import load, steps
from edge_gateway.provision.agree import faults
from edge_gateway.provision.load import LoadedSheet
from edge_gateway.provision.model import FIRST_UNIT, LAST_UNIT, Parameter
from edge_gateway.provision.steps import NothingWritten, Place, Row
from edge_gateway.provision.values import canonical
from edge_gateway.sources.modbus import ModbusRtuConfig, ModbusTcpConfig
from edge_gateway.sources.modbus_source import ModbusSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A device of the configuration, its sheet, and where it is spoken to now."""

    device: str
    config: DeviceConfig
    bus: str
    sheet: LoadedSheet
    configured: Place
    at: Place


class Provisioning:
    """What the control socket's ``provision`` verbs do. Answers are JSON-able."""

    def __init__(self, field: Field, intake: Intake, folder: Path) -> None:
        self._field = field
        self._intake = intake
        self._folder = folder
        self._one = asyncio.Lock()

    async def handle(self, verb: str, asked: Mapping[str, Any], user: str) -> dict[str, Any]:
        """``diff``, ``verify`` or ``apply``; ``user`` is who asks by the kernel's word. Raises GatewayError."""
        act = {"diff": self._diff, "verify": self._verify, "apply": self._apply}.get(verb)
        if act is None:
            raise GatewayError(f"no step '{verb}'", hint="diff, verify or apply")
        if self._one.locked():
            raise GatewayError("another device is being set or looked at", hint="one at a time: try again in a moment")
        async with self._one:
            return await act(self.job(asked), asked, user)

    def job(self, asked: Mapping[str, Any]) -> Job:
        """What is asked for. Raises GatewayError: no such device or sheet, a place that makes no sense."""
        config, device = self._field.config, str(asked.get("device", ""))
        if device not in config.devices:
            raise GatewayError(f"no device '{device}'", hint=f"devices: {', '.join(config.devices) or 'none'}")
        about = config.devices[device]
        configured = Place(settings=settings_of(config, about), unit=about.unit or 0)
        return Job(
            device=device,
            config=about,
            bus=about.bus,
            sheet=self._sheet(about, asked),
            configured=configured,
            at=place(configured, asked),
        )

    def _sheet(self, about: DeviceConfig, asked: Mapping[str, Any]) -> LoadedSheet:
        if text := str(asked.get("sheet_text", "")):
            loaded, found = load.parse(text, str(asked.get("sheet_name", "sheet")))
        else:
            loaded, found = self.sheet_of(about.profile)
        if loaded is None:
            if found:
                fault = found[0]  # an answer over the socket has no fields for them: file, line and key go into the sentence
                at = ":".join(str(part) for part in (fault.file, fault.line, fault.key) if part)
                raise GatewayError(f"{at}: {fault.why}", hint=fault.hint)
            why = f"no parameter sheet for '{about.profile}'"
            raise GatewayError(why, hint="write one (firmware_configs/README.md says how) and name it with --sheet")
        if loaded.sheet.profile != about.profile:
            raise GatewayError(f"this sheet feeds '{loaded.sheet.profile}', the device is '{about.profile}'")
        wrong = next(faults(loaded.sheet, self._field.profile(about.profile)), None)
        if wrong is not None:
            raise GatewayError(f"{loaded.name}: {wrong[1]}", hint="mend the sheet: `edge-gateway check` says all of it")
        return loaded

    def sheet_of(self, profile: str) -> tuple[LoadedSheet | None, list[ConfigError]]:
        """The sheet of a profile along the search path; (None, []) when there is none."""
        file = load.find(profile, self._folder)
        return (None, []) if file is None else load.read(file)

    # --- looking -------------------------------------------------------------------------------------------------

    async def _diff(self, job: Job, asked: Mapping[str, Any], user: str) -> dict[str, Any]:
        async with self._lent(job.bus) as line:
            rows = await steps.look(job.sheet.sheet, replace(job.at, beside=line), job.configured)
        return _about(job) | {"parameters": [_row(row) for row in rows]}

    async def _verify(self, job: Job, asked: Mapping[str, Any], user: str) -> dict[str, Any]:
        shown = await self._diff(job, asked, user)
        body = {"event": "provision-verified", "by": user} | _about(job)
        body["parameters"] = [[row["id"], row["value"], row["wanted"], row["state"]] for row in shown["parameters"]]
        return shown | {"seq": await self._record(body)}

    # --- setting -------------------------------------------------------------------------------------------------

    async def _apply(self, job: Job, asked: Mapping[str, Any], user: str) -> dict[str, Any]:
        parameter = job.sheet.sheet.find(str(asked.get("parameter", "")))
        if parameter is None:
            known = ", ".join(p.id for p in job.sheet.sheet.parameter)
            raise GatewayError(f"the sheet has no parameter '{asked.get('parameter')}'", hint=f"it has: {known}")
        person, why = str(asked.get("by", "")).strip(), str(asked.get("why", "")).strip()
        if not person or not why or len(person) > 100 or len(why) > 500:
            raise GatewayError("nothing is set without a person's name and a reason", hint="--by NAME --why TEXT")
        new, expected = canonical(parameter, str(asked.get("new", ""))), str(asked.get("expected", ""))
        if parameter.verified == "no" and asked.get("unverified") is not True:
            said = f"nobody confirms where '{parameter.id}' lies ({parameter.source})"
            raise NothingWritten(said, hint="ask the maker; if you know better, say --unverified")
        self._no_orphan(job, parameter, new)
        body: dict[str, Any] = _about(job) | {
            "by": person, "user": user, "parameter": parameter.id, "register": parameter.address,
            "table": parameter.table, "old": expected, "new": new, "unit_of_measure": parameter.unit, "why": why,
        }  # fmt: skip

        async def about_to() -> int:
            return await self._record({"event": "provision-started"} | body)

        async with self._lent(job.bus) as line:
            at = replace(job.at, beside=line)
            done = await steps.apply(parameter, at, expected=expected, new=new, about_to=about_to)
        body |= {"result": done.result, "old": done.old, "read_back": done.read_back, "answer": done.answer}
        body |= where(done.place)
        if done.result != "already":
            body["seq"] = await self._record({"event": "provision-ended"} | body)
        return body

    def _no_orphan(self, job: Job, parameter: Parameter, new: str) -> None:
        """Refuse what would leave a device of the configuration where nobody asks it, and say what to change first."""
        config, name = self._field.config, job.device
        for other, about in config.devices.items():
            at_other = about.bus == job.bus and about.unit == job.at.unit and other != name
            if at_other and job.at.unit != job.configured.unit:
                why = f"unit {job.at.unit} is '{other}' of the configuration: the write could reach that one"
                raise NothingWritten(why, hint=f"take '{other}' off the line, and out of the configuration, meanwhile")
        if parameter.follows is None:
            return
        ought = steps.wanted(parameter, job.configured)
        if ought is None or new == ought:
            return
        if parameter.follows == "unit":
            key = f"[devices.{name}] unit = {new}"
            then = f"`edge-gateway provision apply {name} --unit {job.at.unit}`"
        else:
            quoted = f'"{new}"' if parameter.follows == "parity" else new
            key = f"[buses.{job.bus}] {parameter.follows} = {quoted} (which all its devices must then have)"
            then = f"`edge-gateway provision apply {name} --line {where(job.at)['line']}`"
        why = f"the configuration has '{name}' with {parameter.follows} {ought}: set to {new} the gateway would lose it"
        raise NothingWritten(why, hint=f"first write {key} in the configuration and reload, then {then}")

    # --- around it -----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _lent(self, bus: str) -> AsyncIterator[Line | None]:
        """The bus's line for ourselves; a bus that nobody reads is nobody's."""
        source = self._field.sources.get(bus)
        if source is None:
            yield None
            return
        assert isinstance(source, ModbusSource)  # the bus is Modbus: settings_of saw to it
        async with source.lent() as line:
            yield line

    async def _record(self, body: Mapping[str, Any]) -> int:
        """An entry, durable on return; its number."""
        seq = await self._intake.command(lambda: self._intake.add("event", body, urgent=True))
        assert isinstance(seq, int)
        return seq


def _about(job: Job) -> dict[str, Any]:
    return {
        "device": job.device, "bus": job.bus, "profile": job.config.profile, "sheet": job.sheet.name,
        "sheet_sha256": job.sheet.sha256, "configured": where(job.configured), **where(job.at),
    }  # fmt: skip


def where(at: Place) -> dict[str, Any]:
    """``{"unit": 1, "line": "9600-8N1"}``; the line is "" over TCP."""
    line = at.settings
    form = f"{line.baud}-8{line.parity}{line.stopbits}" if isinstance(line, RtuSettings) else ""
    return {"unit": at.unit, "line": form}


def _row(row: Row) -> dict[str, Any]:
    parameter = row.parameter
    return {
        "id": parameter.id, "name": parameter.name, "name_zh": parameter.name_zh, "value": row.value,
        "wanted": row.wanted, "state": row.state, "said": row.said, "unit_of_measure": parameter.unit,
        "verified": parameter.verified, "source": parameter.source, "note": parameter.note, "why": parameter.why,
        "takes_effect": parameter.takes_effect, "before": parameter.before, "before_zh": parameter.before_zh,
        "follows": parameter.follows or "",
    }  # fmt: skip


def settings_of(config: GatewayConfig, about: DeviceConfig) -> TcpSettings | RtuSettings:
    """How the device's bus is spoken to. Raises GatewayError for a bus that has no registers."""
    bus = config.buses[about.bus]
    if isinstance(bus, ModbusTcpConfig | ModbusRtuConfig):
        return bus.settings()
    raise GatewayError(f"'{about.bus}' is no Modbus bus: its devices have no registers to set")


def place(configured: Place, asked: Mapping[str, Any]) -> Place:
    """Where the device is now: as configured, but for what the person says (``at_unit``, ``at_line``)."""
    unit, line = asked.get("at_unit"), str(asked.get("at_line") or "")
    if unit is not None:
        if type(unit) is not int or not FIRST_UNIT <= unit <= LAST_UNIT:
            raise GatewayError(f"unit {unit} is no address", hint=f"{FIRST_UNIT} to {LAST_UNIT}")
        configured = replace(configured, unit=unit)
    if not line:
        return configured
    if not isinstance(configured.settings, RtuSettings):
        raise GatewayError("a TCP bus has no line settings", hint="leave --line out")
    baud, _, form = line.partition("-")
    if not baud.isascii() or not baud.isdigit() or not 300 <= int(baud) <= 4_000_000 or form not in _FORMS:
        raise GatewayError(f"'{line}' is no line setting", hint="write it like 9600-8N1")
    parity, stopbits = _FORMS[form]
    settings = replace(configured.settings, baud=int(baud), parity=parity, stopbits=stopbits)
    return replace(configured, settings=settings)


_FORMS: Mapping[str, Any] = {f"8{parity}{stop}": (parity, stop) for parity in "NEO" for stop in (1, 2)}
