"""Rows and violations as markup: never a number without unit, limit, age and quality; in both languages; nothing breaks out."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_gateway.page.links import links
from edge_gateway.page.shown import moving, row, standing, violations
from edge_gateway.page.view import ORDER, Layout
from edge_gateway.reading import QUALITIES
from edge_gateway.rules.base import First
from edge_gateway.web import pages
from tests.page.site import MIN, NOW_US, S, reading, resolved, rows, rule, step, words


def markup(about: dict[str, Any], language: str = "en") -> str:
    said = words(language)
    return str(pages.fragments("gateway_parts.html").row(row(about, said), said.t))


def text(about: dict[str, Any], language: str = "en") -> str:
    plain = html.unescape(re.sub(r"<[^>]+>", " ", markup(about, language)))
    return re.sub(r"[\s ]+", " ", plain)


def about(value: float | None, age_s: float = 3.0, quality: str = "good", **more: Any) -> dict[str, Any]:
    found = reading(value, age_s, quality)
    last = more.pop("known", None)
    known = found if value is not None else last
    return rows(resolved(), {"air": (found, known)}, **more)["air"]


@settings(deadline=None)  # the first row reads the templates
@given(
    value=st.none() | st.floats(-300, 300).map(lambda number: round(number, 3)),
    age_s=st.floats(0, 1e6),
    quality=st.sampled_from(sorted(QUALITIES)),
    language=st.sampled_from(["zh", "en"]),
    handling=st.sampled_from(["", "pending", "notice", "violation"]),
)
def test_every_row_says_value_unit_limit_age_and_quality(
    value: float | None, age_s: float, quality: str, language: str, handling: str
) -> None:
    more: dict[str, Any] = {"violations": [step(level=handling)]} if handling in ("notice", "violation") else {}
    if handling == "pending":
        more["pending"] = [(rule(), First(rule_us=1, wall_us=NOW_US - S, value=0.0))]
    found = about(value, age_s, quality, known=reading(-17.8, age_s + 60), **more)
    said, shown = words(language), text(found, language)
    assert said.t[f"state.{found['state']}"] in shown
    assert "≤ −18 °C" in shown
    assert said.t["limit.unverified"] in shown
    number = said.number(-17.8 if value is None else value, 1)
    assert f"{number} °C" in shown
    assert "{" not in shown, "a place was not filled"
    if value is None:
        assert said.span("age", int((age_s + 60) * 1e6)) in shown, "the age is the shown value's"
    else:
        assert said.span("age", int(age_s * 1e6)) in shown
    old = value is None or age_s > 30
    if quality != "good" or not old:
        assert said.quality(quality) in shown
    assert (' old"' in markup(found, language) or " old " in markup(found, language)) is old, "stale is styled as stale"


def test_a_stale_value_is_no_value_within_limits() -> None:
    shown = text(about(-19.0, 90.0))
    assert "No data" in shown
    assert "stale" in shown
    assert "since 14:01" in shown


def test_an_unknown_condition_blames_the_probe_only_when_it_is_silent() -> None:
    under_a_mark = text(about(-20.2, 3.0, violations=[step(condition="unknown")]))
    assert "not judged just now, condition unknown" in under_a_mark
    assert "no data" not in under_a_mark
    silent = text(about(None, 3.0, "bad:no-answer", known=reading(-20.2, 60.0), violations=[step(condition="unknown")]), "zh")
    assert "探头无数据，状况不明" in silent
    assert "此时不判定" not in silent


def test_reasons_are_words() -> None:
    gaps = [{"reason": "backed-off", "groups": ["d.air"]}]
    found = about(None, 2.0, "bad:no-answer", known=reading(-17.8, 372.0), gaps=gaps)
    assert "设备无应答 · 连续无应答，放慢重试" in text(found, "zh")
    assert "上次的值，6 分钟前" in text(found, "zh")
    never = rows(resolved(), {})["air"]
    assert "启动以来尚无读数" in text(never, "zh")
    assert "no reading since the start" in text(never)


def test_names_cannot_break_out() -> None:
    evil = "<img src=x onerror=alert(1)>\"'&"
    found = rows(resolved(None, air={"name_en": evil, "name_zh": evil}), {"air": (reading(-19.0),) * 2})["air"]
    made = markup(found)
    assert "<img" not in made
    assert html.escape(evil, quote=False).split("&quot;")[0][:20] in made


def test_only_number_marker_and_time_move_while_a_row_stands() -> None:
    mute = words("zh", mute=True)
    one, other = row(about(-18.4, 3.0), mute), row(about(-18.9, 1.0), mute)
    assert standing(one) == standing(other)
    assert moving(one) != moving(other)
    assert moving(other)[0] == "−18.9"
    assert standing(row(about(-18.4, 90.0), mute)) != standing(one), "staleness is no movement"
    pending = [(rule(), First(rule_us=1, wall_us=NOW_US - S, value=0.0))]
    assert standing(row(about(-15.0, 3.0, pending=pending), mute)) != standing(one)


def violation(language: str = "en", **changes: Any) -> dict[str, Any]:
    layout = Layout.of(resolved())
    return violations([step(**changes)], layout.rules, layout.resolved["points"], words(language))[0]


def test_a_violation_says_what_since_when_how_bad_and_what_to_do() -> None:
    shown = violation("zh")
    assert shown["name"] == "冷库1 空气"
    assert shown["title"] == "冻库空气温度过高"
    assert shown["limit"] == "≤\N{NO-BREAK SPACE}−18\N{NO-BREAK SPACE}°C"
    assert shown["since"]["text"] == "12:41 起，已 82 分钟"
    assert "累计超限 81.5 分钟" in shown["facts"]
    assert any("−14.9" in fact for fact in shown["facts"])
    assert shown["do"] == ["关好库门"]
    assert shown["tag"] == words("zh").t["limit.unverified"]
    assert shown["by"] == ""
    acknowledged = violation("zh", handling="acknowledged", by="li", reason="门封破损，叫修")
    assert acknowledged["by"] == "li：门封破损，叫修"


def test_the_permits_basis_is_said_in_one_language() -> None:
    rule_ = {"standard": "排污许可证 discharge permit", "basis_edition": "2026-01-01", "clause": "91-65X"}
    assert words("zh").basis(rule_, "") == "排污许可证（2026-01-01）91-65X"
    assert words("en").basis(rule_, "") == "discharge permit (2026-01-01), clause 91-65X"


def test_what_is_open_is_counted_before_the_points() -> None:
    macros = pages.fragments("gateway_parts.html")
    for language, label in (("zh", "未关闭的违规"), ("en", "Open violations")):
        t = words(language).t
        assert f'<a href="#violations">{label}</a><b>3</b>' in str(macros.counts([("violation", 0), ("normal", 25)], t, 3))
        assert label not in str(macros.counts([("violation", 0), ("normal", 25)], t, 0))


def test_a_violation_says_who_how_well_known_until_when_and_what_is_overdue() -> None:
    log = [{"step": "submitted", "by": "li", "proof": "secret", "wall_us": 1, "reason": "seal replaced"}]
    due = {"verify": NOW_US + 60 * MIN}
    about: dict[str, Any] = {"handling": "submitted", "condition": "recovered", "by": "li", "reason": "seal replaced", "log": log, "due": due}
    shown = violation("en", **about, returns=2, withdrawal={"by": "wang", "reason": "x"}, follows={"violation": "tlf-007-0", "how": "closed"})
    assert shown["by"] == "li (proven): seal replaced"
    assert shown["deadlines"] == ["verify by 15:03"]
    assert shown["overdue"] == []
    assert {"returned 2 times", "wang asks for its withdrawal", "again, after tlf-007-0 was closed"} <= set(shown["facts"])
    assert shown["waits"] == "Submitted, and readings have recovered: it waits for verification"
    late = violation("zh", due={"acknowledge": NOW_US - 90 * MIN, "correct": NOW_US + 60 * MIN}, overdue=["acknowledge"])
    assert [each["text"] for each in late["overdue"]] == ["超期：12:33 前未知悉，已 90 分钟"]
    assert late["deadlines"] == ["整改期限 15:03"]
    assert violation("en", due={"acknowledge": None})["deadlines"] == [], "it begins once the clock is trusted"


def test_a_persons_finding_has_its_own_title_and_place() -> None:
    found = violation("en", rule="self-check", point="", title="cracked tile", scope={"zone": "cold1"}, limit="", basis="")
    assert (found["title"], found["name"], found["limit"]) == ("cracked tile", "cold1", "")


def test_what_is_overdue_stands_before_what_is_newer() -> None:
    layout = Layout.of(resolved())
    steps = [step(violation="new"), step(violation="late", first={"rule_us": 1, "wall_us": 1, "value": 0.0}, overdue=["correct"], due={"correct": 5})]
    found = violations(steps, layout.rules, layout.resolved["points"], words())
    assert [each["id"] for each in found] == ["late", "new"]


def test_open_violations_active_first_recovered_last_and_no_notices() -> None:
    layout = Layout.of(resolved())
    steps = [
        step(violation="over", condition="recovered"),
        step(violation="only", level="notice"),
        step(violation="dark", condition="unknown"),
        step(violation="new"),
    ]
    found = violations(steps, layout.rules, layout.resolved["points"], words())
    assert [each["id"] for each in found] == ["new", "dark", "over"]
    assert found[2]["over"]


def test_a_violation_of_a_rule_that_is_gone_keeps_its_limit() -> None:
    layout = Layout.of(resolved([]))
    shown = violations([step()], layout.rules, layout.resolved["points"], words("en"))[0]
    assert (shown["limit"], shown["title"]) == ("≤ −18 °C", "frozen-store-air")
    assert shown["basis"].startswith("GB/T 24616-2019")


STATUS: dict[str, Any] = {
    "clock": {"trusted": True, "trust": "kernel", "speed": 1.0},
    "buses": {"line1": {"kind": "rtu", "state": "up", "devices": {"a": {"state": "answers"}}}},
    "sinks": {
        "hub": {"state": "ok", "why": "", "backlog": 0, "rejected": 0, "skipped": 0, "last_ok_wall_us": NOW_US},
    },
    "journal": {
        "full": False, "size_bytes": 1e6, "max_bytes": 2e9, "bytes_per_day": 1e6, "autonomy_hours": 900.0,
        "committed_seq": 12345, "damaged": "", "troubled": "", "last_commit_us": NOW_US,
    },
    "config": {
        "sha256": "4e1f00aa99", "applied_wall_us": NOW_US, "rejected": "", "rejected_wall_us": 0, "pending_restart": [],
    },
    "version": "0.1.0",
    "started_wall_us": NOW_US - 60 * MIN,
}  # fmt: skip
KINDS = {"buses": {"line1": {"kind": "rtu"}}, "sinks": {"hub": {"kind": "hub"}}}


def items(language: str = "en", **changes: Any) -> dict[str, dict[str, Any]]:
    return {item["id"]: item for item in links(STATUS | changes, KINDS, words(language))}


def test_nothing_wants_a_person_while_all_is_well() -> None:
    assert not [item for item in items().values() if item["bad"]]
    assert "room for 37 d 12 h without the hub" in items()["journal"]["lines"]
    assert items("zh")["bus-line1"]["lines"] == ["1/1 台设备有数据"]


@pytest.mark.parametrize(
    ("id_", "changes", "word"),
    [
        ("clock", {"clock": {"trusted": False, "trust": "kernel"}}, "时钟不可信"),
        ("bus-line1", {"buses": {"line1": {"state": "down", "said": "no such port", "devices": {}}}}, "中断"),
        ("bus-line1", {"buses": {"line1": {"connected": False, "devices": {}, "last_error": "refused"}}}, "中断"),
        ("bus-line1", {"buses": {"line1": {"state": "up", "devices": {"a": {"state": "silent"}}}}}, "部分设备无应答"),
        ("sink-hub", {"sinks": {"hub": STATUS["sinks"]["hub"] | {"state": "unauthorised", "why": "401"}}}, "被拒绝（凭据），数据留存"),
        ("sink-hub", {"sinks": {"hub": STATUS["sinks"]["hub"] | {"state": "held", "why": "clock"}}}, "暂缓发送"),
        ("journal", {"journal": STATUS["journal"] | {"full": True}}, "记录已满"),
        ("journal", {"journal": STATUS["journal"] | {"troubled": "EIO"}}, "正常写入"),
        ("config", {"config": STATUS["config"] | {"rejected": "gateway.toml:3: no", "rejected_wall_us": NOW_US}}, "磁盘上的新配置被拒绝（14:03）"),
    ],
)  # fmt: skip
def test_what_wants_a_person_is_marked_and_worded(id_: str, changes: dict[str, Any], word: str) -> None:
    found = items("zh", **changes)
    assert found[id_]["bad"]
    assert word in found[id_]["word"]
    assert [item["id"] for item in found.values() if item["bad"]] == [id_]
    assert list(found) == list(items()), "places stay"


def test_an_alarm_stands_before_all_else_until_it_is_over() -> None:
    found = list(items("zh", alarms=[{"code": "conflict", "why": "the hub holds another entry 7"}]).values())
    assert (found[0]["label"], found[0]["word"], found[0]["bad"]) == ("告警", "conflict", True)
    assert found[0]["said"] == "the hub holds another entry 7"


def test_a_refused_configuration_says_why() -> None:
    refused = STATUS["config"] | {"rejected": "gateway.toml:3: site.id: unknown", "rejected_wall_us": NOW_US}
    found = items("en", config=refused)["config"]
    assert "REJECTED" in found["word"]
    assert found["said"] == "gateway.toml:3: site.id: unknown"


def test_states_have_badges_and_words() -> None:
    static = Path(pages.__file__).parent / "static"
    css = (static / "app.css").read_text() + (static / "gateway.css").read_text()
    for state in ORDER:
        assert f"state.{state}" in words().t
        assert f".badge.{state}" in css
