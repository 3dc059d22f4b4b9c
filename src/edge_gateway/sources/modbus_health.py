"""How a Modbus bus is, as JSON-able words and numbers for status, page and metrics; changes nothing."""

from __future__ import annotations

import asyncio
from typing import Any

from edge_gateway.clock import Clock
from edge_gateway.sources.modbus_memory import Hole, Memory
from edge_gateway.sources.modbus_turn import Turns
from edge_gateway.sources.modbus_unit import Bus, Poll, Unit


def report(bus: Bus, turns: Turns, clock: Clock) -> dict[str, Any]:
    """``state``: ``up``, ``down`` (with ``said``) or ``idle`` (not opened yet); a device is ``answers``, ``silent`` or ``unknown``."""
    mono_us = clock.mono_us()
    state = "up" if turns.line.is_open else "down" if turns.said else "idle"
    return {
        "kind": bus.kind,
        "state": state,
        "said": turns.said,
        "counters": turns.line.counters.as_dict(),
        "late": turns.line.late(),
        "gaps": sum(slots.gap is not None for poll in bus.polls for slots in poll.slots),
        "load": load(bus, turns, clock.speed),
        "link": turns.watch.report(asyncio.get_running_loop().time(), bus.units),
        "devices": {device.id: _device(bus, device.id, device.unit, mono_us) for device in bus.devices},
    }


def load(bus: Bus, turns: Turns, speed: float) -> dict[str, float | None]:
    """Shares of the line's time, 0 … 1. ``predicted``: what polling the units that answer takes, by the arithmetic of the wire and
    what each unit was measured to take until it answers (an assumption before). ``measured``: what was held, retries and
    time-outs included; None before a second has passed. ``slack`` is what each leaves."""
    predicted = sum(_share(poll, turns, speed) for poll in bus.polls if not poll.failing)
    measured = turns.use.share(asyncio.get_running_loop().time())
    return {
        "predicted": round(predicted, 4),
        "measured": None if measured is None else round(measured, 4),
        "slack_predicted": round(1 - predicted, 4),
        "slack_measured": None if measured is None else round(1 - measured, 4),
    }


def _share(poll: Poll, turns: Turns, speed: float) -> float:
    asked = [ask.block for ask in poll.asks if not ask.refused]
    rests_s = max(0, len(asked) - 1) * poll.planned.rest_us / 1e6
    seconds = sum(turns.time.request_s(block, poll.unit.turnaround_s) for block in asked) + rests_s
    return seconds * speed * 1e6 / poll.interval_us


def _device(bus: Bus, device: str, address: int, mono_us: int) -> dict[str, Any]:
    unit = bus.units[address]
    its = [
        (poll, number, slots)
        for poll in bus.polls
        for number, slots in enumerate(poll.slots)
        if slots.group.device == device
    ]
    return {
        "unit": address,
        "state": _state(unit),
        "said": unit.said,
        "failures": unit.backoff.failures,
        "rests_s": max(0, unit.rest_until_us - mono_us) // 1_000_000,
        "answered_s_ago": (mono_us - unit.answered_us) // 1_000_000 if unit.answered_us else None,
        "round_trip_ms": unit.round_trip_us / 1000,
        "refused": [point for poll, number, _ in its for point in _refused(poll, number)],
        "learned": learned(bus.memories[address], mono_us),
        "gap": next((slots.gap.reason for _, _, slots in its if slots.gap is not None), ""),
    }


def learned(memory: Memory, mono_us: int) -> dict[str, Any]:
    """What a unit was found to refuse, and in how many seconds it is tried again. ``full``: more is not remembered."""
    return {
        "holes": [_hole(hole, mono_us) for hole in memory.holes],
        "most": {str(function): most for function, (most, _) in memory.most.items()},
        "full": memory.full,
    }


def _hole(hole: Hole, mono_us: int) -> dict[str, Any]:
    return {
        "function": hole.function,
        "first": hole.first,
        "last": hole.last,
        "exception": hole.code,
        "gap": hole.gap,
        "retry_s": max(0, hole.retry_us - mono_us) // 1_000_000,
    }


def _state(unit: Unit) -> str:
    if unit.alive:
        return "answers"
    return "silent" if unit.backoff.failures else "unknown"


def _refused(poll: Poll, number: int) -> list[str]:
    """Points of the poll's group ``number`` that are refused now."""
    points = poll.planned.groups[number].points
    fields = [f for ask in poll.asks if ask.hole is not None for f in ask.block.fields if f.group == number]
    return [points[f.column] for f in fields]
