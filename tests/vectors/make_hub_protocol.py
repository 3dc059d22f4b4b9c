"""Writes hub-protocol.jsonl: built from docs/reference/hub-protocol.md with the standard library alone, importing nothing of ours.

Run `python tests/vectors/make_hub_protocol.py` after a change of the page; the test compares the file with it.
"""

from __future__ import annotations

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
        (head("checkpoint", 6, anything=["of", "later"]), b"\x00\xff any body"),
        (head("entries", 7, epoch=EPOCH, first=0, count=1, later_key={"x": 1}), lines([SNAPSHOT])),
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


def receipt(size: int, skipped: list[list[int]] | None = None, **more: Any) -> dict[str, Any]:
    return {"receipt": {"gateway": GATEWAY, "epoch": EPOCH, "size": size, "skipped": skipped or []}, **more}


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
            "why": "a text that is gone is not asked for again; an unknown kind is answered",
            "held": {"entries": ENTRIES[:2], "texts": []},
            "messages": [
                send("text", sha256=SHA, gone=True),
                sent(2, ENTRIES[2:3]),
                send("checkpoint", later=True),
            ],
            "answers": [{"stored": SHA}, receipt(3), {"unsupported": "checkpoint"}],
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
    all_ = [*messages(), *bad_messages(), *envelopes(), *({"what": "exchange", **e} for e in exchanges())]
    return "".join(json.dumps(vector, ensure_ascii=False) + "\n" for vector in all_)


if __name__ == "__main__":
    FILE.write_text(vectors(), encoding="utf-8")
