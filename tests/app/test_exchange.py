"""A bus exchanged, or devices moved between two, at a reload while the clock moves on between any two readings of it: each slot is polled once, or lies in exactly one gap.

Planted: a source that reads the clock for itself, at its end or at its beginning; buses that go on though a device moves between
them. Then a slot is doubled, or nobody's.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from edge_gateway.app.field import Field
from edge_gateway.clock import SystemClock
from edge_gateway.config.load import Loaded, load
from edge_gateway.intake.inbox import Inbox
from edge_gateway.reading import Batch, GapClosed, GapOpened, Item
from edge_gateway.sources.modbus_source import ModbusSource
from tests.app.test_field import loaded
from tests.cli.site import Plant, config_text

SLOT_US = 200_000
GROUPS = tuple(f"cold{unit}-th.0" for unit in (1, 2, 3))
EXCHANGES, SEED = 8, 20261128


class Leaping(SystemClock):
    """While ``most_us`` is set, up to so much passes (seeded) before each reading."""

    def __init__(self) -> None:
        super().__init__(declared=True)
        self.most_us, self._ahead_us, self._random = 0, 0, Random(SEED)

    def mono_us(self) -> int:
        self._ahead_us += self._random.randrange(self.most_us + 1)
        return super().mono_us() + self._ahead_us


def told(items: list[Item], group: str) -> tuple[Counter[int], int, int]:
    """How often each slot of a group is spoken of; the first one, and the last one that was read."""
    found: Counter[int] = Counter()
    opened: dict[str, GapOpened] = {}
    for item in items:
        if isinstance(item, Batch) and item.group.id == group:
            assert item.slot_us is not None
            found[item.slot_us] += 1
        elif isinstance(item, GapOpened) and group in item.groups:
            opened[item.id] = item
        elif isinstance(item, GapClosed) and item.id in opened:
            since_us = -(-opened.pop(item.id).since_slot_us // SLOT_US) * SLOT_US
            found.update(range(since_us, item.until_slot_us, SLOT_US))
    read = [item.slot_us or 0 for item in items if isinstance(item, Batch) and item.group.id == group]
    return found, read[0], read[-1]


def wrong(items: list[Item]) -> list[tuple[str, int, int]]:
    """Slots that are not spoken of exactly once: (group, slot, how often)."""
    bad = []
    for group in GROUPS:
        found, first_us, last_us = told(items, group)
        bad += [(group, slot, found[slot]) for slot in range(first_us, last_us + 1, SLOT_US) if found[slot] != 1]
    return bad


async def exchanged(folder: Path) -> list[Item]:
    """All that intake is handed while the bus goes from one port to the other and back."""
    inbox, clock, seen = Inbox(), Leaping(), list[Item]()
    with Plant() as one, Plant() as other:
        field = Field(loaded(folder, one.port), clock=clock, inbox=inbox, messages={})
        task = asyncio.create_task(field.run())
        for number in range(EXCHANGES):
            await _until_read(inbox, seen)
            await _exchange(field, clock, loaded(folder, (other, one)[number % 2].port))
        await _end(task, inbox, seen)
    return seen


async def _exchange(field: Field, clock: Leaping, new: Loaded) -> None:
    """Time leaps meanwhile."""
    staged = field.stage(new)
    clock.most_us = SLOT_US // 4
    await field.exchange(new, staged)
    clock.most_us = 0


async def _end(task: asyncio.Task[None], inbox: Inbox, seen: list[Item]) -> None:
    await _until_read(inbox, seen)
    task.cancel()
    await asyncio.wait([task])


def placed(folder: Path, ports: tuple[int, int], places: tuple[str, ...]) -> Loaded:
    """Each of the three devices on its bus."""
    other = f'[buses.other]\nkind = "tcp"\nhost = "127.0.0.1"\nport = {ports[1]}\ntimeout_s = 1.0\n'
    text = loaded(folder, ports[0]) and config_text(ports[0], more=other)
    for unit, bus in enumerate(places, 1):
        text = text.replace(f'[devices.cold{unit}-th]\nbus = "plc"', f'[devices.cold{unit}-th]\nbus = "{bus}"')
    (folder / "gateway.toml").write_text(text)
    return load(folder / "gateway.toml", folder / "state")


async def moved(folder: Path) -> list[Item]:
    """All that intake is handed while devices go from one bus to the other, a bus is left by all, and comes again."""
    inbox, clock, seen = Inbox(), Leaping(), list[Item]()
    chance, places = Random(SEED), ("plc", "plc", "plc")
    with Plant() as one, Plant() as other:
        ports = one.port, other.port
        field = Field(placed(folder, ports, places), clock=clock, inbox=inbox, messages={})
        task = asyncio.create_task(field.run())
        for _ in range(EXCHANGES):
            await _until_read(inbox, seen)
            before = places
            while places == before:
                places = tuple(chance.choice(("plc", "other")) for _ in GROUPS)
            await _exchange(field, clock, placed(folder, ports, places))
        await _end(task, inbox, seen)
    return seen


async def _until_read(inbox: Inbox, seen: list[Item]) -> None:
    """Each group was read at least twice since."""
    since = Counter[str]()
    async with asyncio.timeout(20):
        while min(since[group] for group in GROUPS) < 2:
            fresh = [item for item in await inbox.take(1.0) if not (item is None or hasattr(item, "act"))]
            since.update(item.group.id for item in fresh if isinstance(item, Batch))
            seen += fresh  # type: ignore[arg-type]


async def test_each_slot_around_an_exchange_is_spoken_of_once(tmp_path: Path) -> None:
    items = await exchanged(tmp_path)
    assert wrong(items) == []
    gaps = [item for item in items if isinstance(item, GapOpened) and item.id.startswith("reload-")]
    assert len(gaps) == EXCHANGES


async def test_a_source_that_reads_the_clock_for_itself_at_its_end_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = ModbusSource.farewell
    monkeypatch.setattr(ModbusSource, "farewell", lambda self, mono_us: ended(self, mono_us + SLOT_US))
    assert any(count == 2 for _, _, count in wrong(await exchanged(tmp_path)))


async def test_a_source_that_begins_when_it_is_built_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = ModbusSource.begin_behind
    monkeypatch.setattr(ModbusSource, "begin_behind", lambda self, mono_us: begun(self, mono_us + SLOT_US))
    assert any(count == 0 for _, _, count in wrong(await exchanged(tmp_path)))


async def test_each_slot_of_a_device_that_moves_to_another_bus_is_spoken_of_once(tmp_path: Path) -> None:
    assert wrong(await moved(tmp_path)) == []


async def test_buses_that_go_on_though_a_device_moves_between_them_are_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Field, "_moved", lambda self, specs: set())
    assert any(count == 0 for _, _, count in wrong(await moved(tmp_path)))
