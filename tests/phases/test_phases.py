"""Phases: the items of a day, who may sign what, when work goes on, and which rules a phase disarms."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import pytest

from edge_gateway.phases import (
    BEYOND,
    DONE,
    EXAMPLE,
    OPEN,
    ORDER,
    UNKNOWN,
    Finding,
    Item,
    PhaseRefused,
    Phases,
    Signer,
    items_of,
)
from edge_gateway.rules.base import BoundRule

ITEMS = (
    Item(id="auto", phase="pre-start", name_zh="水", name_en="water", rules=("r",)),
    Item(id="hand", phase="pre-start", name_zh="手", name_en="hands"),
    Item(id="clean", phase="closing", name_zh="洁", name_en="cleaned"),
)
LI, WANG = Signer(name="li", proven=False, reason="looked"), Signer(name="wang", proven=True, reason="looked too")


def look(phases: Phases, state: str = DONE) -> list[dict[str, Any]]:
    return phases.look(ITEMS, {"auto": Finding(state=state, evidence=[{"rule": "r", "state": state}])})


def began(*signed: str) -> Phases:
    phases = Phases()
    phases.next([], Signer(name="li", proven=False, reason=""), 1)
    for item in signed:
        phases.sign(look(phases), item, LI, 2)
    return phases


def test_the_example_has_seven_three_and_four() -> None:
    assert Counter(item.phase for item in EXAMPLE) == {"pre-start": 7, "production": 3, "closing": 4}
    assert items_of({}) == EXAMPLE
    assert items_of({"a": {"phase": "closing", "name_zh": "", "rules": ["x"]}}) == (Item(id="a", phase="closing", name_zh="a", name_en="a", rules=("x",)),)


def test_a_day_in_order() -> None:
    phases = began("hand")
    assert [(each["item"], each["state"]) for each in look(phases)] == [("auto", DONE), ("hand", DONE)]
    body = phases.next(look(phases), Signer(name="li", proven=False, reason=""), 5)
    assert (body["step"], body["before"], body["phase"], body["open"]) == ("began", "pre-start", "production", [])
    assert body["items"]["auto"]["evidence"] == [{"rule": "r", "state": DONE}]
    assert body["items"]["hand"]["signed"]["by"] == "li"
    assert phases.signed == {}
    assert phases.next(look(phases), LI, 6)["phase"] == "closing"
    with pytest.raises(PhaseRefused, match="cannot be closed: clean"):
        phases.next(look(phases), Signer(name="li", proven=True, reason="in a hurry"), 7)
    phases.sign(look(phases), "clean", LI, 8)
    assert phases.next(look(phases), LI, 9)["phase"] == "closed"
    assert phases.following() == "pre-start"


def test_starting_with_something_open_needs_a_reason() -> None:
    phases = began()
    with pytest.raises(PhaseRefused, match="open: hand: going on needs a reason"):
        phases.next(look(phases), Signer(name="li", proven=True, reason="  "), 2)
    assert phases.phase == "pre-start"
    assert phases.next(look(phases), LI, 2)["open"] == ["hand"]


@pytest.mark.parametrize(
    ("item", "state", "who", "why"),
    [
        ("nothing", DONE, LI, "no item"),
        ("clean", DONE, LI, "no item"),  # of another phase
        ("auto", DONE, LI, "in order already"),
        ("auto", BEYOND, WANG, "not in order"),
        ("auto", UNKNOWN, LI, "second person"),
        ("auto", UNKNOWN, Signer(name="li", proven=True, reason="me again"), "second person"),
        ("auto", UNKNOWN, Signer(name="wang", proven=True, reason="", photos=({"sha256": "x"},)), "second person"),
        ("hand", DONE, Signer(name="li", proven=True, reason=""), "reason is missing"),
        ("hand", DONE, Signer(name="li", proven=True, reason="x" * 301), "at most 300"),
    ],
)
def test_what_nobody_may_sign(item: str, state: str, who: Signer, why: str) -> None:
    phases = began()
    with pytest.raises(PhaseRefused, match=why):
        phases.sign(look(phases, state), item, who, 3)
    assert phases.signed == {}


def test_what_is_unknown_a_second_person_signs_and_a_photo_will_do_by_hand() -> None:
    phases = began()
    body = phases.sign(look(phases, UNKNOWN), "auto", WANG, 3)
    assert (body["by"], body["proven"], body["reason"]) == ("wang", True, "looked too")
    assert [each["state"] for each in look(phases, UNKNOWN)] == [DONE, OPEN]
    assert [each["state"] for each in look(phases, BEYOND)] == [BEYOND, OPEN], "what rules say since counts more"
    photo = {"sha256": "ab", "bytes": 3}
    assert phases.sign(look(phases), "hand", Signer(name="li", proven=False, reason="", photos=(photo,)), 4)["photos"] == [photo]


def test_a_phase_disarms_only_what_a_pack_lists_and_no_store_or_wastewater() -> None:
    def bound(id_: str, point: str, *armed_in: str) -> BoundRule:
        return BoundRule(id=id_, pack="t", pack_version="1", edition="1", kind="limit", point=point, armed_in=armed_in)

    rules = [bound("a", "hall", "production"), bound("b", "hall"), bound("c", "store", "production"), bound("d", "outlet", "production"), bound("e", "hall", "closed")]
    stages = {"hall": "washing", "store": "storage", "outlet": "wastewater"}
    phases = Phases()
    assert phases.refs(rules, stages) == {}, "nobody began a phase"
    found = {}
    for phase in ORDER:
        phases.next([], LI, 1)
        found[phase] = {rule for rule, _ in phases.refs(rules, stages)}
    assert found == {"pre-start": {"a", "e"}, "production": {"e"}, "closing": {"a", "e"}, "closed": {"a"}}


@pytest.mark.parametrize("seed", range(40))
def test_entries_and_snapshots_give_the_same_phase(seed: int) -> None:
    rng = random.Random(seed)
    phases, again = Phases(), Phases()
    for wall_us in range(60):
        seen = look(phases, rng.choice([DONE, UNKNOWN, BEYOND]))
        try:
            who = rng.choice([LI, WANG])
            body = phases.next(seen, who, wall_us) if rng.random() < 0.4 else phases.sign(seen, rng.choice(["auto", "hand", "clean"]), who, wall_us)
        except PhaseRefused:
            continue
        again.replay(body | {"wall_us": wall_us})
        if rng.random() < 0.3:
            state = json.loads(json.dumps(again.snapshot()))
            again = Phases()
            again.restore(state)
        assert again.snapshot() == phases.snapshot()


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("second", ["li", "LI ", "Zhang"])
def test_who_began_the_phase_is_no_second_person_by_any_of_their_names(second: str, restarted: bool) -> None:
    """As for violations: what was typed, and the OS user at the keyboard."""
    phases = Phases()
    body = phases.next([], Signer(name="Zhang", proven=False, reason="", user="li"), 1)
    assert body["user"] == "li"
    if restarted:
        state, phases = phases.snapshot(), Phases()
        phases.restore(json.loads(json.dumps(state)))
        replayed = Phases()
        replayed.replay(body | {"wall_us": 1})
        assert replayed.snapshot() == state
    with pytest.raises(PhaseRefused, match="second person"):
        phases.sign(look(phases, UNKNOWN), "auto", Signer(name=second, proven=True, reason="seen", user="li"), 3)
    made = phases.sign(look(phases, UNKNOWN), "auto", Signer(name="wang", proven=True, reason="seen", user="li"), 3)
    assert (made["by"], made["user"]) == ("wang", "li"), "a secret of their own proves it, whoever's session it is"
