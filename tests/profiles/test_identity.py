"""Texts and numbers by which a device is known, against bytes that struct and the text itself give."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_gateway.profiles.identity import fits, number, text
from edge_gateway.profiles.model import ModbusProfile
from edge_gateway.profiles.registers import IdentityPlace, Signature
from tests.profiles.devices import profile

ORDERS = ("ABCD", "CDAB", "BADC", "DCBA")


def place(**keys: Any) -> IdentityPlace:
    return IdentityPlace.model_validate({"function": 3, "register": 0} | keys)


def signature(**keys: Any) -> Signature:
    return Signature.model_validate({"function": 3, "register": 0} | keys)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=16), st.sampled_from("\0 \xff"))
def test_a_text_in_both_orders(given_text: str, padding: str) -> None:
    data = given_text.encode("ascii").ljust(32, padding.encode("latin1"))
    swapped = b"".join(data[i : i + 2][::-1] for i in range(0, 32, 2))
    assert text(place(type="string", length=16), data) == given_text
    assert text(place(type="string", length=16, order="BADC"), swapped) == given_text


@pytest.mark.parametrize("data", [b"\0" * 8, b" " * 8, b"\xff" * 8, b"\xc3\x28abcdef", b"ab\x01cdefg", b"\0bcdefgh"])
def test_what_is_no_text_is_none(data: bytes) -> None:
    assert text(place(type="string", length=4), data) is None


@pytest.mark.parametrize("order", ORDERS)
@given(st.integers(0, 2**32 - 1))
def test_a_serial_number_in_all_orders(order: str, serial: int) -> None:
    big = struct.pack(">I", serial)
    words = [big[:2], big[2:]][:: -1 if order in ("CDAB", "DCBA") else 1]
    sent = b"".join(word[:: -1 if order in ("BADC", "DCBA") else 1] for word in words)
    assert text(place(type="uint32", order=order), sent) == str(serial)
    assert number(place(type="uint32", order=order), sent) == serial


def test_a_serial_number_in_decimals() -> None:
    assert text(place(type="bcd32"), bytes.fromhex("20261127")) == "20261127"
    assert text(place(type="bcd32"), bytes.fromhex("2026112F")) is None


def test_signatures() -> None:
    for data, fitting in ((b"\x00\x0a", True), (b"\x00\x0b", False), (b"\xff\xf6", False)):
        assert fits(signature(type="int16", equals=10), data) is fitting
        assert fits(signature(type="int16", between=[0, 10]), data) is fitting
    assert fits(signature(type="string", length=3, equals="C4E"), b"C4E v2")
    assert not fits(signature(type="string", length=3, equals="NTU"), b"C4E v2")
    assert not fits(signature(type="float32", between=[-1e30, 1e30]), struct.pack(">f", float("nan")))


def test_a_profile_says_how_its_device_is_known() -> None:
    channels = {"a": {"function": 3, "register": 0}}
    assert profile(channels).identify.signature == ()
    raw = profile(channels).model_dump(by_alias=True, mode="json")
    raw["identify"] = {
        "device_id": {"vendor": "KELLER"},
        "server_id": "DCX",
        "serial": {"function": 3, "register": 0x0202, "type": "uint32"},
        "model": {"function": 3, "register": 0x0D00, "type": "string", "length": 16},
        "signature": [{"function": 4, "register": 2, "type": "uint16", "equals": 3}],
    }
    identify = ModbusProfile.model_validate(raw).identify
    assert identify.serial is not None
    assert identify.model is not None
    assert (identify.serial.width, identify.model.width) == (2, 16)
    assert identify.signature[0].equals == 3
