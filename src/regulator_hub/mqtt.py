"""The MQTT carrier of the hub's protocol: envelopes with codes in both directions; the broker is trusted with nothing."""

from __future__ import annotations

import asyncio
import logging

from edge_gateway.errors import ConfigError, LinkDown
from edge_gateway.links.mqtt import Delivery, Mqtt, MqttSettings, Refused
from edge_gateway.links.secret import read_secret
from edge_gateway.wire import hub as wire
from edge_gateway.wire.hub import Sealed, WireError
from regulator_hub.config import MqttTable
from regulator_hub.desk import Desk
from regulator_hub.gateways import Gateways
from regulator_hub.store.writer import StoreFailed

log = logging.getLogger("regulator_hub")

UP = "rh/v1/+/up"
#: Messages taken from the broker and not yet answered; beyond it no more are read.
MAX_WAITING = 64
_MAX_PAYLOAD_BYTES = wire.MAX_COMPRESSED_BYTES + wire.MAX_ENVELOPE_BYTES + 1


class MqttCarrier:
    """Answers what comes on ``rh/v1/<gateway>/up`` on ``rh/v1/<gateway>/down``. What has no right code hears nothing."""

    def __init__(self, table: MqttTable, desk: Desk, gateways: Gateways) -> None:
        password = read_secret(table.password_file, key="mqtt.password_file") if table.password_file else ""
        settings = MqttSettings(
            host=table.host,
            port=table.port,
            client_id=table.client_id,
            protocol=table.protocol,
            user=table.user,
            password=password,
            ca_file=table.ca_file,
            clean_start=True,  # a gateway asks again: nothing need wait at the broker
        )
        self._link = Mqtt(settings, on_message=self._heard, greet=self._greet)
        self._desk = desk
        self._gateways = gateways
        self._waiting: asyncio.Queue[Delivery] = asyncio.Queue(MAX_WAITING)

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._link.run(), name="mqtt-link")
            for number in range(4):
                group.create_task(self._answer_all(), name=f"mqtt-desk-{number}")

    async def ready(self) -> None:
        """Wait until the broker has our subscription: what a gateway says before is lost, and it asks again."""
        await self._link.ready()

    async def _greet(self, _session_present: bool) -> None:
        await self._link.subscribe([UP])

    def _heard(self, message: Delivery) -> None:
        # Acknowledged at once: the gateway's own time-out, not the broker, brings a lost message again.
        self._link.ack(message)
        if self._waiting.full():
            self._desk.counts["refused:mqtt-busy"] += 1
            return
        self._waiting.put_nowait(message)

    async def _answer_all(self) -> None:
        while True:
            message = await self._waiting.get()
            gateway = message.topic.split("/")[2]
            try:
                sealed, token = self._unseal(gateway, message)
                answer = await self._answer(gateway, sealed)
            except WireError as error:
                self._desk.counts[f"refused:{error.code}"] += 1
                continue
            except ConfigError as error:
                log.error("%s", error)
                continue
            if answer is not None:
                session, rest = answer
                payload = wire.seal(token, "down", gateway, session, sealed.n, rest)
                await self._send(f"rh/v1/{gateway}/down", payload)

    def _unseal(self, gateway: str, message: Delivery) -> tuple[Sealed, str]:
        registered = self._gateways.find(gateway)
        if registered is None or not registered.token or message.retain:
            raise WireError("unauthorised", "not registered for MQTT")
        if len(message.payload) > _MAX_PAYLOAD_BYTES:
            raise WireError("too-large", f"{len(message.payload)} bytes")
        return wire.unseal(registered.token, "up", gateway, message.payload), registered.token

    async def _answer(self, gateway: str, sealed: Sealed) -> tuple[str, bytes] | None:
        """(session, answer); None where silence is the answer: a redelivery, or a message that hides another."""
        session = sealed.session
        try:
            message = await self._desk.decode(sealed.rest)
            if (message.session, message.n) != (sealed.session, sealed.n):
                raise WireError("bad-header", "the message's session and number are not the envelope's")
            answer = await self._desk.answer(gateway, message)
        except WireError as error:
            self._desk.counts[f"refused:{error.code}"] += 1
            if error.code == "counter":
                return None
            problem = wire.problem(error.code, error.why)
        except StoreFailed as error:
            problem = wire.problem("storage", error.why)
        else:
            return str(wire.decode_answer(answer)["session"]), answer
        session = session if len(session) == 64 else session + "0" * 32  # a refused hello has no session yet
        return session, wire.encode_answer(session, sealed.n, {"problem": problem})

    async def _send(self, topic: str, payload: bytes) -> None:
        try:
            await self._link.send(topic, payload)
        except (LinkDown, Refused) as error:
            log.warning("an answer could not be sent: %s", error)
