"""Writes hub-commands.jsonl from docs/reference/hub-commands.md: text put together by hand and signed, with no line of ours.

Run `python -m tests.vectors.make_hub_commands` after a change of the page; the test compares the file with it.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from tests.vectors.oracle import Signer

FILE = Path(__file__).with_name("hub-commands.jsonl")
HUB = Signer(bytes(range(32)), "county-hub/commands", 1)
OTHER = Signer(bytes(range(1, 33)), "county-hub/commands", 1)
COSIGNS = Signer(bytes(range(32)), "county-hub/commands", 4)
GOOD = {
    "id": "000102030405060708090a0b0c0d0e0f", "gateway": "tlf-007", "epoch": "0123456789abcdef", "opened": "4711",
    "violation": "tlf-007-12", "verb": "return", "expected": "recovered submitted 1 0", "issued": "2026-11-28T03:30:00Z",
    "expires": "2026-11-29T03:30:00Z", "by": "李华", "reason": "照片不是这扇门 the photo shows another door",
}  # fmt: skip
ISSUED_US, EXPIRES_US = 1_795_836_600_000_000, 1_795_923_000_000_000
EXTEND = GOOD | {"verb": "extend", "expected": "unknown correcting 2 1", "deadline": "correct", "until": "2026-12-05T00:00:00Z"}
REFER = GOOD | {"verb": "refer", "expected": "active new 1 0", "to": "生态环境"}
RECORD = {
    "violation": "tlf-007-12", "condition": "recovered", "handling": "submitted", "episode": 1, "returns": 0,
    "opened": {"epoch": "0123456789abcdef", "seq": 4711},
}  # fmt: skip


def text(lines: dict[str, str], first: str = "edge-gateway/hub-command/v1") -> str:
    return "".join(f"{line}\n" for line in [first, *(f"{key} {value}" for key, value in lines.items())])


def note(body: str, signer: Signer = HUB, signed: str | None = None) -> bytes:
    raw = signer.id + signer.sign((body if signed is None else signed).encode())
    return f"{body}\n— {signer.name} {base64.b64encode(raw).decode()}\n".encode()


def meaning(lines: dict[str, str]) -> dict[str, Any]:
    expected = lines["expected"].split(" ")
    found: dict[str, Any] = {key: lines[key] for key in ("id", "gateway", "epoch", "violation", "verb", "by", "reason")}
    found |= {"opened": int(lines["opened"]), "expected": [expected[0], expected[1], int(expected[2]), int(expected[3])]}
    found |= {"issued_us": ISSUED_US, "expires_us": EXPIRES_US}
    return found | ({"deadline": lines["deadline"], "until_us": 1_796_428_800_000_000} if "until" in lines else {}) | ({"to": lines["to"]} if "to" in lines else {})


def without(name: str) -> dict[str, str]:
    return {key: value for key, value in GOOD.items() if key != name}


def moved(name: str) -> dict[str, str]:
    return without(name) | {name: GOOD[name]}


def bad() -> list[tuple[str, bytes, str]]:
    """(what is wrong, note, code)."""
    good = text(GOOD)
    malformed = {
        "first line": text(GOOD, "edge-gateway/hub-command/v2"), "verb": text(GOOD | {"verb": "close"}),
        "until without extend": text(GOOD | {"until": "2026-12-05T00:00:00Z"}), "extend without until": text(GOOD | {"verb": "extend"}),
        "refer without to": text(GOOD | {"verb": "refer"}), "no such deadline": text(EXTEND | {"deadline": "close"}),
        "extend without deadline": text({key: value for key, value in EXTEND.items() if key != "deadline"}), "order": text(moved("by")), "line too many": text(GOOD | {"more": "x"}),
        "line twice": good + "by 李华\n", "id": text(GOOD | {"id": "00"}), "epoch": text(GOOD | {"epoch": "0123456789ABCDEF"}),
        "opened": text(GOOD | {"opened": "04711"}), "gateway": text(GOOD | {"gateway": "tlf_007"}),
        "violation": text(GOOD | {"violation": "tlf-007-x"}), "condition": text(GOOD | {"expected": "gone submitted 1 0"}),
        "handling": text(GOOD | {"expected": "recovered closed 1 0"}), "expected": text(GOOD | {"expected": "recovered submitted 1"}),
        "time": text(GOOD | {"expires": "2026-11-29T03:30:00+00:00"}), "no such day": text(GOOD | {"expires": "2026-11-31T03:30:00Z"}),
        "time without zeros": text(GOOD | {"expires": "2026-12-1T03:30:00Z"}), "expired when issued": text(GOOD | {"expires": GOOD["issued"]}),
        "longer than 31 days": text(GOOD | {"expires": "2026-12-29T03:30:01Z"}), "nobody": text(GOOD | {"by": ""}),
        "blank after the name": text(GOOD | {"by": "Li "}), "two blanks": good.replace("by ", "by  "), "long name": text(GOOD | {"by": "x" * 65}),
        "long reason": text(GOOD | {"reason": "x" * 501}), "a reason of two lines": text(GOOD | {"reason": "a\u2028b"}),
        **{f"no {key}": text(without(key)) for key in GOOD},
    }  # fmt: skip
    rows = [(why, note(body), "malformed") for why, body in malformed.items()]
    rows += [
        ("no note", good.encode(), "malformed"), ("no newline", note(good)[:-1], "malformed"), ("empty", b"", "malformed"),
        ("too long", note(good) + b"\n" * 4096, "malformed"), ("another key of that name", note(good, OTHER), "foreign-key"),
        ("a cosigning key", note(good, COSIGNS), "foreign-key"), ("another body", note(good, signed=text(GOOD | {"verb": "verify"})), "foreign-key"),
        ("two signatures, one wrong", note(good) + note(good, signed="x").rpartition(b"\n\n")[2], "foreign-key"),
        ("another name", note(good, HUB.named("county-hub")), "foreign-key"), ("no command", note("a\n1\nAAAA\n"), "malformed"),
    ]  # fmt: skip
    return rows


def judged() -> list[dict[str, Any]]:
    """A gateway's answer to the good command: ``why`` is "" where it is carried out."""
    minute = 60_000_000
    rows: list[tuple[str, dict[str, Any]]] = [
        ("", {}), ("", {"now_us": EXPIRES_US + minute}), ("expired", {"now_us": EXPIRES_US + minute + 1}), ("", {"now_us": ISSUED_US - minute}),
        ("ahead", {"now_us": ISSUED_US - minute - 1}), ("other-gateway", {"gateway": "tlf-008"}), ("no-violation", {"record": None}),
        ("other-violation", {"record": RECORD | {"opened": {"epoch": "0123456789abcdef", "seq": 4712}}}),
        ("other-violation", {"record": RECORD | {"opened": {"epoch": "fedcba9876543210", "seq": 4711}}}),
        ("other-violation", {"record": {key: value for key, value in RECORD.items() if key != "opened"}}),
        ("stale", {"record": RECORD | {"condition": "active"}}), ("stale", {"record": RECORD | {"handling": "correcting"}}),
        ("stale", {"record": RECORD | {"episode": 2}}), ("stale", {"record": RECORD | {"returns": 1}}),
        ("other-gateway", {"gateway": "tlf-008", "now_us": EXPIRES_US * 2, "record": None}), ("expired", {"now_us": EXPIRES_US * 2, "record": None}),
    ]  # fmt: skip
    common = {"what": "judged", "note": note(text(GOOD)).decode(), "key": HUB.vkey, "gateway": "tlf-007", "now_us": ISSUED_US, "record": RECORD}
    return [common | given | {"why": why} for why, given in rows]


def lines() -> list[dict[str, Any]]:
    """All vectors."""
    found: list[dict[str, Any]] = [
        {"what": "command", "note": note(text(each)).decode(), "key": HUB.vkey, "want": meaning(each)}
        for each in (GOOD, GOOD | {"verb": "verify"}, EXTEND, REFER)
    ]
    found += [{"what": "bad", "why": why, "note": data.decode(), "key": HUB.vkey, "code": code} for why, data, code in bad()]
    return found + judged()


if __name__ == "__main__":
    FILE.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines()), encoding="utf-8")
