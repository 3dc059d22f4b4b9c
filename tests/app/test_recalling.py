"""Which of the states that a hub offers is had back at a start, how long the start waits for it, and what the real signer says of its age."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge_gateway.app.recalling import RECALL_S, Recalling
from edge_gateway.journal.base import EpochInfo, Recovery
from edge_gateway.signer.client import Client
from edge_gateway.sinks.hub import HubConfig
from tests.signer.process import SignerProcess
from tests.signer.test_signer import LOG, ask

OLD, BORN, CLONE, ELSEWHERE = "0123456789abcdef", "00000000000000bb", "00000000000000cc", "00000000000000ee"


def journal(*known: str, reason: str = "damage") -> Any:
    """Nothing was written yet in the newest epoch."""
    infos = [EpochInfo(epoch=each, first=0, size=100, closed=each != known[-1], reason=reason, wall_us=1) for each in known]
    memory: dict[str, Any] = {}
    return SimpleNamespace(
        epoch=known[-1], next_seq=0, epochs=lambda: infos, known_epochs=lambda: infos, remembered=memory.get, remember=memory.__setitem__
    )


def recovery(epoch: str, size: int) -> Recovery:
    return Recovery(snapshot={"seq": 0}, entries=[b""] * (size - 1), epoch=epoch)


def start(found: Recovery, *known: str, signed: Any = None) -> Recalling:
    return Recalling(journal(*known), found, "tlf-007", LOG, signed)


async def test_only_what_lies_beyond_the_newest_entry_that_reads_here_is_had_back() -> None:
    here = start(recovery(OLD, 64), OLD, BORN)
    for places, chosen in (
        ([(OLD, 64)], None),
        ([(OLD, 65)], 0),
        ([(BORN, 500)], None),  # our own, just born
        ([(ELSEWHERE, 1)], 0),  # a backup was restored: the record went on in an epoch that is not known here
        ([(OLD, 64), (CLONE, 9)], 1),
    ):
        assert await here.choose(places) == chosen, places
    newer = start(recovery(CLONE, 3), OLD, CLONE, BORN)
    assert await newer.choose([(OLD, 5000)]) is None
    nothing = start(Recovery(snapshot=None, entries=[]), BORN)
    assert await nothing.choose([(OLD, 1)]) == 0


@pytest.fixture
async def signer(tmp_path: Path) -> AsyncIterator[Client]:
    """It signed 100 entries of ``OLD``, and nothing else."""
    process = SignerProcess(tmp_path)
    client = Client(process.socket)
    await client.sign(ask(100))
    yield client
    client.close()
    process.kill()


async def test_the_signer_says_how_old_the_hubs_state_is(signer: Client) -> None:
    assert await signer.held(f"{LOG}/{OLD}") == (100, f"{LOG}/{OLD}")
    assert await signer.held(f"{LOG}/{CLONE}") == (0, f"{LOG}/{OLD}")
    for places, chosen, stale in (
        ([(OLD, 100)], 0, ""),
        ([(OLD, 130)], 0, ""),
        ([(OLD, 99)], 0, "signed 100 entries"),  # planted: the hub was set back
        ([(ELSEWHERE, 900)], 0, f"signed epoch {OLD} last"),  # planted: an earlier epoch than the newest one signed
        ([(OLD, 100), (CLONE, 9)], 0, ""),  # what waits for a person is of another key
    ):
        here = start(Recovery(snapshot=None, entries=[]), BORN, signed=signer.held)
        assert await here.choose(places) == chosen
        assert bool(here._stale) == bool(stale)
        assert stale in here._stale
    await signer.sign(ask(9, origin=f"{LOG}/{CLONE}"))
    here = start(Recovery(snapshot=None, entries=[]), BORN, signed=signer.held)
    assert await here.choose([(OLD, 100), (CLONE, 9)]) == 1, "our own, that no person has accepted yet"
    assert here._stale == ""


async def test_without_a_signers_word_nothing_is_said_of_age() -> None:
    async def away(_: str) -> tuple[int, str]:
        await asyncio.sleep(60)
        raise AssertionError

    here = start(Recovery(snapshot=None, entries=[]), BORN, signed=away)
    began = time.monotonic()
    assert await here.choose([(OLD, 7)]) == 0
    assert (here._stale, time.monotonic() - began < 2.0) == ("", True)


async def test_a_hub_that_says_nothing_holds_no_start_up(tmp_path: Path) -> None:
    """Planted: a server that takes everything and answers nothing."""
    (tmp_path / "token").write_text("x" * 43)
    (tmp_path / "token").chmod(0o600)
    server = await asyncio.start_server(lambda reader, _: reader.read(), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    hub = HubConfig(kind="hub", url=url, token_file=str(tmp_path / "token"), timeout_s=60).build("hub", "tlf-007")
    here = start(Recovery(snapshot=None, entries=[]), BORN)
    began = time.monotonic()
    assert await here.at_start([hub], []) is None
    assert time.monotonic() - began < RECALL_S + 0.8
    assert here.wanted, "it is asked again when it is met"
    await hub.close()
    server.close()


async def test_a_gateway_that_starts_for_the_first_time_misses_no_record(signer: Client, tmp_path: Path) -> None:
    """Nothing is here and no hub answers: only a signer can tell a new gateway from one whose disk was lost."""
    (tmp_path / "token").write_text("x" * 43)
    (tmp_path / "token").chmod(0o600)
    new = SignerProcess(tmp_path / "new")
    for client, said in ((signer, ["state-not-recalled"]), (Client(new.socket), []), (None, [])):
        here = Recalling(journal(BORN, reason=""), Recovery(snapshot=None, entries=[]), "tlf-007", LOG, client.held if client else None)
        hub = HubConfig(kind="hub", url="http://127.0.0.1:9", token_file=str(tmp_path / "token")).build("hub", "tlf-007")
        assert await here.at_start([hub], []) is None
        entries: list[str] = []

        async def add(_: str, body: dict[str, Any], entries: list[str] = entries) -> None:
            entries.append(body["event"])

        await here.tell(SimpleNamespace(add=add, tell=lambda _: None))  # type: ignore[arg-type]
        assert (entries, here.wanted) == (said, True)
        await hub.close()
    new.kill()
