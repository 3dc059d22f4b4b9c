"""The gateway with a wall clock that SIGUSR1 moves an hour ahead, and else as it is: nothing in the product can move its own clock.

``python -m edge_gateway.demo.jumping --config FILE --state FOLDER --socket FILE``, as ``edge-gateway run`` is started.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path

from edge_gateway.app import run
from edge_gateway.clock import SystemClock
from edge_gateway.demo.scenarios import SCENARIOS
from edge_gateway.links.logs import set_up_logging

_AHEAD_US = SCENARIOS["clock-jump"].jump_s * 1_000_000


class Jumping(SystemClock):
    """The system's clock, with wall time so far ahead of it."""

    ahead_us = 0

    def wall_us(self) -> int:
        return super().wall_us() + self.ahead_us


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m edge_gateway.demo.jumping", description=__doc__)
    for name in ("config", "state", "socket"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    asked = parser.parse_args()
    set_up_logging("warning")
    run.SystemClock = Jumping  # type: ignore[attr-defined]
    signal.signal(signal.SIGUSR1, lambda *_: setattr(Jumping, "ahead_us", _AHEAD_US))
    asyncio.run(run.run(run.Options(config=asked.config, state_dir=asked.state, socket=asked.socket)))


if __name__ == "__main__":
    main()
