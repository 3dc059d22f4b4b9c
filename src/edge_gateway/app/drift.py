"""Compares devices with their sheets, at every start and once a day, by reading alone; it sets nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_gateway import events
from edge_gateway.app.field import Field
from edge_gateway.app.provisioning import Provisioning, settings_of
from edge_gateway.clock import Clock
from edge_gateway.errors import GatewayError
from edge_gateway.intake.loop import Intake
from edge_gateway.provision.load import LoadedSheet
from edge_gateway.provision.model import Parameter
from edge_gateway.provision.steps import Place, compare, wanted
from edge_gateway.provision.values import NoSuchValue, decode
from edge_gateway.sources.modbus_source import ModbusSource

#: The first comparison after a start, the time between two rounds, and when devices that were silent are tried again (µs).
FIRST_US, EVERY_US, AGAIN_US = 10_000_000, 86_400_000_000, 60_000_000


class Drift:
    """Owns what status and page show of it. Between two polls it asks for one parameter: no poll waits for more."""

    def __init__(self, field: Field, provisioning: Provisioning, intake: Intake, clock: Clock, tell: events.Tell) -> None:
        self._field = field
        self._provisioning = provisioning
        self._intake = intake
        self._clock = clock
        self._tell = tell
        self._found: dict[str, dict[str, Any]] = {}

    def status(self) -> list[dict[str, Any]]:
        """One item a compared device: ``differs`` has what is not as the sheet says, ``unread`` what did not answer."""
        present = self._field.config.devices
        return [item for device, item in self._found.items() if device in present]

    async def handle(self, verb: str, asked: Mapping[str, Any], user: str) -> dict[str, Any]:
        """``Provisioning.handle``; what was set or looked at on purpose is compared anew, so that status tells today's."""
        answer = await self._provisioning.handle(verb, asked, user)
        if verb in ("apply", "verify"):
            try:
                await self._compared(str(answer["device"]))
            except GatewayError as error:  # what was set is set, and on record
                answer["not_compared"] = error.why
        return answer

    async def run(self) -> None:
        """Compare until cancelled."""
        due_us = self._clock.mono_us() + FIRST_US
        while True:
            await self._clock.sleep_until(due_us)
            due_us += EVERY_US
            waiting = self._ones()
            while waiting and self._clock.mono_us() + AGAIN_US < due_us:
                waiting = [device for device in waiting if not await self._tried(device)]
                if waiting:
                    await self._clock.sleep_until(self._clock.mono_us() + AGAIN_US)

    def _ones(self) -> list[str]:
        """One device a unit: several logical devices behind it have the same parameters."""
        units: dict[tuple[str, int | None], str] = {}
        for device, about in self._field.config.devices.items():
            units.setdefault((about.bus, about.unit), device)
        return list(units.values())

    async def _tried(self, device: str) -> bool:
        """Compare; a record that takes nothing now is no reason to end: it is tried again."""
        try:
            return await self._compared(device)
        except GatewayError:
            return False

    async def _compared(self, device: str) -> bool:
        """Compare one device; False when it does not answer now and is to be tried again."""
        config = self._field.config
        about = config.devices.get(device)
        loaded = None if about is None else self._provisioning.sheet_of(about.profile)[0]
        source = None if about is None else self._field.sources.get(about.bus)
        if about is None or loaded is None or not isinstance(source, ModbusSource):
            return True  # gone, without a sheet, or not on a Modbus bus
        if source.health()["devices"].get(device, {}).get("state") != "answers":
            return False
        configured = Place(settings=settings_of(config, about), unit=about.unit or 0)
        differs, unread = [], []
        for parameter in loaded.sheet.parameter:
            if parameter.type is None or parameter.verified == "no" or (ought := _ought(parameter, configured)) is None:
                continue
            try:
                value = await self._read(about.bus, configured.unit, parameter)
            except GatewayError as error:
                unread.append({"parameter": parameter.id, "said": error.why})
                continue
            if compare(value, ought) == "differs":
                row = {"parameter": parameter.id, "value": value, "wanted": ought, "unit_of_measure": parameter.unit}
                differs.append(row)
        await self._tell_of(device, loaded, differs, unread)
        return True

    async def _read(self, bus: str, unit: int, parameter: Parameter) -> str:
        asked = {"bus": bus, "unit": unit, "function": parameter.function, "register": parameter.address}
        answer = await self._field.read(asked | {"count": parameter.width})
        return decode(parameter, answer["bits" if parameter.function == 1 else "registers"])

    async def _tell_of(
        self, device: str, loaded: LoadedSheet, differs: list[dict[str, Any]], unread: list[dict[str, Any]]
    ) -> None:
        """Into the record at every comparison that finds something, and once when it is gone."""
        before = self._found.get(device, {}).get("differs")
        item: dict[str, Any] = {"device": device, "sheet": loaded.name, "differs": differs, "unread": unread}
        self._found[device] = item | {"wall_us": self._clock.wall_us()}
        if not differs and not before:
            return
        body: Mapping[str, Any] = {"event": "drift", "sheet_sha256": loaded.sha256} | item
        await self._intake.command(lambda: self._intake.add("event", body))
        for row in differs:
            self._tell(
                events.DriftFound(
                    device=device, parameter=row["parameter"], value=row["value"], wanted=row["wanted"]
                )
            )


def _ought(parameter: Parameter, configured: Place) -> str | None:
    """What it ought to be; None also where the device cannot have it (`check` says so)."""
    try:
        return wanted(parameter, configured)
    except NoSuchValue:
        return None
