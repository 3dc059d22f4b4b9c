"""Whether a sheet, the profile that it feeds and the bus that its device is on agree; pure."""

from __future__ import annotations

from collections.abc import Iterator

from edge_gateway.profiles.model import ModbusProfile, Profile, RegisterChannel
from edge_gateway.provision.model import Parameter, Sheet
from edge_gateway.provision.values import NoSuchValue, canonical, encode

#: Where in the sheet, and what is wrong there.
Fault = tuple[tuple[str | int, ...], str]


def faults(sheet: Sheet, profile: Profile | None) -> Iterator[Fault]:
    """Every way in which the sheet contradicts itself or its profile (None: no such profile)."""
    if profile is None:
        yield ("profile",), f"no device profile '{sheet.profile}'"
    elif not isinstance(profile, ModbusProfile):
        yield ("profile",), f"'{sheet.profile}' is read from messages: it has no registers to set"
    elif profile.id != sheet.profile:
        yield ("profile",), f"this sheet feeds '{sheet.profile}', not '{profile.id}'"
    else:
        yield from _line(sheet, profile)
        for at, parameter in enumerate(sheet.parameter):
            for name, channel in profile.channels.items():
                if _clash(parameter, channel):
                    why = f"address {parameter.address} is channel '{name}' of {profile.id}, read as {channel.type}"
                    yield ("parameter", at, "address"), why
    yield from _alone(sheet)


def _line(sheet: Sheet, profile: ModbusProfile) -> Iterator[Fault]:
    ours, theirs = sheet.line, profile.modbus
    if ours.baud != theirs.baud:
        yield ("line", "baud"), f"{ours.baud} as delivered, {profile.id} says {theirs.baud}"
    if (ours.parity, ours.stopbits) != (theirs.parity, theirs.stopbits):
        yield ("line", "format"), f"{ours.format} as delivered, {profile.id} says 8{theirs.parity}{theirs.stopbits}"
    if ours.unit != theirs.unit:
        yield ("line", "unit"), f"unit {ours.unit} as delivered, {profile.id} says {theirs.unit}"


def _clash(parameter: Parameter, channel: RegisterChannel) -> bool:
    """Both name the same register, and do not mean the same by it."""
    if parameter.type is None or channel.function != parameter.function:
        return False
    last, its_last = parameter.address + parameter.width - 1, channel.register_ + channel.width - 1
    if parameter.address > its_last or channel.register_ > last:
        return False
    same = (parameter.address, parameter.type, parameter.order) == (channel.register_, channel.type, channel.order)
    return not (same and parameter.scale == channel.scale)


def _alone(sheet: Sheet) -> Iterator[Fault]:
    ids: set[str] = set()
    roles: set[str] = set()
    taken: dict[tuple[str, int], str] = {}
    for at, parameter in enumerate(sheet.parameter):
        if parameter.id in ids:
            yield ("parameter", at, "id"), f"'{parameter.id}' stands twice"
        ids.add(parameter.id)
        if parameter.follows and parameter.follows in roles:
            yield ("parameter", at, "follows"), f"two parameters follow '{parameter.follows}'"
        roles.add(parameter.follows or "")
        if parameter.type is None:
            continue
        for address in range(parameter.address, parameter.address + parameter.width):
            other = taken.setdefault((parameter.table, address), parameter.id)
            if other != parameter.id:
                yield ("parameter", at, "address"), f"'{other}' has address {address} too"
        yield from _reachable(sheet, at, parameter)


def _reachable(sheet: Sheet, at: int, parameter: Parameter) -> Iterator[Fault]:
    """What the sheet asks for, and what the device is delivered with, must be values that it can have."""
    delivered = {"unit": sheet.line.unit, "baud": sheet.line.baud, "stopbits": sheet.line.stopbits}
    wanted = {"set_to": parameter.set_to}
    if parameter.follows:
        wanted = {"follows": sheet.line.parity if parameter.follows == "parity" else str(delivered[parameter.follows])}
    for key, text in wanted.items():
        if text is not None:
            try:
                encode(parameter, text)
            except NoSuchValue as error:
                yield ("parameter", at, key), str(error)


def cannot_follow(sheet: Sheet, *, baud: int, parity: str, stopbits: int, unit: int) -> Iterator[str]:
    """What the device cannot be set to, of what its bus and configuration ask for."""
    asked = {"baud": str(baud), "parity": parity, "stopbits": str(stopbits), "unit": str(unit)}
    for parameter in sheet.parameter:
        if parameter.follows:
            try:
                encode(parameter, asked[parameter.follows])
            except NoSuchValue as error:
                yield str(error)


def target(parameter: Parameter, *, baud: int, parity: str, stopbits: int, unit: int) -> str | None:
    """What the parameter ought to be; None when nothing is expected. Raises NoSuchValue."""
    if parameter.type is None:
        return None
    asked = {"baud": str(baud), "parity": parity, "stopbits": str(stopbits), "unit": str(unit)}
    if parameter.follows:
        return asked[parameter.follows] if baud or parameter.follows == "unit" else None
    if parameter.set_to is None:
        return None
    return canonical(parameter, parameter.set_to)
