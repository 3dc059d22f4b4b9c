"""The witness: cosigns a gateway's checkpoint when its own stored bytes give that root, and nothing else; knows no carrier.

Whatever it refuses for what it says (a fork, a roll-back, another key) is alarmed and kept. A cosignature leaves only after
what it says is remembered outside the store (``cosigned``).
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_gateway.errors import ConfigError
from edge_gateway.record.checkpoint import Checkpoint
from edge_gateway.record.merkle import EMPTY_ROOT, Frontier
from edge_gateway.record.note import ED25519, Key, Note, NoteError, note_bytes
from regulator_hub import cosigned as memory
from regulator_hub.acceptance import Acceptance, Behind, Logs
from regulator_hub.cosigned import Cosigned, MemoryLost
from regulator_hub.cosigner import COSIGNED, Cosigner
from regulator_hub.gateways import Gateways
from regulator_hub.store import witnessed as store
from regulator_hub.store.ingest import FOREIGN_KEY, FORK, MEMORY, ROLL_BACK, STORE_BEHIND, STORE_DIFFERS
from regulator_hub.store.reader import Reader, epochs
from regulator_hub.store.reader import gateways as known_gateways
from regulator_hub.store.writer import StoreFailed, Writer

log = logging.getLogger("regulator_hub")
#: A checkpoint of ours has some 350 bytes; evidence is not a place to fill the disk from.
MAX_NOTE_BYTES = 4096
#: Entries hashed before the reading thread serves others, and how many one question may cost: about a second.
CHUNK, AT_ONCE = 2_000, 200_000
#: Trees kept in memory; beyond it the least used is computed again when asked for.
MAX_TREES = 10_000
_EPOCH = re.compile(r"[0-9a-f]{16}\Z")


#: Asked of (size, root) of what was cosigned last.
Follows = Callable[[int, bytes], None]


class Refused(Exception):
    """Not cosigned. ``alarm``: the kind under which it is alarmed and kept; "" for what is no sign of anything."""

    def __init__(
        self,
        code: str,
        why: str,
        *,
        alarm: str = "",
        ours: tuple[int, bytes] | None = None,
        behind: Behind | None = None,
    ) -> None:
        super().__init__(why)
        self.code = code
        self.why = why
        self.alarm = alarm
        self.ours = ours  # size and root that stand against it
        self.behind = behind  # what a new epoch should have named

    def answer(self) -> dict[str, Any]:
        """As the protocol says it."""
        held = {} if self.ours is None else {"held": {"size": self.ours[0], "root": self.ours[1].hex()}}
        behind = {} if self.behind is None else {"behind": self.behind.held()}
        return {"refused": self.code, "why": self.why} | held | behind


@dataclass(slots=True)
class _Tree:
    """An epoch's tree over the store's own bytes: ``base`` at the last cosigned size, ``ahead`` on its way to a larger one."""

    base: Frontier = field(default_factory=Frontier)
    ahead: Frontier = field(default_factory=Frontier)


class Witness:
    """``judge`` answers checkpoints. Without ``load`` it remembers nothing: call it first."""

    def __init__(
        self,
        folder: Path,
        *,
        cosigner: Cosigner,
        gateways: Gateways,
        reader: Reader,
        writer: Writer,
        wall_us: Callable[[], int],
    ) -> None:
        self._folder = folder / COSIGNED
        memory.make_folder(self._folder)
        self._cosigner = cosigner
        self._gateways = gateways
        self._reader = reader
        self._writer = writer
        self._wall_us = wall_us
        self._acceptance = Acceptance(gateways=gateways, reader=reader, writer=writer, wall_us=wall_us)
        self._known: dict[str, Cosigned] = {}
        self._lost: dict[str, str] = {}  # gateway -> why its memory cannot be believed
        self._trees: dict[tuple[str, str], _Tree] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    # --- what is remembered ---------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Read what was cosigned, and alarm a store that is behind it."""
        names = {path.stem for path in self._folder.glob("*.json")}
        names |= {str(row["gateway"]) for row in await self._reader.run(known_gateways)}
        for name in sorted(names):
            await self._remember(name)

    async def _remember(self, gateway: str) -> None:
        try:
            found = memory.read(self._folder, gateway)
            notes = await self._reader.run(store.notes, gateway)
            heads = [(epoch, Checkpoint.parse(Note.parse(note).text)) for epoch, _, note in notes]
        except (MemoryLost, NoteError, OSError) as error:
            self._lost[gateway] = str(error)
            log.error("gateway %s: %s", gateway, error)
            await self._alarm(gateway, MEMORY, "", {"why": str(error)})
            return
        for epoch, head in heads:
            if head.size > found.logs.get(epoch, (0, b""))[0]:  # the file is older than the store, or was removed
                found = found.grown(epoch, head.size, head.root)
                why = f"{head.size} entries were cosigned, the file knew less"
                await self._alarm(gateway, MEMORY, epoch, {"why": why})
        self._known[gateway] = found
        for epoch, (size, _) in found.logs.items():
            at = await self._reader.run(store.stored, gateway, epoch)
            if at is None or at.size < size:
                held = 0 if at is None else at.size
                log.error("gateway %s: %d entries of epoch %s were cosigned, the store holds %d", gateway, size, epoch, held)
                await self._alarm(gateway, STORE_BEHIND, epoch, {"held": held, "cosigned": size})
        for epoch in await self.pending(gateway):
            await self.born(gateway, epoch)  # the hub may have been killed before it looked

    async def run(self) -> None:
        """Compute each gateway's newest tree again from the stored bytes: they must give the root that was cosigned."""
        for gateway, known in list(self._known.items()):
            found = [each.epoch for each in await self._reader.run(epochs, gateway) if each.epoch in known.logs]
            epoch = found[-1] if found else ""
            while epoch:
                async with self._turns[gateway]:
                    try:
                        await self._base(gateway, epoch, await self._reader.run(store.stored, gateway, epoch))
                        break
                    except _Later:
                        pass
                    except Refused as refused:
                        if refused.alarm:
                            await self._alarm(gateway, refused.alarm, epoch, {"why": refused.why})
                        break
                await asyncio.sleep(0)

    def sizes(self, gateway: str) -> dict[str, int]:
        """How far each epoch was cosigned."""
        return {epoch: size for epoch, (size, _) in self._logs(gateway).items()}

    async def pending(self, gateway: str) -> list[str]:
        """Epochs that wait for a person. Raises ConfigError."""
        return await self._acceptance.pending(gateway, self._logs(gateway))

    async def born(self, gateway: str, epoch: str) -> None:
        """The first entry of an epoch came: it must name what was cosigned before. Raises StoreFailed."""
        await self._acceptance.born(gateway, epoch, self._logs(gateway))

    def _logs(self, gateway: str) -> Logs:
        known = self._known.get(gateway)
        return {} if known is None else known.logs

    def fingerprints(self, gateway: str) -> dict[str, str]:
        """For the page: of the gateway's registered key ("" without one), and of the key that cosigns here."""
        registered = self._gateways.find(gateway)
        try:
            key = registered.key if registered else None
        except NoteError:
            key = None
        return {"key": key.fingerprint if key else "", "witness_key": self._cosigner.key.fingerprint}

    # --- judging --------------------------------------------------------------------------------------------------

    async def judge(self, gateway: str, note: bytes, follows: Follows | None = None) -> dict[str, Any]:
        """The protocol's answer to a checkpoint. Raises StoreFailed when evidence or the note cannot be kept.

        ``follows(size, root)`` hears what was cosigned last of the log, and may raise: nothing is judged then.
        """
        epoch = _epoch_in(note)
        async with self._turns[gateway]:
            try:
                head, signed = self._opened(gateway, note)
                if gateway in self._lost:
                    raise Refused("memory", "the hub cannot know what it cosigned before; a person must look there")
                if follows is not None:
                    follows(*self._last(gateway, epoch))
                found = await self._cosigned(gateway, epoch, head)
                if found is None:
                    await self._wanted(gateway, epoch)
                    return {"cosignature": await self._cosign(gateway, epoch, head, signed), "size": head.size, "epoch": epoch}
                return {"expected": found, "epoch": epoch}
            except _Later as later:
                return {"later": later.left, "epoch": epoch}
            except Refused as refused:
                await self._held_against(gateway, epoch, refused, note[:MAX_NOTE_BYTES])
                return refused.answer()

    async def _wanted(self, gateway: str, epoch: str) -> None:
        """Raises Refused while a person has not accepted the epoch. All else is said before: a fork waits for nobody."""
        logs = self._logs(gateway)
        try:
            waits = await self._acceptance.waits(gateway, epoch, logs)
        except OSError as error:
            raise StoreFailed(f"the acceptance cannot be kept: {error}", hint="look at the hub's disk") from error
        if not waits:
            return
        found = await self._acceptance.born(gateway, epoch, logs)
        why = f"a new epoch waits for a person: regulator-hub gateways accept {gateway} {epoch}"
        if found is not None:
            why += f"; it names {found.named} entries of epoch {found.epoch}, {found.size} were cosigned"
        raise Refused("pending", why, behind=found)

    def _opened(self, gateway: str, data: bytes) -> tuple[Checkpoint, Note]:
        """The checkpoint, signed by the registered key. Raises Refused."""
        registered = self._gateways.find(gateway)
        try:
            key = registered.key if registered else None
        except NoteError as error:
            raise ConfigError(f"the key of gateway '{gateway}' cannot be read: {error}", hint="register it again") from None
        if key is None:
            raise Refused("no-key", f"no key is registered: regulator-hub gateways key {gateway} VKEY")
        try:
            if len(data) > MAX_NOTE_BYTES:
                raise NoteError(f"{len(data)} bytes, more than {MAX_NOTE_BYTES}")
            note = Note.parse(data)
            head = Checkpoint.parse(note.text)
        except NoteError as error:
            raise Refused("no-checkpoint", str(error)) from None
        name, _, epoch = head.origin.rpartition("/")
        if name != key.name or not _EPOCH.match(epoch):
            raise Refused("foreign-log", f"'{head.origin}' is no log of '{key.name}'", alarm=FOREIGN_KEY)
        if not note.signed_by(Key(head.origin, ED25519, key.public)):
            raise Refused("foreign-key", f"it is not signed by the registered key {key}", alarm=FOREIGN_KEY)
        return head, note

    async def _cosigned(self, gateway: str, epoch: str, head: Checkpoint) -> int | None:
        """None if the store's own bytes give the head; the store's size if that is too small. Raises Refused, _Later."""
        size, root = self._last(gateway, epoch)
        if head.size < size:
            raise Refused("roll-back", f"{size} entries were cosigned before", alarm=ROLL_BACK, ours=(size, root))
        at = await self._reader.run(store.stored, gateway, epoch)
        if at is None or at.size < head.size:
            return 0 if at is None else at.size
        if at.closed:
            raise Refused("closed", "the epoch was closed by a conflict")
        if at.missing_first is not None and at.missing_first < head.size:
            raise Refused("skipped", f"entries from {at.missing_first} on were declared skipped")
        tree = await self._base(gateway, epoch, at)
        await self._grow(at.id, tree, head.size)
        if tree.ahead.root() != head.root:
            ours, tree.ahead = tree.ahead.root(), _copy(tree.base)
            raise Refused("fork", "the stored entries give another root", alarm=FORK, ours=(head.size, ours))
        return None

    async def _base(self, gateway: str, epoch: str, at: store.Stored | None) -> _Tree:
        """The tree, checked at what was cosigned last. Raises Refused when the store no longer gives that, _Later."""
        size, root = self._last(gateway, epoch)
        tree = self._trees.setdefault((gateway, epoch), _Tree())
        self._trees[gateway, epoch] = self._trees.pop((gateway, epoch))  # the newest used last
        while len(self._trees) > MAX_TREES:
            del self._trees[next(iter(self._trees))]
        if at is not None and at.missing_first is not None and at.missing_first < size:
            raise Refused("skipped", f"entries from {at.missing_first} on were declared skipped")
        if tree.base.size < size and at is not None and at.size >= size:
            await self._grow(at.id, tree, size)
            if tree.ahead.root() != root:
                ours = (size, tree.ahead.root())
                del self._trees[gateway, epoch]
                why = f"the store no longer holds what was cosigned at {size} entries"
                raise Refused("store-differs", why, alarm=STORE_DIFFERS, ours=ours)
            tree.base = _copy(tree.ahead)
        return tree

    def _last(self, gateway: str, epoch: str) -> tuple[int, bytes]:
        return self._logs(gateway).get(epoch, (0, EMPTY_ROOT))

    async def _grow(self, epoch_id: int, tree: _Tree, end: int) -> None:
        """Hash the store's own bytes up to ``end``. Raises _Later after ``AT_ONCE`` entries: what was done is kept."""
        if tree.ahead.size > end:
            tree.ahead = _copy(tree.base)
        most = tree.ahead.size + AT_ONCE
        while tree.ahead.size < end:
            if tree.ahead.size >= most:
                raise _Later(end - tree.ahead.size)
            part = min(tree.ahead.size + CHUNK, end)
            grown = await self._reader.run(store.grown, epoch_id, tree.ahead, part)
            if grown is None:
                why = f"an entry from {tree.ahead.size} on is not in the store, though nothing was declared skipped"
                raise Refused("store-differs", why, alarm=STORE_DIFFERS)
            tree.ahead = grown

    # --- saying yes, and no ---------------------------------------------------------------------------------------

    async def _cosign(self, gateway: str, epoch: str, head: Checkpoint, note: Note) -> str:
        """The signature line without its newline. What it says is remembered, synced, before it exists."""
        known = self._known.get(gateway) or Cosigned(gateway)
        after = known.grown(epoch, head.size, head.root)
        if known.logs.get(epoch) != (head.size, head.root):
            try:
                await asyncio.to_thread(memory.write, self._folder, after)
            except OSError as error:
                raise StoreFailed(f"what was cosigned cannot be remembered: {error}", hint="look at the hub's disk") from error
        self._known[gateway] = after
        tree = self._trees[gateway, epoch]
        tree.base = _copy(tree.ahead)
        line = self._cosigner.cosign(head.body(), self._wall_us() // 1_000_000)
        kept = note_bytes(note.text, [*note.signatures, line])
        await self._writer.run(lambda db: store.keep(db, gateway, epoch, head.size, kept))
        return line.line().removesuffix("\n")

    async def _held_against(self, gateway: str, epoch: str, refused: Refused, note: bytes) -> None:
        if not refused.alarm:
            return
        log.error("gateway %s, epoch %s: %s: %s", gateway, epoch or "?", refused.code, refused.why)
        now_us = self._wall_us()
        detail: dict[str, object] = {"why": refused.why, "note": note.decode(errors="replace")}
        if refused.ours is not None:
            detail |= {"held": refused.ours[0], "root": refused.ours[1].hex()}
        about = "" if refused.alarm == FOREIGN_KEY else f"checkpoint {epoch}"
        await self._writer.run(lambda db: store.raised(db, gateway, refused.alarm, about, now_us, detail))
        if note and epoch:
            size, root = refused.ours or (0, b"")
            ours = f"{size}\n{root.hex()}\n".encode()
            await self._writer.run(
                lambda db: store.held_against(db, gateway, epoch, (refused.code, size, ours, note), now_us)
            )

    async def _alarm(self, gateway: str, kind: str, about: str, detail: dict[str, object]) -> None:
        now_us = self._wall_us()
        try:
            await self._writer.run(lambda db: store.raised(db, gateway, kind, about, now_us, detail))
        except StoreFailed as error:
            log.error("gateway %s: alarm %s could not be kept: %s", gateway, kind, error)


class _Later(Exception):
    """The tree is being computed: ``left`` entries to go. Ask again."""

    def __init__(self, left: int) -> None:
        super().__init__(left)
        self.left = left


def _epoch_in(note: bytes) -> str:
    """The epoch that a note's first line names, whoever signed it; "" if it names none."""
    epoch = note.partition(b"\n")[0].rpartition(b"/")[2].decode(errors="replace")
    return epoch if _EPOCH.match(epoch) else ""


def _copy(frontier: Frontier) -> Frontier:
    return Frontier(frontier.size, frontier.edge)
