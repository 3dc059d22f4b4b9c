"""`edge-gateway` as a campaign starts it: the program itself, with a journal that seals and frees all the time.

EDGE_FAULTS_SEGMENT=N makes segments of N entries, and retention frees each one as soon as the hub witnessed it. EDGE_FAULTS_PLANTED plants
a fault that a campaign must find; with the first two retention goes by the plain receipt, as a careless one would: what was wrongly taken for held
is then really gone.

- ``puback``: a broker's PUBACK counts as the hub's receipt
- ``sent``: what was sent is taken for held, without waiting for the receipt
- ``early``: messages are acknowledged to the broker before they are committed
- ``cursor``: the hub is served from our cursor, whatever it says it holds
- ``unsealed``: entries leave the tail before their segment's file is there
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_gateway.app import run as app
from edge_gateway.cli import main
from edge_gateway.clock import SystemClock
from edge_gateway.errors import LinkDown, Unreachable
from edge_gateway.intake.loop import Intake
from edge_gateway.journal.base import EpochInfo, Position, Reader
from edge_gateway.journal.owed import Owed
from edge_gateway.journal.retention import JournalSettings
from edge_gateway.journal.room import Room
from edge_gateway.journal.segments import Segment, build, write_segment
from edge_gateway.journal.state import State
from edge_gateway.journal.work import SealJob
from edge_gateway.reading import Batch
from edge_gateway.shipping.hub import HubDelivery
from edge_gateway.sinks import hub_sink
from edge_gateway.sinks.base import Held, Outcome, Run
from edge_gateway.sinks.hub_mqtt import MqttCarrier
from edge_gateway.wire import hub as wire


class PubackSink(hub_sink.HubSink):
    """Planted: what the broker acknowledged is taken for held."""

    async def _offer(self, run: Run) -> dict[str, Any]:
        carrier, lane = self._carrier.counted, self._lane
        assert isinstance(carrier, MqttCarrier)
        lane._n += 1
        header = {"kind": "entries", "epoch": run.epoch, "first": run.first, "count": len(run.entries)}
        message = wire.encode_message({**header, "session": lane._session, "n": lane._n}, wire.lines(run.entries))
        sealed = wire.seal(carrier._token, "up", carrier._gateway, lane._session, lane._n, message)
        try:
            async with asyncio.timeout(carrier._timeout_s):
                await carrier._link.ready()
                await carrier._link.send(carrier._up, sealed)
        except (LinkDown, TimeoutError) as error:
            raise Unreachable(str(error)) from None
        size = run.first + len(run.entries)
        return {"receipt": {"gateway": self._gateway, "epoch": run.epoch, "size": size, "skipped": []}}


class SentSink(hub_sink.HubSink):
    """Planted: the cursor goes on without the hub's word when there is none."""

    async def meet(self, epochs: Sequence[EpochInfo]) -> list[Held]:
        try:
            return await super().meet(epochs)
        except Unreachable:
            return [Held(epoch=info.epoch, size=info.size) for info in epochs]

    async def deliver(self, run: Run, reader: Reader) -> Outcome:
        try:
            return await super().deliver(run, reader)
        except Unreachable:
            size = run.first + len(run.entries)
            receipt = {"gateway": self._gateway, "epoch": run.epoch, "size": size, "skipped": []}
            return Outcome(accepted=len(run.entries), receipt=receipt)


class EarlyIntake(Intake):
    """Planted: a message is acknowledged as it is taken."""

    async def _take_batch(self, batch: Batch) -> None:
        if batch.committed is not None:
            batch.committed()
            batch = replace(batch, committed=None)
        await super()._take_batch(batch)


def _trusts_its_cursor(delivery: HubDelivery, *_: object) -> Position:
    """Planted: whatever the hub says it holds, it is served from where we stood."""
    return delivery._journal.cursor(delivery.sink.name) or Position(delivery._journal.epoch, 0)


async def _looks_at_no_receipt(*_: object) -> None:
    """Planted with it: a hub that holds less than its own receipt is nothing to us."""


def _follow_clock(place: str) -> None:
    """SIGUSR2: the wall clock is off by as many µs as the file says."""
    off_us = [0]
    wall_us = SystemClock.wall_us
    setattr(SystemClock, "wall_us", lambda clock: wall_us(clock) + off_us[0])  # noqa: B010
    signal.signal(signal.SIGUSR2, lambda *_: off_us.__setitem__(0, int(Path(place).read_text())))


def _unsealed() -> None:
    """The file comes after the rows went."""
    written: dict[tuple[str, int], list[bytes]] = {}
    remember = State.sealed

    def write_seal(state: State, job: SealJob, entries: Iterable[bytes]) -> Segment:
        held = written[job.epoch, job.first] = list(entries)
        return build(job.epoch, job.first, held, state.member_entries)[1]

    def sealed(state: State, segment: Segment) -> None:
        remember(state, segment)
        held = written.pop((segment.epoch, segment.first))
        write_segment(state.files, state.state_dir, segment.epoch, segment.first, held, state.member_entries)

    setattr(State, "write_seal", write_seal)  # noqa: B010
    setattr(State, "sealed", sealed)  # noqa: B010


def _by_receipt() -> None:
    """What the hub is taken to hold may go."""

    def limits(_owed: Owed, order: Mapping[str, int], receipts: Mapping[tuple[str, str], int]) -> dict[str, int]:
        return {name: max((size for (_, epoch), size in receipts.items() if epoch == name), default=0) for name in order}

    setattr(Owed, "limits", limits)  # noqa: B010


def plant(segment_entries: int, planted: str) -> None:
    """Change the program before it starts."""
    if segment_entries:
        smaller = functools.partial(JournalSettings, segment_entries=segment_entries)
        setattr(app, "JournalSettings", smaller)  # noqa: B010 -- the name as the program imported it
        Room.soft_bytes = property(lambda room: 0)  # type: ignore[assignment,method-assign]
    if planted in ("puback", "sent"):
        _by_receipt()
    match planted:
        case "puback":
            hub_sink.HubSink = PubackSink  # type: ignore[misc]
        case "sent":
            hub_sink.HubSink = SentSink  # type: ignore[misc]
        case "early":
            app.Intake = EarlyIntake  # type: ignore[attr-defined]
        case "unsealed":
            _unsealed()
        case "cursor":
            setattr(HubDelivery, "_position", _trusts_its_cursor)  # noqa: B010
            setattr(HubDelivery, "_remind", _looks_at_no_receipt)  # noqa: B010
        case "" | "forgets":  # that one is the signer's
            pass
        case _:
            raise SystemExit(f"no planted fault is called '{planted}'")


def launch() -> None:
    """The program, changed as the environment says."""
    if os.environ.get("EDGE_FAULTS_CLOCK"):
        _follow_clock(os.environ["EDGE_FAULTS_CLOCK"])
    plant(int(os.environ.get("EDGE_FAULTS_SEGMENT", "0")), os.environ.get("EDGE_FAULTS_PLANTED", ""))
    main()


if __name__ == "__main__":
    launch()
