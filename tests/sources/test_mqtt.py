"""The MQTT source against the real mosquitto: nothing acknowledged before the commit, nothing lost, nothing doubled."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Self

import pytest

from edge_gateway.errors import ConfigError
from edge_gateway.links.mqtt import Mqtt, MqttSettings
from edge_gateway.reading import Batch, GapClosed, GapOpened
from edge_gateway.sources import mqtt_doubt, mqtt_source
from edge_gateway.sources.mqtt import MqttConfig
from edge_gateway.sources.mqtt_source import MqttSource
from tests.servers.certificates import CertificateAuthority
from tests.servers.fault_proxy import FaultProxy
from tests.servers.mosquitto import Mosquitto, MosquittoSettings
from tests.servers.process import REPOSITORY, free_port
from tests.sources.mqtt_gateway import CLOCK, TOPIC, FileJournal, build, device, journaled, recovered

Protocol = Literal["5", "3.1.1"]
BOTH: list[Protocol] = ["5", "3.1.1"]
DURABLE = MosquittoSettings(persistence=True, extra=("autosave_on_changes true",))


async def until(condition: Callable[[], object], what: str, deadline_s: float = 10.0) -> None:
    ends = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < ends, f"{what}: not within {deadline_s} s"
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def running(source: MqttSource, journal: FileJournal, *, ready: bool = True) -> AsyncIterator[MqttSource]:
    task = asyncio.create_task(source.run(journal))
    try:
        if ready:
            await until(lambda: task.done() or source._greeted, "subscribed")
        yield source
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Sensor:
    """A publisher of its own connection."""

    def __init__(self, port: int, **more: Any) -> None:
        self._link = Mqtt(
            MqttSettings(host="127.0.0.1", port=port, client_id="sensor", retry_first_s=0.05, **more),
            on_message=lambda _: None,
        )

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._link.run())
        await self.back()
        return self

    async def back(self) -> None:
        async with asyncio.timeout(10):
            await self._link.ready()

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def say(
        self, payload: dict[str, Any] | bytes | float, topic: str = TOPIC, *, qos: int = 1, retain: bool = False
    ) -> None:
        if isinstance(payload, int | float):
            payload = {"t": payload}
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        await self._link.send(topic, data, qos=qos, retain=retain)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker", DURABLE) as server:
        yield server


@pytest.fixture
def journal(tmp_path: Path) -> FileJournal:
    return FileJournal(tmp_path / "journal.ndjson")


async def counted(source: MqttSource, **wanted: int) -> None:
    await until(lambda: all(source.health()[key] >= count for key, count in wanted.items()), f"{wanted}")


async def nothing_left(port: int, folder: Path, **config: Any) -> None:
    """The broker has nothing unacknowledged for our session."""
    # mosquitto reads one packet a turn of each connection, and forgets what it did not read where the same client comes again.
    async with Sensor(port) as other:
        for _ in range(70):
            await other.say(0, "elsewhere")
    peek = FileJournal(folder / "nothing-left.ndjson")
    async with running(build(port, **config), peek) as source:
        await until(lambda: source.health()["live"], "marker")
        assert source.health()["subscribed"]
        assert peek.batches() == []
        assert source.health()["repeated"] == source.health()["strays"] == 0


# --- readings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("protocol", BOTH)
async def test_messages_become_batches_with_their_bytes(
    broker: Mosquitto, journal: FileJournal, protocol: Protocol, qos: int
) -> None:
    async with running(build(broker.port, protocol=protocol), journal) as source, Sensor(broker.port) as sensor:
        for n in range(60):
            await sensor.say(-18.0 - n, qos=qos)
        await until(lambda: len(journal.batches()) == 60, "60 batches")
        await until(lambda: source.health()["unacknowledged"] == 0, "all acknowledged")
    assert journal.values() == [-18.0 - n for n in range(60)]
    first = journal.batches()[0]
    assert first.message is not None
    assert (first.message.topic, first.message.payload, first.quality) == (TOPIC, b'{"t": -18.0}', None)
    assert (first.group.id, first.group.points, first.slot_us) == ("dev.0", ("dev-t",), None)
    assert (first.message.packet_id > 0) == (qos == 1)
    assert abs(first.wall_us - CLOCK.wall_us()) < 30_000_000
    await nothing_left(broker.port, broker.folder, protocol=protocol)


async def test_zoned_times_are_kept_and_the_future_is_doubted(broker: Mosquitto, journal: FileJournal) -> None:
    now = datetime.now(UTC)
    async with running(build(broker.port), journal), Sensor(broker.port) as sensor:
        await sensor.say({"t": 1, "time": now.isoformat()})
        await sensor.say({"t": 2, "time": (now + timedelta(seconds=300)).isoformat()})
        await sensor.say({"t": 3, "time": now.replace(tzinfo=None).isoformat()})
        await sensor.say({"x": 4, "time": (now + timedelta(seconds=300)).isoformat()})
        await until(lambda: len(journal.batches()) == 4, "4 batches")
    good, future, naive, bad = journal.batches()
    assert good.message is not None
    assert good.message.time_us == (now - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert (good.quality, future.quality, naive.quality) == (None, ["uncertain:future"], None)
    assert (bad.quality, bad.values) == (["bad:missing"], [None])


async def test_retained_messages_are_no_readings(broker: Mosquitto, journal: FileJournal) -> None:
    async with Sensor(broker.port) as sensor:
        await sensor.say(5, retain=True)
        async with running(build(broker.port), journal) as source:
            await counted(source, retained=1)
            await sensor.say(6, retain=True)  # comes live, without the flag
            await until(lambda: journal.values() == [6], "the live one")
            await until(lambda: source.health()["unacknowledged"] == 0, "both acknowledged")
    assert journal.batches()[0].quality is None


async def test_what_cannot_be_read_is_counted_kept_and_blocks_nothing(broker: Mosquitto, journal: FileJournal) -> None:
    async with running(build(broker.port), journal) as source, Sensor(broker.port) as sensor:
        for n in range(120):
            await sensor.say(b"\xff\x00 broken %d" % n)
        await sensor.say(b'{"t": 1, "filler": "' + b"x" * 300_000 + b'"}')
        await sensor.say(b'{"t": 2, "filler": "' + b"x" * 10_000 + b'"}')
        await sensor.say(3)
        await until(lambda: journal.values() == [2, 3], "the good ones")
        await until(lambda: source.health()["unacknowledged"] == 0, "all acknowledged")
        health = source.health()
    assert (health["unparsed"], health["oversized"]) == (120, 1)
    assert len(health["unreadable"]) == 50
    assert health["unreadable"][-1]["size_bytes"] > 300_000
    notes = journal.notes("message-unparsed")
    assert len(notes) == 1  # at a bounded rate
    assert notes[0].detail["topic"] == TOPIC
    assert "broken 0" in str(notes[0].detail["payload"])
    large, _ = journaled(journal.path)
    assert large["message"]["payload_bytes"] > 10_000
    assert "payload" not in large["message"]
    json.dumps(health)


async def test_a_blocked_journal_holds_the_broker_back_and_nothing_is_dropped(
    broker: Mosquitto, journal: FileJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_source, "MAX_WAITING", 32)
    monkeypatch.setattr(mqtt_source, "PAUSED_S", 0.0)
    journal.blocked = True
    async with running(build(broker.port), journal) as source, Sensor(broker.port) as sensor:
        for n in range(500):
            await sensor.say(n)
        await until(lambda: source.health()["paused"], "reading stopped")
        assert source.health()["waiting"] <= 32 + 64
        assert journal.batches() == []
        assert source.unaccounted_us(CLOCK.mono_us()) <= 0
        journal.blocked = False
        await until(lambda: len(journal.batches()) == 500, "all of them")
        await until(lambda: source.health()["live"], "in doubt no more")
        await sensor.say(500)
        await until(lambda: len(journal.batches()) == 501, "one more")
    assert journal.values() == list(range(501))
    assert journal.batches()[0].quality is None  # it was here in time
    assert journal.batches()[499].quality == ["uncertain:queued"]  # it waited at the broker
    assert journal.batches()[500].quality is None


# --- acknowledgement after the commit -----------------------------------------------------------------------------


class Process:
    """`tests.sources.mqtt_gateway` as a process to be killed; `line` is the last thing that it said."""

    def __init__(self, port: int, journal: Path, mode: str) -> None:
        command = [sys.executable, "-m", "tests.sources.mqtt_gateway", str(port), str(journal), mode]
        self.child = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        self.line = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.child.stdout is not None
        for line in self.child.stdout:
            self.line = line

    @property
    def ready(self) -> bool:
        return self.line.startswith("ready")

    @property
    def batches(self) -> int:
        return int(self.line.split()[1]) if self.line else 0

    @property
    def repeated(self) -> int:
        return int(self.line.split()[2]) if self.line else 0

    @property
    def unacknowledged(self) -> int:
        return int(self.line.split()[3]) if self.line else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.child.kill()
        self.child.wait()
        self._reader.join()
        assert self.child.stdout is not None
        self.child.stdout.close()


@pytest.mark.parametrize(("mode", "lost"), [("hold", 0), ("early", 5)])
async def test_a_kill_before_the_commit_loses_nothing_and_a_planted_early_acknowledgement_is_caught(
    broker: Mosquitto, tmp_path: Path, mode: str, lost: int
) -> None:
    path = tmp_path / "killed.ndjson"
    async with Sensor(broker.port) as sensor:
        with Process(broker.port, path, mode) as first:
            await until(lambda: first.ready, "subscribed")
            for n in range(5):
                await sensor.say(n)
            await until(
                lambda: first.batches == 5 and first.unacknowledged == (5 if mode == "hold" else 0), "handed over"
            )
        assert journaled(path) == []
        with Process(broker.port, path, "commit") as second:
            await until(lambda: second.ready, "back")
            await sensor.say(99)
            await until(lambda: any(b["values"] == [99] for b in journaled(path)), "the one after the kill")
    found = [body["values"][0] for body in journaled(path)]
    assert len({0, 1, 2, 3, 4} - set(found)) == lost
    if not lost:
        assert found == [0, 1, 2, 3, 4, 99]
        assert [body["quality"] for body in journaled(path)[:5]] == [["uncertain:queued"]] * 5
        assert all(body["message"]["duplicate"] for body in journaled(path)[:5])


@pytest.mark.parametrize("remembers", [True, False])
async def test_a_kill_between_commit_and_acknowledgement_doubles_nothing(
    broker: Mosquitto, tmp_path: Path, journal: FileJournal, remembers: bool
) -> None:
    path = tmp_path / "killed.ndjson"
    async with Sensor(broker.port) as sensor:
        with Process(broker.port, path, "die") as first:
            await until(lambda: first.ready, "subscribed")
            await sensor.say(7)
            await until(lambda: first.child.poll() is not None, "killed after its commit")
        assert [body["values"] for body in journaled(path)] == [[7]]
        async with running(build(broker.port, known=recovered(path) if remembers else {}), journal) as source:
            await until(lambda: source.health()["live"], "back")
            await sensor.say(7)  # the same again: a reading of its own
            await until(lambda: any(not b.message.duplicate for b in journal.batches() if b.message), "the new one")
            assert source.health()["repeated"] == remembers
    # Without the journal's memory the message would be there twice: the memory is what this test shows.
    assert journal.values() == ([7] if remembers else [7, 7])
    await nothing_left(broker.port, broker.folder)


async def test_a_connection_lost_before_the_commit_neither_doubles_nor_loses(
    broker: Mosquitto, journal: FileJournal
) -> None:
    journal.auto = False
    async with (
        FaultProxy(broker.port) as proxy,
        Sensor(broker.port) as sensor,
        running(build(proxy.port), journal) as source,
    ):
        for n in range(5):
            await sensor.say(n % 2)
        await until(lambda: len(journal.batches()) == 5, "handed over")
        proxy.reset()
        await counted(source, repeated=5)
        assert source.health()["unacknowledged"] >= 5
        journal.commit()
        journal.auto = True
        acknowledged = "Received PUBACK from gateway"
        await until(lambda: broker.output().count(acknowledged) == 6, "the five and the marker, on the new connection")
    assert journal.values() == [0, 1, 0, 1, 0]
    await nothing_left(broker.port, broker.folder)


async def test_a_broker_that_forgot_us_gets_no_message_swallowed(tmp_path: Path, journal: FileJournal) -> None:
    """After a restart without memory its packet ids begin anew: equal id, topic and payload, and yet a new message."""
    with Mosquitto(tmp_path / "broker") as broker:
        async with running(build(broker.port), journal) as source:
            async with Sensor(broker.port) as sensor:
                await sensor.say(1)
                await until(lambda: len(journal.batches()) == 1, "heard")
            broker.kill()
            await until(lambda: not source.health()["connected"], "noticed")
            broker.start()
            await until(lambda: source._greeted, "back")
            journal.auto = False
            async with Sensor(broker.port) as sensor:
                await sensor.say(1)
                await until(lambda: len(journal.batches()) == 2, "heard again")
        first, second = (batch.message for batch in journal.batches())
        assert first is not None
        assert second is not None
        assert (first.packet_id, first.payload) == (second.packet_id, second.payload)
        assert len(journal.notes("broker-session-began")) == 2
        # we stopped before the second one's commit: it comes again, with DUP, and looks like the first one
        after = FileJournal(tmp_path / "after.ndjson")
        async with running(build(broker.port, known=recovered(journal.path)), after):
            await until(lambda: after.values() == [1], "journaled, not swallowed")


async def test_a_killed_broker_redelivers_what_it_kept(broker: Mosquitto, journal: FileJournal) -> None:
    journal.auto = False
    async with running(build(broker.port), journal) as source:
        async with Sensor(broker.port) as sensor:
            for n in range(5):
                await sensor.say(n)
            await until(lambda: len(journal.batches()) == 5, "handed over")
        database = broker.folder / "state/mosquitto.db"
        os.kill(broker.pid, signal.SIGUSR1)  # mosquitto writes its state
        await until(lambda: database.exists() and b'{"t": 4}' in database.read_bytes(), "on the broker's disk")
        broker.restart()
        await counted(source, repeated=5)
        journal.commit()
        await until(lambda: source.health()["unacknowledged"] == 0, "acknowledged")
    assert journal.values() == [0, 1, 2, 3, 4]


# --- queued or live -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", BOTH)
async def test_what_waited_at_the_broker_is_queued_and_what_comes_live_is_not(
    broker: Mosquitto, journal: FileJournal, protocol: Protocol
) -> None:
    async with Sensor(broker.port) as sensor:
        async with running(build(broker.port, protocol=protocol), journal):
            await sensor.say(0)
            await until(lambda: len(journal.batches()) == 1, "live")
        for n in range(1, 151):  # more than mosquitto's send window: SUBACK overtakes most of them
            await sensor.say(n)
        await sensor.say({"t": 151, "time": "2026-03-05T14:03:27+08:00"})
        async with running(build(broker.port, protocol=protocol), journal) as source:
            await until(lambda: source.health()["live"], "marker")
            await until(lambda: len(journal.batches()) == 152, "the queue")
            await sensor.say(152)
            await until(lambda: len(journal.batches()) == 153, "live again")
            assert source.health()["queued"] == 150
    qualities = [batch.quality for batch in journal.batches()]
    assert journal.values() == list(range(153))
    assert qualities == [None] + [["uncertain:queued"]] * 150 + [None, None]


async def test_where_the_marker_is_forbidden_a_quiet_spell_ends_the_doubt(
    tmp_path: Path, journal: FileJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_doubt, "QUIET_S", 0.5)
    users = {"gateway": "g", "sensor": "s"}
    acl = "user gateway\ntopic read #\nuser sensor\ntopic write #\n"
    with Mosquitto(tmp_path / "broker", MosquittoSettings(users=users, acl=acl)) as broker:
        secret = tmp_path / "password"
        secret.write_text("g\n")
        table = {"user": "gateway", "password_file": str(secret)}
        async with Sensor(broker.port, user="sensor", password="s") as sensor:
            async with running(build(broker.port, **table), journal):
                pass
            await sensor.say(1)
            async with running(build(broker.port, **table), journal) as source:
                await counted(source, queued=1, markers_refused=1)
                assert "uncertain:queued" in source.health()["trouble"]
                await until(lambda: source.health()["live"], "quiet")
                await sensor.say(2)
                await until(lambda: journal.values() == [1, 2], "live")
    assert [batch.quality for batch in journal.batches()] == [["uncertain:queued"], None]


# --- silence ------------------------------------------------------------------------------------------------------


def told(journal: FileJournal) -> list[str]:
    return [item.reason if isinstance(item, GapOpened) else "closed" for item in journal.gaps()]


async def test_silence_and_an_absent_broker_are_gaps(broker: Mosquitto, journal: FileJournal) -> None:
    async with running(build(broker.port, device(every_s=0.4)), journal) as source, Sensor(broker.port) as sensor:
        await sensor.say(1)
        await until(lambda: told(journal) == ["silent"], "silence seen")
        await sensor.say(2)
        await until(lambda: told(journal) == ["silent", "closed"], "closed")
        broker.kill()
        await until(lambda: told(journal) == ["silent", "closed", "unreachable"], "the broker is away")
        assert journal.gaps()[-1].detail
        broker.start()
        await until(lambda: told(journal)[3:] == ["closed", "silent"], "back, but silent")
        await sensor.back()
        await sensor.say(3)
        await until(lambda: len(journal.gaps()) == 6, "closed")
        assert source.unaccounted_us(CLOCK.mono_us()) <= 0
        assert source.health()["devices"]["dev"]["gap"] == ""
    first, second = journal.batches()[:2]
    opened, closed = journal.gaps()[:2]
    assert isinstance(opened, GapOpened)
    assert isinstance(closed, GapClosed)
    assert opened.since_slot_us == (first.slot_us or 0) + 400_000
    assert closed.until_slot_us == second.slot_us
    assert closed.slots >= 1


async def test_a_full_journal_is_the_gaps_reason(broker: Mosquitto, journal: FileJournal) -> None:
    async with running(build(broker.port, device(every_s=0.2)), journal) as source:
        journal.blocked = True
        await until(lambda: "journal-full" in told(journal), "told")
        assert source.unaccounted_us(CLOCK.mono_us()) < 1_000_000


async def test_availability_is_shown_and_is_no_reading(broker: Mosquitto, journal: FileJournal) -> None:
    async with Sensor(broker.port) as sensor:
        await sensor.say(b'{"state":"offline"}', f"{TOPIC}/availability", retain=True)
        async with running(build(broker.port, device(availability="/availability", every_s=0.3)), journal) as source:
            await until(lambda: source.health()["devices"]["dev"]["availability"] == "offline", "seen")
            await until(
                lambda: any(getattr(gap, "detail", "") == "availability: offline" for gap in journal.gaps()),
                "in the gap",
            )
            await sensor.say(b"online", f"{TOPIC}/availability", retain=True)
            await until(lambda: source.health()["devices"]["dev"]["availability"] == "online", "seen")
            assert source.health()["strays"] == 0
    assert journal.batches() == []


# --- configuration ------------------------------------------------------------------------------------------------


async def test_update_takes_devices_in_and_out_and_leaves_the_others_alone(
    broker: Mosquitto, journal: FileJournal
) -> None:
    kept, gone = device(every_s=60), device("old/topic", id_="gone", every_s=0.2)
    async with running(build(broker.port, kept, gone), journal) as source, Sensor(broker.port) as sensor:
        await until(lambda: told(journal) == ["silent"], "the old one is silent")
        before = source._devices[TOPIC]
        await source.update([kept, device("new/topic", id_="new", points="t rh")])
        assert source._devices[TOPIC] is before
        await until(lambda: told(journal) == ["silent", "closed"], "its gap ended")
        await until(lambda: source._subscribed == {TOPIC, "new/topic"}, "subscriptions follow")
        await sensor.say({"t": 1, "rh": 2}, "new/topic")
        await sensor.say(3, "old/topic")
        await sensor.say(4)
        await until(lambda: len(journal.batches()) == 2, "new and kept")
        assert [batch.group.id for batch in journal.batches()] == ["new.0", "dev.0"]
        assert source.health()["strays"] == 0
        with pytest.raises(ConfigError):
            await source.update([device("a/+")])
        assert [group.id for group in source.groups()] == ["dev.0", "new.0"]


async def test_update_does_not_wait_for_a_broker_that_says_nothing(broker: Mosquitto, journal: FileJournal) -> None:
    """It is called from inside intake: whoever waits there holds up every bus."""
    async with running(build(broker.port, device()), journal) as source:
        await until(lambda: source._subscribed == {TOPIC}, "subscribed")
        source._link.pause()  # as when the journal is full: no SUBACK is read
        async with asyncio.timeout(1):
            await source.update([device(), device("new/topic", id_="new")])
        source._link.resume()
        await until(lambda: source._subscribed == {TOPIC, "new/topic"}, "subscriptions follow")


def test_devices_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"devices\.dev\.topic: .*single topic"):
        build(1, device("zigbee2mqtt/#"))
    with pytest.raises(ConfigError, match=r"devices\.b\.topic: .*is the topic of 'a' already: make them points"):
        build(1, device(id_="a"), device(id_="b"))


@pytest.mark.parametrize(
    "table",
    [
        {"cert_file": "x"},
        {"ca_file": "x", "key_file": "y"},
        {"password_file": "x"},
        {"protocol": "4"},
        {"port": 0},
        {"tls": True},
    ],
)
def test_tables_that_cannot_be_are_refused(table: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- pydantic's, the text is the configuration's matter
        MqttConfig.model_validate({"kind": "mqtt", "host": "h", **table})


def test_the_session_has_a_name_that_stays() -> None:
    config = MqttConfig.model_validate({"kind": "mqtt", "host": "h"})
    assert config.settings("zigbee").client_id == config.settings("zigbee").client_id
    assert config.settings("zigbee").client_id.startswith("edge-gateway-zigbee-")
    with pytest.raises(ConfigError, match=r"buses\.zigbee\.password_file"):
        config.model_copy(update={"user": "u", "password_file": "/absent"}).settings("zigbee")


async def test_tls_with_user_and_password(tmp_path: Path, journal: FileJournal) -> None:
    authority = CertificateAuthority(tmp_path / "ca")
    (tmp_path / "right").write_text("秘密\n")
    (tmp_path / "wrong").write_text("nope\n")
    settings = MosquittoSettings(users={"gateway": "秘密"}, tls=authority.issue("broker"))
    with Mosquitto(tmp_path / "broker", settings) as broker:
        table = {"ca_file": str(authority.ca_file), "user": "gateway"}
        sensor = Sensor(broker.port, ca_file=str(authority.ca_file), user="gateway", password="秘密")
        async with running(build(broker.port, **table, password_file=str(tmp_path / "right")), journal), sensor:
            await sensor.say(1)
            await until(lambda: journal.values() == [1], "over TLS")
        refused = build(broker.port, **table, password_file=str(tmp_path / "wrong"))
        async with running(refused, journal, ready=False):
            await until(lambda: refused.health()["refusal"], "refused")
            assert "nope" not in repr(refused.health())


# --- the contract of sources --------------------------------------------------------------------------------------


async def test_cancellation_ends_it_in_every_state(broker: Mosquitto, tmp_path: Path) -> None:
    async with Sensor(broker.port) as sensor:
        for wait_s in (0.0, 0.005, 0.02, 0.1, 0.3):
            for port in (broker.port, free_port()):
                journal = FileJournal(tmp_path / "j", auto=wait_s != 0.3)
                source = build(port, device(every_s=0.05))
                before = asyncio.all_tasks()
                task = asyncio.create_task(source.run(journal))
                await sensor.say(1)
                await asyncio.sleep(wait_s)
                task.cancel()
                async with asyncio.timeout(1):
                    with pytest.raises(asyncio.CancelledError):
                        await task
                assert asyncio.all_tasks() <= before


async def test_a_programming_error_leaves_run(broker: Mosquitto, journal: FileJournal) -> None:
    async def put(item: object) -> None:
        if isinstance(item, Batch):
            raise ZeroDivisionError
        await type(journal).put(journal, item)  # type: ignore[arg-type]

    journal.put = put  # type: ignore[method-assign]
    source = build(broker.port)
    async with Sensor(broker.port) as sensor:
        task = asyncio.create_task(source.run(journal))
        await until(lambda: source._greeted, "ready")
        await sensor.say(1)
        with pytest.raises(ExceptionGroup) as error:
            await task
    assert error.group_contains(ZeroDivisionError)
