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

from edge_gateway.reading import BAD_FAULT_HIGH, BAD_FAULT_LOW, BAD_NOT_A_NUMBER, GOOD, UNCERTAIN_OFF_SPAN

FAULT_LOW_MA, VALUE_LOW_MA, VALUE_HIGH_MA, FAULT_HIGH_MA = 3.6, 3.8, 20.5, 21.0
ZERO_MA, FULL_MA = 4.0, 20.0


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
