"""What a configuration has and does not use, or leaves open: nothing that keeps it from running; pure."""

from __future__ import annotations

from collections.abc import Iterator

from edge_gateway.config.model import GatewayConfig
from edge_gateway.config.references import Locate
from edge_gateway.errors import ConfigError
from edge_gateway.links.loopback import is_loopback
from edge_gateway.rules.bind import Binding


def unused_warnings(config: GatewayConfig, binding: Binding, locate: Locate) -> Iterator[ConfigError]:
    """Rules without a point, tables that nothing refers to, doors that are open."""
    yield from _not_monitored(config, binding, locate)
    yield from _tables(config, locate)
    if not config.sinks:
        why, hint = "there is no sink: readings stay on this machine", "add [sinks.hub] or [sinks.influx]"
        yield locate(("sinks",), why, code="unused", hint=hint)
    if config.page.listen and not is_loopback(config.page.listen.rpartition(":")[0]):
        why = f"the page at {config.page.listen} is open to everybody on that network"
        hint = "it shows readings, and changes nothing; 127.0.0.1 keeps it on this machine"
        yield locate(("page", "listen"), why, code="open-page", hint=hint)
    if config.clock.speed != 1.0 and config.clock.trust != "declared":
        why = "a scaled clock cannot be the kernel's"
        yield locate(("clock", "speed"), why, code="clock", hint='set trust = "declared", or delete speed')


def _not_monitored(config: GatewayConfig, binding: Binding, locate: Locate) -> Iterator[ConfigError]:
    """One warning a pack and reason: few sites have every kind of place."""
    idle: dict[tuple[str, str], list[str]] = {}
    for item in binding.not_monitored:
        rule = f"{item.rule} at '{item.place}'" if item.place else item.rule
        idle.setdefault((item.pack, item.why), []).append(rule)
    for (pack, why), rules in idle.items():
        index = config.rules.packs.index(pack) if pack in config.rules.packs else 0
        text = f"judging nothing here: {', '.join(rules)} ({why})"
        hint = "reported as not monitored, never as compliant"
        yield locate(("rules", "packs", index), text, code="not-monitored", hint=hint)


def _tables(config: GatewayConfig, locate: Locate) -> Iterator[ConfigError]:
    measured = {point.device for point in config.points.values()}
    for id_ in config.devices:
        if id_ not in measured:
            why, hint = f"device '{id_}' has no point: it is not read", "add a [points.…] table, or delete the device"
            yield locate(("devices", id_), why, code="unused", hint=hint)
    used = {device.bus for device in config.devices.values()}
    used |= {str(getattr(sink, "bus", "")) for sink in config.sinks.values()}
    for id_ in config.buses:
        if id_ not in used:
            why, hint = f"bus '{id_}' has no device: it is not opened", "add a [devices.…] table, or delete the bus"
            yield locate(("buses", id_), why, code="unused", hint=hint)
    places = {point.zone for point in (*config.points.values(), *config.derived.values())} | {outlet.zone for outlet in config.outlets.values()}
    for id_ in config.zones:
        if id_ not in places:
            why, hint = f"zone '{id_}' has no point", "add a [points.…] table, or delete the zone"
            yield locate(("zones", id_), why, code="unused", hint=hint)
