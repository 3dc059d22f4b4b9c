"""What is begun from registers or a message is a profile that loads, and whose case says what was sent."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_gateway.profiles.cases import Cases, faults
from edge_gateway.profiles.model import ModbusProfile, PayloadProfile, model_for
from edge_gateway.profiles.skeleton import Captured, captured, of_message, of_registers


def tried(texts: tuple[str, str]) -> tuple[ModbusProfile | PayloadProfile, list[str]]:
    """Both files as the loader takes them, and what the cases find."""
    raw = tomllib.loads(texts[0])
    profile = model_for(raw).model_validate(raw)
    cases = Cases.model_validate(tomllib.loads(texts[1])).cases
    return profile, [fault for case in cases for fault in faults(profile, case)]


@given(st.sampled_from([3, 4]), st.integers(0, 0xFF00), st.binary(min_size=2, max_size=128).filter(lambda b: len(b) % 2 == 0))
def test_any_registers(function: int, start: int, data: bytes) -> None:
    profile, wrong = tried(of_registers("acme/x1", [Captured(function, start, data, len(data) // 2)]))
    assert wrong == []
    assert isinstance(profile, ModbusProfile)
    assert [c.register_ for c in profile.channels.values()] == list(range(start, start + len(data) // 2))
    assert (profile.verified, profile.tried) == ("no", "")


def test_bits_and_several_blocks() -> None:
    blocks = [Captured(2, 5, b"\x05", 3), Captured(1, 0, b"\x01\x01", 9), Captured(3, 9, b"\x00\x07", 1)]
    profile, wrong = tried(of_registers("acme/x1", blocks))
    assert wrong == []
    assert len(profile.channels) == 3 + 9 + 1


def test_what_is_plausible_is_a_remark_and_no_claim() -> None:
    text, _ = of_registers("acme/x1", [Captured(3, 16, bytes.fromhex("F8DA999AC1A9"), 3)])
    assert 'plausible by its size: type = "float32", order = "CDAB" = -21.2' in text
    assert 'plausible by its size: type = "int16", scale = "0.01" = -18.30' in text
    assert tomllib.loads(text)["channels"]["f3-r16"]["type"] == "uint16"


@pytest.mark.parametrize(
    "blocks",
    [[], [Captured(3, 0, bytes(130), 65)], [Captured(3, 0, bytes(4), 2), Captured(3, 1, bytes(2), 1)]],
)
def test_nothing_too_much_or_twice_is_refused(blocks: list[Captured]) -> None:
    with pytest.raises(ValueError, match=r"registers: give 1 to 64|in two of the blocks"):
        of_registers("acme/x1", blocks)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"function": 4, "register": 1, "data": "00250353"}, Captured(4, 1, bytes.fromhex("00250353"), 2)),
        ({"function": 4, "start": 1, "data": "0025", "unit": 3, "count": 1}, Captured(4, 1, b"\x00\x25", 1)),
        ({"function": 2, "register": 0, "data": "05", "count": 3}, Captured(2, 0, b"\x05", 3)),
        ({"function": 6, "register": 0, "data": "0005"}, None),
        ({"function": 3, "register": 0, "data": "05"}, None),
        ({"function": 3, "register": 65535, "data": "00050006"}, None),
        ({"function": 3, "register": -1, "data": "0005"}, None),
        ({"function": 2, "register": 0, "data": "05", "count": 9}, None),
        ({"function": 3, "data": "0005"}, None),
        ({"function": 3, "register": 0, "data": "zz"}, None),
        ({"function": None, "register": 0, "data": "0005"}, None),
    ],
)
def test_what_reads_and_scans_say(raw: dict[str, Any], expected: Captured | None) -> None:
    if expected is None:
        with pytest.raises(ValueError):  # noqa: PT011 -- each with its own words
            captured(raw)
    else:
        assert captured(raw) == expected


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6) | st.sampled_from(["time", "Temp", "a.b", "a*"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["temperature", "ok", "x y", "时间", "time", "0"]), anything, max_size=4), st.integers(-99, 99))
def test_any_message_with_a_number(content: dict[str, Any], number: int) -> None:
    payload = json.dumps(content | {"n": number}, ensure_ascii=number % 2 == 0)
    profile, wrong = tried(of_message("acme/x1", payload))
    assert wrong == []
    assert profile.verified == "no"


def test_a_plain_number() -> None:
    profile, wrong = tried(of_message("acme/x1", " -18.5\n"))
    assert (list(profile.channels), wrong) == (["value"], [])


@pytest.mark.parametrize("payload", ["", "offline", "{}", '{"a":"x"}', "nan", "1_0", "1e999", "[" * 2000])
def test_a_message_without_a_number_is_refused(payload: str) -> None:
    with pytest.raises((ValueError, RecursionError)):
        of_message("acme/x1", payload)


def test_names_are_identifiers_and_each_its_own(tmp_path: Path) -> None:
    payload = json.dumps({"温度": 1, "湿度": 2, "a": {"T": 3}, "b": {"T": 4}, "x" * 60: 5})
    profile, wrong = tried(of_message("acme/x1", payload))
    assert wrong == []
    assert list(profile.channels)[:4] == ["field", "field-2", "t", "t-2"]
