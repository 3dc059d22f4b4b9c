"""`rules check|test` as a person meets them: shipped packs, planted faults, a site with gaps."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from edge_gateway.cli.main import run
from tests.config.test_packs import SITE as PACKED

RULES = Path(__file__).resolve().parents[2] / "rules"
SITE = PACKED % '"cold-chain", "plant-rooms"' + '[rules.state]\nplant-rooms = "shadow"\n'


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG", "EDGE_GATEWAY_LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EDGE_GATEWAY_CONFIG", str(tmp_path / "gateway.toml"))
    monkeypatch.setenv("EDGE_GATEWAY_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "gateway.toml").write_text(SITE, encoding="utf-8")
    return tmp_path


def copied(site: Path, pack: str, old: str, new: str, *, cases: bool = False) -> None:
    """A shipped pack beside the configuration, changed."""
    (site / "rules").mkdir(exist_ok=True)
    for suffix in (".toml", ".cases.toml"):
        shutil.copy(RULES / f"{pack}{suffix}", site / "rules")
    file = site / "rules" / f"{pack}{'.cases' if cases else ''}.toml"
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_all_shipped_packs_pass_and_every_rule_is_covered(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rules", "test", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["faults"], told["covered"]) == (0, told["rules"])
    assert told["packs"] >= 7
    assert all(each["fires"] and each["quiet"] for pack in told["results"] for each in pack["coverage"].values())


@pytest.mark.parametrize(
    ("pack", "old", "new", "cases", "said"),
    [
        ("cold-chain", 'peak = "-12"', 'peak = "-17"', False, "defrost"),
        ("cold-chain", 'high = "-18"', 'high = "-17"', False, "bounds"),
        ("cold-chain", "violation_after_s = 900", "violation_after_s = 901", False, "0:16:00 violated"),
        ("offal-cooling", 'rise = "1"', 'rise = "3"', False, "rises by two degrees"),
        ("wastewater", '"0:02:00", "notice"', '"0:03:00", "notice"', True, "should be 0:03:00 notice"),
        ("cleaning-sequence", 'rule = "cleaning-cycle"', 'rule = "cleaning-cycles"', True, "no rule 'cleaning-cycles'"),
        ("plant-rooms", "high = ", "hihg = ", False, "hihg"),
    ],
)
def test_a_planted_fault_is_found_and_named(
    site: Path, capsys: pytest.CaptureFixture[str], pack: str, old: str, new: str, cases: bool, said: str
) -> None:
    copied(site, pack, old, new, cases=cases)
    assert run(["rules", "test", pack]) == 1
    assert said in capsys.readouterr().out
    assert run(["rules", "test", "instrument-health"]) == 0, "and nothing of it elsewhere"


def test_a_rule_without_a_case_that_fires_is_not_covered(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = RULES.joinpath("cleaning-sequence.cases.toml").read_text("utf-8")
    fires = cases.index("[[case]]", cases.index("[[case]]") + 1)
    copied(site, "cleaning-sequence", cases[fires : cases.index("[[case]]", fires + 1)], "", cases=True)
    assert run(["rules", "test", "cleaning-sequence", "--lang", "zh"]) == 1
    assert "没有触发规则 'cleaning-cycle' 的用例" in capsys.readouterr().out
    (site / "rules/cleaning-sequence.cases.toml").unlink()
    assert run(["rules", "test", "cleaning-sequence"]) == 1
    assert "a pack without cases is not tried" in capsys.readouterr().out


def test_junit_has_a_suite_a_pack_a_test_a_case_and_coverage(site: Path, tmp_path: Path) -> None:
    copied(site, "cold-chain", 'high = "-18"', 'high = "-17"')
    assert run(["rules", "test", "cold-chain", "plant-rooms", "--junit", str(tmp_path / "r.xml")]) == 1
    root = ET.parse(tmp_path / "r.xml").getroot()
    bad, good = root.findall("testsuite")
    assert (bad.get("name"), good.get("name"), good.get("failures")) == ("cold-chain", "plant-rooms", "0")
    assert int(bad.get("failures") or 0) == len(bad.findall("testcase/failure")) > 0
    assert good.find("testcase[@name='coverage of steriliser-water']") is not None


def test_no_such_pack(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rules", "test", "coldchain"]) != 0
    assert "did you mean 'cold-chain'" in capsys.readouterr().err


# --- check --------------------------------------------------------------------------------------------------------


def test_check_says_where_rules_judge_what_is_not_armed_and_what_is_not_monitored(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rules", "check"]) == 0
    english = capsys.readouterr().out
    (line,) = [line for line in english.splitlines() if " cutting-room-air " in line]
    assert all(word in line for word in ("air", "≤ 12 °C", "operator's value, unverified", "not armed: shadow (plant-rooms)"))
    assert "frozen-store-air  Frozen store too warm  (no point is in such a place)" in english
    assert run(["rules", "check", "--lang", "zh"]) == 0
    chinese = capsys.readouterr().out
    assert "frozen-store-air  冻库空气温度过高  (没有测点在这类位置)" in chinese
    assert "影子" in chinese
    assert run(["rules", "check", "--strict"]) == 3


def test_check_knows_the_edition_of_a_day(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = {}
    for day in ("2017-12-22", "2017-12-23"):
        assert run(["rules", "check", "--json", "--day", day]) == 0
        told = json.loads(capsys.readouterr().out)
        found[day] = next(rule["not_armed"] for rule in told["rules"] if rule["rule"] == "cutting-room-air")
    assert found == {"2017-12-22": "shadow (plant-rooms); edition (GB 12694-2016 from 2017-12-23)", "2017-12-23": "shadow (plant-rooms)"}
    assert run(["rules", "check", "--day", "tomorrow"]) == 2


def test_check_names_the_fault_of_a_pack_with_its_line(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copied(site, "plant-rooms", 'clear_at = "11.7"', 'clear_at = "13"')
    assert run(["rules", "check"]) == 1
    said = capsys.readouterr().err
    assert "plant-rooms.toml:" in said
    assert "outside the limit" in said
