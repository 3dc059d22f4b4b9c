"""Keys as people bring them, verifier keys or fingerprints, against the keys that a pack names; trusts only what comes from outside."""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

import orjson

from edge_gateway.record.note import COSIGNATURE, ED25519, Key, Note, NoteError

#: The fewest digits of a fingerprint that decide (128 bits): nobody finds a second key for them.
LEAST_DIGITS = 32
MAX_KEYS = 1000
_BLANKS = re.compile(r"[\s:-]")
_DIGITS = re.compile(rf"[0-9a-f]{{{LEAST_DIGITS},64}}\Z")


class UnknownKey(Exception):
    """A fingerprint that no key of the pack has."""


def given(text: str, kind: int, named: Iterable[Key]) -> Key:
    """The key of ``kind`` that a person gave: a verifier key, or a fingerprint of one of those ``named`` in the pack.

    Raises NoteError for what is neither, UnknownKey.
    """
    if "+" in text:
        key = Key.parse(text)
        if key.kind != kind:
            raise NoteError(f"'{key.name}' is the key of {'a gateway' if key.kind == ED25519 else 'a witness'} (type {key.kind})")
        return key
    digits = _BLANKS.sub("", text).lower()
    if not _DIGITS.match(digits):
        raise NoteError(f"neither a verifier key nor a fingerprint ({LEAST_DIGITS} to 64 hex digits): {text[:80]!r}")
    for key in named:
        if key.kind == kind and sha256(key.public).hexdigest().startswith(digits):
            return key
    raise UnknownKey(text)


def dump(keys: Iterable[Key], signed: Iterable[tuple[str, int, bytes]] = ()) -> bytes:
    """The member ``keys.json``. ``signed``: ``(epoch, size, note)`` of the checkpoints beside it, whose lines tell which keys served when."""
    roles = {ED25519: "gateway", COSIGNATURE: "witness"}
    rows = [{"role": roles[key.kind], "vkey": str(key), "fingerprint": key.fingerprint} for key in keys]
    note = "Information, never trust: compare with what you were given another way. 仅供参考，不作信任依据：请与经其他途径获得的信息核对。"
    return orjson.dumps({"note": note, "keys": rows, "history": _history(signed)}, option=orjson.OPT_INDENT_2) + b"\n"


def _history(signed: Iterable[tuple[str, int, bytes]]) -> list[dict[str, Any]]:
    """Each key that signed or cosigned, by the name and id of its lines, with the first and last size of each epoch."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for epoch, size, data in signed:
        try:
            lines = Note.parse(data).signatures
        except NoteError:
            continue
        for line in lines:
            name, id_ = line.name, line.key_id.hex()
            row = found.setdefault((name, id_, epoch), {"name": name, "id": id_, "epoch": epoch, "first_size": size, "last_size": size})
            row["first_size"], row["last_size"] = min(row["first_size"], size), max(row["last_size"], size)
    return list(found.values())


def parse(data: bytes) -> list[Key]:
    """The keys that a ``keys.json`` names; what is none is passed over: nothing here is trusted."""
    try:
        rows: Any = orjson.loads(data)["keys"]
    except (ValueError, KeyError, TypeError):
        return []
    found = []
    for row in rows[:MAX_KEYS] if isinstance(rows, list) else ():
        try:
            found.append(Key.parse(row["vkey"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return found
