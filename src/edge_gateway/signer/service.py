"""The signing process: one key, one ledger, one socket; it signs what extends the last, and knows nothing of what it signs.

Who wants a signature must show a proof: it asks no journal, and reads no other folder than its own.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_gateway.errors import SignerError, SignerRefused
from edge_gateway.links.notify import notify
from edge_gateway.links.synced import write_synced
from edge_gateway.signer import ledger as ledgers
from edge_gateway.signer import wire
from edge_gateway.signer.base import Ask

log = logging.getLogger(__name__)
_KEY, _LEDGER = "signer.key", "ledger.json"
#: Connections at once, and how long one may say nothing (s).
MOST_CONNECTIONS, IDLE_S = 8, 120.0


class Service:
    """The key and the ledger of one folder. Raises SignerError, OSError when either cannot be used."""

    def __init__(self, folder: Path, *, now_s: Callable[[], int] = lambda: int(time.time())) -> None:
        self._file = ledgers.File(folder / _LEDGER)
        self._now_s = now_s
        self._ledger = ledgers.read(folder / _LEDGER)
        if not (folder / _LEDGER).exists():  # it lies there before there is a key: one that is gone has forgotten what was signed
            if (folder / _KEY).exists():
                hint = f"restore it from a copy; or put {_KEY} aside: a new key is made, and a person registers it at the hub"
                raise SignerError(f"{folder / _LEDGER} is gone: what this key signed is not known any more", hint=hint)
            self._file.write(self._ledger)
        self._key = _key(folder / _KEY, fresh=not self._ledger.logs)
        self.public = self._key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        if self._ledger.key not in ("", self.public.hex()):
            why = f"{folder / _KEY} is not the key that has signed so far: it was exchanged, or a bit of it changed"
            raise SignerError(why, hint="restore it from a copy")
        self._ledger.key = self.public.hex()

    def sign(self, ask: Ask) -> bytes:
        """64 bytes. The ledger is durable before the signature exists outside. Raises SignerRefused."""
        now_s = self._now_s()
        self._ledger.judge(ask, now_s)
        after = self._ledger.signed(ask, now_s)
        try:
            self._file.write(after)
        except OSError as error:
            raise SignerRefused(f"the ledger cannot be written: {error.strerror or error}", hint="look at the signer's disk") from error
        self._ledger = after
        return self._key.sign(ask.head.body().encode())

    def answer(self, line: bytes) -> bytes:
        """The answer to one line."""
        if (origin := wire.decode_held(line)) is not None:
            held = {"held": self._ledger.logs.get(origin, (0, b""))[0], "last": self._ledger.last}
            return orjson.dumps(held) + b"\n"
        try:
            ask = wire.decode_ask(line)
            if ask is None:
                return b'{"public":"%s"}\n' % self.public.hex().encode()
            return b'{"signature":"%s"}\n' % self.sign(ask).hex().encode()
        except SignerRefused as refused:
            log.warning("refused: %s", refused)
            return wire.encode_refusal(refused)


def _key(path: Path, *, fresh: bool) -> Ed25519PrivateKey:
    """The key in ``path``: 32 bytes in hex, for its owner's eyes only. It is born with an empty ledger, never later."""
    try:
        mode = path.stat().st_mode
        if mode & 0o077:
            raise SignerError(f"{path} may be read by others (mode {mode & 0o777:o})", hint="a key that others saw is none: give the gateway a new one")
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text("ascii").strip()))
    except ValueError as error:
        raise SignerError(f"{path} is no key: {error}", hint="restore it from a copy") from error
    except FileNotFoundError:
        if not fresh:
            raise SignerError(f"{path} is gone, though it has signed", hint="restore it from a copy") from None
    born = Ed25519PrivateKey.generate()
    raw = born.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())
    write_synced(path, f"{raw.hex()}\n".encode())
    return born


async def serve(service: Service, socket: Path, *, ready: Callable[[], None] = lambda: None) -> None:
    """Answer on ``socket`` until SIGTERM or SIGINT. One question at a time: the ledger is one file."""
    connections = 0

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        try:
            while connections <= MOST_CONNECTIONS:
                async with asyncio.timeout(IDLE_S):
                    line = await reader.readline()
                if not line:
                    return
                writer.write(service.answer(line))
                await writer.drain()
        except (TimeoutError, OSError, ValueError):  # ValueError: a line that does not end
            return
        finally:
            connections -= 1
            writer.close()

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with suppress(FileNotFoundError):
        socket.unlink()
    server = await asyncio.start_unix_server(connected, socket, limit=wire.MAX_LINE_BYTES)
    socket.chmod(0o660)
    notify("READY=1")
    ready()
    try:
        await stop.wait()
    finally:
        server.close()
        with suppress(FileNotFoundError):
            socket.unlink()
