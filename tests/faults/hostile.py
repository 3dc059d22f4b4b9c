"""Packs whose form is wrong: what no maker writes, and what a zip or gzip can do to a reader that trusts it; says what must come of each."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from edge_gateway.evidence import layout
from edge_gateway.evidence.zipped import MAX_MEMBERS
from tests.evidence.forging import Plan, packed

if TYPE_CHECKING:
    from tests.faults.tampering import Case, Truth

_END = struct.Struct("<4sHHHHIIH")


def hostile(dice: random.Random, real: Truth) -> Iterator[Case]:
    """All of them."""
    from tests.faults.tampering import Case

    data = packed(real.plan)
    for name, bent in _zips(dice, data):
        yield Case(f"zip-{name}", bent, "fail")
    yield Case("zip-crc", _central(data, 16, b"\0\0\0\0", local=14), "verify", why="the zip's own checksums mean nothing here")
    for name, manifest in _manifests(real.plan):
        yield Case(f"manifest-{name}", _with_manifest(data, manifest), "fail")
    first = real.plan.sheets[-1].segments()[0][0]
    for name, file in _segments(dice, real.plan, first):
        yield Case(f"segment-{name}", packed(real.plan.sheet(real.last, bend=lambda at, old, new=file: new if at == first else old)), "fail")
    for name in ("segments/x", f"segments/{'0' * 16}/000000000000.ndjson.gz", f"checkpoints/{real.plan.sheets[-1].epoch}/1.checkpoint", "texts/../x"):
        extra = packed(replace(real.plan, extra=(("extra" + "x" * (len(name) - 5), b"?"),)))
        yield Case("member-misplaced", extra.replace(b"extra" + b"x" * (len(name) - 5), name.encode()), "fail")


def _zips(dice: random.Random, data: bytes) -> Iterator[tuple[str, bytes]]:
    mark, _, _, here, many, length, at, _ = _END.unpack(data[-22:])
    yield "empty", b""
    yield "cut-short", data[: dice.randrange(len(data))]
    yield "one-more-byte", data + b"\0"
    yield "one-byte-before", b"\0" + data
    yield "no-zip", dice.randbytes(dice.randint(1, 400))
    yield "comment", data[:-2] + b"\1\0x"
    yield "fewer-members", data[:-22] + _END.pack(mark, 0, 0, here - 1, many - 1, length, at, 0)
    yield "more-members", data[:-22] + _END.pack(mark, 0, 0, MAX_MEMBERS, MAX_MEMBERS, length, at, 0)
    yield "directory-elsewhere", data[:-22] + _END.pack(mark, 0, 0, here, many, length, at - 1, 0)
    yield "gap", data[:at] + b"\0" + data[at:-22] + _END.pack(mark, 0, 0, here, many, length, at + 1, 0)
    yield "twice", _twice(data)
    yield "deflated", _central(data, 10, b"\x08\0", local=8)
    yield "encrypted", _central(data, 8, b"\x01\0", local=6)
    yield "other-size-inside", data[:22] + struct.pack("<I", 7) + data[26:]
    yield "huge-member", _central(data, 20, b"\xff\xff\xff\xfe\xff\xff\xff\xfe", local=18)
    yield "other-name-inside", data[:30] + b"S" + data[31:]
    yield "no-manifest", data.replace(b"manifest.json", b"manifest.jsox")
    yield "climbing-name", data.replace(b"keys.json", b"../s.json")


def _central(data: bytes, at: int, value: bytes, *, local: int) -> bytes:
    """The first member's header changed in both places."""
    where = _END.unpack(data[-22:])[6]
    data = data[: where + at] + value + data[where + at + len(value) :]
    return data[:local] + value + data[local + len(value) :]


def _twice(data: bytes) -> bytes:
    """A second member of the first one's name."""
    _, _, _, here, many, length, at, _ = _END.unpack(data[-22:])
    name = struct.unpack_from("<H", data, 26)[0]
    size = struct.unpack_from("<I", data, 18)[0]
    one = data[: 30 + name + size]
    head = data[at : at + 46 + name]
    again = head[:42] + struct.pack("<I", at) + head[46:]
    directory = data[at : at + length] + again
    return data[:at] + one + directory + _END.pack(b"PK\5\6", 0, 0, here + 1, many + 1, len(directory), at + len(one), 0)


def _with_manifest(data: bytes, manifest: bytes) -> bytes:
    """The last member's bytes exchanged; it is the manifest."""
    at = _END.unpack(data[-22:])[6]
    directory = data[at:-22]
    line = directory.rindex(b"PK\1\2")
    begin = struct.unpack_from("<I", directory, line + 42)[0]
    size = struct.pack("<II", len(manifest), len(manifest))
    head = data[begin : begin + 18] + size + data[begin + 26 : begin + 30 + len(layout.MANIFEST)]
    changed = directory[: line + 20] + size + directory[line + 28 :]
    end = begin + len(head) + len(manifest)
    many = _END.unpack(data[-22:])[4]
    return data[:begin] + head + manifest + changed + _END.pack(b"PK\5\6", 0, 0, many, many, len(changed), end, 0)


def _manifests(plan: Plan) -> Iterator[tuple[str, bytes]]:
    from edge_gateway.evidence.manifest import Manifest
    from tests.evidence.forging import part
    from tests.evidence.record import LOG

    told = orjson.loads(bytes(Manifest("tlf-007", LOG, plan.claim, tuple(map(part, plan.sheets)), {})))
    epoch = told["epochs"][-1]

    def other(**changes: object) -> bytes:
        return orjson.dumps(told | {"epochs": [*told["epochs"][:-1], epoch | changes]})

    yield "nothing", b""
    yield "no-json", b"{"
    yield "a-list", b"[]"
    yield "deep", b"[" * 100_000 + b"]" * 100_000
    yield "newer", orjson.dumps(told | {"format": "edge-gateway/evidence-pack/2"})
    yield "no-epochs", orjson.dumps(told | {"epochs": []})
    yield "epochs-twice", orjson.dumps(told | {"epochs": [*told["epochs"], epoch]})
    yield "size-negative", other(size=-1)
    yield "size-fraction", other(size=epoch["size"] + 0.5)
    yield "size-true", other(size=True)
    yield "size-text", other(size=str(epoch["size"]))
    yield "size-huge", other(size=2**53 - 1)
    yield "size-smaller", other(size=epoch["size"] - 1)
    yield "size-larger", other(size=epoch["size"] + 1)
    yield "given-overlaps", other(given=[*epoch["given"], [0, 1, "0" * 64]])
    yield "given-misaligned", other(given=[*epoch["given"], [3, 2, "0" * 64]])
    yield "given-no-power", other(given=[*epoch["given"], [0, 3, "0" * 64]])
    yield "given-no-root", other(given=[*epoch["given"], [0, 1, "0" * 63]])
    yield "given-behind", other(given=[*epoch["given"], [2**40, 2**40, "0" * 64]])
    yield "epoch-name", other(epoch="../../etc/passwd")
    yield "claim-text", orjson.dumps(told | {"claim": "all of it"})
    yield "claim-empty", orjson.dumps(told | {"claim": {}})


def _segments(dice: random.Random, plan: Plan, first: int) -> Iterator[tuple[str, bytes]]:
    from tests.evidence.forging import sealed

    sheet = plan.sheets[-1]
    data = sealed(sheet, first, dict(sheet.segments())[first])
    footer_at = int(orjson.loads(zlib.decompress(data[-52:], 31))["footer_at"])
    footer = orjson.loads(zlib.decompressobj(31).decompress(data[footer_at:-52]))
    yield "empty", b""
    yield "no-gzip", dice.randbytes(200)
    yield "cut-short", data[: dice.randrange(1, len(data))]
    yield "one-more-byte", data + b"\0"
    yield "one-more-member", data + _member(b"{}\n")
    yield "one-more-in-front", _member(b"{}\n") + data
    yield "bomb", _member(b"0" * (60 << 20)) + data[-52:]
    yield "plain", b"".join(entry + b"\n" for entry in sheet.entries[:4])
    for name, changes in (
        ("count-less", {"count": footer["count"] - 1}),
        ("count-huge", {"count": 2**52}),
        ("count-true", {"count": True}),
        ("first-other", {"first": footer["first"] + 1}),
        ("epoch-other", {"epoch": "f" * 16}),
        ("root-other", {"root": "0" * 64}),
        ("root-none", {"root": None}),
        ("members-none", {"members": []}),
        ("members-back", {"members": [*footer["members"][::-1], footer["members"][0]]}),
        ("members-fraction", {"members": [[each, at + 0.0] for each, at in footer["members"]]}),
        ("members-later", {"members": [[footer["members"][0][0], 1], *footer["members"][1:]]}),
        ("members-text", {"members": "all"}),
    ):
        yield f"footer-{name}", data[:footer_at] + _member(orjson.dumps(footer | changes) + b"\n") + data[-52:]
    yield "footer-list", data[:footer_at] + _member(b"[]\n") + data[-52:]
    yield "footer-deep", data[:footer_at] + _member(b"[" * 50_000 + b"\n") + data[-52:]


def _member(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()
