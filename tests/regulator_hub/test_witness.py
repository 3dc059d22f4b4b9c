"""Cosignatures by a running hub over HTTP: given for what it holds, and for nothing that was planted here."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import apsw
import pytest

from edge_gateway.record.checkpoint import Checkpoint, witnessed_s
from edge_gateway.record.note import Key, Note, Signature, note_bytes
from regulator_hub import cosigned as memory
from regulator_hub.cosigned import Cosigned, MemoryLost
from regulator_hub.cosigner import Cosigner, key_name
from regulator_hub.gateways import Gateways
from regulator_hub.store import schema, witnessed
from tests.regulator_hub import record
from tests.regulator_hub.harness import EPOCH, GATEWAY, OTHER, Gateway, HubProcess, gateway, registered, running_hub
from tests.regulator_hub.signing import Hand
from tests.regulator_hub.test_app import hub_cli

HAND = Hand()


def known(state_dir: Path, vkey: str = HAND.vkey) -> str:
    """The token of a gateway whose key is registered."""
    token = registered(state_dir)
    Gateways(state_dir / "gateways").give_key(GATEWAY, vkey, replace=False, wall_us=0)
    return token


def witness_key(state_dir: Path, name: str = "regulator-hub") -> Key:
    return Cosigner(state_dir / "witness", name, born=False).key


async def shown(site: Gateway, note: bytes) -> dict[str, Any]:
    """The answer to a checkpoint."""
    return await site.ask({"kind": "checkpoint"}, note)


def cosigned_at(note: bytes, answer: dict[str, Any], key: Key) -> int | None:
    """When the answer's line cosigns the note, by ``key``; None if it does not."""
    assert set(answer) == {"cosignature", "size", "epoch"}, answer
    plain = Note.parse(note)
    whole = Note.parse(note_bytes(plain.text, [*plain.signatures, Signature.parse(answer["cosignature"])]))
    return witnessed_s(whole, key)


async def alarms(site: Gateway) -> list[tuple[str, str]]:
    return sorted((a["kind"], a["about"]) for a in (await site.get("/api/v1/alarms"))["alarms"])


async def evidence(site: Gateway) -> list[tuple[str, int]]:
    found = (await site.get(f"/api/v1/gateways/{GATEWAY}/evidence"))["evidence"]
    return sorted((e["kind"], e["seq"]) for e in found)


async def test_what_it_holds_is_cosigned_again_and_after_a_restart(tmp_path: Path) -> None:
    token, entries = known(tmp_path), record.start(40)
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        key = witness_key(tmp_path)
        await site.text(record.TEXT)
        await site.entries(0, entries[:30])
        first, later = HAND.note(entries[:17]), HAND.note(entries)
        before_s = record.now_us() // 1_000_000
        for _ in range(2):  # an answer that was lost is asked for again
            assert (cosigned_at(first, await shown(site, first), key) or 0) >= before_s
        assert await shown(site, later) == {"expected": 30, "epoch": EPOCH}
        await site.entries(30, entries[30:])
        assert cosigned_at(later, await shown(site, later), key)
        assert (await site.hello([[EPOCH, 40], [OTHER, 0]]))["witnessed"] == {EPOCH: 40}
        kept = Cosigned.parse((tmp_path / f"witness/cosigned/{GATEWAY}.json").read_bytes(), GATEWAY)
        assert kept.logs == {EPOCH: (40, Checkpoint.parse(Note.parse(later).text).root)}
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        assert (await site.hello([[EPOCH, 45]]))["witnessed"] == {EPOCH: 40}
        more = [*entries, *(record.batch(seq, -20.0) for seq in range(40, 45))]
        await site.entries(40, more[40:])
        assert cosigned_at(HAND.note(more), await shown(site, HAND.note(more)), key)
        assert await alarms(site) == []
        async with site.http.get(f"{running.url}/api/v1/gateways/{GATEWAY}/checkpoint") as response:
            assert witnessed_s(Note.parse(await response.read()), key)
        epochs = (await site.get("/api/v1/gateways"))["gateways"][0]["epochs"]
        assert {each["epoch"]: each["witnessed"] for each in epochs} == {EPOCH: 45, OTHER: None}
    assert (tmp_path / "witness").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "witness/cosign.key").stat().st_mode & 0o777 == 0o600


async def test_no_key_nothing_signed_by_others_and_no_other_log(tmp_path: Path) -> None:
    token, entries = registered(tmp_path), record.start(5)
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        await site.entries(0, entries)
        assert (await shown(site, HAND.note(entries)))["refused"] == "no-key"
        Gateways(tmp_path / "gateways").give_key(GATEWAY, HAND.vkey, replace=False, wall_us=0)  # while the hub runs
        clone = await shown(site, Hand(2).note(entries))
        assert (clone["refused"], "not signed by the registered key" in clone["why"]) == ("foreign-key", True)
        for other in (Hand(name="example.org/other"), Hand(name="else.org/" + GATEWAY)):
            assert (await shown(site, other.note(entries)))["refused"] == "foreign-log"
        assert (await shown(site, HAND.note(entries, "no-epoch")))["refused"] == "foreign-log"
        flipped = bytearray(HAND.note(entries))
        flipped[-10] ^= 1
        assert (await shown(site, bytes(flipped)))["refused"] in {"foreign-key", "no-checkpoint"}
        for nothing in (b"x", HAND.note(entries).replace(b"\n\n", b"\nextension\n\n"), HAND.note(entries) * 20):
            assert (await shown(site, nothing))["refused"] == "no-checkpoint"
        assert ("foreign-key", 0) in await evidence(site)
        assert {kind for kind, _ in await alarms(site)} == {"foreign-key"}
        assert not list((tmp_path / "witness/cosigned").iterdir())
        assert cosigned_at(HAND.note(entries), await shown(site, HAND.note(entries)), witness_key(tmp_path))


async def test_a_fork_is_alarmed_kept_and_never_cosigned(tmp_path: Path) -> None:
    token, entries = known(tmp_path), record.start(9)
    forged = [*entries[:6], record.batch(6, -99.0), *entries[7:]]
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        await site.entries(0, entries)
        assert cosigned_at(HAND.note(entries[:5]), await shown(site, HAND.note(entries[:5])), witness_key(tmp_path))
        for _ in range(20):
            answer = await shown(site, HAND.note(forged))
            assert answer["refused"] == "fork"
        assert answer["held"] == {"size": 9, "root": Checkpoint.parse(Note.parse(HAND.note(entries)).text).root.hex()}
        assert await shown(site, HAND.note(entries[:5], root=b"\x00" * 32)) == {
            "refused": "fork",
            "why": "the stored entries give another root",
            "held": {"size": 5, "root": Checkpoint.parse(Note.parse(HAND.note(entries[:5])).text).root.hex()},
        }
        assert await alarms(site) == [("fork", f"checkpoint {EPOCH}")]
        assert await evidence(site) == [("fork", 5), ("fork", 9)]
        assert cosigned_at(HAND.note(entries), await shown(site, HAND.note(entries)), witness_key(tmp_path))


async def test_a_roll_back_is_alarmed_kept_and_never_cosigned(tmp_path: Path) -> None:
    token, entries = known(tmp_path), record.start(9)
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        await site.entries(0, entries)
        await shown(site, HAND.note(entries))
        answer = await shown(site, HAND.note(entries[:8]))
        assert (answer["refused"], answer["held"]["size"]) == ("roll-back", 9)
        assert await alarms(site) == [("roll-back", f"checkpoint {EPOCH}")]
        assert await evidence(site) == [("roll-back", 9)]


async def test_beyond_a_skipped_range_and_after_a_conflict_nothing_is_cosigned(tmp_path: Path) -> None:
    token, entries = known(tmp_path), record.start(5)
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        await site.entries(0, entries)
        skip = {"kind": "skipped", "epoch": EPOCH, "first": 0, "count": 4096, "reason": "freed", "roots": ["ab" * 32]}
        await site.ask(skip)
        assert cosigned_at(HAND.note(entries), await shown(site, HAND.note(entries)), witness_key(tmp_path))
        assert (await shown(site, HAND.note(entries, size=4096)))["refused"] == "skipped"
        await site.entries(0, entries, OTHER)
        await site.entries(4, [record.batch(4, -99.0)], OTHER)
        assert (await shown(site, HAND.note(entries, OTHER)))["refused"] == "closed"


@pytest.mark.parametrize("reserved", ["the same", "another record"])
async def test_a_store_from_an_old_copy_alarms_by_itself(reserved: str, tmp_path: Path) -> None:
    token, entries = known(tmp_path), record.start(9)
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        await site.entries(0, entries[:5])
        await shown(site, HAND.note(entries[:5]))
    shutil.copy(tmp_path / "hub.sqlite", tmp_path / "old")
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        await site.entries(5, entries[5:8])
        await shown(site, HAND.note(entries[:8]))
    shutil.copy(tmp_path / "old", tmp_path / "hub.sqlite")
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        assert await alarms(site) == [("store-behind", EPOCH)]
        assert (await site.hello([[EPOCH, 9]])) == {"hub": "regulator-hub", "sizes": {EPOCH: 5}, "closed": [], "witnessed": {EPOCH: 8}}
        assert (await shown(site, HAND.note(entries)))["expected"] == 5
        assert (await shown(site, HAND.note(entries[:6])))["refused"] == "roll-back"
        if reserved == "the same":
            await site.entries(5, entries[5:])
            assert cosigned_at(HAND.note(entries), await shown(site, HAND.note(entries)), witness_key(tmp_path))
            return
        forged = [*entries[:5], record.batch(5, -99.0), *entries[6:]]
        await site.entries(5, forged[5:])
        for note in (HAND.note(forged), HAND.note(entries)):
            assert (await shown(site, note))["refused"] == "store-differs"
        assert "store-differs" in {kind for kind, _ in await alarms(site)}
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:  # found again at the next start
        assert (await shown(site, HAND.note(forged)))["refused"] == "store-differs"


async def test_stored_bytes_that_changed_are_found_at_the_start(tmp_path: Path) -> None:
    token, entries = known(tmp_path), record.start(9)
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        await site.entries(0, entries, "f" * 16)  # an older epoch, though the larger name
        await shown(site, HAND.note(entries, "f" * 16))
        await site.hello([["f" * 16, 9], [EPOCH, 9]])
        root = Checkpoint.parse(Note.parse(HAND.note(entries, "f" * 16)).text).root.hex()
        entries[0] = record.snapshot(0, previous={"epoch": "f" * 16, "size": 9, "root": root, "reason": "damage"})
        await site.entries(0, entries)
        Gateways(tmp_path / "gateways").accept(GATEWAY, EPOCH, by="duty", reason="", wall_us=1)
        assert cosigned_at(HAND.note(entries), await shown(site, HAND.note(entries)), witness_key(tmp_path))
    db = apsw.Connection(str(tmp_path / "hub.sqlite"))
    newest = int(db.execute("SELECT max(id) FROM epochs").get)
    db.execute("UPDATE entries SET entry=? WHERE key=?", (record.batch(4, -1.0), newest << 40 | 4))
    db.close()
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        await site.eventually("/api/v1/alarms", lambda a: [each["kind"] for each in a["alarms"]] == ["store-differs"])
        assert await alarms(site) == [("store-differs", EPOCH)]
    db = apsw.Connection(str(tmp_path / "hub.sqlite"))
    db.execute("UPDATE cosigned SET note=?", (b"no note",))
    db.close()
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        assert ("witness-memory", "") in await alarms(site)
        assert (await shown(site, HAND.note(entries)))["refused"] == "memory"


def test_every_flipped_bit_of_the_memory_is_found(tmp_path: Path) -> None:
    memory.write(tmp_path, Cosigned(GATEWAY, {EPOCH: (9, b"\x07" * 32)}))
    data = (tmp_path / f"{GATEWAY}.json").read_bytes()
    assert memory.read(tmp_path, GATEWAY).logs == {EPOCH: (9, b"\x07" * 32)}
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(MemoryLost):
            Cosigned.parse(bytes(flipped), GATEWAY)
    for cut in range(len(data)):
        with pytest.raises(MemoryLost):
            Cosigned.parse(data[:cut], GATEWAY)


async def test_a_damaged_memory_cosigns_nothing_and_a_removed_one_is_replaced_by_the_notes(tmp_path: Path) -> None:
    token, entries = known(tmp_path), record.start(9)
    file = tmp_path / f"witness/cosigned/{GATEWAY}.json"
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        await site.entries(0, entries)
        await shown(site, HAND.note(entries[:8]))
    file.write_bytes(file.read_bytes().replace(b'[8,"', b'[7,"'))
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        assert (await shown(site, HAND.note(entries)))["refused"] == "memory"
        assert await alarms(site) == [("witness-memory", "")]
    file.unlink()
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        assert ("witness-memory", EPOCH) in await alarms(site)
        assert (await shown(site, HAND.note(entries[:7])))["refused"] == "roll-back"
        assert cosigned_at(HAND.note(entries), await shown(site, HAND.note(entries)), witness_key(tmp_path))


async def test_a_large_backlog_is_hashed_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regulator_hub.witness.CHUNK", 7)
    monkeypatch.setattr("regulator_hub.witness.AT_ONCE", 20)
    token, entries = known(tmp_path), record.start(100)
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        await site.entries(0, entries)
        left = []
        while "later" in (answer := await shown(site, HAND.note(entries))):
            left.append(answer["later"])
        assert left == [79, 58, 37, 16]
        assert cosigned_at(HAND.note(entries), answer, witness_key(tmp_path))


async def test_killed_between_memory_and_answer_nothing_is_forgotten(tmp_path: Path) -> None:
    """kill -9 once the memory is synced and before the cosignature exists: the same is cosigned, a roll-back is not."""
    patch = (
        "import os, signal\nfrom regulator_hub.cosigner import Cosigner\n"
        "Cosigner.cosign = lambda *_: os.kill(os.getpid(), signal.SIGKILL)"
    )
    entries = record.start(9)
    hub = HubProcess(tmp_path, patch=patch)
    token = known(hub.state_dir)
    with hub:
        async with gateway(hub.url, token) as site:
            await site.entries(0, entries)
            with pytest.raises(Exception, match=r"disconnect|reset|Connect"):
                await shown(site, HAND.note(entries))
    async with running_hub(hub.state_dir) as running, gateway(running.url, token) as site:
        assert (await site.hello([[EPOCH, 9]]))["witnessed"] == {EPOCH: 9}
        assert (await shown(site, HAND.note(entries[:8])))["refused"] == "roll-back"
        assert cosigned_at(HAND.note(entries), await shown(site, HAND.note(entries)), witness_key(hub.state_dir))


def test_a_store_of_the_layout_before_is_taken_over(tmp_path: Path) -> None:
    db = apsw.Connection(str(tmp_path / "hub.sqlite"))
    db.execute(schema.TABLES)
    db.execute("INSERT INTO gateways VALUES (1, 'tlf-007', 1, 1); INSERT INTO epochs VALUES (1, 1, 'e', 0, 5, NULL, 1)")
    db.pragma("user_version", 1)
    db.close()
    opened = schema.open_writer(tmp_path / "hub.sqlite")
    witnessed.keep(opened, GATEWAY, "e", 5, b"note")
    opened.close()
    again = schema.open_writer(tmp_path / "hub.sqlite")
    assert witnessed.notes(again, GATEWAY) == [("e", 5, b"note")]
    assert again.pragma("user_version") == schema.SCHEMA
    again.close()


def test_the_keys_on_the_command_line(tmp_path: Path) -> None:
    state = ["--state-dir", str(tmp_path / "state")]

    def key(*arguments: str, language: str = "C") -> subprocess.CompletedProcess[str]:
        return hub_cli("gateways", "key", GATEWAY, *arguments, *state, language=language)

    assert "is not registered" in key(HAND.vkey).stderr
    hub_cli("gateways", "add", GATEWAY, *state)
    for wrong in ("nonsense", HAND.vkey[:-3] + "AA=", Hand(name="example.org/other").vkey):
        refused = key(wrong)
        assert (refused.returncode, "no key of gateway" in refused.stderr) == (1, True), refused
    assert "不是网关" in key("nonsense", language="zh").stderr
    assert key(HAND.vkey).returncode == 0
    assert "already" in key(HAND.vkey).stdout
    other = key(Hand(2).vkey)
    assert (other.returncode, "has another key" in other.stderr, "--replace" in other.stderr) == (1, True, True)
    listed = json.loads(hub_cli("gateways", "list", "--json", *state).stdout)["gateways"]
    assert listed[0]["key"] == HAND.vkey
    assert key(Hand(2).vkey, "--replace", "--reason", "a new board").returncode == 0
    found = Gateways(tmp_path / "state/gateways").find(GATEWAY)
    assert found is not None
    assert [vkey for vkey, _ in found.keys] == [HAND.vkey, Hand(2).vkey]
    assert "no cosigning key" in hub_cli("key", *state).stderr
    made = Cosigner(tmp_path / "state/witness", "regulator-hub", born=True)
    shown = hub_cli("key", *state)
    assert (shown.stdout.strip(), made.key.fingerprint in shown.stderr) == (str(made.key), True)
    assert str(made.key).startswith("regulator-hub+")
    assert key_name("Demo hub + 1") == "Demo-hub-1"


def test_a_key_that_others_may_read_or_that_is_gone_is_refused(tmp_path: Path) -> None:
    with HubProcess(tmp_path):
        pass
    file = tmp_path / "state/witness/cosign.key"
    file.chmod(0o640)
    listen = ["--state-dir", str(tmp_path / "state"), "--listen", "127.0.0.1:0"]
    seen = hub_cli("run", *listen)
    assert (seen.returncode, "may be read by others" in seen.stderr) == (78, True), seen
    file.unlink()
    memory.write(tmp_path / "state/witness/cosigned", Cosigned(GATEWAY))
    gone = hub_cli("run", *listen)
    assert (gone.returncode, "no cosigning key" in gone.stderr) == (78, True), gone
