"""Numbers within the bytes that a message carries as text (a beacon's advertisement, a LoRaWAN payload); pure, reads no message itself."""

from __future__ import annotations

import binascii
import struct
from collections.abc import Callable

from edge_gateway.profiles.messages import ByteField, BytesTraits

_CODES = {
    "int8": "b", "uint8": "B", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "float32": "f", "float64": "d",
}  # fmt: skip


def unwrapped(text: object, traits: BytesTraits) -> bytes:
    """The bytes from which channels count. Raises ValueError with the reason when the text is not what was promised."""
    if not isinstance(text, str):
        raise ValueError(f"no text at '{traits.path}'")
    try:
        data = bytes.fromhex(text) if traits.encoding == "hex" else binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:  # binascii.Error too
        raise ValueError(f"'{traits.path}' is no {traits.encoding}: {error}") from error
    if traits.after:
        _, found, data = data.partition(bytes.fromhex(traits.after))
        if not found:
            raise ValueError(f"'{traits.path}' has no {traits.after.upper()} in it")
    if not data.startswith(bytes.fromhex(traits.begins)):
        raise ValueError(f"'{traits.path}' begins with {data[:4].hex().upper()}, not with {traits.begins.upper()}")
    if len(data) < traits.length:
        raise ValueError(f"'{traits.path}' has {len(data)} of {traits.length} bytes")
    return data


def number(field: ByteField) -> Callable[[bytes], int | float]:
    """Reads ``field`` out of what ``unwrapped`` returned: raw, before scale and sentinels. The field has 'at' and 'type'."""
    assert field.type is not None
    form, at = struct.Struct(("<" if field.little else ">") + _CODES[field.type]), field.at or 0
    if field.bits is None:
        return lambda data: form.unpack_from(data, at)[0]
    bit, mask = field.bit or 0, (1 << field.bits) - 1
    return lambda data: form.unpack_from(data, at)[0] >> bit & mask
