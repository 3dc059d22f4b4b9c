"""The gateway in this process, watched or on another event loop: `python bench/launch.py CONFIG STATE`.

With `--watch` F gets, at the end, what was seen and when (CLOCK_MONOTONIC, ns): `commits` [time, first, count],
`answers` [number, seq] of the field's changing unit, `violations` [number, time], `receipts` of the hub [time, size].
With `--first` F appears at the first committed reading, with its time. `--uvloop` runs on uvloop, if it is installed.
With `--rules` F holds, since the last commit, the CPU-seconds that the rules' engine took so far.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edge_gateway.app.run import Options, run
from edge_gateway.page.site import Site
from edge_gateway.rules.engine import Engine

#: What the gateway asks of the engine, reading by reading and as time passes.
ENGINE = ("judge", "late", "tick", "due_us", "stand")
CHANGER = b'"group":"changer.'


class Watch:
    """Hears of every commit as a sink does, and of the hub's receipts as the journal does."""

    def __init__(self, first: Path | None = None) -> None:
        self._first = first
        self.seen: dict[str, list[Any]] = {"commits": [], "answers": [], "violations": [], "receipts": [], "batch": []}
        self._number = 0

    def ready(self, site: Site) -> None:
        site.journal.subscribe(self._committed)
        move = site.journal.move_cursor

        async def moved(sink: str, to: Any, receipt: Any = None) -> None:
            if receipt is not None:
                self.seen["receipts"].append([time.monotonic_ns(), to.seq])
            await move(sink, to, receipt)

        site.journal.move_cursor = moved  # type: ignore[method-assign]

    def _committed(self, _epoch: str, first: int, entries: Sequence[bytes]) -> None:
        now = time.monotonic_ns()
        self.seen["commits"].append([now, first, len(entries)])
        for seq, entry in enumerate(entries, first):
            if b'"kind":"batch"' in entry[:40]:
                if not self.seen["batch"]:
                    self.seen["batch"].append(now)
                    if self._first is not None:
                        part = self._first.with_suffix(".part")
                        part.write_text(json.dumps({"batch": [now]}))
                        part.rename(self._first)
                if CHANGER in entry:
                    self._number = int(json.loads(entry)["values"][1])
                    self.seen["answers"].append([self._number, seq])
            elif b'"kind":"violation"' in entry[:44] and b'"step":"violated"' in entry:
                self.seen["violations"].append([self._number, now])


def timed(file: Path) -> Callable[[Site], None]:
    """Engine calls are timed by their thread's CPU clock from here on; what they came to is written at each commit."""
    total_ns = 0

    def wrapped(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal total_ns
            began_ns = time.thread_time_ns()
            try:
                return method(*arguments, **named)
            finally:
                total_ns += time.thread_time_ns() - began_ns

        return call

    def committed(_epoch: str, _first: int, _entries: Sequence[bytes]) -> None:
        part = file.with_suffix(".part")
        part.write_text(str(total_ns / 1e9))
        part.rename(file)

    for name in ENGINE:
        setattr(Engine, name, wrapped(getattr(Engine, name)))

    def ready(site: Site) -> None:
        site.journal.subscribe(committed)

    return ready


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=Path)
    parser.add_argument("state", type=Path)
    parser.add_argument("--watch", type=Path)
    parser.add_argument("--first", type=Path)
    parser.add_argument("--rules", type=Path)
    parser.add_argument("--uvloop", action="store_true")
    options = parser.parse_args()
    if options.uvloop:
        import uvloop

        uvloop.install()
    watch = Watch(options.first)
    ready = timed(options.rules) if options.rules else watch.ready if options.watch or options.first else None
    asyncio.run(
        run(Options(config=options.config, state_dir=options.state, socket=options.state / "control.sock", ready=ready))
    )
    if options.watch:
        options.watch.write_text(json.dumps(watch.seen))


if __name__ == "__main__":
    main()
