"""Where a value stands in a Modbus device's registers and how its bytes are laid out, and what tells such a device's identity; reads nothing."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

#: Registers (or bits, for functions 1 and 2) that a value takes.
WIDTH: dict[str, int] = {
    "bool": 1, "int16": 1, "uint16": 1, "bcd16": 1, "float16": 1,
    "int32": 2, "uint32": 2, "bcd32": 2, "float32": 2,
    "int64": 4, "uint64": 4, "float64": 4,
}  # fmt: skip

INTEGER_BITS: dict[str, int] = {
    "int16": 16, "uint16": 16, "int32": 32, "uint32": 32, "int64": 64, "uint64": 64, "bcd16": 16, "bcd32": 32,
}  # fmt: skip


def _number(value: object) -> object:
    """A text is no reading: a point's value is a number."""
    if value == "string":
        raise ValueError("type \"string\" is a text, and a reading is a number: texts stand in [identify] alone (serial, model)")
    return value


RegisterType = Annotated[
    Literal[
        "bool", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bcd16", "bcd32", "float16", "float32", "float64"
    ],
    BeforeValidator(_number),
]  # fmt: skip
Order = Literal["ABCD", "CDAB", "BADC", "DCBA"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Place(_Model):
    """A value in registers (functions 3, 4), or a bit (functions 1, 2).

    ``register`` is the PDU address, counted from 0: manuals that print 40001 or count from 1 are one off.
    ``order``: ABCD big-endian, CDAB low word first, BADC bytes swapped within each word, DCBA everything
    reversed. 64-bit values follow the same four rules over four words: ABCDEFGH, GHEFCDAB, BADCFEHG, HGFEDCBA.

    ``bit`` alone picks one bit (0 = lowest) for ``type = "bool"``. ``bit`` and ``bits`` cut a field of ``bits``
    bits, of which ``bit`` is the lowest, out of an integer after its order is undone: what other maps write as
    address:shift:width. A field of a signed type is signed (two's complement over its own width).

    ``bcd16`` and ``bcd32`` hold one decimal digit in each four bits; a digit above 9 is ``bad:unparsed``.
    """

    function: Literal[1, 2, 3, 4] = Field(description="1 coils, 2 discrete inputs, 3 holding registers, 4 input registers")
    register_: int = Field(alias="register", ge=0, le=0xFFFF, description="PDU address, from 0: a manual's 40017 is 16")
    type: RegisterType = "uint16"
    order: Order = Field(default="ABCD", description="ABCD big-endian, CDAB low word first, BADC bytes swapped, DCBA reversed")
    bit: int | None = Field(default=None, ge=0, le=63, description="a bool's bit, or a field's lowest; 0 is the lowest of all")
    bits: int | None = Field(default=None, ge=1, le=63, description="how many bits a field has")

    @property
    def width(self) -> int:
        """Registers (or bits, for functions 1 and 2) that the value takes."""
        return WIDTH[self.type]

    @property
    def integer_bits(self) -> int | None:
        """Bits of the whole number that scale and sentinels are about; None for a bool and for floats."""
        return self.bits or INTEGER_BITS.get(self.type)

    @model_validator(mode="after")
    def _addressable(self) -> Place:
        if self.function in (1, 2) and (self.type != "bool" or self.bit is not None):
            raise ValueError(f"function {self.function} reads single bits: type must be \"bool\", without 'bit'")
        if self.register_ + self.width > 0x10000:
            raise ValueError(f"register {self.register_} with {self.width} registers ends beyond 65535")
        if self.type == "bool":
            if self.bits is not None or (self.bit or 0) > 15:
                raise ValueError("a bool is one of the bits 0 to 15 of one register: 'bits' takes an integer type")
            if self.function in (3, 4) and self.bit is None:
                raise ValueError("a bool in a register needs 'bit' (0-15)")
        elif self.bit is not None or self.bits is not None:
            self._field()
        return self

    def _field(self) -> None:
        if self.bits is None:
            raise ValueError("'bit' alone makes a bool, and only a bool has one: for a field of an integer add 'bits'")
        whole = INTEGER_BITS.get(self.type)
        if self.bit is None or whole is None or self.type.startswith("bcd"):
            raise ValueError("'bits' needs 'bit' (the field's lowest) and an integer type")
        if self.bit + self.bits > whole:
            raise ValueError(f"bits {self.bit} to {self.bit + self.bits - 1} are not all in {self.type}")


class IdentityPlace(_Model):
    """Registers that tell who a device is, read as a text: a number in decimal, a ``string`` as its characters.

    ``length`` is the registers of a string, two characters each. Its ``order`` is ABCD, or BADC where each
    register holds its two characters swapped. It ends at a NUL; blanks around it do not count.
    """

    function: Literal[3, 4]
    register_: int = Field(alias="register", ge=0, le=0xFFFF)
    type: Literal["string", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bcd16", "bcd32", "float32"]
    length: int = Field(default=0, ge=0, le=125)
    order: Order = "ABCD"

    @property
    def width(self) -> int:
        """Registers that it takes."""
        return self.length if self.type == "string" else WIDTH[self.type]

    @model_validator(mode="after")
    def _long(self) -> IdentityPlace:
        if (self.type == "string") != bool(self.length):
            raise ValueError("a string needs 'length' (its registers), and only a string has one")
        if self.type == "string" and self.order not in ("ABCD", "BADC"):
            raise ValueError("a string's order is ABCD or BADC (characters swapped in each register)")
        if self.register_ + self.width > 0x10000:
            raise ValueError(f"register {self.register_} with {self.width} registers ends beyond 65535")
        return self


class Signature(IdentityPlace):
    """Registers by whose content a device type is known: ``equals`` a raw number, or a text's beginning; or ``between``.

    Numbers are compared raw: before any scale.
    """

    equals: int | float | str | None = None
    between: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _told(self) -> Signature:
        if (self.equals is None) == (self.between is None):
            raise ValueError("a signature has either 'equals' or 'between'")
        if (self.type == "string") != isinstance(self.equals, str):
            raise ValueError("'equals' of a string is a text, of a number a number; 'between' takes numbers")
        if self.between is not None and self.between[0] > self.between[1]:
            raise ValueError("'between' gives the lower number first")
        return self


class DeviceIdTexts(_Model):
    """How the texts of function 43/14 begin: object 0 (vendor) and object 1 (product); "" is any."""

    vendor: str = ""
    product: str = ""

    @model_validator(mode="after")
    def _some(self) -> DeviceIdTexts:
        if not (self.vendor or self.product):
            raise ValueError("give 'vendor', 'product' or both")
        return self


class Identify(_Model):
    """How a device of this type is known on a line, and what tells one unit of it from another.

    ``device_id`` and ``server_id`` (function 17, its text's beginning) and ``signature`` say the type: a scan
    compares. Without ``signature`` the profile's own channels within their ranges are it. ``serial`` and ``model``
    say which unit it is: they are pinned, and a change is an event.
    """

    device_id: DeviceIdTexts | None = None
    server_id: str = ""
    serial: IdentityPlace | None = None
    model: IdentityPlace | None = None
    signature: tuple[Signature, ...] = Field(default=(), max_length=16)
