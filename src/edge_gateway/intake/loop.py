"""The intake loop: takes batches, gaps, notes and commands; judges; appends; commits. Knows no source and no sink.

Order is the point: an entry's place in the record, its rule time and the rules' verdict on it are decided here,
by one task, one item at a time; what a rule says of a batch is in the same commit as the batch.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

from edge_gateway import events
from edge_gateway.clock import Clock
from edge_gateway.errors import GatewayError, JournalFull
from edge_gateway.intake.clockwatch import LOOK_S, ClockWatch
from edge_gateway.intake.declaring import Declaring
from edge_gateway.intake.inbox import Command, Inbox
from edge_gateway.intake.items import look
from edge_gateway.intake.late import judge
from edge_gateway.intake.outcome import outcome
from edge_gateway.intake.pace import Pace
from edge_gateway.intake.previous import previous
from edge_gateway.intake.ruletime import RuleTime
from edge_gateway.intake.state import Setup, State, fitting
from edge_gateway.journal.base import Journal
from edge_gateway.reading import GOOD, Batch, GapClosed, GapOpened, Group, Item, Note, Value
from edge_gateway.record import entry
from edge_gateway.rules.base import Step
from edge_gateway.sources.mqtt_ledger import replay as replay_message
from edge_gateway.violations import Moment

#: How soon a full journal is tried again (real seconds).
FULL_RETRY_S = 1.0
#: A tick at least this often, whether a rule is due or not: durable within 20 s, it shows that the gateway lives (real seconds).
TICK_EVERY_S = 15.0
#: Where ordinary commits are further apart than this, a tick does not wait for them.
SOON_US = 5_000_000


class Intake:
    """Owns the writing side of the record. One instance, one task."""

    def __init__(
        self,
        *,
        journal: Journal,
        state: State,
        rule_time: RuleTime,
        clock: Clock,
        commit_every_us: int,
        tell: events.Tell,
    ) -> None:
        self.inbox = Inbox()
        self.state = state
        #: group id -> the newest committed batch: what pages show
        self.latest: dict[str, Batch] = {}
        #: when entries became durable last (``time.monotonic``)
        self._journal = journal
        self._rule_time = rule_time
        self._clock = clock
        self.tell = tell
        self._pace = Pace(commit_every_us=commit_every_us)
        self._pending: list[bytes] = []
        self._texts: list[bytes] = []
        self._batches: list[Batch] = []
        self._after_commit: list[Callable[[], None]] = []
        self._declaring = Declaring(journal, tell, self.add, self._commit)
        self._watch = ClockWatch(clock)
        self._boot = clock.boot
        self._clock_looked_s = self._ticked_s = self.committed_s = time.monotonic()

    # --- the loop ---------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until the inbox is closed and drained; then everything pending is committed."""
        while True:
            items = await self.inbox.take(self._wait_s())
            self._look_at_clock()
            for item in items:
                if item is None:
                    await self._commit()
                    return
                await self._take(item)
                if (due_us := self._pace.due_us()) is not None and due_us <= self._real_us():
                    await self._commit()
            await self._tick()
            if (due_us := self._pace.due_us()) is not None and due_us <= self._real_us():
                await self._commit()
            await self._declaring.look()
            if self.inbox.paused:
                self._try_resume()

    def _wait_s(self) -> float:
        wait_s = max(LOOK_S - (time.monotonic() - self._clock_looked_s), 0.001)
        if (commit_us := self._pace.due_us()) is not None:
            wait_s = min(wait_s, (commit_us - self._real_us()) / 1e6)
        if (due_us := self.state.due_us()) is not None:
            wait_s = min(wait_s, (self._rule_time.mono_us(due_us) - self._clock.mono_us()) / 1e6 / self._clock.speed)
        return max(wait_s, 0.0)

    async def _take(self, item: Item | Command) -> None:
        match item:
            case Batch():
                await self._take_batch(item)
            case GapOpened() | GapClosed():
                await self._take_gap(item)
            case Note():
                body = {"event": item.event, **item.detail}
                await self.add("event", body)
                replay_message(self.state.messages, {"kind": "event", **body})
                self._hear(body)
                if item.committed is not None:
                    self._after_commit.append(item.committed)
                    self._pace.added(self._real_us(), 0, message=True)
            case Command():
                await self._take_command(item)

    async def _take_batch(self, batch: Batch) -> None:
        await self._open_segment()
        rule_us = self._rule_time.at(batch.mono_us)
        seq = self._next_seq()
        trusted = self._vouched(batch.wall_us, batch.mono_us)
        own_us = None if batch.message is None else batch.message.time_us
        if own_us is not None:
            batch.quality = self.state.own.marked(batch.group.points, batch.quality, own_us)
        data = entry.encode_batch(seq, rule_us, self._boot, trusted, self.state.config_seq_of(batch.group), batch)
        self._pending.append(data)
        self._batches.append(batch)
        self._pace.added(self._real_us(), len(data), message=batch.committed is not None)
        if batch.message is not None and batch.message.packet_id:
            digest = sha256(batch.message.payload).hexdigest()
            self.state.remember(batch.message.topic, batch.message.packet_id, digest)
        if batch.slot_us is not None:
            self.state.slots[batch.group.id] = batch.slot_us
        if batch.keep is not None:
            self.state.keep(batch.group.device, batch.keep)
        columns = batch.group.points, batch.values, batch.quality
        now = rule_us, batch.wall_us, trusted
        for step in judge(self.state.engine, self.state.own, now, columns, own_us):
            await self._take_step(step)
        self.state.workday.note(columns, rule_us, batch.wall_us)
        for made, value, mark in self.state.derivation.note(batch.group.id, columns, batch.mono_us, rule_us):
            await self._take_batch(_derived(batch, made.group, value, mark))

    async def _take_step(self, step: Step) -> None:
        at, stamp = await self.moment()
        kind, bodies = outcome(self.state, step, at)
        if kind == "violation":
            await self.add_violations(bodies, stamp)
        else:
            await self.add(kind, bodies[0], urgent=True, stamp=stamp)
            self.state.hear(bodies[0])

    async def _take_gap(self, gap: GapOpened | GapClosed) -> None:
        if isinstance(gap, GapOpened):
            gap = replace(gap, groups=(*gap.groups, *self.state.derivation.follow(gap.groups)))
        body = entry.gap_body(gap)
        if isinstance(gap, GapOpened):
            self.state.gaps[gap.id] = body
            self.tell(events.GapChanged(gap=gap.id, groups=gap.groups, opened=True, reason=gap.reason))
        else:
            opened = self.state.gaps.pop(gap.id, None)
            self.state.account(opened["groups"] if opened else (), gap.until_slot_us)
            groups = tuple(opened["groups"]) if opened else ()
            self.tell(events.GapChanged(gap=gap.id, groups=groups, opened=False))
        await self.add("gap", body)

    def _hear(self, body: Mapping[str, Any]) -> None:
        """What a source noted of an instrument is remembered; another one than before is told to whoever looks."""
        self.state.hear(body)
        if body["event"] in ("instrument-replaced", "instrument-fingerprint-changed"):
            changes = (f"{key} {old} -> {body['new'].get(key)}" for key, old in body["old"].items() if body["new"].get(key) != old)
            why = f"device '{body['device']}' (unit {body['unit']}) is not the one that was known: {', '.join(changes)}"
            self.tell(events.Alarmed(code=str(body["event"]), why=why))

    async def _take_command(self, command: Command) -> None:
        try:
            result = await command.act()
        except (GatewayError, ValueError) as error:  # the asker's to handle: nothing (so large) was added
            if not command.done.done():
                command.done.set_exception(error)
            return
        self._after_commit.append(lambda: None if command.done.done() else command.done.set_result(result))
        self._pace.added(self._real_us(), 0, urgent=True)

    async def _tick(self) -> None:
        """Journal and judge the passing of time where a rule is due, and every now and then in any case."""
        due_us = self.state.due_us()
        mono_us, now_s = self._clock.mono_us(), time.monotonic()
        due = due_us is not None and self._rule_time.mono_us(due_us) <= mono_us
        if not due and now_s - self._ticked_s < TICK_EVERY_S:
            return
        self._ticked_s = now_s
        await self._open_segment()
        stamp = self.stamp()  # the engine is told what the entry says: a replay must give the same
        await self.add("tick", {}, stamp=stamp, urgent=self._pace.commit_every_us > SOON_US)
        for step in self.state.engine.tick(stamp.rule_us, stamp.wall_us, trusted=stamp.trusted):
            await self._take_step(step)
        self.state.pass_workday((stamp.rule_us, stamp.wall_us), trusted=stamp.trusted)
        await self._arm(stamp)
        await self._begin_phases()
        if self.state.violations.any_open():
            at, later = await self.moment()
            await self.add_violations(self.state.violations.passing(at, self._silent), later)
        await self._end_marks()

    async def _arm(self, stamp: entry.Stamp) -> None:
        """After an entry that moves time or rules: which rules are not armed, by their pack's state, their dates and their season."""
        steps, told = self.state.arm((stamp.rule_us, stamp.wall_us), trusted=stamp.trusted)
        for step in steps:
            await self._take_step(step)
        if told is not None:
            day = self.state.armed.day or "unknown"
            await self.add("event", {"event": "rules-not-armed", "day": day, "rules": told})

    async def _begin_phases(self) -> None:
        """Phases that begin by schedule or contact, as far as 收尾 lets them."""
        while (due := self.state.workday.due(self.state.phases)) is not None:
            _, stamp = await self.moment()
            body = self.state.phases.begin_itself(look(self.state, self.latest, (stamp.mono_us, stamp.wall_us)), due, stamp.wall_us)
            if body is None:
                return
            await self.add("phase", body, urgent=True, stamp=stamp)
            await self.stand(stamp)

    async def _end_marks(self) -> None:
        """Marks whose time is over end by themselves."""
        if self.state.marks.due_us() is None:
            return
        now = self.stamp()
        for id_ in self.state.marks.ripe(now.rule_us, now.wall_us, trusted=now.trusted):
            _, stamp = await self.moment()
            await self.add_mark(self.state.marks.end_itself(id_, stamp.rule_us, stamp.wall_us), stamp)

    async def add_mark(self, body: Mapping[str, Any], stamp: entry.Stamp) -> int:
        """A step of a mark becomes an entry, and at its instant rules are armed or not because of it. Returns the entry's seq."""
        seq = await self.add("mark", body, urgent=True, stamp=stamp)
        await self.stand(stamp)
        return seq

    async def stand(self, stamp: entry.Stamp) -> None:
        """Ask again which rules are armed, at the instant of the entry that may have changed it."""
        for step in self.state.restand(stamp.rule_us, stamp.wall_us):
            await self._take_step(step)

    # --- adding entries ---------------------------------------------------------------------------------------

    async def add(self, kind: str, body: Mapping[str, Any], *, urgent: bool = False, stamp: entry.Stamp | None = None) -> int:
        """Append an entry to what is pending; returns its seq. It becomes a fact with the next commit."""
        if kind != "snapshot":
            await self._open_segment()
        seq = self._next_seq()
        data = entry.encode(seq, kind, stamp or self.stamp(), dict(body))
        self._pending.append(data)
        self._pace.added(self._real_us(), len(data), urgent=urgent)
        return seq

    def fits(self, kind: str, bodies: Sequence[Mapping[str, Any]], stamp: entry.Stamp) -> None:
        """Whether these can be entries: asked before anything counts on them. Raises ValueError."""
        for body in bodies:
            entry.encode(self._next_seq(), kind, stamp, dict(body))

    def stamp(self) -> entry.Stamp:
        """This instant, as an entry carries it."""
        mono_us, wall_us = self._clock.mono_us(), self._clock.wall_us()
        return entry.Stamp(self._rule_time.at(mono_us), wall_us, mono_us, self._boot, self._vouched(wall_us, mono_us))

    async def moment(self) -> tuple[Moment, entry.Stamp]:
        """When and where the next entry will stand: what a violation that opens with it is known by."""
        await self._open_segment()
        stamp = self.stamp()
        return Moment(stamp.rule_us, stamp.wall_us, stamp.trusted, self._journal.epoch, self._next_seq()), stamp

    async def add_violations(self, bodies: Sequence[Mapping[str, Any]], stamp: entry.Stamp) -> int:
        """Steps of violations become entries; returns the first one's seq, or the next one's where there are none."""
        seqs = []
        for body in bodies:
            seqs.append(await self.add("violation", body, urgent=True, stamp=stamp))
            self.state.stepped(body)
            self._tell_step(body)
        return seqs[0] if seqs else self._next_seq()

    def _silent(self, rule: str, point: str) -> bool:
        """Whether no good reading of this point is fresh enough for its rule, or decides; or its rule is not armed, or not there any more."""
        bound, now_us = self.state.rule(rule, point), self._clock.mono_us()
        if bound is None or self.state.engine.condition(rule, point) is not True or self.state.engine.stands(rule, point):
            return True
        for batch in self.latest.values():
            if point in batch.group.points and now_us - batch.mono_us <= bound.fresh_us:
                at = batch.group.points.index(point)
                if batch.values[at] is not None and (batch.quality is None or not batch.quality[at].startswith("bad")):
                    return False
        return True

    def _next_seq(self) -> int:
        return self._journal.next_seq + len(self._pending)

    async def _open_segment(self) -> None:
        """A segment's first entry is a snapshot of everything needed to go on from there."""
        if self._next_seq() % self._journal.segment_entries == 0:
            await self.add("snapshot", await self._snapshot_body())

    async def _snapshot_body(self, branches: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
        body: dict[str, Any] = {"config": self.state.config}
        body |= self.large("state", self.state.snapshot())
        before = await previous(self._journal, branches) if self._next_seq() == 0 else None
        return body | ({"previous": before} if before else {})

    async def apply(self, setup: Setup, *, by: str, reason: str) -> int:
        """Bring a configuration into force: a ``config`` entry, and the rules from it on. Returns its config_seq."""
        await self._open_segment()
        text = entry.canonical(setup.resolved)
        hashes = {name: entry.text_hash(body) for name, body in setup.texts.items()}
        self._texts += [text, *setup.texts.values()]
        body: dict[str, Any] = {"text": entry.text_hash(text), "texts": hashes, "software": setup.software}
        changes = self.state.changes(setup)
        told = fitting(changes)
        body |= {"by": by, "reason": reason, "changes": told}
        if len(changes) > len(told):
            body["more"] = len(changes) - len(told)
        stamp = self.stamp()
        seq = await self.add("config", body, urgent=True, stamp=stamp)
        self.state.apply(setup, {"config_seq": seq, "text": body["text"], "texts": hashes})
        self.state.account([group for group in setup.groups if group not in self.state.slots], self._clock.mono_us())
        await self._arm(stamp)
        await self.stand(stamp)
        self.tell(events.ConfigApplied(config_seq=seq, text=body["text"]))
        return seq

    async def open_epoch(self, reason: str, branches: Sequence[Mapping[str, Any]] = ()) -> None:
        """Close the epoch and go on in a new one, whose first entry names the old one (and ``branches``). Runs inside intake."""
        await self._commit()
        await self._journal.new_epoch(reason)
        await self.add("snapshot", await self._snapshot_body(branches), urgent=True)
        self.tell(events.EpochOpened(epoch=self._journal.epoch, reason=reason))

    async def settled(self) -> None:
        """Everything that was added is durable. Runs inside intake."""
        await self._commit()

    def large(self, key: str, value: Mapping[str, Any]) -> dict[str, Any]:
        """An object in an entry, or its hash where it is large: the text is kept beside."""
        data = entry.canonical(value)
        if len(data) <= entry.MAX_INLINE_STATE_BYTES:
            return {key: value}
        self._texts.append(data)
        return {f"{key}_text": entry.text_hash(data)}

    def advance(self, ahead_us: int) -> None:
        """Rule time goes ahead (µs): a state was taken over that was judged later."""
        self._rule_time.base_us += ahead_us
        self._rule_time.last_us += ahead_us

    async def took_over(self, stamp: entry.Stamp) -> None:
        """The state was exchanged by an entry with this stamp: which rules are armed is asked anew."""
        await self._arm(stamp)
        await self.stand(stamp)

    async def command(self, act: Callable[[], Awaitable[object]]) -> object:
        """Run ``act`` between two entries and wait until what it added is durable. Raises what ``act`` raises."""
        done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.inbox.put_command(Command(act, done))
        return await done

    # --- committing -------------------------------------------------------------------------------------------

    async def _commit(self) -> None:
        """Make everything pending durable, then tell everyone who waits. Ends only when it is durable."""
        if not self._pending and not self._after_commit:
            return
        pending, texts, batches = self._pending, self._texts, self._batches
        after, started = self._after_commit, time.perf_counter_ns()
        if pending:
            await self._append(pending, texts)
            self.committed_s = time.monotonic()
        latency_us = (time.perf_counter_ns() - started) // 1000
        self._pending, self._texts, self._batches, self._after_commit = [], [], [], []
        self._pace.committed(self._real_us())
        readings = 0
        for batch in batches:
            readings += len(batch.values)
            self.latest[batch.group.id] = batch
            if batch.committed is not None:
                batch.committed()
        for act in after:
            act()
        size = sum(map(len, pending))
        self.tell(events.Committed(entries=len(pending), readings=readings, size_bytes=size, latency_us=latency_us))

    async def _append(self, pending: Sequence[bytes], texts: Sequence[bytes]) -> None:
        """What is already judged goes in, from the reserve if need be; then the field is held back."""
        try:
            await self._journal.append(pending, texts)
            return
        except JournalFull as full:
            self._set_full(True, str(full))
        while True:
            try:
                await self._journal.append(pending, texts, reserve=True)
                return
            except JournalFull:
                await asyncio.sleep(FULL_RETRY_S)

    def _set_full(self, full: bool, why: str = "") -> None:
        if full != self.inbox.paused:
            self.inbox.paused = full
            self.tell(events.JournalFilled(full=full, why=why))

    def _try_resume(self) -> None:
        if not self._journal.status()["full"]:
            self._set_full(False)

    # --- the clock --------------------------------------------------------------------------------------------

    def _look_at_clock(self) -> None:
        now_s = time.monotonic()
        if now_s - self._clock_looked_s >= LOOK_S:
            self._clock_looked_s = now_s
            self._note_changes()

    def _vouched(self, wall_us: int, mono_us: int) -> bool:
        """Whether somebody vouches for a stamp's wall time. One that tells of a step is not believed before the clock was looked at."""
        if self._watch.strange(wall_us, mono_us):
            self._note_changes()
        return self._watch.vouched(wall_us, mono_us)

    def _note_changes(self) -> None:
        for change in self._watch.look():
            if not change.event:
                before_us = change.before_us
                self.inbox.put_command(Command(lambda before_us=before_us: self.correct(before_us), self._nobody()))  # type: ignore[misc]
                continue
            self.inbox.put_command(self._errand("event", {"event": change.event, **change.detail}))
            if change.event == "clock-stepped":
                self.tell(events.ClockStepped(step_us=change.detail["step_us"]))
            else:
                self.tell(events.ClockTrustChanged(trusted=self._watch.trusted))

    async def correct(self, before_us: int) -> None:
        """Tell what wall time this boot's untrusted entries really have; ``before_us`` is what they were written with."""
        offset_us = self._clock.wall_us() - self._clock.mono_us()
        self.state.corrections[self._boot] = offset_us
        await self.add("correction", {"offset_us": offset_us, "step_us": offset_us - before_us})

    def _errand(self, kind: str, body: dict[str, Any]) -> Command:
        return Command(lambda: self.add(kind, body), self._nobody())

    @staticmethod
    def _nobody() -> asyncio.Future[object]:
        return asyncio.get_running_loop().create_future()

    def _tell_step(self, body: Mapping[str, Any]) -> None:
        self.tell(
            events.ViolationStepped(
                violation=body["violation"],
                rule=body["rule"],
                point=body["point"],
                step=body["step"],
                by=body.get("by", ""),
            )
        )

    @staticmethod
    def _real_us() -> int:
        return time.monotonic_ns() // 1000


def _derived(cause: Batch, group: Group, value: Value, mark: str) -> Batch:
    """A derived point's reading: at the instant and in the slot of the batch that it follows from."""
    quality = None if mark == GOOD else [mark]
    return Batch(
        group=group, mono_us=cause.mono_us, wall_us=cause.wall_us, values=[value], quality=quality, slot_us=cause.slot_us
    )
