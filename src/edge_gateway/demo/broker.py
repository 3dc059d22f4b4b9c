"""The demonstration's MQTT broker as a program of its own: amqtt on loopback, 3.1.1, anonymous; for nothing but this.

It loses what it queued for an absent client; a site runs mosquitto.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal

from amqtt.broker import Broker


async def serve(port: int) -> None:
    """Serve until SIGTERM."""
    config = {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    broker = Broker(config)
    await broker.start()
    print('{"ready": {}}', flush=True)
    await stop.wait()
    await broker.shutdown()


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m edge_gateway.demo.broker", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    logging.basicConfig(level=logging.ERROR)
    asyncio.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
