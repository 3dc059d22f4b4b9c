"""Asks the hub for the state of a record of which all or the end is gone here: at the start, for a moment, and once more when it is met; decides nothing of it.

What the hub offers is wanted where it lies beyond the newest snapshot and entries that read here. Whether it is the newest that
there was is asked of the signer, whose ledger is no part of the record: an older one is used all the same, and told.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge_gateway.config.model import GatewayConfig
from edge_gateway.errors import JournalDamaged, SignerError, SinkError
from edge_gateway.intake.loop import Intake
from edge_gateway.intake.recalling import MOST_OWN, recalled, take_late, tell_not_recalled, tell_recalled, tell_stale
from edge_gateway.intake.recovery import Recovered
from edge_gateway.journal.base import Position, Recovery
from edge_gateway.journal.store import Store
from edge_gateway.rules.base import BoundRule
from edge_gateway.shipping.regaining import regain
from edge_gateway.signer.client import Client
from edge_gateway.sinks.base import HubLink, Recalled

#: What the first reading waits for it (real seconds): the hub's answer and the whole state, and of that for the signer's word.
RECALL_S, SIGNER_S = 2.0, 0.5
#: Reasons of an epoch that begins because the end of the one before may be gone.
END_LOST = ("damage", "restore", "replacement", "roll-back")
#: (gateway's log of an epoch) -> entries signed of it, and the log signed last.
Signed = Callable[[str], Awaitable[tuple[int, str]]]
_BYTES = 4 << 20
#: Beside the record: where the entries begin behind which the hub's state is still wanted; {}: it is not.
_ASKS = "recall"


@dataclass(slots=True)
class Recalling:
    """One start's. ``at_start`` before anything is judged; ``tell`` once entries can be written; ``choose`` and ``take`` at a later meeting."""

    journal: Store
    recovery: Recovery
    gateway: str
    name: str  # <site.origin>/<gateway>
    signed: Signed | None
    #: the hub is still to be asked: it could not be at the start, or the record was found to be an older copy since
    wanted: bool = False
    intake: Intake | None = None
    _took: tuple[Recalled, str] | None = None
    _missed: tuple[str, str] | None = None
    _stale: str = ""
    #: how long that start waited for the hub (real seconds)
    waited_s: float = 0.0
    _since: Position = field(default_factory=lambda: Position("", 0))

    def __post_init__(self) -> None:
        self._since = Position(self.journal.epoch, self.journal.next_seq)
        if (left := self.journal.remembered(_ASKS) or {}).get("epoch"):  # an earlier start could not ask, or not to the end
            self.wanted, self._since = True, Position(str(left["epoch"]), int(left["seq"]))

    def want(self) -> None:
        """The hub is to be asked when it is met, also after a restart."""
        self.wanted = True
        self.journal.remember(_ASKS, {"epoch": self._since.epoch, "seq": self._since.seq})

    def doubt(self, floor: int) -> None:
        """Numbers that were given before are not known: none up to ``floor`` is given until the hub tells."""
        assert self.intake is not None
        state = self.intake.state
        state.violations.floor = floor
        if self.wanted:  # else they came with the state
            state.marks.floor = state.ledger.floor = floor

    @property
    def end_lost(self) -> bool:
        """Whether an epoch begins here because the end of the one before may be gone: a hub may know what was opened in it."""
        return self.journal.next_seq == 0 and self.journal.epochs()[-1].reason in END_LOST

    async def at_start(self, hubs: Sequence[HubLink], rules: Sequence[BoundRule]) -> Recovered | None:
        """The state to go on from, if it is the hub's; None: the one that is here. Never longer than ``RECALL_S``."""
        began_s = time.monotonic()
        try:
            return await self._from_one(hubs, rules) if self.recovery.snapshot is None or self.end_lost else None
        finally:
            self.waited_s = time.monotonic() - began_s

    async def _from_one(self, hubs: Sequence[HubLink], rules: Sequence[BoundRule]) -> Recovered | None:
        until_s = asyncio.get_running_loop().time() + RECALL_S
        for hub in hubs:
            try:
                async with asyncio.timeout_at(until_s), hub.apart():
                    if self.end_lost and await regain(hub, self.journal):  # the first entry of the new epoch names them
                        await self.journal.settled()
                    taken = await hub.recall(self.choose)
                    if taken is None:
                        continue
                    found = await recalled(taken, self.gateway, rules, await self._behind(taken), self.journal)
            except TimeoutError:
                self._missed = hub.name, f"no whole answer within {RECALL_S:g} s"
            except (SinkError, JournalDamaged) as error:
                self._missed = hub.name, str(error)
            else:
                self._took, self._missed = (taken, hub.name), None
                return found
        if self._missed is not None:
            self.want()
        return None

    async def tell(self, intake: Intake) -> None:
        """What came of it becomes entries and alarms. Runs before intake does."""
        self.intake = intake
        if self._took is not None:
            await tell_recalled(intake, *self._took)
        elif self._missed is not None and (self.end_lost or await self._began_before()):
            await tell_not_recalled(intake, *self._missed)
        if self._stale:
            await tell_stale(intake, self._stale)

    async def _began_before(self) -> bool:
        """Whether a record that is not here was signed: a gateway that starts for the first time has lost nothing."""
        told = await self._signed(self.journal.epoch)
        return told is not None and bool(told[1])

    async def choose(self, places: Sequence[tuple[str, int]]) -> int | None:
        """Of what the hub offers, accepted by a person or not, the newest that this gateway's signer knows; else the first. None: nothing is newer than what is here."""
        self._stale, newer = "", [at for at, (epoch, size) in enumerate(places) if self._newer(epoch, size)]
        if not newer:
            return None
        signed = {at: await self._signed(places[at][0]) for at in newer}
        known = [at for at in newer if signed[at] is not None and (signed[at] or (0, ""))[0] > 0]
        chosen = (known or newer[:1])[-1]
        epoch, size = places[chosen]
        if (told := signed[chosen]) is not None and told[1]:
            count, last = told
            if count > size:
                self._stale = f"the signer signed {count} entries of epoch {epoch}, the hub gives the state back at {size}: what was done in between is not in it"
            elif last not in (f"{self.name}/{epoch}", f"{self.name}/{self.journal.epoch}"):
                self._stale = f"the signer signed epoch {last.rpartition('/')[2]} last, the hub gives back the state of epoch {epoch}"
        return chosen

    def _newer(self, epoch: str, size: int) -> bool:
        """Whether it lies beyond what reads here. An epoch that is not known here came after what is: the hub serves nobody older ones."""
        known = [info.epoch for info in self.journal.known_epochs()]
        here = self.recovery.epoch
        if epoch == self.journal.epoch:
            return False
        if self.recovery.snapshot is None or epoch not in known or here not in known:
            return True
        if epoch == here:
            return size > int(self.recovery.snapshot["seq"]) + 1 + len(self.recovery.entries)
        return known.index(epoch) > known.index(here)

    async def _signed(self, epoch: str) -> tuple[int, str] | None:
        """None where nobody says."""
        if self.signed is None:
            return None
        try:
            async with asyncio.timeout(SIGNER_S):
                return await self.signed(f"{self.name}/{epoch}")
        except (SignerError, TimeoutError):
            return None

    async def _behind(self, taken: Recalled) -> list[bytes]:
        """Our own entries behind those that the hub holds, as far as they read here."""
        at, found = taken.first + len(taken.entries), list[bytes]()
        info = next((info for info in self.journal.known_epochs() if info.epoch == taken.epoch), None)
        while info is not None and at + len(found) < info.size and len(found) < MOST_OWN:
            try:
                part = await self.journal.read(Position(taken.epoch, at + len(found)), max_entries=1_024, max_bytes=_BYTES)
            except (JournalDamaged, KeyError):
                break
            if not part:
                break
            found += part
        return found

    # --- at a later meeting ---------------------------------------------------------------------------------------

    async def take(self, taken: Recalled | None, hub: str, why: str) -> None:
        """At a meeting, once: what the hub gave (None: nothing that is newer), or why not."""
        assert self.intake is not None
        intake, self.wanted = self.intake, False
        if taken is not None:
            try:
                await take_late(intake, (taken, hub, self.gateway), self.journal, self._since)
            except JournalDamaged as error:
                why = str(error)
        if why:
            await intake.command(lambda: tell_not_recalled(intake, hub, why))
        if taken is not None and self._stale:
            await intake.command(lambda: tell_stale(intake, self._stale))
        intake.state.marks.floor = intake.state.ledger.floor = 0
        self.journal.remember(_ASKS, {})


def recalling(journal: Store, recovery: Recovery, config: GatewayConfig) -> Recalling:
    """For this start."""
    signed = Client(Path(config.signer.socket)).held if config.signer.socket else None
    return Recalling(journal, recovery, config.site.id, f"{config.site.origin}/{config.site.id}", signed)
