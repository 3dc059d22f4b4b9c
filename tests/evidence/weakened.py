"""Verifiers with one check dropped, in JavaScript and in Python: the vectors must find each. A replacement that no longer fits the source fails."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.evidence.javascript_answers import PAGE

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Weak:
    """``old`` becomes ``new`` in ``file`` (below src/edge_gateway); ``kinds`` of vectors look there."""

    name: str
    file: str
    old: str
    new: str
    kinds: tuple[str, ...]


def _page(name: str, old: str, new: str, *kinds: str) -> Weak:
    return Weak(name, "evidence/verify.html", old, new, kinds)


JAVASCRIPT = (
    _page("S may be the order or more", "if (!isLess(s, ORDER)) return false;", "", "ed25519"),
    _page("keys of small order", "SMALL.indexOf(V.hex(y)) < 0", "true", "ed25519", "key"),
    _page("keys spelled with y >= p", "key.length === 32 && isLess(y, PRIME) &&", "key.length === 32 &&", "ed25519", "key"),
    _page("R is not compared", "return V.equal(found, r);", "return true;", "ed25519"),
    _page("a path that ends early", "return last === 0 && V.equal(found, root);", "return V.equal(found, root);", "inclusion"),
    _page("an index beyond the tree", "if (!(index >= 0 && index < size) ||", "if (!(index >= 0) ||", "inclusion"),
    _page("the old root is not compared", "return last === 0 && V.equal(first, oldRoot) &&", "return last === 0 &&", "consistency"),
    _page("base64 in many spellings", "return V.base64(bytes) === text ? bytes : null;", "return bytes;", "note"),
    _page("one right signature is enough", "mine.every(function (line) { return V.ed25519(key.bytes, message", "mine.some(function (line) { return V.ed25519(key.bytes, message", "note"),
    _page("a key's id is not computed", "if (key.id !== parts[2])", "if (false)", "key"),
    _page("the origin need not be the key's name", "if (key.name !== this.origin || ", "if (", "checkpoint"),
    _page("cosignatures are not verified", 'return V.ed25519(key.bytes, V.utf8("cosignature/v1', 'return true || V.ed25519(key.bytes, V.utf8("cosignature/v1', "checkpoint"),
    _page("CRC-32 is not compared", "if (crc !== V.get32(bytes, packed) || ", "if (", "gzip"),
    _page("a match before the beginning", "if (far > size - begin) throw", "if (false) throw", "gzip"),
    _page("a code may be incomplete", "if (left > 0 && !(lone &&", "if (false && !(lone &&", "gzip"),
    _page("an entry need not say its kind", ' || typeof entry.kind !== "string"', "", "segment"),
    _page("7.0 is 7", 'return topLevel(text, "seq") === String(seq) ? entry : null;', "return entry;", "segment"),
    _page("members' counts are not compared", "if (count !== next[0] - first) throw", "if (false) throw", "segment"),
    _page("a segment's root is not compared", "if (V.hex(part.root()) !== segment.root)", "if (false)", "pack"),
    _page("texts are not hashed", 'if (names[i] !== folder + V.hex(V.sha256(bytes)))', "if (false)", "pack"),
    _page("bytes between zip members", "if (at !== size || next !== from) throw", "if (false) throw", "pack"),
    _page("the zip's directory may point elsewhere", " && V.get32(directory, at + 42) === next", "", "pack"),
    _page("a checkpoint's root is not compared", "else if (!V.equal(root, each.head.root))", "else if (false)", "pack"),
    _page("the witness is not asked for", "return checkpoint.counts && (!keys.witness || checkpoint.witnessed !== null);", "return checkpoint.counts;", "pack"),
    _page("a claim may reach beyond the witness", "if (end === null || told.to_us > end)", "if (false)", "pack"),
    _page("an earlier epoch may go on beyond its witness", "epochs.slice(0, -1).filter(endsBehind)", "[]", "pack"),
    _page("a claim may begin earlier", "if (from === null || told.from_us < from)", "if (false)", "pack"),
    _page("a checkpoint from elsewhere is not compared", "else if (!V.equal(epoch.rootAt(size), asked.head.root))", "else if (false)", "pack"),
    _page("epochs need not hang together", "if (told.epoch !== earlier.epoch || ", "if (false && ", "pack"),
)  # fmt: skip

PYTHON = (
    Weak("keys of small order", "record/note.py", "if y >= _PRIME or y in _SMALL:", "if y >= _PRIME:", ("ed25519", "key")),
    Weak("keys spelled with y >= p", "record/note.py", "if y >= _PRIME or y in _SMALL:", "if y in _SMALL:", ("ed25519", "key")),
    Weak("one right signature is enough", "record/note.py", "return bool(mine) and all(", "return any(", ("note",)),
    Weak("base64 in many spellings", "record/note.py", "return raw if base64.b64encode(raw).decode() == text else None", "return raw", ("note",)),
    Weak("a key's id is not computed", "record/note.py", "if key.id.hex() != shown:", "if False:", ("key",)),
    Weak("a path that ends early", "record/proof.py", "return last == 0 and found == root", "return found == root", ("inclusion",)),
    Weak("an index beyond the tree", "record/proof.py", "if not 0 <= index < size or len(path) > MAX_HASHES:\n        return False\n    at,", "if len(path) > MAX_HASHES:\n        return False\n    at,", ("inclusion",)),
    Weak("the old root is not compared", "record/proof.py", "return last == 0 and first == old_root and", "return last == 0 and", ("consistency",)),
    Weak("the origin need not be the key's name", "record/checkpoint.py", "if log.kind != ED25519 or found.origin != log.name:", "if log.kind != ED25519:", ("checkpoint",)),
    Weak("cosignatures are not verified", "record/checkpoint.py", "not witness.verifies(cosigned_message(note.text, time_s), signature)", "False", ("checkpoint",)),
    Weak("a time beyond all times", "record/checkpoint.py", "time_s <= _MOST", "True", ("checkpoint",)),
    Weak("bytes behind a gzip member", "journal/segments.py", "if not unpacker.eof or unpacker.unused_data or", "if not unpacker.eof or", ("segment",)),
    Weak("a segment may be another's", "journal/segments.py", 'if (footer["epoch"], footer["first"]) != (epoch, first) or (', "if (", ("segment",)),
    Weak("a segment's root is not compared", "evidence/check.py", "if walk.seal() != file.segment.root:", "if not walk.seal():", ("pack",)),
    Weak("texts are not hashed", "evidence/check.py", ".hexdigest() != name:", ".hexdigest() == name + name:", ("pack",)),
    Weak("bytes between zip members", "evidence/zipped.py", "if at != len(data) or expected != end:", "if False:", ("pack",)),
    Weak("a checkpoint's root is not compared", "evidence/judge.py", "        if root != each.head.root:", "        if False:", ("pack",)),
    Weak("a claim may reach beyond the witness", "evidence/check.py", "if claim.to_us > min(bounds):", "if False:", ("pack",)),
    Weak("an earlier epoch may go on beyond its witness", "evidence/check.py", "if each.end > through.size:", "if False:", ("pack",)),
    Weak("an entry's number is not looked at", "record/walk.py", 'if told["seq"] != seq or told["seq"] is True:', "if False:", ("pack",)),
)  # fmt: skip


@contextmanager
def weakened(weak: Weak, folder: Path) -> Iterator[Path]:
    """The sources with the check dropped, below ``folder``; whole again afterwards. Raises AssertionError when the check is not there once."""
    path = folder / "src" / "edge_gateway" / weak.file
    if not path.exists():
        shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    whole = path.read_text(encoding="utf-8")
    assert whole.count(weak.old) == 1, f"{weak.name}: {weak.file} has it {whole.count(weak.old)} times: {weak.old}"
    path.write_text(whole.replace(weak.old, weak.new), encoding="utf-8")
    try:
        yield path
    finally:
        path.write_text(whole, encoding="utf-8")


def python_caught(weak: Weak, vectors: Sequence[dict[str, Any]], folder: Path) -> int:
    """How many of these vectors a weakened verifier in Python answers wrongly (or dies of)."""
    with weakened(weak, folder):
        environment = os.environ | {"PYTHONPATH": f"{folder / 'src'}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
        lines = "".join(json.dumps(each) + "\n" for each in vectors)
        program = [sys.executable, "-m", "tests.evidence.python_answers"]
        done = subprocess.run(program, input=lines, capture_output=True, text=True, check=False, env=environment, cwd=ROOT)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert not answers or done.returncode == 0, done.stderr[-1000:]
    assert len(answers) == len(vectors), done.stderr[-1000:]
    return sum(answer != each["want"] for each, answer in zip(vectors, answers, strict=True))


__all__ = ["JAVASCRIPT", "PAGE", "PYTHON", "Weak", "python_caught", "weakened"]
