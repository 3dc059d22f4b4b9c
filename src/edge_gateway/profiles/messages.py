"""How a device's messages are laid out: their form, their own time, and bytes that they carry as text; reads none."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: Types of numbers within bytes, and their sizes.
BYTE_TYPES: dict[str, int] = {
    "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4, "float32": 4, "float64": 8,
}  # fmt: skip
ByteType = Literal["int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"]

_HEX = r"^([0-9A-Fa-f]{2})*$"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BytesTraits(_Model):
    """Bytes that a JSON message carries as text at ``path``, in ``encoding``.

    What channels count from begins behind the first ``after`` (hex; "" is the beginning), must itself begin with
    ``begins`` (hex: the format's mark) and be at least ``length`` bytes long. A message whose bytes are otherwise
    cannot be read as a whole.
    """

    path: str = Field(min_length=1)
    encoding: Literal["hex", "base64"] = "hex"
    after: str = Field(default="", pattern=_HEX)
    begins: str = Field(default="", pattern=_HEX)
    length: int = Field(ge=1, le=255)


class ByteField(_Model):
    """A number within those bytes: ``type`` at byte ``at`` (from 0), big-endian unless ``little``.

    ``bit`` and ``bits`` cut a field of ``bits`` bits, of which ``bit`` is the lowest, out of an unsigned one.
    """

    at: int | None = Field(default=None, ge=0, le=254)
    type: ByteType | None = None
    little: bool = False
    bit: int | None = Field(default=None, ge=0, le=31)
    bits: int | None = Field(default=None, ge=1, le=31)

    @property
    def end(self) -> int:
        """The byte behind it."""
        return (self.at or 0) + BYTE_TYPES.get(self.type or "", 0)

    @model_validator(mode="after")
    def _whole(self) -> ByteField:
        if (self.at is None) != (self.type is None):
            raise ValueError("a number within bytes has 'at' and 'type'")
        if self.at is None and (self.little or self.bit is not None or self.bits is not None):
            raise ValueError("'little', 'bit' and 'bits' belong to a number within bytes: it has 'at' and 'type'")
        if (self.bit is None) != (self.bits is None):
            raise ValueError("'bit' and 'bits' go together")
        if self.bits is not None and not (self.type or "").startswith("uint"):
            raise ValueError("'bits' needs an unsigned integer type")
        if self.bits is not None and (self.bit or 0) + self.bits > 8 * BYTE_TYPES[self.type or "uint8"]:
            raise ValueError(f"bits {self.bit} to {(self.bit or 0) + self.bits - 1} are not all in {self.type}")
        return self


class PayloadTraits(_Model):
    """How a message is laid out. ``time_path`` names its own time; a time without zone says nothing and is ignored.

    ``temperature_unit_path`` names the field that says ``C`` or ``F``: what comes in °F is converted to the channel's
    ``Cel``. ``availability`` is where, from the topic, it is said whether the device is there: a suffix
    (``/availability``), or one behind ``../`` for each level to leave (``../LWT``).

    ``partial``: a message tells what changed. A field that is not in it is then no reading (and not a bad one);
    each point is a group of its own, and has its own ``expect_every_s``.
    """

    format: Literal["json", "plain"] = "json"
    time_path: str = ""
    time_format: Literal["iso8601", "unix-s", "unix-ms"] = "iso8601"
    temperature_unit_path: str = ""
    availability: str = Field(default="", pattern=r"^(|/[^+#]+|(\.\./)+[^+#./][^+#]*)$")
    partial: bool = False
    bytes: BytesTraits | None = None

    @model_validator(mode="after")
    def _json(self) -> PayloadTraits:
        if self.format == "plain" and (self.partial or self.bytes or self.time_path or self.temperature_unit_path):
            raise ValueError("a plain message is one value: partial, bytes and paths belong to a JSON message")
        if self.partial and self.bytes:
            raise ValueError("a partial message cannot be one of bytes: those come whole")
        return self
