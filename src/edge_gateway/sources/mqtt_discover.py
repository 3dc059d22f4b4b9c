"""Hears what is said at a broker on topics that nobody configured: for a while, over a connection of its own, bounded in every way.

The connection is clean, QoS 0 and ends with the hearing: the broker keeps nothing for it, and what it cannot send it drops. The
measuring connection is another one, and neither waits for it nor is slowed by it. At any bound the hearing ends, and says which.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field, replace

from edge_gateway.errors import GatewayError, LinkDown
from edge_gateway.links.mqtt import Delivery, Mqtt, MqttSettings, Refused

#: One hearing at most: messages, bytes of payloads, topics; and what is kept of one payload.
MOST_MESSAGES, MOST_BYTES, MOST_TOPICS = 2_000, 4_000_000, 100
KEPT_BYTES = 4_096
MOST_TOPIC_CHARACTERS = 200
#: How long a hearing takes: for a person who asks, and for one that the configuration asks for (s).
ASKED_S, MOST_S = 30.0, 600.0


@dataclass(slots=True)
class Topic:
    """One topic: how often it spoke, and a sample of what it said. ``cut``: the payload was longer than what is kept."""

    topic: str
    payload: bytes
    messages: int = 1
    retained: bool = False
    cut: bool = False


@dataclass(slots=True)
class Hearing:
    """What was heard so far. ``full`` names the bound that ended it, "" for none."""

    known: Container[str]
    topics: dict[str, Topic] = field(default_factory=dict)
    messages: int = 0
    size: int = 0
    full: str = ""

    def take(self, topic: str, payload: bytes, *, retained: bool = False) -> Topic | None:
        """One message; the topic if it is new, and nobody's."""
        if self.full:
            return None
        self.messages += 1
        self.size += len(payload)
        self.full = "messages" if self.messages >= MOST_MESSAGES else "bytes" if self.size >= MOST_BYTES else ""
        if topic in self.known or len(topic) > MOST_TOPIC_CHARACTERS:
            return None
        found = self.topics.get(topic)
        if found is not None:
            found.messages += 1
            return None
        if len(self.topics) >= MOST_TOPICS:
            self.full = "topics"
            return None
        new = Topic(topic, payload[:KEPT_BYTES], retained=retained, cut=len(payload) > KEPT_BYTES)
        self.topics[topic] = new
        return new


def filters_of(words: Sequence[str]) -> list[str]:
    """Topic filters as MQTT has them (5.0, 4.7.1). Raises GatewayError for what is none."""
    for word in words:
        levels = word.split("/")
        wild = [level for level in levels if "#" in level or "+" in level]
        if not word or len(word) > 512 or "\0" in word or any(level not in ("#", "+") for level in wild) or "#" in levels[:-1]:
            raise GatewayError(f"'{word}' is no topic filter", hint="write it such as zigbee2mqtt/+ or tele/#")
    return list(words)


async def hear(
    settings: MqttSettings, filters: Sequence[str], seconds: float, hearing: Hearing, told: Callable[[Topic], None]
) -> None:
    """Listen until the time is over or ``hearing`` is full; ``told`` of each new topic at once.

    Raises LinkDown (the broker is not reached), Refused (it says no to us or to a filter).
    """
    ended = asyncio.Event()
    trouble: list[GatewayError] = []

    def heard(message: Delivery) -> None:
        new = hearing.take(message.topic, message.payload, retained=message.retain)
        if new is not None:
            told(new)
        if hearing.full:
            link.pause()
            ended.set()

    async def greet(_session_present: bool) -> None:
        try:
            await link.subscribe(filters, qos=0)
        except Refused as error:
            trouble.append(error)
            ended.set()

    link = Mqtt(of_its_own(settings), on_message=heard, greet=greet)
    driving = asyncio.create_task(link.run(), name="mqtt-discovery")
    try:
        async with asyncio.timeout(seconds):
            await ended.wait()
    except TimeoutError:
        if not link.status()["connects"]:
            trouble.append(LinkDown(f"the broker at {settings.host}:{settings.port} was not reached", hint=_said(link)))
    finally:
        driving.cancel()
        await asyncio.gather(driving, return_exceptions=True)
    if trouble:
        raise trouble[0]


def _said(link: Mqtt) -> str:
    return str(link.status().get("last_error") or "")


def of_its_own(settings: MqttSettings) -> MqttSettings:
    """The same broker and user, another client: clean, forgotten at its end."""
    name = f"{settings.client_id[:48]}-look-{secrets.token_hex(3)}"
    return replace(settings, client_id=name, clean_start=True, session_expiry_s=0, receive_maximum=20, window=1)
