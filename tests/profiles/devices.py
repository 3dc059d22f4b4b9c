"""Devices for tests, made of plain channel tables."""

from __future__ import annotations

from typing import Any

from edge_gateway.profiles.model import ModbusProfile
from edge_gateway.profiles.spec import DeviceSpec, PointSpec


def profile(channels: dict[str, dict[str, Any]], **modbus: Any) -> ModbusProfile:
    """A profile with ``channels``; quantity and unit default to a plain state."""
    return ModbusProfile.model_validate(
        {
            "id": "test/device",
            "vendor": "test",
            "model": "device",
            "name_zh": "",
            "name_en": "",
            "verified": "no",
            "sources": [{"cite": "made for a test", "verified": "no"}],
            "modbus": modbus,
            "channels": {name: {"quantity": "state", "unit": "1"} | channel for name, channel in channels.items()},
        }
    )


def device(
    channels: dict[str, dict[str, Any]],
    *,
    id: str = "d",  # noqa: A002 -- the field's own name
    unit: int = 1,
    interval_us: int = 1_000_000,
    intervals: dict[str, int] | None = None,
    wanted: tuple[str, ...] = (),
    **modbus: Any,
) -> DeviceSpec:
    """A device with one point ``<id>-<channel>`` for each (wanted) channel."""
    points = tuple(
        PointSpec(id=f"{id}-{name}", channel=name, interval_us=(intervals or {}).get(name, 0))
        for name in (wanted or channels)
    )
    return DeviceSpec(id=id, profile=profile(channels, **modbus), points=points, interval_us=interval_us, unit=unit)


def registers(start: int, count: int, *, step: int = 1, function: int = 3, **more: Any) -> dict[str, dict[str, Any]]:
    """``count`` channels r<address> from ``start`` on."""
    return {f"r{a}": {"function": function, "register": a, **more} for a in range(start, start + count * step, step)}
