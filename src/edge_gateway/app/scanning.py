"""Scans as the running gateway (or a command without one) carries them out: listen, ask, keep what is found in the inbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from edge_gateway.app.listening import identifying, passive, watched
from edge_gateway.app.topics import message_profiles, topics
from edge_gateway.config.adopting import adopt, wish_of
from edge_gateway.config.model import GatewayConfig
from edge_gateway.config.scanning import Job, jobs
from edge_gateway.errors import GatewayError, LinkDown
from edge_gateway.links.modbus_overheard import overheard
from edge_gateway.sources.finds import Finds
from edge_gateway.sources.modbus_lend import Lender, Share
from edge_gateway.sources.modbus_scan_run import Event, Scanner
from edge_gateway.sources.mqtt import MqttConfig
from edge_gateway.sources.mqtt_discover import ASKED_S, MOST_S, filters_of

#: Hosts of a range that are tried for a Modbus port at the same time, and how long each gets (s).
AT_ONCE, CONNECT_S = 16, 1.0


class ScanBusy(GatewayError):
    """A scan is under way."""

    exit_code = 7


class Scans:
    """One scan at a time. ``config`` answers the one in force, ``share`` the running source of a bus, if there is one."""

    def __init__(
        self,
        *,
        main: Path,
        state_dir: Path,
        config: Callable[[], GatewayConfig | None],
        share: Callable[[str], Share | None],
        wall_us: Callable[[], int],
    ) -> None:
        self._main = main
        self._state_dir = state_dir
        self._config = config
        self._share = share
        self._wall_us = wall_us
        self._busy = False
        self.finds = Finds(state_dir)

    async def run(self, wanted: Mapping[str, Any]) -> AsyncGenerator[Event, None]:
        """Events of a scan; ends early and gives the line back when the iterator is closed. See ``config.scanning.jobs``.

        ``mode``: ``scan``, or ``passive`` and ``identify`` (see ``app.listening``), for ``for_s`` seconds. ``active``: go on although somebody else talks on the line. Raises GatewayError before the first event.
        """
        bus = self._broker(wanted)
        if bus is not None:  # a broker has room for many, a line for one
            async with aclosing(self._topics(bus, wanted)) as events:
                async for event in events:
                    yield event
            return
        if self._busy:
            raise ScanBusy("a scan is under way", hint="wait for its end")
        self._busy = True
        try:
            try:
                listed = await asyncio.to_thread(jobs, wanted, self._config(), self._main.parent)
            except (TypeError, ValueError) as error:
                raise GatewayError(f"cannot be understood: {error}", hint="numbers as numbers, lines as a list") from error
            several = len(listed) > 1
            if several:
                yield {"event": "hosts", "hosts": len(listed), "at_once": AT_ONCE}
                listed = await _listening(listed)
                yield {"event": "open", "hosts": [job.target for job in listed]}
            for job in listed:
                async with aclosing(self._of(job, wanted)) as events:
                    async for event in events:
                        yield event
        finally:
            self._busy = False

    def _broker(self, wanted: Mapping[str, Any]) -> tuple[str, MqttConfig] | None:
        config, target = self._config(), str(wanted.get("target") or "")
        bus = None if config is None else config.buses.get(target)
        return (target, bus) if isinstance(bus, MqttConfig) else None

    async def _topics(self, bus: tuple[str, MqttConfig], wanted: Mapping[str, Any]) -> AsyncGenerator[Event, None]:
        """A broker is not asked: its unknown topics are heard for a while."""
        id_, broker = bus
        config = self._config()
        known = [] if config is None else [d.topic for d in config.devices.values() if d.bus == id_ and d.topic]
        filters = filters_of([str(word) for word in wanted.get("topics") or broker.discover or ("#",)])
        seconds = min(max(float(wanted.get("for_s") or ASKED_S), 0.1), MOST_S)
        profiles = await asyncio.to_thread(message_profiles, self._main.parent)
        settings = await asyncio.to_thread(broker.settings, id_)
        unkept: Event = {}
        async with aclosing(topics(settings, filters, seconds, known, profiles)) as events:
            async for event in events:
                if event["event"] == "topic":
                    found = {"kind": "mqtt", "bus": id_, **{k: v for k, v in event.items() if k != "event"}}
                    number, unkept = await self._put(f"{id_}|{event['topic']}", found, unkept)
                    yield event | number
                else:
                    yield event
        if unkept:
            yield unkept

    async def _put(self, key: str, found: Mapping[str, Any], before: Event) -> tuple[Event, Event]:
        """Its number in the inbox, if it can be kept; why not, to be said at the end: what was found is shown all the same."""
        try:
            return {"item": await asyncio.to_thread(self.finds.put, key, found, self._wall_us())}, before
        except GatewayError as error:
            return {}, before or _error(error)

    def _of(self, job: Job, wanted: Mapping[str, Any]) -> AsyncGenerator[Event, None]:
        mode = wanted.get("mode") or "scan"
        if mode == "scan":
            return self._one(job, active=bool(wanted.get("active")))
        return self._quiet(job, str(mode), float(wanted.get("for_s") or 0.0))

    async def _quiet(self, job: Job, mode: str, for_s: float) -> AsyncGenerator[Event, None]:
        """``passive`` or ``identify``: nothing new is asked, nothing goes into the inbox."""
        lender = self._lender(job)
        try:
            if mode == "passive":
                events = passive(job, lender, for_s)
            else:
                items = await asyncio.to_thread(self.finds.items, self._wall_us())
                events = identifying(watched(items, job), lender, for_s)
            async with aclosing(events):
                async for event in events:
                    yield event
        except LinkDown as error:
            yield _error(error)
        finally:
            await lender.close()

    def _lender(self, job: Job) -> Lender:
        return Lender(job.settings, self._share(job.bus) if job.bus else None)

    async def _one(self, job: Job, *, active: bool) -> AsyncGenerator[Event, None]:
        lender = self._lender(job)
        yield job.announcement()
        try:
            if job.serial and job.listen_s:
                heard = await lender.listen(job.plan.framings[0], job.listen_s)
                size = sum(len(data) for _, data in heard)
                yield {"event": "listened", "seconds": job.listen_s, "bytes": size}
                if heard and not active:
                    yield {"event": "foreign", "bytes": size, "frames": len(overheard(heard))}
                    return
            unkept: Event = {}
            async with aclosing(Scanner(lender, job.plan, job.profiles, job.known).run()) as events:
                async for event in events:
                    shown, unkept = await self._kept(job, event, unkept)
                    yield shown
            if unkept:
                yield unkept
        except LinkDown as error:
            yield _error(error)
        finally:
            await lender.close()

    async def _kept(self, job: Job, event: Event, unkept: Event) -> tuple[Event, Event]:
        """A unit that is not configured goes into the inbox."""
        if event["event"] != "unit" or event.get("known"):
            return event | {"target": job.target}, unkept
        found = {"kind": "modbus", "bus": job.bus, **job.place, **{k: v for k, v in event.items() if k != "event"}}
        key = f"{':'.join(str(part) for part in job.place.values())}|{event['framing']}|{event['unit']}"
        number, unkept = await self._put(key, found, unkept)
        return event | {"target": job.target} | number, unkept

    # --- the inbox -----------------------------------------------------------------------------------------------

    def inbox(self) -> list[dict[str, Any]]:
        """What is kept, with its age."""
        now_us = self._wall_us()
        return [item | {"age_s": round((now_us - item["seen_us"]) / 1e6)} for item in self.finds.items(now_us)]

    def ignore(self, number: int) -> dict[str, Any]:
        """Show an item no more."""
        return {"ignored": self.finds.ignore(number, self._wall_us())["key"]}

    def add(self, number: int, body: Mapping[str, Any], by: str) -> dict[str, Any]:
        """Make an item part of the configuration files. Answers the file, its text and its points; the item stays."""
        now_us = self._wall_us()
        item = self.finds.item(number, now_us)
        wish = wish_of(body)
        remark = f"Written by `edge-gateway inbox add {number} --as {wish.prefix}`, asked for by {by}."
        file, added = adopt(self._main, self._state_dir, item["found"], wish, remark)
        return {"file": str(file), "text": file.read_text("utf-8"), "points": list(added["points"]), "item": item["key"]}

    def taken(self, number: int) -> None:
        """An item became part of the configuration: it is no suggestion any more."""
        self.finds.drop(number, self._wall_us())


def _error(error: GatewayError) -> Event:
    return {"event": "error", "error": type(error).__name__, "why": error.why, "hint": error.hint}


async def _listening(listed: Sequence[Job]) -> list[Job]:
    """Those whose host takes a connection at its Modbus port."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def tried(job: Job) -> bool:
        async with gate:
            try:
                async with asyncio.timeout(CONNECT_S):
                    _, writer = await asyncio.open_connection(job.place["host"], job.place["tcp_port"])
            except (OSError, TimeoutError):
                return False
            writer.close()
            return True

    found = await asyncio.gather(*(tried(job) for job in listed))
    return [job for job, yes in zip(listed, found, strict=True) if yes]
