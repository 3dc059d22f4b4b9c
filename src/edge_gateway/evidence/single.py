"""One entry and its proof (c2sp.org/tlog-proof): made out of a record, checked without one; knows no zip."""

from __future__ import annotations

from edge_gateway.errors import JournalError
from edge_gateway.evidence.judge import (
    Asked,
    Reasons,
    Tested,
    Through,
    Trusted,
    Verdict,
    epoch_of,
    size_of,
    trusted,
    weigh,
    why_not,
)
from edge_gateway.evidence.proving import Gone, Proving
from edge_gateway.journal.base import Position
from edge_gateway.journal.reading import Reading
from edge_gateway.record.checkpoint import Checkpoint
from edge_gateway.record.entry import decode
from edge_gateway.record.merkle import leaf_hash
from edge_gateway.record.note import Note, NoteError
from edge_gateway.record.proof import includes, parse_tlog_proof, tlog_proof
from edge_gateway.record.walk import Broken

#: A proof begins so.
HEAD = b"c2sp.org/tlog-proof@v1\n"
MAX_PROOF_BYTES = 128 * 1024


def prove(reading: Reading, epoch: str, seq: int) -> tuple[bytes, bytes]:
    """The proof and the entry's bytes. By the newest checkpoint over it that carries a cosignature, else the newest over it.

    Raises JournalError when there is no such entry, or no checkpoint over it, here.
    """
    notes = [(size, note) for name, size, note in reading.checkpoints() if name == epoch and size > seq]
    info = next((each for each in reading.known_epochs() if each.epoch == epoch), None)
    try:
        found = reading.read(Position(epoch, seq), max_entries=1, max_bytes=1)
    except KeyError:
        found = []
    if info is None or not found:
        raise JournalError(f"entry {epoch}/{seq} is not here", hint="`edge-gateway journal verify` names the epochs and their sizes")
    proving = Proving(reading, info, [each for each in reading.sealed() if each.epoch == epoch])
    for size, note in sorted(notes, key=lambda each: (_cosigned(each[1]), each[0]), reverse=True):
        if size <= proving.known:
            try:
                return tlog_proof(seq, proving.inclusion(seq, size), note), found[0]
            except Gone:
                continue
    raise JournalError(f"no checkpoint covers entry {epoch}/{seq}", hint="without a signer nothing is signed; with one, wait for the next checkpoint")


def _cosigned(note: bytes) -> bool:
    return len(Note.parse(note).signatures) > 1


def check(proof: bytes, entry: bytes, asked: Asked) -> Verdict:
    """The verdict on one entry. Raises NoteError for a key that is none."""
    verdict, reasons = Verdict(), Reasons()
    known = trusted(asked, (), reasons)
    try:
        seq, path, data = parse_tlog_proof(proof)
        head = Checkpoint.parse(Note.parse(data).text)
    except (NoteError, ValueError) as wrong:
        return verdict.concluded([*reasons, ("malformed", {"why": str(wrong)})])
    epoch = epoch_of(data)
    if _told(entry) != seq or not includes(leaf_hash(entry), seq, head.size, path, head.root):
        return verdict.ended(Broken(epoch, seq, seq, "this entry is not the one that was signed in its place", "proof"))
    found = _through(data, known)
    verdict.throughs = [found]
    if found.code:
        reasons.append((found.code, {"epoch": epoch, "names": found.names}))
    return verdict.concluded(reasons)


def _told(entry: bytes) -> int | None:
    """The number that an entry says to have; None for what is no entry: whatever it is, nobody signed it."""
    try:
        told = decode(entry)["seq"]
    except ValueError:
        return None
    return told if type(told) is int else None


def _through(data: bytes, known: Trusted) -> Through:
    epoch, size = epoch_of(data), size_of(data)
    found = weigh(data, epoch, known)
    if found.counts and (found.time_s is not None if known.witness else not found.cosigned):
        return Through(epoch, size, found.time_s)
    code = why_not(Tested(epoch, size, {}, [(size, data)]), known, found.counts, found.bad, found.strangers)
    return Through(epoch, code=code, names=found.strangers)
