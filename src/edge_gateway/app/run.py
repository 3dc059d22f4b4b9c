"""The composition root: builds the parts, nests their lifetimes (shipping ⊃ intake ⊃ sources), hears signals."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from edge_gateway import __version__
from edge_gateway.app.drift import Drift
from edge_gateway.app.field import Field
from edge_gateway.app.finding import Finding
from edge_gateway.app.keeping import Keeper
from edge_gateway.app.pack_keeping import kept_enforced
from edge_gateway.app.pack_states import PackStates
from edge_gateway.app.permit_days import PermitDays
from edge_gateway.app.provisioning import Provisioning
from edge_gateway.app.recalling import Recalling, recalling
from edge_gateway.app.reloading import Reloader
from edge_gateway.app.runtime import hold_less, settle, take_turns
from edge_gateway.app.watchdog import Watchdog
from edge_gateway.clock import SystemClock, rtc_present
from edge_gateway.config.load import Loaded, load
from edge_gateway.config.model import GatewayConfig, PageConfig
from edge_gateway.config.resolve import setup
from edge_gateway.errors import GatewayError
from edge_gateway.intake.adopting import adopt
from edge_gateway.intake.loop import Intake
from edge_gateway.intake.obeying import Obeying
from edge_gateway.intake.recovery import open_run, recover, tell_mended
from edge_gateway.intake.ruletime import resume
from edge_gateway.journal.backup import RESTORED, restored
from edge_gateway.journal.keeping import DAY_US
from edge_gateway.journal.scrub import Scrub
from edge_gateway.journal.store import JournalSettings, Store, open_journal
from edge_gateway.links.notify import notify
from edge_gateway.page.servers import Servers
from edge_gateway.page.site import Site
from edge_gateway.people import People
from edge_gateway.reading import Note
from edge_gateway.shipping.budget import Budget
from edge_gateway.shipping.delivery import Asks
from edge_gateway.shipping.loop import Shipping
from edge_gateway.signer.checkpoints import Checkpoints
from edge_gateway.signer.client import Client as SignerClient
from edge_gateway.sinks.base import Commanding, HubLink, Sink
from edge_gateway.sinks.hub import HubConfig
from edge_gateway.sources.mqtt import MqttConfig
from edge_gateway.telemetry import Telemetry

log = logging.getLogger("edge_gateway")
#: What shipping may take to deliver the rest at a stop (real seconds).
STOP_GRACE_S = 8.0
#: What the signer may take for the last checkpoint at a stop (real seconds).
SIGN_GRACE_S = 2.0
#: What intake may take to make the last entries durable at a stop; a full journal may never take them (real seconds).
COMMIT_GRACE_S = 8.0
#: What the hub may take in all, where the record begins with nothing, to give its state back and say what stands open there (real seconds).
HUB_GRACE_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line decides."""

    config: Path
    state_dir: Path
    socket: Path
    ready: Callable[[Site], None] | None = None


async def run(options: Options) -> None:
    """Run until SIGTERM or SIGINT.

    Raises ConfigRefused (exit 78), JournalBusy (7), JournalTooNew, JournalDamaged (start again: it goes on in a new
    epoch); everything else is a fault of ours, raised as GatewayError once it is logged with all its evidence.
    """
    signals = Signals()
    hold_less()
    take_turns()
    loaded = load(options.config, options.state_dir).lean()
    config = loaded.config
    options.state_dir.mkdir(parents=True, exist_ok=True)
    clock = SystemClock(
        declared=config.clock.trust == "declared", speed=config.clock.speed, origin_us=config.clock.origin_us
    )
    telemetry = Telemetry()
    settings = _settings(config, options.state_dir)
    journal = await open_journal(options.state_dir, settings=settings, clock=clock, tell=telemetry.tell)
    try:
        await _run(options, loaded, journal, clock, telemetry, signals)
    except ExceptionGroup as group:
        raise _fault(group) from None
    finally:
        await journal.close()


def _settings(config: GatewayConfig, state_dir: Path) -> JournalSettings:
    """What the journal is told. Raises ConfigError for a hub's key that cannot be read."""
    hub = next(((name, sink) for name, sink in config.sinks.items() if isinstance(sink, HubConfig)), None)
    key = hub[1].witness(hub[0]) if hub else None
    return JournalSettings(
        max_bytes=config.journal.bytes_on(state_dir),
        keep_us=config.journal.keep_days * DAY_US,
        hub_name=hub[0] if hub else None,
        hub_vkey=str(key) if key else "",
        sinks=tuple(config.sinks),
    )


class Signals:
    """SIGTERM, SIGINT and SIGHUP from the first moment on: what comes before all is built is not lost, and ends nothing."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self._reload = False
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._remember)

    def _remember(self) -> None:
        self._reload = True

    def on_reload(self, act: Callable[[], None]) -> None:
        """From now on SIGHUP does this; at once if one came already."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, act)
        if self._reload:
            act()


def _fault(group: ExceptionGroup) -> GatewayError:
    """One error to say in one line. What nobody foresaw is logged first, each with its traceback."""
    unforeseen: list[Exception] = []
    foreseen: list[GatewayError] = []
    waiting: list[Exception] = [group]
    while waiting:
        error = waiting.pop(0)
        if isinstance(error, ExceptionGroup):
            waiting += error.exceptions
        elif isinstance(error, GatewayError):
            foreseen.append(error)
        else:
            unforeseen.append(error)
    for error in unforeseen:
        log.critical("the gateway ends by a fault of its own: %r", error, exc_info=error)
    if foreseen and not unforeseen:
        return foreseen[0]
    why = f"the gateway ended by a fault of its own: {unforeseen[0]!r}"[:500]
    return GatewayError(why, hint="the log above says where; what was acknowledged is in the journal: start it again")


async def _run(
    options: Options, loaded: Loaded, journal: Store, clock: SystemClock, telemetry: Telemetry, signals: Signals
) -> None:
    config = loaded.config
    recovery = journal.recover()
    sinks, hubs = _sinks(config, clock)
    recall = recalling(journal, recovery, config)
    found = await recall.at_start(hubs, loaded.binding.rules) or await recover(journal, recovery, config.site.id)
    loaded, kept = kept_enforced(found.state.enforced(), loaded)
    found.state.lost |= recall.end_lost
    rule_time, carried = resume(
        found.last,
        mono_us=clock.mono_us(),
        wall_us=clock.wall_us(),
        boot=clock.boot,
        trusted=clock.trusted(),
        base_us=found.base_us,
    )
    intake = Intake(
        journal=journal,
        state=found.state,
        rule_time=rule_time,
        clock=clock,
        commit_every_us=int(config.journal.commit_every_s * 1e6),
        tell=telemetry.tell,
    )
    field = Field(
        loaded,
        clock=clock,
        inbox=intake.inbox,
        messages=found.state.messages,
        kept=found.state.kept,
        state_dir=options.state_dir,
    )
    await open_run(
        intake, found, setup(loaded, field.groups(), __version__), clock, carried=carried, damaged=recovery.damaged, rtc=rtc_present()
    )
    if kept:
        await intake.add("event", {"event": "packs-kept-enforced", "packs": kept})
    if recovery.mended:
        await tell_mended(intake, recovery.mended)
    await recall.tell(intake)
    await _tell_restored(options.state_dir, intake)
    shipping = _shipping(config, (sinks, hubs), intake, recall, clock, telemetry)
    pack_states = PackStates(options.config, options.state_dir, intake)
    reloader = Reloader(options.config, options.state_dir, loaded, intake=intake, field=field, telemetry=telemetry)
    provisioning = Provisioning(field, intake, options.config.parent)
    drift = Drift(field, provisioning, intake, clock, telemetry.tell)
    site = Site(
        intake=intake,
        shipping=shipping,
        journal=journal,
        clock=clock,
        telemetry=telemetry,
        version=__version__,
        started_wall_us=clock.wall_us(),
        trust=config.clock.trust,
        reload=reloader.reload,
        read_device=field.read,
        sources=field.sources,
        config=reloader.state,
        people=People(options.state_dir),
    )
    site.provision = drift.handle
    site.packs = pack_states.bind(reloader, site.persons)
    site.drift = drift.status
    site.keep = Keeper(journal, intake).handle
    site.finder = Finding(options.config, options.state_dir, field=field, intake=intake, reloader=reloader)
    signing = _signing(loaded, journal, telemetry, shipping)
    if signing is not None:
        site.signing = signing.status
    scrub = Scrub(journal, wall_us=clock.wall_us, tell=telemetry.tell, damaged=shipping.mending.damaged)
    site.scrub = scrub.status
    reloader.applied(loaded, clock.wall_us())
    signals.on_reload(lambda: reloader.request("signal"))
    grace_s = max(0.0, HUB_GRACE_S - recall.waited_s)
    await _live(options, config.page, site, (field, grace_s), (reloader, drift, scrub, signing), signals.stop)


async def _tell_restored(state_dir: Path, intake: Intake) -> None:
    """What a person laid down while nobody ran becomes an entry: who, why, out of what."""
    said = restored(state_dir)
    if said is not None:
        note = Note(event="restored", detail=said, committed=(state_dir / RESTORED).unlink)
        await intake.inbox.put(note)


def _signing(loaded: Loaded, journal: Store, telemetry: Telemetry, shipping: Shipping) -> Checkpoints | None:
    """Who makes checkpoints, if a signer is configured; the hub is shown them."""
    config = loaded.config
    if not config.signer.socket:
        return None
    client = SignerClient(Path(config.signer.socket))
    checkpoints = Checkpoints(f"{config.site.origin}/{config.site.id}", journal, client, telemetry.tell, shipping.signed)
    shipping.when_reached(checkpoints.at_once)
    return checkpoints


def _sinks(config: GatewayConfig, clock: SystemClock) -> tuple[list[Sink], list[HubLink]]:
    """Everything that is served; hubs apart. Raises ConfigError for a secret or a key that cannot be read."""
    sinks: list[Sink] = []
    hubs: list[HubLink] = []
    for name, sink in config.sinks.items():
        if isinstance(sink, HubConfig):
            bus = config.buses.get(sink.bus or "")
            broker = bus.settings(str(sink.bus)) if isinstance(bus, MqttConfig) else None
            hubs.append(sink.build(name, config.site.id, broker=broker))
        else:
            hold_us = int(config.clock.hold_s * 1e6)
            sinks.append(sink.build(name, site=config.site.id, clock=clock, hold_us=hold_us))
    return sinks, hubs


def _shipping(
    config: GatewayConfig,
    served: tuple[list[Sink], list[HubLink]],
    intake: Intake,
    recall: Recalling,
    clock: SystemClock,
    telemetry: Telemetry,
) -> Shipping:
    (sinks, hubs), journal = served, recall.journal
    for hub in hubs:
        if isinstance(hub, Commanding):
            hub.commanded(Obeying(intake, config.site.id, hub.command_key).hear)

    def doubt() -> None:
        """Until the hub tells, no number that any gateway has reached is given: the minute's, or by a clock that nobody vouches for one by chance."""
        recall.doubt(clock.wall_us() // 60_000_000 if clock.trusted() else 10**8 + secrets.randbelow(10**8))

    async def reopen(reason: str, branches: Sequence[Mapping[str, Any]]) -> None:
        if reason == "roll-back":
            intake.state.lost = True
            recall.want()
            doubt()
        await intake.open_epoch(reason, branches)

    if hubs and (intake.state.lost or recall.wanted):
        doubt()
    asks = Asks(
        adopt=lambda number, records, held: intake.command(lambda: adopt(intake, number, records, held)),
        lost=lambda: intake.state.lost,
        reopen=lambda reason, branches: intake.command(lambda: reopen(reason, branches)),
        record=lambda kind, body: intake.command(lambda: intake.add(kind, body)),
        recall=recall,
    )
    return Shipping(
        journal=journal, sinks=sinks, hubs=hubs, tell=telemetry.tell, wall_us=clock.wall_us, asks=asks,
        budgets=_budgets(config, journal, clock),
    )  # fmt: skip


def _budgets(config: GatewayConfig, journal: Store, clock: SystemClock) -> dict[str, Budget]:
    """The daily bounds that are set, with what was spent of them before the start."""
    zone = ZoneInfo(config.site.timezone)
    limits = {name: sink.bytes_per_day for name, sink in config.sinks.items() if sink.bytes_per_day is not None}
    limits |= {f"{name} photos": sink.photo_bytes_per_day for name, sink in config.sinks.items() if isinstance(sink, HubConfig)}
    return {
        name: Budget(
            limit, clock=clock, zone=zone, kept=journal.remembered(f"spent {name}"), keep=partial(journal.remember, f"spent {name}")
        )
        for name, limit in limits.items()
    }


async def _live(
    options: Options,
    page: PageConfig,
    site: Site,
    reading_of: tuple[Field, float],
    beside: tuple[Reloader, Drift, Scrub, Checkpoints | None],
    stop: asyncio.Event,
) -> None:
    """The nested lifetimes. Leaving a scope ends what is inside it, in order, and loses nothing."""
    (reloader, drift, scrub, signing), (field, grace_s) = beside, reading_of
    servers = Servers(site, listen=page.listen, language=page.language, control=options.socket)
    watchdog = Watchdog(site)
    async with asyncio.TaskGroup() as outer:
        ship = outer.create_task(site.shipping.run(), name="shipping")
        async with asyncio.TaskGroup() as middle:
            taking = middle.create_task(site.intake.run(), name="intake")
            services = [
                middle.create_task(servers.run(), name="servers"),
                middle.create_task(watchdog.run(), name="watchdog"),
                middle.create_task(reloader.run(), name="reload"),
                middle.create_task(drift.run(), name="drift"),
                middle.create_task(PermitDays(site.intake, site.clock, reloader, site.telemetry.tell).run(), name="permits"),
                middle.create_task(scrub.run(), name="scrub"),
            ]
            signs = middle.create_task(signing.run(), name="checkpoints") if signing else None
            services += [signs] if signs else []
            services += [middle.create_task(site.finder.look_about(), name="discovery")] if site.finder else []
            reading = middle.create_task(_read(site.intake, field, grace_s), name="field")
            await servers.listening()
            settle()
            notify(f"READY=1\nSTATUS=reading {len(field.groups())} poll groups")
            if options.ready is not None:
                options.ready(site)
            await _first(stop, taking, reading, ship)
            notify("STOPPING=1")
            reading.cancel()
            await asyncio.wait([reading])
            await _drain(site.intake, taking)
            if signing is not None and signs is not None:
                await _last_checkpoint(signing, signs)
            for service in services:
                service.cancel()
        site.shipping.stop()
        await asyncio.wait([ship], timeout=STOP_GRACE_S)
        ship.cancel()


async def _read(intake: Intake, field: Field, grace_s: float) -> None:
    """Read the field. A record that begins with nothing waits what is left of a moment for the hub to say what stands open, and under which numbers."""
    state = intake.state
    with suppress(TimeoutError):
        async with asyncio.timeout(grace_s):
            while state.lost and state.violations.floor:
                await asyncio.sleep(0.02)
    await field.run()


async def _drain(intake: Intake, taking: asyncio.Task[None]) -> None:
    """Everything that was read becomes durable, if the disk takes it in time: nothing of the rest was acknowledged."""
    try:
        async with asyncio.timeout(COMMIT_GRACE_S):
            await intake.command(lambda: intake.add("event", {"event": "stopped"}))
            intake.inbox.close()
            await taking
    except TimeoutError:
        log.error("stopping without the newest readings: the journal did not take them in %.0f s", COMMIT_GRACE_S)
        taking.cancel()
        await asyncio.wait([taking])


async def _last_checkpoint(signing: Checkpoints, running: asyncio.Task[None]) -> None:
    """What was committed last is signed too, if the signer answers in time."""
    running.cancel()
    await asyncio.wait([running])
    try:
        async with asyncio.timeout(SIGN_GRACE_S):
            await signing.finish()
    except TimeoutError:
        log.warning("stopping with entries that no checkpoint covers: the signer did not answer in %.0f s", SIGN_GRACE_S)


async def _first(stop: asyncio.Event, *tasks: asyncio.Task[None]) -> None:
    """Until asked to stop, or one of the tasks failed (its group then tears everything down)."""
    waiting = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
