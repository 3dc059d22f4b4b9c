"""When the record is signed, and keeping what was: follows commits, asks the signer, stores the note; holds no key and holds up nobody.

A checkpoint is made every 30 s, at 1,000 entries, at each segment's end, and at once (at most one a second) for a violation,
a person's step, a stop and a reconnect. While the signer is away the record goes on; the next checkpoint covers what was not signed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from edge_gateway.backoff import Backoff
from edge_gateway.errors import JournalDamaged, JournalError, SignerAway, SignerError, SignerRefused
from edge_gateway.events import Alarmed, Event, SignerTroubled
from edge_gateway.journal.base import EpochInfo, Journal, Position, SegmentInfo
from edge_gateway.record.checkpoint import Checkpoint
from edge_gateway.record.merkle import leaf_hash
from edge_gateway.record.note import ED25519, Key, Signature, note_bytes
from edge_gateway.signer.base import Ask, Signer
from edge_gateway.signer.tree import Missing, Tree
from edge_gateway.wire.hub import URGENT_KINDS

log = logging.getLogger(__name__)
#: Real seconds, and entries.
EVERY_S, EVERY_ENTRIES, AT_ONCE_S = 30.0, 1000, 1.0
#: Committed entries that may wait to be hashed.
MOST_WAITING = 4000
#: Earlier epochs whose end may still be signed after a start; under which name is kept of which the signer knows another end.
MOST_ENDS, _REFUSED = 8, "ends refused"
_READ_ENTRIES, _READ_BYTES = 1024, 4 << 20
#: Entries that are signed at once: rules' and persons' steps, what changes a figure's meaning, starts and stops.
_URGENT = tuple(f'"kind":"{kind}"'.encode() for kind in (*sorted(URGENT_KINDS), "config", "event", "record"))
_HEAD_BYTES = 96


class Checkpoints:
    """``name`` is ``<site.origin>/<gateway>``; each epoch is a log of its own below it."""

    def __init__(
        self, name: str, journal: Journal, signer: Signer, tell: Callable[[Event], None], signed: Callable[[str, int, bytes], None]
    ) -> None:
        """``signed(epoch, size, note)`` hears of each checkpoint."""
        self._name = name
        self._told = signed
        self._journal = journal
        self._signer = signer
        self._tell = tell
        self._key: Key | None = None
        self._epoch = ""
        self._tree = Tree(journal.segment_entries)
        self._waiting: list[tuple[str, int, Sequence[bytes]]] = []
        self._waiting_entries = 0
        self._left: list[tuple[str, Tree, int]] = []  # epochs that ended before their last entries were signed
        self._signed = 0  # the last size that was signed of this epoch
        self._due_sizes: set[int] = set()
        self._wake = asyncio.Event()
        self._urgent = False
        self._signed_s: float | None = None
        self._made = 0
        self._trouble = ""

    def status(self) -> dict[str, Any]:
        """JSON-able. ``unsigned``: entries that no checkpoint covers yet; ``key``: what others verify by."""
        age_s = None if self._signed_s is None else round(time.monotonic() - self._signed_s, 1)
        key = None if self._key is None else str(Key(self._name, ED25519, self._key.public))
        newest = {"epoch": self._epoch, "size": self._signed, "age_s": age_s}
        unsigned = self._journal.committed_seq - (self._signed if self._epoch == self._journal.epoch else 0)
        return {"newest": newest, "unsigned": unsigned, "made": self._made, "key": key, "trouble": self._trouble}

    async def run(self) -> None:
        """Sign until cancelled."""
        unsubscribe = self._journal.subscribe(self._committed)
        try:
            backoff = Backoff(first_s=1.0, most_s=60.0)
            while True:
                try:
                    if not self._epoch:
                        await self._catch_up()
                        self._wake.set()
                    await self._rest()
                    await self._sign_due()
                    self._fine()
                    backoff.reset()
                    await asyncio.sleep(AT_ONCE_S)
                except (SignerError, JournalError) as error:
                    self._troubled(error)
                    await asyncio.sleep(backoff.next_s())
                    self._wake.set()
        finally:
            unsubscribe()

    def at_once(self) -> None:
        """Sign what is not signed yet: the hub was reached again, and witnesses up to the newest checkpoint."""
        self._wake.set()

    async def finish(self) -> None:
        """The last checkpoint before a stop, if the signer answers. Raises nothing: what is not signed is signed next time."""
        if not self._epoch:
            return
        try:
            self._take()
            await self._sign_due()
        except (SignerError, JournalError) as error:
            self._troubled(error)

    # --- what is there to sign ------------------------------------------------------------------------------------

    def _committed(self, epoch: str, first: int, entries: Sequence[bytes]) -> None:
        """On the loop, after each commit: hashing waits until it is our turn."""
        self._waiting.append((epoch, first, entries))
        self._waiting_entries += len(entries)
        self._urgent = self._urgent or any(kind in entry[:_HEAD_BYTES] for entry in entries for kind in _URGENT)
        every, end = self._journal.segment_entries, first + len(entries)
        if self._urgent or end // every > first // every or end - self._signed >= EVERY_ENTRIES:
            self._wake.set()
        if self._waiting_entries > MOST_WAITING and self._epoch:
            self._take()  # the signer is away: what waits is hashed, not held

    async def _catch_up(self) -> None:
        """Everything committed before we listened: roots of whole segments, and the entries after them. Raises JournalError."""
        epoch, every, end = self._journal.epoch, self._journal.segment_entries, self._journal.committed_seq
        mine = sorted((s for s in await self._journal.segments() if s.epoch == epoch), key=lambda s: s.first)
        if any(s.first != number * every or s.count != every for number, s in enumerate(mine)):
            raise JournalDamaged(f"a segment of epoch {epoch} is missing: its tree cannot be computed")
        tree = Tree(every, [bytes.fromhex(s.root) for s in mine])
        while tree.size < end:
            most = min(_READ_ENTRIES, end - tree.size)
            found = await self._journal.read(Position(epoch, tree.size), max_entries=most, max_bytes=_READ_BYTES)
            if not found:
                raise JournalDamaged(f"entry {tree.size} of epoch {epoch} does not read")
            tree.add(found)
        signed = max((size for name, size, _ in await self._journal.checkpoints() if name == epoch), default=0)
        await self._catch_up_ends()
        self._epoch, self._tree, self._signed = epoch, tree, min(signed, tree.size)

    async def _catch_up_ends(self) -> None:
        """The ends of earlier epochs that no kept note covers: the gateway died there. Not of what was rolled back: the record went on without it."""
        known, segments = list(self._journal.known_epochs()), await self._journal.segments()
        signed = {name: size for name, size, _ in sorted(await self._journal.checkpoints(), key=lambda note: note[1])}
        refused = (self._journal.remembered(_REFUSED) or {}).get("epochs", [])
        for info, after in list(pairwise(known))[-MOST_ENDS:]:
            if not info.closed or after.reason == "roll-back" or info.epoch in refused or signed.get(info.epoch, 0) >= info.size:
                continue
            mine = sorted((s for s in segments if s.epoch == info.epoch), key=lambda s: s.first)
            try:
                tree = await self._whole(info, mine)
            except (JournalDamaged, KeyError) as wrong:  # told where it is mended, and tried again at the next start
                log.warning("the end of epoch %s cannot be signed: %s", info.epoch, wrong)
                continue
            if tree.size == info.size:
                self._left.append((info.epoch, tree, signed.get(info.epoch, 0)))

    async def _whole(self, info: EpochInfo, mine: Sequence[SegmentInfo]) -> Tree:
        """The tree of an epoch that ended; shorter where segments do not follow one another. Raises JournalDamaged, KeyError."""
        every = self._journal.segment_entries
        whole = [s for number, s in enumerate(mine) if s.first == number * every and s.count == every]
        tree = Tree(every, [bytes.fromhex(s.root) for s in whole])
        if len(whole) < len(mine) - 1:
            return tree
        while tree.size < info.size:
            found = await self._journal.read(Position(info.epoch, tree.size), max_entries=_READ_ENTRIES, max_bytes=_READ_BYTES)
            if not found:
                break
            tree.add(found)
        return tree

    def _take(self) -> None:
        """Hash what was committed meanwhile. A new epoch begins a new tree."""
        waiting, self._waiting, self._waiting_entries = self._waiting, [], 0
        for epoch, first, entries in waiting:
            if epoch != self._epoch:
                if self._tree.size > self._signed:
                    self._left.append((self._epoch, self._tree, self._signed))
                self._epoch, self._tree, self._signed = epoch, Tree(self._journal.segment_entries), 0
                self._due_sizes.clear()
            if first + len(entries) <= self._tree.size:
                continue  # read by ``_catch_up``
            self._tree.add(entries[max(0, self._tree.size - first) :])
            every = self._journal.segment_entries
            boundary = self._tree.size // every * every
            if boundary > self._signed:
                self._due_sizes.add(boundary)

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(EVERY_S):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()
        self._urgent = False
        self._take()

    # --- signing --------------------------------------------------------------------------------------------------

    async def _sign_due(self) -> None:
        """Everything that waits for a signature: what is written now, then what ended. Raises SignerError, JournalDamaged."""
        if self._key is None:
            self._key = Key(self._name, ED25519, await self._signer.public())
        for size in sorted({*self._due_sizes, self._tree.size}):
            if size > self._signed:
                await self._sign(self._epoch, self._tree, self._signed, size)
                self._signed = size
            self._due_sizes.discard(size)
        while self._left:
            epoch, tree, signed = self._left[0]
            try:
                await self._sign(epoch, tree, signed, tree.size)
            except SignerRefused as refused:
                if not refused.root:
                    raise
                # It knows another end of that epoch and always will: a copy was restored. The new epoch is signed all the same.
                self._given_up(epoch)
                self._tell(Alarmed(code="signer-refused", why=f"the end of epoch {epoch} is not signed: {refused}"))
            self._left.pop(0)

    def _given_up(self, epoch: str) -> None:
        before = (self._journal.remembered(_REFUSED) or {}).get("epochs", [])
        self._journal.remember(_REFUSED, {"epochs": [*before, epoch][-2 * MOST_ENDS :]})

    async def _sign(self, epoch: str, tree: Tree, signed: int, size: int) -> None:
        """Raises SignerError. The signer's own word on what it signed last is believed over ours: a note may have been lost."""
        head = Checkpoint(f"{self._name}/{epoch}", size, await self._of(tree, epoch, lambda: tree.root(size)))
        try:
            signature = await self._ask(head, signed, epoch, tree)
        except SignerRefused as refused:
            if refused.size == signed or not 0 <= refused.size <= size:
                raise
            signature = await self._ask(head, refused.size, epoch, tree)
        assert self._key is not None
        key = Key(head.origin, ED25519, self._key.public)
        if not key.verifies(head.body().encode(), signature):
            self._key = None
            raise SignerAway("the signature is not of the key that it named", hint="was the signer's key exchanged meanwhile?")
        note = note_bytes(head.body(), [Signature(key.name, key.id, signature)])
        self._journal.keep_checkpoint(epoch, size, note)
        self._told(epoch, size, note)
        self._made += 1
        self._signed_s = time.monotonic()

    async def _ask(self, head: Checkpoint, old: int, epoch: str, tree: Tree) -> bytes:
        path = await self._of(tree, epoch, lambda: tree.growth(old, head.size))
        return await self._signer.sign(Ask(head=head, old=old, path=path))

    async def _of(self, tree: Tree, epoch: str, question: Callable[[], Any]) -> Any:
        """What the tree answers; segments whose leaves it no longer has are read again."""
        while True:
            try:
                return question()
            except Missing as missing:
                leaves: list[bytes] = []
                while len(leaves) < self._journal.segment_entries:
                    at = Position(epoch, missing.first + len(leaves))
                    try:
                        found = await self._journal.read(at, max_entries=self._journal.segment_entries - len(leaves), max_bytes=_READ_BYTES)
                    except KeyError:
                        raise SignerRefused(f"entries from {missing.first} on are needed for a proof and were freed") from None
                    leaves += map(leaf_hash, found)
                tree.learn(missing.first, leaves)

    # --- telling --------------------------------------------------------------------------------------------------

    def _troubled(self, error: Exception) -> None:
        if str(error) != self._trouble:
            self._trouble = str(error)
            self._tell(SignerTroubled(said=self._trouble, refused=isinstance(error, SignerRefused)))

    def _fine(self) -> None:
        if self._trouble:
            self._trouble = ""
            self._tell(SignerTroubled(said="", refused=False))
