"""Vectors of gzip and of segment files, built by hand or from zlib and then spoilt; knows neither verifier."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from hashlib import sha256
from random import Random
from typing import Any

from tests.vectors import oracle
from tests.vectors.trees import Vector, flipped

MOST = 1 << 20


def _data(rng: Random) -> bytes:
    """From noise to long repeats, so that every kind of block and every length of match comes up."""
    size = rng.choice((0, 1, rng.randrange(300), rng.randrange(5000), rng.randrange(70000) if rng.random() < 0.1 else 40))
    some = rng.randbytes(rng.randrange(1, 40))
    return rng.choice((rng.randbytes(size), (some * (size // len(some) + 1))[:size], bytes(size), bytes(rng.choices(b"ab\n{}:0123456789", k=size))))


def _header(rng: Random) -> bytes:
    flags = rng.randrange(32)
    head = b"\x1f\x8b\x08" + bytes([flags]) + rng.randbytes(6)
    if flags & 4:
        extra = rng.randbytes(rng.randrange(20))
        head += struct.pack("<H", len(extra)) + extra
    head += b"name\0" * (flags >> 3 & 1) + b"comment\0" * (flags >> 4 & 1)
    return head + (struct.pack("<H", zlib.crc32(head) & 0xFFFF) if flags & 2 else b"")


def _deflated(rng: Random, data: bytes) -> bytes:
    packer = zlib.compressobj(rng.randrange(10), zlib.DEFLATED, -15, rng.randrange(1, 10), rng.choice((0, 1, 2, 3, 4)))
    middle = rng.randrange(len(data) + 1)
    return packer.compress(data[:middle]) + packer.flush(rng.choice((zlib.Z_NO_FLUSH, zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH))) + packer.compress(data[middle:]) + packer.flush()


def _end(data: bytes) -> bytes:
    return struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)


def _bits(*fields: tuple[int, int]) -> bytes:
    """(value, how many bits), the least bit first: DEFLATE's own order."""
    held, at = 0, 0
    for value, count in fields:
        held |= value << at
        at += count
    return held.to_bytes((at + 7) // 8, "little")


def _code(bits: str) -> tuple[int, int]:
    """A Huffman code as it is written down, most significant bit first."""
    return int(bits[::-1], 2), len(bits)


def _dynamic(lengths: list[int], literals: int, fars: int, *codes: str) -> bytes:
    """A last block whose code lengths are spelled one by one (each in 4 bits), and the codes behind them."""
    order = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
    fields = [(1, 1), (2, 2), (literals - 257, 5), (fars - 1, 5), (15, 4), *((4 if symbol < 16 else 0, 3) for symbol in order)]
    return _bits(*fields, *(_code(f"{length:04b}") for length in lengths), *map(_code, codes))


#: DEFLATE streams that are none, each for its own reason.
MALFORMED: dict[str, bytes] = {
    "a block of the fourth kind": _bits((1, 1), (3, 2)) + bytes(8),
    "a stored block whose length is not confirmed": _bits((1, 1), (0, 2)) + struct.pack("<HH", 3, 3) + b"abc" + bytes(8),
    "a stored block cut short": _bits((1, 1), (0, 2)) + struct.pack("<HH", 300, 300 ^ 0xFFFF) + b"abc",
    "a match before anything": _bits((1, 1), (1, 2), (0b0000001, 7), (0, 5), (0, 7)) + bytes(8),
    "a match farther back than the output is": _bits((1, 1), (1, 2), (0b00001100, 8), (0b0000001 << 6 >> 6, 7), (0b10000, 5)) + bytes(8),
    "the length symbol 286": _bits((1, 1), (1, 2), (int("11000110"[::-1], 2), 8)) + bytes(8),
    "the distance symbol 30": _bits((1, 1), (1, 2), (int("00110000"[::-1], 2), 8), (int("0000001"[::-1], 2), 7), (int("11110"[::-1], 2), 5)) + bytes(8),
    "287 literal codes": _bits((1, 1), (2, 2), (30, 5), (0, 5), (15, 4)) + bytes(60),
    "31 distance codes": _bits((1, 1), (2, 2), (0, 5), (30, 5), (15, 4)) + bytes(60),
    "no code for code lengths": _bits((1, 1), (2, 2), (0, 5), (0, 5), (15, 4)) + bytes(60),
    "no end of block": _dynamic([8] * 256 + [0] + [1], 257, 1) + bytes(60),
    "too many codes of one bit": _dynamic([1] * 257 + [1], 257, 1) + bytes(60),
    "an incomplete literal code": _dynamic([9] * 257 + [1], 257, 1) + bytes(60),
    "an incomplete distance code of two": _dynamic([0] * 255 + [1, 1] + [2, 2], 257, 2) + bytes(60),
    "a repeat of nothing": _bits((1, 1), (2, 2), (0, 5), (0, 5), (15, 4), (1, 3), *((0, 3),) * 2, (1, 3), *((0, 3),) * 15, (1, 1), (0, 2)) + bytes(60),
    "nothing": b"",
}  # fmt: skip


#: "a" and the end, by a code that leaves others unspoken: whoever does not ask for completeness reads it.
_INCOMPLETE = _dynamic([0] * 97 + [2] + [0] * 158 + [2] + [1], 257, 1, "00", "01")
#: Three bytes from three bytes back, as the first thing of a member.
_INTO_THE_MEMBER_BEFORE = _bits((1, 1), (1, 2), _code("0000001"), _code("00010"), _code("0000000"))


def inflated_parts(data: bytes) -> Iterator[bytes]:
    """What each of a series of good gzip members holds."""
    while data:
        unpacker = zlib.decompressobj(31)
        yield unpacker.decompress(data)
        data = unpacker.unused_data


def inflated(data: bytes, most: int) -> bytes | None:
    """What a series of gzip members holds; None when it is none, or more than ``most``."""
    out, rest = b"", data
    while rest or not data:
        unpacker = zlib.decompressobj(31)
        try:
            out += unpacker.decompress(rest, most - len(out) + 1)
        except zlib.error:
            return None
        if len(out) > most or not unpacker.eof:
            return None
        rest = unpacker.unused_data
    return out


def gzip(rng: Random, bad: bool) -> Vector:
    plain = [_data(rng) for _ in range(rng.choice((1, 1, 2)))]
    whole = b"".join(_header(rng) + _deflated(rng, each) + _end(each) for each in plain)
    if bad:
        whole = _spoilt_gzip(rng, whole, plain[-1])
    found = inflated(whole, MOST)
    want = "bad" if found is None else {"size": len(found), "sha256": sha256(found).hexdigest()}
    return {"kind": "gzip", "given": {"data": oracle.b64(whole), "most": MOST}, "want": want}


def _spoilt_gzip(rng: Random, whole: bytes, last: bytes) -> bytes:
    plain = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    return rng.choice((
        lambda: flipped(rng, whole),
        lambda: flipped(rng, whole),
        lambda: whole[: rng.randrange(len(whole))],
        lambda: whole + rng.randbytes(rng.randrange(1, 30)),
        lambda: whole[:-8] + rng.randbytes(8),
        lambda: whole[:-4] + struct.pack("<I", len(last) + 1),
        lambda: whole[:3] + bytes([whole[3] | rng.choice((0x20, 0x40, 0x80))]) + whole[4:],
        lambda: plain + rng.choice(list(MALFORMED.values())) + _end(b""),
        lambda: plain + rng.randbytes(40),
        lambda: plain + _INCOMPLETE + _end(b"a"),
        lambda: whole + plain + _INTO_THE_MEMBER_BEFORE + _end(whole_data[-3:]) if len(whole_data := b"".join(inflated_parts(whole))) > 2 else whole[:-1],
        lambda: oracle.member(bytes(MOST + 1)),
        lambda: whole + oracle.member(bytes(MOST)) * 2,
    ))()  # fmt: skip


# --- segment files


def entry(seq: int, rng: Random, **more: Any) -> bytes:
    wall_us = 1_770_000_000_000_000 + seq * 1_000_000
    told = {"v": 1, "seq": seq, "kind": "batch", "rule_us": wall_us, "wall_us": wall_us, "mono_us": seq, "boot": "0" * 12, "trusted": True}
    told |= {"config_seq": 1, "group": "d.1", "values": [rng.randrange(-300, 300) / 10], "note": rng.choice(("", "冷库", 'a"b\\'))}
    return json.dumps(told | more, separators=(",", ":"), ensure_ascii=rng.random() < 0.5).encode()


EPOCH = "0123456789abcdef"


def segment(rng: Random, bad: bool) -> Vector:
    first = rng.choice((0, 0, 64, 4096 * rng.randrange(5)))
    entries = [entry(first + n, rng) for n in range(rng.choice((1, 2, 16, rng.randrange(1, 40))))]
    a_member = rng.choice((1, 3, 4, 16, 256))
    data = oracle.segment(EPOCH, first, entries, a_member)
    want: Any = {"count": len(entries), "root": oracle.root_of([oracle.leaf(each) for each in entries]).hex()}
    if bad:
        data, want = _spoilt(rng, data, first, entries, a_member, want)
    return {"kind": "segment", "given": {"file": oracle.b64(data), "epoch": EPOCH, "first": first}, "want": want}


#: Lines that are no entry 7.
NO_ENTRIES = (
    b"", b"null", b"7", b"[]", b'{"seq":7}', b'{"kind":"tick"}', b'{"seq":"7","kind":"tick"}', b'{"seq":8,"kind":"tick"}',
    b'{"seq":7,"kind":null}', b'{"seq":7.0,"kind":"tick"}', b'{"seq":7e0,"kind":"tick"}', b'{"seq":true,"kind":"tick"}',
    b'{"seq":7,"kind":"tick"', b'{"seq":7,"kind":"tick"}}', b'{"seq":7,"kind":"tick",}', b"{'seq':7}", b'{"seq":7,"kind":"\xff"}',
    b'{"seq":7,"kind":"tick","x":NaN}', b'{"seq":7,"kind":"tick","x":01}', b'{"seq":7,"kind":"tick","x":"\\ud800"}', b'\xef\xbb\xbf{"seq":7,"kind":"tick"}',
    b'{"seq":7,"kind":"tick","x":"\\udc00\\ud800"}', b'{"seq":7,"seq":8,"kind":"tick"}', b'{"v":1,"seq":7,"kind":"tick","seq":7.0}',
    b'{"seq":7,"kind":"tick","x":"a\tb"}', b'{"s\\u0065q":7.0,"kind":"tick"}', b'{"x":{"seq":7},"kind":"tick"}', b'{"seq":07,"kind":"tick"}',
)  # fmt: skip
#: Lines that are entry 7, however odd.
ODD_ENTRIES = (
    b'{"seq":7,"kind":"tick"}', b' {"kind":"tick" , "seq" : 7 } ', b'{"seq":8,"kind":"tick","seq":7}', b'{"seq":7,"kind":"moon","x":[{"seq":7.5}]}',
    b'{"v":1,"seq":7,"kind":"tick","x":"\\"seq\\":9"}', b'{"seq":7,"kind":"tick","x":"\\ud83d\\ude00\\\\ud800"}', b'{"s\\u0065q":7,"kind":"tick"}',
    b'{"seq":7,"kind":""}', b'{"v":1,"seq":7,"kind":"tick","x":"a\x7fb"}', b'{"seq":7,"kind":"tick","x":1e400}'[:0] + b'{"seq":7,"kind":"tick","x":1e300}',
)  # fmt: skip


def line(rng: Random, bad: bool) -> Vector:
    """A segment of eight entries whose last one is odd, or none."""
    last = rng.choice(NO_ENTRIES if bad else ODD_ENTRIES)
    entries = [*(entry(n, rng) for n in range(7)), last]
    want: Any = "bad" if bad else {"count": 8, "root": oracle.root_of([oracle.leaf(each) for each in entries]).hex()}
    given = {"file": oracle.b64(oracle.segment(EPOCH, 0, entries, 8)), "epoch": EPOCH, "first": 0}
    return {"kind": "segment", "given": given, "want": want}


def _spoilt(rng: Random, data: bytes, first: int, entries: list[bytes], a_member: int, want: Any) -> tuple[bytes, Any]:
    def again(**footer: Any) -> tuple[bytes, Any]:
        return oracle.segment(EPOCH, first, entries, a_member, **footer), "bad"

    def flip() -> tuple[bytes, Any]:
        """A flip in a date or in padding is harmless: what zlib makes of it, and where members lie, decides."""
        other = flipped(rng, data)
        return other, want if _members(other) == _members(data) else "bad"

    def changed(entries: list[bytes], root: str | None = None) -> tuple[bytes, Any]:
        kept = want["root"] if root is None else root
        return oracle.segment(EPOCH, first, entries, a_member, root=kept), "bad"

    at, count = rng.randrange(len(entries)), len(entries)
    places = [[first + n, 0] for n in range(0, count, a_member)]
    return rng.choice((
        flip, flip, flip, lambda: (data[: rng.randrange(len(data))], "bad"), lambda: (data + b"\0", "bad"), lambda: (b"\0" + data, "bad"),
        lambda: (data + oracle.trailer(0), "bad"), lambda: (oracle.member(b"x\n") + data, "bad"), lambda: (b"", "bad"),
        lambda: (data[:-52] + oracle.member(b"") + data[-52:], "bad"), lambda: (data[:-52] + oracle.trailer(len(data)), "bad"),
        lambda: (data[:-52] + oracle.trailer(rng.randrange(1, len(data))), "bad"),
        lambda: changed([*entries[:at], entries[at].replace(b"batch", b"bitch"), *entries[at + 1 :]]),
        lambda: changed([*entries, entry(first + count, rng)]), lambda: again(count=count + 1), lambda: again(count=0), lambda: again(count=str(count)),
        lambda: again(root="0" * 64), lambda: again(root=want["root"].upper() + "x"), lambda: again(first=first + 1), lambda: again(epoch="0" * 16),
        lambda: again(members=[[first, 1]]), lambda: again(members=[]), lambda: again(members=[*places, [first + count, 3]]), lambda: again(members=None),
        lambda: again(members=[[first + 1, 0]]), lambda: again(members=[[first, 0], [first, 0]]), lambda: again(count=4097),
        lambda: (oracle.segment(EPOCH, first, [*entries[:-1], entry(first + count, rng)], a_member), "bad"),
        lambda: (oracle.segment(EPOCH, first, [*entries[:-1], entries[-1][:-1]], a_member), "bad"),
        lambda: (_no_last_newline(first, entries), "bad"), lambda: (_two_lines(first, entries), "bad"),
    ))()  # fmt: skip


def _members(data: bytes) -> list[tuple[int, bytes]] | None:
    found, at = [], 0
    while at < len(data):
        unpacker = zlib.decompressobj(31)
        try:
            plain = unpacker.decompress(data[at:])
        except zlib.error:
            return None
        if not unpacker.eof:
            return None
        found.append((at, plain))
        at = len(data) - len(unpacker.unused_data)
    return found


def _no_last_newline(first: int, entries: list[bytes]) -> bytes:
    data = oracle.member(b"\n".join(entries))
    told = {"epoch": EPOCH, "first": first, "count": len(entries), "members": [[first, 0]], "root": oracle.root_of([oracle.leaf(each) for each in entries]).hex()}
    return data + oracle.member(json.dumps(told).encode() + b"\n") + oracle.trailer(len(data))


def _two_lines(first: int, entries: list[bytes]) -> bytes:
    """A second line in the footer's member."""
    data = oracle.member(b"".join(each + b"\n" for each in entries))
    told = {"epoch": EPOCH, "first": first, "count": len(entries), "members": [[first, 0]], "root": oracle.root_of([oracle.leaf(each) for each in entries]).hex()}
    return data + oracle.member(json.dumps(told).encode() + b"\n{}\n") + oracle.trailer(len(data))
