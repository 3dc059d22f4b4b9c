"""What goes over the signer's socket: one JSON object a line, both ways; opens no socket.

``{"ask": "public"}`` → ``{"public": hex}``. ``{"ask": "held", "origin"}`` → ``{"held": size, "last": origin}``. ``{"ask": "sign", "origin", "size", "root", "old", "path": [hex, …]}`` →
``{"signature": hex}`` or ``{"refused": why, "hint", "size", "root"}``. Anything else → ``{"refused": why}``.
"""

from __future__ import annotations

from typing import Any

import orjson

from edge_gateway.errors import SignerAway, SignerRefused
from edge_gateway.record.checkpoint import Checkpoint
from edge_gateway.record.proof import MAX_HASHES
from edge_gateway.signer.base import Ask

#: A line is shorter than this.
MAX_LINE_BYTES = 16 * 1024
_MOST_SIZE = 2**53 - 1


def encode_ask(ask: Ask) -> bytes:
    """A line that asks for a signature."""
    head = ask.head
    path = [each.hex() for each in ask.path]
    told = {"ask": "sign", "origin": head.origin, "size": head.size, "root": head.root.hex(), "old": ask.old, "path": path}
    return orjson.dumps(told) + b"\n"


PUBLIC = b'{"ask":"public"}\n'


def encode_held(origin: str) -> bytes:
    """A line that asks how far a log was signed, and which one was last."""
    return orjson.dumps({"ask": "held", "origin": origin}) + b"\n"


def decode_held(line: bytes) -> str | None:
    """The log that a line asks about; None where it asks for something else."""
    try:
        told: Any = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return str(told.get("origin", "")) if isinstance(told, dict) and told.get("ask") == "held" else None


def decode_answer_held(line: bytes) -> tuple[int, str]:
    """How many entries of the log were signed, and the log that was signed last. Raises SignerAway: it does not say."""
    try:
        told: dict[str, Any] = orjson.loads(line)
        return int(told["held"]), str(told["last"])
    except (ValueError, KeyError, TypeError) as error:
        raise SignerAway(f"the signer does not say what it signed: {error!r}") from error


def decode_ask(line: bytes) -> Ask | None:
    """What a line asks for; None for the public key. Raises SignerRefused."""
    try:
        told: dict[str, Any] = orjson.loads(line)
        if told["ask"] == "public":
            return None
        if told["ask"] != "sign":
            raise ValueError(f"'{told['ask']}' is not asked here")
        size, old, path = told["size"], told["old"], told["path"]
        if any(type(number) is not int or not 0 <= number <= _MOST_SIZE for number in (size, old)):
            raise ValueError("size and old are numbers of entries")
        if len(path) > MAX_HASHES:
            raise ValueError(f"{len(path)} hashes, more than {MAX_HASHES}")
        head = Checkpoint(str(told["origin"]), size, bytes.fromhex(told["root"]))
        Checkpoint.parse(head.body())  # an origin or root that is none would be signed as something else
        return Ask(head=head, old=old, path=[bytes.fromhex(each) for each in path])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SignerRefused(f"not understood: {error}") from error


def encode_refusal(refused: SignerRefused) -> bytes:
    """The answer that says no."""
    told = {"refused": refused.why, "hint": refused.hint, "size": refused.size, "root": refused.root.hex()}
    return orjson.dumps(told) + b"\n"


def decode_answer(line: bytes, key: str) -> bytes:
    """The bytes under ``key`` (``signature``, ``public``). Raises SignerRefused, SignerAway for no answer."""
    try:
        told: dict[str, Any] = orjson.loads(line)
        if "refused" in told:
            size, root = int(told.get("size", 0)), bytes.fromhex(str(told.get("root", "")))
            raise SignerRefused(str(told["refused"])[:300], size=size, root=root, hint=str(told.get("hint", ""))[:300])
        return bytes.fromhex(told[key])
    except (ValueError, KeyError, TypeError) as error:
        raise SignerAway(f"the signer gave no proper answer: {error}") from error
