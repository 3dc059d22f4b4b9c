"""Feeds systemd's watchdog only while work is really being done; it repairs nothing."""

from __future__ import annotations

import asyncio
import logging
import os
import time

from edge_gateway.links.notify import notify
from edge_gateway.page.site import Site

log = logging.getLogger("edge_gateway")
#: The journal's writer thread must answer a no-op within this (seconds).
WRITER_S = 5.0
#: A due slot may stand unaccounted for this long beyond its interval (µs).
SLOT_US = 10_000_000
#: Intake journals a tick every 15 s, whatever happens; it may be without a commit for this long (real seconds).
COMMIT_S = 45.0


class Watchdog:
    """Asks four questions: does the loop turn, does the writer answer, does intake commit, is every due slot accounted for?"""

    def __init__(self, site: Site) -> None:
        self._site = site
        timeout_us = int(os.environ.get("WATCHDOG_USEC", "30000000"))
        self._every_s = min(timeout_us / 1e6 / 3, 10.0)

    async def run(self) -> None:
        """Feed until cancelled; a missing answer is logged once, and starves the watchdog."""
        wrong = ""
        while True:
            await asyncio.sleep(self._every_s)
            found = await self.trouble()
            if not found:
                per_day = self._site.journal.status().get("bytes_per_day") or 0.0
                notify(f"WATCHDOG=1\nSTATUS=entry {self._site.journal.committed_seq}, {per_day / 1e6:.0f} MB/day")
            elif found != wrong:
                log.error("watchdog not fed: %s", found)
            wrong = found

    async def trouble(self) -> str:
        """What keeps the watchdog hungry; "" when all is well."""
        try:
            async with asyncio.timeout(WRITER_S):
                await self._site.journal.heartbeat()
        except TimeoutError:
            return f"the journal's writer did not answer within {WRITER_S:.0f} s"
        quiet_s = time.monotonic() - self._site.intake.committed_s
        if quiet_s > COMMIT_S and not self._site.intake.inbox.paused:  # a full journal is told, and no restart frees it
            return f"intake committed nothing for {quiet_s:.0f} s"
        mono_us = self._site.clock.mono_us()
        for bus, source in self._site.sources.items():
            overdue_us = source.unaccounted_us(mono_us)
            if overdue_us > SLOT_US:
                return f"bus {bus}: a slot stands unaccounted for {overdue_us / 1e6:.0f} s beyond its interval"
        return ""
