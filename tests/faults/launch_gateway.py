"""`edge-gateway` as a campaign starts it: the program itself, with a journal that seals and frees all the time.

EDGE_FAULTS_SEGMENT=N makes segments of N entries, and retention frees each one as soon as the hub's receipt covers it: what was
wrongly taken for held is then really gone. EDGE_FAULTS_PLANTED=puback plants the fault that a campaign must find: a broker's
PUBACK counts as the hub's receipt.
"""

from __future__ import annotations

import asyncio
import functools
import os
from typing import Any

from edge_gateway.app import run as app
from edge_gateway.cli import main
from edge_gateway.errors import LinkDown, Unreachable
from edge_gateway.journal.retention import JournalSettings
from edge_gateway.journal.room import Room
from edge_gateway.sinks import hub_sink
from edge_gateway.sinks.base import Run
from edge_gateway.sinks.hub_mqtt import MqttCarrier
from edge_gateway.wire import hub as wire


class PubackSink(hub_sink.HubSink):
    """Planted: what the broker acknowledged is taken for held."""

    async def _offer(self, run: Run) -> dict[str, Any]:
        carrier, lane = self._carrier, self._lane
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


def plant(segment_entries: int, planted: str) -> None:
    """Change the program before it starts."""
    if segment_entries:
        smaller = functools.partial(JournalSettings, segment_entries=segment_entries)
        setattr(app, "JournalSettings", smaller)  # noqa: B010 -- the name as the program imported it
        Room.soft_bytes = property(lambda room: 0)  # type: ignore[assignment,method-assign]
    if planted == "puback":
        hub_sink.HubSink = PubackSink  # type: ignore[misc]
    elif planted:
        raise SystemExit(f"no planted fault is called '{planted}'")


if __name__ == "__main__":
    plant(int(os.environ.get("EDGE_FAULTS_SEGMENT", "0")), os.environ.get("EDGE_FAULTS_PLANTED", ""))
    main()
