"""Derived points among the other tables: whether their inputs exist and suit, and what the record says of them; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edge_gateway.config.files import KeyPath
from edge_gateway.config.model import GatewayConfig
from edge_gateway.config.specs import channel_of, profile_of
from edge_gateway.derived.model import DerivedConfig, measures, needs
from edge_gateway.errors import ConfigError
from edge_gateway.profiles.model import Profile
from edge_gateway.reading import FRESH_INTERVALS, Group
from edge_gateway.toml_errors import did_you_mean

#: The device of all derived points, in groups and gaps.
DEVICE = "derived"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a formula asks of an input; ``interval_us`` 0: nobody knows when its next reading is due."""

    quantity: str
    unit: str
    interval_us: int


def facts(config: GatewayConfig, files: Mapping[str, Profile]) -> dict[str, Facts]:
    """Of every point that is sound, measured ones first, then derived ones in the order of the file."""
    found: dict[str, Facts] = {}
    for id_, point in config.points.items():
        device = config.devices.get(point.device)
        profile = None if device is None else profile_of(config, device, files)
        if device is None or profile is None or point.channel not in profile.channels:
            continue
        channel = channel_of(config, point, files)
        interval_s = point.interval_s or device.interval_s or device.expect_every_s or 0.0
        found[id_] = Facts(channel.quantity, channel.unit, round(interval_s * 1e6))
    for id_, derived in config.derived.items():
        if all(point in found for point in derived.of):
            try:
                quantity, unit = measures(derived, tuple((found[p].quantity, found[p].unit) for p in derived.of))
            except ValueError:
                continue
            found[id_] = Facts(quantity, unit, found[derived.of[0]].interval_us)
    return found


def check_derived(config: GatewayConfig, files: Mapping[str, Profile], locate: Any) -> Iterator[ConfigError]:
    """All faults of [derived.X]. Zones and renamings are checked with the other points'."""
    known = facts(config, files)
    above: set[str] = set(config.points)
    for id_, derived in config.derived.items():
        at: KeyPath = ("derived", id_)
        if id_ in config.points:
            why = f"'{id_}' is a measured point already"
            yield locate(at, why, code="duplicate", hint="a point's id is unique: choose another")
        yield from _inputs(config, derived, at, above, locate)
        fewest, most = needs(derived)
        if not fewest <= len(derived.of) <= most:
            count = str(fewest) if fewest == most else f"{fewest} to {most}"
            why = f"a {derived.kind} is computed from {count} points, not {len(derived.of)}"
            yield locate((*at, "of"), why, code="not-permitted", hint='write of = ["…"]')
        elif all(point in known for point in derived.of):
            yield from _suiting(derived, at, known, locate)
        above.add(id_)


def _inputs(
    config: GatewayConfig, derived: DerivedConfig, at: KeyPath, above: set[str], locate: Any
) -> Iterable[ConfigError]:
    for index, point in enumerate(derived.of):
        where = (*at, "of", index)
        if point in derived.of[:index]:
            yield locate(where, f"point '{point}' stands twice", code="duplicate", hint="name it once")
        elif point in config.derived and point not in above:
            why = f"'{point}' is derived itself, and does not stand above"
            yield locate(where, why, code="not-permitted", hint="put its table above this one")
        elif point not in above:
            yield locate(where, f"no point '{point}'", code="no-such", hint=did_you_mean(point, above))


def _suiting(derived: DerivedConfig, at: KeyPath, known: Mapping[str, Facts], locate: Any) -> Iterable[ConfigError]:
    try:
        measures(derived, tuple((known[point].quantity, known[point].unit) for point in derived.of))
    except ValueError as error:
        yield locate((*at, "of"), str(error), code="not-permitted", hint="choose other points")
    if derived.max_age_s is None:
        for index, point in enumerate(derived.of):
            if not known[point].interval_us and (index or derived.kind == "degree-minutes"):
                why = f"key 'max_age_s' is missing: nobody knows how often point '{point}' is read"
                hint = "say how old its newest reading may be, or give its device expect_every_s"
                yield locate((*at, "max_age_s"), why, code="missing-key", hint=hint)


def derived_points(config: GatewayConfig, files: Mapping[str, Profile]) -> dict[str, dict[str, Any]]:
    """Their entries in the resolved configuration's ``points``: like any point's, with the formula under ``derived``."""
    known = facts(config, files)
    found: dict[str, dict[str, Any]] = {}
    for id_, derived in config.derived.items():
        own = known[id_]
        found[id_] = {
            "device": "",
            "channel": derived.kind,
            "zone": derived.zone,
            "quantity": own.quantity,
            "unit": own.unit,
            "decimals": 2 if derived.decimals is None else derived.decimals,
            "name_zh": derived.name_zh or id_,
            "name_en": derived.name_en or id_,
            "derived": _formula(derived, known),
        } | ({"renamed_from": derived.renamed_from} if derived.renamed_from else {})
    return found


def _formula(derived: DerivedConfig, known: Mapping[str, Facts]) -> dict[str, Any]:
    about = derived.model_dump(exclude={"zone", "name_zh", "name_en", "decimals", "renamed_from", "max_age_s"})
    if derived.kind == "flume":
        about["level_unit"] = known[derived.of[0]].unit
    if derived.kind == "degree-minutes":
        about["reset_after_us"] = round(about.pop("reset_after_s") * 1e6)
    own_us = None if derived.max_age_s is None else round(derived.max_age_s * 1e6)
    ages = [FRESH_INTERVALS * known[point].interval_us if own_us is None else own_us for point in derived.of]
    return about | {"of": list(derived.of), "max_age_us": ages}


def derived_groups(config: GatewayConfig, groups: Mapping[str, Group]) -> dict[str, Group]:
    """One group a derived point: its readings stand in the slots of its first input's group."""
    of = {point: group for group in groups.values() for point in group.points}
    found: dict[str, Group] = {}
    for id_, derived in config.derived.items():
        trigger = of.get(derived.of[0])
        interval_us = 0 if trigger is None else trigger.interval_us
        group = Group(id=f"{id_}.{DEVICE}", device=DEVICE, points=(id_,), interval_us=interval_us)
        found[group.id] = of[id_] = group
    return found
