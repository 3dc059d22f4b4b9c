"""All readings of raw registers: each against what struct packed, and which of them are marked."""

from __future__ import annotations

import random
import struct

import pytest

from edge_gateway.profiles.plausible import ORDERS, Decoding, bcd, best, decodings


def one(data: bytes, kind: str, order: str = "", scale: float = 1) -> Decoding:
    (found,) = [d for d in decodings(data, 0) if (d.register, d.kind, d.order, d.scale) == (0, kind, order, scale)]
    return found


def ordered(big: bytes, order: str) -> bytes:
    """Big-endian bytes as a device with this order sends them."""
    sent = bytearray(len(big))
    for at, place in enumerate(ORDERS[order]):
        sent[place] = big[at]
    return bytes(sent)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("form", "kind"), [(">i", "int32"), (">I", "uint32"), (">f", "float32")])
def test_every_order_of_32_bits(order: str, form: str, kind: str) -> None:
    chance = random.Random(4)
    for _ in range(200):
        number = chance.uniform(-1e4, 1e4) if form == ">f" else chance.getrandbits(31)
        big = struct.pack(form, number)
        assert one(ordered(big, order), kind, order).value == struct.unpack(form, big)[0]


def test_the_sample_of_a_frozen_store() -> None:
    found = decodings(bytes.fromhex("0262FF4E"), 0)
    marked = {(d.register, d.kind, d.scale, d.text) for d in best(found) if d.registers == 1}
    assert (1, "int16", 0.1, "-17.8") in marked
    assert (0, "int16", 0.1, "61.0") in marked
    assert not [d for d in best(found) if d.registers == 2], "none of the 32-bit readings is believable"


def test_a_float_is_marked_in_its_own_order_only() -> None:
    for order in ORDERS:
        data = ordered(struct.pack(">f", 7.25), order)
        marked = [d.order for d in best(decodings(data, 0)) if d.kind == "float32"]
        assert order in marked


@pytest.mark.parametrize("word", [0, 0x7FFF, 0x8000, 0xFFFF])
def test_nothing_and_error_words_are_never_plausible(word: int) -> None:
    marked = [d for d in best(decodings(struct.pack(">H", word), 0)) if d.kind != "float16"]
    assert marked == []


def test_digits_bits_and_text() -> None:
    assert bcd(0x1234, 4) == 1234
    assert bcd(0x12AB, 4) is None
    assert one(b"\x12\x34", "bcd16").value == 1234
    assert one(b"\x80\x01", "bits").text == "1000000000000001"
    assert one(b"FCL-20\0\0", "string").text == "FCL-20.."
    assert one(b"FCL-20\0\0", "string").plausible
    assert not one(b"F\x01\x02\x03", "string").plausible
    assert not [d for d in decodings(b"\x01\x02", 0) if d.kind == "string"]


def test_half_floats() -> None:
    assert one(struct.pack(">e", 21.5), "float16").value == 21.5
    assert one(struct.pack(">e", float("nan")), "float16").value is None
