"""Hub commands as entries and steps: each is answered once, in the record, before it has any effect; knows no carrier.

docs/reference/hub-commands.md. What is not signed by the configured key moves nothing and is remembered only while we run.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from edge_gateway import events
from edge_gateway.commands import DEFERRED, EXECUTED, REFUSED, refusal, state_of
from edge_gateway.intake.inbox import Command
from edge_gateway.intake.loop import Intake
from edge_gateway.intake.unmoved import unmoved
from edge_gateway.record.entry import Stamp
from edge_gateway.record.note import Key
from edge_gateway.violations import HUB, Ask, Moment, StepRefused, Who, table, taken
from edge_gateway.wire.command import EXTEND, MAX_NOTE_BYTES, REFER, RETURN, VERIFY, CommandError, HubCommand, opened

#: Commands that may wait for intake; what comes beyond it comes again.
MAX_WAITING = 32
#: Notes by no key of ours that an hour's record tells of (real time), and how many are recognised when they come again.
MAX_STRANGE, STRANGE_S, MAX_SEEN = 20, 3600.0, 256
#: What a command's verb is among the steps of persons.
STEPS: Mapping[str, str] = {RETURN: table.RETURN, VERIFY: table.CLOSE, EXTEND: table.EXTEND, REFER: table.REFER}


class Obeying:
    """``hear`` takes what the hub's answers bring. ``key``: whose commands count, None where no person gave one."""

    def __init__(self, intake: Intake, gateway: str, key: Key | None) -> None:
        self._intake = intake
        self._gateway = gateway
        self._key = key
        self._waiting: set[str] = set()
        self._seen: deque[str] = deque(maxlen=MAX_SEEN)  # answered notes without an id that counts
        self._strange: deque[float] = deque(maxlen=MAX_STRANGE)

    def hear(self, notes: Sequence[bytes]) -> None:
        """Signed notes, in the hub's order; they come again until their answer is in the hub's hands."""
        for note in notes:
            name = sha256(note).hexdigest()
            if name in self._waiting or name in self._seen or len(self._waiting) >= MAX_WAITING:
                continue
            self._waiting.add(name)
            done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            done.add_done_callback(lambda ended, name=name: self._ended(name, ended))  # type: ignore[misc]
            self._intake.inbox.put_command(Command(lambda note=note, name=name: self._answer(note, name), done))  # type: ignore[misc]

    def _ended(self, name: str, ended: asyncio.Future[object]) -> None:
        self._waiting.discard(name)
        if not ended.cancelled() and (error := ended.exception()) is not None:
            self._intake.tell(events.Alarmed(code="hub-command", why=f"a hub command could not be answered: {error}"))

    async def _answer(self, note: bytes, name: str) -> object:
        """Runs inside intake."""
        if self._key is None:
            return await self._strange_note(note, name, "no-key", "no key of the hub's commands is configured here")
        try:
            command = opened(note, self._key)
        except CommandError as wrong:
            return await self._strange_note(note, name, wrong.code, str(wrong))
        known = self._intake.state.commands.outcome(command.id)
        at, stamp = await self._intake.moment()
        if known in (EXECUTED, REFUSED) or (known == DEFERRED and not stamp.trusted):
            return None
        return await self._judge(command, self._about(command, note, name), (at, stamp))

    async def _judge(self, command: HubCommand, about: dict[str, Any], now: tuple[Moment, Stamp]) -> object:
        ledger, (at, stamp) = self._intake.state.commands, now
        if not stamp.trusted:
            said = "whether it has expired cannot be told while nobody vouches for the clock here"
            return await self._leave(about | {"outcome": DEFERRED, "why": "clock-untrusted", "said": said}, stamp)
        if ledger.full(stamp.wall_us) and not ledger.outcome(command.id):
            self._seen.append(about["note_sha256"])
            said = "so many commands that could still come again are remembered that no further one is taken"
            return await self._leave(about | {"outcome": REFUSED, "why": "too-many", "said": said}, stamp, remember=False)
        record = self._open(command.violation)
        present = {} if record is None else {"old": _told(record)}
        why, said = refusal(command, self._gateway, record, stamp.wall_us)
        if why:
            return await self._leave(about | present | {"outcome": REFUSED, "why": why, "said": said}, stamp)
        try:
            with unmoved(self._intake.state.violations):
                steps = taken(self._intake.state.violations, _ask(command), at, self._intake.state.doubtful)
                self._intake.fits("violation", steps, stamp)
        except (StepRefused, ValueError) as refused:
            said = " ".join(filter(None, (refused.why, refused.hint))) if isinstance(refused, StepRefused) else str(refused)
            return await self._leave(about | present | {"outcome": REFUSED, "why": "not-permitted", "said": said}, stamp)
        new = _told(self._open(command.violation) or _step_of(steps, command))
        seq = await self._leave(about | present | {"outcome": EXECUTED, "new": new}, stamp)
        mine = [body | {"command": command.id} if body["violation"] == command.violation else body for body in steps]
        await self._intake.add_violations(mine, stamp)
        return seq

    async def _leave(self, body: Mapping[str, Any], stamp: Stamp, *, remember: bool = True) -> int:
        seq = await self._intake.add("command", body if remember else _anonymous(body), urgent=True, stamp=stamp)
        if remember:
            now_us = stamp.wall_us if stamp.trusted else 0
            self._intake.state.commands.note(body["id"], body["outcome"], body["expires_us"], now_us)
        if body["outcome"] != EXECUTED:
            why = f"a hub command ({body['verb']} {body['violation']}) was {body['outcome']}: {body['said']}"
            self._intake.tell(events.Alarmed(code="hub-command", why=why))
        return seq

    async def _strange_note(self, note: bytes, name: str, why: str, said: str) -> object:
        """Not a command of our hub: said in the record, and no more often than an hour bears."""
        self._seen.append(name)
        self._intake.tell(events.Alarmed(code="hub-command", why=f"what came as a hub command is none ({why}): {said}"))
        now_s = time.monotonic()
        if len(self._strange) == MAX_STRANGE and now_s - self._strange[0] < STRANGE_S:
            return None
        self._strange.append(now_s)
        body: dict[str, Any] = {"outcome": REFUSED, "why": why, "said": said, "note_sha256": name}
        if len(note) <= MAX_NOTE_BYTES:
            body["note"] = note.decode(errors="replace")
        return await self._intake.add("command", body, urgent=True)

    def _about(self, command: HubCommand, note: bytes, name: str) -> dict[str, Any]:
        assert self._key is not None
        more: dict[str, Any] = {"deadline": command.deadline, "until_us": command.until_us} if command.verb == EXTEND else {}
        more |= {"to": command.to} if command.to else {}
        return {
            "id": command.id, "verb": command.verb, "violation": command.violation, "opened": {"epoch": command.epoch, "seq": command.opened}, "by": command.by, "hub": self._key.name,
            "reason": command.reason, "expires_us": command.expires_us, **more, "note": note.decode(), "note_sha256": name,
        }  # fmt: skip

    def _open(self, violation: str) -> dict[str, Any] | None:
        return next((record for record in self._intake.state.violations.records() if record["violation"] == violation), None)


def _step_of(steps: Sequence[dict[str, Any]], command: HubCommand) -> dict[str, Any]:
    """The newest of the violation's own steps: another's may follow, which it let go."""
    return [body for body in steps if body["violation"] == command.violation][-1]


def _ask(command: HubCommand) -> Ask:
    detail: dict[str, Any] = {"what": command.deadline, "to_us": command.until_us} if command.verb == EXTEND else {}
    detail |= {"to": command.to} if command.verb == REFER else {}
    return Ask(STEPS[command.verb], command.violation, Who(command.by, HUB), command.reason, detail)


def _told(record: Mapping[str, Any]) -> dict[str, Any]:
    state = state_of(record)
    return {"condition": state.condition, "handling": state.handling, "episode": state.episode, "returns": state.returned}


def _anonymous(body: Mapping[str, Any]) -> dict[str, Any]:
    """Without the id: what is not remembered here must not be remembered by a replay either."""
    return {key: value for key, value in body.items() if key != "id"}
