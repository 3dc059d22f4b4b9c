"""The running gateway as page and control socket see it: a handful of parts, and what status says of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_gateway import events
from edge_gateway.clock import Clock, rtc_present
from edge_gateway.errors import GatewayError
from edge_gateway.intake.loop import Intake
from edge_gateway.journal.base import Journal
from edge_gateway.links.wear import written_bytes
from edge_gateway.page import day
from edge_gateway.page.finder import Finder
from edge_gateway.page.kept import kept
from edge_gateway.page.newest import Newest
from edge_gateway.page.persons import Persons
from edge_gateway.page.view import ORDER, Layout, apparent, points_view
from edge_gateway.people import People
from edge_gateway.rules import permits
from edge_gateway.rules.calendar import day_of
from edge_gateway.shipping.loop import Shipping
from edge_gateway.sources.base import Source
from edge_gateway.telemetry import Telemetry
from edge_gateway.traceability.model import civil_day

#: What a person may do to what a sink refused.
QUARANTINE_STEPS = ("retry", "drop")
#: Of a quarantine at once, and of a text in an entry: entries have their bounds.
MOST_QUARANTINED, _MOST_SAID = 100, 300


@dataclass(slots=True)
class ConfigState:
    """What became of the configuration on disk."""

    applied_wall_us: int = 0
    sha256: str = ""
    rejected: str = ""  # why the newest one was refused, "" if it was not
    rejected_wall_us: int = 0
    pending_restart: tuple[str, ...] = ()  # keys that changed and need a restart
    not_monitored: tuple[str, ...] = ()  # rules without a point
    not_monitored_detail: tuple[dict[str, str], ...] = ()  # the same with titles, and why


async def _cannot(verb: str, _asked: Mapping[str, Any], _user: str) -> dict[str, Any]:
    raise GatewayError(f"'{verb}' is not to be had here")


@dataclass(slots=True)
class Site:
    """All that page and control socket may reach. ``sources`` by bus id; it changes at a reload."""

    intake: Intake
    shipping: Shipping
    journal: Journal
    clock: Clock
    telemetry: Telemetry
    version: str
    started_wall_us: int
    trust: str
    #: who asks, and why
    reload: Callable[[str, str], Awaitable[None]]
    read_device: Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]
    #: verb, what is asked, the OS user who asks -> what became of it: setting a device's own parameters
    provision: Callable[[str, Mapping[str, Any], str], Awaitable[dict[str, Any]]] = _cannot
    drift: Callable[[], list[dict[str, Any]]] = list
    #: verb, what is asked, the OS user who asks -> what became of it: how long the record stays
    keep: Callable[[str, Mapping[str, Any], str], Awaitable[dict[str, Any]]] = _cannot
    #: pack, what is asked, the OS user who asks -> what became of it: a rule pack's state
    packs: Callable[[str, Mapping[str, Any], str], Awaitable[dict[str, Any]]] = _cannot
    finder: Finder | None = None
    #: what of the record is signed; None where nobody signs
    signing: Callable[[], dict[str, Any] | None] = lambda: None
    scrub: Callable[[], dict[str, Any] | None] = lambda: None
    #: where ``people.toml`` is; None: nobody can prove who they are
    people: People | None = None
    sources: dict[str, Source] = field(default_factory=dict)
    config: ConfigState = field(default_factory=ConfigState)
    newest: Newest = field(default_factory=Newest)
    persons: Persons = field(init=False)
    _readings: int = field(default=0, repr=False)
    _written: int | None = field(default_factory=written_bytes, repr=False)  # before the first of them
    _layout: Layout = field(default_factory=lambda: Layout.of({}), repr=False)

    def __post_init__(self) -> None:
        """Hear of commits: what they brought is what the page shows."""
        self.persons = Persons(self.intake, self.journal, self.people)
        self.telemetry.listen(self._heard)

    def _heard(self, event: events.Event) -> None:
        if isinstance(event, events.Committed):
            self._readings += event.readings
            self.newest.take(self.intake.latest)

    @property
    def speed(self) -> float:
        """How fast the gateway's clock runs against real time: 1 outside demo and tests."""
        return self.clock.speed

    def layout(self) -> Layout:
        """What the configuration in force says of points."""
        if self._layout.resolved is not self.intake.state.resolved:
            self._layout = Layout.of(self.intake.state.resolved)
        return self._layout

    def points(self) -> list[dict[str, Any]]:
        """One row a point, abnormal first."""
        state = self.intake.state
        rows = points_view(
            self.layout(),
            self.newest.of(state.resolved.get("groups", {})),
            apparent(state.violations.records(), self.layout().rules),
            state.engine.pending(),
            state.gaps.values(),
            mono_us=self.clock.mono_us(),
            wall_us=self.clock.wall_us(),
        )
        for mark in state.marks.running():
            for row in rows:
                if row["point"] in mark["points"]:
                    row["mark"] = {key: mark[key] for key in ("mark", "type", "until_wall_us")}
        due = {each["point"]: each for each in state.calibrations.due(self.today()) if each["soon"]}
        for row in rows:
            if row["point"] in due:
                row["calibration"] = due[row["point"]]
            if (known := state.calibrations.correction(row["point"])) is not None:
                row["correction"] = known
        return rows

    def today(self) -> str:
        """The site's civil day: ``2026-11-28``."""
        return civil_day(self.intake.state.resolved.get("site", {}).get("timezone") or "Asia/Shanghai", self.clock.wall_us())

    def wear(self) -> dict[str, Any]:
        """What became of storage since the start: ``written_bytes`` and ``bytes_per_reading``, None while (or where) nobody knows."""
        now = written_bytes()
        written = None if now is None or self._written is None else max(0, now - self._written)
        per_reading = None if written is None or not self._readings else round(written / self._readings, 1)
        return {"written_bytes": written, "readings": self._readings, "bytes_per_reading": per_reading}

    def status(self, rows: list[dict[str, Any]] | None = None) -> dict[str, Any]:
        """Everything `edge-gateway status` prints; JSON-able. ``rows``: what ``points`` answered just now."""
        state, journal = self.intake.state, self.journal.status()
        rows = self.points() if rows is None else rows
        counts = {name: sum(row["state"] == name for row in rows) for name in ORDER}
        sinks = self.shipping.status()
        problems = [f"point {row['point']}: {row['state']}" for row in rows if row["state"] != "normal"]
        problems += [
            f"sink {name}: {sink['why']}" for name, sink in sinks.items() if sink["state"] not in ("ok", "connecting")
        ]
        buses = {name: dict(source.health()) for name, source in self.sources.items()}
        problems += [
            f"bus {name}: {finding['code']}"
            for name, health in buses.items()
            for finding in health.get("link", {}).get("findings", ())
            if finding["level"] == "fail"
        ]
        problems += ["journal full: ordinary readings stopped"] if journal.get("full") else []
        problems += [f"journal: {journal[key]}" for key in ("damaged", "troubled") if journal.get(key)]
        problems += [f"journal: {n} damaged segments wait for the hub to give them back"] if (n := journal.get("missing_segments")) else []
        problems += ["configuration on disk was refused"] if self.config.rejected else []
        problems += [] if self.clock.trusted() else ["clock not trusted"]
        signing = self.signing()
        problems += [f"signer: {signing['trouble']}"] if signing and signing["trouble"] else []
        parts = {"journal": journal, "sinks": sinks, "signing": signing, "site": state.resolved.get("site", {})}
        problems += [f"journal: {sentence}" for sentence in kept(parts, "en")]
        drift = self.drift()
        problems += [
            f"device {item['device']}: {row['parameter']} is {row['value']}, its sheet says {row['wanted']}"
            for item in drift
            for row in item["differs"]
        ]
        expiring = state.ledger.expiring(self.today(), state.resolved.get("records", {}).get("warn_days", 0))
        problems += [f"expired: {item.get('document') or 'lot ' + item['lot']}" for item in expiring if item["days_left"] < 0]
        problems += [f"calibration of {each['point']}: overdue since {each['due']}" for each in state.calibrations.due(self.today()) if each["overdue"]]
        outlets = permits.due(state.resolved.get("outlets") or {}, day_of(self.clock.wall_us()))
        problems += [permits.why(each, "en") for each in outlets if each["event"] == permits.ENDED]
        working = day.told(state, self.clock)
        problems += day.problems(working)
        alarms = [{"code": alarm.code, "why": alarm.why} for alarm in self.telemetry.alarms]
        problems += [f"{alarm['code']}: {alarm['why']}" for alarm in alarms if alarm["code"] not in permits.EVENTS]
        return {
            "schema": "edge-gateway/status/1",
            "version": self.version,
            "site": state.resolved.get("site", {}),
            "started_wall_us": self.started_wall_us,
            "wall_us": self.clock.wall_us(),
            "clock": {"trusted": self.clock.trusted(), "trust": self.trust, "speed": self.speed, "rtc": rtc_present()},
            "points": counts,
            "violations": state.violations.open(),
            "not_monitored": list(self.config.not_monitored),
            "not_monitored_detail": list(self.config.not_monitored_detail),
            "gaps": list(state.gaps.values()),
            "marks": state.marks.running(),
            "phase": working,
            "calibration_due": state.calibrations.due(self.today()),
            "permits_due": outlets,
            "buses": buses,
            "sinks": sinks,
            "wear": self.wear(),
            "journal": journal | {"committed_seq": self.journal.committed_seq, "scrub": self.scrub()},
            "config": {
                "sha256": self.config.sha256,
                "config_seq": state.config_seq if state.config else None,
                "applied_wall_us": self.config.applied_wall_us,
                "rejected": self.config.rejected,
                "rejected_wall_us": self.config.rejected_wall_us,
                "pending_restart": list(self.config.pending_restart),
            },
            "signing": signing,
            "drift": drift,
            "expiring": expiring,
            "alarms": alarms,
            "problems": problems,
        }

    async def quarantine(self, verb: str, ids: list[int], by: str, why: str) -> dict[str, Any]:
        """Offer refused lines again, or forget them; journaled with who, why and what they were. Raises GatewayError."""
        if verb not in QUARANTINE_STEPS:
            raise GatewayError(f"no such step '{verb}'", hint="retry or drop")
        if len(ids) > MOST_QUARANTINED:
            raise GatewayError(f"at most {MOST_QUARANTINED} at once", hint="in several turns")
        if not why.strip():
            raise GatewayError("a reason is missing", hint='add --reason "why"')
        items = [item for item in await self.journal.quarantine_list() if item.id in set(ids)]
        old = [{"id": i.id, "sink": i.sink, "epoch": i.epoch, "seq": i.seq, "reason": i.reason[:_MOST_SAID]} for i in items]
        body: dict[str, Any] = {"event": f"quarantine-{verb}", "by": by, "why": why[:_MOST_SAID], "ids": [i.id for i in items]}
        body["old"] = old
        if verb == "drop":  # on record first: what is gone cannot be told afterwards
            await self.intake.command(lambda: self.intake.add("event", body | {"result": {"dropped": len(items)}}))
            return {"dropped": await self.journal.quarantine_drop(body["ids"])}
        result: dict[str, Any] = await self.shipping.retry(items)
        await self.intake.command(lambda: self.intake.add("event", body | {"result": result}))
        return result
