"""The gateway with hooks for faults that nobody can cause from outside: SIGUSR1 blocks its event loop, SIGUSR2 its writer.

SIGWINCH ends its first source's task behind its back, SIGALRM lets intake wait for ever. `launch_watched.py CONFIG STATE SOCKET BLOCK_S COMMIT_S`
"""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
from pathlib import Path

from edge_gateway.app import watchdog
from edge_gateway.app.run import Options, run
from edge_gateway.intake.inbox import Command
from edge_gateway.journal.store import Store
from edge_gateway.links.logs import set_up_logging
from edge_gateway.page.site import Site


def hooks(site: Site, block_s: float) -> None:
    """Wait for the signals."""
    loop = asyncio.get_running_loop()

    def hold_writer() -> None:
        release = threading.Event()
        assert isinstance(site.journal, Store)
        site.journal.hold_writer(release)
        threading.Timer(block_s, release.set).start()

    def lose_source() -> None:
        name = f"source:{next(iter(site.sources))}"
        next(task for task in asyncio.all_tasks() if task.get_name() == name).cancel()

    def stop_intake() -> None:
        site.intake.inbox.put_command(Command(asyncio.Event().wait, loop.create_future()))

    loop.add_signal_handler(signal.SIGALRM, stop_intake)
    loop.add_signal_handler(signal.SIGUSR1, lambda: time.sleep(block_s))
    loop.add_signal_handler(signal.SIGUSR2, hold_writer)
    loop.add_signal_handler(signal.SIGWINCH, lose_source)


if __name__ == "__main__":
    set_up_logging()
    config, state_dir, control = (Path(argument) for argument in sys.argv[1:4])
    blocked_s, watchdog.COMMIT_S = float(sys.argv[4]), float(sys.argv[5])
    options = Options(config=config, state_dir=state_dir, socket=control, ready=lambda site: hooks(site, blocked_s))
    asyncio.run(run(options))
