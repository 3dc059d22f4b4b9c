"""What a parameter sheet in firmware_configs/modbus/ may say: a device's own parameters; reads no file, opens no line.

A sheet names the profile that it feeds. Its ``[line]`` is how the device leaves the factory, each ``[[parameter]]`` one
thing that can be set, each ``[[check]]`` what to read afterwards. Which function codes write is decided here as data;
the bytes are made in ``provision.wire`` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from edge_gateway.profiles.model import Exact, Identifier, ProfileId, Verified

#: Registers that a value takes (a coil: one).
WIDTH = {"bool": 1, "uint16": 1, "int16": 1, "uint32": 2, "int32": 2, "float32": 2}
#: Addresses that a unit may have; 0 is a broadcast and is never written to.
FIRST_UNIT, LAST_UNIT = 1, 247

ParameterType = Literal["bool", "uint16", "int16", "uint32", "int32", "float32"]


def _text(value: Any) -> Any:
    """A number written without quotes stands for its own text."""
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else repr(value)


Text = Annotated[str, BeforeValidator(_text)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LineDefaults(_Model):
    """How the device leaves the factory."""

    baud: int = Field(ge=300, le=4_000_000)
    format: str = Field(pattern="^8[NEO][12]$")
    unit: int = Field(ge=FIRST_UNIT, le=LAST_UNIT)
    verified: Verified
    source: str = Field(min_length=1)
    note: str = ""

    @property
    def parity(self) -> str:
        """``N``, ``E`` or ``O``."""
        return self.format[1]

    @property
    def stopbits(self) -> int:
        """1 or 2."""
        return int(self.format[2])


class Parameter(_Model):
    """One thing that is set in the device.

    Without ``type`` it is set by hand (keys, switches, the maker's program), and only named here. ``set_to`` is what it
    ought to be; ``follows`` says that ``gateway.toml`` decides (the device's unit, its bus's baud, parity or stop bits);
    with neither it is read and can be set, but nothing is expected. ``values`` are words or numbers with the code that
    stands for each; without them the value is raw × ``scale``, between ``low`` and ``high``. ``address`` is the PDU
    address, from 0.
    """

    id: Identifier
    name: str = Field(min_length=1)
    name_zh: str = ""
    table: Literal["holding", "coil"] = "holding"
    address: int = Field(ge=0, le=0xFFFF)
    type: ParameterType | None = None
    order: Literal["ABCD", "CDAB", "BADC", "DCBA"] = "ABCD"
    scale: Exact = Decimal(1)
    unit: str = ""
    low: Exact | None = None
    high: Exact | None = None
    values: Mapping[str, int] = Field(default_factory=dict)
    set_to: Text | None = None
    follows: Literal["unit", "baud", "parity", "stopbits"] | None = None
    write: Literal[5, 6, 16] | None = None
    takes_effect: Literal["at-once", "after-power-cycle"] = "at-once"
    before: str = Field(default="", description="what a person does at the device first, such as holding a key")
    before_zh: str = ""
    why: str = Field(min_length=1)
    verified: Verified
    source: str = Field(min_length=1)
    note: str = ""

    @property
    def width(self) -> int:
        """Registers (or coils) that the value takes."""
        return WIDTH[self.type] if self.type else 1

    @property
    def function(self) -> int:
        """The function that reads it."""
        return 1 if self.table == "coil" else 3

    @model_validator(mode="after")
    def _sound(self) -> Parameter:
        if (self.table == "coil") != (self.type == "bool") and self.type is not None:
            raise ValueError("a coil has type bool, and only a coil")
        if self.address + self.width > 0x10000:
            raise ValueError(f"address {self.address} with {self.width} registers ends beyond 65535")
        if self.follows and self.set_to is not None:
            raise ValueError("'follows' and 'set_to' exclude each other")
        if self.type is None and (self.follows or self.values or self.write):
            raise ValueError("a parameter without 'type' is set by hand: it has no 'follows', 'values' or 'write'")
        if self.write is not None and (self.write == 5) != (self.table == "coil"):
            raise ValueError("write = 5 is for coils, 6 and 16 for holding registers")
        if self.write == 6 and self.width != 1:
            raise ValueError("write = 6 sets one register, this value takes two: write = 16")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        if self.scale == 0:
            raise ValueError("scale 0 would make every value the same")
        if len(set(self.values.values())) != len(self.values):
            raise ValueError("two of 'values' have the same code")
        return self


class Check(_Model):
    """What a person reads afterwards, and what must come."""

    request: str = Field(pattern="^FC0[1-4] ")
    expect: str
    verified: Verified
    source: str = ""


class Sheet(_Model):
    """A device type's parameters, and the profile that it feeds."""

    profile: ProfileId
    device: str
    line: LineDefaults
    parameter: tuple[Parameter, ...] = ()
    check: tuple[Check, ...] = Field(min_length=1)

    def find(self, id_: str) -> Parameter | None:
        """A parameter by its id."""
        return next((parameter for parameter in self.parameter if parameter.id == id_), None)
