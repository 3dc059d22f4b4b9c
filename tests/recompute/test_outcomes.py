"""Outcomes of rules judged again: an honest record is the same, through kills, power cuts and reloads; each planted difference is named."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.cli.main import NO, WARNINGS
from edge_gateway.cli.main import run as cli
from edge_gateway.journal.reading import Reading
from edge_gateway.recompute.core import Findings, Recompute
from edge_gateway.record.entry import canonical
from edge_gateway.rules.engine import Engine
from edge_gateway.rules.same import Same, is_outcome
from tests.recompute.judged_site import every_kind, write
from tests.rules.traces import course, through_json

Entries = list[tuple[str, dict[str, Any]]]
#: Records that are written and judged again; the long form is JUDGED=20.
SEEDS = range(2, 2 + int(os.environ.get("JUDGED", "1")))


@pytest.fixture(scope="module", params=SEEDS)
def state(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judged")
    asyncio.run(write(folder, request.param))
    return folder


@pytest.fixture(scope="module")
def record(state: Path) -> tuple[Entries, dict[str, bytes]]:
    reading = Reading(state)
    try:
        return list(reading.entries()), {each.name: each.read_bytes() for each in (state / "texts").iterdir()}
    finally:
        reading.close()


def again(entries: Entries, texts: dict[str, bytes]) -> Findings:
    recompute = Recompute(texts.__getitem__)
    for epoch, entry in entries:
        recompute.take(epoch, entry)
    recompute.end()
    return recompute.findings


def test_an_honest_record_is_the_same_one_for_one(record: tuple[Entries, dict[str, bytes]]) -> None:
    entries, texts = record
    found = again(entries, texts)
    assert found.first is None, found.first
    judged = found.judged
    assert judged.journaled.count == judged.derived.count == sum(judged.same.values()) > 400
    assert judged.journaled.hexdigest() == judged.derived.hexdigest()
    assert judged.same.keys() >= {"limit", "rate", "stale", "window", "combined"}
    assert not judged.undecided
    assert {entry.get("event") for _, entry in entries} >= {"stayed-undecided", "started"}
    assert any(is_outcome(entry) and entry.get("handling") == "merged" for _, entry in entries), "silences of one cause"


def test_minutes_are_never_fewer_than_none(record: tuple[Entries, dict[str, bytes]]) -> None:
    """Also of a silence that begins after a mark under which the point was silent before."""
    entries, _ = record
    assert {entry["kind"] for _, entry in entries} >= {"mark", "violation"}
    assert min(entry["minutes"] for _, entry in entries if is_outcome(entry) and "minutes" in entry) == 0.0


def test_any_part_from_a_segment_on_is_the_same(record: tuple[Entries, dict[str, bytes]]) -> None:
    entries, texts = record
    firsts = [at for at, (_, entry) in enumerate(entries) if entry["kind"] == "snapshot"]
    for first in firsts[1::3]:
        found = again(entries[first:], texts)
        assert found.first is None, found.first
        assert set(found.judged.undecided) <= {"depends-on-what-is-not-here"}


def steps(entries: Entries, holds: Callable[[dict[str, Any]], bool] = lambda _: True) -> Iterator[int]:
    return (at for at, (_, entry) in enumerate(entries) if at > 200 and is_outcome(entry) and entry["kind"] == "violation" and holds(entry))


def _changed(key: str, change: Callable[[Any], Any], step: str) -> Callable[[Entries], int]:
    def plant(entries: Entries) -> int:
        entry = entries[next(steps(entries, lambda e: e["step"] == step and e[key] is not None))][1]
        entry[key] = change(entry[key])
        return int(entry["seq"])

    return plant


def _first(entries: Entries) -> int:
    entry = entries[next(steps(entries))][1]
    entry["first"]["rule_us"] += 1
    return int(entry["seq"])


def _dropped(entries: Entries) -> int:
    at = next(at for at in steps(entries) if entries[at + 1][1]["kind"] == "batch" and not is_outcome(entries[at + 1][1]))
    del entries[at]
    return int(entries[at][1]["seq"])


def _added(entries: Entries) -> int:
    at = next(steps(entries))
    while is_outcome(entries[at][1]) or entries[at][1]["kind"] == "snapshot":
        at += 1
    more = copy.deepcopy(entries[next(steps(entries))])
    entries.insert(at, more)
    return int(more[1]["seq"])


def _last_dropped(entries: Entries) -> int:
    while not is_outcome(entries[-1][1]):
        del entries[-1]
    del entries[-1]
    return int(next(e["seq"] for _, e in reversed(entries) if e["kind"] in ("batch", "tick")))


def _reading(entries: Entries) -> int:
    """A reading made harmless, its outcome left: the outcome is named."""
    at = next(steps(entries, lambda e: e["step"] == "violated" and e["value"] is not None))
    while entries[at][1]["kind"] != "batch":
        at -= 1
    entries[at][1]["values"] = [None] * len(entries[at][1]["values"])
    entries[at][1]["quality"] = ["bad:no-answer"] * len(entries[at][1]["values"])
    return -1


def _memory(entries: Entries) -> int:
    for _, entry in entries[300:]:
        if entry["kind"] == "snapshot" and "state" in entry:
            for each in entry["state"]["rules"]["rules"].values():
                if each.get("phase"):
                    each["beyond_us"] -= 1
                    return int(entry["seq"])
    raise AssertionError("no snapshot holds a rule in an excursion")


#: what is planted
PLANTED: dict[str, Callable[[Entries], int]] = {
    "another step": _changed("step", lambda _: "notice", "violated"),
    "a peak": _changed("peak", lambda peak: peak - 0.1, "violated"),
    "a minute": _changed("minutes", lambda minutes: minutes + 0.1, "recovered"),
    "the first reading": _first,
    "another limit": _changed("limit", lambda _: "≤ 99 Cel", "violated"),
    "a severity": _changed("severity", lambda _: "none", "notice"),
    "another number": _changed("violation", lambda _: "tlf-007-9999", "notice"),
    "a rule time": _changed("at_rule_us", lambda us: us - 1, "violated"),
    "one dropped": _dropped,
    "the last one dropped": _last_dropped,
    "one added": _added,
    "a reading under it": _reading,
    "what a rule remembers in a snapshot": _memory,
}


@pytest.mark.parametrize("name", PLANTED)
def test_what_was_altered_is_named(record: tuple[Entries, dict[str, bytes]], name: str) -> None:
    entries, texts = copy.deepcopy(record)
    seq = PLANTED[name](entries)
    found = again(entries, texts)
    assert found.first is not None
    assert seq in (-1, found.first.seq), found.first


def test_a_batch_that_its_configuration_does_not_fit_is_a_finding(record: tuple[Entries, dict[str, bytes]]) -> None:
    entries, texts = copy.deepcopy(record)
    entry = next(entry for _, entry in entries[100:] if entry["kind"] == "batch" and entry["group"] == "ab.0")
    entry["values"].append(1.0)
    found = again(entries, texts)
    assert found.first is not None
    assert (found.first.seq, found.first.point, found.first.journaled, found.first.derived) == (entry["seq"], "ab.0", 3, 2)


def test_rules_of_a_newer_release_are_not_decided(record: tuple[Entries, dict[str, bytes]]) -> None:
    entries, texts = record
    newer = dict(texts)
    for name, text in texts.items():
        document = json.loads(text)
        if "groups" in document:
            for rule in document["rules"]:
                rule["semantics"] = 99 if rule["kind"] == "limit" else rule["semantics"]
            newer[name] = canonical(document)
    found = again(entries, newer)
    assert found.first is None, found.first
    assert found.judged.undecided.keys() == {"newer-semantics"}
    assert "limit" not in found.judged.same
    assert sum(found.judged.same.values()) > 50


def test_the_same_hash_knows_no_epoch_boot_or_wall_time_and_every_number_that_decides(record: tuple[Entries, dict[str, bytes]]) -> None:
    entries = [entry for _, entry in record[0] if is_outcome(entry)]

    def hashed(change: Callable[[dict[str, Any]], Any]) -> str:
        same = Same()
        for at, entry in enumerate(copy.deepcopy(entries)):
            if at == len(entries) // 2 or change.__name__ == "elsewhere":
                change(entry)
            same.add(entry, entry["rule_us"])
        return same.hexdigest()

    def elsewhere(entry: dict[str, Any]) -> None:
        entry |= {"seq": 1, "boot": "x", "wall_us": 0, "mono_us": 0}
        if "violation" in entry:
            entry["violation"] = "other-" + entry["violation"].rpartition("-")[2]
            entry["first"]["wall_us"] = 0

    plain = hashed(lambda _: None)
    assert hashed(elsewhere) == plain
    for key in ("rule", "point", "at_rule_us"):
        assert hashed(lambda entry, key=key: entry.update({key: 1})) != plain  # type: ignore[misc]
    some = next(entry for entry in entries[len(entries) // 2 :] if entry["kind"] == "violation")
    for key in ("violation", "step", "peak", "minutes"):
        before, some[key] = some[key], 77
        assert hashed(lambda _: None) != plain, key
        some[key] = before


@pytest.mark.parametrize("seed", range(40))
def test_a_state_that_waited_for_its_rules_is_the_same(seed: int) -> None:
    """A start takes the snapshot over before it knows the rules: an instant that is still to be judged keeps its time."""
    rng = random.Random(seed)
    made = every_kind(rng)
    calls, _ = course(rng, Engine(made))
    straight, waited = Engine(made), Engine(made)
    for call in calls:
        wanted = call.make(straight)
        known = through_json(waited, []).snapshot()
        waited = Engine(made)
        waited.restore(json.loads(json.dumps(known)))
        assert call.make(waited) == wanted


def test_the_command_prints_the_hash_and_names_the_first_difference(state: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from tests.recompute.test_recompute import rewritten

    assert cli(["journal", "recompute", str(state), "--json"]) == WARNINGS, "its configurations tell of rules, not of registers"
    outcomes = json.loads(capsys.readouterr().out)["outcomes"]
    assert outcomes["sha256"]["journaled"] == outcomes["sha256"]["derived"]
    assert cli(["journal", "recompute", str(state), "--lang", "zh"]) == WARNINGS
    assert f"规则结果的散列 {outcomes['sha256']['journaled']}" in capsys.readouterr().out

    def lessened(entry: dict[str, Any]) -> bool:
        if entry["kind"] != "batch":
            return False
        entry["values"].append(1.0)
        return True

    rewritten(state, tmp_path / "forged", lessened)
    assert cli(["journal", "recompute", str(tmp_path / "forged")]) == NO
    assert "DIFFERS, first at" in capsys.readouterr().out


def test_tighter_numbers_give_another_hash(record: tuple[Entries, dict[str, bytes]]) -> None:
    """The hash follows the rules: judged by tighter ones the record is another."""
    entries, texts = record
    other = dict(texts)
    for name, text in texts.items():
        document = json.loads(text)
        if "groups" in document:
            document["rules"] = [rule | ({"high": "1"} if rule["kind"] == "limit" and "high" in rule else {}) for rule in document["rules"]]
            other[name] = canonical(document)
    found = again(entries, other)
    assert found.first is not None
    assert found.judged.journaled.hexdigest() != found.judged.derived.hexdigest()


def test_a_rule_is_journaled_with_its_version(record: tuple[Entries, dict[str, bytes]], request: pytest.FixtureRequest) -> None:
    (rules, *_) = [json.loads(text)["rules"] for text in record[1].values() if b'"groups"' in text]
    bound = {(rule.id, rule.point): rule.semantics for rule in every_kind(random.Random(request.node.callspec.params["state"]))}
    assert len(set(bound.values())) > 1
    assert {rule["semantics"] for rule in rules} > {1}
    assert {(rule["id"], point): rule["semantics"] for rule in rules for point in rule["points"]}.items() <= bound.items()
