"""Persons' steps as the control socket takes them: who it is, what they do to violations, who may prove themselves.

Everything is on record before it has an effect. Decides no step: the book of violations does. Never keeps, logs or answers a secret.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any

from edge_gateway.errors import GatewayError
from edge_gateway.intake.loop import Intake
from edge_gateway.intake.unmoved import unmoved
from edge_gateway.journal.base import Journal
from edge_gateway.people import NotProven, People, Person
from edge_gateway.people.book import MOST_NAME, check, permitted
from edge_gateway.people.hashed import hashed
from edge_gateway.people.proof import Prover
from edge_gateway.traceability.lots import of_cause
from edge_gateway.violations import CLAIMED, TABLE, Ask, StepRefused, Who, taken
from edge_gateway.violations.table import CLOSE

PEOPLE_CHANGED, PROOF_FAILED = "people-changed", "proof-failed"
#: Of a text in an entry.
_MOST_SAID = 300
_NO_DETAIL = frozenset({"reason", "as", "secret", "name", "photos"})


class Persons:
    """One a gateway. ``people`` None: nobody can prove anything, and names are claims."""

    def __init__(self, intake: Intake, journal: Journal, people: People | None) -> None:
        self._intake = intake
        self._journal = journal
        self._people = people
        self._changing = asyncio.Lock()
        self._prover = Prover(people) if people is not None else None

    # --- who ------------------------------------------------------------------------------------------------------

    async def who(self, asked: Mapping[str, Any], user: str, what: str) -> Who:
        """Who takes the step ``what``: ``as`` with ``secret`` proves it, ``name`` is a claim, else it is the OS user.

        A failed attempt is an entry, with the name that was tried and the OS user. Raises NotProven, PeopleFault.
        """
        name = asked.get("as")
        if name is None:
            claimed = str(asked.get("name") or user).strip()
            if len(claimed) > MOST_NAME or not claimed.isprintable():
                raise StepRefused(f"a name is one line of at most {MOST_NAME} characters")
            return Who(claimed, CLAIMED, user)
        if self._prover is None:
            raise NotProven("nobody has a secret here", hint="`edge-gateway people add` gives somebody one")
        await self._notice()
        try:
            return await self._prover.prove(str(name), str(asked.get("secret") or ""), user)
        except NotProven as failed:
            if failed.tried:
                locked = bool(self._prover.locked())
                body = {"event": PROOF_FAILED, "name": str(name)[:MOST_NAME], "by": user, "what": what[:_MOST_SAID], "locked": locked}
                await self._intake.command(lambda: self._intake.add("event", body, urgent=True))
            raise

    # --- violations -----------------------------------------------------------------------------------------------

    async def step(self, verb: str, violation: str, asked: Mapping[str, Any], user: str) -> dict[str, Any]:
        """A person's step on a violation: durable on return. Raises StepRefused, NotProven, PhotoRefused."""
        if verb not in TABLE:
            raise StepRefused(f"no step '{verb}'", hint=", ".join(TABLE))
        ask = await self._ask(verb, violation, asked, user)
        return await self._do(ask)

    async def find(self, asked: Mapping[str, Any], user: str) -> dict[str, Any]:
        """自查: what a person found becomes a violation. Raises StepRefused, NotProven, PhotoRefused."""
        ask = await self._ask("open", "", asked, user)
        point, resolved = ask.detail.get("point"), self._intake.state.resolved
        if point and (not isinstance(point, str) or point not in resolved.get("points", {})):
            raise StepRefused(f"no point '{point}'", hint="`edge-gateway status --points` shows them")
        zone = ask.detail.get("zone")
        if zone and (not isinstance(zone, str) or zone not in resolved.get("zones", {})):
            raise StepRefused(f"no zone '{zone}'", hint="zones stand in the configuration")
        return await self._do(ask)

    def show(self, violation: str) -> dict[str, Any]:
        """Everything known of one that is open, or part of another. Raises StepRefused."""
        book = self._intake.state.violations
        for record in book.records():
            if record["violation"] == violation:
                rule = self._intake.state.rule(record["rule"], record["point"])
                about = {} if rule is None else {key: getattr(rule, key) for key in ("title_zh", "title_en", "do_zh", "do_en", "standard", "clause", "basis_edition")}
                state = self._intake.state
                held = book.held(violation)
                lots = of_cause(state.ledger.lots, record, held, state.resolved.get("points", {}))
                return {"violation": record, "rule": about, "held": [each["violation"] for each in held], "consequences": held, "lots": lots}
        raise StepRefused(f"no open violation '{violation}'", hint="`edge-gateway violations show` reads what is over from the record")

    async def _ask(self, verb: str, violation: str, asked: Mapping[str, Any], user: str) -> Ask:
        photos = asked.get("photos") or []
        if not isinstance(photos, list) or not all(isinstance(each, str) for each in photos):
            raise ValueError("'photos' is no list of hashes")
        who = await self.who(asked, user, f"{verb} {violation}".strip())
        detail = {key: value for key, value in asked.items() if key not in _NO_DETAIL}
        detail.pop("by", None)  # the peer's user is known by the kernel's word
        return Ask(verb, violation, who, str(asked.get("reason", "")), detail, self._journal.named_photos(photos))

    async def _do(self, ask: Ask) -> dict[str, Any]:
        book = self._intake.state.violations

        async def step() -> object:
            at, stamp = await self._intake.moment()
            with unmoved(book):
                bodies = book.find(ask, at) if ask.step == "open" else taken(book, ask, at, self._intake.state.doubtful)
                self._intake.fits("violation", bodies, stamp)
            return bodies[-1 if ask.step == CLOSE else 0] | {"seq": await self._intake.add_violations(bodies, stamp)}

        result = await self._intake.command(step)
        return dict(result) if isinstance(result, Mapping) else {}

    # --- people ---------------------------------------------------------------------------------------------------

    async def everybody(self) -> dict[str, Any]:
        """Who may prove themselves; no secrets. Raises PeopleFault."""
        if self._people is None:
            return {"people": []}
        await self._notice()
        return {"people": [{"name": each.name, "role": each.role} for each in self._people.all()]}

    async def change(self, verb: str, asked: Mapping[str, Any], user: tuple[str, int]) -> dict[str, Any]:
        """``add`` (also: a new secret) or ``remove`` somebody; only for root and the service's own user. Raises GatewayError, ValueError."""
        if self._people is None:
            raise GatewayError("this gateway has no folder for people")
        if user[1] not in (0, os.geteuid()):
            raise GatewayError("only the administrator of this machine gives and takes secrets", hint="sudo edge-gateway people …")
        name, reason = str(asked.get("name") or ""), str(asked.get("reason") or "")
        if not reason.strip():
            raise GatewayError("a reason is missing", hint='add --reason "why"')
        async with self._changing:
            return await self._changed(self._people, verb, asked, (name, reason, user[0]))

    async def _changed(self, known: People, verb: str, asked: Mapping[str, Any], who: tuple[str, str, str]) -> dict[str, Any]:
        """One change after the other: each begins with what the one before wrote."""
        name, reason, user = who
        await self._notice()
        others = [each for each in known.all() if each.name.casefold() != name.strip().casefold()]
        people = list(others)
        if verb == "add":
            role = str(asked.get("role") or "")
            check(name, role)
            people.append(Person(name, role, await asyncio.to_thread(hashed, str(asked.get("secret") or ""))))
        elif verb != "remove":
            raise GatewayError(f"no such step '{verb}'", hint="add or remove")
        elif len(others) == len(known.all()):
            raise GatewayError(f"nobody is called '{name}'", hint="`edge-gateway people list` shows the names")
        permitted(people)  # before it stands in the record
        await self._record(people, user, reason)
        known.write(people)
        return {"name": name, "people": len(people)}

    async def _notice(self) -> None:
        """Who changed ``people.toml`` by hand is found out before anybody in it is believed."""
        if self._people is not None and _marks(self._people.all()) != self._intake.state.people:
            await self._record(list(self._people.all()), "people.toml", "the file was changed by hand, or restored")

    async def _record(self, people: list[Person], by: str, reason: str) -> None:
        body: dict[str, Any] = {"event": PEOPLE_CHANGED, "by": by, "why": reason[:_MOST_SAID]}
        body |= {"old": self._intake.state.people, "new": _marks(people)}

        async def act() -> object:
            seq = await self._intake.add("event", body, urgent=True)
            self._intake.state.hear(body)
            return seq

        await self._intake.command(act)


def _marks(people: Any) -> dict[str, list[str]]:
    """Name -> role, and what changes when the secret does."""
    return {each.name: [each.role, each.mark] for each in people}
