"""One device's parameters: read them all, set one, read it back; it decides nothing about who may, and journals nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from edge_gateway.errors import BadFrame, DeviceRefused, GatewayError, LinkDown, SourceError
from edge_gateway.links.modbus import Line, NoAnswer, RtuSettings
from edge_gateway.provision import bench
from edge_gateway.provision.agree import target
from edge_gateway.provision.bench import Settings
from edge_gateway.provision.model import FIRST_UNIT, LAST_UNIT, Parameter, Sheet
from edge_gateway.provision.values import canonical, decode, encode

_UNITS = frozenset(str(unit) for unit in range(FIRST_UNIT, LAST_UNIT + 1))
#: Of a unit whose answers are damaged no more is asked: at up to 2 s each, a long sheet would keep its line for too long.
MOST_RUBBISH = 3


class NothingWritten(GatewayError):
    """The device is as it was: nothing that writes was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a device is spoken to."""

    settings: Settings
    unit: int
    #: the line of who else asks there: neither takes an answer to the other's question for its own
    beside: Line | None = None

    def moved(self, parameter: Parameter, value: str) -> Place:
        """Where it is spoken to once ``parameter`` has ``value``."""
        if parameter.follows == "unit":
            return replace(self, unit=int(value))
        if parameter.follows is None or not isinstance(self.settings, RtuSettings):
            return self
        changed: Any = value if parameter.follows == "parity" else int(value)
        return replace(self, settings=replace(self.settings, **{parameter.follows: changed}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A parameter as it is and as it ought to be. ``state``: ``same``, ``differs``, ``free`` (nothing is expected),
    ``by-hand``, ``unread`` (with ``said``)."""

    parameter: Parameter
    value: str | None
    wanted: str | None
    state: str
    said: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a write. ``result``: ``applied``, ``already``, ``waits`` (for power off and on), ``not-kept``,
    ``refused``, ``unknown`` (nobody answers any more), ``not-sent`` (the line could not be opened). ``answer`` is what the unit said to the write."""

    result: str
    old: str
    new: str
    read_back: str | None
    answer: str
    place: Place


def wanted(parameter: Parameter, configured: Place) -> str | None:
    """What the parameter ought to be in a device that the configuration has at ``configured``."""
    at = configured.settings
    if isinstance(at, RtuSettings):
        return target(parameter, baud=at.baud, parity=at.parity, stopbits=at.stopbits, unit=configured.unit)
    return target(parameter, baud=0, parity="", stopbits=0, unit=configured.unit)


async def look(sheet: Sheet, at: Place, configured: Place) -> list[Row]:
    """Every parameter of the sheet, read at ``at``. After a first silence the others are not asked: it is not there.

    Nor after ``MOST_RUBBISH`` answers that are none: the others of the line wait meanwhile.
    """
    rows: list[Row] = []
    silent, rubbish = "", 0
    for parameter in sheet.parameter:
        if parameter.type is None:
            rows.append(Row(parameter=parameter, value=None, wanted=parameter.set_to, state="by-hand"))
            continue
        ought = wanted(parameter, configured)
        if silent:
            rows.append(Row(parameter=parameter, value=None, wanted=ought, state="unread", said=silent))
            continue
        try:
            value = decode(parameter, await bench.read(at.settings, at.unit, parameter, at.beside))
        except SourceError as error:
            rubbish += isinstance(error, BadFrame)
            silent = error.why if isinstance(error, LinkDown) or rubbish >= MOST_RUBBISH else ""
            rows.append(Row(parameter=parameter, value=None, wanted=ought, state="unread", said=error.why))
            continue
        rows.append(Row(parameter=parameter, value=value, wanted=ought, state=compare(value, ought)))
    return rows


def compare(value: str, ought: str | None) -> str:
    """``same``, ``differs``, or ``free`` when nothing is expected."""
    return "free" if ought is None else "same" if value == ought else "differs"


async def apply(
    parameter: Parameter, at: Place, *, expected: str, new: str, about_to: Callable[[], Awaitable[object]]
) -> Outcome:
    """Set one parameter of the device at ``at`` to ``new``, if it is ``expected`` now; read it back.

    ``about_to`` is awaited when all is seen to and the write is the next thing sent: what is written down before an act
    is known also when the power fails in the midst of it. Raises NothingWritten, NoSuchValue, SourceError: nothing was written.
    """
    words = encode(parameter, new)
    new = canonical(parameter, new)
    if parameter.follows == "unit" and new not in _UNITS:  # a sheet's own words may name any code
        raise NothingWritten(f"'{new}' is no address: {FIRST_UNIT} to {LAST_UNIT}", hint="0 is for everybody: mend the sheet")
    old = decode(parameter, await bench.read(at.settings, at.unit, parameter, at.beside))
    if old != expected:
        hint = "somebody changed it meanwhile, or another device answers: look again with `provision diff`"
        raise NothingWritten(f"{parameter.id} is {old}, not {expected} as you confirmed", hint=hint)
    if old == new:
        return Outcome(result="already", old=old, new=new, read_back=old, answer="", place=at)
    if parameter.follows == "unit" and await bench.speaks(at.settings, int(new), parameter, at.beside):
        why = f"something answers as unit {new} already: two units of one address answer both at once"
        raise NothingWritten(why, hint="give this device another address, or take the other one off the line")
    at.moved(parameter, new)  # a place that is none is found out before anything is written
    await about_to()
    try:
        await bench.write(at.settings, at.unit, parameter, words)
        answer = "taken"
    except DeviceRefused as error:
        return Outcome(result="refused", old=old, new=new, read_back=None, answer=error.why, place=at)
    except (NoAnswer, BadFrame) as error:
        answer = error.why  # perhaps it was taken: only reading back tells
    except LinkDown as error:  # the line itself went: the record says so, as it says that we were about to
        return Outcome(result="not-sent", old=old, new=new, read_back=None, answer=error.why, place=at)
    await asyncio.sleep(bench.STORE_S)
    return await _read_back(parameter, at, old, new, answer)


async def _read_back(parameter: Parameter, at: Place, old: str, new: str, answer: str) -> Outcome:
    """Ask where the device ought to be now, then where it was."""
    later = parameter.takes_effect == "after-power-cycle"
    moved = at.moved(parameter, new)
    places = [at, moved] if later else [moved, at]
    for place in places if moved != at else [at]:
        try:
            value = decode(parameter, await bench.read(place.settings, place.unit, parameter, place.beside))
        except SourceError:
            continue
        kept = "waits" if place == at and (later or moved != at) else "applied"
        result = kept if value == new else "not-kept"
        return Outcome(result=result, old=old, new=new, read_back=value, answer=answer, place=place)
    return Outcome(result="unknown", old=old, new=new, read_back=None, answer=answer, place=at)
