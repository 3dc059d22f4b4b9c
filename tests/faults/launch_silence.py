"""A gateway for the campaign `silence`: its times scaled, and hooks for what nobody can do to it from outside.

SIGUSR1 blocks the event loop for ever, SIGALRM lets intake alone wait for ever; in both a thread goes on saying hello to the hub with the
gateway's own token, so that something of it is heard all the time. `launch_silence.py CONFIG STATE SOCKET SCALE HUB_URL GATEWAY TOKEN_FILE`
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import sys
import threading
import time
import urllib.request
from pathlib import Path

from edge_gateway import backoff
from edge_gateway.app import watchdog
from edge_gateway.app.run import Options, run
from edge_gateway.intake import loop as intake
from edge_gateway.intake.inbox import Command
from edge_gateway.links.logs import set_up_logging
from edge_gateway.page.site import Site
from edge_gateway.wire import hub as wire


def scaled(scale: float) -> None:
    """The gateway's own seconds."""
    intake.TICK_EVERY_S *= scale
    watchdog.COMMIT_S *= scale
    waits_s = backoff.Backoff.next_s
    setattr(backoff.Backoff, "next_s", lambda self: waits_s(self) * scale)  # noqa: B010 -- for every user of it


def say_hello(url: str, gateway: str, token: str, every_s: float) -> None:
    """Proven messages without an entry, until the process ends."""
    address = f"{url}/api/v1/gateways/{gateway}/entries"
    while True:
        message = wire.encode_message({"kind": "hello", "session": secrets.token_hex(16), "n": 0, "epochs": []})
        request = urllib.request.Request(address, data=message, headers={"Authorization": f"Bearer {token}"})
        with contextlib.suppress(OSError):
            urllib.request.urlopen(request, timeout=5).close()
        time.sleep(every_s)


def hooks(site: Site, hello: threading.Thread) -> None:
    """Wait for the signals."""
    loop = asyncio.get_running_loop()

    def hang() -> None:
        hello.start()
        threading.Event().wait()

    def stop_intake() -> None:
        hello.start()
        site.intake.inbox.put_command(Command(asyncio.Event().wait, loop.create_future()))

    loop.add_signal_handler(signal.SIGUSR1, hang)
    loop.add_signal_handler(signal.SIGALRM, stop_intake)


if __name__ == "__main__":
    set_up_logging()
    config, state_dir, control = (Path(argument) for argument in sys.argv[1:4])
    scale, url, gateway, token_file = float(sys.argv[4]), *sys.argv[5:8]
    scaled(scale)
    words = url, gateway, Path(token_file).read_text().strip(), 10 * scale
    thread = threading.Thread(target=say_hello, args=words, daemon=True)
    options = Options(config=config, state_dir=state_dir, socket=control, ready=lambda site: hooks(site, thread))
    asyncio.run(run(options))
