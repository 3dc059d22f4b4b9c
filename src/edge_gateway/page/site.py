"""The running gateway as page and control socket see it: a handful of parts, and what status says of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_gateway.clock import Clock
from edge_gateway.errors import GatewayError
from edge_gateway.intake.loop import Intake
from edge_gateway.journal.base import Journal
from edge_gateway.page.view import points_view
from edge_gateway.shipping.loop import Shipping
from edge_gateway.sources.base import Source
from edge_gateway.telemetry import Telemetry


@dataclass(slots=True)
class ConfigState:
    """What became of the configuration on disk."""

    applied_wall_us: int = 0
    sha256: str = ""
    rejected: str = ""  # why the newest one was refused, "" if it was not
    rejected_wall_us: int = 0
    pending_restart: tuple[str, ...] = ()  # keys that changed and need a restart
    not_monitored: tuple[str, ...] = ()  # rules without a point


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
    reload: Callable[[str], Awaitable[None]]
    read_device: Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]
    sources: dict[str, Source] = field(default_factory=dict)
    config: ConfigState = field(default_factory=ConfigState)

    def points(self) -> list[dict[str, Any]]:
        """One row a point, abnormal first."""
        state = self.intake.state
        return points_view(
            state.resolved,
            self.intake.latest,
            state.violations.open(),
            mono_us=self.clock.mono_us(),
            wall_us=self.clock.wall_us(),
        )

    def status(self) -> dict[str, Any]:
        """Everything `edge-gateway status` prints; JSON-able."""
        state, journal = self.intake.state, self.journal.status()
        rows = self.points()
        counts = {
            name: sum(row["state"] == name for row in rows) for name in ("violation", "notice", "no-data", "normal")
        }
        sinks = self.shipping.status()
        problems = [f"point {row['point']}: {row['state']}" for row in rows if row["state"] != "normal"]
        problems += [
            f"sink {name}: {sink['why']}" for name, sink in sinks.items() if sink["state"] not in ("ok", "connecting")
        ]
        problems += ["journal full: ordinary readings stopped"] if journal.get("full") else []
        problems += ["configuration on disk was refused"] if self.config.rejected else []
        problems += [] if self.clock.trusted() else ["clock not trusted"]
        return {
            "schema": "edge-gateway/status/1",
            "version": self.version,
            "site": state.resolved.get("site", {}),
            "started_wall_us": self.started_wall_us,
            "wall_us": self.clock.wall_us(),
            "clock": {"trusted": self.clock.trusted(), "trust": self.trust},
            "points": counts,
            "violations": state.violations.open(),
            "not_monitored": list(self.config.not_monitored),
            "gaps": list(state.gaps.values()),
            "buses": {name: dict(source.health()) for name, source in self.sources.items()},
            "sinks": sinks,
            "journal": journal | {"committed_seq": self.journal.committed_seq},
            "config": {
                "sha256": self.config.sha256,
                "config_seq": state.config_seq if state.config else None,
                "applied_wall_us": self.config.applied_wall_us,
                "rejected": self.config.rejected,
                "rejected_wall_us": self.config.rejected_wall_us,
                "pending_restart": list(self.config.pending_restart),
            },
            "problems": problems,
        }

    def gauges(self) -> dict[str, float]:
        """What /metrics shows besides the events' counters."""
        journal, rows = self.journal.status(), self.points()
        values = {
            "journal_bytes": float(journal["size_bytes"]),
            "journal_bytes_per_day": float(journal.get("bytes_per_day") or 0.0),
            "journal_autonomy_hours": float(journal.get("autonomy_hours") or 0.0),
            "violations_open": float(len(self.intake.state.violations.open())),
            "points_without_data": float(sum(row["state"] == "no-data" for row in rows)),
            "clock_trusted": float(self.clock.trusted()),
        }
        for delivery in self.shipping.deliveries:
            values[f"sink_backlog_entries_{delivery.sink.name.replace('-', '_')}"] = float(delivery.progress.backlog)
        return values

    async def quarantine(self, verb: str, ids: list[int], by: str) -> dict[str, Any]:
        """Offer refused lines again, or forget them; journaled with who did it. Raises GatewayError for another verb."""
        if verb not in ("retry", "drop"):
            raise GatewayError(f"no such step '{verb}'", hint="retry or drop")
        items = [item for item in await self.journal.quarantine_list() if item.id in set(ids)]
        if verb == "retry":
            result: dict[str, Any] = await self.shipping.retry(items)
        else:
            result = {"dropped": await self.journal.quarantine_drop([item.id for item in items])}
        body = {"event": f"quarantine-{verb}", "by": by, "ids": [item.id for item in items], "result": result}
        await self.intake.command(lambda: self.intake.add("event", body))
        return result

    async def step(self, verb: str, violation: str, by: str, reason: str) -> dict[str, Any]:
        """A person's step on a violation: durable on return. Raises GatewayError when the step is not allowed."""
        violations = self.intake.state.violations
        act = {"ack": violations.acknowledge, "close": violations.close}.get(verb)
        if act is None:
            raise GatewayError(f"no step '{verb}'", hint="ack or close")

        async def step() -> object:
            body = act(violation, by, reason)
            seq = await self.intake.add("violation", body, urgent=True)
            return body | {"seq": seq}

        result = await self.intake.command(step)
        return dict(result) if isinstance(result, Mapping) else {}
