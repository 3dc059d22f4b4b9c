"""Messages that tell only what changed, against the real mosquitto: no reading of what is not told, slots of its own for each point."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edge_gateway.reading import GapOpened
from edge_gateway.sources.mqtt_devices import availability, plan, topics
from edge_gateway.sources.mqtt_source import MqttSource
from tests.servers.mosquitto import Mosquitto
from tests.sources.mqtt_gateway import CLOCK, FileJournal, build, device, journaled, recovered
from tests.sources.test_mqtt import (
    Sensor,
    broker,
    counted,
    journal,
    nothing_left,
    running,
    told,
    until,
)

__all__ = ["broker", "journal"]  # fixtures


async def acknowledged(source: MqttSource) -> None:
    """Every PUBACK has gone out and arrived: what the same connection sends behind them is answered."""
    await until(lambda: source.health()["unacknowledged"] == 0, "all acknowledged")
    async with asyncio.timeout(10):
        await source._link.send("edge-gateway/test/behind", b"", qos=1)


def heard(journal: FileJournal) -> list[tuple[str, object, object]]:
    return [(batch.group.id, batch.values, batch.quality) for batch in journal.batches()]


async def test_what_a_message_does_not_tell_is_no_reading(broker: Mosquitto, journal: FileJournal) -> None:
    async with running(build(broker.port, device(points="t rh", partial=True)), journal) as source:
        assert [(group.id, group.points) for group in source.groups()] == [("dev.dev-t", ("dev-t",)), ("dev.dev-rh", ("dev-rh",))]
        async with Sensor(broker.port) as sensor:
            await sensor.say({"t": -18.5, "rh": 61})
            await sensor.say({"rh": 62})
            await sensor.say({"wifi": {"rssi": -60}})
            await sensor.say({"t": None})
            await counted(source, journaled=3, untold=1)
            await acknowledged(source)
    assert heard(journal) == [
        ("dev.dev-t", [-18.5], None),
        ("dev.dev-rh", [61], None),
        ("dev.dev-rh", [62], None),
        ("dev.dev-t", [None], ["bad:missing"]),
    ]
    messages = [batch.message for batch in journal.batches()]
    assert all(message is not None and message.payload for message in messages)
    assert [bool(message and message.packet_id) for message in messages] == [False, True, True, True]
    await nothing_left(broker.port, broker.folder)


async def test_the_same_profile_without_partial_calls_it_missing(broker: Mosquitto, journal: FileJournal) -> None:
    """The planted fault: a delta would then make the other point bad."""
    async with running(build(broker.port, device(points="t rh")), journal), Sensor(broker.port) as sensor:
        await sensor.say({"rh": 62})
        await until(lambda: len(journal.batches()) == 1, "heard")
    assert heard(journal) == [("dev.0", [None, 62], ["bad:missing", "good"])]


async def test_nothing_is_acknowledged_before_the_last_part_is_durable(
    broker: Mosquitto, tmp_path: Path, journal: FileJournal
) -> None:
    held = FileJournal(tmp_path / "held.ndjson", auto=False)
    source = build(broker.port, device(points="t rh", partial=True))
    async with running(source, held), Sensor(broker.port) as sensor:
        await sensor.say({"t": 1, "rh": 2})
        await until(lambda: len(held.batches()) == 2, "handed over")
        assert source.health()["unacknowledged"] == 1
    assert journaled(held.path) == []  # both parts died with us, so the message comes again, whole
    async with running(build(broker.port, device(points="t rh", partial=True)), journal) as again:
        await until(lambda: len(journal.batches()) == 2, "sent again")
        await acknowledged(again)
    waited = ["uncertain:queued"]  # it has no time of its own
    assert heard(journal) == [("dev.dev-t", [1], waited), ("dev.dev-rh", [2], waited)]
    assert len(recovered(journal.path)) == 1
    await nothing_left(broker.port, broker.folder)


async def test_each_point_has_slots_of_its_own(broker: Mosquitto, journal: FileJournal) -> None:
    spec = device(points="t rh", every_s=0.4, partial=True)
    async with running(build(broker.port, spec), journal) as source, Sensor(broker.port) as sensor:
        await until(lambda: told(journal) == ["silent", "silent"], "both are silent")
        await sensor.say({"rh": 62})
        await until(lambda: told(journal).count("closed") == 1, "one speaks")
        opened = {gap.id: gap.groups for gap in journal.gaps() if isinstance(gap, GapOpened)}
        (closed,) = [gap for gap in journal.gaps() if not isinstance(gap, GapOpened)]
        assert opened[closed.id] == ("dev.dev-rh",)
        assert source.health()["devices"]["dev"]["gap"] == "silent"  # of the other
        await source.update([device(points="rh", every_s=0.4, partial=True)])
        t_gap = next(id_ for id_, groups in opened.items() if groups == ("dev.dev-t",))
        await until(lambda: t_gap in [g.id for g in journal.gaps() if not isinstance(g, GapOpened)], "its gap ended")


@pytest.mark.parametrize(
    ("suffix", "topic", "expected"),
    [
        ("/availability", "zigbee2mqtt/cold1", "zigbee2mqtt/cold1/availability"),
        ("../LWT", "tele/node/SENSOR", "tele/node/LWT"),
        ("../../online", "shellyplusht-1/events/rpc", "shellyplusht-1/online"),
        ("../../../status", "home/node/sensor/t/state", "home/node/status"),
        ("../../online", "a", ""),
        ("", "a/b", ""),
    ],
)
def test_where_it_is_said_whether_a_device_is_there(suffix: str, topic: str, expected: str) -> None:
    planned = plan([device(topic, availability=suffix)], {}, CLOCK)
    assert planned[topic].availability_topic == expected
    assert topics(planned) == [topic, *([expected] if expected else [])]


@pytest.mark.parametrize("suffix", ["online", "../+", "/a/#", "..", "../../", "../.."])
def test_a_place_that_is_none_is_refused(suffix: str) -> None:
    with pytest.raises(ValueError, match="availability"):
        device("a/b", availability=suffix)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [(b"Online", "online"), (b"Offline\n", "offline"), (b"true", "online"), (b"false", "offline"), (b'{"state":"online"}', "online"), (b"5", "")],
)
def test_how_it_is_said(payload: bytes, expected: str) -> None:
    assert availability(payload) == expected


async def test_devices_of_one_node_share_the_topic(broker: Mosquitto, journal: FileJournal) -> None:
    both = [device(f"node/sensor/{name}/state", id_=name, availability="../../../status") for name in ("one", "two")]
    async with running(build(broker.port, *both), journal) as source, Sensor(broker.port) as sensor:
        assert sorted(source._subscribed) == ["node/sensor/one/state", "node/sensor/two/state", "node/status"]
        await sensor.say(b"offline", "node/status")
        await until(lambda: {d["availability"] for d in source.health()["devices"].values()} == {"offline"}, "seen by both")
        assert source.health()["strays"] == 0
    assert journal.batches() == []
