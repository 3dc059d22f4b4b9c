"""Entries as bytes: what is in them, what is refused, and that they come back as they went in."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_gateway.reading import Batch, Block, GapClosed, GapOpened, Group, Message
from edge_gateway.record.entry import (
    MAX_ENTRY_BYTES,
    MAX_INTEGER,
    MAX_PAYLOAD_BYTES,
    Stamp,
    canonical,
    decode,
    encode,
    encode_batch,
    gap_body,
    payload_hash,
    text_hash,
)

STAMP = Stamp(rule_us=5, wall_us=1_780_000_000_000_000, mono_us=5, boot="0123456789ab", trusted=True)
GROUP = Group(id="cold1-th.1", device="cold1-th", points=("a", "b"))


def batch(**changes: Any) -> dict[str, Any]:
    keys: dict[str, Any] = {"group": GROUP, "values": [1.5, None], "wall_us": 7, "mono_us": 6}
    entry: dict[str, Any] = json.loads(encode_batch(3, 5, "0123456789ab", True, 1, Batch(**(keys | changes))))
    return entry


def test_every_entry_carries_its_times_and_is_compact() -> None:
    data = encode(0, "tick", STAMP, {})
    assert json.loads(data) == {
        "v": 1, "seq": 0, "kind": "tick", "rule_us": 5, "wall_us": 1_780_000_000_000_000, "mono_us": 5,
        "boot": "0123456789ab", "trusted": True,
    }  # fmt: skip
    assert b" " not in data
    assert b"\n" not in data
    assert data.startswith(b'{"v":1,"seq":0,')


def test_an_entry_that_is_too_large_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="more than"):
        encode(0, "event", STAMP, {"event": "x" * MAX_ENTRY_BYTES})


def test_a_batch_leaves_out_what_it_does_not_have() -> None:
    assert set(batch()) == {
        "v", "seq", "kind", "rule_us", "wall_us", "mono_us", "boot", "trusted", "config_seq", "group", "values",
    }  # fmt: skip
    full = batch(
        slot_us=4,
        quality=["good", "bad:nan"],
        blocks=[Block(unit=1, function=3, start=2, data=b"\x01\x02", offset_us=-9)],
    )
    assert full["slot_us"] == 4
    assert full["quality"] == ["good", "bad:nan"]
    assert full["raw"] == [[1, 3, 2, "0102", -9]]


@pytest.mark.parametrize("value", [MAX_INTEGER + 1, -MAX_INTEGER - 1, 2**63])
def test_an_integer_that_a_double_cannot_hold_is_text(value: int) -> None:
    wide = Group(id="w.1", device="w", points=("a",), wide=True)
    assert batch(group=wide, values=[value])["values"] == [str(value)]
    assert batch(group=wide, values=[MAX_INTEGER])["values"] == [MAX_INTEGER]


def test_a_message_is_kept_as_text_as_base64_or_by_its_hash() -> None:
    def kept(payload: bytes) -> dict[str, Any]:
        message: dict[str, Any] = batch(message=Message(topic="t", payload=payload, packet_id=3))["message"]
        assert payload_hash(message) == text_hash(payload)
        return message

    assert kept('{"温度":1}'.encode())["payload"] == '{"温度":1}'
    assert kept(b"\xff\x00")["payload_base64"] == "/wA="
    large = kept(b"x" * (MAX_PAYLOAD_BYTES + 1))
    assert large["payload_bytes"] == MAX_PAYLOAD_BYTES + 1
    assert "payload" not in large
    assert kept(b"x" * MAX_PAYLOAD_BYTES)["payload"] == "x" * MAX_PAYLOAD_BYTES


def test_gaps_open_and_close() -> None:
    opened = GapOpened(id="g1", groups=("a.1",), reason="silent", since_slot_us=4)
    assert gap_body(opened) == {
        "gap": "g1", "state": "open", "groups": ["a.1"], "reason": "silent", "since_slot_us": 4,
    }  # fmt: skip
    closed = GapClosed(id="g1", until_slot_us=9, slots=2)
    assert gap_body(closed) == {"gap": "g1", "state": "closed", "until_slot_us": 9, "slots": 2}


def test_unknown_kinds_and_keys_come_through() -> None:
    assert decode(b'{"seq":1,"kind":"phase","new":[1]}') == {"seq": 1, "kind": "phase", "new": [1]}


@pytest.mark.parametrize("data", [b"[]", b"{}", b'{"seq":"1","kind":"tick"}', b'{"seq":1}', b"\xff", b""])
def test_what_is_no_entry_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- orjson's own message, or ours
        decode(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abcdef"), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["x", "y", "z"]), JSON))
def test_bodies_come_back_as_they_went_in(body: dict[str, Any]) -> None:
    decoded = decode(encode(9, "event", STAMP, body))
    assert {key: decoded[key] for key in body} == body


@given(JSON)
def test_canonical_text_does_not_depend_on_the_order_of_keys(value: Any) -> None:
    def turned(thing: Any) -> Any:
        if isinstance(thing, dict):
            return {key: turned(thing[key]) for key in reversed(list(thing))}
        return [turned(item) for item in thing] if isinstance(thing, list) else thing

    assert canonical(turned(value)) == canonical(value)


def test_entries_take_no_more_memory_than_their_length() -> None:
    """Thousands of them stay in memory; orjson's own buffers are many times larger than what is in them."""
    many = Batch(group=GROUP, values=[1.5, 2.5] * 10, wall_us=7, mono_us=6)
    tracemalloc.start()
    try:
        kept = [encode_batch(n, 5, "0123456789ab", True, 1, many) for n in range(500)]
        kept += [encode(n, "event", STAMP, {"event": "x"}) for n in range(500)]
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < sum(map(len, kept)) + len(kept) * 64
