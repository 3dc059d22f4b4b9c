"""The regulator's hub as a sink: its ordered lane beside the live one; knows no cursor and no configuration.

docs/reference/hub-protocol.md. Only a receipt of the present session is passed on as one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from edge_gateway.errors import SinkError, Unreachable
from edge_gateway.journal.base import EpochInfo, Reader
from edge_gateway.record.note import Key
from edge_gateway.sinks.base import Choose, Conflict, Held, Hole, Outcome, Recalled, Run, Verdict
from edge_gateway.sinks.hub_live import LiveLane
from edge_gateway.sinks.hub_photos import HubPhotos
from edge_gateway.sinks.hub_recall import recall
from edge_gateway.sinks.hub_session import Carrier, Counted, Lane
from edge_gateway.sinks.hub_texts import send_texts
from edge_gateway.sinks.hub_witness import HubWitness
from edge_gateway.wire import hub as wire
from edge_gateway.wire.hub import WireError

#: Entries offered at once: more than 1,000 while there is a backlog, so that a round trip is rare.
MAX_ENTRIES = 2_000
MAX_BYTES = 3 * 1024 * 1024
#: Roots that one declaration carries; a longer range is declared in parts.
MAX_ROOTS = 2_000


class HubSink:
    """Implements ``HubLink``. The two lanes share the carrier and nothing else but the sizes that receipts gave."""

    def __init__(self, name: str, gateway: str, carrier: Carrier, key: Key | None = None, command_key: Key | None = None) -> None:
        self._name = name
        self._gateway = gateway
        self.command_key = command_key
        self._carrier = Counted(carrier)
        self._lane = Lane(self._carrier)
        self._sizes: dict[str, int] = {}
        self._live = LiveLane(self._carrier, self._sizes)
        self._witness = HubWitness(key)
        self._photos = HubPhotos(self._lane)
        self._receipts = 0
        self._hub = ""

    @property
    def name(self) -> str:
        """The sink's id in the configuration."""
        return self._name

    @property
    def max_entries(self) -> int:
        """Most entries a run should have."""
        return MAX_ENTRIES

    @property
    def max_bytes(self) -> int:
        """Most bytes of entries a run should have."""
        return MAX_BYTES

    async def meet(self, epochs: Sequence[EpochInfo]) -> list[Held]:
        """Begin a session; what the hub holds of these epochs (the newest 256). Raises Unreachable, NotAuthorised."""
        asked = epochs[-wire.MAX_HELLO_EPOCHS :]
        hello = await self._lane.hello([(info.epoch, info.size) for info in asked])
        sizes, closed, seen = hello["sizes"], hello.get("closed") or [], hello.get("witnessed") or {}
        pending, skipped = hello.get("pending") or [], hello.get("skipped") or []
        if not all(isinstance(each, list) for each in (closed, pending, skipped)) or not isinstance(seen, dict):
            raise Unreachable("the hub's answer to hello names no list of closed epochs, or none of witnessed ones")
        self._witness.met([info.epoch for info in asked if info.epoch in pending])
        held = [
            Held(
                epoch=info.epoch,
                size=_size(sizes.get(info.epoch, 0)),
                closed=info.epoch in closed,
                witnessed=_size(seen.get(info.epoch, 0)),
                skipped=info.epoch in skipped,
            )
            for info in asked
        ]
        self._sizes.clear()
        self._sizes.update({item.epoch: item.size for item in held})
        self._hub = str(hello.get("hub", ""))[:64]
        self._live.wake()
        self._photos.again()
        return held

    async def deliver(self, run: Run, reader: Reader) -> Outcome:
        """One message with as many of the run's entries as its bounds allow. Raises Conflict, Unreachable, NotAuthorised."""
        answer = await self._offer(run)
        receipt = self._receipt(answer, run.epoch, least=run.first + 1)
        self._photos.heard(answer)
        accepted = min(receipt["size"] - run.first, len(run.entries))
        try:
            await send_texts(self._lane, answer, reader)
        except SinkError:
            pass  # the receipt counts all the same; the lane's next message begins a new session and the hub asks again
        return Outcome(accepted=accepted, receipt=receipt)

    async def declare_skipped(self, epoch: str, first: int, count: int, roots: Sequence[str], reason: str) -> None:
        """Declare a range of whole segments gone, with one root each. Raises Conflict, Unreachable, NotAuthorised."""
        if not roots or count <= 0:
            raise ValueError("a skipped range covers at least one whole segment, with its root")
        segment = -(-count // len(roots))
        for start in range(0, len(roots), MAX_ROOTS):
            part = list(roots[start : start + MAX_ROOTS])
            at = first + start * segment
            size = min(len(part) * segment, first + count - at)
            header = {"kind": "skipped", "epoch": epoch, "first": at, "count": size, "roots": part, "reason": reason}
            self._receipt(await self._lane.ask(header), epoch, least=at + size)

    async def standing(self) -> tuple[int, list[dict[str, Any]]] | None:
        """See ``HubLink``."""
        number, found, after = 0, list[dict[str, Any]](), ""
        while True:
            answer = await self._lane.ask({"kind": "standing", "after": after})
            if "unsupported" in answer:
                return None
            if "later" in answer:
                raise Unreachable("the hub is still reading what it holds of us", retry_after_s=1.0)
            told = answer.get("standing")
            if not isinstance(told, dict) or not isinstance(told.get("open"), list):
                raise Unreachable("the hub's answer names no open violations")
            number = max(number, _size(told.get("number")))
            found += [record for record in told["open"] if isinstance(record, dict)]
            if not told.get("more") or not found or str(found[-1].get("violation")) <= after:
                return number, found
            after = str(found[-1]["violation"])

    @asynccontextmanager
    async def apart(self) -> AsyncIterator[None]:
        """See ``HubLink``. Nothing keeps the carrier connected yet."""
        carrying = asyncio.create_task(self._carrier.run(), name=f"hub-carrier:{self._name}")
        try:
            await self._lane.hello([])
            yield
        finally:
            carrying.cancel()
            await asyncio.wait([carrying])

    async def recall(self, choose: Choose) -> Recalled | None:
        """See ``HubLink``."""
        return await recall(self._lane, choose)

    async def notes(self) -> list[tuple[str, int, bytes]]:
        """See ``HubLink``. A hub of an older release has none to give."""
        return self._witness.given(await self._lane.ask({"kind": "notes"}))

    async def remind(self, epoch: str, size: int) -> None:
        """See ``HubLink``. A hub of an older release does not know the kind: it is served again all the same."""
        await self._lane.ask({"kind": "receipt", "epoch": epoch, "size": size})

    async def show(self, epoch: str, note: bytes) -> Verdict:
        """See ``HubLink``."""
        return self._witness.judge(await self._lane.ask({"kind": "checkpoint"}, note), epoch, note)

    async def fetch(self, epoch: str, first: int, count: int) -> list[bytes] | None:
        """See ``HubLink``."""
        answer = await self._lane.ask({"kind": "fetch", "epoch": epoch, "first": first, "count": count})
        if "unsupported" in answer:
            return None
        try:
            return wire.decode_run(answer)[:count]
        except WireError as error:
            raise Unreachable(f"the hub gives nothing back that reads: {error.why}") from None

    async def show_photo(self, reader: Reader) -> str | None:
        """See ``HubLink``."""
        return await self._photos.step(reader)

    @property
    def photo_bytes(self) -> int:
        """See ``HubLink``."""
        return self._photos.sent_bytes

    def witnessed(self, epoch: str, note: bytes) -> bool:
        """See ``HubLink``."""
        return self._witness.learn(epoch, note)

    @property
    def sent_bytes(self) -> int:
        """See ``Metered``: both lanes, but no photos: they have a day's bytes of their own."""
        return self._carrier.sent_bytes - self._photos.sent_bytes

    def commanded(self, hear: Callable[[Sequence[bytes]], None]) -> None:
        """See ``Commanding``."""
        self._carrier.commanded = hear

    def spare(self, spare: bool) -> None:
        """See ``Metered``."""
        self._live.spare = spare

    def offer(self, epoch: str, first: int, entries: Sequence[bytes]) -> None:
        """See ``HubLink``."""
        self._live.offer(epoch, first, entries)

    async def run_live(self, reader: Reader) -> None:
        """Keep the carrier connected and send the live lane, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._carrier.run(), name=f"hub-carrier:{self._name}")
            group.create_task(self._live.run(reader), name=f"hub-live:{self._name}")

    def status(self) -> dict[str, Any]:
        """JSON-able: link, session, receipts, live lane."""
        return {
            "hub": self._hub,
            "session": self._lane.open,
            "receipts": self._receipts,
            "witness": self._witness.status(),
            "link": self._carrier.status(),
            "live": self._live.status(),
            "photos": self._photos.status(),
        }

    async def close(self) -> None:
        """Close the carrier."""
        await self._carrier.close()

    async def _offer(self, run: Run) -> dict[str, Any]:
        """The answer to the run's first entries: half as many as long as they exceed a message's bounds."""
        count = len(run.entries)
        while True:
            header: dict[str, Any] = {"kind": "entries", "epoch": run.epoch, "first": run.first, "count": count}
            if run.branch_of is not None:
                header["branch_of"] = {"epoch": run.branch_of[0], "size": run.branch_of[1]}
            try:
                return await self._lane.ask(header, wire.lines(run.entries[:count]))
            except WireError as error:
                if count == 1:
                    raise Unreachable(f"entry {run.first} fits into no message: {error.why}") from None
                count = (count + 1) // 2

    def _receipt(self, answer: dict[str, Any], epoch: str, *, least: int) -> dict[str, Any]:
        """The receipt in an answer to us. Raises Conflict or Unreachable when it is none, or covers nothing of ours."""
        if "conflict" in answer:
            seq, held = _size(answer.get("seq")), str(answer.get("hash", ""))[:64]
            why = f"the hub holds another entry {seq} of epoch {epoch} (leaf hash {held})"
            raise Conflict(why, epoch=epoch, seq=seq, hash=held)
        if "expected" in answer:
            raise Hole(epoch, _size(answer["expected"]))
        receipt = answer.get("receipt")
        if not isinstance(receipt, dict) or (receipt.get("gateway"), receipt.get("epoch")) != (self._gateway, epoch):
            raise Unreachable("the hub's answer is no receipt for what was sent")
        size = _size(receipt.get("size"))
        if size < least:
            raise Unreachable(f"the hub's receipt covers {size} entries, {least} were sent")
        self._receipts += 1
        self._sizes[epoch] = size
        return receipt


def _size(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Unreachable("the hub's answer has a size that is no number")
    return value
