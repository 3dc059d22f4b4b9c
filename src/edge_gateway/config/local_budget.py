"""Whether a bus of this machine's own has time for what is asked of it: one device after the other; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from edge_gateway.config.budget import SENSIBLE_S
from edge_gateway.config.model import GatewayConfig
from edge_gateway.config.references import Locate
from edge_gateway.errors import ConfigError
from edge_gateway.profiles.spec import DeviceSpec
from edge_gateway.sources.local import LocalBus


def local_warnings(
    config: GatewayConfig, specs: Mapping[str, Sequence[DeviceSpec]], locate: Locate
) -> Iterator[ConfigError]:
    """A warning for each bus whose readings take longer than there is time, with the interval that would fit."""
    for bus_id, bus in config.buses.items():
        if not isinstance(bus, LocalBus) or not bus.takes_s or not (devices := specs.get(bus_id, ())):
            continue
        intervals = [interval_us for device in devices for interval_us in _intervals(device)]
        load = sum(bus.takes_s * 1e6 / interval_us for interval_us in intervals)
        if load > 1:
            round_s = bus.takes_s * len(intervals)
            fits = next((each for each in SENSIBLE_S if each >= round_s), round_s)
            why = f"bus '{bus_id}' is asked to be busy {load:.0%} of the time: one round of its polls takes {round_s:.2f} s"
            hint = f"slots will be missed; use interval_s = {fits:g} or more on this bus"
            yield locate(("devices", devices[0].id, "interval_s"), why, code="too-fast", hint=hint)


def _intervals(device: DeviceSpec) -> set[int]:
    return {point.interval_us or device.interval_us for point in device.points}
