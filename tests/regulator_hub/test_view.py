"""What entries mean: order of epochs and lanes, texts that come late, corrections, and what cannot be interpreted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regulator_hub import rows
from regulator_hub.meaning import compile_text
from regulator_hub.view import MAX_ENDED, MAX_QUARANTINE, View
from tests.regulator_hub import record

A, B = "a" * 16, "b" * 16


def view(*, texts: dict[str, bytes] | None = None, order: Sequence[str] = (A, B)) -> View:
    known = {record.SHA: record.TEXT} if texts is None else texts
    made = View("tlf-007", known.get)
    made.order = {epoch: place for place, epoch in enumerate(order)}
    return made


def feed(to: View, epoch: str, entries: Sequence[bytes], first: int = 0, *, in_order: bool = True) -> None:
    for seq, entry in enumerate(entries, first):
        to.feed(epoch, seq, entry, in_order=in_order)


def value(of: View, point: str = "cold1-air") -> Any:
    return of.state["latest"][point]["value"]


def test_an_old_epochs_backlog_does_not_cover_a_newer_value() -> None:
    made = view()
    feed(made, B, [record.snapshot(0, 1), record.batch(1, -5.0)], in_order=False)
    feed(made, A, record.start(50))
    assert value(made) == -5.0
    assert not rows.points(made, record.now_us())[0]["in_order"]
    feed(made, B, [record.snapshot(0, 1), record.batch(1, -5.0)])
    assert rows.points(made, record.now_us())[0]["in_order"]


@given(st.permutations(range(8)))
def test_the_live_lane_may_come_in_any_order(order: list[int]) -> None:
    made = view()
    entries = [*record.start(6), record.violation(6, "violated"), record.violation(7, "recovered")]
    feed(made, A, entries[:2])
    for seq in order:
        made.feed(A, seq, entries[seq], in_order=False)
    assert value(made) == -25.0
    assert [v["condition"] for v in rows.violations(made, ended=False)] == ["recovered"]


def test_batches_wait_for_a_text_that_comes_late() -> None:
    texts: dict[str, bytes] = {}
    made = view(texts=texts)
    feed(made, A, [*record.start(5), record.violation(5, "violated")])
    assert made.state["latest"] == {}
    assert made.current() is None
    assert len(rows.violations(made, ended=False)) == 1  # what needs no text does not wait
    texts[record.SHA] = record.TEXT
    assert made.text_came(record.SHA) == {A: 2}
    assert made.state["cursors"][A] == 2
    feed(made, A, record.start(5)[2:], 2)
    assert value(made) == -24.0
    assert made.state["waiting"] == {}


def test_what_cannot_be_interpreted_is_quarantined_once_and_hides_nothing() -> None:
    made = view()
    bad = [
        b"no json", b"[]", b'{"seq":99,"kind":"batch"}', record.batch(5, 1.0, config_seq=77),
        record.entry(6, "batch", config_seq=1, group="none", values=[1]),
        record.entry(7, "batch", config_seq=1, group="cold1-th.1", values=[1, 2, 3]),
        record.entry(8, "violation", violation="x"), record.entry(9, "config", text=7),
        record.entry(10, "correction", boot="x", offset_us="much"),
    ]  # fmt: skip
    feed(made, A, record.start(2))
    feed(made, A, bad, 2)
    feed(made, A, [record.batch(11, -20.0)], 11)
    feed(made, A, bad, 2)
    assert made.state["quarantined"] == len(made.state["quarantine"]) == len(bad)
    assert value(made) == -20.0
    feed(made, A, [b"x"] * (MAX_QUARANTINE + 10), 100)
    assert len(made.state["quarantine"]) == MAX_QUARANTINE


def test_unknown_kinds_are_counted_and_bounded() -> None:
    made = view()
    feed(made, A, [record.entry(seq, f"kind-{seq}") for seq in range(150)])
    assert len(made.state["unknown"]) == 100
    assert made.state["quarantined"] == 0


def test_who_measures_is_listed_once_and_bounded() -> None:
    made = view()
    new = {"serial": "7" * 1000} | {f"k{n}": "" for n in range(100)}
    one = record.entry(1, "event", event="instrument-replaced", device="d", old={"serial": "6"}, new=new)
    feed(made, A, [record.snapshot(0), one], in_order=False)
    feed(made, A, [record.snapshot(0), one, record.entry(2, "event", event="started")])
    (noted,) = made.state["instruments"].values()
    assert (noted["device"], noted["old"]) == ("d", {"serial": "6"})
    assert (len(noted["new"]), len(noted["new"]["serial"])) == (24, 200)
    feed(made, A, [record.entry(seq, "event", event="instrument-identified", device="d") for seq in range(3, 500)], 3)
    assert len(made.state["instruments"]) == 200
    assert made.state["quarantined"] == 0


def test_a_text_that_is_no_configuration_costs_its_batches_only() -> None:
    made = view(texts={record.SHA: b"{}", "c" * 64: record.TEXT})
    feed(made, A, [*record.start(4), record.config(4, "c" * 64), record.batch(5, -20.0, config_seq=4)])
    assert made.state["quarantined"] == 2
    assert value(made) == -20.0


def test_a_rule_that_cannot_be_read_costs_no_value() -> None:
    resolved = json.loads(record.TEXT)
    resolved["rules"] += [{"id": "x"}, None, {"points": [["?"]], "kind": "limit"}]
    meaning = compile_text(json.dumps(resolved).encode())
    assert [limit["high"] for limit in meaning.limits["cold1-air"]] == ["-18"]
    with pytest.raises(ValueError, match="no resolved configuration"):
        compile_text(b'{"groups": []}')


def test_corrections_mend_times_of_an_untrusted_boot() -> None:
    made = view()
    wrong = record.entry(2, "batch", 5, config_seq=1, group="cold1-th.1", values=[-20.0, 50.0])
    content = json.loads(wrong) | {"trusted": False, "mono_us": 1000, "boot": "abc"}
    feed(made, A, [*record.start(2), json.dumps(content).encode()])
    assert made.state["latest"]["cold1-air"]["observed_us"] == 5
    feed(made, A, [record.entry(3, "correction", boot="abc", offset_us=2_000_000, step_us=1)], 3)
    assert made.state["latest"]["cold1-air"]["observed_us"] == 2_001_000
    later = content | {"seq": 4, "mono_us": 5000}
    feed(made, A, [json.dumps(later).encode()], 4)
    assert made.state["latest"]["cold1-air"]["observed_us"] == 2_005_000


def test_a_message_without_a_point_does_not_cover_its_value() -> None:
    made = view()
    own = {"topic": "t", "packet_id": 1, "payload": "{}", "time_us": 77}
    partial = record.batch(3, None, 61.0, quality=["bad:missing", "good"], message=own)
    feed(made, A, [*record.start(3), partial])
    assert value(made) == -22.0
    assert made.state["latest"]["cold1-rh"]["observed_us"] == 77


def test_the_life_of_a_violation() -> None:
    made = view()
    steps = [
        record.violation(2, "notice"), record.violation(3, "violated"),
        record.violation(4, "acknowledged", handling="acknowledged"),
        record.violation(5, "recovered", handling="acknowledged"),
    ]  # fmt: skip
    feed(made, A, [*record.start(2), *steps[:1]])
    assert rows.points(made, record.now_us())[0]["state"] == "notice"
    feed(made, A, steps[1:], 3)
    found = rows.violations(made, ended=False)[0]
    assert (found["violated"], found["condition"], found["handling"]) == (True, "recovered", "acknowledged")
    assert (found["name_zh"], found["title_en"], found["do_en"]) == (
        "冷库1 空气温度", "Frozen store temperature", ["Close the door"],
    )  # fmt: skip
    feed(made, A, [record.violation(6, "closed", handling="closed")], 6)
    assert rows.violations(made, ended=False) == []
    assert [v["handling"] for v in rows.violations(made, ended=True)] == ["closed"]
    for seq in range(7, 7 + MAX_ENDED + 50):
        feed(made, A, [record.violation(seq, "cancelled", name=f"v-{seq}")], seq)
    assert len(made.state["violations"]) == MAX_ENDED


def test_after_a_skipped_range_the_snapshot_tells_what_is_open() -> None:
    made = view()
    body = json.loads(record.violation(4000, "acknowledged", handling="acknowledged", level="violation"))
    feed(made, A, record.start(3))
    content = json.loads(record.snapshot(4096, 1)) | {"state": {"violations": [body]}}
    made.feed(A, 4096, json.dumps(content).encode(), in_order=True)
    assert [(v["violation"], v["violated"]) for v in rows.violations(made, ended=False)] == [("tlf-007-1", True)]


def test_a_kept_state_goes_on_where_it_was() -> None:
    made = view()
    entries = [*record.start(6), record.violation(6, "violated")]
    feed(made, A, entries)
    kept = json.loads(json.dumps(made.state))
    again = View("tlf-007", {record.SHA: record.TEXT}.get, kept)
    again.order = made.order
    now = record.now_us()
    assert rows.points(again, now) == rows.points(made, now)
    assert rows.violations(again, ended=True) == rows.violations(made, ended=True)


def test_stale_and_bad_are_no_data() -> None:
    made = view()
    feed(made, A, [*record.start(2), record.batch(2, None, 50.0, quality=["bad:no-answer", "good"])])
    now = record.now_us()
    states = {row["point"]: (row["state"], row["quality"]) for row in rows.points(made, now)}
    assert states == {"cold1-air": ("no-data", "bad:no-answer"), "cold1-rh": ("normal", "good")}
    assert {row["state"] for row in rows.points(made, now + 31_000_000)} == {"no-data"}


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)
_ENTRY_KEYS = st.sampled_from(
    ["wall_us", "mono_us", "boot", "trusted", "config_seq", "group", "values", "quality", "message", "text", "texts", "config",
     "configs", "state", "violation", "rule", "point", "step", "condition", "handling", "first", "limit", "offset_us", "level",
     "event", "device", "old", "new", "identity", "by", "reason", "due", "opened", "scope", "returns", "follows", "into", "episode",
     "outcome", "note_sha256", "mark", "type", "points", "after", "fired", "phase", "open", "offset", "error", "until_wall_us", "within"]
)  # fmt: skip


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])  # on a busy machine
@given(
    st.lists(st.tuples(st.sampled_from(["config", "snapshot", "batch", "violation", "correction", "event", "command", "mark", "phase", "calibration"]),
                       st.dictionaries(_ENTRY_KEYS, _ANY, max_size=4)), max_size=5),
    st.dictionaries(st.sampled_from(["groups", "points", "zones", "site", "rules"]), _ANY, max_size=2),
)  # fmt: skip
def test_no_content_breaks_page_api_or_keeping(changes: list[tuple[str, dict[str, Any]]], config: dict[str, Any]) -> None:
    """A gateway with a token may send anything: it is quarantined, never an error of the hub."""
    strange = orjson.dumps(json.loads(record.TEXT) | config)
    name = hashlib.sha256(strange).hexdigest()
    made = view(texts={record.SHA: record.TEXT, name: strange})
    good = {
        "config": record.config(1, name), "snapshot": record.snapshot(2, 1), "batch": record.batch(3, -20.0),
        "violation": record.violation(4, "violated"), "correction": record.entry(5, "correction", boot="0" * 12, offset_us=7),
        "command": record.entry(7, "command", outcome="refused", note_sha256="0" * 64, why="stale", old={"condition": "active"}),
        "mark": record.entry(8, "mark", mark="M-1", step="started", type="defrost", by="li", reason="x", points=["cold1-air"]),
        "phase": record.entry(9, "phase", phase="production", step="began", by="li"),
        "calibration": record.entry(9, "calibration", step="as-found", point="cold1-air", error=0.3, by="li"),
        "event": record.entry(6, "event", event="instrument-replaced", device="d", old={}, new={}, identity={}),
    }  # fmt: skip
    feed(made, A, [record.snapshot(0), good["config"]])
    for seq, (kind, changed) in enumerate(changes, 2):
        made.feed(A, seq, orjson.dumps(json.loads(good[kind]) | changed | {"seq": seq}), in_order=bool(seq % 2))
    made.feed(A, 9, record.batch(9, -20.0), in_order=True)
    again = View("tlf-007", lambda _: strange, orjson.loads(orjson.dumps(made.state)))
    again.order = made.order
    for of in (made, again):
        orjson.dumps([rows.points(of, record.now_us()), rows.violations(of, ended=True), rows.site(of), of.state])


def test_another_opening_under_an_open_id_is_a_second_row() -> None:
    """A gateway that lost its record gave a number twice: neither hides the other, whichever way their entries come."""
    first = [record.violation(5, "violated"), record.violation(6, "acknowledged", handling="acknowledged", opened={"epoch": A, "seq": 5})]
    second = [record.violation(7, "violated", point="cold2-air"), record.violation(8, "recovered", point="cold2-air", opened={"epoch": B, "seq": 7})]
    for live in (False, True):
        made = view()
        feed(made, A, first, 5)
        feed(made, B, second, 7, in_order=not live)
        feed(made, B, second, 7)  # a copy comes again
        found = {row["point"]: row for row in rows.violations(made, ended=False)}
        assert {point: (row["violation"], row["condition"], row["handling"]) for point, row in found.items()} == {
            "cold1-air": ("tlf-007-1", "active", "acknowledged"), "cold2-air": ("tlf-007-1", "recovered", "new"),
        }  # fmt: skip
        feed(made, B, [record.violation(9, "closed", point="cold2-air", handling="closed", opened={"epoch": B, "seq": 7})], 9)
        assert [row["point"] for row in rows.violations(made, ended=False)] == ["cold1-air"]
        feed(made, A, [record.violation(7, "closed", handling="closed", opened={"epoch": A, "seq": 5})], 7)
        assert rows.violations(made, ended=False) == []
    same_place = view()
    feed(same_place, A, first, 5)
    for kept in same_place.state["violations"].values():
        del kept["steps"]  # as an earlier release kept it
    assert [row["steps"] for row in rows.violations(same_place, ended=False)] == [[]]
    feed(same_place, B, [record.violation(7, "violated")], 7)  # of the same rule and point, and the first is known to have opened elsewhere
    assert len({row["row"] for row in rows.violations(same_place, ended=False)}) == 2


def test_a_violation_of_an_earlier_release_stays_one_row_though_its_point_is_renamed() -> None:
    made = view()
    feed(made, A, [record.violation(5, "notice"), record.violation(6, "violated"), record.violation(7, "recovered", point="renamed")], 5)
    (row,) = rows.violations(made, ended=False)
    assert (row["point"], row["condition"]) == ("renamed", "recovered")


def changed(seq: int, **said: Any) -> bytes:
    return record.entry(seq, "event", wall_us=1_000_000 + seq, event="pack-state-changed", **said)


def test_packs_by_edition_and_state_and_who_changed_it() -> None:
    rule = record.RULE | {"pack": "cold-chain", "pack_version": "1.1.0", "edition": "2026-11"}
    shadowed = rule | {"id": "other", "pack": "wastewater", "pack_version": "1.2.0", "state": "shadow"}
    idle = {"version": "1.0.0", "edition": "2026-11", "state": "enforced", "name_zh": "加工间", "name_en": "Plant rooms", "not_monitored": 5}
    resolved = record.RESOLVED | {"rules": [rule, rule | {"id": "third"}, shadowed, "no rule"], "packs": {"plant-rooms": idle, "odd": "no pack", "worse": {"not_monitored": "many"}}}
    meaning = compile_text(json.dumps(resolved).encode())
    assert meaning.packs == {
        "cold-chain": {"version": "1.1.0", "edition": "2026-11", "state": "enforced", "rules": 2, "not_monitored": 0},
        "plant-rooms": idle | {"rules": 0},
        "wastewater": {"version": "1.2.0", "edition": "2026-11", "state": "shadow", "rules": 1, "not_monitored": 0},
        "worse": {"version": "", "edition": "", "state": "", "rules": 0, "not_monitored": 0},
    }
    made = view()
    back = changed(8, pack="wastewater", old="enforced", new="shadow", by="wang", second="李敏", why="limits of the new permit")
    made.feed(B, 3, changed(3, pack="wastewater", old="shadow", new="enforced", by="wang", why="again"), in_order=False)
    for lane in (False, True):  # a live copy is the same change, and the older epoch's comes before the newer one's
        made.feed(A, 8, back, in_order=lane)
    made.feed(A, 9, record.entry(9, "event", wall_us=5, event="packs-kept-enforced", packs=["cold-chain", "wastewater"]), in_order=True)
    assert [(each["pack"], each.get("new"), each.get("second"), each["seq"]) for each in made.state["packs"]] == [
        ("wastewater", "shadow", "李敏", 8), ("cold-chain, wastewater", None, None, 9), ("wastewater", "enforced", None, 3),
    ]  # fmt: skip
    made.feed(A, 10, record.entry(10, "event", wall_us="now", event="pack-state-changed", pack="wastewater"), in_order=True)
    assert made.state["quarantined"] == 1
    for seq in range(11, 200):
        made.feed(A, seq, changed(seq, pack="p" * 1000, old="enforced", new="shadow", by="x", why="y" * 5000), in_order=True)
    assert len(made.state["packs"]) == 50
    assert max(len(str(each)) for each in made.state["packs"]) < 1000
