"""The gateway's way to the signing process: a question, an answer, over its Unix socket; it holds no key."""

from __future__ import annotations

import asyncio
from pathlib import Path

from edge_gateway.errors import SignerAway
from edge_gateway.signer import wire
from edge_gateway.signer.base import Ask

#: How long an answer may take: the signer syncs its ledger first (s).
TIMEOUT_S = 10.0


class Client:
    """See ``signer.base.Signer``. A connection is kept; after any trouble the next question makes another."""

    def __init__(self, socket: Path, *, timeout_s: float = TIMEOUT_S) -> None:
        self._socket = socket
        self._timeout_s = timeout_s
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()

    async def public(self) -> bytes:
        """See ``Signer.public``."""
        return wire.decode_answer(await self._ask(wire.PUBLIC), "public")

    async def sign(self, ask: Ask) -> bytes:
        """See ``Signer.sign``."""
        return wire.decode_answer(await self._ask(wire.encode_ask(ask)), "signature")

    async def held(self, origin: str) -> tuple[int, str]:
        """How many entries of a log were signed, and the log that was signed last. Raises SignerAway."""
        return wire.decode_answer_held(await self._ask(wire.encode_held(origin)))

    async def _ask(self, line: bytes) -> bytes:
        async with self._turn:
            kept = self._streams is not None
            try:
                return await self._once(line)
            except SignerAway:
                if not kept:
                    raise
            return await self._once(line)  # the kept connection may be of a signer that was started anew

    async def _once(self, line: bytes) -> bytes:
        try:
            async with asyncio.timeout(self._timeout_s):
                if self._streams is None:
                    self._streams = await asyncio.open_unix_connection(self._socket, limit=wire.MAX_LINE_BYTES)
                reader, writer = self._streams
                writer.write(line)
                await writer.drain()
                answer = await reader.readline()
        except PermissionError:
            hint = "the gateway's user must belong to the group edge-gateway-sign"
            raise SignerAway(f"no permission for {self._socket}", hint=hint) from None
        except (OSError, TimeoutError, ValueError) as error:
            self.close()
            why = "no answer in time" if isinstance(error, TimeoutError) else str(error)
            raise SignerAway(f"the signer at {self._socket} is away: {why}", hint="systemctl status edge-gateway-signer") from None
        except asyncio.CancelledError:
            self.close()  # its answer would be taken for the next question's
            raise
        if not answer.endswith(b"\n"):
            self.close()
            raise SignerAway(f"the signer at {self._socket} closed the connection", hint="systemctl status edge-gateway-signer")
        return answer

    def close(self) -> None:
        """Let go of the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
