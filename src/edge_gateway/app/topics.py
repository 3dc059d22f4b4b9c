"""A hearing of a broker's unknown topics, as events; what fits which profile is said beside it. Keeps nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from edge_gateway.errors import GatewayError
from edge_gateway.links.mqtt import MqttSettings
from edge_gateway.profiles.load import readable
from edge_gateway.profiles.match_message import matches
from edge_gateway.profiles.model import PayloadProfile
from edge_gateway.sources.modbus_scan_run import Event
from edge_gateway.sources.mqtt_discover import MOST_MESSAGES, MOST_TOPICS, Hearing, Topic, hear

#: Shown of a payload.
_SAMPLE = 300


def message_profiles(folder: Path) -> list[PayloadProfile]:
    """Every message profile along the search path."""
    return [profile for profile in readable(folder) if isinstance(profile, PayloadProfile)]


class Known:
    """Topics of configured devices and what stands below them (availability)."""

    def __init__(self, topics: Collection[str]) -> None:
        self._topics = frozenset(topics)

    def __contains__(self, topic: object) -> bool:
        return isinstance(topic, str) and (topic in self._topics or any(topic.startswith(f"{t}/") for t in self._topics))


async def topics(
    settings: MqttSettings, filters: Sequence[str], seconds: float, known: Collection[str], profiles: Sequence[PayloadProfile]
) -> AsyncGenerator[Event, None]:
    """Events ``hearing``, then ``topic`` for each new one, ``heard-out`` at the end. Raises what ``hear`` raises."""
    hearing = Hearing(known=Known(known))
    queue: asyncio.Queue[Topic | None] = asyncio.Queue(maxsize=MOST_TOPICS + 1)  # never more than the hearing takes
    yield {"event": "hearing", "filters": list(filters), "seconds": seconds, "most": MOST_MESSAGES}
    listening = asyncio.create_task(hear(settings, filters, seconds, hearing, queue.put_nowait), name="hearing")
    listening.add_done_callback(lambda _: queue.put_nowait(None))
    try:
        while (topic := await queue.get()) is not None:
            yield _event(topic, profiles)
        await listening
        yield {"event": "heard-out", "messages": hearing.messages, "topics": len(hearing.topics), "full": hearing.full}
    finally:
        listening.cancel()
        with suppress(asyncio.CancelledError, GatewayError):
            await listening


def _event(topic: Topic, profiles: Sequence[PayloadProfile]) -> Event:
    found = [] if topic.cut else matches(profiles, topic.payload)
    return {
        "event": "topic",
        "topic": topic.topic,
        "retained": topic.retained,
        "payload": topic.payload[:_SAMPLE].decode("utf-8", "replace"),
        "matches": [asdict(match) for match in found],
    }
