"""The shipped profiles as a whole: enough cases, cited sources, frames whose checksums are right, none twice."""

from __future__ import annotations

import re

import pytest

from edge_gateway.links.modbus_pdu import crc16
from edge_gateway.profiles.cases import Case
from edge_gateway.profiles.identity import fits, text
from edge_gateway.profiles.load import load
from edge_gateway.profiles.model import ModbusProfile, Profile
from edge_gateway.profiles.registers import Identify
from tests.profiles.test_cases import DRIVERS, PROFILES, cases_of

#: The devices of the register survey that this project started from, a line for each of its rows.
PROMISED = """
generic/xy-md02
renke/rs-ws-n01 generic/rs485-th
comwintop/8pt1000 comwintop/cwt-tm-8pt
generic/mb8art generic/mb8art-fine
eletechsup/r4dcb08
wellpro/wp3066adam
danfoss/ekc-202b
danfoss/erc-213
carel/ir33
eliwell/idplus-9xx
wirenboard/wb-m1w2
yosemitech/y510 yosemitech/y511 yosemitech/y520 yosemitech/y532 yosemitech/y533 yosemitech/y551 yosemitech/y560
zw/rcl101
aqualabo/pheht aqualabo/c4e aqualabo/ntu
seeed/s-ph-01 seeed/s-ec-01 bgt/wnh4
tuf/2000m
keller/series-30
eastron/sdm120 eastron/sdm220 eastron/sdm630
chint/dtsu666
peacefair/pzem-016
wellpro/wp8028adam
wirenboard/wb-mcm8
"""
#: Types that measure only after something that a reading never sends.
REFUSED = {
    "yosemitech/y510", "yosemitech/y511", "yosemitech/y520", "yosemitech/y551",
    "aqualabo/pheht", "aqualabo/c4e", "aqualabo/ntu",
}  # fmt: skip
#: A frame as people print it: five or more bytes in hex, with blanks between them.
FRAME = re.compile(r"\b[0-9A-F]{2}(?: [0-9A-F]{2}){4,}\b")


def profile(name: str) -> Profile:
    return load(name, [DRIVERS]).profile


def test_every_row_of_the_survey_has_its_profiles() -> None:
    rows = PROMISED.split("\n")[1:-1]
    assert len(rows) == 22
    assert not {name for row in rows for name in row.split()} - set(PROFILES)


def test_no_two_profiles_are_one() -> None:
    """Neither by id nor by the same registers under another name."""
    ids = [profile(name).id for name in PROFILES]
    assert len(set(ids)) == len(ids)
    maps = {name: _registers(profile(name)) for name in PROFILES if isinstance(profile(name), ModbusProfile)}
    twins = [
        (a, b) for a in maps for b in maps if a < b and maps[a] == maps[b] and profile(a).vendor == profile(b).vendor
    ]
    assert set(twins) <= {("eastron/sdm120", "eastron/sdm220"), ("yosemitech/y510", "yosemitech/y511")}


def _registers(found: Profile) -> str:
    return repr(
        sorted(
            (n, c.model_dump(exclude={"name_zh", "name_en", "note_zh", "note_en"})) for n, c in found.channels.items()
        )
    )


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_has_cases_and_cites_its_sources(name: str) -> None:
    cases = cases_of(name)
    assert len(cases) >= 2
    assert len({case.name for case in cases}) == len(cases), "two cases of one name"
    found = profile(name)
    assert all(len(source.cite) >= 20 for source in found.sources), "a source that nobody could find again"
    assert found.verified != "primary" or any(source.verified == "primary" for source in found.sources)


@pytest.mark.parametrize("name", PROFILES)
def test_notes_are_in_both_languages(name: str) -> None:
    """Of register profiles also those of each channel: what is doubtful must not be hidden from half the readers."""
    found = profile(name)
    assert bool(found.notes_zh) == bool(found.notes_en)
    if isinstance(found, ModbusProfile):
        assert all(bool(channel.note_zh) == bool(channel.note_en) for channel in found.channels.values())


def test_what_is_no_data_is_tried() -> None:
    """A register profile shows what comes of an error value, unless every raw number of its type is possible."""
    without = [
        name
        for name in PROFILES
        if isinstance(profile(name), ModbusProfile)
        and not any(str(wanted).startswith("bad:") for case in cases_of(name) for wanted in case.expect.values())
    ]
    assert without == ["wellpro/wp8028adam", "wirenboard/wb-mcm8"]  # contacts and counters


def test_at_least_eight_profiles_have_bytes_from_elsewhere() -> None:
    captured = [name for name in PROFILES if any(case.kind == "captured" for case in cases_of(name))]
    assert len(captured) >= 8, captured


def broken_frames(case: Case) -> list[str]:
    """Frames that the case's source calls right and that are not, or that do not hold the case's bytes."""
    frames = [bytes.fromhex(text) for text in FRAME.findall(case.source)]
    if "recomputed: right" not in case.source:
        return []
    wrong = [frame.hex(" ") for frame in frames if crc16(frame[:-2]) != frame[-2:] or frame[2] != len(frame) - 5]
    shown = b" ".join(frame[3:-2] for frame in frames)
    return wrong + [block.data for block in case.blocks if bytes.fromhex(block.data) not in shown]


@pytest.mark.parametrize("name", PROFILES)
def test_frames_that_are_called_right_are(name: str) -> None:
    for case in cases_of(name):
        assert not broken_frames(case), case.name


def test_frames_are_looked_at_indeed() -> None:
    """Enough of them are found, and one planted wrong byte is, in the frame or in the case."""
    right = [case for name in PROFILES for case in cases_of(name) if "recomputed: right" in case.source]
    assert len(right) >= 10
    assert all(FRAME.search(case.source) for case in right)
    case = right[0]
    frame = FRAME.findall(case.source)[-1]
    flipped = frame[:-1] + ("0" if frame[-1] != "0" else "1")
    assert broken_frames(case.model_copy(update={"source": case.source.replace(frame, flipped)}))
    other = tuple(block.model_copy(update={"data": "DEAD"}) for block in case.blocks)
    assert broken_frames(case.model_copy(update={"blocks": other}))


def identity(name: str) -> Identify:
    found = profile(name)
    assert isinstance(found, ModbusProfile)
    return found.identify


def test_a_real_serial_number_is_read() -> None:
    """A YosemiTech Y520's, as EnviroDIY logged it (extras/sensor_tests/Yosemitech_Y520-A-Cond/Results-1solution.txt)."""
    frame = bytes.fromhex("01 03 0E 09 59 4C 30 39 31 36 31 31 32 31 30 31 00 D9 90")
    assert crc16(frame[:-2]) == frame[-2:]
    place = identity("yosemitech/y520").serial
    assert place is not None
    assert text(place, frame[3:-2]) == "YL0916112101"


def test_a_real_module_that_keeps_one_character_a_register_is_known() -> None:
    """A WB-MCM8's registers 200 to 219 (wirenboard/wb-modbus-ext-scanner @ 3b812028, docs/protocol.en.md), inside the maker's envelope."""
    frame = bytes.fromhex("FD4609FE4000AC0328" + "00570042004D0043004D0038" + 28 * "00" + "C525")
    assert crc16(frame[:-2]) == frame[-2:]
    data = frame[9:-2]
    signs = identity("wirenboard/wb-mcm8").signature
    assert [sign.register_ for sign in signs] == [200, 202, 204]
    assert all(fits(sign, data[4 * at : 4 * at + 4]) for at, sign in enumerate(signs))
    assert not fits(signs[2], "M7".encode("utf-16-be"))
    serial = identity("wirenboard/wb-mcm8").serial
    assert serial is not None
    assert text(serial, frame[3:7]) == "4265607340"


def test_who_needs_a_write_says_so_in_both_languages() -> None:
    needing = {}
    for name in PROFILES:
        found = profile(name)
        if isinstance(found, ModbusProfile) and found.modbus.needs != "nothing":
            needing[name] = found.modbus
    assert set(needing) == REFUSED
    assert all(traits.needs_zh and traits.needs_en for traits in needing.values())
