"""The plant's wireless probes: a Zigbee2MQTT and a Tasmota publisher on the site's broker; knows no gateway.

A message belongs to the truth once the broker acknowledged it (PUBACK).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone

import aiomqtt

from edge_gateway.clock import SystemClock
from edge_gateway.demo.scene import TASMOTA_TOPIC, ZIGBEE_TOPIC
from edge_gateway.demo.truthlog import TruthLog

_RECONNECT_S = 0.5
_BEIJING = timezone(timedelta(hours=8))
#: Tasmota's name of each probe in a message -> its Id and the site's point. The names change when a probe is added, Ids do not.
_PROBES = (
    ("DS18B20-1", "00000566CC39", "offal-core2"),
    ("DS18B20-2", "0000059352D4", "offal-core1"),
    ("DS18B20-3", "000005937C90", "offal-core3"),
)
Measure = Callable[[str], float]
#: wall time (µs) and a way to measure -> payload and the values in it
Compose = Callable[[int, Measure], tuple[str, Mapping[str, float | int]]]


def zigbee_payload(wall_us: int, measure: Measure) -> tuple[str, Mapping[str, float | int]]:
    """What Zigbee2MQTT says of a WSDCGQ11LM (advanced.last_seen: ISO_8601)."""
    air, humidity = round(measure("chill1-entry-air"), 2), round(measure("chill1-entry-rh"), 2)
    seen = datetime.fromtimestamp(wall_us // 1000 / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    payload = {
        "battery": 97,
        "humidity": humidity,
        "last_seen": seen,
        "linkquality": 112,
        "pressure": 1003.2,
        "temperature": air,
        "voltage": 3025,
    }
    return json.dumps(payload), {"chill1-entry-air": air, "chill1-entry-rh": humidity}


def tasmota_payload(wall_us: int, measure: Measure) -> tuple[str, Mapping[str, float | int]]:
    """What a Tasmota node with three DS18B20 says (SetOption52 1: its time has a zone)."""
    moment = datetime.fromtimestamp(wall_us // 1_000_000, _BEIJING).isoformat(timespec="seconds")
    payload: dict[str, object] = {"Time": moment}
    values: dict[str, float | int] = {}
    for name, id_, point in _PROBES:
        values[point] = round(measure(point), 1)
        payload[name] = {"Id": id_, "Temperature": values[point]}
    return json.dumps(payload | {"TempUnit": "C"}), values


#: Client id, topic and payload of each publisher.
PUBLISHERS: tuple[tuple[str, str, Compose], ...] = (
    ("zigbee2mqtt", ZIGBEE_TOPIC, zigbee_payload),
    ("DVES_5C7A10", TASMOTA_TOPIC, tasmota_payload),
)


class Listened:
    """``begun`` is set once somebody is known to be subscribed: what is published earlier reaches nobody. ``quiet`` ends all.

    While it is ``dark`` nothing is published.
    """

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.quiet = self.dark = False


class Publisher:
    """One publisher: a message every ``interval_s`` of the simulated clock until the plant falls quiet."""

    def __init__(self, name: str, topic: str, compose: Compose, *, port: int, interval_s: float) -> None:
        self.name = name
        self._topic = topic
        self._compose = compose
        self._port = port
        self._interval_us = round(interval_s * 1e6)

    async def run(self, clock: SystemClock, measure: Measure, truth: TruthLog, listened: Listened) -> None:
        """Publish from ``begun`` until quiet or cancelled; a lost broker is connected to again."""
        await listened.begun.wait()
        while not listened.quiet:
            try:
                async with aiomqtt.Client(
                    "127.0.0.1", self._port, identifier=self.name, protocol=aiomqtt.ProtocolVersion.V311
                ) as client:
                    await self._publish(client, clock, measure, truth, listened)
            except aiomqtt.MqttError:
                await asyncio.sleep(_RECONNECT_S)

    async def _publish(
        self, client: aiomqtt.Client, clock: SystemClock, measure: Measure, truth: TruthLog, listened: Listened
    ) -> None:
        while True:
            await clock.sleep_until(clock.mono_us() // self._interval_us * self._interval_us + self._interval_us)
            if listened.quiet:
                return
            if listened.dark:
                continue
            t_us = clock.wall_us()
            payload, values = self._compose(t_us, measure)
            try:
                await client.publish(self._topic, payload, qos=1)
            except aiomqtt.MqttError:
                truth.message(t_us, self._topic, payload, values, counts=False)  # it may have arrived all the same
                raise
            truth.message(t_us, self._topic, payload, values, counts=True)
