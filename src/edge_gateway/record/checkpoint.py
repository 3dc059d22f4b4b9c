"""A log's tree head as signed text, and a witness's cosignature on it; pure: the clock's word and signatures come from outside.

Sources: c2sp.org/tlog-checkpoint v1.0.0 (no extension lines here), c2sp.org/tlog-cosignature v1.0.0 (Ed25519).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from edge_gateway.record.note import COSIGNATURE, ED25519, Key, Note, NoteError, Signature

#: A size or a time beyond this is none: every JSON reader has integers up to here (the specification's own bound for times is 2⁶³ − 1).
_MOST = 2**53 - 1
_SIGNATURE_BYTES = 64


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """``origin`` names the log (here ``<site.origin>/<gateway>/<epoch>``), ``root`` is the RFC 6962 root over ``size`` entries."""

    origin: str
    size: int
    root: bytes

    def body(self) -> str:
        """The note's text: what is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """The text of a note. Raises NoteError; also for extension lines, which nobody could audit."""
        lines = text.split("\n")
        if len(lines) != 4 or lines[3]:
            raise NoteError("a checkpoint's text has three lines: origin, size, root")
        origin, size, root = lines[:3]
        if not origin or any(character.isspace() for character in origin):
            raise NoteError("a checkpoint without origin")
        if not (size.isascii() and size.isdigit()) or (len(size) > 1 and size[0] == "0") or len(size) > 16 or int(size) > _MOST:
            raise NoteError(f"no tree size: {size[:32]!r}")
        found = cls(origin, int(size), _root(root))
        if found.body() != text:
            raise NoteError("the root is not spelled as base64 spells it")
        return found


def _root(text: str) -> bytes:
    try:
        root = base64.b64decode(text, validate=True)
    except ValueError:
        raise NoteError("the root is no base64") from None
    if len(root) != 32:
        raise NoteError(f"a root of {len(root)} bytes instead of 32")
    return root


def opened(data: bytes, log: Key) -> tuple[Checkpoint, Note]:
    """A signed checkpoint whose signature by ``log`` was checked. Raises NoteError: malformed, not signed by it, or not its own log."""
    note = Note.parse(data)
    found = Checkpoint.parse(note.text)
    if log.kind != ED25519 or found.origin != log.name:
        raise NoteError(f"'{found.origin}' is not the log of key '{log.name}'")
    if not note.signed_by(log):
        raise NoteError(f"no valid signature by '{log.name}' ({log.id.hex()})")
    return found, note


def cosigned_message(body: str, time_s: int) -> bytes:
    """What a witness signs: a fixed line, the time (whole seconds since 1970), the checkpoint's text."""
    return f"cosignature/v1\ntime {time_s}\n{body}".encode()


def cosignature(key: Key, time_s: int, signature: bytes) -> Signature:
    """The signature line of a witness: 8 bytes of time, 64 of Ed25519 over ``cosigned_message``."""
    return Signature(key.name, key.id, time_s.to_bytes(8, "big") + signature)


def witnessed_s(note: Note, witness: Key) -> int | None:
    """When ``witness`` cosigned the note, the latest time if it did more than once; None if it did not, or one line is wrong."""
    if witness.kind != COSIGNATURE:
        raise NoteError(f"'{witness.name}' is no witness's key (type 4)")
    times = []
    for line in note.by(witness):
        time_s, signature = int.from_bytes(line.data[:8], "big"), line.data[8:]
        right = len(signature) == _SIGNATURE_BYTES and time_s <= _MOST
        if not right or not witness.verifies(cosigned_message(note.text, time_s), signature):
            return None
        times.append(time_s)
    return max(times, default=None)
