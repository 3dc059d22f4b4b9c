"""Line protocol: golden lines, hostile texts, and an independent parser as the judge."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from line_protocol_parser import parse_line

from edge_gateway.rules.base import BoundRule, rules_document
from edge_gateway.wire import line
from tests.sinks.influx_record import EPOCH, resolved

TIME_US = 1_772_690_607_000_123


def table(*points: str, rules: list[dict[str, Any]] | None = None) -> line.Table:
    return line.Table(resolved(points, rules or []))


def batch(values: list[Any], quality: list[str] | None = None) -> dict[str, Any]:
    body: dict[str, Any] = {"seq": 42, "kind": "batch", "values": values}
    return body | ({"quality": quality} if quality else {})


def test_reading_golden() -> None:
    lines = line.readings(
        table("a", "b", "c").prefixes("dev.1"),
        batch([-15.2, None, 3], ["good", "bad:no-answer", "uncertain:queued"]),
        EPOCH,
        TIME_US,
    )
    head = "reading,point={},quantity=temperature,site=tlf-007,zone=cold1 "
    tail = f'epoch="{EPOCH}",seq=42i {TIME_US}'
    assert lines == [
        head.format("a") + 'value=-15.2,quality="good",' + tail,
        head.format("b") + 'quality="bad:no-answer",' + tail,
        head.format("c") + 'value=3.0,quality="uncertain:queued",' + tail,
    ]


def test_all_good_golden_and_integers_become_floats() -> None:
    assert line.readings(table("a", "b").prefixes("dev.1"), batch([1, -0.0]), EPOCH, TIME_US) == [
        f'reading,point=a,quantity=temperature,site=tlf-007,zone=cold1 value=1.0,quality="good",epoch="{EPOCH}",seq=42i {TIME_US}',
        f'reading,point=b,quantity=temperature,site=tlf-007,zone=cold1 value=-0.0,quality="good",epoch="{EPOCH}",seq=42i {TIME_US}',
    ]


def test_untrusted_and_repeat_are_tags_in_order() -> None:
    (prefix,) = table("a").prefixes("dev.1", untrusted=True, repeat=2)
    assert prefix == "reading,clock=untrusted,point=a,quantity=temperature,repeat=2,site=tlf-007,zone=cold1 "


@pytest.mark.parametrize("value", [2**53 + 1, "18446744073709551615", "-9223372036854775808"])
def test_integers_beyond_a_double_keep_their_exact_text(value: Any) -> None:
    (text,) = line.readings(table("a").prefixes("dev.1"), batch([value], ["good"]), EPOCH, TIME_US)
    fields = parse_line(text)["fields"]
    assert fields["value"] == float(int(value))
    assert fields["exact"] == str(value)


def test_a_string_value_without_quality_takes_the_slow_path() -> None:
    (text,) = line.readings(table("a").prefixes("dev.1"), batch(["18446744073709551615"]), EPOCH, TIME_US)
    assert 'value=1.8446744073709552e+19,exact="18446744073709551615",quality="good"' in text


def test_columns_that_do_not_fit_are_an_error() -> None:
    prefixes = table("a", "b").prefixes("dev.1")
    with pytest.raises(ValueError, match="1 values for 2 points"):
        line.readings(prefixes, batch([1.0]), EPOCH, TIME_US)
    with pytest.raises(ValueError, match="2 values for 2 points"):
        line.readings(prefixes, batch([1.0, None], ["good"]), EPOCH, TIME_US)


@pytest.mark.parametrize(
    "broken", [{}, {"site": {"id": "x"}}, {"site": {"id": "x"}, "points": {}, "groups": {"g": {"points": ["p"]}}}]
)
def test_what_is_no_configuration_is_an_error(broken: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not a resolved configuration"):
        line.Table(broken)


def test_limits_golden_and_the_ended_ones() -> None:
    frozen = BoundRule(
        id="frozen", pack="cold-chain", pack_version="1.0.0", edition="", kind="limit", point="a", unit="Cel", high="-18",
        clear_high="-18.5", violation_after_us=1_800_000_000, limit="≤ -18 Cel", severity="major", standard="GB X",
        basis_edition="2024", clause="6.3",
    )  # fmt: skip
    (document,) = rules_document([frozen])
    before = table("a", rules=[document | {"id": "old"}, {"id": "bare", "points": ["a"]}])
    now = table("a", rules=[document])
    assert line.limits(now, before, EPOCH, 7, TIME_US) == [
        (
            "limit,point=a,rule=frozen,site=tlf-007 high=-18.0,clear_high=-18.5,after_s=0.0,notice_after_s=0.0,violation_after_s=1800.0,"
            'clear_after_s=0.0,pack="cold-chain 1.0.0",kind="limit",unit="Cel",limit="≤ -18 Cel",severity="major",'
            f'basis="GB X (2024), clause 6.3",verified="no",in_force=true,epoch="{EPOCH}",seq=7i {TIME_US}'
        ),
        f'limit,point=a,rule=old,site=tlf-007 in_force=false,epoch="{EPOCH}",seq=7i {TIME_US}',
        f'limit,point=a,rule=bare,site=tlf-007 in_force=false,epoch="{EPOCH}",seq=7i {TIME_US}',
    ]
    for text in line.limits(before, None, EPOCH, 7, TIME_US):
        assert parse_line(text)["fields"]["in_force"] is True


def entry(kind: str, **body: Any) -> dict[str, Any]:
    return {
        "v": 1,
        "seq": 9,
        "kind": kind,
        "rule_us": 1,
        "wall_us": 2,
        "mono_us": 3,
        "boot": "b0",
        "trusted": True,
        **body,
    }


def test_violation_golden() -> None:
    (text,) = line.event(
        entry(
            "violation", violation="tlf-007-3", rule="frozen", point="a", step="violated", condition="active", handling="new",
            first={"rule_us": 5, "wall_us": 6, "value": -12}, peak=-11.5, minutes=3, limit="≤ -18 °C", severity="major",
            basis='GB 14881 "6.3"', verified="no",
        ),
        "tlf-007", EPOCH, TIME_US, extra={},
    )  # fmt: skip
    assert text == (
        "event,kind=violation,point=a,rule=frozen,severity=major,site=tlf-007,step=violated "
        'id="tlf-007-3",condition="active",handling="new",limit="≤ -18 °C",basis="GB 14881 \\"6.3\\"",verified="no",'
        f'peak=-11.5,minutes=3.0,first_rule_us=5i,first_us=6i,first_value=-12.0,epoch="{EPOCH}",seq=9i {TIME_US}'
    )


def test_other_entries_golden() -> None:
    tail = f',epoch="{EPOCH}",seq=9i {TIME_US}'
    gap = entry("gap", gap="dev.1/1", state="open", groups=["dev.1"], reason="backed-off", since_slot_us=5)
    assert line.event(gap, "s", EPOCH, TIME_US, extra={}) == [
        f'event,kind=gap,site=s,state=open gap="dev.1/1",reason="backed-off",since_slot_us=5i,groups="dev.1"{tail}'
    ]
    assert line.event(entry("correction", offset_us=5, step_us=-1), "s", EPOCH, TIME_US, extra={}) == [
        f"event,kind=correction,site=s offset_us=5i,step_us=-1i{tail}"
    ]
    assert line.event(
        entry("event", event="clock-stepped", step_us=7), "s", EPOCH, TIME_US, extra={"clock": "untrusted"}
    ) == [
        f'event,clock=untrusted,kind=clock-stepped,site=s detail="{{\\"step_us\\":7}}"{tail}',
        f'gateway,clock=untrusted,site=s trusted=true,boot="b0",event="clock-stepped",step_us=7.0{tail}',
    ]
    assert line.event(entry("snapshot", state={"gaps": {"x": 1}, "violations": {}}), "s", EPOCH, TIME_US, extra={}) == [
        f'gateway,site=s trusted=true,boot="b0",gaps=1.0,violations=0.0{tail}'
    ]
    assert line.event(entry("tick"), "s", EPOCH, TIME_US, extra={}) == []
    assert line.event(entry("from-the-future"), "s", EPOCH, TIME_US, extra={}) == []


# The parser refuses subnormals; influxd is asked about those in tests/sinks/test_influxdb_v1.py.
@given(st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False))
def test_every_float_survives_an_independent_parser(value: float) -> None:
    (text,) = line.readings(table("a").prefixes("dev.1"), batch([value]), EPOCH, TIME_US)
    parsed = parse_line(text)
    assert math.copysign(1, parsed["fields"]["value"]) == math.copysign(1, value)
    assert parsed["fields"]["value"] == value
    assert parsed["time"] == TIME_US
    assert parsed["tags"] == {"point": "a", "quantity": "temperature", "site": "tlf-007", "zone": "cold1"}


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_text_stays_one_field_of_one_line(text: str) -> None:
    written = "event,kind=x note=" + line.text_field(text) + ",seq=1i 5"
    parsed = parse_line(written)
    assert set(parsed["fields"]) == {"note", "seq"}
    assert "\n" not in written
    assert parsed["fields"]["note"] == "".join(" " if ord(c) < 32 or ord(c) == 127 else c for c in text)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_any_text_stays_one_tag_and_the_series_is_found_again(text: str) -> None:
    name = line.key("event", {"kind": text, "site": "s"})
    written = name + " a=1i 5"
    parsed = parse_line(written)
    assert set(parsed["tags"]) == {"kind", "site"}
    assert parsed["tags"]["kind"] == "".join("_" if ord(c) < 32 or ord(c) == 127 or c == "\\" else c for c in text)
    assert line.series(written) == name


def test_empty_tags_are_left_out() -> None:
    assert line.key("event", {"kind": "x", "point": "", "site": "s"}) == "event,kind=x,site=s"


def test_steps_of_persons_commands_marks_and_phases() -> None:
    common = {"seq": 7, "wall_us": TIME_US, "trusted": True, "boot": "0" * 12}
    returned = common | {
        "kind": "violation", "violation": "tlf-007-1", "rule": "r", "point": "p", "step": "returned", "severity": "major", "condition": "recovered",
        "handling": "correcting", "by": "李华", "proof": "hub", "reason": "no photo", "before": "submitted", "returns": 1, "episode": 1,
        "due": {"correct": 5, "verify": None}, "opened": {"epoch": EPOCH, "seq": 3}, "overdue": ["correct"], "command": "00ff",
    }  # fmt: skip
    command = common | {"kind": "command", "outcome": "refused", "verb": "return", "why": "stale", "said": "it is not", "id": "00ff", "by": "李华", "violation": "tlf-007-1"}
    mark = common | {"kind": "mark", "mark": "M-1", "step": "started", "type": "defrost", "by": "li", "reason": "ice", "points": ["p"], "fired": 0, "until_wall_us": 9}
    phase = common | {"kind": "phase", "phase": "production", "step": "began", "by": "li", "reason": "time", "open": []}
    found = common | {"kind": "calibration", "step": "as-found", "point": "p", "mark": "M-1", "reading": 0.3, "reference": 0.0, "error": 0.3, "within": True, "by": "li", "reason": "annual"}
    off = common | {"kind": "calibration", "step": "corrected", "point": "p", "points": ["p"], "from_wall_us": None, "until_wall_us": 9, "offset": -0.3, "by": "li", "reason": "annual"}
    texts = [text for entry in (returned, command, mark, phase, found, off) for text in line.event(entry, "tlf-007", EPOCH, TIME_US, extra={})]
    parsed = [parse_line(text) for text in texts]
    assert [each["tags"] for each in parsed] == [
        {"kind": "violation", "site": "tlf-007", "rule": "r", "point": "p", "step": "returned", "severity": "major"},
        {"kind": "command", "site": "tlf-007", "verb": "return", "outcome": "refused"},
        {"kind": "mark", "site": "tlf-007", "step": "started", "type": "defrost"},
        {"kind": "phase", "site": "tlf-007", "step": "began", "phase": "production"},
        {"kind": "calibration", "site": "tlf-007", "step": "as-found", "point": "p"},
        {"kind": "calibration", "site": "tlf-007", "step": "corrected", "point": "p"},
    ]  # fmt: skip
    assert {key: parsed[4]["fields"][key] for key in ("reading", "reference", "error", "within", "mark")} == {"reading": 0.3, "reference": 0.0, "error": 0.3, "within": True, "mark": "M-1"}
    assert (parsed[5]["fields"]["offset"], parsed[5]["fields"]["until_wall_us"], "from_wall_us" in parsed[5]["fields"]) == (-0.3, 9, False)
    first = parsed[0]["fields"]
    wanted = {"by": "李华", "proof": "hub", "reason": "no photo", "before": "submitted", "returns": 1.0, "due_correct_us": 5, "opened": f"{EPOCH}/3", "command": "00ff"}
    assert {key: first[key] for key in wanted} == wanted
    assert "due_verify_us" not in first
    assert (parsed[1]["fields"]["why"], parsed[2]["fields"]["points"], parsed[3]["fields"]["by"]) == ("stale", '["p"]', "li")


def test_a_field_has_one_type_in_every_kind_of_event() -> None:
    """A server refuses a field that changes its type: what two kinds call alike must be alike."""
    texts = ("by", "reason", "detail", "why", "to", "points", "before", "deadline", "command", "violation")
    common = {"seq": 7, "wall_us": TIME_US, "trusted": True, "boot": "0" * 12}
    entries = [common | {"kind": kind} | dict.fromkeys(texts, "x") for kind in ("violation", "command", "mark", "phase", "calibration", "gap", "skipped", "event")]
    types: dict[str, set[type]] = {}
    for entry in entries:
        for text in line.event(entry, "s", EPOCH, TIME_US, extra={}):
            for name, value in parse_line(text)["fields"].items():
                types.setdefault(name, set()).add(type(value))
    assert {name: found for name, found in types.items() if len(found) > 1} == {}
