"""A record full of outcomes: rules of every kind over random readings, through the real intake, killed, cut off, reloaded, marked; seeded."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from edge_gateway.intake.loop import Intake
from edge_gateway.intake.state import Setup
from edge_gateway.marks import MarkRefused, Now
from edge_gateway.reading import Batch, Group
from edge_gateway.rules.base import BoundRule, rules_document
from edge_gateway.testing import FakeClock
from tests.intake.test_loop import flushed, running
from tests.rules.traces import S, reading, rules

PAIR = Group(id="ab.0", device="ab", points=("a", "b"), interval_us=10 * S)
ALONE = Group(id="c.0", device="c", points=("c",), interval_us=10 * S)
NUMBERS = (5.0, 11.0, 9.5, -1.0)


def every_kind(chance: random.Random) -> list[BoundRule]:
    """Rules of several draws at once, each draw's under ids of its own, and one over others."""
    made = [replace(rule, id=f"{rule.id}-{draw}") for draw in range(4) for rule in rules(chance)]
    plain = next(rule for rule in made if rule.kind == "limit" and not rule.others)
    both = f'[[false,["{plain.id}/{plain.point}"]],[true,["{made[-1].id}/{made[-1].point}"]]]'
    numbers = {"id": "both", "pack": "t", "pack_version": "1", "edition": "1", "kind": "combined", "point": "a"}
    return explained([*made, BoundRule(**numbers, violation_after_us=0, terms={"of": "any", "rules": both})])  # type: ignore[arg-type]


def explained(made: list[BoundRule]) -> list[BoundRule]:
    """Every third rule says of five others that they are its consequences: causes of causes, of every kind."""
    chance, ids = random.Random(len(made)), [rule.id for rule in made]

    def declared(rule: BoundRule) -> BoundRule:
        return replace(rule, consequences=tuple(sorted(chance.sample(ids, min(5, len(ids))))), consequences_over=chance.choice(["point", "device", "site"]))

    return [declared(rule) if at % 3 == 0 else rule for at, rule in enumerate(made)]


def setup(made: list[BoundRule]) -> Setup:
    groups = {each.id: {"device": each.device, "points": list(each.points), "interval_us": each.interval_us} for each in (PAIR, ALONE)}
    resolved = {"gateway": "tlf-007", "site": {"id": "tlf-007"}, "groups": groups, "rules": rules_document(made), "semantics": {"causes": 1}}
    resolved |= {"devices": {"ab": {"bus": "hall"}, "c": {"bus": "yard"}}, "points": {id_: {"device": "c" if id_ == "c" else "ab"} for id_ in "abc"}}
    return Setup(resolved=resolved, groups={PAIR.id: PAIR, ALONE.id: ALONE}, texts={}, rules=made, software="t")


async def write(folder: Path, seed: int = 1, runs: int = 4, rounds: int = 60) -> list[BoundRule]:
    """Runs that are killed or lose their power, with a clock nobody vouches for now and then, and other limits from the third on."""
    chance, clock = random.Random(seed), FakeClock()
    made = every_kind(chance)
    for number in range(runs):
        if number == 2:
            clock.boot, clock._mono_us = "b00200000000", 5_000_000
            made = [replace(rule, high="9.2", clear_high="9") if rule.kind == "limit" and rule.high else rule for rule in made[1:]]
        clock.trust = number != 1
        async with running(folder, clock, setup=setup(made), segment_entries=64, orderly=number % 2 == 1) as run:
            for at in range(rounds):
                clock.advance(chance.choice([1, 5, 10, 10, 20, 45]) * S)
                for group in (PAIR, ALONE):
                    if chance.random() < 0.9:
                        await run.intake.inbox.put(_batch(chance, clock, group))
                if at % 20 == 10:
                    await run.intake.command(partial(run.intake.apply, setup(made), by="t", reason="reload"))
                if at % 15 == 5:
                    scope = {"points": [chance.choice(["a", "b", "c"])]}
                    lasting = chance.choice([60, 200, 900]) * S
                    await run.intake.command(partial(_marked, run.intake, scope, lasting))
                await flushed(run)
                await run.intake.command(run.intake._tick)
            while run.journal.status().get("sealing"):
                await flushed(run)
        clock.advance(chance.choice([1, 30, 400]) * S)
    return made


async def _marked(intake: Intake, scope: dict[str, list[str]], lasting_us: int) -> None:
    """A mark, where its quota still allows one."""
    with suppress(MarkRefused):
        at, stamp = await intake.moment()
        body = intake.state.marks.start("calibration", scope, scope["points"], lasting_us, Now(rule_us=at.rule_us, wall_us=at.wall_us, by="t", reason="t"))
        await intake.add_mark(body, stamp)


def _batch(chance: random.Random, clock: FakeClock, group: Group) -> Batch:
    calm = NUMBERS[clock.mono_us() // (300 * S) % len(NUMBERS)]
    pairs = [reading(chance, calm, 0.1) for _ in group.points]
    values = [None if value is None or value != value else value for value, _ in pairs]
    words = ["bad:nan" if value != value else word for value, word in pairs]
    quality = None if all(word == "good" for word in words) else words
    return Batch(group=group, mono_us=clock.mono_us(), wall_us=clock.wall_us(), values=values, quality=quality, slot_us=clock.mono_us())
