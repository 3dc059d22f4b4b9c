"""Messages, answers and envelopes against the vectors, and against whatever bytes hypothesis finds."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_gateway.wire import hub as wire
from edge_gateway.wire.hub import WireError

VECTORS = Path(__file__).parents[1] / "vectors"
SESSION = "ab" * 32
EPOCH = "0123456789abcdef"


def vectors(what: str) -> list[dict[str, Any]]:
    lines = (VECTORS / "hub-protocol.jsonl").read_text(encoding="utf-8").splitlines()
    return [vector for vector in map(json.loads, lines) if vector["what"] == what]


def test_the_vectors_are_what_their_maker_writes(tmp_path: Path) -> None:
    maker = tmp_path / "make_hub_protocol.py"
    maker.write_text((VECTORS / "make_hub_protocol.py").read_text(encoding="utf-8"), encoding="utf-8")
    subprocess.run([sys.executable, "-I", str(maker)], check=True)
    assert (tmp_path / "hub-protocol.jsonl").read_bytes() == (VECTORS / "hub-protocol.jsonl").read_bytes()


@pytest.mark.parametrize("vector", vectors("message"), ids=lambda v: f"{v['header']['kind']}-{v['header']['n']}")
def test_good_messages(vector: dict[str, Any]) -> None:
    message = wire.decode_message(bytes.fromhex(vector["gzip"]))
    assert dict(message.head) == vector["header"]
    assert message.body.hex() == vector["body"]
    again = wire.encode_message({k: v for k, v in vector["header"].items() if k != "v"}, message.body)
    assert json.loads(gzip.decompress(again).split(b"\n")[0]) == vector["header"]
    assert wire.decode_message(again) == message
    if message.kind in {"entries", "live"}:
        assert wire.lines(message.entries()) == message.body


@pytest.mark.parametrize("vector", vectors("bad-message"), ids=lambda v: v["code"])
def test_bad_messages(vector: dict[str, Any]) -> None:
    if "gzip" in vector:
        data = bytes.fromhex(vector["gzip"])
    else:
        recipe = {key: bytes.fromhex(vector["recipe"][key]) for key in ("prefix", "fill", "suffix")}
        data = gzip.compress(recipe["prefix"] + recipe["fill"] * vector["recipe"]["times"] + recipe["suffix"], mtime=0)
    with pytest.raises(WireError) as caught:
        wire.decode_message(data).entries()
    assert caught.value.code == vector["code"]
    assert caught.value.code in wire.PROBLEMS


@pytest.mark.parametrize("vector", vectors("envelope"), ids=lambda v: f"{v['direction']}-{v['n']}")
def test_good_envelopes(vector: dict[str, Any]) -> None:
    payload = bytes.fromhex(vector["payload"])
    sealed = wire.unseal(vector["token"], vector["direction"], vector["gateway"], payload)
    assert (sealed.session, sealed.n, sealed.rest.hex()) == (vector["session"], vector["n"], vector["rest"])
    rest = bytes.fromhex(vector["rest"])
    made = wire.seal(vector["token"], vector["direction"], vector["gateway"], vector["session"], vector["n"], rest)
    assert made == payload


@pytest.mark.parametrize("vector", vectors("bad-envelope"), ids=lambda v: v["why"])
def test_bad_envelopes(vector: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        wire.unseal(vector["token"], vector["direction"], vector["gateway"], bytes.fromhex(vector["payload"]))


def test_every_bit_of_a_sealed_payload_is_covered() -> None:
    token = "rh_" + "a" * 43
    payload = wire.seal(token, "down", "g", SESSION, 7, b'{"v":1}')
    for at in range(len(payload) * 8):
        flipped = bytearray(payload)
        flipped[at // 8] ^= 1 << (at % 8)
        with pytest.raises(WireError):
            wire.unseal(token, "down", "g", bytes(flipped))
    for other in (("up", "g"), ("down", "h")):
        with pytest.raises(WireError):
            wire.unseal(token, *other, payload)  # type: ignore[arg-type]


def test_a_bomb_costs_no_memory() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()
    assert len(bomb) < wire.MAX_COMPRESSED_BYTES
    tracemalloc.start()
    with pytest.raises(WireError, match="inflated"):
        wire.decode_message(bomb)
    assert tracemalloc.get_traced_memory()[1] < 3 * wire.MAX_INFLATED_BYTES
    tracemalloc.stop()


def test_the_sender_keeps_the_bounds_too() -> None:
    import os

    header = {"kind": "entries", "session": SESSION, "n": 1, "epoch": EPOCH, "first": 0, "count": 1}
    with pytest.raises(WireError) as caught:
        wire.encode_message(header, os.urandom(300 * 1024))
    assert caught.value.code == "too-large"
    with pytest.raises(WireError) as caught:
        wire.encode_message(header, bytes(5 << 20))
    assert caught.value.code == "inflated-too-large"
    largest = wire.lines([os.urandom(96 * 1024).hex().encode()])  # 192 KiB that compress as badly as hex can
    assert wire.decode_message(wire.encode_message(header, largest)).body == largest


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_decoders(data: bytes) -> None:
    for decode in (
        wire.decode_message,
        lambda d: wire.decode_message(gzip.compress(d)),
        lambda d: wire.decode_message(gzip.compress(d + b"\n")),
        wire.decode_answer,
        lambda d: wire.unseal("rh_t", "up", "g", d),
    ):
        with pytest.raises(WireError):
            decode(data)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_KEYS = ["kind", "session", "n", "epoch", "first", "count", "seqs", "epochs", "sha256", "roots", "reason", "gone", "v"]


@settings(max_examples=300)
@given(st.sampled_from(sorted(wire.KINDS)), st.dictionaries(st.sampled_from(_KEYS), _JSON, max_size=4))
def test_no_header_crashes_the_decoder(kind: str, changed: dict[str, Any]) -> None:
    good = {
        "v": 1, "kind": kind, "session": SESSION[:32] if kind == "hello" else SESSION, "n": 0 if kind == "hello" else 1,
        "epoch": EPOCH, "first": 0, "count": 1, "seqs": [0], "epochs": [[EPOCH, 1]], "sha256": "0" * 64,
        "roots": ["0" * 64], "reason": "x",
    }  # fmt: skip
    body = b"x\n" if kind in {"entries", "live", "text"} else b""
    code = ""
    try:
        message = wire.decode_message(gzip.compress(json.dumps(good | changed).encode() + b"\n" + body))
        if message.kind in {"entries", "live"}:
            message.entries()
    except WireError as error:
        code = error.code
    assert code in {"", *wire.PROBLEMS}


def test_problems_are_rfc_9457() -> None:
    for code, (status, title) in wire.PROBLEMS.items():
        made = wire.problem(code, "why")
        assert made == {"type": "about:blank", "title": title, "status": status, "code": code, "detail": "why"}


def test_narrow_entries_are_packed_harder() -> None:
    """Many small entries: a slow link's bytes count more than a millisecond; wide ones are packed as quickly as possible."""
    narrow = [b'{"seq":%d,"group":"door-%d.0","values":[%d.%d]}' % (n, n % 7, n % 13, n % 10) for n in range(1000)]
    header = {"kind": "entries", "session": "0" * 32, "n": 1, "epoch": "0" * 16, "first": 0}
    body = wire.lines(narrow)
    packed = len(wire.encode_message({**header, "count": len(narrow)}, body))
    quick = len(wire.encode_message({**header, "count": 1}, body))
    assert packed < 0.9 * quick
