"""The task that interprets stored entries: its own cursor, behind the receipts; it never decides what is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import apsw
import orjson

from regulator_hub.store import reader as read
from regulator_hub.store.ingest import gateway_of
from regulator_hub.store.reader import Reader
from regulator_hub.store.writer import StoreFailed, Writer
from regulator_hub.view import View

#: Entries interpreted before other tasks get a turn.
CHUNK = 200
#: How often what was interpreted is kept; after a crash that much is interpreted again.
SAVE_EVERY_S = 30.0


class Interpreter:
    """Views of all gateways. ``told`` after each stored message; ``live`` for copies; ``news`` is set at each change."""

    def __init__(self, reader: Reader, writer: Writer, db: apsw.Connection) -> None:
        self.views: dict[str, View] = {}
        self.news = asyncio.Event()
        self._reader = reader
        self._writer = writer
        self._db = db  # read-only, for texts: rare and small, read on the loop
        self._behind: set[str] = set()
        self._again: set[str] = set()  # live copies to look at again: a configuration or text came
        self._unsaved: set[str] = set()
        self._wake = asyncio.Event()

    async def load(self) -> None:
        """Take up where the last run kept its views."""
        for row in await self._reader.run(read.gateways):
            name = str(row["gateway"])
            state = await self._reader.run(read.view, name)
            self.views[name] = View.resumed(name, self._text, state)
            self._behind.add(name)
            self._again.add(name)
        self._wake.set()

    def view(self, gateway: str) -> View:
        """The gateway's view; a new one for a new gateway."""
        if gateway not in self.views:
            self.views[gateway] = View(gateway, self._text)
        return self.views[gateway]

    def told(self, gateway: str) -> None:
        """Something was stored in order."""
        self._behind.add(gateway)
        self._wake.set()

    def live(self, gateway: str, epoch: str, copies: Sequence[tuple[int, bytes]]) -> list[int]:
        """Interpret live copies at once. Returns the configurations (``config_seq``) that they name and that are unknown."""
        view = self.view(gateway)
        needed = {view.feed(epoch, seq, entry, in_order=False) for seq, entry in copies}
        if any(b'"config"' in entry or b'"snapshot"' in entry for _, entry in copies):
            self._again.add(gateway)
            self._wake.set()
        self._changed(gateway)
        return sorted(seq for seq in needed if seq is not None and not view.knows(epoch, seq))

    def text_came(self, gateway: str, sha256: str) -> None:
        """A text was stored: batches that waited for it are interpreted again."""
        for view in self.views.values():
            view.text_came(sha256)
        self._behind.update(self.views)
        self._again.add(gateway)
        self._wake.set()

    async def run(self) -> None:
        """Interpret until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            for gateway in sorted(self._behind | self._again):
                self._behind.discard(gateway)
                if await self._advance(gateway):
                    self._behind.add(gateway)
                    self._wake.set()
                elif gateway in self._again:
                    self._again.discard(gateway)
                    await self._live_again(gateway)
                self._changed(gateway)

    async def keep_saving(self) -> None:
        """Keep the views every now and then, until cancelled."""
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            try:
                await self.save()
            except StoreFailed:
                continue  # they are only a cache; ingest tells of the disk's trouble

    async def save(self) -> None:
        """Keep the views that changed."""
        for gateway in sorted(self._unsaved):
            state = orjson.dumps(self.views[gateway].state)

            def keep(db: apsw.Connection, gateway: str = gateway, state: bytes = state) -> None:
                db.execute("INSERT OR REPLACE INTO views VALUES (?,?)", (gateway_of(db, gateway, 0), state))

            await self._writer.run(keep)
            self._unsaved.discard(gateway)

    async def _advance(self, gateway: str) -> bool:
        """Interpret one chunk of each epoch that has more; True while there is still more."""
        view = self.view(gateway)
        epochs = await self._reader.run(read.epochs, gateway)
        view.order = {epoch.epoch: place for place, epoch in enumerate(epochs)}
        more = False
        for epoch in epochs:
            if epoch.branch_of is not None:
                continue  # kept, and never merged into what is shown
            cursor = view.state["cursors"].get(epoch.epoch, 0)
            if cursor >= epoch.size:
                continue
            found = await self._reader.run(read.entries, epoch.id, cursor, CHUNK)
            for seq, entry in found:
                view.feed(epoch.epoch, seq, entry, in_order=True)
            # A chunk without entries lies in a range that was declared skipped.
            view.state["cursors"][epoch.epoch] = min(cursor + CHUNK, epoch.size)
            more = more or cursor + CHUNK < epoch.size
        return more

    async def _live_again(self, gateway: str) -> None:
        view = self.view(gateway)
        for epoch in await self._reader.run(read.epochs, gateway):
            copies = await self._reader.run(read.live_copies, epoch.id)
            for seq, entry in copies:
                view.feed(epoch.epoch, seq, entry, in_order=False)

    def _text(self, sha256: str) -> bytes | None:
        return read.text(self._db, sha256)

    def _changed(self, gateway: str) -> None:
        self._unsaved.add(gateway)
        self.news.set()
