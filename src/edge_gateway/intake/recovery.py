"""After a restart: state from the last snapshot and the entries after it, exactly as intake left it; no guesses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from edge_gateway.clock import Clock
from edge_gateway.errors import JournalDamaged
from edge_gateway.events import Alarmed
from edge_gateway.intake.loop import Intake
from edge_gateway.intake.replaying import RECALLED, Misfit, Replaying
from edge_gateway.intake.state import Setup, State
from edge_gateway.journal.base import Recovery
from edge_gateway.record import entry

#: The event, and the alarm.
MENDED = "log-mended"


class Texts(Protocol):
    """Where the texts are that entries name: the journal, or what came back from the hub; and the entries' epoch."""

    @property
    def epoch(self) -> str: ...

    async def text(self, sha256: str) -> bytes: ...


@dataclass(slots=True)
class Recovered:
    """State as it was at the last committed entry; ``last`` is that entry, None for an empty journal."""

    state: State
    last: dict[str, Any] | None = None
    #: whether the last run ended in order
    stopped: bool = False
    #: why not everything could be replayed, "" if it could
    damaged: str = ""
    #: the boot of untrusted entries that no correction followed, with what was added to monotonic time (µs)
    uncorrected: tuple[str, int] | None = None
    #: the least difference of rule time and monotonic time (µs) that the newest boot's entries show
    base_us: int | None = None


async def recover(journal: Texts, recovery: Recovery, gateway: str) -> Recovered:
    """Replay: batches and ticks through the rules of their time, steps of violations as they were recorded.

    The engine's own steps are not recorded again: they are in the record. Where a configuration's text does not read,
    batches cannot be judged again: rules then know what they knew at the snapshot, and ``damaged`` says so.
    """
    found = Recovered(State(gateway))
    state, replaying = found.state, Replaying(found.state, recovery.epoch or journal.epoch)
    if recovery.snapshot is not None:
        state.restore(recovery.snapshot)
        _note_base(found, recovery.snapshot)
        found.last = recovery.snapshot
        _note_trust(found, recovery.snapshot)
        if state.config is not None:
            seq = int(state.config["config_seq"])
            replaying.use(seq, await _resolved(journal, found, seq, str(state.config["text"])))
    else:
        state.lost = True
    for data in recovery.entries:
        body = entry.decode(data)
        _note_trust(found, body)
        _note_base(found, body)
        found.stopped = body["kind"] == "event" and body.get("event") == "stopped"
        if body["kind"] == "config":
            replaying.config(body, await _resolved(journal, found, int(body["seq"]), str(body["text"])))
        else:
            _take(found, replaying, await _whole(journal, found, body))
        found.last = body
    state.derivation.forget()
    return found


async def _resolved(journal: Texts, found: Recovered, config_seq: int, text: str) -> dict[str, Any] | None:
    try:
        resolved: dict[str, Any] = orjson.loads(await journal.text(text))
    except (KeyError, JournalDamaged) as wrong:
        found.damaged = found.damaged or f"the text of configuration {config_seq} does not read: {wrong}"
        return None
    return resolved


async def _whole(journal: Texts, found: Recovered, body: dict[str, Any]) -> dict[str, Any]:
    """A ``state-recalled`` event has its state by hash where it is large."""
    if body.get("event") != RECALLED or "state_text" not in body:
        return body
    try:
        return body | {"state": orjson.loads(await journal.text(str(body["state_text"])))}
    except (KeyError, JournalDamaged) as wrong:
        found.damaged = found.damaged or f"the state that entry {body['seq']} took over does not read: {wrong}"
        return body


def _take(found: Recovered, replaying: Replaying, body: Mapping[str, Any]) -> None:
    try:
        replaying.take(body)
    except Misfit as misfit:
        has, wanted = misfit.args
        found.damaged = found.damaged or f"entry {body['seq']} has {has} columns, its configuration gives its group {wanted}"


def _note_base(found: Recovered, body: Mapping[str, Any]) -> None:
    base_us = int(body["rule_us"]) - int(body["mono_us"])
    if body.get("event") == RECALLED and ("state" in body or "state_text" in body):
        found.base_us = base_us  # rule time may have gone ahead with it
        return
    same = found.last is not None and found.last["boot"] == body["boot"] and found.base_us is not None
    found.base_us = min(found.base_us, base_us) if same and found.base_us is not None else base_us


def _note_trust(found: Recovered, body: Mapping[str, Any]) -> None:
    if body["kind"] == "correction" and found.uncorrected is not None and body["boot"] == found.uncorrected[0]:
        found.uncorrected = None
    elif not body["trusted"]:
        found.uncorrected = str(body["boot"]), int(body["wall_us"]) - int(body["mono_us"])


async def tell_mended(intake: Intake, why: str) -> None:
    """What had rotted on the disk and was put back as it was: nothing is lost, and a person should look at that disk."""
    await intake.add("event", {"event": MENDED, "why": why})
    intake.tell(Alarmed(code=MENDED, why=f"{why}: nothing is lost; look at this disk"))


async def open_run(
    intake: Intake, found: Recovered, setup: Setup, clock: Clock, *, carried: str, damaged: str, rtc: bool | None = None
) -> None:
    """The first entries of a run: why nothing was read since the last one, the start, the configuration."""
    last = found.last
    if last is not None:
        since_us = _unaccounted_since_us(found.state, last)
        for gap_id in list(intake.state.gaps):
            await _close_gap(intake, found.state, gap_id, int(last["mono_us"]))
        same_boot = last["boot"] == clock.boot
        reason = "stopped" if found.stopped else ("killed" if same_boot else "power-off")
        gap_id = f"run-{last['seq']}"
        body = {
            "gap": gap_id,
            "state": "open",
            "groups": ["*"],
            "reason": reason,
            "since_slot_us": since_us,
        }
        since_wall_us = int(last["wall_us"]) - (int(last["mono_us"]) - since_us)
        body |= {"since_wall_us": since_wall_us, "since_boot": last["boot"]}
        await intake.add("gap", body)
    started: dict[str, Any] = {"event": "started", "software": setup.software, "rule_time": carried}
    started |= {"clock_trust": "trusted" if clock.trusted() else "untrusted"}
    if rtc is not None:
        started["rtc"] = rtc
    if damaged := damaged or found.damaged:
        started["damaged"] = damaged
    await intake.add("event", started)
    if found.uncorrected is not None and found.uncorrected[0] == clock.boot and clock.trusted():
        await intake.correct(found.uncorrected[1])
    missed = _missed_slots(found, last, clock) if last is not None else 0
    await intake.apply(setup, by="edge-gateway", reason="start")
    if last is not None:
        until_us = clock.mono_us()
        await intake.add("gap", {"gap": gap_id, "state": "closed", "until_slot_us": until_us, "slots": missed})
        intake.state.account(["*"], until_us)


def _unaccounted_since_us(state: State, last: Mapping[str, Any]) -> int:
    """The first slot that the last run left open: a poll that was under way at its end may be older than its last entry."""
    since_us = int(last["mono_us"])
    in_gaps = {group for gap in state.gaps.values() for group in gap["groups"]}
    for group, known in state.resolved.get("groups", {}).items():
        interval_us = int(known.get("interval_us", 0))
        if interval_us and group in state.slots and not in_gaps & {group, "*"}:
            since_us = min(since_us, state.slots[group] + interval_us)
    return since_us


async def _close_gap(intake: Intake, state: State, gap_id: str, until_us: int) -> None:
    """A gap that was open when the last run ended: it ends where the gap of the stop begins."""
    opened = state.gaps.pop(gap_id)
    known = state.resolved.get("groups", {})
    intervals = [int(known[group].get("interval_us", 0)) for group in opened["groups"] if group in known]
    passed_us = max(0, until_us - int(opened["since_slot_us"]))
    slots = sum(passed_us // interval for interval in intervals if interval)
    await intake.add("gap", {"gap": gap_id, "state": "closed", "until_slot_us": until_us, "slots": slots})


def _missed_slots(found: Recovered, last: Mapping[str, Any], clock: Clock) -> int:
    """Slots that passed while nothing ran, by the time that somebody vouches for (monotonic, else trusted wall)."""
    if last["boot"] == clock.boot:
        passed_us = clock.mono_us() - int(last["mono_us"])
    elif last["trusted"] and clock.trusted():
        passed_us = clock.wall_us() - int(last["wall_us"])
    else:
        return 0
    groups = found.state.resolved.get("groups", {}).values()
    return sum(max(0, passed_us) // int(group["interval_us"]) for group in groups if group.get("interval_us"))
