"""What a device's registers say about who it is, by its profile's ``[identify]``; pure: asks no device, pins nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from edge_gateway.profiles.decode import decoder
from edge_gateway.profiles.model import RegisterChannel
from edge_gateway.profiles.plan import Field, PlannedBlock
from edge_gateway.profiles.registers import IdentityPlace, Signature
from edge_gateway.reading import Value


def text(place: IdentityPlace, data: bytes) -> str | None:
    """The text at ``place``, of its ``width`` registers' bytes; None where there is none that could be compared.

    A number stands in decimal. Characters end at the first NUL; bytes 0xFF behind them are padding, blanks around
    them do not count; what is not printable is no text.
    """
    if place.type != "string":
        value = number(place, data)
        return None if value is None else str(value)
    if place.order == "BADC":
        data = b"".join(data[i + 1 : i + 2] + data[i : i + 1] for i in range(0, len(data), 2))
    try:
        found = data.partition(b"\0")[0].rstrip(b"\xff").decode().strip()
    except UnicodeDecodeError:
        return None
    return found if found.isprintable() and found else None


def number(place: IdentityPlace, data: bytes) -> Value:
    """The raw number at ``place``; None for NaN and for decimals that are none. ``place`` is no string."""
    return _numbers(place)(data)


def fits(signature: Signature, data: bytes) -> bool:
    """Whether the bytes of ``signature``'s registers are what it expects."""
    if isinstance(signature.equals, str):
        found = text(signature, data)
        return found is not None and found.startswith(signature.equals)
    value = number(signature, data)
    if value is None:
        return False
    if signature.between is not None:
        return signature.between[0] <= value <= signature.between[1]
    return value == signature.equals


@lru_cache(maxsize=256)
def _numbers(place: IdentityPlace) -> Callable[[bytes], Value]:
    channel = RegisterChannel.model_validate(
        {"function": place.function, "register": place.register_, "type": place.type, "order": place.order}
        | {"quantity": "state", "unit": "1"}
    )
    block = PlannedBlock(0, place.function, place.register_, place.width, (Field(0, 0, channel),))
    decode = decoder(block)
    return lambda data: decode(data)[0][0]
