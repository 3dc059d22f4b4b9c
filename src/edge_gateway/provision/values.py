"""A parameter's value as people write it, and as the words in the device; pure."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from math import isfinite

from edge_gateway.errors import GatewayError
from edge_gateway.profiles.decode import shortest32
from edge_gateway.provision.model import FIRST_UNIT, LAST_UNIT, Parameter

_FORM = {"uint16": ">H", "int16": ">h", "uint32": ">I", "int32": ">i", "float32": ">f"}
_ORDERS = {"ABCD": (0, 1, 2, 3), "CDAB": (2, 3, 0, 1), "BADC": (1, 0, 3, 2), "DCBA": (3, 2, 1, 0)}
_PAIR = {"ABCD": (0, 1), "CDAB": (0, 1), "BADC": (1, 0), "DCBA": (1, 0)}


class NoSuchValue(GatewayError):
    """The parameter cannot be set to that."""


def decode(parameter: Parameter, words: Sequence[int]) -> str:
    """What ``words`` (16 bits each, or one coil) mean: a word of ``values``, or a number in ``unit``.

    A code that the sheet does not know stands as ``code 7``.
    """
    raw = _raw(parameter, words)
    if raw is None:
        return "not a number"
    if not parameter.values:
        return plain(raw * parameter.scale)
    return next((text for text, code in parameter.values.items() if code == raw), f"code {plain(raw)}")


def encode(parameter: Parameter, text: str) -> list[int]:
    """The words of a value. Raises NoSuchValue: not among ``values``, out of bounds, finer than the device can hold."""
    if parameter.type is None:
        raise NoSuchValue(f"{parameter.id} is set by hand", hint=parameter.note or parameter.source)
    if parameter.values:
        if text not in parameter.values:
            raise NoSuchValue(f"{parameter.id} cannot be '{text}'", hint=f"one of: {', '.join(parameter.values)}")
        raw = Decimal(parameter.values[text])
    else:
        raw = _within(parameter, text) / parameter.scale
    if parameter.type != "float32" and raw != raw.to_integral_value():
        raise NoSuchValue(f"{parameter.id} cannot be '{text}'", hint=f"steps of {plain(parameter.scale)}")
    words = _words(parameter, raw, text)
    if decode(parameter, words) != canonical(parameter, text):
        raise NoSuchValue(f"{parameter.id} cannot hold '{text}' exactly", hint=f"it would be {decode(parameter, words)}")
    return words


def canonical(parameter: Parameter, text: str) -> str:
    """The one way that this value is written: ``0``, not ``0.0``. Raises NoSuchValue for what is no number."""
    return text if parameter.values else plain(_number(parameter, text))


def plain(number: Decimal) -> str:
    """Without exponent and superfluous zeros."""
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def _number(parameter: Parameter, text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise NoSuchValue(f"{parameter.id} cannot be '{text}'", hint="a number is expected") from None
    if not number.is_finite() or number.adjusted() > 12:
        raise NoSuchValue(f"{parameter.id} cannot be '{text}'", hint="a number is expected")
    return number


def _within(parameter: Parameter, text: str) -> Decimal:
    number = _number(parameter, text)
    low, high = parameter.low, parameter.high
    if parameter.follows == "unit":  # 0 is a broadcast: every device would take the address
        low, high = max(low or Decimal(0), Decimal(FIRST_UNIT)), min(high or Decimal(LAST_UNIT), Decimal(LAST_UNIT))
    if (low is not None and number < low) or (high is not None and number > high):
        bounds = f"{'' if low is None else plain(low)} to {'' if high is None else plain(high)} {parameter.unit}".strip()
        raise NoSuchValue(f"{parameter.id} cannot be {text}", hint=f"within {bounds}")
    return number


def _words(parameter: Parameter, raw: Decimal, text: str) -> list[int]:
    assert parameter.type is not None
    if parameter.type == "bool":
        if raw not in (0, 1):
            raise NoSuchValue(f"{parameter.id} cannot be '{text}'", hint="0 or 1")
        return [int(raw)]
    try:
        data = struct.pack(_FORM[parameter.type], float(raw) if parameter.type == "float32" else int(raw))
    except (struct.error, OverflowError):
        raise NoSuchValue(f"{parameter.id} cannot be '{text}'", hint=f"it does not fit {parameter.type}") from None
    data = bytes(data[place] for place in _places(parameter))
    return [data[at] << 8 | data[at + 1] for at in range(0, len(data), 2)]


def _raw(parameter: Parameter, words: Sequence[int]) -> Decimal | None:
    """None: a float that is not finite."""
    assert parameter.type is not None
    if parameter.type == "bool":
        return Decimal(words[0])
    data = b"".join(word.to_bytes(2, "big") for word in words)
    data = bytes(data[place] for place in _places(parameter))
    (value,) = struct.unpack(_FORM[parameter.type], data)
    if parameter.type != "float32":
        return Decimal(value)
    return Decimal(repr(shortest32(value))) if isfinite(value) else None


def _places(parameter: Parameter) -> tuple[int, ...]:
    """Where each byte goes: the four orders are their own inverses."""
    return _PAIR[parameter.order] if parameter.width == 1 else _ORDERS[parameter.order]
