"""The hub's sink against a real hub, over HTTP and over a real broker: receipts and only receipts, the ordered lane."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from edge_gateway.errors import ConfigError, JournalDamaged, NotAuthorised, Unreachable
from edge_gateway.links.mqtt import MqttSettings
from edge_gateway.sinks.base import Conflict, Run
from edge_gateway.sinks.hub import HubConfig
from edge_gateway.sinks.hub_sink import HubSink
from edge_gateway.sources.mqtt import MqttConfig
from tests.regulator_hub import record
from tests.regulator_hub.harness import EPOCH, GATEWAY, OTHER, HubProcess, Running, registered, running_hub
from tests.servers.mosquitto import Mosquitto
from tests.sinks.hub_record import Record


@dataclass
class Bench:
    """A sink with a hub behind it and a record before it."""

    running: Running
    sink: HubSink
    record: Record

    async def deliver(self, first: int, count: int, epoch: str = EPOCH) -> Any:
        start, there = self.record.held[epoch]
        run = Run(epoch=epoch, first=first, entries=there[first - start : first - start + count])
        return await self.sink.deliver(run, self.record)


def broker_of(port: int, **table: str) -> MqttSettings:
    return MqttConfig(kind="mqtt", host="127.0.0.1", port=port, **table).settings("b")


def sink_for(folder: Path, token: str, **settings: Any) -> HubSink:
    (folder / "hub-token").write_text(token + "\n")
    broker = settings.pop("broker", None)
    config = HubConfig.model_validate({"kind": "hub", "token_file": str(folder / "hub-token"), **settings})
    return config.build("hub", GATEWAY, broker=broker)


@asynccontextmanager
async def bench(folder: Path, via: str, mosquitto: Mosquitto, *, name: str = "hub") -> AsyncIterator[Bench]:
    state = folder / "state"
    token = registered(state, mqtt=via == "mqtt")
    table = {"host": "127.0.0.1", "port": mosquitto.port, "client_id": f"hub-{folder.name}"}
    settings: dict[str, Any] = {"mqtt": table} if via == "mqtt" else {}
    async with running_hub(state, name=name, **settings) as running:
        if via == "mqtt":
            sink = sink_for(folder, token, via="mqtt", bus="b", broker=broker_of(mosquitto.port))
        else:
            sink = sink_for(folder, token, url=running.url)
        mine = Record()
        mine.texts[record.SHA] = record.TEXT
        live = asyncio.create_task(sink.run_live(mine))
        try:
            if running.hub.mqtt is not None:  # what comes before its subscription is lost, and asked again only after ten seconds
                async with asyncio.timeout(10.0):
                    await running.hub.mqtt.ready()
            yield Bench(running, sink, mine)
        finally:
            live.cancel()
            await asyncio.gather(live, return_exceptions=True)
            await sink.close()


@pytest.fixture(params=["http", "mqtt"])
async def ready(request: pytest.FixtureRequest, tmp_path: Path, mosquitto: Mosquitto) -> AsyncIterator[Bench]:
    async with bench(tmp_path, request.param, mosquitto) as made:
        yield made


async def test_a_backlog_goes_in_large_messages_and_texts_follow(ready: Bench) -> None:
    ready.record.add(EPOCH, record.start(5000))
    assert [(h.size, h.closed) for h in await ready.sink.meet(ready.record.epochs())] == [(0, False)]
    at, messages = 0, 0
    while at < 5000:
        outcome = await ready.deliver(at, ready.sink.max_entries)
        assert outcome.receipt == {"gateway": GATEWAY, "epoch": EPOCH, "size": at + outcome.accepted, "skipped": []}
        at, messages = at + outcome.accepted, messages + 1
    assert messages <= 5  # ≥ 1,000 entries a message
    assert [h.size for h in await ready.sink.meet(ready.record.epochs())] == [5000]
    view = ready.running.hub.interpreter.view(GATEWAY)
    assert view.current() is not None  # the text was asked for and sent
    outcome = await ready.deliver(4999, 1)  # a duplicate: the answer to the overlap after a meeting
    assert (outcome.accepted, outcome.receipt["size"]) == (1, 5000)


async def test_conflict_expected_and_skipped(ready: Bench) -> None:
    ready.record.add(EPOCH, record.start(10))
    await ready.sink.meet(ready.record.epochs())
    await ready.deliver(0, 10)
    with pytest.raises(Unreachable, match="expects entry 10"):
        await ready.sink.deliver(Run(epoch=EPOCH, first=12, entries=[record.batch(12, 1.0)]), ready.record)
    await ready.sink.declare_skipped(EPOCH, 0, 4096, ["ab" * 32], "freed-by-retention")
    outcome = await ready.sink.deliver(Run(epoch=EPOCH, first=4096, entries=[record.snapshot(4096)]), ready.record)
    assert outcome.receipt["skipped"] == [[10, 4086]]
    with pytest.raises(Conflict) as caught:
        await ready.sink.deliver(Run(epoch=EPOCH, first=9, entries=[record.batch(9, 99.0)]), ready.record)
    assert (caught.value.epoch, caught.value.seq) == (EPOCH, 9)
    assert [(h.epoch, h.closed) for h in await ready.sink.meet(ready.record.epochs())] == [(EPOCH, True)]


async def test_a_text_that_is_gone_is_told_and_not_asked_again(ready: Bench) -> None:
    ready.record.texts.clear()
    ready.record.add(EPOCH, record.start(4))
    await ready.sink.meet(ready.record.epochs())
    await ready.deliver(0, 3)
    assert (await ready.deliver(3, 1)).accepted == 1
    rows = await ready.running.hub.reader.run(lambda db: db.execute("SELECT gone FROM wanted").fetchall())
    assert rows == [(1,)]


async def test_a_text_that_is_damaged_is_told_as_gone_and_ends_nothing(ready: Bench) -> None:
    async def damaged(sha256: str) -> bytes:
        raise JournalDamaged(f"text {sha256} does not match its name")

    ready.record.text = damaged  # type: ignore[method-assign]
    ready.record.add(EPOCH, record.start(4))
    await ready.sink.meet(ready.record.epochs())
    assert (await ready.deliver(0, 4)).accepted == 4
    rows = await ready.running.hub.reader.run(lambda db: db.execute("SELECT DISTINCT gone FROM wanted").fetchall())
    assert rows == [(1,)]


async def test_entries_that_do_not_compress_go_in_smaller_messages(ready: Bench) -> None:
    import secrets

    noise = [record.entry(seq, "event", event="noise", detail=secrets.token_hex(20_000)) for seq in range(40)]
    ready.record.add(EPOCH, noise)
    await ready.sink.meet(ready.record.epochs())
    outcome = await ready.deliver(0, 40)
    assert 1 <= outcome.accepted < 40
    assert outcome.receipt["size"] == outcome.accepted


async def test_the_hub_is_away_and_comes_back(tmp_path: Path) -> None:
    with HubProcess(tmp_path) as hub:
        token = registered(hub.state_dir)
        sink, mine = sink_for(tmp_path, token, url=hub.url, timeout_s=2.0), Record()
        mine.add(EPOCH, record.start(20))
        await sink.meet(mine.epochs())
        await sink.deliver(Run(epoch=EPOCH, first=0, entries=mine.held[EPOCH][1][:10]), mine)
        hub.kill()
        with pytest.raises(Unreachable):
            await sink.deliver(Run(epoch=EPOCH, first=10, entries=mine.held[EPOCH][1][10:]), mine)
        with pytest.raises(Unreachable):
            await sink.meet(mine.epochs())
        hub.start()
        with pytest.raises(Unreachable):  # no session: meet first
            await sink.deliver(Run(epoch=EPOCH, first=10, entries=mine.held[EPOCH][1][10:]), mine)
        assert [h.size for h in await sink.meet(mine.epochs())] == [10]
        assert (await sink.deliver(Run(epoch=EPOCH, first=10, entries=mine.held[EPOCH][1][10:]), mine)).accepted == 10
        hub.restart()  # its sessions are gone, its record is not
        with pytest.raises(Unreachable):  # the old connection, or the old session
            await sink.deliver(Run(epoch=EPOCH, first=19, entries=mine.held[EPOCH][1][19:]), mine)
        assert [h.size for h in await sink.meet(mine.epochs())] == [20]
        await sink.close()


async def test_tokens_tls_and_strangers(tmp_path: Path, authority: Any) -> None:
    files = authority.issue("hub")
    state = tmp_path / "state"
    token = registered(state)
    tls = {"cert_file": str(files.certificate_file), "key_file": str(files.key_file)}
    async with running_hub(state, **tls) as running:
        assert running.url.startswith("https://")
        good = sink_for(tmp_path, token, url=running.url, ca_file=str(files.ca_file))
        assert await good.meet([]) == []
        wrong = sink_for(tmp_path, "rh_" + "x" * 43, url=running.url, ca_file=str(files.ca_file))
        with pytest.raises(NotAuthorised) as caught:
            await wrong.meet([])
        assert "rh_" not in str(caught.value)
        distrustful = sink_for(tmp_path, token, url=running.url)
        with pytest.raises(Unreachable, match="ertificate"):
            await distrustful.meet([])
        for sink in (good, wrong, distrustful):
            assert token not in json.dumps(sink.status())
            await sink.close()


async def test_what_is_no_hub_frees_nothing(tmp_path: Path) -> None:
    """A proxy's page, a cached receipt, a receipt for somebody else: none of them is an outcome."""
    answers: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (head := await reader.readuntil(b"\r\n\r\n")) and answers:
            length = next(line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
            await reader.readexactly(int(length))
            body = answers.pop(0)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    sink = sink_for(tmp_path, "rh_" + "x" * 43, url=f"http://127.0.0.1:{port}", timeout_s=2.0)
    receipt = {"receipt": {"gateway": GATEWAY, "epoch": EPOCH, "size": 99, "skipped": []}}
    hello = {"v": 1, "session": "0" * 64, "n": 0, "hello": {"hub": "x", "sizes": {}, "closed": []}}
    for cached in (b"<html>ok</html>", json.dumps(hello).encode(), json.dumps(hello | receipt).encode()):
        answers[:] = [cached]
        with pytest.raises(Unreachable):
            await sink.meet([])
    # A session stands; every answer that is not this message's receipt is refused.
    for change in (
        {"n": 2}, {"session": "1" * 64}, {"receipt": receipt["receipt"] | {"gateway": "other"}},
        {"receipt": receipt["receipt"] | {"epoch": OTHER}}, {"receipt": receipt["receipt"] | {"size": "99"}},
        {"receipt": receipt["receipt"] | {"size": 0}}, {"receipt": True}, {"receipt": None},
    ):  # fmt: skip
        sink._lane._session, sink._lane._n = "0" * 64, 0
        answers[:] = [json.dumps({"v": 1, "session": "0" * 64, "n": 1, **receipt, **change}).encode()]
        with pytest.raises(Unreachable):
            await sink.deliver(Run(epoch=EPOCH, first=0, entries=[b"{}"]), Record())
    sink._lane._session, sink._lane._n = "0" * 64, 0
    answers[:] = [json.dumps({"v": 1, "session": "0" * 64, "n": 1, **receipt}).encode()]
    assert (await sink.deliver(Run(epoch=EPOCH, first=0, entries=[b"{}"]), Record())).accepted == 1
    await sink.close()
    server.close()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"url": "http://hub.example.org"}, "plain http, which is for this machine only"),
        ({"url": "ftp://hub.example.org"}, "no address"),
        ({"url": ""}, "no address"),
        ({"url": "https://user:secret@hub.example.org"}, "would end up in logs"),
        ({"via": "mqtt"}, "needs bus"),
        ({"via": "mqtt", "bus": "b", "url": "https://x.org"}, "needs bus"),
        ({"url": "https://x.org", "bus": "b"}, "bus belongs to"),
    ],
)
def test_configurations_that_are_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says) as caught:
        HubConfig.model_validate({"kind": "hub", "token_file": "t", **settings})
    assert "secret" not in str(caught.value.errors()[0]["msg"])


def test_a_missing_token_or_broker_is_a_configuration_error(tmp_path: Path) -> None:
    config = HubConfig(kind="hub", url="https://hub.example.org", token_file="none")
    with pytest.raises(ConfigError, match="secret"):
        config.build("hub", GATEWAY)
    (tmp_path / "t").write_text("x")
    with pytest.raises(ConfigError, match="no MQTT broker"):
        HubConfig(kind="hub", via="mqtt", bus="b", token_file=str(tmp_path / "t")).build("hub", GATEWAY)
