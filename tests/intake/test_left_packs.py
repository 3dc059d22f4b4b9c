"""A pack that was enforced stays so while it is out of the configuration: in the snapshot, in a replay, until a second person took it back."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from edge_gateway.intake.state import State

from .test_loop import RULE, setup_of

CONFIG: dict[str, Any] = {"config_seq": 1}
TAKEN_BACK = {"event": "pack-state-changed", "pack": RULE.pack, "old": "enforced", "new": "shadow", "by": "wang"}


def again(state: State, restart: bool) -> State:
    if not restart:
        return state
    fresh = State("tlf-007")
    fresh.restore({"state": json.loads(json.dumps(state.snapshot())), "config": CONFIG})
    fresh.use_rules(list(state.rules()))
    return fresh


@pytest.mark.parametrize("restart", [False, True])
def test_what_was_taken_out_comes_back_as_it_was(restart: bool) -> None:
    state = State("tlf-007")
    assert state.enforced() == set()
    for rules in ((RULE,), (), (replace(RULE, state="shadow"),)):
        state.apply(setup_of(rules), CONFIG)
        state = again(state, restart)
        assert state.enforced() == {RULE.pack}
    state.apply(setup_of((RULE,)), CONFIG)
    assert (state.enforced(), "left_packs" in state.snapshot()) == ({RULE.pack}, False)


def test_a_second_person_takes_it_back() -> None:
    state = State("tlf-007")
    state.apply(setup_of((RULE,)), CONFIG)
    state.apply(setup_of((replace(RULE, state="shadow"),)), CONFIG)
    state.hear(TAKEN_BACK)
    assert state.enforced() == set()
    state.apply(setup_of(()), CONFIG)
    assert state.enforced() == set()
