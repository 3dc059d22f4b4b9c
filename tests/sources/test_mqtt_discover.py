"""Unknown topics of a real broker: found, matched, bounded; a flood ends the hearing and slows nobody down."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from edge_gateway.app.topics import Known, message_profiles, topics
from edge_gateway.errors import GatewayError, LinkDown
from edge_gateway.links.mqtt import MqttSettings
from edge_gateway.profiles.match_message import matches
from edge_gateway.sources.mqtt_discover import (
    KEPT_BYTES,
    MOST_BYTES,
    MOST_MESSAGES,
    MOST_TOPICS,
    Hearing,
    filters_of,
)
from tests.servers.mosquitto import Mosquitto
from tests.servers.process import free_port

ZIGBEE = json.dumps({"temperature": 3.4, "humidity": 85.3, "pressure": 1001.2, "battery": 97, "voltage": 2995, "linkquality": 120})
TASMOTA = json.dumps({"Time": "2026-01-02T09:09:44", "DS18B20": {"Id": "00000566CC39", "Temperature": -17.5}, "TempUnit": "C"})


@pytest.fixture(scope="module")
def profiles() -> list[Any]:
    return message_profiles(Path("/nonexistent"))


def speaker(broker: Mosquitto) -> Client:
    client = Client(CallbackAPIVersion.VERSION2, "speaker")
    client.max_queued_messages_set(0)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    return client


def heard(broker_port: int, filters: list[str], seconds: float, known: list[str], profiles: list[Any], act: Any = None) -> list[dict[str, Any]]:
    async def run() -> list[dict[str, Any]]:
        settings = MqttSettings(host="127.0.0.1", port=broker_port, client_id="edge-gateway-test")
        found: list[dict[str, Any]] = []
        async for event in topics(settings, filters, seconds, known, profiles):
            found += [event]
            if event["event"] == "hearing" and act is not None:
                asyncio.get_running_loop().call_later(0.3, act)
        return found

    return asyncio.run(run())


def test_unknown_topics_are_found_with_what_they_may_be(mosquitto: Mosquitto, profiles: list[Any]) -> None:
    client = speaker(mosquitto)

    def speak() -> None:
        for topic, payload in (("look/a", ZIGBEE), ("look/mine", ZIGBEE), ("look/mine/availability", "online"), ("look/t", TASMOTA)):
            client.publish(topic, payload)
        client.publish("look/a", ZIGBEE)
        client.publish("elsewhere/x", "1")

    try:
        found = heard(mosquitto.port, ["look/#"], 2.0, ["look/mine"], profiles, speak)
    finally:
        client.loop_stop()
        client.disconnect()
    told = {event["topic"]: event for event in found if event["event"] == "topic"}
    assert set(told) == {"look/a", "look/t"}
    assert told["look/a"]["matches"][0]["profile"].startswith("zigbee2mqtt/")
    tasmota = told["look/t"]["matches"][0]
    assert (tasmota["profile"], tasmota["values"][0]["value"]) == ("tasmota/ds18b20", -17.5)
    assert found[-1] == {"event": "heard-out", "messages": 5, "topics": 2, "full": ""}


def test_a_flood_ends_the_hearing(mosquitto: Mosquitto) -> None:
    client = speaker(mosquitto)

    def flood() -> None:
        for number in range(3 * MOST_MESSAGES):
            client.publish(f"flood/{number % 7}", b"x" * 100)

    try:
        found = heard(mosquitto.port, ["flood/#"], 20.0, [], [], flood)
    finally:
        client.loop_stop()
        client.disconnect()
    assert found[-1]["full"] == "messages"
    assert found[-1]["messages"] == MOST_MESSAGES


def test_every_bound_of_a_hearing() -> None:
    hearing = Hearing(known=())
    for number in range(MOST_TOPICS + 5):
        hearing.take(f"t/{number}", b"1")
    assert (len(hearing.topics), hearing.full) == (MOST_TOPICS, "topics")
    hearing = Hearing(known=Known(["mine"]))
    new = hearing.take("big", b"x" * (KEPT_BYTES + 1))
    assert new is not None
    assert (len(new.payload), new.cut) == (KEPT_BYTES, True)
    assert hearing.take("mine/availability", b"online") is None
    assert hearing.take("t" * 300, b"1") is None
    hearing.take("big", b"x" * MOST_BYTES)
    assert hearing.full == "bytes"
    assert hearing.take("late", b"1") is None


def test_a_broker_that_is_not_there(profiles: list[Any]) -> None:
    with pytest.raises(LinkDown, match="was not reached"):
        heard(free_port(), ["#"], 0.5, [], profiles)


@pytest.mark.parametrize("wrong", ["", "a#", "a/#/b", "a+/b", "\0"])
def test_what_is_no_filter(wrong: str) -> None:
    with pytest.raises(GatewayError, match="no topic filter"):
        filters_of([wrong])


@pytest.mark.parametrize("payload", [b"", b"{", b"[" * 5000, b"\xff\xfe", b"null", b'{"a":' * 600])
def test_foreign_payloads_fit_nothing_and_break_nothing(payload: bytes, profiles: list[Any]) -> None:
    assert matches(profiles, payload) == []


def test_a_plain_number_is_no_evidence(profiles: list[Any]) -> None:
    assert all(match.score <= 0.2 for match in matches(profiles, b"21.5"))
