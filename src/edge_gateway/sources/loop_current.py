"""What a 4-20 mA loop's current means: a value on its span, a doubtful one, or a fault that the transmitter reports; pure.

Bands of NAMUR recommendation NE 43 (edition 2003, kept in 2021: namur.net, "NE 43 has been revised"), as makers and trade papers
quote it; the recommendation itself is sold and was not read, so this is ``secondary``:

    <= 3.6 mA       failure information: the transmitter says it failed, or the loop is broken     bad:fault-current-low
    3.6 .. 3.8 mA   neither: between measuring range and failure                                  uncertain:off-span
    3.8 .. 20.5 mA  measured value; 3.8-4 and 20-20.5 are saturation, the span goes a little on    good
    20.5 .. 21 mA   neither                                                                       uncertain:off-span
    >= 21 mA        failure information, or a short circuit                                        bad:fault-current-high

NE 43 lets a control system wait 4 s before it believes a fault. A reading here is bad at once: it is then no measurement; how
long that may last before somebody is called is the rules' matter.
"""

from __future__ import annotations

from edge_gateway.reading import BAD_FAULT_HIGH, BAD_FAULT_LOW, BAD_NOT_A_NUMBER, GOOD, UNCERTAIN_OFF_SPAN, Value

FAULT_LOW_MA, VALUE_LOW_MA, VALUE_HIGH_MA, FAULT_HIGH_MA = 3.6, 3.8, 20.5, 21.0
ZERO_MA, FULL_MA = 4.0, 20.0
#: The last codes of converters with 16 and 24 bits: what lies beyond looks the same.
FULL_SCALE = frozenset({32_767, 65_535, 8_388_607})


class EndOfScale(ValueError):
    """The converter shows its last code, which every larger current has too."""


def on_span(current_ma: float, low: float, high: float) -> tuple[float | None, str]:
    """(value, quality): ``low`` at 4 mA, ``high`` at 20 mA (``high`` may be the smaller), straight in between."""
    if current_ma - current_ma != 0:
        return None, BAD_NOT_A_NUMBER
    if current_ma <= FAULT_LOW_MA:
        return None, BAD_FAULT_LOW
    if current_ma >= FAULT_HIGH_MA:
        return None, BAD_FAULT_HIGH
    value = low + (current_ma - ZERO_MA) * (high - low) / (FULL_MA - ZERO_MA)
    return value, GOOD if VALUE_LOW_MA <= current_ma <= VALUE_HIGH_MA else UNCERTAIN_OFF_SPAN


def current_ma(raw: int, scale: float, offset: float, shunt_ohm: float | None) -> float:
    """The loop's current from what an IIO channel tells (Linux Documentation/ABI/testing/sysfs-bus-iio).

    (raw + offset) × scale is in mV for a voltage channel, across the shunt that the loop flows through, and in mA for a
    current channel (``shunt_ohm`` None).
    """
    told = (raw + offset) * scale
    return told if shunt_ohm is None else told / shunt_ohm


def told(raw: str, scale: str, offset: str | None) -> str:
    """The kernel's words for one conversion, as they stand in the record."""
    return f"raw={raw} scale={scale} offset={offset or '0'}"


def readings(text: str, span: tuple[float, float], shunt_ohm: float | None) -> dict[str, tuple[Value, str]]:
    """Channels ``value`` (on ``span``: at 4 and at 20 mA) and ``current`` (mA) of ``told``'s text, to nine significant digits.

    Raises EndOfScale, and ValueError or OverflowError when the words are no numbers.
    """
    words = dict(part.split("=", 1) for part in text.split(" "))
    raw = int(words["raw"])
    ma = current_ma(raw, float(words["scale"]), float(words["offset"]), shunt_ohm)
    if _at_the_end(raw, ma):
        raise EndOfScale(text)
    value, quality = on_span(ma, *span)
    return {
        "value": (None if value is None else float(f"{value:.9g}"), quality),
        "current": (float(f"{ma:.9g}"), GOOD) if ma - ma == 0 else (None, quality),
    }


def _at_the_end(raw: int, ma: float) -> bool:
    """Is it the last code? With fewer bits than 16 that is a code like others, and only told at the end of the span: all ones."""
    return raw in FULL_SCALE or (ma >= FULL_MA and raw > 0 and raw & (raw + 1) == 0)
