"""How one TCP or TLS connection to a broker is opened for paho without blocking the loop; knows nothing of what is said over it."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import ssl
import threading
from dataclasses import dataclass, field
from typing import Literal

from paho.mqtt.client import Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge_gateway.errors import LinkDown

#: Larger packets are not wanted (v5: the broker is told, and drops them). v3.1.1 has no such word.
_MAX_PACKET_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttSettings:
    """Where and as whom to connect. ``ca_file`` turns TLS on; ``cert_file`` and ``key_file`` are the client's own.

    ``clean_start`` False keeps the session: the broker queues QoS 1 for us while we are away, in v5 for
    ``session_expiry_s``. ``window`` bounds our publishes in flight, ``receive_maximum`` (v5) the broker's to us.
    """

    host: str
    client_id: str
    port: int = 1883
    protocol: Literal["5", "3.1.1"] = "5"
    user: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    keepalive_s: int = 30
    clean_start: bool = False
    session_expiry_s: int = 14 * 86_400
    window: int = 20
    receive_maximum: int = 100
    connect_timeout_s: float = 10.0
    retry_first_s: float = 1.0
    retry_most_s: float = 60.0


def new_client(want: MqttSettings) -> Client:
    """A paho client that does nothing by itself: no thread, no reconnection, no acknowledgement."""
    if want.protocol == "5":
        client = Client(
            CallbackAPIVersion.VERSION2, want.client_id, protocol=MQTTv5, reconnect_on_failure=False, manual_ack=True
        )
    else:
        client = Client(
            CallbackAPIVersion.VERSION2, want.client_id, clean_session=want.clean_start, protocol=MQTTv311,
            reconnect_on_failure=False, manual_ack=True,
        )  # fmt: skip
    client.connect_timeout = want.connect_timeout_s
    client.max_inflight_messages = want.window
    if want.user:
        client.username_pw_set(want.user, want.password)
    if want.ca_file:
        client.tls_set_context(_tls(want))
    return client


def _tls(want: MqttSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=want.ca_file)
        if want.cert_file:
            context.load_cert_chain(want.cert_file, want.key_file or None)
    except OSError as error:
        files = " ".join(name for name in (want.ca_file, want.cert_file, want.key_file) if name)
        raise LinkDown(f"TLS files cannot be used ({files}): {error}") from error
    return context


def readable(client: Client) -> bool:
    """Whether a read would find something: bytes in the kernel, or decrypted ones that select() cannot see."""
    sock = client.socket()
    if sock is None:
        return False
    if isinstance(sock, ssl.SSLSocket) and sock.pending() > 0:
        return True
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))


async def open_socket(client: Client, want: MqttSettings) -> None:
    """Name look-up, TCP and TLS hand-shake block: a thread of their own. Raises LinkDown.

    A daemon thread, not the executor's: a stop of the program does not wait for a dead address. What it opens after
    we have left is closed again; CONNECT is not yet sent then, so it takes no session over.
    """
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[None] = loop.create_future()
    left = threading.Event()

    def tell(error: BaseException | None) -> None:
        if opened.done():
            return
        if error is None:
            opened.set_result(None)
        else:
            opened.set_exception(error)

    def work() -> None:
        error: BaseException | None = None
        try:
            if want.protocol == "5":
                properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
                properties.SessionExpiryInterval = want.session_expiry_s
                properties.ReceiveMaximum = want.receive_maximum
                properties.MaximumPacketSize = _MAX_PACKET_BYTES
                client.connect(
                    want.host, want.port, want.keepalive_s, clean_start=want.clean_start, properties=properties
                )
            else:
                client.connect(want.host, want.port, want.keepalive_s)
        except (OSError, ValueError) as caught:  # ssl.CertificateError and a bad host name are ValueErrors
            error = caught
        if left.is_set():
            close_socket(client)
        with contextlib.suppress(RuntimeError):  # the loop may be closed by now
            loop.call_soon_threadsafe(tell, error)

    threading.Thread(target=work, name="mqtt-connect", daemon=True).start()
    try:
        async with asyncio.timeout(want.connect_timeout_s):
            await opened
    except TimeoutError:
        raise LinkDown(f"no connection to {want.host}:{want.port} within {want.connect_timeout_s:g} s") from None
    except (OSError, ValueError) as error:
        raise LinkDown(f"cannot connect to {want.host}:{want.port}: {error}") from error
    finally:
        left.set()
        if not opened.done() or opened.cancelled():
            close_socket(client)
    sock = client.socket()
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def close_socket(client: Client) -> None:
    """Close without a word to the broker."""
    client.on_socket_close = None
    sock = client.socket()
    if sock is not None:
        sock.close()
