"""Lots of a cause: those of all that it holds, each in its own zone and period."""

from __future__ import annotations

import random
from typing import Any

from edge_gateway.traceability.lots import of_cause
from edge_gateway.traceability.model import Lot, Stay

POINTS = {f"t{zone}": {"zone": f"z{zone}"} for zone in range(4)} | {"mains": {"zone": ""}}


def lot(name: str, *stays: tuple[str, int, int | None]) -> Lot:
    found = Lot(id=name, product="tripe", expires="", grams_in=1000, grams_left=1000, began_us=0, records=[])
    for zone, begin, end in stays:
        found.stays.append(Stay(zone, begin, begin))
        found.stays[-1].end_rule_us, found.stays[-1].end_us = end, end
    return found


def record(point: str, began: int, recovered: int | None = None) -> dict[str, Any]:
    over = {} if recovered is None else {"recovered_us": recovered}
    return {"point": point, "first": {"rule_us": began}, "condition": "active" if recovered is None else "recovered", **over}


def test_a_lot_of_a_held_ones_zone_is_the_causes_and_one_that_left_before_it_began_is_not() -> None:
    lots = {"A": lot("A", ("z1", 0, 50)), "B": lot("B", ("z1", 0, 500)), "C": lot("C", ("z2", 0, None)), "D": lot("D", ("z2", 250, None))}
    held = [record("t1", 100), record("t2", 90, 200)]
    assert of_cause(lots, record("mains", 80), held, POINTS) == ["B", "C"]
    assert of_cause(lots, record("mains", 80), [], POINTS) == []


def test_random_causes_have_the_lots_that_were_there_when_something_was_wrong() -> None:
    """500 sites, seed 6: looked at instant by instant."""
    chance = random.Random(6)
    for _ in range(500):
        lots = {}
        for number in range(6):
            begin = chance.randrange(40)
            end = chance.choice([None, begin + chance.randrange(40)])
            lots[f"L{number}"] = lot(f"L{number}", (f"z{chance.randrange(4)}", begin, end))
        records = []
        for _ in range(chance.randrange(1, 5)):
            began = chance.randrange(60)
            records.append(record(chance.choice(sorted(POINTS)), began, chance.choice([None, began + chance.randrange(30)])))
        wanted = set()
        for each in records:
            zone, until = POINTS[each["point"]]["zone"], each.get("recovered_us", 100)
            for name, one in lots.items():
                stay = one.stays[0]
                there = range(stay.begin_rule_us, 101 if stay.end_rule_us is None else stay.end_rule_us + 1)
                if zone and zone == stay.zone and any(each["first"]["rule_us"] <= now <= until for now in there):
                    wanted.add(name)
        assert of_cause(lots, records[0], records[1:], POINTS) == sorted(wanted)
