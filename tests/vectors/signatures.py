"""Vectors of Ed25519, keys, notes, checkpoints, cosignatures and proofs of one entry; a bad one is a good one with one named fault."""

from __future__ import annotations

import base64
from collections.abc import Callable
from random import Random
from typing import Any

from tests.vectors import oracle
from tests.vectors.oracle import Signer
from tests.vectors.trees import Vector, flipped

ORDER = 2**252 + 27742317777372353535851937790883648493
PRIME = 2**255 - 19
#: y of the points whose order divides 8 (the torsion subgroup of edwards25519), least byte first.
SMALL_Y = (0, 1, PRIME - 1, int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"))
_EPOCH = "0123456789abcdef"


def _signer(rng: Random, kind: int = 1) -> Signer:
    word = "".join(rng.choice("abcdefghijklmnop-.0123456789") for _ in range(rng.randrange(1, 12)))
    names = (f"example.org/{word}", f"w{word}", f"例.org/{word}")
    return Signer(rng.randbytes(32), rng.choice(names), kind)


def ed25519(rng: Random, bad: bool) -> Vector:
    signer, message = _signer(rng), rng.randbytes(rng.randrange(200))
    given = {"key": signer.public, "message": message, "signature": signer.sign(message)}
    if bad:
        rng.choice(_SPOIL_ED25519)(rng, given)
    return {"kind": "ed25519", "given": {name: value.hex() for name, value in given.items()}, "want": not bad}


def _flip(name: str) -> Callable[[Random, dict[str, bytes]], None]:
    def spoil(rng: Random, given: dict[str, bytes]) -> None:
        given[name] = flipped(rng, given[name]) if given[name] else b"\0"

    return spoil


def _s_plus_order(rng: Random, given: dict[str, bytes]) -> None:
    s = int.from_bytes(given["signature"][32:], "little") + ORDER * rng.choice((1, 1, 2, 7))
    given["signature"] = given["signature"][:32] + s.to_bytes(32, "little")


def _small_key(rng: Random, given: dict[str, bytes]) -> None:
    """Of small order, or spelled with y ≥ p: for such a key R = S·B is a valid signature of (nearly) any message, and S = 0 among them."""
    y = rng.choice((*SMALL_Y, PRIME - SMALL_Y[3], PRIME, PRIME + 1))
    given["key"] = (y | rng.choice((0, 1 << 255))).to_bytes(32, "little")
    given["signature"] = rng.choice((b"\x01" + bytes(63), given["key"] + bytes(32), given["signature"]))


def _wide_key(rng: Random, given: dict[str, bytes]) -> None:
    given["key"] = (PRIME + rng.randrange(19) | rng.choice((0, 1 << 255))).to_bytes(32, "little")


def _cut(rng: Random, given: dict[str, bytes]) -> None:
    signature = given["signature"]
    given["signature"] = rng.choice((signature[:-1], signature + b"\0", b"", signature[:32]))


def _trade(rng: Random, given: dict[str, bytes]) -> None:
    given["signature"] = given["signature"][32:] + given["signature"][:32]


def _other_key(rng: Random, given: dict[str, bytes]) -> None:
    given["key"] = _signer(rng).public


_SPOIL_ED25519 = (
    _flip("key"), _flip("message"), _flip("signature"), _flip("signature"), _s_plus_order, _s_plus_order,
    _small_key, _small_key, _wide_key, _cut, _trade, _other_key,
)  # fmt: skip


def key(rng: Random, bad: bool) -> Vector:
    signer = _signer(rng, rng.choice((1, 4)))
    want = {"name": signer.name, "kind": signer.kind, "public": signer.public.hex(), "id": signer.id.hex()}
    if not bad:
        return {"kind": "key", "given": {"vkey": rng.choice(("", " \n")) + signer.vkey + rng.choice(("", "\r\n"))}, "want": want}
    small = Signer(rng.randbytes(32), signer.name, signer.kind)
    small.public = (rng.choice((*SMALL_Y, PRIME + rng.randrange(19))) | rng.choice((0, 1 << 255))).to_bytes(32, "little")
    short = Signer(rng.randbytes(32), signer.name, signer.kind)
    short.public = short.public[:31]
    vkey, id_ = signer.vkey, signer.id.hex()
    wrong = (
        vkey[:-1], vkey.replace("+", "", 1), vkey.replace(id_, flipped(rng, signer.id).hex()), vkey.replace(id_, id_.upper() + "0"),
        vkey + "=", "+" + id_ + vkey[len(signer.name) + 9 :], vkey.replace(signer.name, signer.name + "x", 1), small.vkey, small.vkey, short.vkey,
        Signer(rng.randbytes(32), signer.name, rng.choice((0, 2, 3, 5, 6, 255))).vkey, Signer(rng.randbytes(32), "a b", 1).vkey,
        Signer(rng.randbytes(32), "a\u3000b", 1).vkey, f"{signer.name}+{id_}+", "", vkey.replace("+", "-"),
    )  # fmt: skip
    return {"kind": "key", "given": {"vkey": rng.choice(wrong)}, "want": "bad"}


def note(rng: Random, bad: bool) -> Vector:
    signer, other = _signer(rng), _signer(rng)
    text = "".join(rng.choice(("line\n", "\n", "ümlaut 冷库\n", "\u2014 dash\n", "x\u00a0y\n")) for _ in range(rng.randrange(1, 6))) + "end\n"
    lines = [signer.line(text), *(other.line(text) for _ in range(rng.randrange(3)))]
    rng.shuffle(lines)
    data = f"{text}\n{''.join(lines)}".encode()
    if not bad:
        return {"kind": "note", "given": {"note": oracle.b64(data), "key": signer.vkey}, "want": True}
    wrong: tuple[tuple[bytes, Any], ...] = (
        (data.replace(b"end\n", b"eno\n"), False), (f"{text}\n{other.line(text)}".encode(), False), (data[:-1], "bad"),
        (data.replace(b"end\n", b"e\td\n"), "bad"), (data.replace(b"end\n", b"e\rd\n"), "bad"), (data.replace(b"end\n", b"e\xffd\n"), "bad"),
        (text.encode(), "bad"), (f"{text}\n".encode(), "bad"), (data + b"\n", "bad"), (data + b"\xe2\x80\x94 x\n", "bad"),
        (data.replace(b"\xe2\x80\x94 ", b"- "), "bad"), (data + signer.line("other\n").encode(), False),
        (data + f"\u2014 {signer.name} {oracle.b64(signer.id)}\n".encode(), "bad"),
        (data + f"\u2014 {signer.name} {oracle.b64(signer.id + b'123')}\n".encode(), False),
        (data + b"".join([other.line(text).encode()] * 100), "bad"), (data + f"\u2014 a+b {oracle.b64(bytes(40))}\n".encode(), "bad"),
        (f"{'x' * 70000}\n\n{signer.line('x' * 70000 + chr(10))}".encode(), "bad"),
        (f"{text}\n{_padded(signer.line(text))}".encode(), "bad"),
    )  # fmt: skip
    spoilt, want = rng.choice(wrong)
    return {"kind": "note", "given": {"note": oracle.b64(spoilt), "key": signer.vkey}, "want": want}


def _padded(line: str) -> str:
    """The same bytes in another spelling of base64: the padding's bits are not zero."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    before, text = line.rstrip("\n").rsplit(" ", 1)
    bare = text.rstrip("=")
    assert len(bare) < len(text), "68 bytes end in one padding sign"
    return f"{before} {bare[:-1]}{letters[letters.index(bare[-1]) ^ 1]}{text[len(bare) :]}\n"


def _log(rng: Random) -> tuple[Signer, Signer, list[bytes]]:
    log = Signer(rng.randbytes(32), f"example.org/xj/tlf-{rng.randrange(999)}/{rng.randbytes(8).hex()}", 1)
    witness = Signer(rng.randbytes(32), f"hub.example.org/{rng.randrange(99)}", 4)
    return log, witness, [rng.randbytes(rng.randrange(1, 80)) for _ in range(rng.randrange(1, 40))]


def checkpoint(rng: Random, bad: bool) -> Vector:
    log, witness, _ = _log(rng)
    size = rng.choice((0, 1, rng.randrange(10**6), 2**53 - 1))
    root = rng.randbytes(32)
    text = oracle.head(log.name, size, root)
    time_s = rng.choice((rng.randrange(2**31), 0, 1, 2**53 - 1))
    lines = [log.line(text), witness.line(text, time_s)]
    want: Any = {"origin": log.name, "size": size, "root": root.hex(), "witnessed": time_s}
    asked = {"log": log.vkey, "witness": witness.vkey}
    if not bad:
        lines += [_signer(rng).line(text)] * rng.randrange(2)
        rng.shuffle(lines)
    else:
        text, lines, want = rng.choice(_SPOIL_CHECKPOINT)(rng, log, witness, (size, root, time_s), want)
    return {"kind": "checkpoint", "given": {"note": oracle.b64(f"{text}\n{''.join(lines)}".encode()), **asked}, "want": want}


Spoilt = tuple[str, list[str], Any]


def _of_text(change: Callable[[Random, str, int, bytes], str]) -> Callable[..., Spoilt]:
    """A text that is no checkpoint (or not this one), signed by log and witness."""

    def spoil(rng: Random, log: Signer, witness: Signer, told: tuple[int, bytes, int], want: Any) -> Spoilt:
        text = change(rng, log.name, told[0], told[1])
        return text, [log.line(text), witness.line(text, told[2])], "bad"

    return spoil


def _text_after_signing(rng: Random, log: Signer, witness: Signer, told: tuple[int, bytes, int], want: Any) -> Spoilt:
    text = oracle.head(log.name, told[0], told[1])
    lines = [log.line(text), witness.line(text, told[2])]
    return oracle.head(log.name, told[0] ^ 1, told[1]), lines, "bad"


def _cosignature(change: Callable[[Random, Signer, str, int], str]) -> Callable[..., Spoilt]:
    """The log's signature is right, the witness's line is not: a checkpoint that nobody witnessed."""

    def spoil(rng: Random, log: Signer, witness: Signer, told: tuple[int, bytes, int], want: Any) -> Spoilt:
        text = oracle.head(log.name, told[0], told[1])
        return text, [log.line(text), change(rng, witness, text, told[2])], want | {"witnessed": None}

    return spoil


def _line(witness: Signer, signed: bytes) -> str:
    return f"\u2014 {witness.name} {oracle.b64(witness.id + signed)}\n"


def _other_time(rng: Random, witness: Signer, text: str, time_s: int) -> str:
    signed = base64.b64decode(witness.line(text, time_s).rsplit(" ", 1)[1])[4:]
    return _line(witness, (time_s ^ 1).to_bytes(8, "big") + signed[8:])


def _plain_signature(rng: Random, witness: Signer, text: str, time_s: int) -> str:
    """Of the text alone, as a log signs."""
    return _line(witness, time_s.to_bytes(8, "big") + witness.sign(text.encode()))


def _late(rng: Random, witness: Signer, text: str, time_s: int) -> str:
    return witness.line(text, rng.choice((2**53, 2**63 - 1, 2**63, 2**64 - 1)))


def _one_right_one_wrong(rng: Random, witness: Signer, text: str, time_s: int) -> str:
    lines = [witness.line(text, time_s), _other_time(rng, witness, text, time_s)]
    rng.shuffle(lines)
    return "".join(lines)


_SPOIL_CHECKPOINT: tuple[Callable[..., Spoilt], ...] = (
    _text_after_signing,
    _of_text(lambda _, origin, size, root: oracle.head(origin + "x", size, root)),
    _of_text(lambda _, origin, size, root: oracle.head(origin, size, root) + "extension\n"),
    _of_text(lambda _, origin, size, root: oracle.head(origin, size, root).replace(f"\n{size}\n", f"\n0{size}\n")),
    _of_text(lambda rng, origin, size, root: oracle.head(origin, size, root).replace(f"\n{size}\n", rng.choice(("\n-1\n", "\n+1\n", "\n1e3\n", "\n\uff11\n", "\n \n", "\n9007199254740992\n", "\n99999999999999999999\n")))),
    _of_text(lambda rng, origin, size, root: oracle.head(origin, size, root[: rng.choice((0, 31))])),
    _of_text(lambda _, origin, size, root: oracle.head(origin, size, root + b"x")),
    _of_text(lambda _, origin, size, root: oracle.head(origin, size, root).replace("=\n", "\n")),
    _of_text(lambda _, origin, size, root: oracle.head("", size, root)),
    _of_text(lambda _, origin, size, root: f"{origin}\n{size}\n"),
    lambda rng, log, witness, told, want: (oracle.head(log.name, told[0], told[1]), [witness.line(oracle.head(log.name, told[0], told[1]), told[2])], "bad"),
    lambda rng, log, witness, told, want: (oracle.head(log.name, told[0], told[1]), [Signer(rng.randbytes(32), log.name, 1).line(oracle.head(log.name, told[0], told[1]))], "bad"),
    _cosignature(_other_time), _cosignature(_plain_signature), _cosignature(_late), _cosignature(_one_right_one_wrong),
    _cosignature(lambda rng, witness, text, time_s: _line(witness, rng.randbytes(72))),
    _cosignature(lambda rng, witness, text, time_s: _line(witness, base64.b64decode(witness.line(text, time_s).rsplit(" ", 1)[1])[4:-1])),
    _cosignature(lambda rng, witness, text, time_s: Signer(rng.randbytes(32), witness.name, 4).line(text, time_s)),
    _cosignature(lambda rng, witness, text, time_s: witness.named(witness.name + "x").line(text, time_s)),
    _cosignature(lambda rng, witness, text, time_s: witness.line(text.replace("\n", "x\n", 1), time_s)),
)  # fmt: skip


def proof(rng: Random, bad: bool) -> Vector:
    log, witness, entries = _log(rng)
    leaves = [oracle.leaf(entry) for entry in entries]
    index, size, root, time_s = rng.randrange(len(entries)), len(entries), oracle.root_of(leaves), rng.randrange(2**31)
    text = oracle.head(log.name, size, root)
    note_ = f"{text}\n{log.line(text)}{witness.line(text, time_s)}".encode()
    path, entry = oracle.path_of(leaves, index), entries[index]
    data = oracle.proof(index, path, note_, rng.choice((None, b"", b"anything")))
    want: Any = {"index": index, "origin": log.name, "size": size, "root": root.hex(), "witnessed": time_s}
    if bad:
        wrong = (
            lambda: (data, entry + b"x"), lambda: (data, b"\0" + entry), lambda: (oracle.proof(index + 1, path, note_), entry),
            lambda: (oracle.proof(index, [*path, root], note_), entry), lambda: (oracle.proof(index, path[1:] or [root], note_), entry),
            lambda: (data.replace(b"@v1", b"@v2"), entry), lambda: (data.replace(b"index ", b"index 0"), entry), lambda: (data.replace(b"index ", b"index +"), entry),
            lambda: (oracle.proof(index, path, note_.replace(b"\n", b"x\n", 1)), entry), lambda: (data[:-2], entry), lambda: (data.partition(b"\n\n")[0], entry),
            lambda: (oracle.proof(index, [*path, b"x" * 31], note_), entry), lambda: (oracle.proof(index, [*path] + [root] * 64, note_), entry),
            lambda: (oracle.proof(index, path, f"{text}\n{witness.line(text, time_s)}".encode()), entry), lambda: (b"\n" + data, entry),
            lambda: (data.replace(b"index ", "índex ".encode()), entry), lambda: (data.replace(b"index", b"index 9007199254740993\nindex"), entry),
            lambda: (data.replace(b"\n\n", b"\n" + oracle.b64(rng.randbytes(32)).replace("=", "").encode() + b"=\n\n", 1), entry),
        )  # fmt: skip
        data, entry = rng.choice(wrong)()
        want = "bad"
    given = {"proof": oracle.b64(data), "entry": oracle.b64(entry), "log": log.vkey, "witness": witness.vkey}
    return {"kind": "proof", "given": given, "want": want}
