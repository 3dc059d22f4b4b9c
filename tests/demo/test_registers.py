"""The simulated devices' registers, against bytes known from elsewhere, and their manners."""

from __future__ import annotations

import struct

import pytest

from edge_gateway.demo.registers import DEVICES, Unit
from edge_gateway.demo.scene import DEVICES as SCENE


def unit(profile: str, **values: float) -> Unit:
    """A unit whose channels are points of the same name (with _ for -)."""
    known = {name.replace("_", "-"): value for name, value in values.items()}
    return Unit(profile, {channel: channel for channel in known}, known.__getitem__)


def ask(device: Unit, function: int, start: int, count: int) -> bytes:
    return device.answer(struct.pack(">BHH", function, start, count)).pdu


def test_xy_md02_has_signed_tenths() -> None:
    device = unit("generic/xy-md02", temperature=-18.04, humidity=61.0)
    assert ask(device, 4, 1, 2) == bytes.fromhex("04 04 FF4C 0262")
    assert device.answer(struct.pack(">BHH", 4, 1, 2)).values == {"temperature": -18.0, "humidity": 61.0}


def test_flow_meter_has_the_low_word_first() -> None:
    # the bytes of somebody else's register map: 80 6B 42 12 are 36.625
    value = struct.unpack(">f", bytes.fromhex("4212806B"))[0]
    device = unit("tuf/2000m", flow=value, total=18250)
    assert ask(device, 3, 0, 2)[2:] == struct.pack(">f", round(value, 2))[2:] + struct.pack(">f", round(value, 2))[:2]
    assert ask(device, 3, 8, 2)[2:] == bytes.fromhex("474A 0000")


def test_ph_probe_has_all_bytes_backward_and_chlorine_none() -> None:
    assert ask(unit("yosemitech/y532", ph=7.4), 3, 0x2800, 2)[2:] == struct.pack("<f", 7.4)
    assert ask(unit("zw/rcl101", free_chlorine=0.6), 3, 0x0040, 2)[2:] == struct.pack(">f", 0.6)


def test_contacts_are_packed_from_the_lowest_bit() -> None:
    device = unit("wellpro/wp8028adam", input_1=1.0, input_3=1.0, input_2=0.0)
    assert ask(device, 2, 0, 8) == bytes([2, 1, 0b101])
    assert ask(device, 2, 1, 2) == bytes([2, 1, 0b10])


@pytest.mark.parametrize(
    ("pdu", "exception"),
    [
        (struct.pack(">BHH", 4, 0, 2), 2),  # begins before the first register
        (struct.pack(">BHH", 4, 2, 2), 2),  # ends after the last one
        (struct.pack(">BHH", 4, 1, 0), 2),
        (struct.pack(">BHH", 3, 1, 2), 1),  # a function that it does not have
        (struct.pack(">BHH", 6, 1, 2), 1),  # it cannot be written to
        (b"\x04\x00", 3),
    ],
)
def test_what_it_does_not_have_it_refuses(pdu: bytes, exception: int) -> None:
    answer = unit("generic/xy-md02", temperature=1.0, humidity=1.0).answer(pdu)
    assert answer.pdu == bytes([pdu[0] | 0x80, exception])
    assert not answer.data


def test_a_hole_between_registers_is_refused() -> None:
    assert ask(unit("tuf/2000m", flow=1.0), 3, 0, 10) == bytes([0x83, 2])


def test_every_point_of_the_site_has_a_layout() -> None:
    for device in SCENE:
        for point in device.points if device.unit else ():
            assert point.channel in DEVICES[device.profile]
