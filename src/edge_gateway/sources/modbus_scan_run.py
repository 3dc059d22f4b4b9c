"""Carries a scan out: the one place that awaits its line. Says what it finds as it finds it; what to ask is others' matter.

An event is a JSON-able mapping with ``event``: ``unit`` (something answers, or garbles), ``unfit`` (the port cannot be set up
so: those settings are passed over), ``progress``, ``end``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from edge_gateway.errors import BadFrame, DeviceRefused
from edge_gateway.links.modbus import NoAnswer, request
from edge_gateway.links.modbus_pdu import crc16
from edge_gateway.links.serial import SettingsRefused
from edge_gateway.profiles.model import ModbusProfile
from edge_gateway.sources.modbus_identify import Identity, identify
from edge_gateway.sources.modbus_lend import Lender
from edge_gateway.sources.modbus_scan import MOST_S, SHORT_BYTES, TCP_S, Framing, Plan

#: How often an address that garbled once is asked again, and what a unit gets to begin its answer then.
GARBLED_TRIES, GARBLED_S = 9, 0.25
#: Silent so often in a row, nobody is there: what garbled was a stray.
_STRAY = 3
#: A unit that is known to answer gets this long to begin its answer (s), and this many times what it took before.
_LEAST_S, _TIMES = 0.04, 2.0
_PROGRESS_EVERY = 16
#: A gateway says so for a unit behind it that does not answer.
_NOBODY = frozenset({10, 11})

Event = dict[str, Any]
#: (framing as text, unit) -> the devices of the configuration there.
Known = Mapping[tuple[str, int], Sequence[str]]
_Place = tuple[Framing | None, int]


class Scanner:
    """One scan of one line. Iterate over ``run`` once; close the lender afterwards."""

    def __init__(self, lender: Lender, plan: Plan, profiles: Sequence[ModbusProfile], known: Known) -> None:
        self._lender = lender
        self._plan = plan
        self._profiles = profiles
        self._known = known
        self._found: set[_Place] = set()
        self._late: list[_Place] = []
        self.strays = 0

    async def run(self) -> AsyncGenerator[Event, None]:
        """All probes of the plan. Raises LinkDown when the line itself is gone, or can be set up in none of the ways that were asked for."""
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        total = sum(1 for _ in self._plan.probes())
        unfit: set[Framing | None] = set()
        refused: SettingsRefused | None = None
        fits = False
        for done, probe in enumerate(self._plan.probes(), 1):
            place = (probe.framing, probe.address)
            if probe.framing in unfit:
                continue
            try:
                if place not in self._found and (event := await self._probe(place, probe.pdu, probe.timeout_s)):
                    yield event
                fits = True
            except SettingsRefused as error:
                unfit.add(probe.framing)
                refused = error
                yield {"event": "unfit", "framing": _text(probe.framing), "why": error.why}
            while self._late:  # whoever answers late is asked again, with patience
                if (place := self._late.pop()) not in self._found and (
                    event := await self._probe(place, request(3, 0, 2), MOST_S)
                ):
                    yield event
            if done % _PROGRESS_EVERY == 0 or done == total:
                yield {"event": "progress", "done": done, "of": total, "framing": _text(probe.framing)}
        if refused is not None and not fits:
            raise refused
        took_s = round(loop.time() - started_s, 1)
        yield {"event": "end", "found": len(self._found), "took_s": took_s, "strays": self.strays} | self._frames()

    def _frames(self) -> Event:
        return {"frames": self._lender.totals()}

    async def _probe(self, place: _Place, pdu: bytes, timeout_s: float) -> Event | None:
        """Ask one address once. What is there, or None."""
        framing, address = place
        try:
            await self._lender.ask(framing, address, pdu, timeout_s)
        except DeviceRefused as refusal:
            if refusal.code in _NOBODY:
                return None
        except NoAnswer:
            return None
        except BadFrame as error:
            return await self._garbled(place, error)
        finally:
            self._suspect(framing, address, self._lender.late_units())
        return await self._unit(place, self._lender.took_s)

    def _suspect(self, framing: Framing | None, address: int, units: Sequence[int]) -> None:
        self._late += [(framing, unit) for unit in units if unit != address and (framing, unit) not in self._found]

    # --- what garbles --------------------------------------------------------------------------------------------

    async def _garbled(self, place: _Place, error: BadFrame) -> Event | None:
        """Something was heard that is no answer: a stranger's late answer, noise, or two units at one address."""
        framing, address = place
        heard = error.received
        if len(heard) > 4 and heard[0] != address and crc16(heard[:-2]) == heard[-2:]:
            self._suspect(framing, address, [heard[0]])
            self._late.append(place)  # its own answer may have been drowned
            return None
        good, bad, silent, took_s = 0, 1, 0, 0.0
        for turn in range(GARBLED_TRIES):
            try:
                await self._lender.ask(framing, address, request(3, 0, 1 + turn % 8), GARBLED_S)
            except DeviceRefused:
                good, took_s = good + 1, self._lender.took_s
            except NoAnswer:
                silent += 1
            except BadFrame:
                bad += 1
            else:
                good, took_s = good + 1, self._lender.took_s
            if silent >= _STRAY and good + bad == 1:
                self.strays += 1
                return None
        if good and bad <= 1:
            return await self._unit(place, took_s, bad)
        self._found.add(place)
        return self._event(place, took_s) | {"state": "garbled", "asked": good + bad + silent, "bad": bad}

    # --- what answers --------------------------------------------------------------------------------------------

    async def _unit(self, place: _Place, took_s: float, bad: int = 0) -> Event:
        framing, address = place
        self._found.add(place)
        known = list(self._known.get((_text(framing), address), ()))
        identity = Identity()
        if not known:
            timeout_s = TCP_S
            if framing is not None:
                timeout_s = min(_LEAST_S + _TIMES * max(0.0, took_s - SHORT_BYTES * framing.byte_s), MOST_S)
            identity = await identify(partial(self._asked, framing, address, timeout_s), self._profiles)
        event = self._event(place, took_s) | {"state": "answers", "known": known, "asked": identity.questions + 1}
        words = {name: getattr(identity, name) for name in ("vendor", "product", "revision", "server_id")}
        words |= {"bad": bad + identity.bad, "blocks": identity.blocks}
        return event | words | {"matches": [asdict(match) for match in identity.matches]}

    async def _asked(self, framing: Framing | None, address: int, timeout_s: float, pdu: bytes) -> bytes:
        return await self._lender.ask(framing, address, pdu, timeout_s)

    @staticmethod
    def _event(place: _Place, took_s: float) -> Event:
        return {"event": "unit", "framing": _text(place[0]), "unit": place[1], "round_trip_ms": round(took_s * 1000, 1)}


def _text(framing: Framing | None) -> str:
    return "" if framing is None else str(framing)
