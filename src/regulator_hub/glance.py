"""What a gateway's entries mean so far, read beside the hub that runs, or while none runs; changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import apsw

from regulator_hub.interpret import CHUNK
from regulator_hub.store import reader as read
from regulator_hub.store.schema import open_reader
from regulator_hub.view import View


class Glance:
    """The store of one state folder. Close it after use; without a store there is nothing to see."""

    def __init__(self, state_dir: Path) -> None:
        path = state_dir / "hub.sqlite"
        self._db = open_reader(path) if path.exists() else None

    def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def views(self) -> list[View]:
        """Of all gateways that ever delivered, by id."""
        db = self._db
        return [] if db is None else [_view(db, str(row["gateway"]), self._text) for row in read.gateways(db)]

    def view(self, gateway: str) -> View | None:
        """One gateway's; None if it never delivered."""
        db = self._db
        return next((_view(db, gateway, self._text) for row in read.gateways(db) if row["gateway"] == gateway), None) if db else None

    def _text(self, sha256: str) -> bytes | None:
        """A text that had not come when a view was read is lacked by it, also after the file was closed."""
        return None if self._db is None else read.text(self._db, sha256)


def _view(db: apsw.Connection, gateway: str, text: Callable[[str], bytes | None]) -> View:
    """As the hub kept it last, and what came since: in order, then live copies."""
    view = View.resumed(gateway, text, read.view(db, gateway))
    epochs = [epoch for epoch in read.epochs(db, gateway) if epoch.branch_of is None]
    view.order = {epoch.epoch: place for place, epoch in enumerate(read.epochs(db, gateway))}
    for epoch in epochs:
        at = view.state["cursors"].get(epoch.epoch, 0)
        while at < epoch.size:
            for seq, entry in read.entries(db, epoch.id, at, CHUNK):
                view.feed(epoch.epoch, seq, entry, in_order=True)
            at += CHUNK
            view.state["cursors"][epoch.epoch] = min(at, epoch.size)
    for epoch in epochs:
        for seq, entry in read.live_copies(db, epoch.id):
            view.feed(epoch.epoch, seq, entry, in_order=False)
    view.current()  # read now: the file may be closed when somebody asks
    return view
