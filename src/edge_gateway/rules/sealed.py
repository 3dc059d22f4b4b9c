"""A rule pack's signed note: what it says of the pack's text, and where an altered text differs; pure, holds no secret.

The note stands beside the pack as ``<pack>.toml.sig`` and is a C2SP signed note (``record.note``) over ``seal_text``: the
hash of the whole file, and one of each rule's part, so that an alteration is named by its rule and line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from edge_gateway.record.note import Key, Note, NoteError

MAGIC = "edge-gateway/rule-pack/1"
_HEAD = "-"


def seal_text(pack: str, version: str, text: str, starts: Mapping[str, int]) -> str:
    """What is signed: pack and version, SHA-256 of the file, then each part's. ``starts``: the line (from 1) at which each rule begins."""
    parts = [f"{name} {_hash(part)}" for name, (_, part) in _parts(text, starts).items()]
    return "\n".join([MAGIC, f"{pack} {version}", f"sha256 {_hash(text)}", *parts]) + "\n"


def broken(note: bytes, keys: Sequence[Key], pack: str, text: str, starts: Mapping[str, int]) -> tuple[str, int] | None:
    """Why a pack is not the one that was signed, and the line (0: none in particular); None: it is."""
    try:
        parsed = Note.parse(note)
    except NoteError as error:
        return f"its signature is no signed note: {error}", 0
    if not any(parsed.signed_by(key) for key in keys):
        names = ", ".join(sorted({signature.name for signature in parsed.signatures}))
        return f"it is not signed by any of the configured keys (signed by {names})", 0
    lines = parsed.text.splitlines()
    if len(lines) < 3 or lines[0] != MAGIC or not lines[2].startswith("sha256 "):
        return "its signature is over something else, not over a rule pack", 0
    if lines[1].partition(" ")[0] != pack:
        return f"its signature is over pack '{lines[1].partition(' ')[0]}'", 0
    if lines[2] == f"sha256 {_hash(text)}":
        return None
    return _where(dict(line.partition(" ")[::2] for line in lines[3:]), text, starts)


def _where(signed: Mapping[str, str], text: str, starts: Mapping[str, int]) -> tuple[str, int]:
    """The first part that was not signed as it stands."""
    found = _parts(text, starts)
    for name, (line, part) in found.items():
        shown = "what stands before the first rule" if name == _HEAD else f"rule '{name}'"
        if name not in signed:
            return f"{shown} was added after it was signed", line
        if signed[name] != _hash(part):
            return f"{shown} was altered after it was signed", line
    gone = [name for name in signed if name not in found]
    return (f"rule '{gone[0]}' was taken out after it was signed" if gone else "its rules stand in another order than was signed"), 1


def _parts(text: str, starts: Mapping[str, int]) -> dict[str, tuple[int, str]]:
    """Name -> (its first line, its lines): the head, then each rule."""
    lines = text.splitlines(keepends=True)
    ordered: list[tuple[str, int]] = sorted(starts.items(), key=lambda each: each[1])
    ends = [line - 1 for _, line in ordered] + [len(lines)]
    found = {_HEAD: (1, "".join(lines[: ends[0]]))}
    for (name, line), end in zip(ordered, ends[1:], strict=True):
        found[name] = line, "".join(lines[line - 1 : end])
    return found


def keys_of(vkeys: Iterable[str]) -> list[Key]:
    """Verifier keys from their texts. Raises ValueError (NoteError) for one that is none."""
    return [Key.parse(vkey) for vkey in vkeys]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
