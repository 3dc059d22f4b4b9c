"""The audit: every way to change something is listed and leaves its trace, every key shows, and what is left out is caught."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_gateway.config.resolve import _besides
from tests.faults import audit, rights


@pytest.mark.campaign
def test_every_route_verb_and_key_leaves_who_when_old_new_and_why(tmp_path: Path) -> None:
    found = audit.Found()
    entries = audit.gateway_side(tmp_path, found)
    assert found.sound, found
    assert found.recorded == len(audit.TELLS)
    for what, keys in audit.TELLS.items():
        for key in keys:
            spoiled = [{name: value for name, value in entry.items() if name != key} for entry in entries]
            assert audit.trace(spoiled, what), f"an entry without {key} is not noticed"
        assert audit.trace([], what)


def test_every_verb_and_key_of_the_hub_leaves_its_step(tmp_path: Path) -> None:
    found = audit.Found()
    steps = audit.hub_side(tmp_path, found)
    assert found.sound, found
    whys = {step["why"] for step in steps if step["what"] != "configuration"}
    assert whys == {"a new site", "read from its sticker", "a new board", "a new card"}


def test_every_hub_command_leaves_who_when_old_new_and_why(tmp_path: Path) -> None:
    found = audit.Found(recorded=1, keys=1)
    entries = audit.commands_side(tmp_path, found)
    assert (found.sound, found.ways) == (True, 4), found
    assert all(entry["old"] != entry["new"] for entry in entries if entry["verb"] in ("return", "verify"))


def test_a_way_that_nobody_listed_is_noticed_and_so_is_a_row_without_one() -> None:
    found = audit.Found(recorded=1, keys=1)
    audit.listed(audit.routes(), audit.ROUTES, found)
    assert found.sound, found
    audit.listed({*audit.routes(), "POST control /v1/wipe"}, audit.ROUTES, found)
    assert found.unlisted == ["POST control /v1/wipe"]
    audit.listed(audit.routes() - {"POST control /v1/reload"}, audit.ROUTES, found)
    assert found.gone == ["POST control /v1/reload"]


def test_every_key_of_the_sample_shows_in_the_record(tmp_path: Path) -> None:
    keys, silent = audit.untold(audit.sample(tmp_path))
    assert (keys > 100, silent, audit.hidden()) == (True, [], [])


_LEAF = st.one_of(st.booleans(), st.integers(-3, 3), st.text("ab", max_size=2), st.lists(st.integers(0, 2), max_size=2))
_TABLES = st.recursive(_LEAF, lambda below: st.dictionaries(st.sampled_from("abc"), below, max_size=3), max_leaves=12).filter(lambda it: isinstance(it, dict))


@given(_TABLES, _TABLES)
def test_whatever_tables_there_are_each_key_shows_in_its_place_or_among_the_settings(tables: dict[str, Any], told: dict[str, Any]) -> None:
    """The sample has not every table that there may be: this holds for those, too, as no table hides a key."""
    shown = dict(audit.leaves(told)), dict(audit.leaves(_besides(tables, told)))
    for path, value in audit.leaves(tables):
        assert any(path in where and where[path] == value for where in shown), path


def test_a_key_that_the_record_leaves_out_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without(*given: Any) -> dict[str, Any]:
        document = real(*given)
        del document["settings"]["clock"]["hold_s"]
        return document

    real = audit.resolved
    monkeypatch.setattr(audit, "resolved", without)
    assert audit.untold(audit.sample(tmp_path))[1] == ["clock.hold_s"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try what other users may do")
def test_nobody_else_reads_the_key_or_writes_the_journal() -> None:
    try:
        assert rights.differences() == {}
        assert "operator" in rights.differences(loose="folder"), "a folder open to all is noticed"
        assert "edge-gateway" in rights.differences(loose="key"), "a key open to all is noticed"
    except LookupError as why:
        pytest.skip(str(why))
