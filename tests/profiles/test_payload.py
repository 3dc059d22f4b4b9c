"""Payload bytes to readings: the shipped cases, and whatever else a device may send."""

from __future__ import annotations

import base64
import json
import math
import re
import struct
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_gateway.errors import ConfigError
from edge_gateway.profiles.load import load
from edge_gateway.profiles.model import PayloadProfile
from edge_gateway.profiles.payload import Columns, PayloadReader, Unparsed
from edge_gateway.profiles.spec import DeviceSpec, PointSpec
from edge_gateway.reading import GOOD, QUALITIES

DRIVERS = Path(__file__).resolve().parents[2] / "drivers"


def cases() -> list[Any]:
    found = []
    for vendor in ("zigbee2mqtt", "tasmota"):  # all their channels at once; tests/profiles/test_cases.py takes every profile
        for file in sorted((DRIVERS / vendor).glob("*.cases.toml")):
            for case in tomllib.loads(file.read_text())["cases"]:
                profile = f"{vendor}/{file.name.removesuffix('.cases.toml')}"
                found.append(pytest.param(profile, case, id=f"{profile}: {case['name']}"))
    return found


def reader(profile: PayloadProfile, **select: str) -> PayloadReader:
    """All channels as points; ``select`` by channel."""
    points = tuple(PointSpec(id=f"p-{name}", channel=name, select=select.get(name, "")) for name in profile.channels)
    return PayloadReader(DeviceSpec(id="dev", profile=profile, points=points, topic="t"))


@pytest.mark.parametrize(("profile_id", "case"), cases())
def test_shipped_case(profile_id: str, case: dict[str, Any]) -> None:
    assert case["kind"] in ("captured", "constructed")
    assert case["source"]
    profile = load(profile_id).profile
    assert isinstance(profile, PayloadProfile)
    columns = reader(profile, **dict.fromkeys(profile.channels, case.get("select", ""))).read(case["payload"].encode())
    names = list(profile.channels)
    quality = columns.quality or [GOOD] * len(names)
    for name, expected in case["expect"].items():
        value, mark = columns.values[names.index(name)], quality[names.index(name)]
        if isinstance(expected, str):
            assert (value, mark) == (None, expected), name
        else:
            assert (value, mark) == (expected, GOOD), name
    own = case.get("time", "none")
    wanted = None if own == "none" else datetime.fromisoformat(own).timestamp() * 1e6
    assert columns.time_us == wanted


def profile_of(channels: dict[str, Any], **payload: Any) -> PayloadProfile:
    table = {name: {"quantity": "temperature", "unit": "Cel", **channel} for name, channel in channels.items()}
    return PayloadProfile.model_validate(
        {
            "id": "x/y", "vendor": "x", "model": "y", "name_zh": "某", "name_en": "y", "verified": "no",
            "sources": [{"cite": "this test", "verified": "no"}], "payload": payload, "channels": table,
        }
    )  # fmt: skip


def one(channel: dict[str, Any], payload: bytes, select: str = "", **traits: Any) -> tuple[Any, str, int | None]:
    columns = reader(profile_of({"a": channel}, **traits), a=select).read(payload)
    return columns.values[0], columns.quality[0] if columns.quality else GOOD, columns.time_us


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"-18.25", (-18.25, "good")),
        (b" 47.69\r\n", (47.69, "good")),
        (b"ON", (1.0, "good")),
        (b"nan", (None, "bad:nan")),
        (b"-inf", (None, "bad:nan")),
        (b"999", (None, "bad:sentinel")),
        (b"126", (None, "bad:range")),
        (b"1_0", (None, "bad:unparsed")),
        ("１２".encode(), (None, "bad:unparsed")),
        (b"warm", (None, "bad:unparsed")),
    ],
)
def test_plain_numbers(payload: bytes, expected: tuple[Any, str]) -> None:
    channel = {"texts": {"ON": 1}, "sentinels": [999], "range_low": -55, "range_high": 125}
    assert one(channel, payload, format="plain")[:2] == expected


@pytest.mark.parametrize(
    ("path", "payload", "expected"),
    [
        ("a.b", b'{"a":{"b":1.5}}', 1.5),
        ("params.temperature:0.tC", b'{"params":{"temperature:0":{"id":0,"tC":19.8}}}', 19.8),
        ("ModbusReceived.Values.1", b'{"ModbusReceived":{"Values":[1,2,3]}}', 2),
        ("\u6e29\u5ea6", '{"温度":-3}'.encode(), -3),
        ("a", b'{"a":"21.5"}', 21.5),
        ("a", b'{"a":true}', 1),
        ("a", b'{"a":9007199254740993}', 9007199254740992.0),
        ("a.b", b'{"a":[{"b":1}]}', "bad:missing"),
        ("a.5", b'{"a":[1]}', "bad:missing"),
        ("a", b'{"b":1}', "bad:missing"),
        ("a", b'{"a":NaN}', "bad:nan"),
        ("a", b'{"a":[1]}', "bad:unparsed"),
        ("a", b'{"a":"1,5"}', "bad:unparsed"),
        ("a", b'{"a":1e999}', "bad:nan"),
        ("a", b'{"a":1' + b"0" * 400 + b"}", "bad:nan"),
        ("s*[n=in].t", b'{"s1":{"n":"out","t":30},"s2":{"n":"in","t":4}}', 4),
        ("s*[n=in].t", b'{"s1":{"n":"in","t":30},"s2":{"n":"in","t":4}}', "bad:missing"),
        ("s*.t", b'{"s1":{"t":4},"other":{"t":9}}', 4),
    ],
)
def test_paths(path: str, payload: bytes, expected: float | str) -> None:
    value, quality, _ = one({"path": path}, payload)
    assert (quality if value is None else value) == expected


def test_scale_and_offset_are_decimal_text() -> None:
    assert one({"path": "a", "scale": "0.1", "offset": "-40"}, b'{"a":433}')[0] == 3.3
    assert one({"path": "a", "scale": "0.1"}, b'{"a":3}')[0] == 0.3  # 3 * 0.1 in doubles is 0.30000000000000004


@pytest.mark.parametrize(
    ("form", "raw", "expected"),
    [
        ("iso8601", '"2022-07-18T09:34:15.775023242+00:00"', 1658136855775023),
        ("iso8601", '"2026-03-05T14:03:27+08:00"', 1772690607000000),
        ("iso8601", '"2026-03-05T06:03:27Z"', 1772690607000000),
        ("iso8601", '"2026-03-05T06:03:27"', None),
        ("iso8601", '"yesterday"', None),
        ("iso8601", "1772690607", None),
        ("iso8601", '"0001-01-01T00:00:00+23:59"', None),
        ("unix-s", "1680962879.62", 1680962879620000),
        ("unix-s", '"1653668027"', 1653668027000000),
        ("unix-s", '"soon"', None),
        ("unix-s", "1.61", None),  # a clock that was not set yet counts from its start
        ("unix-s", "1420070399", None),
        ("unix-s", "1420070400", 1420070400000000),
        ("iso8601", '"1970-01-01T00:00:00.000000000Z"', None),
        ("unix-ms", "1680962879620", 1680962879620000),
        ("unix-s", "null", None),
        ("unix-s", "true", None),
        ("unix-s", "1e300", None),
    ],
)
def test_only_a_zoned_time_is_a_time(form: str, raw: str, expected: int | None) -> None:
    payload = f'{{"a":1,"t":{raw}}}'.encode()
    assert one({"path": "a"}, payload, time_path="t", time_format=form) == (1, GOOD, expected)


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"offline", b"27.3", b'"x"', b"\xff\xfe", b"[" * 200_000, b"NaN", b'{"a":NaN']
)
def test_a_payload_that_is_no_json_object_is_unparsed_as_a_whole(payload: bytes) -> None:
    with pytest.raises(Unparsed):
        one({"path": "a"}, payload)


@pytest.mark.parametrize("payload", [b"", b"  ", b"\xff"])
def test_a_plain_payload_without_text_is_unparsed(payload: bytes) -> None:
    with pytest.raises(Unparsed):
        one({}, payload, format="plain")


@pytest.mark.parametrize("path", ["a..b", "a[b]", "a*b", "a[b=c", "[=x]", ""])
def test_a_path_that_is_none_is_refused(path: str) -> None:
    with pytest.raises((ConfigError, ValueError)):
        one({"path": path}, b"{}")


def test_points_that_the_profile_cannot_serve_are_refused_with_their_key() -> None:
    tasmota = load("tasmota/ds18b20").profile
    modbus = load("generic/xy-md02").profile
    with pytest.raises(ConfigError, match=r"points\.p\.channel: .*no channel 'humidity': it has temperature"):
        PayloadReader(DeviceSpec(id="d", profile=tasmota, points=(PointSpec(id="p", channel="humidity"),), topic="t"))
    with pytest.raises(ConfigError, match=r"devices\.d\.profile: .*reads registers"):
        PayloadReader(DeviceSpec(id="d", profile=modbus, points=(), topic="t"))
    with pytest.raises(ConfigError, match=r"points\.p-a\.select: .*nothing to select"):
        one({"path": "a"}, b"{}", select="x")
    with pytest.raises(ConfigError, match=r"points\.p-a\.select: .*needs 'select'"):
        one({"path": "{select}.t"}, b"{}")
    with pytest.raises(ConfigError, match="cannot be selected"):
        one({"path": "a*[Id={select}]"}, b"{}", select="x]")


# --- bytes in a message --------------------------------------------------------------------------------------------

FORMS = {
    "int8": ">b", "uint8": ">B", "int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "float32": ">f", "float64": ">d",
}  # fmt: skip


def beacon(channel: dict[str, Any], data: bytes, **traits: Any) -> tuple[Any, str, int | None]:
    encoding = traits.get("encoding", "hex")
    text = data.hex() if encoding == "hex" else base64.b64encode(data).decode()
    table = {"path": "data", "length": 12, "after": "FF9904", "begins": "05", **traits}
    return one(channel, json.dumps({"data": text}).encode(), bytes=table)


@pytest.mark.parametrize("encoding", ["hex", "base64"])
@pytest.mark.parametrize("little", [False, True])
@pytest.mark.parametrize("kind", FORMS)
@given(seed=st.binary(min_size=8, max_size=8), before=st.binary(max_size=4).filter(lambda b: 0xFF not in b))
def test_numbers_within_bytes(kind: str, little: bool, encoding: str, seed: bytes, before: bytes) -> None:
    form = FORMS[kind].replace(">", "<" if little else ">")
    raw = seed[: struct.calcsize(form)]
    (expected,) = struct.unpack(form, raw)
    data = before + bytes.fromhex("FF990405AA") + raw.ljust(10, b"\0")
    found = beacon({"at": 2, "type": kind, "little": little}, data, encoding=encoding)
    assert found[:2] == ((expected, GOOD) if math.isfinite(expected) else (None, "bad:nan"))


@given(word=st.integers(0, 0xFFFF), bit=st.integers(0, 15), data=st.data())
def test_fields_within_bytes(word: int, bit: int, data: st.DataObject) -> None:
    bits = data.draw(st.integers(1, 16 - bit))
    digits = f"{word:016b}"[::-1][bit : bit + bits][::-1]
    sent = bytes.fromhex("FF990405") + struct.pack(">H", word).ljust(11, b"\0")
    assert beacon({"at": 1, "type": "uint16", "bit": bit, "bits": bits}, sent)[0] == int(digits, 2)


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"{}", "no text at 'data'"),
        (b'{"data":5}', "no text at 'data'"),
        (b'{"data":"FF99040"}', "is no hex"),
        (b'{"data":"zz"}', "is no hex"),
        (b'{"data":"0201061BFF4C0005"}', "has no FF9904 in it"),
        (b'{"data":"FF990403000000000000000000000000"}', "begins with 03000000, not with 05"),
        (b'{"data":"FF990405000000000000000000"}', "has 10 of 12 bytes"),
    ],
)
def test_bytes_that_are_not_what_was_promised(payload: bytes, said: str) -> None:
    table = {"path": "data", "length": 12, "after": "FF9904", "begins": "05"}
    with pytest.raises(Unparsed, match=said):
        one({"at": 2, "type": "int16"}, payload, bytes=table)


@pytest.mark.parametrize(
    ("channel", "traits", "said"),
    [
        ({"at": 2}, {"bytes": {"path": "d", "length": 4}}, "'at' and 'type'"),
        ({"at": 2, "type": "int32"}, {"bytes": {"path": "d", "length": 4}}, "ends beyond the bytes"),
        ({"at": 2, "type": "int16"}, {}, "ends beyond the bytes"),
        ({"at": 0, "type": "int16", "path": "a"}, {"bytes": {"path": "d", "length": 4}}, "needs 'path' (or 'at'"),
        ({"at": 0, "type": "int16", "bit": 0, "bits": 4}, {"bytes": {"path": "d", "length": 4}}, "an unsigned integer"),
        ({"at": 0, "type": "uint8", "bit": 5, "bits": 4}, {"bytes": {"path": "d", "length": 4}}, "not all in uint8"),
        ({"at": 0, "type": "uint8", "bit": 5}, {"bytes": {"path": "d", "length": 4}}, "go together"),
        ({"path": "a", "little": True}, {}, "belong to a number within bytes"),
        ({}, {"format": "plain", "partial": True}, "a plain message is one value"),
        ({"at": 0, "type": "uint8"}, {"partial": True, "bytes": {"path": "d", "length": 4}}, "those come whole"),
    ],
)
def test_a_profile_of_bytes_is_checked(channel: dict[str, Any], traits: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        profile_of({"a": channel}, **traits)


# --- messages that tell what changed --------------------------------------------------------------------------------


def test_a_partial_message_has_a_group_a_point_and_tells_some() -> None:
    two = reader(profile_of({"a": {"path": "x.a"}, "b": {"path": "x.b"}}, partial=True))
    assert [(group.id, group.points) for group in two.groups] == [("dev.p-a", ("p-a",)), ("dev.p-b", ("p-b",))]

    def told(payload: bytes) -> list[tuple[str, list[Any], list[str] | None]]:
        return [(group.id, part.values, part.quality) for group, part in two.parts(two.read(payload))]

    assert told(b'{"x":{"a":1,"b":2}}') == [("dev.p-a", [1], None), ("dev.p-b", [2], None)]
    assert told(b'{"x":{"b":null}}') == [("dev.p-b", [None], ["bad:missing"])]
    assert told(b'{"x":{"a":"?","b":3}}') == [("dev.p-a", [None], ["bad:unparsed"]), ("dev.p-b", [3], None)]
    assert told(b'{"y":1}') == []
    with pytest.raises(Unparsed):
        two.read(b"offline")


def test_any_other_message_is_one_part() -> None:
    whole = reader(profile_of({"a": {"path": "a"}, "b": {"path": "b"}}))
    columns = whole.read(b'{"a":1}')
    assert list(whole.parts(columns)) == [(whole.groups[0], columns)]
    assert columns.quality == [GOOD, "bad:missing"]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "Id", "s1", "s2"]) | st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
HARD = {
    "x": {"path": "a", "scale": "0.1", "offset": "3"},
    "y": {"path": "s*[Id={select}].b", "range_low": -55, "range_high": 125},
    "z": {"path": "a.0.b", "sentinels": [0], "texts": {"x": 5}},
}


def sound(columns: Columns) -> None:
    quality = columns.quality or [GOOD] * len(columns.values)
    for value, mark in zip(columns.values, quality, strict=True):
        assert mark in QUALITIES
        assert (value is None) == (mark != GOOD)
        assert value is None or (type(value) in (int, float) and math.isfinite(value))


@given(anything)
def test_any_json_gives_sound_columns_or_unparsed(content: Any) -> None:
    for fahrenheit in ("C", "F"):
        payload = json.dumps({"unit": fahrenheit, **content} if isinstance(content, dict) else content).encode()
        try:
            sound(reader(profile_of(HARD, temperature_unit_path="unit", time_path="b"), y="1").read(payload))
        except Unparsed:
            assert not isinstance(content, dict)


@given(st.binary(max_size=200))
def test_any_bytes_give_sound_columns_or_unparsed(payload: bytes) -> None:
    for form, channels in (("json", HARD), ("plain", {"a": {}})):
        try:
            sound(reader(profile_of(channels, format=form)).read(payload))
        except Unparsed:
            continue


@given(st.binary(max_size=64), st.sampled_from(["hex", "base64"]))
def test_any_bytes_in_a_message_give_sound_columns_or_unparsed(data: bytes, encoding: str) -> None:
    text = data.hex() if encoding == "hex" else base64.b64encode(data).decode()
    traits = {"path": "d", "length": 9, "after": "00", "encoding": encoding}
    channels = {"a": {"at": 1, "type": "float64", "scale": "1e10"}, "b": {"at": 0, "type": "uint8", "bit": 1, "bits": 2}}
    try:
        sound(reader(profile_of(channels, bytes=traits)).read(json.dumps({"d": text}).encode()))
    except Unparsed:
        assert len(data.partition(b"\0")[2]) < 9
