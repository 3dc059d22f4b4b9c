"""The field side at a reload: a bus that is exchanged leaves nothing open behind it, and never waits for intake."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from edge_gateway.app.field import Field
from edge_gateway.clock import SystemClock
from edge_gateway.config.load import Loaded, load
from edge_gateway.intake.inbox import Inbox
from edge_gateway.reading import GapClosed, GapOpened, Item
from tests.cli.site import PACK, Plant, config_text
from tests.servers.process import free_port


def loaded(folder: Path, port: int) -> Loaded:
    (folder / "rules").mkdir(exist_ok=True)
    (folder / "rules" / "house.toml").write_text(PACK)
    (folder / "gateway.toml").write_text(config_text(port))
    return load(folder / "gateway.toml", folder / "state")


async def exchanged(folder: Path, inbox: Inbox, *, fill: int) -> list[Item]:
    """Three units behind a dead port until each has an open gap; then the bus gets a port that answers."""
    field = Field(loaded(folder, free_port()), clock=SystemClock(declared=True), inbox=inbox, messages={})
    task = asyncio.create_task(field.run())
    seen: list[Item] = []
    async with asyncio.timeout(20):
        while sum(isinstance(item, GapOpened) for item in seen) < 3:
            seen += [item for item in await inbox.take(1.0) if not (item is None or hasattr(item, "act"))]  # type: ignore[misc]
    with Plant() as plant:
        other = loaded(folder, plant.port)
        staged = field.stage(other)
        for _ in range(fill - len(inbox)):
            inbox._items.append(seen[0])
        async with asyncio.timeout(5):
            await field.exchange(other, staged)
        seen += inbox._items  # type: ignore[arg-type]
        task.cancel()
        await asyncio.wait([task])
    return seen


async def test_gaps_that_were_open_end_with_their_source(tmp_path: Path) -> None:
    seen = await exchanged(tmp_path, Inbox(), fill=0)
    opened = [item.id for item in seen if isinstance(item, GapOpened)]
    closed = [item.id for item in seen if isinstance(item, GapClosed)]
    assert len(opened) == 4, "three units, and the exchange itself"
    assert sorted(opened) == sorted(closed)


async def test_an_exchange_never_waits_for_room_that_only_intake_could_make(tmp_path: Path) -> None:
    seen = await exchanged(tmp_path, Inbox(max_items=64), fill=63)
    opened = {item.id for item in seen if isinstance(item, GapOpened)}
    assert opened == {item.id for item in seen if isinstance(item, GapClosed)}


async def test_what_units_refuse_is_kept_in_the_state_folder(tmp_path: Path) -> None:
    with Plant() as plant:
        found, state = loaded(tmp_path, plant.port), tmp_path / "state"
        inbox = Inbox()
        field = Field(found, clock=SystemClock(declared=True), inbox=inbox, messages={}, state_dir=state)
        task = asyncio.create_task(field.run())
        async with asyncio.timeout(10):
            await inbox.take(5.0)
        task.cancel()
        await asyncio.wait([task])
    kept = json.loads((state / "learned" / "plc.json").read_text())
    assert kept["units"]["1"]["worked"] == {"4": [[1, 1]]}
