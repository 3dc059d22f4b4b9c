"""What an item, a signature and a phase hold, each from both sides: words, photos, names, and what an older snapshot lacks."""

from __future__ import annotations

from typing import Any

import pytest

from edge_gateway.phases import DONE, OPEN, UNKNOWN, Finding, Item, PhaseRefused, Phases, Signer, items_of

HAND = Item(id="hand", phase="pre-start", name_zh="手", name_en="hands")
AUTO = Item(id="auto", phase="pre-start", name_zh="水", name_en="water", rules=("r",))
PHOTO = {"sha256": "ab" * 32}


def signer(name: str = "li", proven: bool = False, reason: str = "seen", *photos: dict[str, Any]) -> Signer:
    return Signer(name=name, proven=proven, reason=reason, photos=photos)


def begun() -> Phases:
    phases = Phases()
    phases.next([], signer(reason=""), 1)
    return phases


def test_a_reason_is_three_hundred_characters_at_most() -> None:
    phases = begun()
    with pytest.raises(PhaseRefused, match="at most 300"):
        phases.sign(phases.look([HAND], {}), "hand", signer("li", False, "x" * 301), 2)
    with pytest.raises(PhaseRefused, match="at most 300"):
        phases.next([], signer("li", False, "x" * 301), 2)
    assert phases.sign(phases.look([HAND], {}), "hand", signer("li", False, "x" * 300), 2)["reason"] == "x" * 300
    assert phases.next([], signer("li", False, "x" * 300), 3)["phase"] == "production"


def test_a_reason_or_a_photo_and_the_entry_names_it() -> None:
    phases = begun()
    with pytest.raises(PhaseRefused, match="a reason is missing"):
        phases.sign(phases.look([HAND], {}), "hand", signer("li", False, " "), 2)
    body = phases.sign(phases.look([HAND], {}), "hand", signer("li", False, " ", PHOTO), 2)
    assert (body["photos"], body["proven"], "wall_us" in body) == ([PHOTO], False, False)
    assert "photos" not in begun().sign(begun().look([HAND], {}), "hand", signer(), 2)


def test_an_item_says_how_it_is_known() -> None:
    phases = begun()
    [hand, auto] = phases.look([HAND, AUTO], {})
    assert (hand["automatic"], hand["state"], hand["evidence"]) == (False, OPEN, [])
    assert (auto["automatic"], auto["state"]) == (True, UNKNOWN)
    [_, auto] = phases.look([HAND, AUTO], {"auto": Finding(state=DONE, evidence=[{"rule": "r"}])})
    assert (auto["state"], auto["evidence"], auto["name_zh"], auto["name_en"]) == (DONE, [{"rule": "r"}], "水", "water")
    assert phases.look([Item(id="x", phase="closing", name_zh="", name_en="")], {}) == []


@pytest.mark.parametrize("name", ["li", " LI ", "Li"])
def test_the_one_who_began_the_phase_is_no_second_person_however_the_name_is_written(name: str) -> None:
    phases = begun()
    with pytest.raises(PhaseRefused, match="a second person"):
        phases.sign(phases.look([AUTO], {}), "auto", signer(name, True), 2)
    with pytest.raises(PhaseRefused, match="with a reason"):
        phases.sign(phases.look([AUTO], {}), "auto", signer("wang", True, " ", PHOTO), 2)
    assert phases.sign(phases.look([AUTO], {}), "auto", signer("wang", True), 2)["by"] == "wang"


def test_items_without_names_are_called_by_their_id() -> None:
    [one] = items_of({"a": {"phase": "production"}})
    assert (one.name_zh, one.name_en, one.rules) == ("a", "a", ())
    [two] = items_of({"a": {"phase": "production", "name_zh": "甲", "name_en": "A", "rules": ["r", "s"]}})
    assert (two.name_zh, two.name_en, two.rules) == ("甲", "A", ("r", "s"))


def test_an_empty_snapshot_is_a_gateway_that_never_began_a_phase() -> None:
    phases = begun()
    phases.restore({})
    assert (phases.phase, phases.since_wall_us, phases.by, phases.how, phases.left, phases.signed) == (None, 0, "", "", (), {})
    assert phases.snapshot() == Phases().snapshot()
    assert phases.following() == "pre-start"


def test_what_was_open_before_is_remembered_and_what_was_signed_is_not() -> None:
    phases = begun()
    phases.sign(phases.look([HAND], {}), "hand", signer(), 2)
    body = phases.next(phases.look([HAND, AUTO], {}), signer("wang", False, "water later"), 9)
    assert (body["open"], set(body["items"]), body["items"]["hand"]["state"]) == (["auto"], {"hand", "auto"}, DONE)
    assert (phases.left, phases.signed, phases.since_wall_us, phases.by) == (("auto",), {}, 9, "wang")
    again = Phases()
    again.restore(phases.snapshot())
    assert (again.left, again.snapshot()) == (("auto",), phases.snapshot())
