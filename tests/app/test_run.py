"""The composition root under signals and faults: it always ends, in order where it can, and says why in one error."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.app import run as app
from edge_gateway.errors import GatewayError, JournalDamaged, JournalFull
from edge_gateway.journal.reading import Reading
from edge_gateway.journal.store import Store
from edge_gateway.page.site import Site
from tests.cli.site import PACK, Plant, config_text

DEADLINE_S = 20.0


class Started:
    """``app.run`` in this process, over a real plant."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        (folder / "rules").mkdir()
        (folder / "rules" / "house.toml").write_text(PACK)
        (folder / "gateway.toml").write_text(config_text(port))
        self.site: Site | None = None
        self._ready = asyncio.Event()
        self.task = asyncio.create_task(app.run(self._options()))

    def _options(self) -> app.Options:
        return app.Options(
            config=self.folder / "gateway.toml", state_dir=self.folder / "state", socket=self.folder / "s", ready=self._is
        )

    def _is(self, site: Site) -> None:
        self.site = site
        self._ready.set()

    async def ready(self) -> Site:
        waiting = asyncio.create_task(self._ready.wait())
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.wait([waiting, self.task], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self.site is None:
            await self.task
        assert self.site is not None
        return self.site

    async def reads(self) -> Site:
        site = await self.ready()
        async with asyncio.timeout(DEADLINE_S):
            while not site.intake.latest:
                await asyncio.sleep(0.01)
        return site

    async def ended(self) -> None:
        async with asyncio.timeout(DEADLINE_S):
            await self.task

    def events(self) -> list[str]:
        reading = Reading(self.folder / "state")
        try:
            return [entry["event"] for _, entry in reading.entries() if entry["kind"] == "event"]
        finally:
            reading.close()


def planted(monkeypatch: pytest.MonkeyPatch, error: Exception) -> list[bool]:
    """Once the list is not empty each append fails so."""
    append, on = Store.append, list[bool]()

    async def failing(store: Store, entries: Sequence[bytes], texts: Sequence[bytes] = (), **how: Any) -> None:
        if on:
            raise error
        await append(store, entries, texts, **how)

    monkeypatch.setattr(Store, "append", failing)
    return on


async def test_it_stops_in_order_and_a_second_signal_changes_nothing(tmp_path: Path) -> None:
    with Plant() as plant:
        run = Started(tmp_path, plant.port)
        await run.reads()
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(os.getpid(), number)
        await run.ended()
    assert run.events()[-1] == "stopped"


async def test_signals_before_it_is_ready_end_it_in_order_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = app.open_journal

    async def signalled(*given: Any, **named: Any) -> Store:
        for number in (signal.SIGHUP, signal.SIGTERM):
            os.kill(os.getpid(), number)
        await asyncio.sleep(0.05)
        return await opened(*given, **named)

    monkeypatch.setattr(app, "open_journal", signalled)
    with Plant() as plant:
        run = Started(tmp_path, plant.port)
        await run.ended()
    assert run.events() == ["started", "stopped"]


async def test_it_stops_though_the_journal_takes_nothing_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(app, "COMMIT_GRACE_S", 0.5)
    full = planted(monkeypatch, JournalFull("the disk is full"))
    with Plant() as plant:
        run = Started(tmp_path, plant.port)
        site = await run.reads()
        full.append(True)
        async with asyncio.timeout(DEADLINE_S):
            while not site.intake.inbox.paused:
                await asyncio.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)
        await run.ended()
    assert "without the newest readings" in caplog.text
    assert "stopped" not in run.events()


async def test_damage_at_work_ends_it_with_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damage = planted(monkeypatch, JournalDamaged("the disk fails: I/O error", hint="replace the disk"))
    with Plant() as plant:
        run = Started(tmp_path, plant.port)
        await run.reads()
        damage.append(True)
        with pytest.raises(JournalDamaged, match="the disk fails"):
            await run.ended()


async def test_a_fault_of_ours_is_logged_with_its_traceback_and_ends_it_with_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fault = planted(monkeypatch, ZeroDivisionError("nobody thought of this"))
    with Plant() as plant:
        run = Started(tmp_path, plant.port)
        await run.reads()
        fault.append(True)
        with pytest.raises(GatewayError, match="nobody thought of this"):
            await run.ended()
    (record,) = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert record.exc_info is not None
