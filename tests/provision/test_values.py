"""What stands in a device's registers is said as a value, whatever it is."""

from __future__ import annotations

import struct
from decimal import Decimal
from random import Random

from edge_gateway.provision.model import Parameter
from edge_gateway.provision.values import decode

OFFSET = Parameter(id="offset", name="offset", address=0, type="float32", why="w", verified="no", source="a test")


def words(bits: int) -> list[int]:
    return [bits >> 16, bits & 0xFFFF]


def test_the_largest_float_is_a_value() -> None:
    assert Decimal(decode(OFFSET, words(0x7F7F_FFFF))) == Decimal("3.4028235e+38")


def test_any_float_comes_back_from_its_text() -> None:
    """N = 20,000 bit patterns, seed 8: none ends the look, and a finite one reads back as the same bits."""
    random = Random(8)
    for _ in range(20_000):
        bits = random.getrandbits(32)
        text = decode(OFFSET, words(bits))
        if text == "not a number":
            assert bits >> 23 & 0xFF == 0xFF
        else:
            assert struct.pack(">f", float(text)) == bits.to_bytes(4) or float(text) == 0
