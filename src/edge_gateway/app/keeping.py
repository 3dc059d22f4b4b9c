"""A person's steps on how long the record stays: shorten the keep time, let go what a hub is owed, let an epoch go. Each is on record first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from edge_gateway.errors import GatewayError
from edge_gateway.intake.loop import Intake
from edge_gateway.journal.keeping import DAY_US, Keeping
from edge_gateway.journal.store import Store

#: Characters of a reason.
MAX_REASON = 1_000


class Keeper:
    """``handle`` is what the control socket calls."""

    def __init__(self, journal: Store, intake: Intake) -> None:
        self._journal = journal
        self._intake = intake

    async def handle(self, verb: str, asked: Mapping[str, Any], by: str) -> dict[str, Any]:
        """``shorten`` or ``release``, by the OS user ``by``: in force and on record on return. Raises GatewayError when it may not be."""
        reason = str(asked.get("reason", "")).strip()[:MAX_REASON]
        if not reason:
            raise GatewayError("a reason is needed: it goes on record", hint="--reason 'why'")
        if verb == "shorten":
            body, keeping = self._shorten(asked)
        elif verb == "release" and asked.get("hub"):
            body, keeping = self._release_hub(str(asked["hub"]))
        elif verb == "release":
            body, keeping = self._release_epoch(str(asked.get("epoch", "")))
        else:
            raise GatewayError(f"no such step '{verb}'", hint="shorten or release")
        body |= {"by": by, "why": reason}
        await self._intake.command(lambda: self._intake.add("event", body, urgent=True))
        await self._journal.keep(lambda _before: keeping)
        return body

    def _shorten(self, asked: Mapping[str, Any]) -> tuple[dict[str, Any], Keeping]:
        told = self._journal.status()["keeping"]
        old, new = told["keep_us"] // DAY_US, told["asked_us"] // DAY_US
        if asked.get("days") != new:
            why = f"the running configuration asks for {new} days, not {asked.get('days')}"
            raise GatewayError(why, hint="set journal.keep_days, restart, then shorten to that number")
        if new >= old:
            raise GatewayError(f"the record is kept for {old} days already: there is nothing to shorten")
        body = {"event": "keep-time-shortened", "key": "journal.keep_days", "old": old, "new": new}
        return body, replace(self._journal.keeping, keep_us=new * DAY_US)

    def _release_hub(self, hub: str) -> tuple[dict[str, Any], Keeping]:
        due = next((due for due in self._journal.keeping.dues if due.hub == hub), None)
        if due is None:
            raise GatewayError(f"nothing here is owed to a hub '{hub}'", hint="`edge-gateway status` names who is")
        if due.until is None:
            raise GatewayError(f"hub '{hub}' is configured: what it is owed stays", hint=f"take [sinks.{hub}] out first, and restart")
        until = {"epoch": due.until.epoch, "seq": due.until.seq}
        body = {"event": "hub-released", "hub": hub, "until": until, "unwitnessed": self._owed(hub)}
        return body, self._journal.keeping.without(hub)

    def _release_epoch(self, epoch: str) -> tuple[dict[str, Any], Keeping]:
        info = next((info for info in self._journal.known_epochs() if info.epoch == epoch), None)
        if info is None:
            raise GatewayError(f"there is no epoch '{epoch}' here", hint="--hub NAME or --epoch EPOCH; `edge-gateway status` names them")
        if not info.closed:
            raise GatewayError(f"epoch {epoch} is being written: it stays", hint="only an epoch that has ended can be let go")
        body = {"event": "epoch-released", "epoch": epoch, "size": info.size, "unwitnessed": self._unwitnessed(epoch)}
        return body, self._journal.keeping.letting_go(epoch)

    def _owed(self, hub: str) -> int:
        """Entries here that this hub did not witness."""
        return sum(due["waiting"] for due in self._journal.status()["keeping"]["dues"] if due["hub"] == hub)

    def _unwitnessed(self, epoch: str) -> int:
        """Entries of an epoch here that stay for some hub."""
        waiting = self._journal.status()["keeping"]["epochs"]
        return sum(each["size"] - max(each["first"], each["limit"]) for each in waiting if each["epoch"] == epoch)
