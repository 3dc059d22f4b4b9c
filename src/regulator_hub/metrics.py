"""/metrics: the hub in numbers, read when asked; no label that grows with entries or violations."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from regulator_hub.desk import Desk
from regulator_hub.interpret import Interpreter
from regulator_hub.store.writer import Writer
from regulator_hub.watch import Watch


@dataclass(frozen=True, slots=True)
class _Collector(Collector):
    desk: Desk
    writer: Writer
    interpreter: Interpreter
    watch: Watch

    def collect(self) -> Iterable[Metric]:
        counts = self.desk.counts
        messages = CounterMetricFamily("regulator_hub_messages", "Messages answered, by kind", labels=["kind"])
        refused = CounterMetricFamily("regulator_hub_refused", "Messages refused, by code", labels=["code"])
        for name, count in counts.items():
            if name.startswith("refused:"):
                refused.add_metric([name.removeprefix("refused:")], count)
            elif name != "entries_received":
                messages.add_metric([name], count)
        yield messages
        yield refused
        yield CounterMetricFamily(
            "regulator_hub_entries", "Entries received in order", value=counts["entries_received"]
        )
        yield CounterMetricFamily("regulator_hub_commits", "Commits synced to disk", value=self.writer.commits)
        silent = GaugeMetricFamily("regulator_hub_silent_seconds", "Since the last message", labels=["gateway"])
        dark = GaugeMetricFamily("regulator_hub_dark", "1 while a gateway is dark", labels=["gateway"])
        quarantined = GaugeMetricFamily("regulator_hub_quarantined", "Entries not interpreted", labels=["gateway"])
        for name, view in list(self.interpreter.views.items()):
            silent.add_metric([name], self.watch.silent_s(name))
            dark.add_metric([name], name in self.watch.dark)
            quarantined.add_metric([name], view.state["quarantined"])
        yield from (silent, dark, quarantined)


def metrics(desk: Desk, writer: Writer, interpreter: Interpreter, watch: Watch) -> Callable[[], bytes]:
    """What makes the text that Prometheus reads."""
    registry = CollectorRegistry()
    registry.register(_Collector(desk, writer, interpreter, watch))
    return lambda: generate_latest(registry)
