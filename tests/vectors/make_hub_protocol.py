"""Writes hub-protocol.jsonl: built from docs/reference/hub-protocol.md with the standard library alone, importing nothing of ours.

Signatures are made by the few lines of RFC 8032 (sections 5.1.5 and 5.1.6) below: slow, and open to who can measure time.

Run `python tests/vectors/make_hub_protocol.py` after a change of the page; the test compares the file with it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import zlib
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("hub-protocol.jsonl")
TOKEN = "rh_" + "A1b2C3d4E5" * 4 + "xyz"
GATEWAY = "tlf-007"
MINE, THEIRS = "00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100"
SESSION = MINE + THEIRS
EPOCH, OTHER = "0123456789abcdef", "fedcba9876543210"
TEXT = '{"groups":{"d.1":{"interval_us":1000000,"points":["p"]}},"points":{"p":{"unit":"Cel"}},"site":{"id":"tlf-007"}}'
SHA = hashlib.sha256(TEXT.encode()).hexdigest()


def entry(seq: int, kind: str, **more: Any) -> str:
    common = {"v": 1, "seq": seq, "kind": kind, "rule_us": seq, "wall_us": seq, "mono_us": seq, "boot": "0" * 12}
    return json.dumps({**common, "trusted": True, **more}, separators=(",", ":"), ensure_ascii=False)


SNAPSHOT = entry(0, "snapshot", config=None, configs=[], state={})
CONFIG = entry(1, "config", text=SHA, texts={}, software="0.1.0", by="root", reason="start", changes=[])
BATCHES = [entry(seq, "batch", config_seq=1, group="d.1", values=[-18.5 + seq]) for seq in range(2, 6)]
UNKNOWN = entry(6, "phase-of-the-moon", says="later release, 更晚的版本")
ENTRIES = [SNAPSHOT, CONFIG, *BATCHES, UNKNOWN]


P, Q = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
BASE_Y = 4 * pow(5, -1, P) % P


def base_x() -> int:
    square = (BASE_Y * BASE_Y - 1) * pow(D * BASE_Y * BASE_Y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if x * x % P == square else x * pow(2, (P - 1) // 4, P) % P
    return P - x if x & 1 else x


def added(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    twist = D * a[0] * b[0] * a[1] * b[1] % P
    x = (a[0] * b[1] + b[0] * a[1]) * pow(1 + twist, -1, P) % P
    return x, (a[1] * b[1] + a[0] * b[0]) * pow(1 - twist, -1, P) % P


def times(number: int) -> bytes:
    """``number`` times the base point, as 32 bytes."""
    total, point = (0, 1), (base_x(), BASE_Y)
    while number:
        total = added(total, point) if number & 1 else total
        point, number = added(point, point), number >> 1
    return (total[1] | (total[0] & 1) << 255).to_bytes(32, "little")


def sha512(*parts: bytes) -> bytes:
    return hashlib.sha512(b"".join(parts)).digest()


def secret(seed: bytes) -> tuple[int, bytes]:
    whole = sha512(seed)
    return int.from_bytes(whole[:32], "little") & ((1 << 254) - 8) | 1 << 254, whole[32:]


def signed(seed: bytes, text: bytes) -> bytes:
    number, prefix = secret(seed)
    r = int.from_bytes(sha512(prefix, text), "little") % Q
    first = times(r)
    k = int.from_bytes(sha512(first, times(number), text), "little") % Q
    return first + ((r + k * number) % Q).to_bytes(32, "little")


GATEWAY_SEED, OTHER_SEED, HUB_SEED = b"g" * 32, b"o" * 32, b"h" * 32
LOG, HUB = f"example.org/xj/{GATEWAY}", "hub.example.org"


def key_id(name: str, kind: int, seed: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + times(secret(seed)[0])).digest()[:4]


def vkey(name: str, kind: int, seed: bytes) -> str:
    material = base64.b64encode(bytes([kind]) + times(secret(seed)[0])).decode()
    return f"{name}+{key_id(name, kind, seed).hex()}+{material}"


def root(entries: list[str]) -> bytes:
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0].encode()).digest()
    split = 1 << (len(entries) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + root(entries[:split]) + root(entries[split:])).digest()


def note(
    entries: list[str], seed: bytes = GATEWAY_SEED, log: str = LOG, size: int | None = None, epoch: str = EPOCH
) -> bytes:
    origin = f"{log}/{epoch}"
    text = f"{origin}\n{len(entries) if size is None else size}\n{base64.b64encode(root(entries)).decode()}\n"
    line = base64.b64encode(key_id(origin, 1, seed) + signed(seed, text.encode())).decode()
    return f"{text}\n\N{EM DASH} {origin} {line}\n".encode()


def message(header: dict[str, Any], body: bytes) -> bytes:
    first = json.dumps({"v": 1, **header}, separators=(",", ":")).encode() + b"\n"
    return zlib.compress(first + body, 9, 31)


def lines(entries: list[str]) -> bytes:
    return "".join(text + "\n" for text in entries).encode()


def head(kind: str, n: int, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "session": MINE if kind == "hello" else SESSION, "n": n, **more}


def leaf(text: str) -> str:
    return hashlib.sha256(b"\x00" + text.encode()).hexdigest()


def code(direction: str, session: str, n: int, rest: bytes, token: str = TOKEN) -> str:
    signed = b"\n".join([b"rh/v1", direction.encode(), GATEWAY.encode(), session.encode(), str(n).encode(), rest])
    return hmac.new(token.encode(), signed, hashlib.sha256).hexdigest()


def payload(session: str, n: int, mac: str, rest: bytes) -> str:
    line = json.dumps({"v": 1, "session": session, "n": n, "mac": mac}, separators=(",", ":")).encode()
    return (line + b"\n" + rest).hex()


def messages() -> list[dict[str, Any]]:
    good = [
        (head("hello", 0, epochs=[[OTHER, 8192], [EPOCH, 7]]), b""),
        (head("hello", 0, epochs=[]), b""),
        (head("entries", 1, epoch=EPOCH, first=0, count=7), lines(ENTRIES)),
        (head("live", 2, epoch=EPOCH, seqs=[1, 5]), lines([CONFIG, BATCHES[-1]])),
        (head("skipped", 3, epoch=EPOCH, first=4096, count=8192, reason="freed", roots=["ab" * 32, "cd" * 32]), b""),
        (head("text", 4, sha256=SHA), TEXT.encode()),
        (head("text", 5, sha256=SHA, gone=True), b""),
        (head("kind-of-later", 6, anything=["of", "later"]), b"\x00\xff any body"),
        (head("entries", 7, epoch=EPOCH, first=0, count=1, later_key={"x": 1}), lines([SNAPSHOT])),
        (head("checkpoint", 8), note(ENTRIES)),
    ]
    return [
        {"what": "message", "header": {"v": 1, **h}, "body": b.hex(), "gzip": message(h, b).hex()} for h, b in good
    ]


def bad_messages() -> list[dict[str, Any]]:
    one = head("entries", 1, epoch=EPOCH, first=0, count=1)
    fine = message(one, lines([SNAPSHOT]))
    plain = [
        ("bad-header", b"not json\n"),
        ("bad-header", b"[1]\n"),
        ("bad-header", b'{"v":1,"kind":"hello"}'),
        ("bad-header", json.dumps({"v": 1, **head("hello", 1, epochs=[])}).encode() + b"\n"),
        ("bad-header", json.dumps({"v": 1, **one, "session": MINE}).encode() + b"\n" + lines([SNAPSHOT])),
        ("bad-header", json.dumps({"v": 1, **one, "n": True}).encode() + b"\n" + lines([SNAPSHOT])),
        ("bad-header", json.dumps({"v": 1, **one, "n": -1}).encode() + b"\n" + lines([SNAPSHOT])),
        ("bad-header", json.dumps({"v": 1, **one, "epoch": EPOCH.upper()}).encode() + b"\n" + lines([SNAPSHOT])),
        ("bad-header", json.dumps({"v": 1, **one, "count": 0}).encode() + b"\n"),
        ("bad-header", json.dumps({"v": 1, **one, "first": 2**40}).encode() + b"\n" + lines([SNAPSHOT])),
        ("bad-header", json.dumps({"v": 1, **head("live", 1, epoch=EPOCH, seqs=[2, 2])}).encode() + b"\nx\ny\n"),
        ("bad-header", json.dumps({"v": 1, **head("text", 1, sha256="00")}).encode() + b"\n"),
        ("bad-header", json.dumps({"v": 1, **head("skipped", 1, epoch=EPOCH, first=0, count=1, reason="x", roots=[])}).encode() + b"\n"),
        ("version", json.dumps({"v": 2, **one}).encode() + b"\n" + lines([SNAPSHOT])),
        ("bad-body", json.dumps({"v": 1, **one}).encode() + b"\n" + lines([SNAPSHOT, CONFIG])),
        ("bad-body", json.dumps({"v": 1, **one}).encode() + b"\n" + SNAPSHOT.encode()),
        ("bad-body", json.dumps({"v": 1, **one}).encode() + b"\n\n"),
        ("bad-body", json.dumps({"v": 1, **one}).encode() + b"\n"),
        ("bad-body", json.dumps({"v": 1, **head("hello", 0, epochs=[])}).encode() + b"\nbody"),
    ]
    bad = [{"what": "bad-message", "code": c, "gzip": zlib.compress(p, 9, 31).hex()} for c, p in plain]
    bad += [
        {"what": "bad-message", "code": "not-gzip", "gzip": b"".hex()},
        {"what": "bad-message", "code": "not-gzip", "gzip": b"plain text".hex()},
        {"what": "bad-message", "code": "not-gzip", "gzip": fine[:-1].hex()},
        {"what": "bad-message", "code": "not-gzip", "gzip": (fine + b"\x00").hex()},
        {"what": "bad-message", "code": "not-gzip", "gzip": (fine + fine).hex()},
    ]
    start = json.dumps({"v": 1, **one}).encode() + b"\n"
    recipe = {"prefix": start.hex(), "fill": b"x".hex(), "suffix": b"\n".hex()}
    bad += [
        {"what": "bad-message", "code": "entry-too-large", "recipe": recipe | {"times": 192 * 1024 + 1}},
        {"what": "bad-message", "code": "inflated-too-large", "recipe": recipe | {"times": 4 * 1024 * 1024}},
        {"what": "bad-message", "code": "inflated-too-large", "recipe": recipe | {"times": 200 * 1024 * 1024}},
    ]
    return bad


def envelopes() -> list[dict[str, Any]]:
    up = message(head("entries", 3, epoch=EPOCH, first=0, count=1), lines([SNAPSHOT]))
    held = {"receipt": {"gateway": GATEWAY, "epoch": EPOCH, "size": 1, "skipped": []}}
    down = json.dumps({"v": 1, "session": SESSION, "n": 3, **held}, separators=(",", ":")).encode()
    hello = message(head("hello", 0, epochs=[[EPOCH, 1]]), b"")
    common = {"token": TOKEN, "gateway": GATEWAY}
    good = []
    for direction, session, n, rest in (("up", MINE, 0, hello), ("up", SESSION, 3, up), ("down", SESSION, 3, down)):
        sealed = payload(session, n, code(direction, session, n, rest), rest)
        names = {"direction": direction, "session": session, "n": n, "rest": rest.hex(), "payload": sealed}
        good.append({"what": "envelope", **common, **names})
    right = code("down", SESSION, 3, down)
    wrong = [
        ("an answer reflected as a message", "up", payload(SESSION, 3, right, down)),
        ("another token's code", "down", payload(SESSION, 3, code("down", SESSION, 3, down, "rh_" + "z" * 43), down)),
        ("another session", "down", payload(THEIRS + MINE, 3, right, down)),
        ("another number", "down", payload(SESSION, 4, right, down)),
        ("a changed body", "down", payload(SESSION, 3, right, down.replace(b'"size":1', b'"size":9'))),
        ("an upper-case code", "down", payload(SESSION, 3, right.upper(), down)),
        ("no code", "down", (json.dumps({"v": 1, "session": SESSION, "n": 3}).encode() + b"\n" + down).hex()),
        ("no envelope", "down", down.hex()),
        ("nothing", "down", ""),
    ]
    return good + [
        {"what": "bad-envelope", **common, "direction": d, "payload": p, "why": why} for why, d, p in wrong
    ]


def receipt(size: int, skipped: list[list[int]] | None = None, epoch: str = EPOCH, **more: Any) -> dict[str, Any]:
    return {"receipt": {"gateway": GATEWAY, "epoch": epoch, "size": size, "skipped": skipped or []}, **more}


def cosignatures() -> list[dict[str, Any]]:
    """A witness's line on a checkpoint, right and forged."""
    text = note(ENTRIES).partition(b"\n\n")[0] + b"\n"

    def line(seed: bytes, time_s: int, body: bytes = text, told_s: int | None = None, name: str = HUB) -> str:
        right = signed(seed, b"cosignature/v1\ntime %d\n" % time_s + body)
        told = (time_s if told_s is None else told_s).to_bytes(8, "big")
        return f"\N{EM DASH} {name} {base64.b64encode(key_id(name, 4, HUB_SEED) + told + right).decode()}"

    older = note(ENTRIES[:5]).partition(b"\n\n")[0] + b"\n"
    lines_ = [
        ("as it must be", True, line(HUB_SEED, 1_800_000_000)),
        ("another key under the hub's id", False, line(OTHER_SEED, 1_800_000_000)),
        ("another time than was signed", False, line(HUB_SEED, 1_800_000_000, told_s=1_700_000_000)),
        ("another checkpoint's", False, line(HUB_SEED, 1_800_000_000, older)),
        ("a time that is none", False, line(HUB_SEED, 2**63)),
        ("another name", False, line(HUB_SEED, 1_800_000_000, name="hub.example.net")),
        ("cut", False, line(HUB_SEED, 1_800_000_000)[:-4]),
        ("the gateway's own line once more", False, note(ENTRIES).decode().splitlines()[-1]),
    ]
    common = {"note": note(ENTRIES).decode(), "vkey": vkey(HUB, 4, HUB_SEED)}
    return [{"what": "cosignature", **common, "why": why, "valid": valid, "line": told} for why, valid, told in lines_]


def witnessing() -> list[dict[str, Any]]:
    """Exchanges about checkpoints. ``"*"`` stands for a line that cosigns the note that was shown."""

    def shown(data: bytes) -> dict[str, Any]:
        return {"header": {"kind": "checkpoint"}, "body": data.hex()}

    def yes(size: int) -> dict[str, Any]:
        return {"cosignature": "*", "size": size, "epoch": EPOCH}

    def no(code: str, entries: list[str] | None = None) -> dict[str, Any]:
        held = {} if entries is None else {"held": {"size": len(entries), "root": root(entries).hex()}}
        return {"refused": code, **held}

    def begun(epoch: str, first: str) -> dict[str, Any]:
        return {"header": {"kind": "entries", "epoch": epoch, "first": 0, "count": 1}, "body": lines([first]).hex()}

    key = vkey(LOG, 1, GATEWAY_SEED)
    held = {"entries": ENTRIES, "texts": [TEXT]}
    cosigned = {"epoch": EPOCH, "size": 7, "root": root(ENTRIES).hex(), "note": note(ENTRIES).decode()}
    before = {"epoch": EPOCH, "size": 7, "root": root(ENTRIES).hex(), "reason": "damage", "cosigned": cosigned}
    named = entry(0, "snapshot", config=None, configs=[], state={}, previous=before)
    forged = [*ENTRIES[:6], UNKNOWN.replace("later", "other")]
    skip = {"kind": "skipped", "epoch": EPOCH, "first": 0, "count": 4096, "reason": "freed-by-retention", "roots": ["ab" * 32]}
    return [
        {
            "why": "checkpoints that the held entries give are cosigned, the same one again too; then none that is smaller",
            "held": held,
            "key": key,
            "messages": [shown(note(ENTRIES[:n])) for n in (1, 5, 5, 7, 5)],
            "answers": [yes(1), yes(5), yes(5), yes(7), no("roll-back", ENTRIES)],
        },
        {
            "why": "fewer entries are held than were signed: nothing is wrong, the entries come first",
            "held": {"entries": ENTRIES[:6], "texts": [TEXT]},
            "key": key,
            "messages": [
                shown(note(ENTRIES)),
                {"header": {"kind": "entries", "epoch": EPOCH, "first": 6, "count": 1}, "body": lines(ENTRIES[6:]).hex()},
                shown(note(ENTRIES)),
            ],
            "answers": [{"expected": 6, "epoch": EPOCH}, receipt(7), yes(7)],
        },
        {
            "why": "another root than that of the held entries is a fork, also at a size that was cosigned",
            "held": held,
            "key": key,
            "messages": [shown(note(forged)), shown(note(ENTRIES)), shown(note(forged))],
            "answers": [no("fork", ENTRIES), yes(7), no("fork", ENTRIES)],
        },
        {
            "why": "without a key that a person registered nothing is cosigned",
            "held": held,
            "messages": [shown(note(ENTRIES))],
            "answers": [no("no-key")],
        },
        {
            "why": "another key's signature, another gateway's log, and what is no checkpoint",
            "held": held,
            "key": key,
            "messages": [
                shown(note(ENTRIES, OTHER_SEED)),
                shown(note(ENTRIES, log="example.org/xj/tlf-008")),
                shown(note(ENTRIES).replace(b"\n\n", b"\nextension\n\n")),
                shown(b""),
            ],
            "answers": [no("foreign-key"), no("foreign-log"), no("no-checkpoint"), no("no-checkpoint")],
        },
        {
            "why": "up to a skipped range entries are witnessed, never beyond it",
            "held": held,
            "key": key,
            "messages": [{"header": skip, "body": ""}, shown(note(ENTRIES)), shown(note(ENTRIES, size=4096))],
            "answers": [receipt(4096, [[7, 4089]]), yes(7), no("skipped")],
        },
        {
            "why": "a second epoch is received and waits for a person; one that names less than was cosigned is told so",
            "held": held,
            "key": key,
            "messages": [
                shown(note(ENTRIES)),
                begun("fedcba9876543210", named),
                shown(note([named], epoch="fedcba9876543210")),
                begun("1111111111111111", SNAPSHOT),
                shown(note([SNAPSHOT], epoch="1111111111111111")),
            ],
            "answers": [
                yes(7),
                receipt(1, epoch="fedcba9876543210"),
                no("pending"),
                receipt(1, epoch="1111111111111111"),
                no("pending") | {"behind": {"epoch": EPOCH, "size": 7}},
            ],
        },
    ]


def exchanges() -> list[dict[str, Any]]:
    other = BATCHES[1].replace("-15.5", "-19.5")
    assert other != BATCHES[1]

    def send(kind: str, entries: list[str] | None = None, **more: Any) -> dict[str, Any]:
        return {"header": {"kind": kind, **more}, "body": lines(entries).hex() if entries else ""}

    def sent(first: int, entries: list[str]) -> dict[str, Any]:
        return send("entries", entries, epoch=EPOCH, first=first, count=len(entries))

    nothing: dict[str, Any] = {"entries": [], "texts": []}
    text = {"header": {"kind": "text", "sha256": SHA}, "body": TEXT.encode().hex()}
    skip = send("skipped", epoch=EPOCH, first=0, count=4096, reason="freed-by-retention", roots=["ab" * 32])
    conflict = {"conflict": "other-bytes", "epoch": EPOCH, "seq": 3, "hash": leaf(BATCHES[1])}
    return [
        {
            "why": "in order, again, and overlapping; the text that the config names is asked for beside the receipt",
            "held": nothing,
            "messages": [sent(0, ENTRIES[:3]), sent(0, ENTRIES[:3]), text, sent(2, ENTRIES[2:5])],
            "answers": [receipt(3, need_text=[SHA]), receipt(3, need_text=[SHA]), {"stored": SHA}, receipt(5)],
        },
        {
            "why": "a hole is refused and nothing of it stored",
            "held": {"entries": ENTRIES[:2], "texts": [TEXT]},
            "messages": [sent(4, ENTRIES[4:6]), sent(2, ENTRIES[2:4])],
            "answers": [{"expected": 2, "epoch": EPOCH}, receipt(4)],
        },
        {
            "why": "a duplicate with other bytes is a conflict: nothing of its message is stored, the epoch is closed",
            "held": {"entries": ENTRIES[:5], "texts": [TEXT]},
            "messages": [sent(3, [other, ENTRIES[4], ENTRIES[5]]), sent(5, ENTRIES[5:6]), skip],
            "answers": [conflict, conflict, conflict],
        },
        {
            "why": "a declared skipped range is no hole; what is held within it stays held",
            "held": {"entries": ENTRIES[:3], "texts": [TEXT]},
            "messages": [
                skip,
                send("skipped", epoch=EPOCH, first=8192, count=4096, reason="x", roots=["ab" * 32]),
                sent(4096, [entry(4096, "tick")]),
            ],
            "answers": [receipt(4096, [[3, 4093]]), {"expected": 4096, "epoch": EPOCH}, receipt(4097, [[3, 4093]])],
        },
        {
            "why": "live copies move nothing; the configuration is asked for, then its text",
            "held": nothing,
            "messages": [
                send("live", [BATCHES[3]], epoch=EPOCH, seqs=[5]),
                send("live", [CONFIG], epoch=EPOCH, seqs=[1]),
                text,
                send("live", [BATCHES[3]], epoch=EPOCH, seqs=[5]),
                sent(0, ENTRIES),
            ],
            "answers": [
                {"need_config": [1], "epoch": EPOCH},
                {"seen": 1, "epoch": EPOCH, "need_text": [SHA]},
                {"stored": SHA},
                {"seen": 1, "epoch": EPOCH},
                receipt(7),
            ],
        },
        {
            "why": "nothing stands open of a gateway that is unknown, and whatever it asks after",
            "held": nothing,
            "messages": [send("standing"), send("standing", after="tlf-007-7")],
            "answers": [{"standing": {"number": 0, "open": [], "more": False}}] * 2,
        },
        {
            "why": "shown its own receipt for more, the hub says what it holds",
            "held": {"entries": ENTRIES[:3], "texts": [TEXT]},
            "messages": [send("receipt", epoch=EPOCH, size=7), send("receipt", epoch=EPOCH, size=2)],
            "answers": [{"held": 3, "epoch": EPOCH}, {"held": 3, "epoch": EPOCH}],
        },
        {
            "why": "a text that is gone is not asked for again; an unknown kind is answered",
            "held": {"entries": ENTRIES[:2], "texts": []},
            "messages": [
                send("text", sha256=SHA, gone=True),
                sent(2, ENTRIES[2:3]),
                send("kind-of-later", later=True),
            ],
            "answers": [{"stored": SHA}, receipt(3), {"unsupported": "kind-of-later"}],
        },
        {
            "why": "a gateway gets its own entries back; what is not held is gone",
            "held": {"entries": ENTRIES[:3], "texts": []},
            "messages": [send("fetch", epoch=EPOCH, first=1, count=5), send("fetch", epoch=EPOCH, first=3, count=1)],
            "answers": [{"epoch": EPOCH, "first": 1, "count": 2, "entries": ENTRIES[1:3]}, {"epoch": EPOCH, "first": 3, "gone": True}],
        },
        {
            "why": "never refused for content: bytes that are no entry are stored like all others",
            "held": nothing,
            "messages": [sent(0, ["not json at all", '{"seq":77,"kind":"batch"}', "\u0000\u0001"])],
            "answers": [receipt(3)],
        },
    ]


def vectors() -> str:
    """The whole file."""
    told = [{"what": "exchange", **each} for each in (*exchanges(), *witnessing())]
    all_ = [*messages(), *bad_messages(), *envelopes(), *told, *cosignatures()]
    return "".join(json.dumps(vector, ensure_ascii=False) + "\n" for vector in all_)


if __name__ == "__main__":
    FILE.write_text(vectors(), encoding="utf-8")
