"""Each clause of the protocol against a running hub over HTTP: receipts, holes, conflicts, sessions, bounds."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from edge_gateway.record.checkpoint import witnessed_s
from edge_gateway.record.merkle import leaf_hash
from edge_gateway.record.note import Note, Signature
from edge_gateway.wire import hub as wire
from regulator_hub.cosigner import Cosigner
from regulator_hub.gateways import Gateways
from tests.regulator_hub import record
from tests.regulator_hub.harness import EPOCH, GATEWAY, OTHER, HubProcess, gateway, registered, running_hub

VECTORS = Path(__file__).parents[1] / "vectors" / "hub-protocol.jsonl"
EXCHANGES = [v for v in map(json.loads, VECTORS.read_text(encoding="utf-8").splitlines()) if v["what"] == "exchange"]


def receipt(size: int, skipped: list[list[int]] | None = None, epoch: str = EPOCH) -> dict[str, Any]:
    return {"receipt": {"gateway": GATEWAY, "epoch": epoch, "size": size, "skipped": skipped or []}}


@pytest.mark.parametrize("vector", EXCHANGES, ids=lambda v: v["why"][:40])
async def test_exchanges_of_the_vectors(vector: dict[str, Any], tmp_path: Path) -> None:
    token = registered(tmp_path)
    if "key" in vector:
        Gateways(tmp_path / "gateways").give_key(GATEWAY, vector["key"], replace=False, wall_us=0)
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        held = vector["held"]
        for text in held["texts"]:
            await site.text(text.encode())
        if held["entries"]:
            await site.entries(0, [text.encode() for text in held["entries"]])
        for message, answer in zip(vector["messages"], vector["answers"], strict=True):
            body = bytes.fromhex(message["body"])
            told = await site.ask(message["header"], body)
            if answer.get("cosignature") == "*":
                note = Note.parse(body)
                line = Signature.parse(told["cosignature"])
                key = Cosigner(tmp_path / "witness", "regulator-hub", born=False).key
                assert witnessed_s(Note(note.text, (*note.signatures, line)), key)
                told["cosignature"] = "*"
            if "entries" in answer:
                told["entries"] = [entry.decode() for entry in wire.decode_run(told)]
            told.pop("why", None)
            assert told == answer


async def test_sizes_and_exact_bytes_survive_a_restart(tmp_path: Path) -> None:
    token = registered(tmp_path)
    entries = record.start(300)
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        await site.text(record.TEXT)
        assert await site.entries(0, entries) == receipt(300)
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        hello = await site.hello([[EPOCH, 300], [OTHER, 5]])
        assert hello == {"hub": "regulator-hub", "sizes": {EPOCH: 300, OTHER: 0}, "closed": []}
        address = f"{running.url}/api/v1/gateways/{GATEWAY}/entries?epoch={EPOCH}&first=0&count=1000"
        async with site.http.get(address) as response:
            assert await response.read() == wire.lines(entries)


async def test_a_conflict_is_kept_apart_alarmed_and_closes_the_epoch(tmp_path: Path) -> None:
    token = registered(tmp_path)
    entries = record.start(5)
    forged = record.batch(3, -30.0)
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        await site.text(record.TEXT)
        await site.entries(0, entries)
        conflict = {"conflict": "other-bytes", "epoch": EPOCH, "seq": 3, "hash": leaf_hash(entries[3]).hex()}
        assert await site.entries(3, [forged, entries[4], record.batch(5, -20.0)]) == conflict
        assert await site.entries(5, [record.batch(5, -20.0)]) == conflict
        evidence = (await site.get(f"/api/v1/gateways/{GATEWAY}/evidence"))["evidence"]
        assert [(e["kind"], e["seq"], e["held"], e["offered"]) for e in evidence] == [
            ("conflict", 3, entries[3].decode(), forged.decode())
        ]
        alarms = (await site.get("/api/v1/alarms"))["alarms"]
        assert [(a["kind"], a["about"], a["detail"]["seq"]) for a in alarms] == [("conflict", EPOCH, 3)]
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        assert (await site.hello([[EPOCH, 6]])) == {"hub": "regulator-hub", "sizes": {EPOCH: 5}, "closed": [EPOCH]}
        assert await site.entries(0, [record.snapshot(0)], OTHER) == receipt(1, epoch=OTHER)  # the way on


async def test_the_hubs_larger_size_is_a_roll_back_alarmed_once(tmp_path: Path) -> None:
    token = registered(tmp_path)
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        await site.entries(0, record.start(5))
        other = record.start(2)
        for _ in range(2):
            assert (await site.hello([[EPOCH, 3]]))["sizes"] == {EPOCH: 5}
            await site.entries(0, other, OTHER)  # it goes on, in another epoch
        alarms = (await site.get(f"/api/v1/gateways/{GATEWAY}/alarms"))["alarms"]
        assert [(a["kind"], a["detail"]) for a in alarms] == [("roll-back", {"held": 5, "theirs": 3})]


async def test_a_skipped_range_is_recorded_and_shown(tmp_path: Path) -> None:
    token = registered(tmp_path)
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        await site.text(record.TEXT)
        await site.entries(0, record.start(3))
        roots = ["ab" * 32, "cd" * 32]
        header = {"kind": "skipped", "epoch": EPOCH, "first": 0, "count": 8192, "reason": "freed", "roots": roots}
        assert await site.ask(header) == receipt(8192, [[3, 8189]])
        assert await site.ask(header) == receipt(8192, [[3, 8189]])
        assert await site.entries(8192, [record.snapshot(8192, 1), record.batch(8193, -21.0)]) == receipt(8194, [[3, 8189]])
        shown = (await site.get("/api/v1/gateways"))["gateways"][0]["epochs"][0]["skipped"]
        assert [(s["first"], s["count"], s["missing_first"], s["reason"], s["roots"]) for s in shown] == [
            (0, 8192, 3, "freed", roots)
        ]
        assert [a["kind"] for a in (await site.get("/api/v1/alarms"))["alarms"]] == ["skipped"]
        # The interpretation goes on behind the hole.
        path = f"/api/v1/gateways/{GATEWAY}/readings?point=cold1-air"
        found = await site.eventually(path, lambda answer: len(answer["readings"]) == 2)
        assert [(r["seq"], r["value"]) for r in found["readings"]] == [(2, -22.0), (8193, -21.0)]


async def test_a_live_copy_that_was_not_the_entry_is_evidence(tmp_path: Path) -> None:
    token = registered(tmp_path)
    entries = record.start(5)
    early = record.batch(3, -1.0)
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        await site.text(record.TEXT)
        assert await site.live({1: entries[1]}) == {"seen": 1, "epoch": EPOCH}
        assert await site.live({3: early, 4: entries[4]}) == {"seen": 2, "epoch": EPOCH}
        assert await site.live({3: record.batch(3, -2.0)}) == {"seen": 1, "epoch": EPOCH}  # differs from the first copy
        assert await site.entries(0, entries) == receipt(5)  # the ordered lane counts
        assert await site.live({2: record.batch(2, -3.0)}) == {"seen": 1, "epoch": EPOCH}  # comes late and differs
        evidence = (await site.get(f"/api/v1/gateways/{GATEWAY}/evidence"))["evidence"]
        assert [(e["kind"], e["seq"]) for e in evidence] == [("live", 2), ("live", 3), ("live", 3)]
        assert (evidence[1]["held"], evidence[1]["offered"]) == (entries[3].decode(), early.decode())
        assert {a["kind"] for a in (await site.get("/api/v1/alarms"))["alarms"]} == {"live-differs"}
        assert (await site.hello([[EPOCH, 5]]))["closed"] == []


async def test_only_the_token_of_this_gateway_opens(tmp_path: Path) -> None:
    token, other = registered(tmp_path), registered(tmp_path, "hm-012")
    hello = wire.encode_message({"kind": "hello", "session": "0" * 32, "n": 0, "epochs": []})
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        for wrong in ("", other, token + "x", token[:-1], "é"):
            status, problem = await site.post(hello, wrong)
            assert (status, problem["code"]) == (401, "unauthorised")
            assert wrong not in json.dumps(problem) or not wrong
        async with gateway(running.url, token, "nobody-here") as stranger:
            assert (await stranger.post(hello))[1]["code"] == "unauthorised"
        assert (await site.post(hello))[0] == 200
        (tmp_path / "gateways" / f"{GATEWAY}.json").unlink()  # taken away while the hub runs
        assert (await site.post(hello))[0] == 401
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert token.encode() not in stored  # only its hash is kept, unless it is for MQTT


async def test_sessions_and_counters(tmp_path: Path) -> None:
    token = registered(tmp_path)
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        await site.hello()
        session = site.session
        assert await site.entries(0, record.start(2)) == receipt(2) | {"need_text": [record.SHA]}
        again = {"kind": "entries", "epoch": EPOCH, "first": 0, "count": 1, "n": 1}
        assert (await site.ask(again, wire.lines(record.start(1))))["problem"]["code"] == "counter"
        unknown = again | {"session": "0" * 64, "n": 9}
        assert (await site.ask(unknown, b"x\n"))["problem"]["code"] == "unknown-session"
        for _ in range(50):  # somebody replays hellos: the session in use is not displaced
            await site.post(wire.encode_message({"kind": "hello", "session": "1" * 32, "n": 0, "epochs": []}))
        site.session, site.n = session, 5
        assert (await site.entries(2, [record.batch(2, -20.0)]))["receipt"]["size"] == 3


async def test_bounds_and_broken_bytes_are_refused_with_a_code(tmp_path: Path) -> None:
    token = registered(tmp_path)
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        await site.hello()
        bomb = gzip.compress(bytes(100 << 20), 9)
        for message, status, code in (
            (os.urandom(wire.MAX_COMPRESSED_BYTES + 1), 413, "too-large"),
            (bomb, 413, "inflated-too-large"),
            (b"", 400, "not-gzip"),
            (b"plain", 400, "not-gzip"),
            (gzip.compress(b"{}\n"), 400, "version"),
            (gzip.compress(b'{"v":1}\n'), 400, "bad-header"),
        ):
            got, problem = await site.post(message)
            assert (got, problem["code"], problem["status"]) == (status, code, status)
        wrong = {"kind": "text", "sha256": "0" * 64}
        assert (await site.ask(wrong, b"no such text"))["problem"]["code"] == "bad-sha256"
        large = {"kind": "entries", "epoch": EPOCH, "first": 0, "count": 1}
        assert (await site.ask(large, b"x" * (192 * 1024 + 1) + b"\n"))["problem"]["code"] == "entry-too-large"
        assert (await site.hello([[EPOCH, 0]]))["sizes"] == {EPOCH: 0}
        address = f"{running.url}/api/v1/gateways/{GATEWAY}/entries"
        async with site.http.post(address, data=_endless(), headers={"Authorization": f"Bearer {token}"}) as response:
            assert response.status == 413  # chunked, without a length: cut at the bound


async def _endless() -> Any:
    for _ in range(64):
        yield os.urandom(16 * 1024)


async def test_nothing_is_refused_for_its_content(tmp_path: Path) -> None:
    token = registered(tmp_path)
    entries = [b"no json", b'{"seq":9,"kind":"batch"}', b"\xff\xfe", record.entry(3, "later-kind", says="x")]
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        assert await site.entries(0, entries) == receipt(4)
        path = f"/api/v1/gateways/{GATEWAY}/quarantine"
        found = await site.eventually(path, lambda answer: answer["count"] == 3)
        assert set(found["newest"]) == {f"{EPOCH}/{seq}" for seq in range(3)}
        row = (await site.get("/api/v1/gateways"))["gateways"][0]
        assert (row["unknown"], row["quarantined"]) == ({"later-kind": 1}, 3)


async def test_killed_between_store_and_answer(tmp_path: Path) -> None:
    """The gateway never hears the receipt; the bytes are there all the same, and nothing is stored twice."""
    patch = (
        "import os, signal\nfrom regulator_hub import desk\ntell = desk._told\n"
        "def die(result):\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        "desk._told = die if not os.path.exists('died') else tell\nopen('died', 'w').close()\n"
    )
    entries = record.start(50)
    with HubProcess(tmp_path, patch=patch) as hub:
        token = registered(hub.state_dir)
        async with gateway(hub.url, token) as site:
            with pytest.raises(aiohttp.ClientError):
                await site.entries(0, entries)
        hub.restart()
        async with gateway(hub.url, token) as site:
            assert (await site.hello([[EPOCH, 50]]))["sizes"] == {EPOCH: 50}
            assert (await site.entries(49, [entries[49], record.batch(50, -20.0)]))["receipt"]["size"] == 51


@pytest.mark.parametrize(
    "content",
    [
        b'{"v":1,"seq":5,"kind":["config"],"text":{}}',
        b'{"v":1,"seq":5,"kind":{"config":1}}',
        b'{"v":1,"seq":5,"kind":"snapshot","config":[],"configs":{"config":0},"state_text":[]}',
        b'["config"]',
        b'{"v":1,"seq":5,"kind":"config","text":["' + b"0" * 64 + b'"],"texts":{"a":{},"b":[1]}}',
    ],
)
async def test_no_content_of_an_entry_stops_the_store(tmp_path: Path, content: bytes) -> None:
    """Bytes are stored first; what they mean is the interpretation's matter, and never another gateway's."""
    token = registered(tmp_path)
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        await site.text(record.TEXT)
        await site.entries(0, record.start(5))
        async with asyncio.timeout(5):
            assert await site.entries(5, [content]) == receipt(6)
            assert await site.entries(6, [record.batch(6, -20.0)]) == receipt(7)
            await site.live({9: content.replace(b'"seq":5', b'"seq":9')})


async def test_a_place_beyond_every_entry_is_empty(tmp_path: Path) -> None:
    """As a key it would be the first entry of this epoch again, and the bound on their number would not hold."""
    token = registered(tmp_path)
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        await site.text(record.TEXT)
        await site.entries(0, record.start(50))
        for first in (1 << 40, 3 << 40, 9_999_999_999_999):
            address = f"{running.url}/api/v1/gateways/{GATEWAY}/entries?epoch={EPOCH}&first={first}&count=1"
            async with site.http.get(address) as response:
                assert (response.status, await response.read()) == (200, b"")


async def test_a_hello_that_comes_late_or_twice_is_no_roll_back_and_a_real_one_is_alarmed(tmp_path: Path) -> None:
    token = registered(tmp_path)
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site, gateway(running.url, token) as live:
        await site.entries(0, record.start(10))
        old = wire.encode_message({"kind": "hello", "session": "ab" * 16, "n": 0, "epochs": [[EPOCH, 4]]})
        for _ in range(2):
            assert (await site.post(old))[0] == 200  # said again by whatever lies between
        await live.hello([[EPOCH, 9]])  # overtaken by the ordered lane
        await live.live({12: record.batch(12, -20.0)})
        assert (await site.get("/api/v1/alarms"))["alarms"] == []
        await site.hello([[EPOCH, 4]])
        await site.entries(0, record.start(2), OTHER)
        (alarm,) = (await site.get("/api/v1/alarms"))["alarms"]
        assert (alarm["kind"], alarm["about"], alarm["detail"]) == ("roll-back", EPOCH, {"held": 10, "theirs": 4})
