"""What the hub shows of handling and deadlines, alarms by itself while a gateway is dark, and keeps of commands and answers."""

from __future__ import annotations

import json
import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.errors import GatewayError
from edge_gateway.wire.command import HubCommand
from regulator_hub import handling, outbox, rows
from regulator_hub.commander import Commander
from regulator_hub.commanding import Wish, give
from regulator_hub.config import HubToml
from regulator_hub.cosigner import Cosigner
from regulator_hub.named import is_about, named
from regulator_hub.outbox import AGAIN_S, MAX_WAITING, Outbox
from regulator_hub.overdue import OVERDUE, UNANSWERED
from regulator_hub.told import whole
from regulator_hub.view import View
from tests.regulator_hub import record
from tests.regulator_hub.harness import EPOCH, GATEWAY, OTHER, gateway, registered, running_hub
from tests.vectors import make_hub_commands as made

HOUR_US = 3_600_000_000


def view() -> View:
    found = View(GATEWAY, {record.SHA: record.TEXT}.get)
    for seq, entry in enumerate([record.snapshot(0), record.config(1)]):
        found.feed(EPOCH, seq, entry, in_order=True)
    return found


def step(seq: int, what: str, **more: Any) -> bytes:
    return record.violation(seq, what, level="violation", opened={"epoch": EPOCH, "seq": 2}, **more)


def test_steps_are_listed_in_the_record_s_order_once_each_whichever_lane_brought_them() -> None:
    found = view()
    entries = {
        2: step(2, "violated"), 3: step(3, "acknowledged", handling="acknowledged", by="Li", reason="seen", proof="claimed"),
        4: step(4, "recovered", handling="acknowledged"), 5: step(5, "returned", handling="correcting", by="Wang", reason="no photo", returns=1, proof="hub"),
    }  # fmt: skip
    for seq, in_order in ((5, False), (2, True), (3, False), (3, True), (4, True), (5, True)):
        found.feed(EPOCH, seq, entries[seq], in_order=in_order)
    (shown,) = rows.violations(found, ended=False)
    assert [(each["seq"], each["step"], each.get("by")) for each in shown["steps"]] == [
        (2, "violated", None), (3, "acknowledged", "Li"), (4, "recovered", None), (5, "returned", "Wang"),
    ]  # fmt: skip
    assert (shown["handling"], shown["returns"], shown["opened"], shown["by"]) == ("correcting", 1, {"epoch": EPOCH, "seq": 2}, "Wang")


def test_what_goes_on_as_part_of_its_cause_is_hidden_by_it_and_may_return() -> None:
    found = view()
    found.feed(EPOCH, 2, step(2, "violated"), in_order=True)
    found.feed(EPOCH, 3, step(3, "merged", handling="merged", into="tlf-007-9"), in_order=True)
    assert rows.violations(found, ended=False) == []
    assert not found.state["violations"]["tlf-007-1"]["ended"]
    found.feed(EPOCH, 4, step(4, "unmerged"), in_order=True)
    assert [each["violation"] for each in rows.violations(found, ended=False)] == ["tlf-007-1"]


def test_a_notice_within_a_violation_that_is_cancelled_does_not_end_it() -> None:
    found = view()
    for seq, what in enumerate(("violated", "recovered", "notice", "cancelled"), 2):
        found.feed(EPOCH, seq, step(seq, what), in_order=True)
    assert [each["condition"] for each in rows.violations(found, ended=False)] == ["recovered"]


def test_a_deadline_is_overdue_by_the_hub_s_own_clock() -> None:
    found = view()
    found.feed(EPOCH, 2, step(2, "violated", due={"acknowledge": 1000, "correct": 5000, "verify": None}), in_order=True)
    one = found.state["violations"]["tlf-007-1"]
    assert [handling.overdue(one, now_us) for now_us in (1000, 1001, 5001)] == [[], ["acknowledge"], ["acknowledge", "correct"]]
    found.feed(EPOCH, 3, step(3, "closed", handling="closed", by="Li", reason="x"), in_order=True)
    assert handling.overdue(found.state["violations"]["tlf-007-1"], 10**15) == []


async def test_a_deadline_that_passes_while_the_gateway_is_dark_is_alarmed_by_the_hub_alone_and_ends_with_the_step(tmp_path: Path) -> None:
    token = registered(tmp_path)
    due_us = record.now_us() + 1_000_000
    async with running_hub(tmp_path, dark_after_s=1.0) as hub, gateway(hub.url, token) as site:
        await site.entries(0, [record.snapshot(0), record.config(1), step(2, "violated", due={"acknowledge": due_us})])
        early = [each for each in (await site.get("/api/v1/alarms"))["alarms"] if each["kind"] == OVERDUE]
        assert not early or record.now_us() > due_us
        told = await site.eventually("/api/v1/alarms", lambda a: {"dark", OVERDUE} <= {each["kind"] for each in a["alarms"]})
        (alarm,) = [each for each in told["alarms"] if each["kind"] == OVERDUE]
        assert (alarm["about"], alarm["detail"]["due_us"], alarm["until_us"]) == ("tlf-007-1 acknowledge", due_us, None)
        assert (await site.get("/api/v1/violations"))["violations"][0]["overdue"] == ["acknowledge"]
    async with running_hub(tmp_path) as hub, gateway(hub.url, token) as site:  # a restart raises it no second time
        await hub.hub.overdue.look()
        acknowledged = step(3, "acknowledged", handling="acknowledged", by="Li", reason="seen", due={"correct": due_us + HOUR_US})
        await site.entries(3, [acknowledged])
        told = await site.eventually("/api/v1/alarms", lambda a: all(e["until_us"] for e in a["alarms"] if e["kind"] == OVERDUE))
        assert len([each for each in told["alarms"] if each["kind"] == OVERDUE]) == 1


def command(state_dir: Path, number: int = 0, *, expires_in_s: int = 3600, issued_s_ago: int = 7200) -> tuple[HubCommand, bytes]:
    now_us = record.now_us() // 1_000_000 * 1_000_000
    text = made.text(made.GOOD | {"id": f"{number:032x}"})
    told = HubCommand.parse(text)
    fields = {name: getattr(told, name) for name in HubCommand.__slots__}
    made_now = HubCommand(**fields | {"issued_us": now_us - issued_s_ago * 1_000_000, "expires_us": now_us + expires_in_s * 1_000_000})
    return made_now, Commander(state_dir / "witness", "county", born=True).signed(made_now)


def test_the_key_of_commands_is_made_once_and_is_not_the_cosigning_key(tmp_path: Path) -> None:
    first = Commander(tmp_path, "county hub", born=True)
    assert Commander(tmp_path, "county hub", born=False).key == first.key
    assert (first.key.kind, first.key.name) == (1, "county-hub/commands")
    assert (tmp_path / "command.key").stat().st_mode & 0o777 == 0o600


async def test_the_hub_s_two_keys_differ(tmp_path: Path) -> None:
    async with running_hub(tmp_path) as hub:
        commands = Commander(hub.hub.config.witness_folder, hub.hub.config.name, born=False).key
        assert commands.public != Cosigner(hub.hub.config.witness_folder, hub.hub.config.name, born=False).key.public


async def test_a_command_stands_beside_answers_on_both_lanes_until_the_record_in_order_answers_it(tmp_path: Path) -> None:
    token = registered(tmp_path)
    async with running_hub(tmp_path) as hub, gateway(hub.url, token) as site:
        hub.hub.desk.outbox = Outbox(tmp_path, lambda: 0.0 if not site.log else float(len(site.log)) * AGAIN_S)
        told, note = command(tmp_path)
        await site.entries(0, record.start(2))
        Outbox(tmp_path).put(told, note)
        assert (await site.entries(2, [record.batch(2, -20.0)]))["commands"] == [note.decode()]
        assert "commands" not in await site.entries(3, [record.batch(3, -20.0)])  # not again at once
        site.log.append({})
        assert (await site.live({9: record.batch(9, -20.0)}))["commands"] == [note.decode()]
        site.log.append({})
        answer = record.entry(4, "command", outcome="executed", id=told.id, violation=told.violation, verb="return", note_sha256=sha256(note).hexdigest())
        await site.live({4: answer})
        site.log.append({})
        await site.eventually(f"/api/v1/gateways/{GATEWAY}/commands", lambda a: a["answered"])
        assert (await site.live({10: record.batch(10, -20.0)}))["commands"] == [note.decode()]  # a copy is no record
        site.log.append({})
        await site.entries(4, [answer])
        await site.eventually(f"/api/v1/gateways/{GATEWAY}/commands", lambda a: not a["waiting"])
        assert "commands" not in await site.entries(5, [record.batch(5, -20.0)])
        assert not list((tmp_path / "commands" / GATEWAY).glob("*.note"))


async def test_another_gateway_is_not_given_it(tmp_path: Path) -> None:
    registered(tmp_path)
    other = registered(tmp_path, "tlf-008")
    async with running_hub(tmp_path) as hub, gateway(hub.url, other, "tlf-008") as site:
        Outbox(tmp_path).put(*command(tmp_path))
        assert "commands" not in await site.entries(0, record.start(2), OTHER)
        assert hub.hub.desk.counts["commands_sent"] == 0


async def test_a_command_that_nobody_answers_is_alarmed_once_it_expired_until_the_record_answers_it(tmp_path: Path) -> None:
    token = registered(tmp_path)
    async with running_hub(tmp_path) as hub, gateway(hub.url, token) as site:
        told, note = command(tmp_path, expires_in_s=-61)
        Outbox(tmp_path).put(told, note)
        assert "commands" not in await site.entries(0, record.start(2))  # its gateway's clock may be behind
        found = await site.eventually("/api/v1/alarms", lambda a: any(each["kind"] == UNANSWERED for each in a["alarms"]))
        assert [(each["about"], each["until_us"]) for each in found["alarms"] if each["kind"] == UNANSWERED] == [(told.id, None)]
        assert hub.hub.desk.counts["commands_sent"] == 0
    async with running_hub(tmp_path) as hub, gateway(hub.url, token) as site:
        await hub.hub.overdue.look()  # after a restart it is the same alarm
        (alarm,) = [each for each in (await site.get("/api/v1/alarms"))["alarms"] if each["kind"] == UNANSWERED]
        assert alarm["until_us"] is None
        answer = record.entry(2, "command", outcome="refused", why="expired", id=told.id, note_sha256=sha256(note).hexdigest())
        await site.entries(2, [answer])
        found = await site.eventually("/api/v1/alarms", lambda a: all(each["until_us"] for each in a["alarms"] if each["kind"] == UNANSWERED))
        assert len([each for each in found["alarms"] if each["kind"] == UNANSWERED]) == 1
        assert not list((tmp_path / "commands" / GATEWAY).glob("*.note"))


def test_an_expired_command_is_sent_for_its_answer_when_no_clock_may_still_carry_it_out(tmp_path: Path) -> None:
    box = Outbox(tmp_path)
    told, note = command(tmp_path, expires_in_s=0)
    box.put(told, note)
    seconds = {60: [note], 61: [], 120: [], 121: [note]}
    for number, (after_s, want) in enumerate(seconds.items()):
        fresh = Outbox(tmp_path, lambda number=number: number * AGAIN_S)  # type: ignore[misc]
        assert fresh.due(GATEWAY, told.expires_us + after_s * 1_000_000, lambda _: False) == want, after_s


def test_the_queue_is_bounded(tmp_path: Path) -> None:
    box = Outbox(tmp_path)
    for number in range(MAX_WAITING):
        box.put(*command(tmp_path, number))
    noted: list[int] = []
    with pytest.raises(Exception, match="wait for gateway"):
        box.put(*command(tmp_path, MAX_WAITING), lambda: noted.append(1))
    assert noted == []  # what is refused is noted as no step
    assert len(box.due(GATEWAY, record.now_us(), lambda _: False)) == 8


def test_expired_commands_hold_no_place_and_the_oldest_of_them_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MAX_KEPT", 3)
    box = Outbox(tmp_path)
    for number in range(3):
        box.put(*command(tmp_path, number, expires_in_s=-7_000, issued_s_ago=9_000 - number))
    monkeypatch.setattr(outbox, "MAX_WAITING", 1)
    box.put(*command(tmp_path, 3, issued_s_ago=0))
    assert [int(item.command.id, 16) for item in box.waiting(GATEWAY)] == [1, 2, 3]
    with pytest.raises(Exception, match="1 commands wait for gateway"):
        box.put(*command(tmp_path, 4, issued_s_ago=0))


def test_two_commands_of_one_tick_of_the_disk_s_clock_are_both_seen(tmp_path: Path) -> None:
    box, other = Outbox(tmp_path), Outbox(tmp_path)
    other.put(*command(tmp_path, 1))
    assert len(box.waiting(GATEWAY)) == 1
    folder = tmp_path / "commands" / GATEWAY
    before = folder.stat()
    other.put(*command(tmp_path, 2))
    os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert len(box.waiting(GATEWAY)) == 2


def test_an_answer_that_is_none_is_quarantined() -> None:
    found = view()
    found.feed(EPOCH, 2, record.entry(2, "command", outcome="maybe", note_sha256="0" * 64), in_order=True)
    assert json.dumps(found.state["quarantine"]).count("no answer to a hub command") == 1


def test_marks_show_their_newest_step_and_phases_their_order() -> None:
    found = view()
    common = {"mark": "M-1", "type": "defrost", "by": "li", "reason": "ice", "points": ["cold1-air"], "until_wall_us": 9}
    for seq, step_, in_order in ((4, "ended", False), (2, "started", True), (3, "extended", True), (4, "ended", True)):
        found.feed(EPOCH, seq, record.entry(seq, "mark", **common, step=step_, fired=seq), in_order=in_order)
    (mark,) = found.state["marks"].values()
    assert (mark["step"], mark["fired"], mark["by"], mark["points"], mark["seq"]) == ("ended", 4, "li", ["cold1-air"], 4)
    for seq, phase in ((7, "closing"), (6, "production"), (7, "closing")):
        found.feed(EPOCH, seq, record.entry(seq, "phase", phase=phase, step="began", by="li", reason="time"), in_order=seq != 7)
    assert [each["phase"] for each in found.state["phases"]] == ["production", "closing"]
    for seq, step_, more in ((9, "corrected", {"offset": -0.3, "until_wall_us": 4, "from_wall_us": None}), (8, "as-found", {"error": 0.3, "within": False}), (9, "corrected", {"offset": -0.3})):
        found.feed(EPOCH, seq, record.entry(seq, "calibration", step=step_, point="cold1-air", by="li", reason="annual", **more), in_order=seq != 9)
    assert [(each["step"], each.get("error"), each.get("offset"), each.get("within")) for each in found.state["calibrations"]] == [
        ("as-found", 0.3, None, False), ("corrected", None, -0.3, None),
    ]  # fmt: skip
    found.feed(EPOCH, 10, record.entry(10, "calibration", step="guessed", point="x"), in_order=True)
    assert "no step of a calibration" in json.dumps(found.state["quarantine"])
    assert found.state["unknown"] == {}


def test_two_of_one_number_are_told_apart_by_their_epoch_and_a_command_is_about_the_one_that_was_named(tmp_path: Path) -> None:
    found = view()
    found.order = {EPOCH: 0, OTHER: 1}
    found.feed(EPOCH, 2, step(2, "violated"), in_order=True)
    found.feed(OTHER, 7, record.violation(7, "violated", level="violation", opened={"epoch": OTHER, "seq": 7}), in_order=True)
    known = found.state["violations"]
    number = known["tlf-007-1"]["violation"]
    first, second = "tlf-007-1", f"tlf-007-1@{OTHER}/7"
    assert set(known) == {first, second}
    assert [each["shown"] for each in rows.violations(found, ended=False)] == [f"{number}@{OTHER}", f"{number}@{EPOCH}"]
    for text, want in ((f"{number}@{EPOCH}", first), (f"{number}@{OTHER}", second), (f"{number}@{OTHER[:6]}", second), (f"{OTHER}/7", second), (second, second), (f"{EPOCH}/2", first)):
        assert named(known, text) == want, text
    with pytest.raises(GatewayError, match="names 2 violations") as refused:
        named(known, number)
    assert f"{number}@{OTHER}/7" in str(refused.value.hint)
    for text in ("tlf-007-9", f"{number}@ffffffffff", f"{OTHER}/8"):
        with pytest.raises(GatewayError, match="knows no violation"):
            named(known, text)
    told, _ = command(tmp_path)
    mine = {"violation": told.violation, "opened": {"epoch": told.epoch, "seq": told.opened}}
    assert is_about(told, mine)
    assert not is_about(told, mine | {"opened": {"epoch": OTHER, "seq": told.opened}})
    for seq, where in ((11, {"epoch": EPOCH, "seq": 2}), (12, {"epoch": OTHER, "seq": 7}), (13, None)):
        about = {"opened": where} if where else {}  # an answer of an earlier release says the number only
        found.feed(EPOCH, seq, record.entry(seq, "command", outcome="refused", id=str(seq), violation=number, note_sha256=f"{seq:064x}", **about), in_order=True)
    for row, ids in ((first, ["11", "13"]), (second, ["12", "13"])):
        assert [each["id"] for each in whole(found, row, Outbox(tmp_path), record.now_us())["answers"]] == ids
    found.feed(EPOCH, 3, step(3, "closed", handling="closed", by="Li", reason="x"), in_order=True)
    assert named(known, number) == second  # the one that is open
    config = HubToml(name="county", state_dir=tmp_path)
    Commander(config.witness_folder, config.name, born=True)
    now_us = record.now_us()
    wish = Wish("refer", second, "Li", "theirs", {"to": "health"}, HOUR_US)
    given, _ = give(config, found, wish, now_us)
    assert (given.violation, given.epoch, given.opened) == (number, OTHER, 7)
