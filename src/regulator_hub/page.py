"""The hub's live page: all gateways' newest values over SSE, open violations first; shows, and changes nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from edge_gateway.clock import Clock
from edge_gateway.web import pages
from edge_gateway.web.sse import Feed
from regulator_hub import rows
from regulator_hub.interpret import Interpreter
from regulator_hub.named import is_about
from regulator_hub.outbox import Outbox
from regulator_hub.store import reader as read
from regulator_hub.store.reader import Reader
from regulator_hub.watch import Watch
from regulator_hub.witness import Witness

#: How often gateways' signs of life and alarms are looked at (real seconds).
LOOK_S = 2.0
#: Alarms shown; the API has more.
MAX_ALARMS = 50
#: Of each violation the newest steps; API and command line have more.
MAX_STEPS = 6


class Page:
    """``routes`` to serve, ``run`` to keep browsers told."""

    def __init__(
        self, reader: Reader, interpreter: Interpreter, watch: Watch, clock: Clock, witness: Witness, language: str
    ) -> None:
        self._reader = reader
        self._interpreter = interpreter
        self._watch = watch
        self._clock = clock
        self._witness = witness
        self._language = language
        self.outbox: Outbox | None = None  # commands that wait
        self._feed = Feed(self._full, self._stamp)
        self._told: dict[str, dict[str, Any]] = {"violations": {}, "gateways": {}, "alarms": {}}

    def routes(self) -> list[BaseRoute]:
        """The page, its stream, its files."""

        async def live(request: Request) -> Response:
            data = {**self._stamp(), **await self._full()}
            return pages.page(request, "live.html", self._language, app="hub", stream="/events", data=data)

        async def events(_request: Request) -> Response:
            return self._feed.response()

        return [Route("/", live), Route("/events", events), pages.static()]

    def missing(self, request: Request) -> Response:
        """For an address where there is nothing."""
        return pages.page(request, "notfound.html", self._language, status_code=404)

    async def run(self) -> None:
        """Tell browsers what changed, until cancelled."""
        looked_s = 0.0
        while True:
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._interpreter.news.wait()
            except TimeoutError:
                pass  # nothing new: look at signs of life all the same
            self._interpreter.news.clear()
            self._publish_points()
            if not self._feed.watched:
                self._told = {"violations": {}, "gateways": {}, "alarms": {}}
            else:
                self._publish("violations", self._violations())
                if time.monotonic() - looked_s >= LOOK_S:
                    looked_s = time.monotonic()
                    self._publish("gateways", self._calm(await self._gateways()))
                    self._publish("alarms", await self._alarms())
            await asyncio.sleep(0.2)  # rows are conflated by then

    def close(self) -> None:
        """End all streams."""
        self._feed.close()

    def _publish_points(self) -> None:
        now_us = self._clock.wall_us()
        for view in list(self._interpreter.views.values()):
            if changed := view.take_changed():
                self._feed.publish("points", _by_point(rows.points(view, now_us, only=changed)))

    def _publish(self, section: str, found: Mapping[str, Any]) -> None:
        told = self._told[section]
        changed = {key: row for key, row in found.items() if told.get(key) != row}
        changed |= dict.fromkeys(key for key in told if key not in found)
        if changed:
            self._told[section] = dict(found)
            self._feed.publish(section, changed)

    async def _full(self) -> dict[str, Any]:
        now_us = self._clock.wall_us()
        views = list(self._interpreter.views.values())
        return {
            "points": {key: row for view in views for key, row in _by_point(rows.points(view, now_us)).items()},
            "violations": self._violations(),
            "gateways": await self._gateways(),
            "alarms": await self._alarms(),
        }

    def _calm(self, found: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """A newer sign of life alone is told every 5 s only."""
        for name, row in found.items():
            told = self._told["gateways"].get(name)
            if told is not None and row["last_us"] - told["last_us"] < 5_000_000 * self._clock.speed:
                row["last_us"] = told["last_us"]
        return found

    def _violations(self) -> dict[str, Any]:
        views = self._interpreter.views.values()
        found = [v for view in views for v in rows.violations(view, ended=False, now_us=self._clock.wall_us())]
        return {f"{v['gateway']}/{v['row']}": v | {"steps": v["steps"][-MAX_STEPS:], "waiting": self._waiting(v)} for v in found}

    def _waiting(self, step: Mapping[str, Any]) -> list[dict[str, str]]:
        """Commands about a violation that its gateway has not answered."""
        if self.outbox is None:
            return []
        view = self._interpreter.view(str(step["gateway"]))
        mine = [item for item in self.outbox.waiting(view.gateway) if is_about(item.command, step) and not view.answered(item.name)]
        return [{"verb": item.command.verb, "by": item.command.by} for item in mine]

    async def _gateways(self) -> dict[str, dict[str, Any]]:
        return {
            name: {
                "gateway": name,
                **rows.site(view),
                "dark": name in self._watch.dark,
                "last_us": self._watch.last_us(name),
                "quarantined": view.state["quarantined"],
                "marks": [mark for mark in view.state["marks"].values() if mark["step"] != "ended"][-MAX_STEPS:],
                "phase": next((step for step in reversed(view.state["phases"]) if step["step"] == "began"), None),
                "packs": None if (meaning := view.current()) is None else meaning.packs,
                "pack_change": next(reversed(view.state["packs"]), None),
                "pending": await self._witness.pending(name),
                **self._witness.fingerprints(name),
                "branches": [
                    {"epoch": epoch.epoch, "of": epoch.branch_of, "size": epoch.branch_at, "count": epoch.size - epoch.branch_at}
                    for epoch in await self._reader.run(read.epochs, name)
                    if epoch.branch_of is not None
                ],
            }
            for name, view in list(self._interpreter.views.items())
        }

    async def _alarms(self) -> dict[str, Any]:
        found = await self._reader.run(read.alarms)
        still = [alarm for alarm in found if alarm["until_us"] is None][:MAX_ALARMS]
        return {f"{a['gateway']}/{a['kind']}/{a['about']}": a for a in still}

    def _stamp(self) -> dict[str, Any]:
        return {"now_us": self._clock.wall_us(), "speed": self._clock.speed}


def _by_point(found: list[dict[str, Any]]) -> dict[str, Any]:
    return {f"{row['gateway']}/{row['point']}": row for row in found}
