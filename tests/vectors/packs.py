"""Vectors of whole evidence packs: made from journal-format.md section 8 alone, then spoilt one way each with the outcome that it must have; knows neither verifier."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from random import Random
from typing import Any

from tests.vectors import oracle
from tests.vectors.oracle import Signer
from tests.vectors.trees import Vector, flipped

_T0_US = 1_770_000_000_000_000
_STEP_US = 1_000_000
_A_SEGMENT = 16


@dataclass
class Epoch:
    """``here``: segments (first, end) whose entries are in the pack; ``heads``: sizes of checkpoints."""

    epoch: str
    entries: list[bytes]
    here: list[tuple[int, int]]
    heads: list[int]

    @property
    def leaves(self) -> list[bytes]:
        return [oracle.leaf(entry) for entry in self.entries]


#: In every pack.
PHOTO = b"\xff\xd8\xff\xe0 door seal" + bytes(range(256)) * 8


@dataclass
class Site:
    """All that a pack is made of, good as it stands."""

    rng: Random
    gateway: Signer
    witness: Signer
    epochs: list[Epoch]
    times: dict[tuple[str, int], int]
    texts: list[bytes]
    claim: dict[str, Any] | None
    notes: dict[tuple[str, int], bytes] = field(default_factory=dict)

    def note(self, epoch: Epoch, size: int, *, by: Signer | None = None, witness: Signer | str | None = "own", root: bytes | None = None) -> bytes:
        """A checkpoint of the epoch as the gateway signs it, cosigned."""
        name = f"{self.gateway.name}/{epoch.epoch}"
        text = oracle.head(name, size, root or oracle.root_of(epoch.leaves[:size]))
        line = (by or self.gateway).named(name).line(text)
        cosigner = self.witness if witness == "own" else witness
        assert not isinstance(cosigner, str)
        return f"{text}\n{line}{cosigner.line(text, self.times[epoch.epoch, size]) if cosigner else ''}".encode()

    def members(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for epoch in self.epochs:
            for first, end in epoch.here:
                found[f"segments/{epoch.epoch}/{first:012d}.ndjson.gz"] = oracle.segment(epoch.epoch, first, epoch.entries[first:end], 8)
            for size in epoch.heads:
                note = self.notes.get((epoch.epoch, size), None) or self.note(epoch, size)
                found[f"checkpoints/{epoch.epoch}/{size:012d}.checkpoint"] = note
        for text in self.texts:
            found[f"texts/{sha256(text).hexdigest()}"] = text
        found[f"photos/{sha256(PHOTO).hexdigest()}"] = PHOTO
        keys = [{"role": "gateway", "vkey": self.gateway.vkey}, {"role": "witness", "vkey": self.witness.vkey}]
        found["keys.json"] = json.dumps({"keys": keys}).encode()
        found["table.en.html"] = b"<p>no part of the proof</p>"
        return {"manifest.json": json.dumps(self.manifest()).encode()} | found

    def manifest(self) -> dict[str, Any]:
        epochs = [{"epoch": each.epoch, "size": len(each.entries), "given": _given(each)} for each in self.epochs]
        about = {"made_us": _T0_US, "software": "0.1.0", "witnessed": None, "proves_not": {"zh": [], "en": []}}
        site = {"name_zh": "冷库", "name_en": "store", "timezone": "Asia/Shanghai"}
        origin = self.gateway.name
        return {"format": "edge-gateway/evidence-pack/1", "gateway": "tlf", "origin": origin, "site": site, "claim": self.claim, "epochs": epochs} | about


def _given(epoch: Epoch) -> list[list[Any]]:
    """Aligned subtrees for what is not here, cut at the checkpoints' sizes."""
    found: list[list[Any]] = []
    gaps, at = [], 0
    for first, end in [*epoch.here, (len(epoch.entries), len(epoch.entries))]:
        gaps += [(at, first)] if first > at else []
        at = end
    for begin, end in gaps:
        for stop in sorted({size for size in epoch.heads if begin < size < end} | {end}):
            while begin < stop:
                count = 1
                while begin % (2 * count) == 0 and begin + 2 * count <= stop:
                    count *= 2
                found.append([begin, count, oracle.root_of(epoch.leaves[begin : begin + count]).hex()])
                begin += count
    return found


def zipped(members: dict[str, bytes] | list[tuple[str, bytes]]) -> bytes:
    """Stored members, as section 8 has them."""
    rows = list(members.items()) if isinstance(members, dict) else members
    data, central = b"", b""
    for name, content in rows:
        raw = name.encode()
        head = struct.pack("<HHHHHIIIHH", 20, 0, 0, 0, 0x21, 0, len(content), len(content), len(raw), 0)
        central += b"PK\x01\x02" + struct.pack("<H", 20) + head + struct.pack("<HHHII", 0, 0, 0, 0, len(data)) + raw
        data += b"PK\x03\x04" + head + raw + content
    return data + central + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, len(rows), len(rows), len(central), len(data), 0)


def site(rng: Random) -> Site:
    """One or two epochs; whole, or a stretch of segments out of the middle to the end."""
    gateway = Signer(rng.randbytes(32), f"example.org/xj/tlf-{rng.randrange(1000):03d}", 1)
    witness = Signer(rng.randbytes(32), "hub.example.org/xj", 4)
    texts = [json.dumps({"groups": {"d.1": {"points": ["air"]}}, "n": rng.randrange(9)}).encode()]
    epochs: list[Epoch] = []
    at_us = _T0_US
    for number in range(rng.choice((1, 1, 2))):
        previous = _previous(epochs[-1]) if number else None
        epochs.append(_epoch(rng, at_us, previous, sha256(texts[0]).hexdigest()))
        at_us += len(epochs[-1].entries) * _STEP_US
    if rng.random() < 0.6 and len(epochs[0].here) > 2:
        del epochs[0].here[: rng.randrange(1, len(epochs[0].here) - 1)]
    times = {(each.epoch, size): at_us // 10**6 + rng.randrange(60) for each in epochs for size in each.heads}
    found = Site(rng, gateway, witness, epochs, times, texts, None)
    found.claim = _claim(found)
    return found


def _epoch(rng: Random, at_us: int, previous: dict[str, Any] | None, text: str) -> Epoch:
    count = rng.choice((rng.randrange(18, 90), 16 * rng.randrange(2, 6)))
    entries = []
    for seq in range(count):
        told = {"v": 1, "seq": seq, "kind": "batch", "rule_us": at_us, "wall_us": at_us, "mono_us": seq, "boot": "0" * 12, "trusted": True}
        if seq % _A_SEGMENT == 0:
            told |= {"kind": "snapshot", "config": {"config_seq": 1, "text": text, "texts": {}}, "configs": [], "state": {}}
            told |= {"previous": previous} if previous and not seq else {}
        else:
            told |= {"config_seq": 1, "group": "d.1", "values": [rng.randrange(-200, 200) / 10]}
        if rng.random() < 0.1:
            told |= {"trusted": False, "wall_us": 1000 * seq}
        entries.append(json.dumps(told, separators=(",", ":")).encode())
        at_us += _STEP_US
    here = [(first, min(first + _A_SEGMENT, count)) for first in range(0, count, _A_SEGMENT)]
    return Epoch(rng.randbytes(8).hex(), entries, here, sorted({rng.randrange(1, count), rng.randrange(1, count), count}))


def _previous(epoch: Epoch) -> dict[str, Any]:
    size = len(epoch.entries)
    return {"epoch": epoch.epoch, "size": size, "root": oracle.root_of(epoch.leaves).hex(), "reason": "restore"}


def walls(found: Site, number: int) -> list[int]:
    """Trusted wall times of what is here of an epoch, in order."""
    epoch = found.epochs[number]
    told = [json.loads(epoch.entries[seq]) for first, end in epoch.here for seq in range(first, end)]
    return [each["wall_us"] for each in told if each["trusted"]]


def _claim(found: Site) -> dict[str, Any]:
    first, last = walls(found, 0), walls(found, -1)
    return {"from_us": first[0], "to_us": last[-1], "points": None, "violation": None}


#: A spoiler changes the site (or returns the file's bytes) and gives outcome, code and the entries that are broken.
Spoilt = tuple[bytes | None, dict[str, Any], tuple[str, str, list[Any] | None]]


def pack(rng: Random, bad: bool) -> Vector:
    found = site(rng)
    given: dict[str, Any] = {"gateway": found.gateway.vkey, "witness": found.witness.vkey, "against": None}
    if rng.random() < 0.2:
        given |= {"gateway": found.gateway.fingerprint[:40].upper(), "witness": found.witness.fingerprint}
    if not bad and rng.random() < 0.3:
        given["against"] = found.note(found.epochs[-1], found.epochs[-1].heads[-1])
    want: dict[str, Any] = {"outcome": "verified", "code": None, "broken": None, "complete": None}
    data = None
    if bad:
        from tests.vectors.packs_spoilt import MALFORMED, SPOILERS

        spoil = rng.choice(SPOILERS if rng.random() < 0.7 else MALFORMED)
        data, more, (outcome, code, broken) = spoil(rng, found)
        given |= more
        want |= {"outcome": outcome, "code": code, "broken": broken}
        want["spoilt"] = spoil.__name__
    else:
        _widened(rng, found)
        last = found.epochs[-1]
        want["complete"] = [last.epoch, len(last.entries), found.times[last.epoch, len(last.entries)]]
    name = want.pop("spoilt", "good")
    shown = given | {"pack": oracle.b64(data if data is not None else zipped(found.members()))}
    shown["against"] = oracle.b64(shown["against"]) if shown["against"] else None
    return {"kind": "pack", "spoilt": name, "given": shown, "want": want}


def _widened(rng: Random, found: Site) -> None:
    """A good pack may claim nothing."""
    if rng.random() < 0.2:
        found.claim = None


def cut(found: Site, epoch: Epoch, size: int) -> Site:
    """The same, with the epoch's entries cut back to ``size``."""
    here = [(first, min(end, size)) for first, end in epoch.here if first < size]
    less = Epoch(epoch.epoch, epoch.entries[:size], here, [head for head in epoch.heads if head <= size])
    return replace(found, epochs=[less if each is epoch else each for each in found.epochs])


def repacked(found: Site, change: Callable[[dict[str, bytes]], None]) -> bytes:
    """The pack with its members changed."""
    members = found.members()
    change(members)
    return zipped(members)


def any_segment(rng: Random, found: Site) -> tuple[Epoch, int, int, str]:
    """An epoch, a segment of it that is here (first, end), and its member's name."""
    epoch = rng.choice(found.epochs)
    first, end = rng.choice(epoch.here)
    return epoch, first, end, f"segments/{epoch.epoch}/{first:012d}.ndjson.gz"


__all__ = ["Epoch", "Site", "any_segment", "cut", "flipped", "pack", "repacked", "site", "walls", "zipped"]
