"""What the hub says to a checkpoint, judged by the key that came from elsewhere; pure: knows no session, no journal and no clock.

A cosignature counts (*witnessed*) only by ``vkey`` of the configuration: what the hub says of its own key is no trust.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_gateway.record.checkpoint import Checkpoint, witnessed_s
from edge_gateway.record.note import Key, Note, NoteError, Signature, note_bytes
from edge_gateway.sinks.base import Verdict

#: Refusals that a person must look at, on both sides.
ALARMS = frozenset({"fork", "roll-back", "foreign-key", "foreign-log", "store-differs"})
#: Refusals of one epoch, while those of another may be cosigned.
OF_AN_EPOCH = frozenset({"pending", "skipped", "closed"})
#: When asking again makes sense (s): after entries (or a person, who brings the key or accepts an epoch), while the hub computes, after a refusal.
EARLY_S, LATER_S, REFUSED_S = 5.0, 2.0, 30.0
_COSIGNATURE_BYTES = 8 + 64
#: A checkpoint is smaller than this.
_NOTE_BYTES = 4096


class HubWitness:
    """``judge`` answers; ``status`` says how far the record is witnessed. ``key``: the hub's, None where none is configured."""

    def __init__(self, key: Key | None) -> None:
        self._key = key
        self._newest: dict[str, Any] | None = None
        self._why = self._code = ""
        self._pending: list[str] = []

    def status(self) -> dict[str, Any]:
        """JSON-able. ``newest``: epoch, size and time of the newest cosignature, ``known`` whether by the configured key.

        ``code`` and ``why``: what the newest checkpoint met instead of a cosignature, "" if nothing. ``pending``: epochs that
        wait at the hub for a person.
        """
        key = None if self._key is None else str(self._key)
        return {"newest": self._newest, "key": key, "code": self._code, "why": self._why, "pending": self._pending}

    def met(self, pending: list[str]) -> None:
        """A session began: which epochs wait at the hub."""
        self._pending = pending

    def learn(self, epoch: str, data: bytes) -> bool:
        """A note that was kept: whether it carries a right cosignature of the hub's key."""
        try:
            note = Note.parse(data)
            time_s = witnessed_s(note, self._key) if self._key is not None else None
            size = Checkpoint.parse(note.text).size
        except NoteError:
            return False  # the journal's own checks tell of damage
        if time_s is None:
            return False
        self._newest = {"epoch": epoch, "size": size, "time_s": time_s, "known": True}
        return True

    def given(self, answer: Mapping[str, Any]) -> list[tuple[str, int, bytes]]:
        """Of the checkpoints that the hub gives back: those of the size and epoch that it says, with its right cosignature."""
        found: list[tuple[str, int, bytes]] = []
        told = answer.get("notes")
        for item in told if isinstance(told, list) else []:
            match item:
                case [str(epoch), int(size), str(text)] if len(text) <= _NOTE_BYTES:
                    data = text.encode(errors="replace")
                    if self.learn(epoch, data) and (head := Checkpoint.parse(Note.parse(data).text)).size == size and head.origin.endswith(f"/{epoch}"):
                        found.append((epoch, size, data))
        return found

    def judge(self, answer: Mapping[str, Any], epoch: str, data: bytes) -> Verdict:
        """What an answer to the checkpoint ``data`` means."""
        verdict = self._judge(answer, epoch, data)
        self._why, self._code = verdict.why, verdict.code
        if verdict.code == "pending" and epoch not in self._pending:
            self._pending = [*self._pending, epoch]
        elif verdict.note:
            self._pending = [each for each in self._pending if each != epoch]
        return verdict

    def _judge(self, answer: Mapping[str, Any], epoch: str, data: bytes) -> Verdict:
        if "cosignature" in answer:
            return self._cosigned(str(answer["cosignature"]), epoch, Note.parse(data))
        if "expected" in answer:
            return Verdict(code="early", again_s=EARLY_S, why="the hub does not hold that many entries yet")
        if "later" in answer:
            return Verdict(code="later", again_s=LATER_S, why="the hub is still computing its tree")
        if "unsupported" in answer:
            return Verdict(code="unsupported", supported=False, why="this hub does not cosign: it is of an older release")
        code, why = str(answer.get("refused", ""))[:64], str(answer.get("why", ""))[:300]
        said = f"the hub does not cosign ({code or 'no known answer'}): {why}"
        again_s = EARLY_S if code in ("no-key", "pending") else REFUSED_S
        alarm = code if code in ALARMS else ""
        if code == "pending" and answer.get("behind"):
            alarm = "roll-back"  # the new epoch names less than the hub cosigned
        return Verdict(code=code or "unknown", alarm=alarm, why=said, again_s=again_s, only_this=code in OF_AN_EPOCH)

    def _cosigned(self, line: str, epoch: str, note: Note) -> Verdict:
        head = Checkpoint.parse(note.text)
        try:
            mark = Signature.parse(line)
            if mark.name == head.origin or len(mark.data) != _COSIGNATURE_BYTES:
                raise NoteError("it is no witness's line")
            others = [each for each in note.signatures if (each.name, each.key_id) != (mark.name, mark.key_id)]
            whole = Note(note.text, (*others, mark))
            time_s: int | None = int.from_bytes(mark.data[:8], "big")
            if self._key is not None:  # its own line must be right: an earlier one in the note vouches for nothing new
                time_s = witnessed_s(Note(note.text, (mark,)), self._key)
        except NoteError as error:
            return _forged(f"the hub's cosignature is none: {error}")
        if time_s is None:
            why = f"the hub's cosignature is not by its key {self._key}: the hub, or something before it, was exchanged"
            return _forged(why)
        self._newest = {"epoch": epoch, "size": head.size, "time_s": time_s, "known": self._key is not None}
        return Verdict(note=note_bytes(whole.text, whole.signatures))


def _forged(why: str) -> Verdict:
    code = "forged-cosignature"
    return Verdict(code=code, alarm=code, why=why, again_s=REFUSED_S)
