"""Every reading that registers of an unknown meaning could have, the believable ones marked; pure, knows no profile and no line.

What a manual gets wrong, or leaves out, is sign, factor, order of words and bytes, and the type. So all of them are shown.
``plausible`` is a guess by size alone: what a sensor of air or water would say. It proves nothing: warm the probe, and
see which number moves.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

#: Where each byte of a 32-bit value is found in its two registers, by name of the order.
ORDERS = {"ABCD": (0, 1, 2, 3), "CDAB": (2, 3, 0, 1), "BADC": (1, 0, 3, 2), "DCBA": (3, 2, 1, 0)}
#: Words that makers use for "no sensor" or "error" (see drivers/): shown, never plausible.
ERROR_WORDS = frozenset({0x7FFF, 0x8000, 0xFFFF})

#: Believable sizes. House's guesses, no standard: temperatures and humidities, pH, and what a float of a sensor or an
#: integer of a counter is likely to be.
_TENTHS, _HUNDREDTHS = (-60.0, 150.0), (-60.0, 100.0)
_FLOAT, _FLOAT16 = (1e-3, 1e6), (0.5, 150.0)
_COUNT = 10_000_000
_TEXT_LEAST = 3


@dataclass(frozen=True, slots=True)
class Decoding:
    """One way to read ``registers`` registers from PDU address ``register`` on.

    ``kind`` is a profile's type (``int16``, ``float32``, …); ``order`` as in profiles, "" where there is none; ``scale``
    1, 0.1 or 0.01. ``value`` is None for texts and bits, which are in ``text``.
    """

    register: int
    registers: int
    kind: str
    order: str
    scale: float
    value: float | int | None
    text: str
    plausible: bool


def decodings(data: bytes, start: int) -> list[Decoding]:
    """All readings of ``data``: whole registers as they came, the first of them at PDU address ``start``."""
    words = [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data) - 1, 2)]
    found: list[Decoding] = []
    for index, word in enumerate(words):
        found += _word(start + index, word)
    for index in range(len(words) - 1):
        found += _pair(start + index, data[2 * index : 2 * index + 4])
    text = _ascii(data)
    if text:
        found.append(Decoding(start, len(words), "string", "", 1, None, text, _is_text(data)))
    return found


def _word(register: int, word: int) -> Iterator[Decoding]:
    signed = word - 0x10000 if word & 0x8000 else word
    silent = word == 0 or word in ERROR_WORDS
    yield Decoding(register, 1, "uint16", "", 1, word, str(word), False)
    yield Decoding(register, 1, "int16", "", 1, signed, str(signed), False)
    for scale, digits, (low, high) in ((0.1, 1, _TENTHS), (0.01, 2, _HUNDREDTHS)):
        value = signed / round(1 / scale)
        believable = not silent and low <= value <= high and abs(signed) >= 10
        yield Decoding(register, 1, "int16", "", scale, value, f"{value:.{digits}f}", believable)
    (half,) = struct.unpack(">e", word.to_bytes(2, "big"))
    yield Decoding(register, 1, "float16", "", 1, _finite(half), f"{half:.4g}", _between(half, _FLOAT16))
    if (digits_ := bcd(word, 4)) is not None:
        yield Decoding(register, 1, "bcd16", "", 1, digits_, str(digits_), False)
    yield Decoding(register, 1, "bits", "", 1, None, f"{word:016b}", False)


def _pair(register: int, data: bytes) -> Iterator[Decoding]:
    silent = data in (bytes(4), b"\xff" * 4)
    for order, places in ORDERS.items():
        part = bytes(data[place] for place in places)
        (real,), (signed,), (whole,) = (struct.unpack(form, part) for form in (">f", ">i", ">I"))
        yield Decoding(register, 2, "float32", order, 1, _finite(real), f"{real:.6g}", _between(real, _FLOAT))
        yield Decoding(register, 2, "int32", order, 1, signed, str(signed), not silent and 0 < abs(signed) < _COUNT)
        yield Decoding(register, 2, "uint32", order, 1, whole, str(whole), not silent and 0 < whole < _COUNT)
        if (digits := bcd(whole, 8)) is not None and whole > 0xFFFF:
            yield Decoding(register, 2, "bcd32", order, 1, digits, str(digits), False)


def bcd(value: int, digits: int) -> int | None:
    """The number that ``digits`` nibbles write in decimal, None if one of them is no digit."""
    text = f"{value:0{digits}x}"
    return int(text) if text.isdecimal() else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _between(value: float, bounds: tuple[float, float]) -> bool:
    return math.isfinite(value) and bounds[0] <= abs(value) <= bounds[1]


def _ascii(data: bytes) -> str:
    """The bytes as text, a dot for each that is none; "" when nothing in it is text."""
    shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in data)
    return shown if shown.strip(". ") else ""


def _is_text(data: bytes) -> bool:
    """Printable to its end, but for a padding of zeros or spaces."""
    body = data.rstrip(b"\0 ")
    return len(body) >= _TEXT_LEAST and all(32 <= byte < 127 for byte in body) and any(chr(b).isalpha() for b in body)


def best(found: Sequence[Decoding]) -> list[Decoding]:
    """The plausible ones."""
    return [decoding for decoding in found if decoding.plausible]
