"""After a restart: state from the last snapshot and the entries after it, exactly as intake left it; no guesses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from edge_gateway.clock import Clock
from edge_gateway.errors import JournalDamaged
from edge_gateway.intake.adopting import ADOPTED
from edge_gateway.intake.loop import Intake
from edge_gateway.intake.state import Setup, State
from edge_gateway.journal.base import Recovery
from edge_gateway.record import entry
from edge_gateway.rules.base import BoundRule, each_rule
from edge_gateway.sources.mqtt_ledger import replay as replay_message


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
    #: config_seq -> the points of each group: a batch may have been on its way when another came into force
    groups: dict[int, dict[str, Any]] = field(default_factory=dict)


async def recover(journal: Texts, recovery: Recovery, gateway: str) -> Recovered:
    """Replay: batches and ticks through the rules of their time, steps of violations as they were recorded.

    The engine's own steps are not recorded again: they are in the record. Where a configuration's text does not read,
    batches cannot be judged again: rules then know what they knew at the snapshot, and ``damaged`` says so.
    """
    found = Recovered(State(gateway))
    state = found.state
    if recovery.snapshot is not None:
        state.restore(recovery.snapshot)
        _note_base(found, recovery.snapshot)
        found.last = recovery.snapshot
        _note_trust(found, recovery.snapshot)
        if state.config is not None:
            await _use_config(journal, found, int(state.config["config_seq"]), str(state.config["text"]))
    else:
        state.lost = True
    for data in recovery.entries:
        body = entry.decode(data)
        await _replay(journal, found, body)
        found.last = body
    state.derivation.forget()
    return found


async def _use_config(journal: Texts, found: Recovered, config_seq: int, text: str) -> None:
    state = found.state
    try:
        resolved = orjson.loads(await journal.text(text))
    except (KeyError, JournalDamaged) as wrong:
        found.damaged = found.damaged or f"the text of configuration {config_seq} does not read: {wrong}"
        state.resolved = {}
        return
    state.resolved = resolved
    found.groups[config_seq] = resolved.get("groups", {})
    state.derivation.use(resolved)
    state.use_rules([BoundRule.from_config(rule) for rule in each_rule(resolved.get("rules", []))])


async def _replay(journal: Texts, found: Recovered, body: Mapping[str, Any]) -> None:
    state, kind = found.state, body["kind"]
    _note_trust(found, body)
    _note_base(found, body)
    found.stopped = kind == "event" and body.get("event") == "stopped"
    replay_message(state.messages, body)
    if kind == "event":
        state.hear(body)
        if body.get("event") == ADOPTED:
            state.adopt(body, int(body["rule_us"]))
    if kind == "batch":
        _replay_batch(found, body)
    elif kind == "tick" and state.resolved:
        state.engine.tick(int(body["rule_us"]), int(body["wall_us"]), trusted=bool(body["trusted"]))
        _arm(state, body)
    elif kind == "violation":
        state.violations.replay(body, journal.epoch)
        state.stepped(body)
    elif kind == "command":
        state.commands.replay(body)
    elif kind == "gap" and body["state"] == "open":
        state.gaps[body["gap"]] = {key: body[key] for key in body if key not in entry.ENVELOPE}
    elif kind == "gap":
        opened = state.gaps.pop(body["gap"], None)
        state.account(opened["groups"] if opened else (), int(body["until_slot_us"]))
    elif kind == "config":
        state.config = {"config_seq": body["seq"], "text": body["text"], "texts": body["texts"]}
        await _use_config(journal, found, int(body["seq"]), str(body["text"]))
        state.account([group for group in state.resolved.get("groups", {}) if group not in state.slots], int(body["mono_us"]))
        _arm(state, body)
    elif kind == "correction":
        state.corrections[str(body["boot"])] = int(body["offset_us"])


def _arm(state: State, body: Mapping[str, Any]) -> None:
    now = int(body["rule_us"]), int(body["wall_us"])
    state.armed.at(now, state.engine, state.rules(), trusted=bool(body["trusted"]))


def _note_base(found: Recovered, body: Mapping[str, Any]) -> None:
    base_us = int(body["rule_us"]) - int(body["mono_us"])
    same = found.last is not None and found.last["boot"] == body["boot"] and found.base_us is not None
    found.base_us = min(found.base_us, base_us) if same and found.base_us is not None else base_us


def _note_trust(found: Recovered, body: Mapping[str, Any]) -> None:
    if body["kind"] == "correction" and found.uncorrected is not None and body["boot"] == found.uncorrected[0]:
        found.uncorrected = None
    elif not body["trusted"]:
        found.uncorrected = str(body["boot"]), int(body["wall_us"]) - int(body["mono_us"])


def _replay_batch(found: Recovered, body: Mapping[str, Any]) -> None:
    state = found.state
    group = found.groups.get(int(body["config_seq"]), {}).get(body["group"])
    if group is not None and state.resolved:
        values = [int(v) if isinstance(v, str) else v for v in body["values"]]
        points = tuple(group["points"])
        rule_us, quality = int(body["rule_us"]), body.get("quality")
        if not body["trusted"]:
            state.engine.doubt(int(body["wall_us"]))
        state.engine.judge(rule_us, int(body["wall_us"]), points, values, quality)
        # Sums over time go on as they went; the readings that follow from this one are in the record already.
        state.derivation.note(str(body["group"]), (points, values, quality), int(body["mono_us"]), rule_us)
    if "keep" in body and group is not None:
        state.keep(str(group["device"]), body["keep"])
    if "slot_us" in body:
        state.slots[str(body["group"])] = int(body["slot_us"])


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
