"""The live page of the gateway: whole for a browser without scripts, and as a stream of what changed; shows, changes nothing.

The server speaks: rows and parts are sent as finished markup in the reader's language, and while only number, marker
and time move, as these three alone. Browsers let ages tick and say when the stream is lost.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from edge_gateway.page import day
from edge_gateway.page.links import links
from edge_gateway.page.shown import moving, row, standing, violations
from edge_gateway.page.site import Site
from edge_gateway.page.view import ORDER
from edge_gateway.page.words import Words
from edge_gateway.rules import permits
from edge_gateway.web import pages
from edge_gateway.web.sse import PACE_S, Feed

PART = "gateway"
#: Without anything committed the site is looked at this often (real seconds): values grow stale, links break.
IDLE_LOOK_S = 2.0
#: Figures of links and journal alone are told this often (real seconds); a state that changed at once.
FIGURES_S = 5.0
#: Words that the browser says itself.
_TICKING = ("age.", "for.", "tick.", "stream.", "say.")


class Live:
    """``page`` answers the whole, ``stream`` the changes; ``run`` looks for them while anybody watches."""

    def __init__(self, site: Site, language: str) -> None:
        self._site = site
        self.language = language
        self._desks = {each: _Desk(self, each) for each in pages.LANGUAGES}

    @property
    def site(self) -> Site:
        """Whose page this is."""
        return self._site

    async def page(self, request: Request) -> Response:
        """The page in the reader's language."""
        words = self.words(pages.language(request, self.language))
        look = Look(self._site, words)
        return pages.page(request, "gateway.html", self.language, part=PART, **look.page())

    async def stream(self, request: Request) -> Response:
        """Server-sent events: ``full``, then ``delta`` and ``beat``."""
        return self._desks[pages.language(request, self.language)].feed.response()

    async def full(self, request: Request) -> Mapping[str, Any]:
        """What the ``full`` event would say now: for browsers that get no stream."""
        desk = self._desks[pages.language(request, self.language)]
        return {**self.stamp(), **await desk.full()}

    def words(self, language: str, *, mute: bool = False) -> Words:
        """The reader's language, the site's zone, the gateway's time; ``mute``: the browser says what ticks."""
        zone = str(self._site.intake.state.resolved.get("site", {}).get("timezone") or "Asia/Shanghai")
        return Words(pages.catalog(language, PART), language, zone, self._site.clock.wall_us(), mute)

    def stamp(self) -> dict[str, Any]:
        """The gateway's time, how fast it runs, and its offset from UTC."""
        words = self.words(self.language)
        return {"now_us": words.now_us, "speed": self._site.speed, "offset_s": words.offset_s()}

    async def run(self) -> None:
        """Tell browsers what changed, until cancelled; then end their streams."""
        seen, idle_s = -1, 0.0
        try:
            while True:
                # A stream that begins meanwhile has everything: the first difference can wait for a second.
                pause_s = PACE_S if any(desk.feed.watched for desk in self._desks.values()) else 1.0
                await asyncio.sleep(pause_s)
                idle_s += pause_s
                committed = self._site.journal.committed_seq
                if committed == seen and idle_s < IDLE_LOOK_S:
                    continue
                seen, idle_s = committed, 0.0
                for desk in self._desks.values():
                    if desk.feed.watched:
                        desk.look()
        finally:
            self.close()

    def close(self) -> None:
        """End all streams."""
        for desk in self._desks.values():
            desk.feed.close()


class Look:
    """One look at the site, in one language."""

    def __init__(self, site: Site, words: Words) -> None:
        found = site.points()
        status = site.status(found)
        resolved = site.intake.state.resolved
        self._words = words
        self._site = status["site"]
        self._speed = site.speed
        self.rows = [row(about, words) for about in found]
        self.items = links(status, resolved, words)
        self.day = day.lines(status["phase"], resolved, words) + [{"text": permits.why(each, words.language), "bad": each["event"] == permits.ENDED} for each in status["permits_due"]]
        self.violations = violations(status["violations"], site.layout().rules, resolved.get("points", {}), words, site.intake.state.violations.held)
        self.not_monitored = [
            words.name(each, "title") or str(each["rule"]) for each in status["not_monitored_detail"]
        ] or list(status["not_monitored"])

    def page(self) -> dict[str, Any]:
        """Everything the page's template puts."""
        words = self._words
        return {
            "title": self.title(),
            "site_name": words.name(self._site) or self._site.get("id", ""),
            "site_id": self._site.get("id", ""),
            "clock": words.local(words.now_us).strftime("%H:%M:%S"),
            "zone": words.zone_name(),
            "now_us": words.now_us,
            "speed": self._speed,
            "offset_s": words.offset_s(),
            "newest": self.newest(),
            "counts": self.counts(),
            "items": self.items,
            "day": self.day,
            "rows": self.rows,
            "abnormal": [each for each in self.rows if each["state"] != "normal"],
            "normal": [each for each in self.rows if each["state"] == "normal"],
            "violations": self.violations,
            "not_monitored": self.not_monitored,
            "ticking": {key: text for key, text in words.t.items() if key.startswith(_TICKING)},
        }

    def counts(self) -> list[tuple[str, int]]:
        """How many points are in each state, gravest first."""
        return [(state, sum(each["state"] == state for each in self.rows)) for state in ORDER]

    def newest(self) -> dict[str, Any] | None:
        """How old the newest of all readings is; None before the first."""
        observed = [each["observed_us"] for each in self.rows if each["observed_us"] is not None]
        return self._words.tick("tick.newest", max(observed)) if observed else None

    def title(self) -> str:
        """For the browser's tab: how many violations, and where."""
        broken = dict(self.counts())["violation"]
        mark = f"■{broken} " if broken else ""
        return f"{mark}{self._words.name(self._site) or self._site.get('id', '')}"

    def parts(self) -> dict[str, str]:
        """Markup of the parts besides rows, by the id of their element."""
        macros, t = pages.fragments("gateway_parts.html"), self._words.t
        return {
            "title": self.title(),
            "counts": str(macros.counts(self.counts(), t, len(self.violations))),
            "strip": str(macros.strip(self.items, t)),
            "day": str(macros.day(self.day)),
            "open": str(macros.open(self.violations, t)),
            "system": str(macros.system(self.items)),
            "unwatched": str(macros.unwatched(self.not_monitored, t)),
        }


class _Desk:
    """What readers of one language have been told; it looks again, and tells the difference."""

    def __init__(self, live: Live, language: str) -> None:
        self._live = live
        self._language = language
        self._standing: dict[str, Any] = {}
        self._moving: dict[str, Any] = {}
        self._rows: dict[str, str] = {}
        self._parts: dict[str, str] = {}
        self._states: list[Any] = []
        self._figures_s = 0.0
        self.feed = Feed(self.full, live.stamp, at_once=True)

    async def full(self) -> Mapping[str, Any]:
        """Everything as it is now; those who watch already are told the difference, so that all know the same."""
        self.look()
        return {"rows": self._rows, "values": self._moving, "parts": self._parts}

    def look(self) -> None:
        """Look at the site and publish what changed."""
        words = self._live.words(self._language, mute=True)
        found = Look(self._live.site, words)
        macros = pages.fragments("gateway_parts.html")
        rows: dict[str, str | None] = dict.fromkeys(self._standing.keys() - {each["id"] for each in found.rows})
        values: dict[str, Any] = {}
        for each in found.rows:
            id_, at_rest, moved = each["id"], standing(each), moving(each)
            if self._standing.get(id_) != at_rest:
                self._standing[id_] = at_rest
                rows[id_] = self._rows[id_] = str(macros.row(each, words.t))
                values[id_] = moved  # with the row: an older one that still waits must not overtake it
            elif self._moving.get(id_) != moved:
                values[id_] = moved
            self._moving[id_] = moved
        for id_ in [id_ for id_, html in rows.items() if html is None]:
            for known in (self._standing, self._moving, self._rows):
                known.pop(id_, None)
        now = self._paced(found, found.parts())
        parts = {key: html for key, html in now.items() if self._parts.get(key) != html}
        self._parts = now
        for section, news in (("rows", rows), ("values", values), ("parts", parts)):
            if news:
                self.feed.publish(section, news)

    def _paced(self, found: Look, now: dict[str, str]) -> dict[str, str]:
        """``now``, but with the figures told before while no state changed and their time has not come."""
        states = [(item["id"], item["word"], item["bad"]) for item in found.items]
        if states == self._states and time.monotonic() - self._figures_s < FIGURES_S:
            return now | {"system": self._parts["system"]}
        self._states, self._figures_s = states, time.monotonic()
        return now
