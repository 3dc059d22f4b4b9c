"""What each point of a site shows while nothing is wrong there: inside every limit that its rules have; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from edge_gateway.demo.cast import Signal
from edge_gateway.profiles.model import RegisterChannel
from edge_gateway.rules.base import BoundRule

#: Zones whose air is kept at a temperature.
ROOM_KINDS = ("frozen-store", "chilled-store", "pre-cooling", "cutting-room")
#: So far inside a one-sided limit (K): what leaves it then takes minutes, as in a real room. Other quantities keep to half, or twice, the limit.
_INSIDE = 2.0
#: What is shown where no rule has a limit, by quantity. Examples, not figures of any standard.
_USUAL = {
    "temperature": 10.0, "humidity": 78.0, "ph": 7.3, "turbidity": 0.4, "free-chlorine": 0.6, "flow": 6.0, "conductivity": 600.0, "battery": 97.0,
    "level": 1.0, "pressure": 200.0, "voltage": 230.0, "current": 5.0, "power": 1.0, "frequency": 50.0, "cod": 60.0, "ammonia": 5.0,
}  # fmt: skip
_USUAL_ROOMS = {"frozen-store": -20.0, "chilled-store": 2.0, "pre-cooling": 1.5, "cutting-room": 10.0}
_TOTALS = ("volume", "energy", "count")
_CONTACTS = ("contact", "state")
_NOISE = {"temperature": 0.1, "humidity": 0.6}
#: Of the value, where the quantity is not named above.
_NOISE_SHARE = 0.01

#: Point -> its zone and its channel.
Placed = Mapping[str, tuple[str, RegisterChannel]]


def kept_rooms(zones: Mapping[str, Any], points: Placed, rules: Iterable[BoundRule]) -> dict[str, float]:
    """Zone -> the air temperature that it keeps, for rooms with a temperature point."""
    rules = tuple(rules)
    found = {}
    for zone, about in zones.items():
        airs = [id_ for id_, (place, channel) in points.items() if place == zone and channel.quantity == "temperature"]
        if about.kind in ROOM_KINDS and airs:
            found[zone] = _inside(*_limits(airs, rules), _USUAL_ROOMS[about.kind])
    return found


def signals_of(points: Placed, rooms: Mapping[str, float], rules: Iterable[BoundRule]) -> dict[str, Signal]:
    """What each point shows."""
    rules = tuple(rules)
    return {id_: _signal(id_, zone, channel, rooms, rules) for id_, (zone, channel) in points.items()}


def _signal(id_: str, zone: str, channel: RegisterChannel, rooms: Mapping[str, float], rules: tuple[BoundRule, ...]) -> Signal:
    quantity = channel.quantity
    noise = _NOISE.get(quantity, 0.0)
    if quantity in _TOTALS:
        return Signal(shows="total", value=_USUAL["flow"])
    low, high = _limits([id_], rules)
    if zone in rooms and quantity == "temperature":
        return Signal(shows="air", place=zone, noise=noise)
    if zone in rooms and quantity == "humidity" and low is None and high is None:
        return Signal(shows="humidity", place=zone, noise=noise)
    if zone in rooms and quantity in ("door", "defrost"):
        return Signal(shows=quantity, place=zone)
    if quantity in _CONTACTS or channel.type == "bool":
        return Signal(shows="still", value=low or 0.0)
    value = _inside(low, high, _USUAL.get(quantity, 1.0), degrees=channel.unit == "Cel")
    noise = noise or abs(value) * _NOISE_SHARE
    if low is not None and high is not None:
        noise = min(noise, (high - low) / 10)
    return Signal(shows="still", value=value, noise=noise)


def _limits(points: Iterable[str], rules: tuple[BoundRule, ...]) -> tuple[float | None, float | None]:
    """The tightest limits of any rule that judges the value of one of the points (or its mean, or its hours beyond)."""
    points = set(points)
    lows, highs = [], []
    for rule in rules:
        if rule.point not in points or rule.kind not in ("limit", "window", "exposure") or rule.terms.get("fn") == "share":
            continue
        low, high = (rule.terms.get("beyond_low"), rule.terms.get("beyond_high")) if rule.kind == "exposure" else (rule.low, rule.high)
        lows += [float(low)] if low is not None else []
        highs += [float(high)] if high is not None else []
    return max(lows, default=None), min(highs, default=None)


def _inside(low: float | None, high: float | None, usual: float, *, degrees: bool = True) -> float:
    if low is not None and high is not None:
        return (low + high) / 2
    if high is not None:
        return high - (_INSIDE if degrees else abs(high) / 2)
    if low is not None:
        return low + (_INSIDE if degrees else abs(low))
    return usual
