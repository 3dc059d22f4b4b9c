"""Messages to the hub over any MQTT broker: an HMAC in both directions, because the broker is trusted with nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from edge_gateway.errors import LinkDown, NotAuthorised, Unreachable
from edge_gateway.links.mqtt import Delivery, Mqtt, MqttSettings, Refused
from edge_gateway.sinks.hub_session import names
from edge_gateway.wire import hub as wire
from edge_gateway.wire.hub import WireError

#: MQTT 5: the broker has it, and nobody subscribed.
_NOBODY = 0x10


class MqttCarrier:
    """One publish a message; the answer is the one whose code is right and that names a message under way."""

    def __init__(self, broker: MqttSettings, *, gateway: str, token: str, timeout_s: float) -> None:
        """A connection of our own, reached as ``broker`` says; who we are there, and our manners, do not come from it."""
        self._up, self._down = f"rh/v1/{gateway}/up", f"rh/v1/{gateway}/down"
        self._gateway = gateway
        self._token = token
        self._timeout_s = timeout_s
        self._under_way: dict[tuple[str, int], asyncio.Future[dict[str, Any]]] = {}
        self._ignored = 0
        settings = replace(
            broker,
            client_id=f"edge-gateway-{gateway}-hub",
            clean_start=True,  # an answer of an earlier connection answers nothing
            retry_most_s=10.0,
        )
        self._link = Mqtt(settings, on_message=self._heard, greet=self._greet, on_down=self._lost)

    async def ask(self, session: str, n: int, message: bytes) -> dict[str, Any]:
        """See ``Carrier``."""
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        payload = wire.seal(self._token, "up", self._gateway, session, n, message)
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._link.ready()
                self._under_way[session, n] = future
                if await self._link.send(self._up, payload) == _NOBODY:
                    raise Unreachable("no hub listens at this broker")
                return await future
        except TimeoutError:
            hint = "does the hub run, does it use this broker, is the token right and was it added with --mqtt?"
            last = self._link.status()["last_error"] if not self._link.connected else ""
            raise Unreachable(last or f"no answer within {self._timeout_s:g} s", hint=hint) from None
        except LinkDown as error:
            raise Unreachable(str(error)) from None
        except Refused as error:
            raise NotAuthorised(f"the broker refuses us: {error.why}", hint=f"may we publish to {self._up}?") from None
        finally:
            self._under_way.pop((session, n), None)

    async def run(self) -> None:
        """Keep the connection."""
        await self._link.run()

    def status(self) -> dict[str, Any]:
        """JSON-able. ``ignored``: payloads without the right code, or that answered nothing under way."""
        return {"via": "mqtt", "ignored": self._ignored, **self._link.status()}

    async def close(self) -> None:
        """Nothing stays open: the connection ends with ``run``."""

    async def _greet(self, _session_present: bool) -> None:
        await self._link.subscribe([self._down])

    def _heard(self, message: Delivery) -> None:
        self._link.ack(message)
        try:
            if message.topic != self._down:
                raise WireError("bad-header", "another topic")
            sealed = wire.unseal(self._token, "down", self._gateway, message.payload)
            answer = wire.decode_answer(sealed.rest)
            if (answer["session"], answer["n"]) != (sealed.session, sealed.n):
                raise WireError("bad-header", "the answer is not the envelope's")
        except WireError:
            self._ignored += 1
            return
        for (session, n), future in self._under_way.items():
            if names(answer, session, n) and not future.done():
                future.set_result(answer)
                return
        self._ignored += 1

    def _lost(self, why: str) -> None:
        for future in self._under_way.values():
            if not future.done():
                future.set_exception(Unreachable(f"the broker's connection ended: {why}"))
                future.exception()  # read: the one who asked may be waiting for PUBACK still
