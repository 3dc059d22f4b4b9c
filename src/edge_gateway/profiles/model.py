"""What a file in drivers/ may say: a device type's registers, or the fields of its messages; reads no file.

A profile is data. It has exactly one of the tables ``[modbus]`` (registers) and ``[payload]`` (MQTT messages);
that table decides what its ``[channels.<id>]`` may say.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from edge_gateway.profiles.messages import ByteField, PayloadTraits
from edge_gateway.profiles.registers import INTEGER_BITS, WIDTH, Identify, Place, RegisterType
from edge_gateway.units import QUANTITIES, UNITS

__all__ = ["INTEGER_BITS", "WIDTH", "PayloadTraits", "RegisterType"]

Identifier = Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$")]
#: ``<vendor>/<model>``: the file's place below drivers/.
ProfileId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}/[a-z0-9][a-z0-9-]{0,31}$")]
#: How well a fact is known: read in the maker's or project's own text, in somebody else's, or not at all.
Verified = Literal["primary", "secondary", "no"]


def _decimal(value: object) -> object:
    """A float becomes the decimal a person wrote: its shortest text."""
    return Decimal(repr(value)) if isinstance(value, float) else value


#: A number taken as decimal text, whether the file has it quoted or not.
Exact = Annotated[Decimal, BeforeValidator(_decimal), Field(allow_inf_nan=False)]


#: Scales beyond 10 to this power are mistakes.
MAX_EXPONENT = 30


def _one_of(known: Mapping[str, object]) -> dict[str, Any]:
    """For editors: the words that may stand there. The model itself says more when one does not."""
    return {"enum": sorted(known)}
#: What a meter's total measures, by its unit.
TOTAL_QUANTITIES = {"m3": "volume", "L": "volume", "kW.h": "energy", "W.h": "energy", "1": "count"}


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Citation(_Model):
    """Where a profile's facts come from, and how well that text is known."""

    cite: str
    verified: Verified
    note: str = ""


class Channel(_Model):
    """One thing that a device tells; common to registers and payloads.

    ``scale`` and ``offset`` are decimal text: value = raw × scale + offset. ``sentinels`` are numbers that mean
    "no sensor" or "error" (compared before scaling); ``range_low`` and ``range_high`` bound what the probe can
    measure, in ``unit``.
    """

    quantity: str = Field(description="what is measured: rules select by it", json_schema_extra=_one_of(QUANTITIES))
    unit: str = Field(description="UCUM code that suits the quantity", json_schema_extra=_one_of(UNITS))
    decimals: int = Field(default=1, ge=0, le=9, description="digits shown")
    scale: Exact = Field(default=Decimal(1), description='value = raw x scale + offset; decimal text: "0.1"')
    offset: Exact = Field(default=Decimal(0), description="value = raw x scale + offset; decimal text")
    sentinels: tuple[int | float, ...] = Field(default=(), description='raw numbers that mean "no sensor" or "error": bad:sentinel')
    range_low: float | None = Field(default=None, description="what the probe can measure, in unit; below is bad:range")
    range_high: float | None = Field(default=None, description="what the probe can measure, in unit; above is bad:range")
    name_zh: str = ""
    name_en: str = ""
    note_zh: str = ""
    note_en: str = ""

    @model_validator(mode="after")
    def _sound(self) -> Channel:
        if self.quantity not in QUANTITIES:
            raise ValueError(f"unknown quantity '{self.quantity}'; known: {', '.join(sorted(QUANTITIES))}")
        if self.unit not in UNITS:
            raise ValueError(f"unknown unit '{self.unit}'; UCUM codes known: {' '.join(sorted(UNITS))}")
        permitted = QUANTITIES[self.quantity].units
        if self.unit not in permitted:
            raise ValueError(f"{self.quantity} is measured in {' or '.join(permitted)}, not in '{self.unit}'")
        if self.scale == 0:
            raise ValueError("scale 0 would make every value the same")
        if any(n and abs(n.adjusted()) > MAX_EXPONENT for n in (self.scale, self.offset)):
            raise ValueError(f"scale and offset lie between 1e-{MAX_EXPONENT} and 1e{MAX_EXPONENT}")
        if self.range_low is not None and self.range_high is not None and self.range_low >= self.range_high:
            raise ValueError(f"range_low {self.range_low} is not below range_high {self.range_high}")
        return self


class RegisterChannel(Channel, Place):
    """A value in Modbus registers (functions 3, 4) or a bit (functions 1, 2): see ``Place``.

    ``sentinels`` are raw numbers of the type; of a BCD the register's own, written in hex (0xFFFF, 0x9999); of a
    field (``bits``) the field's.
    """

    @model_validator(mode="after")
    def _raw(self) -> RegisterChannel:
        if bits := self.integer_bits:
            for sentinel in self.sentinels:
                if sentinel != int(sentinel) or not -(1 << bits - 1) <= sentinel < 1 << bits:
                    raise ValueError(f"sentinel {sentinel} is no raw {self.type}")
        if self.type == "bool" and (self.scale != 1 or self.offset != 0 or self.sentinels):
            raise ValueError("a bool is 0 or 1: it has no scale, offset or sentinels")
        return self


class PayloadChannel(Channel, ByteField):
    """A field of a message. ``path`` names it: ``temperature``, ``a.b``, ``DS18B20*[Id={select}].Temperature``.

    ``{select}`` is replaced by the point's own ``select``: an index that changes when a probe is added is no
    identity, the probe's serial number is. ``texts`` maps words to numbers (``{ON = 1, OFF = 0}``); true and
    false are 1 and 0 always. In place of ``path`` a number may stand within bytes: see ``ByteField``.
    """

    path: str = ""
    texts: dict[str, float] = Field(default_factory=dict)


class ReadableRange(_Model):
    """Addresses ``first`` … ``last`` that a function may read in one request."""

    function: Literal[1, 2, 3, 4]
    first: int = Field(ge=0, le=0xFFFF)
    last: int = Field(ge=0, le=0xFFFF)


class ModbusTraits(_Model):
    """How a device type behaves on the line. Serial settings are the maker's defaults, for ``check`` to compare.

    ``gap_readable``: registers between two channels may be read along, up to ``max_gap`` of them, except over
    ``holes`` (first, last). ``ranges``: the maker's map of what may be read; a request of a function that has any lies
    wholly within one of them, and registers there may be read along. ``rest_ms``: the unit needs this silence before its
    next request. ``timeout_ms`` 0 means the bus's own.

    ``needs`` says what the type wants before it measures that a reading never sends: a write, or a request for 0
    registers, which Modbus does not have. A configuration with such a device is refused, with ``needs_zh`` and
    ``needs_en`` as the reason; the profile keeps what is known of it.
    """

    baud: int = 9600
    parity: Literal["N", "E", "O"] = "N"
    stopbits: Literal[1, 2] = 1
    unit: int = Field(default=1, ge=0, le=255)
    max_registers: int = Field(default=125, ge=1, le=125)
    max_bits: int = Field(default=2000, ge=1, le=2000)
    gap_readable: bool = False
    max_gap: int = Field(default=16, ge=0, le=124)
    holes: tuple[tuple[int, int], ...] = ()
    ranges: tuple[ReadableRange, ...] = ()
    rest_ms: int = Field(default=0, ge=0, le=60_000)
    timeout_ms: int = Field(default=0, ge=0, le=60_000)
    needs: Literal["nothing", "write", "zero-quantity"] = "nothing"
    needs_zh: str = ""
    needs_en: str = ""

    @model_validator(mode="after")
    def _explained(self) -> ModbusTraits:
        told = bool(self.needs_zh and self.needs_en)
        if told != (self.needs != "nothing") or bool(self.needs_zh) != bool(self.needs_en):
            raise ValueError("'needs' goes with its reason in both languages: needs_zh and needs_en")
        return self

    @model_validator(mode="after")
    def _holes(self) -> ModbusTraits:
        for first, last in self.holes:
            if not 0 <= first <= last <= 0xFFFF:
                raise ValueError(f"hole [{first}, {last}]: first and last register, 0 to 65535, in order")
        return self

    @model_validator(mode="after")
    def _ranges(self) -> ModbusTraits:
        before: ReadableRange | None = None
        for listed in sorted(self.ranges, key=lambda r: (r.function, r.first)):
            if listed.first > listed.last:
                raise ValueError(f"range {listed.first} to {listed.last}: the first register comes first")
            if before is not None and before.function == listed.function and listed.first <= before.last:
                raise ValueError(f"ranges of function {listed.function} overlap at register {listed.first}")
            before = listed
        return self


class Profile(_Model):
    """A device type. See ``ModbusProfile`` and ``PayloadProfile`` for what it tells."""

    id: ProfileId
    vendor: str
    model: str
    name_zh: str
    name_en: str
    verified: Verified
    tried: str = Field(default="", description="how far this profile was tried with a real device; empty: never")
    notes_zh: str = ""
    notes_en: str = ""
    sources: tuple[Citation, ...] = Field(min_length=1)
    channels: Mapping[Identifier, Channel] = Field(min_length=1)


class ModbusProfile(Profile):
    """A device type that is read in registers."""

    modbus: ModbusTraits
    identify: Identify = Identify()
    channels: Mapping[Identifier, RegisterChannel] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits(self) -> ModbusProfile:
        for name, channel in self.channels.items():
            if channel.width > self.modbus.max_registers:
                raise ValueError(f"channel '{name}' is wider than max_registers {self.modbus.max_registers}")
            last = channel.register_ + channel.width - 1
            if channel.function > 2 and any(a <= last and channel.register_ <= b for a, b in self.modbus.holes):
                raise ValueError(f"channel '{name}' lies in a hole")
            ranges = [r for r in self.modbus.ranges if r.function == channel.function]
            if ranges and not any(r.first <= channel.register_ and last <= r.last for r in ranges):
                raise ValueError(f"channel '{name}' lies in no single one of the ranges of function {channel.function}")
        return self


class PayloadProfile(Profile):
    """A device type that sends messages."""

    payload: PayloadTraits
    channels: Mapping[Identifier, PayloadChannel] = Field(min_length=1)

    @model_validator(mode="after")
    def _located(self) -> PayloadProfile:
        for name, channel in self.channels.items():
            within = channel.at is not None
            if (self.payload.format == "json") != (bool(channel.path) or within) or (channel.path and within):
                raise ValueError(f"channel '{name}': a JSON message needs 'path' (or 'at', within bytes), a plain one has none")
            if within and (self.payload.bytes is None or channel.end > self.payload.bytes.length):
                raise ValueError(f"channel '{name}' ends beyond the bytes that [payload.bytes] promises")
        return self


def model_for(raw: Mapping[str, Any]) -> type[ModbusProfile | PayloadProfile]:
    """Which of the two models a file's tables ask for: ``[payload]`` means messages, everything else registers."""
    return PayloadProfile if "payload" in raw else ModbusProfile
