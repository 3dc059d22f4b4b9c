"""The newest state that a hub holds of a gateway, had back by the gateway's own sink: the right place, whole, its texts, nobody else's; and what is wrong with it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.errors import JournalDamaged
from edge_gateway.intake.recalling import recalled
from edge_gateway.record.note import ED25519, Key
from edge_gateway.rules.base import BoundRule
from edge_gateway.sinks import hub_recall
from edge_gateway.sinks.base import Choose, NotRecalled, Recalled
from edge_gateway.sinks.hub import HubConfig
from edge_gateway.wire import hub as wire
from tests.regulator_hub import record
from tests.regulator_hub.harness import EPOCH, GATEWAY, OTHER, gateway, registered, running_hub

#: A configuration that a gateway of this release reads whole.
TEXT = json.dumps({**record.RESOLVED, "rules": []}, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
SHA = hashlib.sha256(TEXT).hexdigest()


async def first(places: Sequence[tuple[str, int]]) -> int | None:
    """Whatever is offered first."""
    return 0 if places else None


async def had_back(url: str, token: str, folder: Path, name: str = GATEWAY, choose: Choose | None = None) -> Recalled | None:
    """As a gateway has it that begins with nothing."""
    (folder / f"token-{name}").write_text(token)
    (folder / f"token-{name}").chmod(0o600)
    sink = HubConfig(kind="hub", url=url, token_file=str(folder / f"token-{name}")).build("hub", name)
    try:
        async with sink.apart():
            return await sink.recall(first if choose is None else choose)
    finally:
        await sink.close()


def large(seq: int) -> tuple[bytes, bytes]:
    """A snapshot whose state is a text of several parts that nothing compresses, and the text."""
    noise = random.Random(seq).randbytes(150_000).hex()
    text = json.dumps({"numbers": {"violation": 41}, "kept": {"meter": {"noise": noise}}}).encode()
    return record.entry(seq, "snapshot", config={"config_seq": 1, "text": SHA, "texts": {}}, state_text=hashlib.sha256(text).hexdigest()), text


async def test_the_newest_snapshot_and_all_behind_it_come_back_with_their_texts(tmp_path: Path) -> None:
    token = registered(tmp_path)
    snapshot, state = large(5)
    held = [record.snapshot(0), record.config(1, SHA), *(record.batch(n, -20.0) for n in (2, 3, 4)), snapshot, record.batch(6, -20.0), *(record.violation(7 + n, "violated", name=f"{GATEWAY}-{42 + n}") for n in range(900))]
    async with running_hub(tmp_path) as running:
        assert await had_back(running.url, token, tmp_path) is None  # of a new gateway nothing is held
        async with gateway(running.url, token) as site:
            await site.text(TEXT)
            await site.text(state)
            await site.entries(0, held)
        taken = await had_back(running.url, token, tmp_path)
        assert taken is not None
        assert (taken.epoch, taken.first, list(taken.entries)) == (EPOCH, 5, held[5:])
        assert taken.texts == {hashlib.sha256(state).hexdigest(): state, SHA: TEXT}
        found = await recalled(taken, GATEWAY)
        assert (found.state.violations.number, found.state.kept["meter"]["noise"][:1] != "", found.state.lost) == (941, True, True)
        # A newer epoch, of which only little came: that one counts, though an older one has more.
        async with gateway(running.url, token) as site:
            await site.entries(0, [record.snapshot(0), record.config(1, SHA), record.batch(2, -20.0)], OTHER)
        taken = await had_back(running.url, token, tmp_path)
        assert taken is not None
        assert (taken.epoch, taken.first, len(taken.entries)) == (OTHER, 0, 3)


async def test_nobody_elses_text_comes_back_and_a_lacking_one_gives_nothing(tmp_path: Path) -> None:
    """Planted: another gateway's text is asked for by its hash."""
    token, theirs, spies = (registered(tmp_path, *name) for name in ((), ("yard-1",), ("yard-2",)))
    async with running_hub(tmp_path) as running:
        async with gateway(running.url, theirs, "yard-1") as other:
            await other.entries(0, [record.snapshot(0), record.config(1, SHA)])
            await other.text(TEXT)
            other.session = ""
            answer = await other.ask({"kind": "fetch-text", "sha256": SHA, "at": 0})
            assert wire.decode_part(answer) == TEXT
        async with gateway(running.url, token) as site:
            await site.entries(0, [record.snapshot(0), record.batch(1, 1.0)])
            answer = await site.ask({"kind": "fetch-text", "sha256": SHA, "at": 0})
            assert answer.get("gone") is True
        async with gateway(running.url, spies, "yard-2") as spy:
            await spy.entries(0, [record.snapshot(0), record.config(1, SHA)])  # the hash alone is not the text
            answer = await spy.ask({"kind": "fetch-text", "sha256": SHA, "at": 0})
            assert answer.get("gone") is True
        async with gateway(running.url, token) as site:
            await site.entries(2, [record.config(2, "ab" * 32)])  # its text never came
        with pytest.raises(NotRecalled, match="lacks the text"):
            await had_back(running.url, token, tmp_path)


async def test_an_epoch_that_waits_for_a_person_comes_after_one_that_was_accepted(tmp_path: Path) -> None:
    """A clone's epoch is newer, and no state to go on from; the gateway is told of it, and may know it as its own."""
    token = registered(tmp_path)
    async with running_hub(tmp_path) as running:
        async with gateway(running.url, token) as site:
            await site.text(TEXT)
            await site.entries(0, [record.snapshot(0), record.config(1, SHA), record.batch(2, -20.0)])
            key = Key(f"example.org/xj/{GATEWAY}", ED25519, bytes(range(32)))
            running.hub.gateways.give_key(GATEWAY, str(key), replace=False, wall_us=1, by="zhang", known=[EPOCH])
            await site.entries(0, [record.snapshot(0), record.config(1, SHA)], OTHER)
        offered: list[tuple[str, int]] = []

        async def last(places: Sequence[tuple[str, int]]) -> int | None:
            offered[:] = places
            return len(places) - 1

        taken = await had_back(running.url, token, tmp_path)
        assert taken is not None
        assert taken.epoch == EPOCH
        taken = await had_back(running.url, token, tmp_path, choose=last)
        assert offered == [(EPOCH, 3), (OTHER, 2)]
        assert taken is not None
        assert (taken.epoch, taken.texts) == (OTHER, {SHA: TEXT})


async def test_where_the_newest_state_lacks_its_text_the_one_before_it_and_all_behind_it_come_back(tmp_path: Path) -> None:
    token = registered(tmp_path)
    snapshot, _ = large(5)
    held = [record.snapshot(0), record.config(1, SHA), *(record.batch(n, -20.0) for n in (2, 3, 4)), snapshot, record.batch(6, -19.0)]
    async with running_hub(tmp_path) as running:
        async with gateway(running.url, token) as site:
            await site.text(TEXT)
            await site.entries(0, held)
        taken = await had_back(running.url, token, tmp_path)
        assert taken is not None
        assert (taken.first, list(taken.entries), taken.texts) == (0, held, {SHA: TEXT})
        assert (await recalled(taken, GATEWAY)).last == json.loads(held[-1])


async def test_texts_have_one_bound_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = registered(tmp_path)
    snapshot, state = large(0)
    monkeypatch.setattr(hub_recall, "MOST_TEXTS_BYTES", len(state) + len(TEXT) - 1)
    async with running_hub(tmp_path) as running:
        async with gateway(running.url, token) as site:
            await site.text(TEXT)
            await site.text(state)
            await site.entries(0, [snapshot])
        with pytest.raises(NotRecalled, match="larger than any"):
            await had_back(running.url, token, tmp_path)
        monkeypatch.setattr(hub_recall, "MOST_TEXTS_BYTES", len(state) + len(TEXT))
        assert await had_back(running.url, token, tmp_path) is not None


async def test_a_state_is_given_back_while_the_writing_thread_is_busy(tmp_path: Path) -> None:
    """Receipts of all gateways wait for that thread: giving a state back must not use it."""
    token = registered(tmp_path)
    snapshot, state = large(0)
    async with running_hub(tmp_path) as running:
        async with gateway(running.url, token) as site:
            await site.text(TEXT)
            await site.text(state)
            await site.entries(0, [snapshot])
        async with gateway(running.url, token) as site:
            await site.hello()
            release = threading.Event()
            busy = asyncio.ensure_future(running.hub.writer.run(lambda _: release.wait(20)))
            try:
                async with asyncio.timeout(10):
                    assert (await site.ask({"kind": "recall"}))["recall"]["first"] == 0
                    found = b""
                    while len(found) < len(state):
                        found += wire.decode_part(await site.ask({"kind": "fetch-text", "sha256": hashlib.sha256(state).hexdigest(), "at": len(found)}))
                    assert wire.decode_run(await site.ask({"kind": "fetch", "epoch": EPOCH, "first": 0, "count": 1})) == [snapshot]
            finally:
                release.set()
                await busy
            assert found == state


SNAPSHOT = record.snapshot(0)


def without(key: str, instead: object = None) -> bytes:
    """A snapshot entry whose envelope lacks something, or has another thing there."""
    body = json.loads(SNAPSHOT)
    del body[key]
    return json.dumps(body | ({} if instead is None else {key: instead})).encode()


async def test_what_the_rules_in_force_cannot_go_on_from_is_not_taken() -> None:
    rule = BoundRule(id="r", pack="t", pack_version="1", edition="1", kind="limit", point="p", high="1", violation_after_us=0)
    state = {"rules": {"rules": {"r/p": {"phase": 3}}, "seen": {}}}
    taken: Any = Recalled(epoch=EPOCH, first=0, entries=(record.entry(0, "snapshot", config=None, state=state),), texts={})
    with pytest.raises(JournalDamaged):
        await recalled(taken, GATEWAY, [rule])


@pytest.mark.parametrize(
    "entries",
    [
        (record.batch(0, 1.0),),
        (SNAPSHOT, record.batch(2, 1.0)),
        (SNAPSHOT, b"no entry"),
        (record.entry(0, "snapshot", config=None, state=[1]),),
        (record.entry(0, "snapshot", config={"text": "ab" * 32}, state={}),),
        (record.entry(0, "snapshot", config=None, state={"violations": [{}]}),),
        (record.entry(0, "snapshot", config=None, state_text="ab" * 32),),
        (SNAPSHOT, record.entry(1, "violation", violation=7)),
        (record.entry(0, "snapshot", config=None, state={"gaps": {"x": {"a": 1}}}),),
        (record.entry(0, "snapshot", config=None, state={"gaps": {"x": {"groups": ["*"], "since_slot_us": 2**70, "reason": "silent"}}}),),
        (record.entry(0, "snapshot", config=None, state={"slots": {"m.0": "zz"}}),),
        (record.entry(0, "snapshot", config=None, state={"corrections": {"b": None}}),),
        (record.entry(0, "snapshot", config=None, state={"kept": {"m": 7}}),),
        (record.entry(0, "snapshot", config=None, state={"rules": {"rules": {"r/p": 7}, "seen": {}}}),),
        (record.entry(0, "snapshot", config=None, state={"messages": [["t"]]}),),
        (without("wall_us"),),
        (without("boot"),),
        (without("rule_us", 2**63),),
        (without("mono_us", "7"),),
        (),
    ],
)
async def test_what_does_not_read_is_not_taken_at_all(entries: tuple[bytes, ...]) -> None:
    taken: Any = Recalled(epoch=EPOCH, first=0, entries=entries, texts={})
    with pytest.raises(JournalDamaged):
        await recalled(taken, GATEWAY)
