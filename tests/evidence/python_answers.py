"""Asks the gateway's own verifier (`edge_gateway.record`, `journal`, `evidence`) what the vectors ask; knows no right answer."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from edge_gateway.errors import SegmentDamaged
from edge_gateway.evidence.check import check
from edge_gateway.evidence.copying import Held
from edge_gateway.evidence.judge import VERIFIED, Asked
from edge_gateway.journal.files import Files
from edge_gateway.journal.segments import SegmentFile
from edge_gateway.record.checkpoint import Checkpoint, opened, witnessed_s
from edge_gateway.record.entry import decode
from edge_gateway.record.merkle import leaf_hash, tree_root
from edge_gateway.record.note import ED25519, Key, Note, NoteError
from edge_gateway.record.proof import extends, includes, parse_tlog_proof

Given = dict[str, Any]


def _ed25519(given: Given) -> bool:
    try:
        key = Key("k", ED25519, bytes.fromhex(given["key"]))
    except NoteError:
        return False
    return key.verifies(bytes.fromhex(given["message"]), bytes.fromhex(given["signature"]))


def _gzip(given: Given) -> Any:
    """As ``SegmentFile`` inflates one member, again and again."""
    out, rest = b"", base64.b64decode(given["data"])
    while rest or not out:
        unpacker = zlib.decompressobj(31)
        try:
            out += unpacker.decompress(rest, given["most"] - len(out) + 1)
        except zlib.error:
            return "bad"
        if len(out) > given["most"] or not unpacker.eof:
            return "bad"
        rest = unpacker.unused_data
        if not rest:
            break
    return {"size": len(out), "sha256": hashlib.sha256(out).hexdigest()}


def _inclusion(given: Given) -> bool:
    path = [bytes.fromhex(each) for each in given["path"]]
    return includes(bytes.fromhex(given["leaf"]), given["index"], given["size"], path, bytes.fromhex(given["root"]))


def _consistency(given: Given) -> bool:
    path = [bytes.fromhex(each) for each in given["path"]]
    return extends(given["old"], bytes.fromhex(given["old_root"]), given["size"], bytes.fromhex(given["root"]), path)


def _key(given: Given) -> Any:
    key = Key.parse(given["vkey"])
    return {"name": key.name, "kind": key.kind, "public": key.public.hex(), "id": key.id.hex()}


def _parsed_note(given: Given) -> Any:
    note = Note.parse(base64.b64decode(given["note"]))
    return {"text": note.text, "lines": _shown(note)}


def _shown(note: Note) -> list[list[str]]:
    return [[each.name, each.key_id.hex(), each.data.hex()] for each in note.signatures]


def _parsed_checkpoint(given: Given) -> Any:
    note = Note.parse(base64.b64decode(given["note"]))
    head = Checkpoint.parse(note.text)
    return {"origin": head.origin, "size": head.size, "root": head.root.hex(), "lines": _shown(note)}


def _parsed_proof(given: Given) -> Any:
    index, path, checkpoint = parse_tlog_proof(base64.b64decode(given["proof"]))
    return {"index": index, "path": [each.hex() for each in path], "checkpoint": base64.b64encode(checkpoint).decode()}


def _checkpoint(given: Given) -> Any:
    head, note = opened(base64.b64decode(given["note"]), Key.parse(given["log"]))
    witnessed = witnessed_s(note, Key.parse(given["witness"])) if given.get("witness") else None
    return {"origin": head.origin, "size": head.size, "root": head.root.hex(), "witnessed": witnessed}


def _proof(given: Given) -> Any:
    index, path, checkpoint = parse_tlog_proof(base64.b64decode(given["proof"]))
    head = _checkpoint(given | {"note": base64.b64encode(checkpoint).decode()})
    right = includes(leaf_hash(base64.b64decode(given["entry"])), index, head["size"], path, bytes.fromhex(head["root"]))
    return {"index": index, **head} if right else "bad"


def _segment(given: Given) -> Any:
    held = Held(base64.b64decode(given["file"]))
    try:
        file = SegmentFile(cast("Files", held), Path(), given["epoch"], given["first"])
        entries = list(file.entries())
        for place, entry in enumerate(entries, given["first"]):
            told = decode(entry)
            if type(told["seq"]) is not int or told["seq"] != place or not isinstance(told["kind"], str):
                return "bad"
    except (SegmentDamaged, ValueError, KeyError, TypeError):
        return "bad"
    root = tree_root(map(leaf_hash, entries)).hex()
    return {"count": len(entries), "root": root} if root == file.segment.root and len(entries) == file.segment.count else "bad"


def _pack(given: Given) -> Any:
    asked = Asked(given["gateway"], given["witness"], base64.b64decode(given["against"]) if given["against"] else None)
    found = check(io.BytesIO(base64.b64decode(given["pack"])), asked)
    broken, last = found.broken, found.throughs[-1] if found.throughs else None
    return {
        "outcome": found.outcome, "code": found.code or None, "broken": [broken.epoch, broken.first, broken.last] if broken else None,
        "complete": [last.epoch, last.size, last.time_s] if found.outcome == VERIFIED and last else None,
    }  # fmt: skip


KINDS: dict[str, Callable[[Given], Any]] = {
    "sha256": lambda given: hashlib.sha256(base64.b64decode(given["data"])).hexdigest(),
    "sha512": lambda given: hashlib.sha512(base64.b64decode(given["data"])).hexdigest(),
    "tree": lambda given: tree_root(leaf_hash(base64.b64decode(entry)) for entry in given["entries"]).hex(),
    "ed25519": _ed25519,
    "gzip": _gzip,
    "inclusion": _inclusion,
    "consistency": _consistency,
    "key": _key,
    "note": lambda given: Note.parse(base64.b64decode(given["note"])).signed_by(Key.parse(given["key"])),
    "parsed-note": _parsed_note,
    "parsed-checkpoint": _parsed_checkpoint,
    "parsed-proof": _parsed_proof,
    "checkpoint": _checkpoint,
    "proof": _proof,
    "segment": _segment,
    "pack": _pack,
}


def answer(vector: dict[str, Any]) -> Any:
    """What the gateway's own verifier makes of it: a value of the vector's ``want``."""
    try:
        return KINDS[vector["kind"]](vector["given"])
    except NoteError:
        return "bad"


def main() -> None:
    """Vectors come a line each on standard input, answers leave a line each."""
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))))


if __name__ == "__main__":
    main()
