"""A new epoch at a running hub over HTTP: received and shown like any other, cosigned only once a person accepted it."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.record.checkpoint import Checkpoint
from edge_gateway.record.note import Note
from regulator_hub.acceptance import FIRST, ITSELF, Behind, behind, claims
from regulator_hub.gateways import Gateways
from regulator_hub.store.reader import EpochRow
from tests.regulator_hub import record
from tests.regulator_hub.harness import EPOCH, GATEWAY, OTHER, Gateway, gateway, registered, running_hub
from tests.regulator_hub.test_app import hub_cli
from tests.regulator_hub.test_witness import HAND, alarms, cosigned_at, known, shown, witness_key

THIRD = "1" * 16


def root(entries: list[bytes]) -> str:
    return Checkpoint.parse(Note.parse(HAND.note(entries)).text).root.hex()


def named(entries: list[bytes], epoch: str = EPOCH, **more: Any) -> dict[str, Any]:
    """A ``previous`` that names these entries as the newest cosigned ones."""
    cosigned = {"epoch": epoch, "size": len(entries), "root": root(entries), "note": "…"}
    return {"epoch": epoch, "size": len(entries), "root": root(entries), "reason": "damage", "cosigned": cosigned, **more}


def born(previous: dict[str, Any] | None) -> list[bytes]:
    """The beginning of a new epoch."""
    return [record.snapshot(0, **({"previous": previous} if previous else {})), record.config(1), record.batch(2, -20.0)]


async def cosigned(site: Gateway, folder: Path, entries: list[bytes], epoch: str = EPOCH) -> None:
    note = HAND.note(entries, epoch)
    assert cosigned_at(note, await shown(site, note), witness_key(folder))


async def pending(site: Gateway) -> list[str]:
    (row,) = (await site.get("/api/v1/gateways"))["gateways"]
    return [each["epoch"] for each in row["epochs"] if each["pending"]]


async def test_a_new_epoch_is_received_and_shown_and_cosigned_once_a_person_accepts_it(tmp_path: Path) -> None:
    token, entries = known(tmp_path), record.start(9)
    state = ["--state-dir", str(tmp_path)]
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        await site.entries(0, entries)
        await cosigned(site, tmp_path, entries)
        more = born(named(entries))
        assert "pending" not in await site.hello([[EPOCH, 9], [OTHER, 3]])
        assert (await site.entries(0, more, OTHER))["receipt"]["size"] == 3
        refused = await shown(site, HAND.note(more, OTHER))
        assert (refused["refused"], "behind" in refused) == ("pending", False)
        assert f"regulator-hub gateways accept {GATEWAY} {OTHER}" in refused["why"]
        assert (await site.hello([[EPOCH, 9], [OTHER, 3]]))["pending"] == [OTHER]
        assert await pending(site) == [OTHER]
        await cosigned(site, tmp_path, entries)  # the one before goes on
        assert f"pending 待确认 {OTHER}" in hub_cli("gateways", *state).stdout
        assert json.loads(hub_cli("gateways", "list", "--json", *state).stdout)["gateways"][0]["pending"] == [OTHER]
        none = hub_cli("gateways", "accept", GATEWAY, THIRD, "--reason", "x", *state)
        assert (none.returncode, "the hub holds no epoch" in none.stderr) == (1, True)
        done = hub_cli("gateways", "accept", GATEWAY, OTHER, "--reason", "a new disk", *state)  # while the hub runs
        assert (done.returncode, "accepted" in done.stdout) == (0, True), done.stderr
        assert "already" in hub_cli("gateways", "accept", GATEWAY, OTHER, "--reason", "x", *state).stdout
        await cosigned(site, tmp_path, more, OTHER)
        assert "pending" not in await site.hello([[EPOCH, 9], [OTHER, 3]])
        assert await pending(site) == []
        assert await alarms(site) == []
    kept = Gateways(tmp_path / "gateways").list()[0].accepted
    assert [(each.epoch, each.by, each.reason) for each in kept] == [
        (EPOCH, ITSELF, FIRST),
        (OTHER, getpass.getuser(), "a new disk"),
    ]
    assert kept[1].at_us > kept[0].at_us > 0
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:  # and after a restart
        await cosigned(site, tmp_path, more, OTHER)


async def test_registering_the_key_accepts_what_is_there_by_then(tmp_path: Path) -> None:
    token, entries = registered(tmp_path), record.start(9)
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        for epoch in (EPOCH, OTHER):
            await site.entries(0, entries, epoch)
        assert await pending(site) == []  # without a key nothing is cosigned, so nothing waits
        assert hub_cli("gateways", "key", GATEWAY, HAND.vkey, "--state-dir", str(tmp_path)).returncode == 0
        await site.entries(0, entries, THIRD)
        assert await pending(site) == [THIRD]
        for epoch in (OTHER, EPOCH):
            await cosigned(site, tmp_path, entries, epoch)
        assert (await shown(site, HAND.note(entries, THIRD)))["refused"] == "pending"
    kept = Gateways(tmp_path / "gateways").list()[0].accepted
    assert {(each.epoch, each.by) for each in kept} == {(EPOCH, getpass.getuser()), (OTHER, getpass.getuser())}


@pytest.mark.parametrize("previous", ["lower", "nothing", "another record"])
async def test_an_epoch_that_names_less_than_was_cosigned_is_a_roll_back(previous: str, tmp_path: Path) -> None:
    """Planted: an older disk image began a new epoch; a gateway that knows of nothing; one that tells of another record."""
    token, entries = known(tmp_path), record.start(9)
    before = {
        "lower": named(entries[:6]),
        "nothing": None,
        "another record": named([*entries[:8], record.batch(8, 0.0)]),
    }[previous]
    kind = "fork" if previous == "another record" else "roll-back"
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        await site.entries(0, entries)
        await cosigned(site, tmp_path, entries)
        more = born(before)
        await site.entries(0, more, OTHER)
        assert await alarms(site) == [(kind, f"epoch {OTHER}")]
        refused = await shown(site, HAND.note(more, OTHER))
        assert (refused["refused"], refused["behind"]) == ("pending", {"epoch": EPOCH, "size": 9})
        hub_cli("gateways", "accept", GATEWAY, OTHER, "--reason", "a new disk", "--state-dir", str(tmp_path))
        await cosigned(site, tmp_path, more, OTHER)  # a person looked


async def test_a_hub_that_was_killed_before_it_looked_alarms_at_its_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token, entries = known(tmp_path), record.start(9)

    async def killed(*_: object) -> None: ...

    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        await site.entries(0, entries)
        await cosigned(site, tmp_path, entries)
        monkeypatch.setattr(running.hub.witness, "born", killed)
        await site.entries(0, born(named(entries[:6])), OTHER)
        assert await alarms(site) == []
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        assert await alarms(site) == [("roll-back", f"epoch {OTHER}")]


async def test_an_epoch_without_entries_is_no_way_around_a_person(tmp_path: Path) -> None:
    """Planted: a checkpoint of nothing, so that something of the epoch were cosigned."""
    token, entries = known(tmp_path), record.start(9)
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        await site.entries(0, entries)
        await cosigned(site, tmp_path, entries)
        await site.hello([[OTHER, 0]])
        assert (await shown(site, HAND.note([], OTHER)))["refused"] == "pending"
        await site.entries(0, entries, OTHER)
        assert (await shown(site, HAND.note(entries, OTHER)))["refused"] == "pending"


async def test_a_store_that_was_lost_makes_no_epoch_the_first_again(tmp_path: Path) -> None:
    token, entries = known(tmp_path), record.start(9)
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        await site.entries(0, entries)
        await cosigned(site, tmp_path, entries)
    for path in tmp_path.glob("hub.sqlite*"):
        path.unlink()
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        await site.entries(0, entries, OTHER)
        assert (await shown(site, HAND.note(entries, OTHER)))["refused"] == "pending"
        await site.entries(0, entries)
        await cosigned(site, tmp_path, entries)


def test_what_a_first_entry_must_name() -> None:
    rows = [EpochRow(id=n, gateway=GATEWAY, epoch=name, number=n, size=9, closed_at=None) for n, name in enumerate((EPOCH, OTHER, THIRD))]
    entries = record.start(9)
    logs = {EPOCH: (9, bytes.fromhex(root(entries)))}

    def lacks(previous: dict[str, Any] | None, epoch: str = OTHER, roots: dict[int, bytes] | None = None) -> Behind | None:
        return behind(born(previous)[0], epoch, rows, logs, roots)

    assert lacks(named(entries)) is None
    assert lacks(named(entries), THIRD) is None
    # The end of the epoch before may be cosigned after this one was born: that it is held is enough, if its root is that of our bytes.
    late = named(entries[:5], size=9) | {"root": root(entries)}
    assert lacks(late) is None
    assert lacks(late | {"root": "ab" * 32}) == Behind("fork", EPOCH, 9, 9)
    assert lacks(late | {"reason": "roll-back"}) == Behind("roll-back", EPOCH, 9, 0)
    assert lacks(late | {"reason": "roll-back"}, roots={5: bytes.fromhex(root(entries[:5]))}) == Behind("roll-back", EPOCH, 9, 5)
    assert lacks(late | {"size": 8}) == Behind("roll-back", EPOCH, 9, 0)
    # More than we hold, or more with a root that nobody can check, is a claim and no more.
    beyond = named(entries[:5]) | {"size": 20, "root": "ab" * 32}
    assert lacks(beyond) == Behind("roll-back", EPOCH, 9, 0)
    assert claims(born(beyond)[0], OTHER, rows, logs) == (rows[0], [5])
    assert claims(born(late | {"size": 8})[0], OTHER, rows, logs) == (rows[0], [5, 8])
    # A hub that lost its store cannot prove a size beyond what is left of it: there the gateway's word is enough, below it is not.
    lost = [EpochRow(id=0, gateway=GATEWAY, epoch=EPOCH, number=0, size=4, closed_at=None), *rows[1:]]
    assert behind(born(beyond)[0], OTHER, lost, logs) is None
    assert behind(born(named(entries[:3]))[0], OTHER, lost, logs) == Behind("roll-back", EPOCH, 9, 0)
    assert lacks(None, EPOCH) is None  # nothing was cosigned before it
    for nonsense in (b"no entry", b"[]", b'{"previous":7}', b'{"previous":{"cosigned":[]}}'):
        assert behind(nonsense, OTHER, rows, logs) == Behind("roll-back", EPOCH, 9, 0)
