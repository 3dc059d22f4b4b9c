"""A gateway reduced to an MQTT source and a file of journal entries: in a test's own loop, or as a process to be killed.

    python -m tests.sources.mqtt_gateway PORT JOURNAL MODE

Modes: `commit` (as it should be), `hold` (entries stay in memory), `die` (killed between the commit and the acknowledgement),
`early` (a planted fault: acknowledges at hand-over and commits never).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_gateway.clock import SystemClock
from edge_gateway.profiles.model import PayloadProfile
from edge_gateway.profiles.spec import DeviceSpec, PointSpec
from edge_gateway.reading import Batch, GapClosed, GapOpened, Item, Note
from edge_gateway.record import entry
from edge_gateway.sources.mqtt import MqttConfig
from edge_gateway.sources.mqtt_ledger import replay
from edge_gateway.sources.mqtt_source import MqttSource

CLOCK = SystemClock(declared=True)
TOPIC = "冷库/一号/温度"


def profile(**payload: Any) -> PayloadProfile:
    return PayloadProfile.model_validate(
        {
            "id": "x/y", "vendor": "x", "model": "y", "name_zh": "某", "name_en": "y", "verified": "no",
            "sources": [{"cite": "this test", "verified": "no"}],
            "payload": {"format": "json", "time_path": "time", **payload},
            "channels": {"t": {"path": "t", "quantity": "temperature", "unit": "Cel"},
                         "rh": {"path": "rh", "quantity": "humidity", "unit": "%"}},
        }
    )  # fmt: skip


def device(
    topic: str = TOPIC, *, id_: str = "dev", every_s: float = 0.0, points: str = "t", **payload: Any
) -> DeviceSpec:
    return DeviceSpec(
        id=id_,
        profile=profile(**payload),
        points=tuple(PointSpec(id=f"{id_}-{name}", channel=name) for name in points.split()),
        topic=topic,
        expect_every_us=round(every_s * 1e6),
    )


class FileJournal:
    """Intake and journal in one: items become entries of a file, then `committed` is called."""

    def __init__(self, path: Path, *, auto: bool = True) -> None:
        self.path = path
        self.auto = auto
        self.items: list[Item] = []
        self.blocked = False
        self.before_acknowledging: Callable[[], None] = lambda: None
        self._pending: list[Item] = []

    def full(self) -> bool:
        return self.blocked

    async def put(self, item: Item) -> None:
        self.items.append(item)
        self._pending.append(item)
        if self.auto or isinstance(item, Note):
            self.commit()

    def commit(self) -> None:
        pending, self._pending = self._pending, []
        with self.path.open("ab") as file:
            for item in pending:
                file.write(_encoded(item) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if any(isinstance(item, Batch) for item in pending):
            self.before_acknowledging()
        for item in pending:
            if isinstance(item, Batch | Note) and item.committed is not None:
                item.committed()

    def batches(self) -> list[Batch]:
        return [item for item in self.items if isinstance(item, Batch)]

    def values(self) -> list[Any]:
        return [batch.values[0] for batch in self.batches()]

    def notes(self, event: str) -> list[Note]:
        return [item for item in self.items if isinstance(item, Note) and item.event == event]

    def gaps(self) -> list[GapOpened | GapClosed]:
        return [item for item in self.items if isinstance(item, GapOpened | GapClosed)]


def _encoded(item: Item) -> bytes:
    if isinstance(item, Batch):
        return entry.encode_batch(0, 0, CLOCK.boot, True, 0, item)
    stamp = entry.Stamp(0, CLOCK.wall_us(), CLOCK.mono_us(), CLOCK.boot, True)
    if isinstance(item, Note):
        return entry.encode(0, "event", stamp, {"event": item.event, **item.detail})
    return entry.encode(0, "gap", stamp, entry.gap_body(item))


def journaled(path: Path) -> list[dict[str, Any]]:
    """The batch entries of the file."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [body for body in map(entry.decode, lines) if body["kind"] == "batch"]


def recovered(path: Path) -> dict[tuple[str, int], str]:
    """What a restart hands to the source."""
    messages: dict[tuple[str, int], str] = {}
    for line in path.read_bytes().splitlines() if path.exists() else []:
        replay(messages, entry.decode(line))
    return messages


def build(
    port: int, *devices: DeviceSpec, known: dict[tuple[str, int], str] | None = None, **config: Any
) -> MqttSource:
    table = {"kind": "mqtt", "host": "127.0.0.1", "port": port, "client_id": "gateway", **config}
    return MqttConfig.model_validate(table).build("bus", devices or (device(),), CLOCK, recovered=known)


async def main(port: int, path: Path, mode: str) -> None:
    journal = FileJournal(path, auto=mode in ("commit", "die"))
    source = build(port, known=recovered(path))
    if mode == "die":
        journal.before_acknowledging = lambda: os.kill(os.getpid(), signal.SIGKILL)
    if mode == "early":
        put = journal.put

        async def put_early(item: Item) -> None:
            await put(item)
            if isinstance(item, Batch) and item.committed is not None:
                item.committed()

        journal.put = put_early  # type: ignore[method-assign]
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(source.run(journal))
        while True:
            await asyncio.sleep(0.02)
            ready = "ready" if source.health()["connected"] and source._greeted else "away"
            print(ready, len(journal.batches()), source.health()["repeated"], len(source._ledger), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
