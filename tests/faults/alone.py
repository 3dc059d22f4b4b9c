"""Signer and hub by themselves at every crash point: asked by hand as fast as they answer, and looked at after each kill.

What they said is a promise: a signature, a receipt, a cosignature. What lies on the disk after the kill must bear it out.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from pathlib import Path

import aiohttp
import apsw

from edge_gateway.errors import GatewayError
from edge_gateway.record.checkpoint import Checkpoint
from edge_gateway.record.merkle import leaf_hash, tree_root
from edge_gateway.record.proof import consistency
from edge_gateway.signer import ledger as ledgers
from edge_gateway.signer.base import Ask
from edge_gateway.signer.client import Client as SignerClient
from regulator_hub import cosigned
from regulator_hub.gateways import Gateways
from regulator_hub.store.schema import SEQ_BITS
from tests.faults.points import Points
from tests.faults.trapped import Trapped
from tests.journal.entries import run as entries_from
from tests.regulator_hub.harness import EPOCH, GATEWAY, Gateway, registered
from tests.regulator_hub.signing import Hand
from tests.servers.process import accepts_tcp, free_port

_LEAVES = [leaf_hash(b"%d" % n) for n in range(4096)]


class Alone:
    """One program in a folder of its own."""

    which = ""

    def __init__(self, folder: Path, counted: Points) -> None:
        self.folder, self.counted = folder, counted

    def words(self) -> list[str]:
        """Its command line."""
        raise NotImplementedError

    def ready(self) -> bool:
        raise NotImplementedError

    async def ask(self, program: Trapped) -> None:
        """Ask while it runs. Raises GatewayError, OSError, aiohttp.ClientError, TimeoutError when it is gone."""
        raise NotImplementedError

    def at_rest(self) -> str:
        """What is missing of what was promised; "" if nothing is."""
        raise NotImplementedError

    def run(self, calls: Iterable[int]) -> None:
        with Trapped(self.which, self.words(), self.folder, self.ready) as program:
            for call in calls:
                program.begin(call)
                while program.running:
                    with contextlib.suppress(GatewayError, OSError, aiohttp.ClientError, TimeoutError):
                        asyncio.run(self.ask(program))
                if self.counted.reached(self.which, program, call) and (missing := self.at_rest()):
                    self.counted.lost += 1
                    self.counted.note(f"{self.which}, call {call}: {missing}")
                if not self.counted.sound:
                    return


class Signer(Alone):
    """Asked for ever larger trees."""

    which = "signer"
    origin = "example.org/campaign/0123456789abcdef"
    signed = 0

    def words(self) -> list[str]:
        self.socket = self.folder / "sign.sock"
        return ["signer", "run", "--folder", str(self.folder / "signer"), "--listen", str(self.socket)]

    def ready(self) -> bool:
        return self.socket.exists()

    async def ask(self, program: Trapped) -> None:
        client = SignerClient(self.socket)
        while program.running:
            old = self._held()[0]
            size = old + 1
            path = consistency(old, size, lambda start, width: tree_root(_LEAVES[start : start + width])) if old else []
            await client.sign(Ask(head=Checkpoint(self.origin, size, tree_root(_LEAVES[:size])), old=old, path=path))
            self.signed = size
            self.counted.acknowledged += 1

    def _held(self) -> tuple[int, bytes]:
        return ledgers.read(self.folder / "signer" / "ledger.json").logs.get(self.origin, (0, b""))

    def at_rest(self) -> str:
        size, root = self._held()
        right = size >= self.signed and (not size or root == tree_root(_LEAVES[:size]))
        return "" if right else f"{self.signed} entries were signed, {size} are remembered"


class Hub(Alone):
    """Given entries and checkpoints over HTTP."""

    which = "hub"
    received = witnessed = 0

    def words(self) -> list[str]:
        self.port, self.state = free_port(), self.folder / "state"
        self.state.mkdir()
        self.token = registered(self.state)
        self.hand = Hand()
        Gateways(self.state / "gateways").give_key(GATEWAY, self.hand.vkey, replace=False, wall_us=0)
        self.entries = entries_from(0, 3000, 4096)
        (self.folder / "hub.toml").touch()
        return ["run", "--config", str(self.folder / "hub.toml"), "--state-dir", str(self.state), "--listen", f"127.0.0.1:{self.port}"]

    def ready(self) -> bool:
        return accepts_tcp(self.port)

    async def ask(self, program: Trapped) -> None:
        timeout = aiohttp.ClientTimeout(total=5.0)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            gateway = Gateway(f"http://127.0.0.1:{self.port}", self.token, http)
            size = int((await gateway.hello([[EPOCH, len(self.entries)]]))["sizes"].get(EPOCH, 0))
            while program.running:
                answer = await gateway.entries(size, self.entries[size : size + 3])
                size = self.received = int(answer["receipt"]["size"])
                self.counted.acknowledged += 3
                answer = await gateway.ask({"kind": "checkpoint"}, self.hand.note(self.entries[:size]))
                if "cosignature" in answer:
                    self.witnessed = size

    def at_rest(self) -> str:
        if not self.received:
            return ""
        with contextlib.closing(apsw.Connection(str(self.state / "hub.sqlite"))) as database:
            number, size = database.execute("SELECT id, size FROM epochs WHERE epoch = ?", (EPOCH,)).fetchone() or (0, 0)
            keys = (number << SEQ_BITS, (number + 1) << SEQ_BITS)
            held = [entry for (entry,) in database.execute("SELECT entry FROM entries WHERE key >= ? AND key < ? ORDER BY key", keys)]
        if size < self.received or held != self.entries[: len(held)] or len(held) != size:
            return f"a receipt for {self.received} entries was given, {size} are held, {len(held)} can be read"
        known, root = cosigned.read(self.state / "witness" / "cosigned", GATEWAY).logs.get(EPOCH, (0, b""))
        if known < self.witnessed or (known and root != tree_root(map(leaf_hash, self.entries[:known]))):
            return f"{self.witnessed} entries were cosigned, {known} are remembered"
        return ""


ALONE: dict[str, type[Alone]] = {"signer": Signer, "hub": Hub}
