"""How a Modbus bus is, as JSON-able words and numbers for status, page and metrics; changes nothing."""

from __future__ import annotations

from typing import Any

from edge_gateway.sources.modbus_turn import Turns
from edge_gateway.sources.modbus_unit import Bus, Poll, Unit


def report(bus: Bus, turns: Turns, mono_us: int) -> dict[str, Any]:
    """``state``: ``up``, ``down`` (with ``said``) or ``idle`` (not opened yet); a device is ``answers``, ``silent`` or ``unknown``."""
    state = "up" if turns.line.is_open else "down" if turns.said else "idle"
    return {
        "kind": bus.kind,
        "state": state,
        "said": turns.said,
        "counters": turns.line.counters.as_dict(),
        "gaps": sum(poll.slots.gap is not None for poll in bus.polls),
        "devices": {device.id: _device(bus, device.id, device.unit, mono_us) for device in bus.devices},
    }


def _device(bus: Bus, device: str, address: int, mono_us: int) -> dict[str, Any]:
    unit = bus.units[address]
    polls = [poll for poll in bus.polls if poll.planned.group.device == device]
    return {
        "unit": address,
        "state": _state(unit),
        "said": unit.said,
        "failures": unit.backoff.failures,
        "rests_s": max(0, unit.rest_until_us - mono_us) // 1_000_000,
        "answered_s_ago": (mono_us - unit.answered_us) // 1_000_000 if unit.answered_us else None,
        "round_trip_ms": unit.round_trip_us / 1000,
        "refused": [point for poll in polls for point in _refused(poll)],
        "gap": next((poll.slots.gap.reason for poll in polls if poll.slots.gap is not None), ""),
    }


def _state(unit: Unit) -> str:
    if unit.alive:
        return "answers"
    return "silent" if unit.backoff.failures else "unknown"


def _refused(poll: Poll) -> list[str]:
    points = poll.planned.group.points
    return [points[field.column] for ask in poll.asks if ask.refused for field in ask.block.fields]
