"""Follows the running demonstration and tells a line a happening, in English or Chinese; changes only the line to the hub."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp

from edge_gateway.demo.children import ChildFailed
from edge_gateway.demo.scenarios import TEXTS as SCENARIO_TEXTS
from edge_gateway.demo.scene import BROKER_BUS, DEVICES, SITE_EN, SITE_ZH
from edge_gateway.demo.site import Site
from edge_gateway.demo.story import TEXTS as STORY_TEXTS
from edge_gateway.units import symbol

TEXTS = STORY_TEXTS | SCENARIO_TEXTS
#: What is done at the site when something happens: moves what is not the plant.
Acts = Mapping[str, Callable[[], Awaitable[None]]]
_POLL_S = 0.25
_START_POLL_S = 0.05
_CATCH_UP_S = 60.0
_FIRST_S = 30.0
#: What stands behind a limit that nobody read in the standard's own text.
_KNOWN = {
    "secondary": (" (secondary source)", "（据二手来源）"),
    "no": (" (operator's value, unverified)", "（运营方数值，未核实）"),
}
_NAMES = {point.id: (point.en, point.zh) for device in DEVICES for point in device.points}


class Teller:
    """Talks to a person, on stderr."""

    def __init__(self, language: str) -> None:
        self.language = language

    def say(self, en: str, zh: str) -> None:
        """One line."""
        print(zh if self.language == "zh" else en, file=sys.stderr, flush=True)

    def at(self, story_s: float, en: str, zh: str) -> None:
        """One line with the story's time, minutes and seconds."""
        stamp = f"{int(story_s) // 60:02d}:{int(story_s) % 60:02d}"
        self.say(f"  {stamp}  {en}", f"  {stamp}  {zh}")

    def addresses(self, site: Site) -> None:
        """Where to look."""
        own, speed = site.options.own, f"{site.options.speed:g}"
        points = sum(len(device.points) for device in DEVICES) if own is None else len(own.points)
        devices, (name_en, name_zh) = (len(DEVICES), (SITE_EN, SITE_ZH)) if own is None else (len(own.devices), own.names)
        self.say(
            f"{name_en}: {devices} devices, {points} simulated points, 1 regulator hub. Time runs {speed}x.",
            f"{name_zh}：{devices} 台设备，{points} 个模拟测点，1 个监管端。时间加速 {speed} 倍。",
        )
        self.say(f"  gateway page   {site.page_url}/", f"  网关页面   {site.page_url}/")
        self.say(f"  regulator hub  {site.hub_url}/", f"  监管端     {site.hub_url}/")
        if own is None:
            ports = ", ".join(f"127.0.0.1:{port}" for port in site.guest_ports.values())
            self.say(f"  Modbus TCP     {ports}", f"  Modbus TCP {ports}")
            self.say(f"  MQTT           127.0.0.1:{site.broker_port}", f"  MQTT       127.0.0.1:{site.broker_port}")
        look = f"edge-gateway --socket {site.options.sockets / 'gateway.sock'} status"
        self.say(f"  try            {look}", f"  试试       {look}")


class Follower:
    """Knows the gateway from its control socket only, and the plant from what it says. ``acts``: what is done beside the line to the hub."""

    def __init__(self, site: Site, teller: Teller, acts: Acts | None = None) -> None:
        self._site = site
        self._teller = teller
        self._acts: Acts = {"hub-cut": self._cut, "hub-back": self._mend} | dict(acts or {})
        self._begun_s = 0.0
        self._catching_up: asyncio.Task[None] | None = None
        self._shown: dict[str, tuple[str, str, str]] = {}

    async def first_reading(self) -> None:
        """Until a reading is committed. Raises ChildFailed when the gateway ends, or gives none for too long."""
        waiting = asyncio.create_task(self._committed(), name="committed")
        ended = asyncio.create_task(self._site.gateway.ended(), name="gateway ended")
        try:
            await asyncio.wait({waiting, ended}, timeout=_FIRST_S, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                ended.result()
            if not waiting.done():
                raise ChildFailed(f"no reading within {_FIRST_S:g} s; logs are in {self._site.options.folder / 'logs'}")
            waiting.result()
        finally:
            waiting.cancel()
            ended.cancel()
            await asyncio.gather(waiting, ended, return_exceptions=True)

    async def _committed(self) -> None:
        before, seen = -1, False
        while True:
            position = await self._site.control.ask("position") or {}
            committed = position.get("committed_seq", -1)
            if seen and committed > before:
                return
            if not seen:
                before = committed
                rows = (await self._site.control.ask("points") or {}).get("points", [])
                seen = any(row["value"] is not None for row in rows)
            await asyncio.sleep(_START_POLL_S)

    async def listened(self, within_s: float) -> bool:
        """Until the gateway has subscribed at the broker."""
        ends_s = time.monotonic() + within_s
        while time.monotonic() < ends_s:
            status = await self._site.control.ask("status") or {}
            if status and self._site.options.own is not None:
                return True  # it has no broker
            health = status.get("buses", {}).get(BROKER_BUS, {})
            if health.get("connected") and health.get("subscribed"):
                return True
            await asyncio.sleep(_START_POLL_S)
        return False

    async def run(self) -> None:
        """Tell until cancelled. Raises ChildFailed when a process ends that must not."""
        self._begun_s = time.monotonic()
        work = [self._plant(), self._violations(), self._hub(), *(child.ended() for child in self._site.needed)]
        tasks = [asyncio.create_task(one) for one in work]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            tasks += [self._catching_up] if self._catching_up else []
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def settled(self, each_s: float) -> None:
        """Some time, the gateway's word that its loop turned meanwhile, and some time again: nothing is under way any more."""
        await asyncio.sleep(each_s)
        await self._site.control.ask("position")
        await asyncio.sleep(each_s)

    async def delivering(self, within_s: float) -> None:
        """Until every sink takes what it is given, at most so long."""
        await self._sinks(within_s, lambda sink: sink["state"] == "ok")

    async def drained(self, within_s: float) -> None:
        """Until no sink has a backlog, at most so long."""
        await self._sinks(within_s, lambda sink: sink["backlog"] == 0)

    async def _sinks(self, within_s: float, well: Callable[[dict[str, Any]], bool]) -> None:
        ends_s = time.monotonic() + within_s
        while time.monotonic() < ends_s:
            sinks = (await self._site.control.ask("status") or {}).get("sinks", {})
            if sinks and all(map(well, sinks.values())):
                return
            await asyncio.sleep(_POLL_S)

    def _story_s(self) -> float:
        return (time.monotonic() - self._begun_s) * self._site.options.speed

    async def _plant(self) -> None:
        while True:
            heard = json.loads(await self._site.plant.hear())
            what = heard.get("event")
            if what is None:
                continue
            self._teller.at(heard["story_s"], *self._told(what))
            if (act := self._acts.get(what)) is not None:
                await act()

    def _told(self, what: str) -> tuple[str, str]:
        """What happens, with the site's own names of who plays in it."""
        en, zh = TEXTS[what]
        for (demo_en, demo_zh), (own_en, own_zh) in self._site.options.names.items():
            en, zh = en.replace(demo_en, own_en), zh.replace(demo_zh, own_zh)
        return en, zh

    async def _cut(self) -> None:
        self._site.line.cut()

    async def _mend(self) -> None:
        await self._site.line.mend()
        self._catching_up = asyncio.create_task(self._caught_up(), name="catch up")

    async def _violations(self) -> None:
        while True:
            answer = await self._site.control.ask("violations")
            if answer is not None:
                self._compare({str(found["violation"]): found for found in answer["violations"]})
            await asyncio.sleep(_POLL_S)

    async def _hub(self) -> None:
        """Tell what the hub shows of violations, and when it has caught up after the cut."""
        told: set[str] = set()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2.0)) as session:
            while True:
                try:
                    async with session.get(f"{self._site.hub_url}/api/v1/violations") as answer:
                        found = (await answer.json())["violations"]
                except (aiohttp.ClientError, TimeoutError):
                    found = []
                for id_ in [v["violation"] for v in found if v["violated"] and v["violation"] not in told]:
                    told.add(id_)
                    self._teller.at(self._story_s(), f"  the hub shows violation {id_}", f"  监管端已显示违规 {id_}")
                await asyncio.sleep(_POLL_S)

    async def _caught_up(self) -> None:
        await self.delivering(_CATCH_UP_S)
        await self.drained(_CATCH_UP_S)
        self._teller.at(self._story_s(), "the hub has everything again", "监管端已补齐全部数据")

    def _compare(self, now: dict[str, dict[str, Any]]) -> None:
        for id_, found in now.items():
            state = (found["level"], found["condition"], found["handling"])
            if self._shown.get(id_) != state:
                self._shown[id_] = state
                self._tell(id_, found)
        for id_ in self._shown.keys() - now.keys():
            del self._shown[id_]
            self._teller.at(
                self._story_s(),
                f"{id_} ended by itself: a notice that became no violation",
                f"{id_} 自行恢复，未构成违规",
            )

    def _tell(self, id_: str, found: dict[str, Any]) -> None:
        own = self._site.options.own
        en, zh = (_NAMES if own is None else own.points).get(str(found["point"]), (str(found["point"]),) * 2)
        kind_en, kind_zh = ("VIOLATION", "违规") if found["level"] == "violation" else ("notice", "预警")
        if found["condition"] == "recovered":
            kind_en, kind_zh = f"{kind_en} recovered", f"{kind_zh}已恢复"
        elif found["condition"] == "unknown":
            kind_en, kind_zh = f"{kind_en}, no data now", f"{kind_zh}，当前无数据"
        value = (found.get("first") or {}).get("value")
        first = "" if value is None else f" {value:g}"
        limit, _, unit = str(found.get("limit") or "").rpartition(" ")
        limit = f"{limit} {symbol(unit)}"
        mark_en, mark_zh = _KNOWN.get(str(found.get("verified")), ("", ""))
        self._teller.at(
            self._story_s(),
            f"  {kind_en} {id_}: {en}{first}, limit {limit}{mark_en}",
            f"  {kind_zh} {id_}：{zh}{first}，限值 {limit}{mark_zh}",
        )
