"""Which signed checkpoints count by the keys that a person brought, and whether the recomputed trees are theirs; pure, knows no file and no language.

One judgement for a state folder and for a pack. Codes of outcomes: docs/reference/journal-format.md section 8.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from edge_gateway.evidence import keys
from edge_gateway.evidence.manifest import Manifest
from edge_gateway.journal.verify import Epoch
from edge_gateway.record.checkpoint import Checkpoint, witnessed_s
from edge_gateway.record.note import COSIGNATURE, ED25519, Key, Note, NoteError
from edge_gateway.record.walk import Broken

_EPOCH = re.compile(r"[0-9a-f]{16}\Z")
VERIFIED, BROKEN, UNDECIDED = "verified", "broken", "cannot-decide"


@dataclass(frozen=True, slots=True)
class Trusted:
    """Keys from outside; None: none was given, or the pack knows no key of that fingerprint."""

    gateway: Key | None = None
    witness: Key | None = None


@dataclass(frozen=True, slots=True)
class Weighed:
    """A checkpoint by the given keys. ``time_s``: when the witness cosigned. ``strangers``: whose other lines it carries."""

    head: Checkpoint | None
    counts: bool = False
    time_s: int | None = None
    bad: bool = False
    strangers: tuple[str, ...] = ()
    cosigned: bool = False


@dataclass(frozen=True, slots=True)
class Tested:
    """One epoch that was walked: its roots by size, and the checkpoints ``(size by its name, bytes)`` that came with it."""

    epoch: str
    size: int
    roots: Mapping[int, bytes]
    notes: Sequence[tuple[int, bytes]]
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Through:
    """How far an epoch is vouched for: ``size`` entries (0: not at all, ``code`` says why), witnessed at ``time_s``."""

    epoch: str
    size: int = 0
    time_s: int | None = None
    code: str = ""
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person brought: keys (or fingerprints) as text, a checkpoint as bytes."""

    key: str | None = None
    witness: str | None = None
    against: bytes | None = None


#: Why it cannot be decided, in the order in which it was found: code and facts.
Reasons = list[tuple[str, Mapping[str, object]]]


@dataclass(slots=True)
class Verdict:
    """``code`` and ``facts`` say why it is not verified; ``throughs`` how far each epoch is vouched for; ``manifest`` is a pack's."""

    outcome: str = UNDECIDED
    code: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)
    broken: Broken | None = None
    epochs: list[Epoch] = field(default_factory=list)
    throughs: list[Through] = field(default_factory=list)
    manifest: Manifest | None = None

    def ended(self, broken: Broken) -> Verdict:
        """It is broken."""
        self.outcome, self.code, self.broken = BROKEN, broken.code, broken
        return self

    def concluded(self, reasons: Reasons) -> Verdict:
        """It is not broken: verified unless there are reasons against it."""
        if reasons:
            self.code, self.facts = reasons[0]
        else:
            self.outcome = VERIFIED
        return self


def trusted(asked: Asked, named: Iterable[Key], reasons: Reasons) -> Trusted:
    """The keys that were brought; fingerprints take theirs out of ``named``. Raises NoteError for a text that is neither."""
    found: list[Key | None] = []
    for text, kind in ((asked.key, ED25519), (asked.witness, COSIGNATURE)):
        try:
            found.append(keys.given(text, kind, named) if text else None)
        except keys.UnknownKey:
            reasons.append(("unknown-key", {"epoch": "", "names": (text,)}))
            found.append(None)
    return Trusted(*found)


def weigh(data: bytes, epoch: str, known: Trusted) -> Weighed:
    """One checkpoint; what does not read does not count."""
    try:
        note = Note.parse(data)
        head = Checkpoint.parse(note.text)
    except NoteError:
        return Weighed(None)
    others = tuple(f"{each.name}+{each.key_id.hex()}" for each in note.signatures)
    cosigned = any(each.name != head.origin for each in note.signatures)
    key = known.gateway
    if key is None or head.origin not in (key.name, f"{key.name}/{epoch}") or not head.origin.endswith(f"/{epoch}"):
        return Weighed(head, strangers=others, cosigned=cosigned)
    own = Key(head.origin, ED25519, key.public)
    counts = note.signed_by(own)
    mine = [own, *([known.witness] if known.witness else [])]
    strangers = tuple(name for name, each in zip(others, note.signatures, strict=True) if not any(each.is_by(k) for k in mine))
    time_s = witnessed_s(note, known.witness) if counts and known.witness else None
    bad = bool(note.by(own)) and not counts
    return Weighed(head, counts, time_s, bad, strangers, cosigned)


def fitting(tested: Tested, known: Trusted, reasons: Reasons | None = None) -> list[tuple[int, Weighed]]:
    """The epoch's checkpoints that count and are of these entries, the smallest first.

    Raises Broken for one that counts and is of others, or of more entries. ``reasons`` (a pack's): one that cannot be
    compared is a reason against it, since whoever made the pack chose them; in a folder they grow old where segments go.
    """
    found: list[tuple[int, Weighed]] = []
    for size, data in sorted(tested.notes):
        each, root = weigh(data, tested.epoch, known), tested.roots.get(size)
        if not each.counts or each.head is None or each.head.size != size:
            continue
        if size > tested.size:
            raise _cut_back(tested, size)
        if root is None:
            if reasons is not None:
                reasons.append(("root-lost" if tested.lost else "checkpoint-within", {"epoch": tested.epoch, "names": (), "size": size}))
            continue
        if root != each.head.root:
            first = found[-1][0] if found else 0
            raise Broken(tested.epoch, first, size - 1, "the entries here are not those that were signed", "checkpoint")
        found.append((size, each))
    return found


def _cut_back(tested: Tested, size: int) -> Broken:
    why = f"{size} entries were signed, {tested.size} are here: the record was cut back"
    return Broken(tested.epoch, tested.size, size - 1, why, "cut-back")


def against(
    data: bytes, tests: Mapping[str, Tested], fits: dict[str, list[tuple[int, Weighed]]], known: Trusted, *, whole: bool
) -> tuple[str, Mapping[str, object]] | None:
    """A checkpoint from elsewhere joins those of its epoch; else why it cannot. ``whole``: the record should be all there is. Raises Broken."""
    epoch = epoch_of(data)
    found = weigh(data, epoch, known)
    head, mine = found.head, tests.get(epoch)
    if head is None or not found.counts or (known.witness is not None and found.time_s is None):
        return "against-unknown", {"names": found.strangers}
    facts = {"epoch": epoch, "size": head.size, "here": mine.size if mine else 0}
    if mine is None:
        if whole:
            raise Broken(epoch, 0, head.size - 1, f"this record has no epoch {epoch}", "against-elsewhere")
        return "against-elsewhere", facts
    if head.size > mine.size:
        if whole:
            raise _cut_back(mine, head.size)
        return "against-newer", facts
    root = mine.roots.get(head.size)
    if root is None:
        return "against-within", facts
    if root != head.root:
        first = max((size for size, _ in fits[epoch] if size < head.size), default=0)
        raise Broken(epoch, first, head.size - 1, "the entries here are not those that were signed", "against")
    fits[epoch] = sorted([*fits[epoch], (head.size, found)], key=lambda each: each[0])
    return None


def through(tested: Tested, fits: Sequence[tuple[int, Weighed]], known: Trusted) -> Through:
    """How far the epoch is vouched for."""
    witnessed = [(size, each.time_s) for size, each in fits if each.time_s is not None]
    if known.witness is not None and witnessed:
        return Through(tested.epoch, *witnessed[-1])
    if known.witness is None and fits and not any(each.cosigned for _, each in fits):
        return Through(tested.epoch, fits[-1][0])
    every = [weigh(data, tested.epoch, known) for _, data in tested.notes]
    names = tuple(dict.fromkeys(name for each in (*every, *(each for _, each in fits)) for name in each.strangers))
    return Through(tested.epoch, code=why_not(tested, known, bool(fits), any(each.bad for each in every), names), names=names)


def why_not(tested: Tested, known: Trusted, fits: bool, bad: bool, strangers: Sequence[str]) -> str:
    """The code for an epoch that nothing vouches for. ``fits``: a checkpoint counts and is of these entries; ``bad``: one is signed wrongly."""
    if fits:
        return "unknown-witness" if known.witness is None else "not-witnessed"
    if tested.lost:
        return "root-lost"
    if not tested.notes:
        return "unsigned"
    return "bad-signature" if bad else "unknown-key" if strangers else "bad-checkpoint"


def epoch_of(data: bytes) -> str:
    """The epoch that a checkpoint's origin names; "" if it is none."""
    try:
        epoch = Checkpoint.parse(Note.parse(data).text).origin.rpartition("/")[2]
    except NoteError:
        return ""
    return epoch if _EPOCH.match(epoch) else ""


def size_of(data: bytes) -> int:
    """The size that a checkpoint names; 0 if it is none."""
    try:
        return Checkpoint.parse(Note.parse(data).text).size
    except NoteError:
        return 0
