"""Hears events and turns them into log lines and metrics; decides nothing, and nobody waits for it."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from edge_gateway import events

log = logging.getLogger("edge_gateway")


#: Alarms that status shows; the log has all.
MOST_ALARMS = 20


class Telemetry:
    """One object hears everything: ``tell`` is the function that all parts are given."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        to = self.registry
        self._entries = Counter("edge_gateway_entries", "Entries made durable", registry=to)
        self._readings = Counter("edge_gateway_readings", "Readings made durable", registry=to)
        self._bytes = Counter("edge_gateway_entry_bytes", "Bytes of entries made durable", registry=to)
        self._commit = Histogram(
            "edge_gateway_commit_seconds",
            "Time a commit took",
            buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2.0),
            registry=to,
        )
        self._delivered = Counter("edge_gateway_sink_entries", "Entries a sink took", ["sink"], registry=to)
        self._rejected = Counter("edge_gateway_sink_rejected", "Items a sink refused", ["sink"], registry=to)
        self._sink_up = Gauge("edge_gateway_sink_up", "1 while a sink takes entries", ["sink"], registry=to)
        self._steps = Counter("edge_gateway_violation_steps", "Steps of violations", ["step"], registry=to)
        self._full = Gauge("edge_gateway_journal_full", "1 while ordinary batches are held back", registry=to)
        self._reload = Gauge("edge_gateway_config_reload_success", "0 after a refused configuration", registry=to)
        self._alarms = Counter("edge_gateway_alarms", "Alarms that are no violation of a limit", ["code"], registry=to)
        self._signing = Gauge("edge_gateway_signing", "0 while no checkpoint can be signed", registry=to)
        self._signing.set(1)
        self._reload.set(1)
        #: what a person should look at, of this run: status and page show it
        self.alarms: deque[events.Alarmed] = deque(maxlen=MOST_ALARMS)
        self._listeners: list[Callable[[events.Event], None]] = []

    def listen(self, listener: Callable[[events.Event], None]) -> Callable[[], None]:
        """Hear events too (the page's stream does); returns the unsubscribe."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def tell(self, event: events.Event) -> None:
        """Count and log one event; never raises into the teller."""
        try:
            self._count(event)
            for listener in self._listeners:
                listener(event)
        except Exception:
            log.exception("telemetry could not take %r", event)

    def _count(self, event: events.Event) -> None:
        match event:
            case events.Committed():
                self._entries.inc(event.entries)
                self._readings.inc(event.readings)
                self._bytes.inc(event.size_bytes)
                self._commit.observe(event.latency_us / 1e6)
            case events.SinkDelivered():
                self._delivered.labels(event.sink).inc(event.entries)
                self._rejected.labels(event.sink).inc(event.rejected)
                self._sink_up.labels(event.sink).set(1)
            case events.SinkTroubled():
                self._sink_up.labels(event.sink).set(0)
                level = logging.WARNING if event.authorised else logging.ERROR
                log.log(level, "sink %s: %s; next try in %.0f s, nothing is lost", event.sink, event.why, event.retry_s)
                if not event.authorised:  # status and page show it as long as it lasts, so it is no alarm of the run
                    self._alarms.labels("sink-unauthorised").inc()
            case events.SinkRecovered():
                self._sink_up.labels(event.sink).set(1)
                log.info("sink %s: takes entries again", event.sink)
            case events.SinkSkipped():
                log.error(
                    "sink %s: %d entries of epoch %s from %d on will never be served: %s",
                    event.sink, event.count, event.epoch, event.first, event.reason,
                )  # fmt: skip
            case events.ViolationStepped():
                self._steps.labels(event.step).inc()
                log.warning("violation %s: %s at %s: %s", event.violation, event.rule, event.point, event.step)
            case _:
                self._count_state(event)

    def _count_state(self, event: events.Event) -> None:
        match event:
            case events.GapChanged():
                log.info("gap %s %s %s", event.gap, "opened" if event.opened else "closed", event.reason)
            case events.ClockTrustChanged():
                log.warning("clock is %s", "trusted" if event.trusted else "no longer trusted")
            case events.ClockStepped():
                log.warning("wall clock stepped by %.3f s", event.step_us / 1e6)
            case events.JournalFilled():
                self._full.set(event.full)
                log.log(
                    logging.CRITICAL if event.full else logging.INFO,
                    "the journal takes no more, ordinary readings stop: %s" if event.full else "journal takes readings again%s",
                    event.why,
                )
            case events.EpochOpened():
                log.warning("new epoch %s: %s", event.epoch, event.reason)
            case events.ConfigApplied():
                self._reload.set(1)
                log.info("configuration %s in force from entry %d on", event.text[:12], event.config_seq)
            case events.ConfigRejected():
                self._reload.set(0)
                log.error("configuration refused, the one before goes on: %s", event.why)
            case events.DriftFound():
                log.warning(
                    "device %s: %s is %s, its sheet says %s", event.device, event.parameter, event.value, event.wanted
                )
            case events.SignerTroubled():
                self._signing.set(not event.said)
                log.log(
                    logging.ERROR if event.refused else logging.WARNING if event.said else logging.INFO,
                    "signer: %s", event.said or "signs again",
                )  # fmt: skip
                if event.refused:
                    self._alarms.labels("signer-refused").inc()
            case events.Alarmed():
                self._alarms.labels(event.code).inc()
                self.alarms.append(event)
                log.error("%s: %s", event.code, event.why)

    def metrics(self) -> bytes:
        """Prometheus text."""
        return generate_latest(self.registry)


def silent(_event: events.Event) -> None:
    """A ``tell`` for tests and tools that nobody listens to."""
