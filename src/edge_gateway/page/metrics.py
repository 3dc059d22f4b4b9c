"""What /metrics shows of the gateway's state beside the events' counters: read at each scrape, labels bounded by the configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from edge_gateway.page.site import Site
from edge_gateway.page.view import ORDER, is_violation

#: States of a delivery: one series each, 1 where it stands.
SINK_STATES = ("connecting", "ok", "unreachable", "unauthorised", "held")
#: Characters of a reason in a label.
MAX_WHY = 300

Samples = Iterable[tuple[tuple[str, ...], float]]


class SiteCollector(Collector):
    """Points, sinks, buses, journal, clock, configuration; a series lives as long as what it is about."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def describe(self) -> Iterator[Metric]:
        """Nothing beforehand: series come and go with the configuration."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """One look at the site a scrape."""
        rows = self._site.points()
        status = self._site.status(rows)
        yield InfoMetricFamily(
            "edge_gateway",
            "What runs here",
            value={"version": status["version"], "site": str(status["site"].get("id", ""))},
        )
        yield _gauge("clock_trusted", "1 while somebody vouches for wall time", (), [((), status["clock"]["trusted"])])
        yield _gauge(
            "start_time_seconds", "When it was started, by its clock", (), [((), status["started_wall_us"] / 1e6)]
        )
        yield from _points(rows, status)
        yield from _sinks(status["sinks"])
        yield from _buses(status["buses"])
        yield from _journal(status["journal"])
        yield from _wear(status["wear"])
        yield from _config(status)


def _points(rows: list[dict[str, Any]], status: Mapping[str, Any]) -> Iterator[Metric]:
    counts = [((state,), status["points"][state]) for state in ORDER]
    yield _gauge("points", "Points by state", ("state",), counts)
    ages = [((row["point"],), row["age_s"]) for row in rows if row["age_s"] is not None]
    yield _gauge("point_age_seconds", "Age of each point's newest reading, good or not", ("point",), ages)
    known = [((row["point"],), float(row["value"] is not None and not row["stale"])) for row in rows]
    yield _gauge("point_known", "1 while a point has a value that is not stale", ("point",), known)
    levels = [is_violation(violation) for violation in status["violations"]]
    by_level = [(("violation",), sum(levels)), (("notice",), len(levels) - sum(levels))]
    yield _gauge("violations_open", "Violations and notices not closed, recovered ones included", ("level",), by_level)
    yield _gauge("gaps_open", "Stretches of missing slots that still last", (), [((), len(status["gaps"]))])
    not_monitored = [((), len(status["not_monitored"]))]
    yield _gauge("rules_not_monitored", "Rules without a point: not monitored, never compliant", (), not_monitored)


def _sinks(sinks: Mapping[str, Any]) -> Iterator[Metric]:
    def each(key: str, scale: float = 1.0) -> Samples:
        return [((name,), sink[key] / scale) for name, sink in sinks.items()]

    yield _gauge("sink_backlog_entries", "Entries a sink has not taken yet", ("sink",), each("backlog"))
    last = "When a sink last took something, 0 for never"
    yield _gauge("sink_last_ok_time_seconds", last, ("sink",), each("last_ok_wall_us", 1e6))
    skipped = "Entries that a sink will never be served"
    yield _counter("sink_skipped_entries", skipped, ("sink",), each("skipped"))
    bounded = {name: sink["budget"] for name, sink in sinks.items() if sink.get("budget")}
    for key, words in (("bytes_per_day", "Bytes that a sink may be sent in a day"), ("used", "Bytes of them spent")):
        counted = [((name,), float(budget[key])) for name, budget in bounded.items()]
        yield _gauge(f"sink_budget_{'used_bytes' if key == 'used' else 'bytes'}", words, ("sink",), counted)
    until = [((name,), (budget["until_us"] or 0) / 1e6) for name, budget in bounded.items()]
    yield _gauge("sink_held_until_time_seconds", "When a sink that spent its day's bytes goes on, 0 while it does", ("sink",), until)
    states = [((name, state), float(sink["state"] == state)) for name, sink in sinks.items() for state in SINK_STATES]
    yield _gauge("sink_state", "1 for the state in which a sink is", ("sink", "state"), states)


def _buses(buses: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    ups = [((bus,), float(is_up(health))) for bus, health in buses.items()]
    yield _gauge("bus_up", "1 while a line is open, or a broker connected", ("bus",), ups)
    counts = [((bus, key), value) for bus, health in buses.items() for key, value in _counts(health)]
    yield _counter("bus_events", "What happened on a bus, by its own counters", ("bus", "what"), counts)
    devices = [
        ((bus, device), float(answers(about)))
        for bus, health in buses.items()
        for device, about in health.get("devices", {}).items()
    ]
    yield from _links(buses)
    busy = [
        ((bus, kind), float(health["load"][kind]))
        for bus, health in buses.items()
        for kind in ("predicted", "measured")
        if health.get("load", {}).get(kind) is not None
    ]
    yield _gauge("bus_busy_ratio", "Share of a Modbus bus' time that its polls take, 0 to 1", ("bus", "what"), busy)
    yield _gauge("device_answers", "1 while a device answers, or is heard", ("bus", "device"), devices)


def _links(buses: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    """Per unit what its exchanges became, and what the judge finds (``unit`` empty: the whole line)."""
    events, findings = [], []
    for bus, health in buses.items():
        link = health.get("link") or {"units": {}, "findings": ()}
        for unit, counts in link["units"].items():
            events += [((bus, unit, what), float(count)) for what, count in counts.items()]
        for finding in link["findings"]:
            if finding["level"] != "ok":
                findings += [((bus, str(unit), finding["code"]), 1.0) for unit in finding["units"] or ("",)]
    yield _counter("unit_exchanges", "What became of a unit's exchanges", ("bus", "unit", "what"), events)
    found = sorted(dict(findings).items())
    yield _gauge("link_finding", "1 for what is found wrong with a line or unit", ("bus", "unit", "finding"), found)


def is_up(health: Mapping[str, Any]) -> bool:
    """Whether a bus' line is open or its broker connected, by its source's ``health``."""
    return health.get("state") == "up" or bool(health.get("connected"))


def answers(device: Mapping[str, Any]) -> bool:
    """Whether a device answered when last asked, or (messages) was heard and is not overdue."""
    if "state" in device:
        return bool(device["state"] == "answers")
    return device.get("age_us") is not None and not device.get("gap")


def _counts(health: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Counters of a source: a table of their own, or whole numbers beside its states."""
    for key, value in health.get("counters", health).items():
        if isinstance(value, int) and not isinstance(value, bool) and key not in _NOW:
            yield key, float(value)


#: Whole numbers in a source's health that go up and down.
_NOW = frozenset({"unacknowledged", "waiting", "in_flight", "gaps"})


def _journal(journal: Mapping[str, Any]) -> Iterator[Metric]:
    for key, words in (
        ("size_bytes", "Bytes the journal takes on the disk"),
        ("max_bytes", "Bytes the journal may take"),
        ("bytes_per_day", "Bytes a day at the pace of late, 0 while unknown"),
        ("autonomy_hours", "Hours the hub may stay away from now on, 0 while unknown"),
        ("segments", "Sealed segments held here"),
        ("committed_seq", "Entries durable in this epoch"),
        ("pending", "Entries on their way to the disk"),
        ("disk_errors", "Writes and syncs that the disk refused since the start"),
        ("missing_segments", "Damaged segments that the hub may give back"),
        ("lost_segments", "Damaged segments that are gone for good: declared skipped, their roots are kept"),
    ):
        yield _gauge(f"journal_{key}", words, (), [((), float(journal.get(key) or 0))])
    if keeping := journal.get("keeping"):
        early = "Segments that went for want of room before their keep time was over"
        yield _counter("journal_freed_early_segments", early, (), [((), float(keeping["freed_early"]))])
        yield _gauge("journal_keep_seconds", "How long the record is kept, room permitting", (), [((), keeping["keep_us"] / 1e6)])
    last_us = journal.get("last_commit_us") or 0
    yield _gauge("journal_last_commit_time_seconds", "When something last became durable", (), [((), last_us / 1e6)])
    scrub = journal.get("scrub") or {"whole_us": 0, "share": 0.0}
    read = "When every sealed byte had last been read again, 0 for never"
    yield _gauge("journal_scrub_time_seconds", read, (), [((), scrub["whole_us"] / 1e6)])
    yield _gauge("journal_scrub_ratio", "Share of the sealed segments that the pass under way has read", (), [((), scrub["share"])])
    damaged = float(bool(journal.get("damaged") or journal.get("troubled")))
    yield _gauge("journal_troubled", "1 when the journal was damaged or the disk refuses work", (), [((), damaged)])


def _wear(wear: Mapping[str, Any]) -> Iterator[Metric]:
    """No series where the kernel does not count."""
    written, each = wear["written_bytes"], wear["bytes_per_reading"]
    words = "Bytes that this process had written to storage since it began to read, by the kernel's count"
    yield _counter("storage_written_bytes", words, (), [((), float(written))] if written is not None else [])
    words = "The same for each reading made durable: what wears a card out"
    yield _gauge("storage_written_bytes_per_reading", words, (), [((), float(each))] if each is not None else [])


def _config(status: Mapping[str, Any]) -> Iterator[Metric]:
    config = status["config"]
    applied = [((), config["applied_wall_us"] / 1e6)]
    yield _gauge("config_applied_time_seconds", "When the configuration in force was applied", (), applied)
    why = str(config["rejected"])[:MAX_WHY]
    refused = "1 while the file on disk is rejected, and why"
    yield _gauge("config_rejected", refused, ("why",), [((why,), 1.0)] if why else [])
    yield _gauge("config_pending_restart", "Keys that wait for a restart", (), [((), len(config["pending_restart"]))])


def _gauge(name: str, words: str, labels: tuple[str, ...], samples: Samples) -> Metric:
    return _filled(GaugeMetricFamily(f"edge_gateway_{name}", words, labels=labels), samples)


def _counter(name: str, words: str, labels: tuple[str, ...], samples: Samples) -> Metric:
    return _filled(CounterMetricFamily(f"edge_gateway_{name}", words, labels=labels), samples)


def _filled(family: Any, samples: Samples) -> Metric:
    add: Callable[[list[str], float], None] = family.add_metric
    for labels, value in samples:
        add(list(labels), float(value))
    metric: Metric = family
    return metric
