"""Retention end to end: real store, real signer, real hub. What the hub holds and did not witness stays; what it witnessed goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_gateway import events
from edge_gateway.clock import SystemClock
from edge_gateway.errors import JournalFull
from edge_gateway.journal.keeping import witnessed
from edge_gateway.journal.owed import Owed
from edge_gateway.journal.retention import JournalSettings
from edge_gateway.journal.store import Store, open_journal
from edge_gateway.record.note import ED25519, Key
from edge_gateway.shipping.delivery import Asks
from edge_gateway.shipping.loop import Shipping
from edge_gateway.signer.checkpoints import Checkpoints
from edge_gateway.signer.client import Client
from edge_gateway.sinks.hub import HubConfig
from regulator_hub.gateways import Gateways
from tests.journal.entries import run
from tests.regulator_hub.harness import GATEWAY, HubProcess, registered
from tests.signer.process import SignerProcess

SEGMENT = 32
NAME = f"example.org/xj/{GATEWAY}"


@pytest.fixture
def signer(tmp_path: Path) -> Iterator[SignerProcess]:
    made = SignerProcess(tmp_path)
    yield made
    made.kill()


class Site:
    """The writing side and both loops that matter here."""

    def __init__(self, journal: Store, signer: SignerProcess, hub: HubConfig) -> None:
        self.journal = journal
        self.told: list[events.Event] = []
        asks = Asks(reopen=self._never, record=self._never)
        self.shipping = Shipping(
            journal=journal, sinks=[], hubs=[hub.build("hub", GATEWAY)], tell=self.told.append,
            wall_us=SystemClock().wall_us, asks=asks,
        )  # fmt: skip
        self.signing = Checkpoints(NAME, journal, Client(signer.socket), self.told.append, self.shipping.signed)

    async def _never(self, *_: object) -> object:
        raise AssertionError("no epoch ends here, and nothing is skipped")

    async def fill(self) -> None:
        """Until the quota refuses ordinary batches, with nothing left that could still be sealed."""
        while not self.journal.full:
            try:
                await self.journal.append(run(self.journal.next_seq, 16, SEGMENT, size=1_500))
            except JournalFull:
                await asyncio.sleep(0.2)

    async def refuses(self) -> None:
        """An ordinary batch is refused: at once, or when what a busy machine had still to seal has taken its smaller room."""
        async with asyncio.timeout(60):
            while True:
                try:
                    await self.journal.append(run(self.journal.next_seq, 1, SEGMENT))
                except JournalFull:
                    return
                await self.fill()

    async def until(self, done: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(60):
                while not done():
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"not within 60 s: {what}; {self.told[-3:]}") from None

    def waiting(self) -> dict[str, int]:
        return dict(self.journal.status()["keeping"]["epochs"][0])


@pytest.fixture
async def parts(tmp_path: Path, signer: SignerProcess) -> AsyncIterator[tuple[Site, HubProcess]]:
    hub = HubProcess(tmp_path / "hub")
    token = registered(hub.state_dir)
    (tmp_path / "token").write_text(token)
    (tmp_path / "token").chmod(0o600)
    from regulator_hub.cosigner import Cosigner

    vkey = str(Cosigner(hub.state_dir / "witness", "regulator-hub", born=True).key)
    settings = JournalSettings(
        max_bytes=2 << 20, segment_entries=SEGMENT, hub_name="hub", hub_vkey=vkey, sinks=("hub",), commit_every_us=20_000
    )
    journal = await open_journal(tmp_path / "journal", settings=settings, clock=SystemClock(declared=True))
    config = HubConfig(kind="hub", url=hub.url, token_file=str(tmp_path / "token"), vkey=vkey)
    site = Site(journal, signer, config)
    with hub:
        tasks = [asyncio.create_task(site.shipping.run()), asyncio.create_task(site.signing.run())]
        yield site, hub
        site.shipping.stop()
        tasks[1].cancel()
        await asyncio.wait(tasks, timeout=10)
        tasks[0].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await journal.close()


def register(hub: HubProcess, signer: SignerProcess) -> None:
    """A person brings the gateway's key to the hub: from now on it cosigns."""
    seed = bytes.fromhex((signer.folder / "signer.key").read_text())
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    Gateways(hub.state_dir / "gateways").give_key(GATEWAY, str(Key(NAME, ED25519, public)), replace=False, wall_us=0)


async def test_held_is_not_freed_and_witnessed_is(parts: tuple[Site, HubProcess], signer: SignerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_gateway.sinks.hub_witness.EARLY_S", 0.3)
    monkeypatch.setattr("edge_gateway.sinks.hub_witness.REFUSED_S", 0.3)
    site, hub = parts
    journal = site.journal
    await site.fill()
    size = journal.committed_seq
    await site.until(lambda: site.waiting()["held"] == size, "the hub holds everything")
    await site.fill()
    assert (site.waiting()["limit"], journal.status()["freed_segments"]) == (0, 0), "held, not witnessed: all of it stays"
    before = journal.status()["segments"]
    assert before > 1
    await site.refuses()
    await journal.append(run(journal.next_seq, 1, SEGMENT), reserve=True)  # a violation goes on
    register(hub, signer)
    await site.until(lambda: not journal.full, "readings go on once it is witnessed")
    freed = [segment for segment in await journal.segments() if segment.freed]
    assert freed
    key = Key.parse(journal._settings.hub_vkey)
    assert freed[-1].first + freed[-1].count <= witnessed(await journal.checkpoints(), key)[journal.epoch]
    assert [s.first for s in journal.freed_early()] == [s.first for s in freed], "before its time: it is to be journaled"
    await journal.append(run(journal.next_seq, 1, SEGMENT))


async def test_planted_retention_by_receipt_is_caught(parts: tuple[Site, HubProcess], monkeypatch: pytest.MonkeyPatch) -> None:
    """What the release before did: the same run frees what nobody witnessed."""
    monkeypatch.setattr(Owed, "limits", lambda _self, order, receipts: {e: receipts.get(("hub", e), 0) for e in order})
    site, _ = parts
    while not [segment for segment in await site.journal.segments() if segment.freed]:
        try:
            await site.journal.append(run(site.journal.next_seq, 16, SEGMENT, size=1_500))
        except JournalFull:
            await asyncio.sleep(0.05)
    (due,) = site.journal.status()["keeping"]["dues"]
    assert due["waiting"] > 0, "freed though the hub witnessed nothing"
