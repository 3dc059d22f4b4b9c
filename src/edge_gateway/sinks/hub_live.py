"""The live lane: copies of the newest entries ahead of a backlog, in a session of its own; it moves no cursor."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import orjson

from edge_gateway.backoff import Backoff
from edge_gateway.errors import JournalDamaged, NotAuthorised, SinkError
from edge_gateway.journal.base import Position, Reader
from edge_gateway.record.entry import MAX_ENTRY_BYTES
from edge_gateway.sinks.hub_queue import Copy, LiveQueue
from edge_gateway.sinks.hub_session import Carrier, Lane
from edge_gateway.sinks.hub_texts import send_texts
from edge_gateway.wire import hub as wire
from edge_gateway.wire.hub import WireError

#: The ordered lane's chance to bring an entry first: in step, the live lane has nothing to send (seconds).
HEAD_START_S = 0.25
#: At most one message of batches in this time; a violation does not wait for it (seconds).
EVERY_S = 1.0
#: The same while the day's bytes are spent: the hub must hear a higher number within 90 s.
SPARE_S = 20.0
MAX_COPIES = 300
MAX_BYTES = 512 * 1024


class LiveLane:
    """``offer`` what is committed, ``run`` to send. ``sizes``: what the hub holds in order, by epoch, as receipts said."""

    def __init__(self, carrier: Carrier, sizes: Mapping[str, int]) -> None:
        self._lane = Lane(carrier)
        self._sizes = sizes
        self._queue = LiveQueue()
        self._configured: set[tuple[str, int]] = set()  # what this session was told
        self._news = asyncio.Event()
        self._urgent = asyncio.Event()
        self._met = asyncio.Event()
        self._offered: dict[str, int] = {}  # epoch -> first seq that was offered
        self._newest = ("", -1)
        self._sent = 0
        self._trouble = ""
        self.spare = False  # only violations, and the newest tick now and then

    def offer(self, epoch: str, first: int, entries: Sequence[bytes]) -> None:
        """Newly committed entries."""
        self._offered.setdefault(epoch, first)
        self._newest = (epoch, first + len(entries) - 1)
        if self._queue.offer(epoch, first, entries):
            self._urgent.set()
        self._news.set()

    def wake(self) -> None:
        """The hub answers again: do not wait out a pause."""
        self._urgent.set()
        self._news.set()

    def status(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "waiting": len(self._queue),
            "displaced": self._queue.displaced,
            "violations_not_queued": self._queue.not_queued,
            "sent": self._sent,
            "trouble": self._trouble,
        }

    async def run(self, reader: Reader) -> None:
        """Send until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._serve(reader), name="hub-live-send")
            group.create_task(self._look_back(reader), name="hub-live-look-back")

    async def _serve(self, reader: Reader) -> None:
        backoff = Backoff(first_s=0.5, most_s=30.0, apart=True)
        while True:
            await self._news.wait()
            self._news.clear()
            self._urgent.clear()
            mark = self._newest
            await asyncio.sleep(HEAD_START_S)
            self._queue.drop_served(self._served)
            if not self._queue.due(spare=self.spare):
                continue
            if self._served(*mark):  # in step: what came meanwhile has a head start of its own
                self._news.set()
                continue
            try:
                await self._send_all(reader)
                self._trouble = ""
                backoff.reset()
                await self._pause(SPARE_S if self.spare else EVERY_S)
            except SinkError as error:
                self._trouble = str(error)
                await self._pause(60.0 if isinstance(error, NotAuthorised) else backoff.next_s())
            if self._queue.due(spare=self.spare):
                self._news.set()

    async def _pause(self, wait_s: float) -> None:
        """Rest, but not while a violation waits that came meanwhile."""
        try:
            async with asyncio.timeout(wait_s):
                await self._urgent.wait()
        except TimeoutError:
            return

    def _served(self, epoch: str, seq: int) -> bool:
        return seq < self._sizes.get(epoch, 0)

    async def _send_all(self, reader: Reader) -> None:
        """Everything that waits now, in messages of one epoch each. Raises SinkError; what was not sent waits again."""
        if not self._lane.open:
            await self._begin(reader)
        copies = self._queue.take(MAX_COPIES, MAX_BYTES, spare=self.spare)
        try:
            copies = [await self._filled(copy, reader) for copy in copies]
            # The newest epoch first: what is open there is what matters now.
            for epoch, group in reversed([(e, list(g)) for e, g in groupby(copies, key=lambda copy: copy.epoch)]):
                await self._send(epoch, sorted(group, key=lambda copy: copy.seq), reader)
                copies = [copy for copy in copies if copy.epoch != epoch]
        except SinkError:
            self._queue.put_back([_emptied(copy) for copy in copies])
            raise

    async def _begin(self, reader: Reader) -> None:
        epochs = reader.epochs()[-wire.MAX_HELLO_EPOCHS :]
        await self._lane.hello([(info.epoch, info.size) for info in epochs])
        self._configured.clear()
        self._met.set()

    async def _look_back(self, reader: Reader) -> None:
        """Once after a start: violations of the backlog that this process never saw committed.

        A day of backlog takes seconds to read: what is committed now does not wait for it.
        """
        await self._met.wait()
        for info, end in [(info, self._offered.get(info.epoch, info.size)) for info in reader.epochs()]:
            at = info.first
            while (at := max(at, self._sizes.get(info.epoch, 0))) < end:
                try:
                    entries = await reader.read(Position(info.epoch, at), max_entries=1000, max_bytes=1 << 20)
                except (KeyError, JournalDamaged):
                    break  # the ordered lane meets it too, and tells
                if not entries:
                    break
                for seq, entry in enumerate(entries, at):
                    if wire.is_urgent(entry) and seq < end:
                        self._queue.add_violation(info.epoch, seq)
                        self.wake()
                at += len(entries)

    async def _filled(self, copy: Copy, reader: Reader) -> Copy:
        """A violation's bytes out of the journal; it is dropped if they are gone, for then the hub has passed them."""
        if copy.entry:
            return copy
        return Copy(copy.epoch, copy.seq, await self._entry(Position(copy.epoch, copy.seq), reader))

    async def _send(self, epoch: str, copies: Sequence[Copy], reader: Reader) -> None:
        entries = {copy.seq: copy.entry for copy in copies if copy.entry}
        if not entries:
            return
        wanted = {int(orjson.loads(entry).get("config_seq", -1)) for entry in entries.values()} - {-1}
        entries |= await self._configs(epoch, wanted, reader)
        answer = await self._ask(epoch, dict(sorted(entries.items())))
        if "need_config" in answer:
            need = answer["need_config"]
            asked = [int(seq) for seq in need if isinstance(seq, int)] if isinstance(need, list) else []
            self._configured -= {(epoch, seq) for seq in asked}
            if configs := await self._configs(epoch, set(asked), reader):
                answer = await self._ask(epoch, dict(sorted(configs.items())))
        await send_texts(self._lane, answer, reader)
        self._sent += len(copies)

    async def _ask(self, epoch: str, entries: Mapping[int, bytes]) -> dict[str, Any]:
        try:
            header = {"kind": "live", "epoch": epoch, "seqs": list(entries)}
            return await self._lane.ask(header, wire.lines(list(entries.values())))
        except WireError:  # does not compress: one by one, each is within the bounds
            answer: dict[str, Any] = {}
            for seq, entry in entries.items():
                answer = await self._lane.ask({"kind": "live", "epoch": epoch, "seqs": [seq]}, wire.lines([entry]))
            return answer

    async def _configs(self, epoch: str, wanted: set[int], reader: Reader) -> dict[int, bytes]:
        """What tells the hub of configurations that this session was not told yet, by seq."""
        found: dict[int, bytes] = {}
        first = next((info.first for info in reader.epochs() if info.epoch == epoch), None)
        for config_seq in sorted(wanted):
            if first is None or (epoch, config_seq) in self._configured:
                continue
            # Where the config entry is freed, or of an earlier epoch, the oldest snapshot here names it.
            for at in (config_seq, first):
                entry = await self._entry(Position(epoch, at), reader)
                if entry and _tells_of(entry, config_seq):
                    found[at] = entry
                    self._configured.add((epoch, config_seq))
                    break
        return found

    async def _entry(self, at: Position, reader: Reader) -> bytes:
        """One entry's bytes; b"" when it is not here (any more)."""
        try:
            found = await reader.read(at, max_entries=1, max_bytes=MAX_ENTRY_BYTES)
        except (KeyError, JournalDamaged):
            return b""  # freed: the hub has passed it; damaged: the ordered lane meets it too, and tells
        return found[0] if found else b""


def _tells_of(entry: bytes, config_seq: int) -> bool:
    content = orjson.loads(entry)
    if content["kind"] == "config":
        return bool(content["seq"] == config_seq)
    told = [content.get("config"), *(content.get("configs") or [])] if content["kind"] == "snapshot" else []
    return any(config["config_seq"] == config_seq for config in told if config)


def _emptied(copy: Copy) -> Copy:
    """A violation waits as a place again."""
    return Copy(copy.epoch, copy.seq, b"") if wire.is_urgent(copy.entry) else copy
