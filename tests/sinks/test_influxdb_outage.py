"""The whole way: real journal, shipping's loop, real influxd that is killed and restarted; nothing lost, nothing doubled."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from edge_gateway import events
from edge_gateway.errors import ConfigError, Unreachable
from edge_gateway.journal.base import Position
from edge_gateway.journal.retention import JournalSettings
from edge_gateway.journal.store import open_journal
from edge_gateway.record import entry
from edge_gateway.shipping.delivery import Asks, Delivery
from tests.servers.certificates import CertificateAuthority
from tests.servers.influxd import Influxd
from tests.sinks.influx_record import START_US, Record, StillClock, resolved
from tests.sinks.test_influxdb_v1 import plant, sink, stored


async def _unasked(*asked: Any) -> None:
    raise AssertionError(asked)


@pytest.mark.campaign
async def test_an_influxd_that_is_killed_under_load_gets_everything_once(tmp_path: Path) -> None:
    names = [f"p{number}" for number in range(20)]
    text = entry.canonical(resolved(names))
    record = Record()
    truth = plant(record, 400)
    # The same entries, with the configuration's text where the journal looks for it.
    record.entries[1] = record.entries[1].replace(b"0" * 64, entry.text_hash(text).encode())
    settings = JournalSettings(max_bytes=1 << 30, sinks=("influx",))
    journal = await open_journal(tmp_path / "state", settings=settings, clock=StillClock())
    told: list[events.Event] = []
    with Influxd(tmp_path / "influxd") as influxd:
        influxd.create_database("db")
        it = sink(influxd.url, timeout_s=2.0)
        asks = Asks(reopen=_unasked, record=_unasked)
        delivery = Delivery(sink=it, journal=journal, tell=told.append, wall_us=lambda: START_US, asks=asks)
        journal.subscribe(lambda *_: delivery.wake())
        task = asyncio.create_task(delivery.run())
        for at in range(0, len(record.entries), 40):
            await journal.append(record.entries[at : at + 40], [text] if at == 0 else [])
            await asyncio.sleep(0.02)
            if at == 120:
                influxd.kill()
            if at == 280:
                await asyncio.to_thread(influxd.start)
        async with asyncio.timeout(30):
            while (journal.cursor("influx") or Position("", 0)).seq < len(record.entries):
                await asyncio.sleep(0.05)
        delivery.stop()
        await task
        await it.close()
        assert stored(influxd, "db") == sorted(truth)
    await journal.close()
    assert any(isinstance(event, events.SinkTroubled) for event in told)
    assert any(isinstance(event, events.SinkRecovered) for event in told)


async def test_tls_is_checked_against_ca_file(tmp_path: Path) -> None:
    ours, theirs = CertificateAuthority(tmp_path / "ours"), CertificateAuthority(tmp_path / "theirs")
    files = ours.issue("server")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certificate_file, files.key_file)
    got: list[str] = []

    async def write(request: web.Request) -> web.Response:
        got.append(await request.text())
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/write", write)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    server: Any = site._server
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    record = Record()
    plant(record, 1, 1)
    try:
        for authority, trusted in ((ours, True), (theirs, False)):
            it = sink(url, ca_file=str(authority.ca_file))
            if trusted:
                assert (await it.deliver(record.run(), record)).accepted == 3
            else:
                with pytest.raises(Unreachable, match="certificate"):
                    await it.deliver(record.run(), record)
            await it.close()
        assert len(got) == 1
        with pytest.raises(ConfigError, match=r"none\.pem"):
            sink(url, ca_file=str(tmp_path / "none.pem"))
    finally:
        await runner.cleanup()
