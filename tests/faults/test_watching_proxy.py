"""What the watcher of an MQTT connection counts as sent for the first time."""

from __future__ import annotations

import json
import struct

from tests.faults.plant import TOPIC
from tests.faults.watching_proxy import Heard, MqttWatch


def publish(number: int, *, dup: bool) -> bytes:
    topic, payload = f"{TOPIC}1".encode(), json.dumps({"n": number}).encode()
    body = struct.pack(">H", len(topic)) + topic + struct.pack(">H", 7) + b"\0" + payload
    return bytes((0x3A if dup else 0x32, len(body))) + body


def connack(*, present: bool) -> bytes:
    return bytes((0x20, 3, int(present), 0, 0))


def connect(client: str) -> bytes:
    body = b"\0\4MQTT\5\0\0\x3c\0" + struct.pack(">H", len(client)) + client.encode()
    return bytes((0x10, len(body))) + body


def test_another_clients_new_session_changes_nothing() -> None:
    heard = Heard()
    bus, hub = MqttWatch(heard), MqttWatch(heard)
    bus.up(connect("bus"))
    hub.up(connect("hub"))
    bus.down(connack(present=False) + publish(4, dup=False))
    hub.down(connack(present=False))
    bus.down(publish(4, dup=True))
    assert (heard.first_sent[1, 4], heard.again[1, 4]) == (1, 1)


def test_a_repetition_within_a_session_is_none_of_the_first() -> None:
    heard = Heard()
    MqttWatch(heard).down(connack(present=False) + publish(4, dup=False))
    MqttWatch(heard).down(connack(present=True) + publish(4, dup=True))
    assert (heard.first_sent[1, 4], heard.again[1, 4]) == (1, 1)


def test_the_first_that_comes_through_in_a_new_session_counts_though_it_says_dup() -> None:
    heard = Heard()
    MqttWatch(heard).down(connack(present=False) + publish(4, dup=False))
    MqttWatch(heard).down(connack(present=False))  # its sending was lost with the connection
    MqttWatch(heard).down(connack(present=True) + publish(4, dup=True) + publish(4, dup=True))
    assert (heard.first_sent[1, 4], heard.again[1, 4]) == (2, 1)
