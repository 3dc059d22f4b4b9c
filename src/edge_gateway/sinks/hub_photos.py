"""Photos to the hub, part by part and only those that it asks for; knows no cursor, no budget and no picture.

The hub says which photos its entries name and it lacks; each part is answered with how much of the photo it durably has, so
an interrupted one goes on where it stopped, over either carrier.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_gateway.errors import JournalDamaged, Unreachable
from edge_gateway.journal.base import Reader
from edge_gateway.record.photo import is_name
from edge_gateway.sinks.hub_session import Lane

#: Of a photo in one message: on a slow line entries wait no longer than this takes.
PART_BYTES = 64 * 1024


class HubPhotos:
    """``heard`` takes what answers ask for; ``step`` sends one part."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._asked: list[str] = []
        self._at: tuple[str, int | None] = ("", None)  # the photo under way, and what the hub has of it (None: not asked yet)
        self._data = b""
        self.held = 0  # receipts in this run
        self.gone = 0
        self.sent_bytes = 0

    def heard(self, answer: Mapping[str, Any]) -> None:
        """What the newest answer lacks; one that says nothing of photos lacks none."""
        need = answer.get("need_photo", [])
        self._asked = [name for name in need if is_name(name)] if isinstance(need, list) else []

    def again(self) -> None:
        """A new session: what the hub has of a photo is asked anew."""
        self._at, self._data = ("", None), b""

    @property
    def waiting(self) -> int:
        """Photos that the hub asked for last, and has not."""
        return len(self._asked)

    async def step(self, reader: Reader) -> str | None:
        """Send one part of the photo that is asked for first. Its hash once the hub gave its receipt, "" before, None if none is asked for.

        Raises Unreachable or NotAuthorised.
        """
        if not self._asked:
            return None
        name = self._asked[0]
        if self._at[0] != name:
            try:
                self._data = await reader.photo(name)
            except (KeyError, JournalDamaged):
                self.gone += 1
                self.heard(await self._lane.ask({"kind": "photo", "sha256": name, "bytes": 0, "at": 0, "gone": True}))
                return ""
            self._at = (name, None)
        at = self._at[1]
        part = b"" if at is None else self._data[at : at + PART_BYTES]
        header = {"kind": "photo", "sha256": name, "bytes": len(self._data), "at": at or 0}
        before = self._lane.sent_bytes
        try:
            answer = await self._lane.ask(header, part)
        finally:  # one message of this lane at a time: it was this one
            self.sent_bytes += self._lane.sent_bytes - before
        return self._answered(name, answer)

    def _answered(self, name: str, answer: Mapping[str, Any]) -> str:
        if "unsupported" in answer or "refused" in answer:
            self._asked = []  # what it wants, it asks for again
            self.again()
            return ""
        told = answer.get("photo")
        have = told.get("have") if isinstance(told, dict) and told.get("sha256") == name else None
        if not isinstance(told, dict) or isinstance(have, bool) or not isinstance(have, int) or not 0 <= have <= len(self._data):
            raise Unreachable("the hub's answer does not say how much of the photo it has")
        if told.get("held") is True:
            self.held += 1
            self.again()
            self.heard(answer)
            return name
        self._at = (name, have)
        return ""

    def status(self) -> dict[str, Any]:
        """JSON-able."""
        return {"waiting": self.waiting, "held": self.held, "gone": self.gone}
