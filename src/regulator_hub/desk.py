"""Where messages are answered: one message in, one answer out, whatever carried it; knows no HTTP and no MQTT.

An answer that says *held* is made only after the writer's commit: bytes first, words later.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import apsw

from edge_gateway.wire import hub as wire
from edge_gateway.wire.hub import Message
from regulator_hub.interpret import Interpreter
from regulator_hub.outbox import Outbox
from regulator_hub.sessions import Sessions
from regulator_hub.store import ingest, photos, recall, standing, witnessed
from regulator_hub.store import reader as read
from regulator_hub.store.ingest import Conflict, Hole, Receipt
from regulator_hub.store.photos import PhotoFiles
from regulator_hub.store.reader import Reader
from regulator_hub.store.writer import StoreFailed, Writer
from regulator_hub.watch import Watch
from regulator_hub.witness import Witness

#: Kind of the alarm about a photo's hash.
PHOTO_GONE = "photo-gone"

#: Larger messages are inflated beside the loop.
_INFLATE_ASIDE_BYTES = 16 * 1024
#: What only the ordered lane says.
_IN_ORDER = frozenset({"entries", "skipped", "checkpoint"})
#: Entries that are given back in one answer.
MOST_FETCHED = 512
#: Checkpoints that are given back in one answer: 4 KiB each at most.
MOST_NOTES = 32


class Desk:
    """``answer`` is called with messages whose sender is proven (token or code). ``watch`` hears of each new entry."""

    def __init__(
        self,
        *,
        name: str,
        store: tuple[Writer, Reader],
        interpreter: Interpreter,
        witness: Witness,
        wall_us: Callable[[], int],
        watch: Watch,
        photo_files: PhotoFiles,
    ) -> None:
        self._name = name
        self._writer, self._reader = store
        self._recalled: dict[str, set[str]] = {}  # gateway -> texts of the states that it was told of
        self._interpreter = interpreter
        self._witness = witness
        self._wall_us = wall_us
        self._watch = watch
        self._photos = photo_files
        self.outbox: Outbox | None = None  # whose commands stand beside answers
        self._sessions = Sessions()
        self.counts: Counter[str] = Counter()

    async def decode(self, data: bytes) -> Message:
        """The message in these bytes. Raises WireError."""
        if len(data) > _INFLATE_ASIDE_BYTES:
            return await asyncio.to_thread(wire.decode_message, data)
        return wire.decode_message(data)

    async def answer(self, gateway: str, message: Message) -> bytes:
        """The answer's bytes. Raises WireError (to be told as a problem) or StoreFailed."""
        try:
            return await self._answer(gateway, message)
        except StoreFailed:
            self._watch.deaf()
            raise

    async def _answer(self, gateway: str, message: Message) -> bytes:
        self.counts[message.kind if message.kind in wire.KINDS else "unknown"] += 1
        if message.kind == "hello":
            session = self._sessions.open(gateway, message.session)
            return wire.encode_answer(session, 0, await self._hello(gateway, session, message))
        self._sessions.advance(gateway, message.session, message.n)
        if message.kind in _IN_ORDER and (behind := self._sessions.doubted(gateway, message.session)):
            # A hello that a proxy or a broker says again, or that others overtook, knows less than we hold and means nothing.
            # The ordered lane alone delivers: in its session nothing of ours can be younger than its hello.
            await self._writer.run(lambda db: ingest.rolled_back(db, gateway, behind, self._wall_us()))
        handle = self._handlers.get(message.kind)
        answer = await handle(self, gateway, message) if handle else {"unsupported": message.kind}
        return wire.encode_answer(message.session, message.n, answer | self._commands(gateway))

    def _commands(self, gateway: str) -> dict[str, Any]:
        """What persons here want of this gateway, beside whatever it is answered."""
        if self.outbox is None:
            return {}
        due = self.outbox.due(gateway, self._wall_us(), self._interpreter.view(gateway).answered)
        self.counts["commands_sent"] += len(due)
        return {"commands": [note.decode() for note in due]} if due else {}

    async def _hello(self, gateway: str, session: str, message: Message) -> dict[str, Any]:
        asked = [(str(epoch), int(size)) for epoch, size in message.head["epochs"]]
        sizes, closed, skipped = await self._writer.run(lambda db: ingest.met(db, gateway, asked, self._wall_us()))
        self._watch.met(gateway)
        self._sessions.doubt(gateway, session, {e: (sizes[e], theirs) for e, theirs in asked if sizes[e] > theirs})
        known = self._witness.sizes(gateway)
        witnessed = {epoch: known[epoch] for epoch, _ in asked if epoch in known}
        pending = [epoch for epoch in await self._witness.pending(gateway) if epoch in sizes]
        hello = {"hub": self._name, "sizes": sizes, "closed": closed}
        more = {"witnessed": witnessed, "pending": pending, "skipped": skipped}
        return {"hello": hello | {key: value for key, value in more.items() if value}}

    async def _entries(self, gateway: str, message: Message) -> dict[str, Any]:
        head, entries = message.head, message.entries()
        left = head.get("branch_of")
        branch = None if left is None else (str(left["epoch"]), int(left["size"]))
        offered = ingest.Offered(head["epoch"], head["first"], entries, branch)
        result = await self._writer.run(
            lambda db: ingest.append(db, gateway, offered, self._wall_us())
        )
        self.counts["entries_received"] += len(entries)
        if isinstance(result, Receipt):
            self._watch.seen(gateway, head["epoch"], head["first"] + len(entries) - 1)
        self._interpreter.told(gateway)
        if head["first"] == 0:
            await self._witness.born(gateway, head["epoch"])
        return _told(result)

    async def _skipped(self, gateway: str, message: Message) -> dict[str, Any]:
        head = message.head
        declared = (str(head["reason"]), list(head["roots"]))
        result = await self._writer.run(
            lambda db: ingest.skip(db, gateway, head["epoch"], head["first"], head["count"], declared, self._wall_us())
        )
        self._interpreter.told(gateway)
        return _told(result)

    async def _live(self, gateway: str, message: Message) -> dict[str, Any]:
        epoch, seqs, entries = message.head["epoch"], message.head["seqs"], message.entries()
        copies = [(seq, wire.is_urgent(entry), entry) for seq, entry in zip(seqs, entries, strict=True)]
        need_text = await self._writer.run(lambda db: ingest.copy_live(db, gateway, epoch, copies, self._wall_us()))
        self._watch.seen(gateway, epoch, max(seqs, default=-1))
        needed = self._interpreter.live(gateway, epoch, list(zip(seqs, entries, strict=True)))
        answer = {"need_config": needed, "epoch": epoch} if needed else {"seen": len(entries), "epoch": epoch}
        return answer if needed or not need_text else answer | {"need_text": need_text}

    async def _text(self, gateway: str, message: Message) -> dict[str, Any]:
        name = str(message.head["sha256"])
        text = None if message.head.get("gone") else message.body
        need_text = await self._writer.run(lambda db: ingest.keep_text(db, gateway, name, text, self._wall_us()))
        self._interpreter.text_came(gateway, name)
        return {"stored": name} | ({"need_text": need_text} if need_text else {})

    async def _receipt(self, gateway: str, message: Message) -> dict[str, Any]:
        epoch, size = str(message.head["epoch"]), int(message.head["size"])
        held = await self._writer.run(lambda db: ingest.reminded(db, gateway, epoch, size, self._wall_us()))
        return {"held": held, "epoch": epoch}

    async def _checkpoint(self, gateway: str, message: Message) -> dict[str, Any]:
        return await self._witness.judge(gateway, message.body)

    async def _fetch(self, gateway: str, message: Message) -> dict[str, Any]:
        """The gateway's own entries, back to it: its copy was damaged."""
        head = message.head
        count = min(int(head["count"]), MOST_FETCHED)
        held = await self._reader.run(read.run_of, gateway, head["epoch"], head["first"], count)
        return {"epoch": head["epoch"], "first": head["first"], **await asyncio.to_thread(wire.encode_run, held)}

    async def _standing(self, gateway: str, message: Message) -> dict[str, Any]:
        """What a gateway asks that lost its record."""
        view, after = self._interpreter.view(gateway), str(message.head.get("after", ""))
        return await self._writer.run(lambda db: standing.told(db, view, after))

    async def _recall(self, gateway: str, message: Message) -> dict[str, Any]:
        """Where the newest state lies that we hold of a gateway that lost its record, or the one before it. Its receipts wait for none of this."""
        asked = message.head.get("before")
        before = None if asked is None else (str(asked["epoch"]), int(asked["seq"]))
        found = await self._reader.run(recall.newest, gateway, frozenset(await self._witness.pending(gateway)), before)
        named = self._recalled.get(gateway, set()) if before else set[str]()
        for at in found.values():
            named |= await self._reader.run(recall.texts_of, gateway, at)
        self._recalled[gateway] = named
        return found

    async def _fetch_text(self, gateway: str, message: Message) -> dict[str, Any]:
        """A text that this state names, part by part."""
        name, at = str(message.head["sha256"]), int(message.head["at"])
        if gateway not in self._recalled:  # it asked another run of this hub
            await self._recall(gateway, message)
        text = await self._reader.run(recall.text_of, gateway, name) if name in self._recalled[gateway] else None
        part = {"gone": True} if text is None else await asyncio.to_thread(wire.encode_part, text, at)
        return {"sha256": name, "at": at, **part}

    async def _notes(self, gateway: str, _message: Message) -> dict[str, Any]:
        """The newest cosigned checkpoint of each epoch, of the newest epochs: its own copies are gone."""
        found = await self._reader.run(witnessed.notes, gateway)
        return {"notes": [[epoch, size, note.decode(errors="replace")] for epoch, size, note in found[-MOST_NOTES:]]}

    async def _photo(self, gateway: str, message: Message) -> dict[str, Any]:
        """A part of a photo that this gateway's entries name; what is held of it is durable before it is said."""
        name = str(message.head["sha256"])
        if message.head.get("gone"):
            return {"stored": name} | await self._writer.run(lambda db: _gone(db, gateway, name, self._wall_us()))
        if not await self._writer.run(lambda db: photos.named(db, gateway, name)):
            return {"refused": "not-named", "why": "no entry that the hub holds of this gateway names this photo"}
        part = photos.Part(name, int(message.head["bytes"]), int(message.head["at"]), message.body)
        have, held = await asyncio.to_thread(self._photos.take, gateway, part)
        more = await self._writer.run(lambda db: _held(db, gateway, name, self._wall_us())) if held else {}
        return {"photo": {"sha256": name, "have": have, "held": held}} | more

    _handlers = {  # noqa: RUF012 -- never changed
        "entries": _entries,
        "skipped": _skipped,
        "live": _live,
        "text": _text,
        "checkpoint": _checkpoint,
        "receipt": _receipt,
        "fetch": _fetch,
        "standing": _standing,
        "photo": _photo,
        "recall": _recall,
        "fetch-text": _fetch_text,
        "notes": _notes,
    }


def _told(result: Receipt | Hole | Conflict) -> dict[str, Any]:
    match result:
        case Receipt():
            held = {"gateway": result.gateway, "epoch": result.epoch, "size": result.size, "skipped": result.skipped}
            needs = {"need_text": result.need_text, "need_photo": result.need_photo}
            return {"receipt": held} | {key: names for key, names in needs.items() if names}
        case Hole():
            return {"expected": result.size, "epoch": result.epoch}
        case Conflict():
            return {"conflict": "other-bytes", "epoch": result.epoch, "seq": result.seq, "hash": result.hash}


def _gone(db: apsw.Connection, gateway: str, name: str, now_us: int) -> dict[str, Any]:
    """A photo that an entry names is lost before it came here: an alarm until somebody brings it again."""
    if photos.named(db, gateway, name):
        ingest.alarm(db, ingest.gateway_of(db, gateway, now_us), PHOTO_GONE, name, now_us, {})
    return photos.gone(db, gateway, name)


def _held(db: apsw.Connection, gateway: str, name: str, now_us: int) -> dict[str, Any]:
    ingest.end_alarm(db, ingest.gateway_of(db, gateway, now_us), PHOTO_GONE, name, now_us)
    return photos.held(db, gateway, name)
