"""The hub put together: store, desk, carriers, interpretation, pages; builds and ends them in order, decides nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from edge_gateway.clock import Clock
from edge_gateway.errors import JournalBusy
from edge_gateway.links.loopback import is_loopback
from edge_gateway.links.notify import notify
from edge_gateway.web.serve import listen_tcp, serve
from regulator_hub.add_checkpoint import add_checkpoint_route
from regulator_hub.api import Asked, Held, asked, routes
from regulator_hub.commander import Commander
from regulator_hub.config import HubToml
from regulator_hub.cosigner import Cosigner
from regulator_hub.desk import Desk
from regulator_hub.gateways import Gateways
from regulator_hub.http import entries_route
from regulator_hub.interpret import Interpreter
from regulator_hub.metrics import metrics
from regulator_hub.mqtt import MqttCarrier
from regulator_hub.outbox import Outbox
from regulator_hub.overdue import Overdue
from regulator_hub.page import Page
from regulator_hub.photo_route import photo_route
from regulator_hub.steps import Steps
from regulator_hub.store.photos import PhotoFiles
from regulator_hub.store.reader import Reader
from regulator_hub.store.schema import open_reader
from regulator_hub.store.writer import StoreFailed, Writer
from regulator_hub.watch import Watch
from regulator_hub.witness import Witness

log = logging.getLogger("regulator_hub")
#: The store must commit a no-op within this, or the hub is neither ready nor alive for systemd.
WRITER_S = 5.0


@dataclass(slots=True)
class Hub:
    """A running hub's parts."""

    config: HubToml
    clock: Clock
    gateways: Gateways
    writer: Writer
    reader: Reader
    interpreter: Interpreter
    watch: Watch
    witness: Witness
    desk: Desk
    photos: PhotoFiles
    overdue: Overdue
    outbox: Outbox
    mqtt: MqttCarrier | None = field(default=None)
    stopping: bool = field(default=False)

    async def writes(self) -> bool:
        """Whether the store commits now."""
        try:
            async with asyncio.timeout(WRITER_S):
                await self.writer.run(lambda db: db.execute("UPDATE gateways SET last_us=last_us WHERE id=0").get)
        except (TimeoutError, StoreFailed):
            return False
        return True


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The state folder, ours alone. Raises JournalBusy."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise JournalBusy(f"another hub runs with {folder}", hint="stop it, or choose another state_dir") from None
        yield


@contextlib.asynccontextmanager
async def opened(config: HubToml, clock: Clock) -> AsyncIterator[Hub]:
    """All parts that need no socket, closed in order on leaving."""
    with _locked(config.state_dir):
        path = config.state_dir / "hub.sqlite"
        Steps(config.state_dir).configured(config.model_dump(mode="json", exclude_none=True), clock.wall_us())
        gateways = Gateways(config.state_dir / "gateways")
        cosigner = Cosigner(config.witness_folder, config.name, born=True)
        Commander(config.witness_folder, config.name, born=True)
        outbox = Outbox(config.state_dir)
        writer = Writer(path)
        reader, texts = Reader(path), open_reader(path)
        interpreter = Interpreter(reader, writer, texts)
        watch = Watch(reader, writer, dark_after_s=config.dark_after_s, wall_us=clock.wall_us)
        witness = Witness(
            config.witness_folder,
            cosigner=cosigner,
            gateways=gateways,
            reader=reader,
            writer=writer,
            wall_us=clock.wall_us,
        )
        photos = PhotoFiles(config.state_dir)
        overdue = Overdue(reader, writer, interpreter, outbox, wall_us=clock.wall_us)
        desk = Desk(
            name=config.name,
            store=(writer, reader),
            interpreter=interpreter,
            witness=witness,
            wall_us=clock.wall_us,
            watch=watch,
            photo_files=photos,
        )
        desk.outbox = outbox
        try:
            await interpreter.load()
            await witness.load()
            await watch.load()
            await overdue.load()
            yield Hub(config, clock, gateways, writer, reader, interpreter, watch, witness, desk, photos, overdue, outbox)
        finally:
            with contextlib.suppress(StoreFailed):
                await interpreter.save()
            await reader.close()
            texts.close()
            await writer.close()


def web(hub: Hub, page: Page) -> ASGIApp:
    """The hub's HTTP side: the carrier for gateways, API, page, health."""
    numbers = metrics(hub.desk, hub.writer, hub.interpreter, hub.watch)

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_request: Request) -> Response:
        ready = not hub.stopping and await hub.writes()
        return PlainTextResponse("ok\n" if ready else "the store does not answer\n", 200 if ready else 503)

    async def prometheus(_request: Request) -> Response:
        return Response(numbers(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def nothing(request: Request, _error: Exception) -> Response:
        if request.url.path.startswith("/api/"):
            return await asked(request, Asked(404, "no-address", "there is nothing at this address"))
        return page.missing(request)

    listed: list[BaseRoute] = [
        entries_route(hub.desk, hub.gateways, lambda: hub.stopping),
        add_checkpoint_route(hub.witness, hub.gateways),
        photo_route(hub.photos),
        *routes(Held(hub.reader, hub.interpreter, hub.watch, hub.clock, hub.witness, hub.outbox)),
        *page.routes(),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", prometheus),
    ]
    app = Starlette(routes=listed, exception_handlers={Asked: asked, 404: nothing})
    return app if hub.config.readers == "anyone" else _ReadersOnLoopback(app)


class _ReadersOnLoopback:
    """Lets everyone deliver, and only this machine's programs read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse what is neither a delivery, nor /healthz, nor from loopback."""
        client = scope.get("client") or ("", 0)
        delivery = scope.get("method") == "POST" or scope.get("path") == "/healthz"
        if delivery or is_loopback(client[0]):
            await self._app(scope, receive, send)
        else:
            why = (
                'page and API are for this machine only; put a proxy with log-in before them, or set readers = "anyone"'
            )
            await Response(why + "\n", 403, media_type="text/plain")(scope, receive, send)


async def run(config: HubToml, clock: Clock, listening: Callable[[str], None]) -> None:
    """Run until SIGTERM or SIGINT. ``listening`` is told the address. Raises ConfigError, JournalBusy, JournalTooNew."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with opened(config, clock) as hub:
        await run_until(hub, stop, listening)


async def run_until(hub: Hub, stop: asyncio.Event, listening: Callable[[str], None]) -> None:
    """Serve until ``stop`` is set: carriers first, then what stands behind them."""
    config = hub.config
    page = Page(hub.reader, hub.interpreter, hub.watch, hub.clock, hub.witness, config.language)
    page.outbox = hub.outbox
    sock = listen_tcp(config.listen, key="listen")
    host, port = sock.getsockname()[:2]
    async with asyncio.TaskGroup() as inner:
        inside = [
            inner.create_task(hub.interpreter.run(), name="interpret"),
            inner.create_task(hub.interpreter.keep_saving(), name="save"),
            inner.create_task(hub.watch.run(), name="watch"),
            inner.create_task(hub.overdue.run(), name="overdue"),
            inner.create_task(hub.witness.run(), name="witness"),
            inner.create_task(page.run(), name="page"),
            inner.create_task(_feed_watchdog(hub), name="watchdog"),
        ]
        async with asyncio.TaskGroup() as outer:
            carriers = [outer.create_task(_serve(hub, page, sock), name="http")]
            if config.mqtt is not None:
                hub.mqtt = MqttCarrier(config.mqtt, hub.desk, hub.gateways)
                carriers.append(outer.create_task(hub.mqtt.run(), name="mqtt"))
            scheme = "https" if config.cert_file else "http"
            shown = f"[{host}]" if ":" in host else host
            listening(f"{scheme}://{shown}:{port}")
            notify(f"READY=1\nSTATUS=listening on {scheme}://{shown}:{port}")
            await stop.wait()
            notify("STOPPING=1")
            hub.stopping = True
            page.close()
            for task in carriers:
                task.cancel()
        for task in inside:
            task.cancel()


async def _serve(hub: Hub, page: Page, sock: socket.socket) -> None:
    await serve(web(hub, page), sock, cert_file=hub.config.cert_file, key_file=hub.config.key_file)


async def _feed_watchdog(hub: Hub) -> None:
    """Feed systemd's watchdog while the loop turns and the store commits."""
    every_s = min(int(os.environ.get("WATCHDOG_USEC", "30000000")) / 3e6, 10.0)
    while True:
        if await hub.writes():
            notify("WATCHDOG=1")
        else:
            log.error("the store does not commit: the watchdog is not fed")
        await asyncio.sleep(every_s)
