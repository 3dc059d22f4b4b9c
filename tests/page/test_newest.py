"""The newest reading and the newest value of each point, whatever covers them."""

from __future__ import annotations

from typing import Any

from edge_gateway.page.newest import Newest, Reading
from edge_gateway.reading import BAD_MISSING, BAD_NO_ANSWER, Batch, Group

GROUP = Group(id="d.1", device="d", points=("air", "rh"), interval_us=10_000_000)
GROUPS = {"d.1": {"points": ["air", "rh"]}}


def batch(mono_us: int, values: list[Any], quality: list[str] | None = None, group: Group = GROUP) -> Batch:
    return Batch(group=group, mono_us=mono_us, wall_us=0, values=values, quality=quality)


def test_a_bad_reading_covers_the_value_and_the_value_stays_known() -> None:
    newest = Newest()
    newest.take({"d.1": batch(1, [-18.0, 60.0])})
    newest.take({"d.1": batch(2, [None, 61.0], [BAD_NO_ANSWER, "good"])})
    found = newest.of(GROUPS)
    assert found["air"] == (Reading(None, BAD_NO_ANSWER, 2), Reading(-18.0, "good", 1))
    assert found["rh"] == (Reading(61.0, "good", 2), Reading(61.0, "good", 2))
    newest.take({"d.1": batch(3, [-18.2, 62.0])})
    assert newest.of(GROUPS)["air"] == (Reading(-18.2, "good", 3),) * 2


def test_a_message_that_came_without_a_point_says_nothing_about_it() -> None:
    newest = Newest()
    newest.take({"d.1": batch(1, [-18.0, 60.0])})
    newest.take({"d.1": batch(2, [-18.5, None], ["good", BAD_MISSING])})
    found = newest.of(GROUPS)
    assert found["air"][0] == Reading(-18.5, "good", 2)
    assert found["rh"][0] == Reading(60.0, "good", 1)


def test_nothing_is_known_before_the_first_reading() -> None:
    assert Newest().of(GROUPS) == {"air": (None, None), "rh": (None, None)}


def test_a_reload_that_moves_a_point_keeps_its_newest_and_forgets_the_rest() -> None:
    newest = Newest()
    newest.take({"d.1": batch(5, [-18.0, 60.0])})
    moved = Group(id="e.1", device="e", points=("air",), interval_us=1)
    newest.take({"e.1": batch(7, [None], [BAD_NO_ANSWER], moved)})
    found = newest.of({"d.1": {"points": ["rh"]}, "e.1": {"points": ["air"]}})
    assert found["air"][0] == Reading(None, BAD_NO_ANSWER, 7)
    newest.of({"d.1": {"points": ["rh"]}})
    assert newest.of({"e.1": {"points": ["air"]}})["air"] == (None, None), (
        "a point that went is not remembered for ever"
    )
