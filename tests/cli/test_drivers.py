"""`drivers list|show|test|new` as a person meets them: shipped profiles, planted faults, and files that are never overwritten."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from edge_gateway.cli.drivers_show import columns
from edge_gateway.cli.main import run
from edge_gateway.profiles.load import available, load

DRIVERS = Path(__file__).resolve().parents[2] / "drivers"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose drivers/ come first; the language is English unless asked otherwise."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG", "EDGE_GATEWAY_LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EDGE_GATEWAY_CONFIG", str(tmp_path / "gateway.toml"))
    return tmp_path


def copy(site: Path, id_: str, old: str = "", new: str = "", *, cases: bool = False) -> None:
    """A shipped profile beside the configuration, changed."""
    folder = site / "drivers" / id_.partition("/")[0]
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in (".toml", ".cases.toml"):
        shutil.copy(DRIVERS / f"{id_}{suffix}", folder)
    file = folder / f"{id_.partition('/')[2]}{'.cases' if cases else ''}.toml"
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


# --- test ---------------------------------------------------------------------------------------------------------


def test_all_shipped_profiles_pass(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["drivers", "test", "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["profiles"] == len(available())
    assert told["faults"] == 0
    assert told["with_captured"] >= 8
    assert [each["id"] for each in told["results"]] == list(available())
    others = [id_ for id_ in available() if not hasattr(load(id_).profile, "modbus")]
    assert len(others) >= 7


@pytest.mark.parametrize(
    ("old", "new", "cases", "said"),
    [
        ("register = 1\n", "register = 2\n", False, "temperature is 85.1, expected 3.7"),
        ("register = 1\n", "register = 7\n", False, "has no bytes for function 4, address 7"),
        ('scale = "0.1"', 'scale = "0.01"', False, "temperature is 0.37, expected 3.7"),
        ("sentinels = [0x7FFF, 0x8000]", "sentinels = []", False, "temperature is 'bad:range', expected 'bad:sentinel'"),
        ("temperature = 3.7", "temperature = 3.8", True, "temperature is 3.7, expected 3.8"),
        ('type = "int16"', 'type = "int17"', False, 'must be one of'),
        ('id = "generic/xy-md02"', 'id = "generic/other"', False, "its place says 'generic/xy-md02'"),
        ('kind = "constructed"', 'kind = "guessed"', True, "kind"),
        ("[channels.humidity]", "[channels.wetness]", False, "humidity"),
    ],
)
def test_a_planted_fault_is_found_and_said(
    site: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, cases: bool, said: str
) -> None:
    copy(site, "generic/xy-md02", old, new, cases=cases)
    assert run(["drivers", "test", "generic/xy-md02"]) == 1
    out = capsys.readouterr().out
    assert "FAULT" in out
    assert said in out
    assert ": 0 faults" not in out.splitlines()[-1]


def test_a_profile_without_cases_or_a_channel_without_one_is_a_fault(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy(site, "zw/rcl101")
    (site / "drivers/zw/rcl101.cases.toml").unlink()
    assert run(["drivers", "test", "zw/rcl101", "--lang", "zh"]) == 1
    assert "rcl101.toml" in capsys.readouterr().out
    copy(site, "zw/rcl101", "[channels.free-chlorine]", '[channels.other]\nfunction = 3\nregister = 9\nquantity = "state"\nunit = "1"\n[channels.free-chlorine]')
    assert run(["drivers", "test", "zw/rcl101"]) == 1
    assert "no case for other" in capsys.readouterr().out


def test_junit(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy(site, "generic/xy-md02", "temperature = 3.7", "temperature = 3.8", cases=True)
    assert run(["drivers", "test", "generic/xy-md02", "tasmota/ds18b20", "--format", "junit"]) == 1
    root = ET.fromstring(capsys.readouterr().out)
    suites = {suite.get("name"): suite for suite in root}
    assert {name: suite.get("failures") for name, suite in suites.items()} == {"generic/xy-md02": "1", "tasmota/ds18b20": "0"}
    failures = [test.get("name") for test in suites["generic/xy-md02"] if test.find("failure") is not None]
    assert failures == ["a chilled room"]
    assert int(suites["tasmota/ds18b20"].get("tests", "0")) == len(list(suites["tasmota/ds18b20"]))


def test_an_unknown_profile(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["drivers", "test", "generic/xymd02"]) == 1
    assert "did you mean 'generic/xy-md02'?" in capsys.readouterr().err


# --- list, show ---------------------------------------------------------------------------------------------------


def test_list(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy(site, "zw/rcl101", 'type = "float32"', 'type = "float33"')
    assert run(["drivers", "list"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(available())
    assert any("FAULTY" in line and line.startswith("zw/rcl101") for line in lines)
    assert run(["drivers", "list", "--json"]) == 1
    rows = {row["id"]: row for row in json.loads(capsys.readouterr().out)["profiles"]}
    assert rows["zw/rcl101"]["faults"]
    assert rows["ruuvi/df5"]["by"] == "MQTT"
    assert rows["generic/xy-md02"]["channels"] == ["temperature", "humidity"]


def test_show_says_registers_scales_sources_and_doubts(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["drivers", "show", "generic/xy-md02"]) == 0
    english = capsys.readouterr().out
    for said in ("FC04 1 (30002)", "int16", "× 0.1", "0x7FFF 0x8000", "-40…125", "9600-8N1, unit 1", "unverified", "never with a real device"):
        assert said in english
    assert run(["drivers", "show", "ruuvi/df5", "--lang", "zh"]) == 0
    chinese = capsys.readouterr().out
    for said in ("byte 13 bits 5-15", "× 0.005", "温度", "从未用真实设备试过", "ts (unix-s)"):
        assert said in chinese


def test_every_profile_can_be_shown_in_both_languages(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for id_ in available():
        for lang in ("en", "zh"):
            assert run(["drivers", "show", id_, "--lang", lang]) == 0
            out = capsys.readouterr().out
            assert all(name in out for name in load(id_).profile.channels)


def test_a_device_that_wants_a_write_says_why_in_the_readers_language(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy(site, "zw/rcl101", "baud = 9600", 'baud = 9600\nneeds = "zero-quantity"\nneeds_zh = "先启动清洁刷"\nneeds_en = "its wiper is started so"')
    assert run(["drivers", "show", "zw/rcl101"]) == 0
    assert "REFUSED  measures only after a request for 0 registers, which Modbus does not have: its wiper is started so" in capsys.readouterr().out
    assert run(["drivers", "show", "zw/rcl101", "--lang", "zh"]) == 0
    assert "先启动清洁刷" in capsys.readouterr().out
    assert run(["drivers", "list"]) == 0
    assert "refused: ZW-RCl101" in capsys.readouterr().out


def test_columns_stand_below_each_other() -> None:
    assert list(columns([["温度", "x"], ["abc", "y"]])) == ["温度  x", "abc   y"]
    assert list(columns([])) == []


# --- new ----------------------------------------------------------------------------------------------------------


def test_new_from_registers_then_test(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["drivers", "new", "acme/th200", "--registers", "3:16:F8DA999AC1A9", "--registers", "4:0x10:0001"]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [str(site / "drivers/acme/th200.toml"), str(site / "drivers/acme/th200.cases.toml")]
    assert "drivers test acme/th200" in captured.err
    assert (site / "drivers/profile.schema.json").is_file()
    assert run(["drivers", "test", "acme/th200"]) == 0
    assert "1 cases (1 captured" in capsys.readouterr().out
    assert run(["drivers", "show", "acme/th200"]) == 0


def test_new_never_overwrites(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for there in ("th200.toml", "th200.cases.toml"):
        folder = site / there / "drivers"
        (folder / "acme").mkdir(parents=True)
        (folder / "acme" / there).write_text("mine")
        (folder / "profile.schema.json").write_text("mine")
        assert run(["drivers", "new", "acme/th200", "--payload", "5", "--folder", str(folder)]) == 1
        assert "exists and is left as it is" in capsys.readouterr().err
        assert sorted(file.name for file in (folder / "acme").iterdir()) == [there]
        assert (folder / "acme" / there).read_text() == "mine"
        assert run(["drivers", "new", "acme/other", "--payload", "5", "--folder", str(folder)]) == 0
        assert (folder / "profile.schema.json").read_text() == "mine"


@pytest.mark.parametrize(
    "document",
    [
        {"schema": "edge-gateway/read/1", "unit": 2, "function": 3, "register": 16, "count": 1, "data": "f8da", "registers": [63706]},
        {"id": 3, "key": "rtu:…", "found": {"kind": "rtu", "unit": 2, "blocks": [{"function": 3, "start": 16, "data": "F8DA"}]}},
        {"found": {"kind": "mqtt", "topic": "a/b", "payload": '{"t": 1.5}'}},
    ],
)
def test_new_from_what_read_and_the_inbox_say(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], document: dict[str, object]
) -> None:
    (site / "found.json").write_text(json.dumps(document))
    assert run(["drivers", "new", "acme/one", "--from", str(site / "found.json")]) == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(document).encode())))
    assert run(["drivers", "new", "acme/two", "--from", "-"]) == 0
    assert run(["drivers", "test", "acme/one", "acme/two"]) == 0
    assert "2 profiles, 2 cases (2 captured" in capsys.readouterr().out


def test_new_from_an_item_of_the_inbox(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unit = {"kind": "modbus", "unit": 7, "matches": [], "blocks": [{"function": 4, "start": 1, "count": 2, "data": "00d501c8"}]}
    items = [{"id": 1, "found": {"kind": "modbus", "unit": 9, "blocks": []}}, {"id": 3, "found": unit}]
    (site / "inbox.json").write_text(json.dumps({"schema": "edge-gateway/inbox/1", "items": items}))
    source = ["--from", str(site / "inbox.json")]
    assert run(["drivers", "new", "acme/one", *source]) == 1
    assert "2 items fit: say which with --item" in capsys.readouterr().err
    assert run(["drivers", "new", "acme/one", *source, "--item", "1"]) == 1
    assert "0 registers" in capsys.readouterr().err
    assert run(["drivers", "new", "acme/one", *source, "--item", "3"]) == 0
    text = (site / "drivers/acme/one.toml").read_text("utf-8")
    assert 'plausible by its size: type = "int16", scale = "0.1" = 21.3' in text
    assert run(["drivers", "test", "acme/one"]) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["acme/x"], 2, "give --registers, --payload or --from"),
        (["acme/x", "--payload", "5", "--registers", "3:0:0001"], 2, "give --registers, --payload or --from"),
        (["Acme/X", "--payload", "5"], 1, "is not permitted"),
        (["acme", "--payload", "5"], 1, "is not permitted"),
        (["../../x", "--payload", "5"], 1, "is not permitted"),
        (["acme/x", "--registers", "3"], 1, "is not FC:REG:HEX"),
        (["acme/x", "--registers", "6:0:0001"], 1, "no profile can be begun from that"),
        (["acme/x", "--payload", "offline"], 1, "neither a JSON object nor a number"),
        (["acme/x", "--from", "nowhere.json"], 1, "cannot be read"),
        (["acme/x", "--payload", "5", "--folder", "/proc/drivers"], 1, "cannot write"),
    ],
)
def test_what_cannot_be_begun(site: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str) -> None:
    assert run(["drivers", "new", *arguments]) == code
    assert said in capsys.readouterr().err
    assert not (site / "drivers").exists()
