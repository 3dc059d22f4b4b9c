"""One connection to an MQTT broker, driven by asyncio over paho-mqtt; it knows no readings, no journal and no hub.

For sources, for the hub's sink and for the hub itself::

    link = Mqtt(MqttSettings(host="127.0.0.1", client_id="edge-gateway-zigbee"), on_message=heard, greet=greet)
    task = group.create_task(link.run(), name="mqtt")   # connects, and connects again, until cancelled
    await link.ready()                          # connected, and greet() has returned

    async def greet(session_present: bool) -> None:     # after each CONNACK; cancelled when the connection ends
        await link.subscribe(["zigbee2mqtt/+"], qos=1)  # raises Refused, LinkDown

    def heard(message: Delivery) -> None: ...   # on the loop, in order; must not block; may call ack, publish, pause
    link.ack(message)                           # PUBACK, whenever it is safe: nothing is acknowledged by itself
    code = await link.publish(topic, payload)   # the future of PUBACK's reason code
    code = await link.send(topic, payload)      # the same after waiting for room in the window

What holds:

- ``publish`` never queues for a later connection: disconnected it raises LinkDown, with a full window WindowFull. Its future
  resolves with the broker's reason code (0x00, or 0x10: nobody subscribed); a refusal (≥ 0x80) raises Refused with
  ``code``; the end of the connection raises LinkDown in all of them. A v3.1.1 broker cannot say no: PUBACK is never
  proof that anybody has the message.
- An ``ack`` for a message of an earlier connection does nothing and answers False: its packet id may be another
  message's by now. The broker sends that message again, with DUP.
- Each connection has a paho client of its own, so paho repeats nothing behind our back (it would resend publishes that
  were in flight, also with a clean start). Its own reconnection, thread and queue are not used.
- ``run`` leaves with CancelledError only, or with what ``on_message`` raised. It then says DISCONNECT; the session stays.
"""

from __future__ import annotations

import asyncio
import itertools
import struct
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import MQTTException

from edge_gateway.backoff import Backoff
from edge_gateway.errors import GatewayError, LinkDown
from edge_gateway.links.mqtt_socket import MqttSettings, close_socket, new_client, open_socket, readable

__all__ = ["Delivery", "Mqtt", "MqttSettings", "Refused", "WindowFull"]

#: Packets read before other tasks get a turn.
_BURST = 64
#: How often keep-alive is looked at (real seconds).
_MISC_S = 1.0
#: A connection that lived this long was a success: the next wait starts small again (real seconds).
_PROVEN_S = 10.0
#: What paho's decoders raise on bytes that are no MQTT.
_BROKEN = (MQTTException, ValueError, IndexError, KeyError, TypeError, struct.error, AssertionError)


class Refused(GatewayError):
    """The broker said no to one packet: ``code`` is its MQTT 5 reason code (0x80 and above)."""

    def __init__(self, why: str, *, code: int, hint: str = "") -> None:
        super().__init__(why, hint=hint)
        self.code = code


class WindowFull(GatewayError):
    """As many publishes as allowed wait for their PUBACK: ``await room()`` first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message as it came. ``connection`` says over which connection: packet ids mean nothing beyond it.

    Connections are numbered over all links of the process.
    """

    topic: str
    payload: bytes
    qos: int
    retain: bool
    duplicate: bool
    packet_id: int
    connection: int


class Mqtt:
    """See the module's docstring. One instance is one client id at one broker."""

    _numbers = itertools.count(1)

    def __init__(
        self,
        settings: MqttSettings,
        *,
        on_message: Callable[[Delivery], None],
        greet: Callable[[bool], Awaitable[None]] | None = None,
        on_down: Callable[[str], None] | None = None,
    ) -> None:
        self.settings = settings
        self._on_message = on_message
        self._greet = greet
        self._on_down = on_down
        self._client: Client | None = None
        self._connection = 0
        self._connected = False
        self._session_present = False
        self._greeted = asyncio.Event()
        self._unpaused = asyncio.Event()
        self._unpaused.set()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._window = settings.window
        self._publishing: dict[int, asyncio.Future[int]] = {}
        self._asking: dict[int, asyncio.Future[list[ReasonCode]]] = {}
        self._arrived: list[Delivery] = []
        self._fd = -1
        self._lost = ""
        self._last_error = ""
        self._refusal = 0
        self._counts = {"connects": 0, "received": 0, "published": 0}

    # --- what callers ask ---------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted us and the connection stands, as far as we know."""
        return self._connected

    @property
    def connection(self) -> int:
        """The number of the present (or last) connection; 0 before the first."""
        return self._connection

    @property
    def refusal(self) -> int:
        """The reason code with which the broker refused our last CONNECT (0x86, 0x87: user or password); 0: it did not."""
        return self._refusal

    def status(self) -> dict[str, Any]:
        """JSON-able: state of the connection, counters, the last error in words."""
        return {
            "connected": self._connected,
            "session_present": self._session_present,
            "paused": not self._unpaused.is_set(),
            "in_flight": len(self._publishing),
            "refusal": self._refusal,
            "last_error": self._last_error,
            **self._counts,
        }

    async def ready(self) -> None:
        """Wait until connected and greeted."""
        await self._greeted.wait()

    async def room(self) -> None:
        """Wait until one more publish fits into the window. Raises LinkDown when disconnected."""
        while True:
            self._link()
            if len(self._publishing) < self._window:
                return
            self._room.clear()
            await self._room.wait()

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> asyncio.Future[int]:
        """Send now; the future is PUBACK's reason code (QoS 0: 0 once written). Raises LinkDown, WindowFull."""
        client = self._link()
        if len(self._publishing) >= self._window:
            raise WindowFull(f"{self._window} publishes wait for their PUBACK")
        info = client.publish(topic, payload, qos=qos, retain=retain)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise LinkDown(f"publish failed: {info.rc.name}")
        future = self._publishing[info.mid] = asyncio.get_running_loop().create_future()
        self._counts["published"] += 1
        return future

    async def send(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> int:
        """Wait for room, publish, wait for PUBACK. Raises LinkDown, Refused."""
        await self.room()
        return await self.publish(topic, payload, qos=qos, retain=retain)

    async def subscribe(self, filters: Sequence[str], *, qos: int = 1) -> None:
        """Subscribe and wait for SUBACK. Raises Refused when the broker grants one of them not at all, LinkDown."""
        if not filters:
            return
        codes = await self._ask(self._link().subscribe([(name, qos) for name in filters]))
        for name, code in zip(filters, codes, strict=False):
            if code.is_failure:
                raise Refused(f"subscription to '{name}' refused: {code}", code=code.value)

    async def unsubscribe(self, filters: Sequence[str]) -> None:
        """Unsubscribe and wait for UNSUBACK. Raises LinkDown."""
        if filters:
            await self._ask(self._link().unsubscribe(list(filters)))

    def ack(self, message: Delivery) -> bool:
        """Acknowledge a QoS 1 message; False when its connection is gone (the broker will send it again)."""
        client = self._client
        if client is None or not self._connected or message.connection != self._connection:
            return False
        return message.qos == 0 or client.ack(message.packet_id, message.qos) == MQTTErrorCode.MQTT_ERR_SUCCESS

    def pause(self) -> None:
        """Read no further: TCP holds the broker back. After keep-alive the connection ends; it comes back on ``resume``."""
        self._unpaused.clear()
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)

    def resume(self) -> None:
        """Read on."""
        self._unpaused.set()
        self._wake.set()
        if self._fd >= 0:
            asyncio.get_running_loop().add_reader(self._fd, self._wake.set)

    # --- the connection's life ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep a connection until cancelled."""
        backoff = Backoff(self.settings.retry_first_s, self.settings.retry_most_s, apart=True)
        loop = asyncio.get_running_loop()
        while True:
            await self._unpaused.wait()
            began_s = loop.time()
            try:
                await self._connect_and_drive()
            except (LinkDown, Refused) as down:
                self._last_error = str(down)
            if loop.time() - began_s > _PROVEN_S:
                backoff.reset()
            await asyncio.sleep(backoff.next_s())

    async def _connect_and_drive(self) -> None:
        """One connection from CONNECT to its end. Raises LinkDown, or Refused when greeting was refused."""
        loop = asyncio.get_running_loop()
        client = self._new_client()
        self._lost = ""
        await open_socket(client, self.settings)
        greeting: asyncio.Task[None] | None = None
        deadline = loop.time() + self.settings.connect_timeout_s
        self._attach(client)
        self._tick()
        try:
            while True:
                self._wake.clear()
                self._turn(client)
                if self._connected and greeting is None:
                    greeting = loop.create_task(self._greeted_by(), name=f"mqtt greet {self.settings.client_id}")
                    greeting.add_done_callback(lambda _: self._wake.set())
                if greeting is not None and greeting.done():
                    greeting.result()
                if not self._connected and loop.time() > deadline:
                    raise LinkDown(f"no CONNACK within {self.settings.connect_timeout_s:g} s")
                await self._wake.wait()
        finally:
            self._ticking.cancel()
            self._detach(client)
            if greeting is not None:
                greeting.cancel()
                await asyncio.gather(greeting, return_exceptions=True)

    async def _greeted_by(self) -> None:
        if self._greet is not None:
            await self._greet(self._session_present)
        self._greeted.set()

    def _turn(self, client: Client) -> None:
        """Write what is queued, read what is there, look at keep-alive. Raises LinkDown when that ended the connection."""
        if client.want_write():
            client.loop_write()
        for _ in range(_BURST):
            if self._lost or not self._unpaused.is_set() or not readable(client):
                break
            try:
                client.loop_read()
            except _BROKEN as broken:
                self._lost = f"the broker sent bytes that are no MQTT ({type(broken).__name__}: {broken})"
            arrived, self._arrived = self._arrived, []
            for message in arrived:
                self._on_message(message)
        else:
            self._wake.set()  # more is waiting, but others have their turn first
        client.loop_misc()
        if client.want_write() and not self._lost:
            client.loop_write()
        if self._lost:
            raise LinkDown(self._lost)
        if self._fd >= 0 and client.want_write():
            asyncio.get_running_loop().add_writer(self._fd, self._wake.set)
        elif self._fd >= 0:
            asyncio.get_running_loop().remove_writer(self._fd)

    def _tick(self) -> None:
        self._wake.set()
        self._ticking = asyncio.get_running_loop().call_later(_MISC_S, self._tick)

    def _attach(self, client: Client) -> None:
        sock = client.socket()
        if sock is None:
            raise LinkDown("the socket closed while connecting")
        self._client = client
        self._connection = next(self._numbers)
        self._fd = sock.fileno()
        if self._unpaused.is_set():
            asyncio.get_running_loop().add_reader(self._fd, self._wake.set)

    def _forget_socket(self) -> None:
        """Before the descriptor is closed: its number may be another socket's a moment later."""
        if self._fd >= 0:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._fd)
            loop.remove_writer(self._fd)
            self._fd = -1

    def _detach(self, client: Client) -> None:
        """End the connection: politely if it still stands; whoever waits for an answer hears LinkDown."""
        was_connected, self._connected = self._connected, False
        self._client = None
        self._greeted.clear()
        if was_connected and not self._lost:
            self._lost = "we disconnected"
            client.disconnect()
            client.loop_write()
        self._forget_socket()
        close_socket(client)
        self._last_error = self._lost
        waiting: list[asyncio.Future[Any]] = [*self._publishing.values(), *self._asking.values()]
        self._publishing.clear()
        self._asking.clear()
        self._room.set()
        for future in waiting:
            if not future.done():
                future.set_exception(LinkDown(self._lost or "the connection ended"))
                future.exception()  # read: nobody has to await a publish that nobody waits for
        if was_connected and self._on_down is not None:
            self._on_down(self._lost)

    def _link(self) -> Client:
        if self._client is None or not self._connected:
            raise LinkDown("not connected to the broker", hint=self._last_error)
        return self._client

    async def _ask(self, asked: tuple[MQTTErrorCode, int | None]) -> list[ReasonCode]:
        code, mid = asked
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS or mid is None:
            raise LinkDown(f"not sent: {code.name}")
        future: asyncio.Future[list[ReasonCode]] = asyncio.get_running_loop().create_future()
        self._asking[mid] = future
        return await future

    # --- paho's callbacks, all on the loop, from within _turn -----------------------------------------------------

    def _new_client(self) -> Client:
        client = new_client(self.settings)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_answer
        client.on_unsubscribe = self._on_answer
        client.on_message = self._on_paho_message
        client.on_socket_close = lambda *_: self._forget_socket()
        # With this callback set paho writes nothing by itself: we do, in _turn. While connecting nobody waits on _wake.
        client.on_socket_register_write = lambda *_: self._wake.set()
        return client

    def _on_connect(
        self, _client: Client, _: Any, flags: ConnectFlags, code: ReasonCode, properties: Properties | None
    ) -> None:
        self._refusal = code.value if code.is_failure else 0
        if code.is_failure:
            self._lost = f"the broker refused us: {code}"
            return
        self._connected = True
        self._session_present = flags.session_present
        self._counts["connects"] += 1
        theirs = getattr(properties, "ReceiveMaximum", self.settings.window)
        self._window = max(1, min(self.settings.window, theirs))

    def _on_disconnect(
        self, _client: Client, _: Any, flags: DisconnectFlags, code: ReasonCode, _properties: Properties | None
    ) -> None:
        who = "the broker disconnected us" if flags.is_disconnect_packet_from_server else "the connection was lost"
        self._lost = self._lost or f"{who}: {code}"

    def _on_publish(self, _client: Client, _: Any, mid: int, code: ReasonCode, _properties: Properties | None) -> None:
        future = self._publishing.pop(mid, None)
        self._room.set()
        if future is None or future.done():
            return
        if code.is_failure:
            future.set_exception(Refused(f"the broker refused the message: {code}", code=code.value))
            future.exception()
        else:
            future.set_result(code.value)

    def _on_answer(
        self, _client: Client, _: Any, mid: int, codes: list[ReasonCode], _properties: Properties | None
    ) -> None:
        future = self._asking.pop(mid, None)
        if future is not None and not future.done():
            future.set_result(codes)

    def _on_paho_message(self, _client: Client, _: Any, message: MQTTMessage) -> None:
        self._counts["received"] += 1
        self._arrived.append(
            Delivery(
                topic=message.topic,
                payload=bytes(message.payload),
                qos=message.qos,
                retain=message.retain,
                duplicate=message.dup,
                packet_id=message.mid,
                connection=self._connection,
            )
        )
