"""What people read in a pack: hours, violations with every reading around them, gaps; the same figures as the entries give."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path
from typing import Any

import orjson
import pytest

from edge_gateway.cli.main import run as cli
from edge_gateway.evidence import page, tables
from edge_gateway.record.entry import encode
from tests.evidence.record import Epoch, config, pack, snapshot, write
from tests.journal.entries import BEGAN_US, stamp

MINUTE = 60


def at(seq: int, second: int, kind: str, body: dict[str, Any]) -> bytes:
    """An entry at so many seconds after the beginning."""
    told = orjson.loads(encode(seq, kind, stamp(seq), body))
    for name in ("wall_us", "mono_us", "rule_us"):
        told[name] = (BEGAN_US if name == "wall_us" else 0) + second * 1_000_000
    return orjson.dumps(told)


def record() -> list[bytes]:
    """Three hours of one reading a minute, two points; a violation from minute 60 on, recovered at minute 70; a gap."""
    found: list[bytes] = []
    for minute in range(180):
        if len(found) % 8 == 0:
            found.append(at(len(found), minute * MINUTE, "snapshot", _snapshot(len(found))))
        if len(found) == 1:
            found.append(config(1))
        warm = 60 <= minute < 70
        body: dict[str, Any] = {"config_seq": 1, "group": "cold1-th.1", "values": [-10.0 if warm else -20.0, minute]}
        if minute == 30:
            body |= {"values": [None, 30], "quality": ["bad:no-answer", "good"]}
        found.append(at(len(found), minute * MINUTE, "batch", body))
        if minute in (60, 70) and len(found) % 8:
            step = "violated" if minute == 60 else "recovered"
            first = {"rule_us": 0, "wall_us": BEGAN_US + 60 * MINUTE * 1_000_000, "value": -10.0}
            told = {"violation": "tlf-007-1", "rule": "frozen", "point": "cold1-air", "step": step, "condition": "recovered" if minute == 70 else "active", "handling": "new", "first": first, "limit": "≤ -18 Cel", "peak": -10.0, "minutes": minute - 60, "reason": "=cmd|' /C calc'!A0"}  # fmt: skip
            found.append(at(len(found), minute * MINUTE, "violation", told))
        if minute == 100 and len(found) % 8:
            found.append(at(len(found), minute * MINUTE, "gap", {"gap": "g1", "state": "open", "groups": ["cold1-th.1"], "reason": "unreachable", "since_slot_us": 0}))
    return found


def _snapshot(seq: int) -> dict[str, Any]:
    told = orjson.loads(snapshot(seq))
    return {name: told[name] for name in ("config", "configs", "state")}


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    told = record()
    return write(tmp_path_factory.mktemp("tables") / "state", [Epoch("00000000000000e1", told, [(len(told), BEGAN_US // 1_000_000 + 4 * 3600)])])


def rows(data: bytes, name: str) -> list[list[str]]:
    with zipfile.ZipFile(io.BytesIO(data)) as zipped:
        return list(csv.reader(io.StringIO(zipped.read(name).decode("utf-8-sig"), newline="")))


def test_hours_are_those_of_the_entries(state: Path) -> None:
    data, _ = pack(state)
    head, *found = rows(data, "hours.csv")
    assert [each.split()[0] for each in head] == ["hour_local", "utc_offset", "point", "unit", "min", "mean", "max", "good", "taken", "valid"]
    air = [each for each in found if each[2] == "cold1-air"]
    by_hour: dict[int, list[float]] = {}
    for entry in map(orjson.loads, record()):
        if entry["kind"] == "batch" and entry["values"][0] is not None:
            by_hour.setdefault(entry["wall_us"] // 3_600_000_000, []).append(entry["values"][0])
    assert [(float(e[4]), float(e[5]), float(e[6]), int(e[7])) for e in air] == [
        (min(values), pytest.approx(sum(values) / len(values)), max(values), len(values)) for _, values in sorted(by_hour.items())
    ]
    assert sum(int(each[8]) - int(each[7]) for each in air) == 1, "one reading was bad: taken, not valid"


def test_every_reading_around_a_violation_is_there_and_no_formula_runs(state: Path) -> None:
    data, _ = pack(state)
    found = rows(data, "readings.csv")[1:]
    minutes = range(30, 100)
    assert [(each[0], each[3], float(each[4]) if each[4] else None) for each in found] == [
        ("tlf-007-1", "cold1-air", None if m == 30 else -10.0 if 60 <= m < 70 else -20.0) for m in minutes
    ]
    steps = rows(data, "violations.csv")[1:]
    assert [each[5] for each in steps] == ["violated", "recovered"]
    assert all(each[13].startswith("'=") for each in steps)
    for name, words in (("table.en.html", ("Violations", "cold1-air", "unreachable", "Witnessed through")), ("table.zh-CN.html", ("违规", "一号库", "见证至"))):
        with zipfile.ZipFile(io.BytesIO(data)) as zipped:
            text = zipped.read(name).decode()
        assert all(word in text for word in words)
        assert "<script" not in text


def test_by_points_the_tables_narrow_and_the_entries_do_not(state: Path, tmp_path: Path) -> None:
    whole, _ = pack(state)
    out = tmp_path / "some.zip"
    assert cli(["--state", str(state), "--config", str(tmp_path / "none.toml"), "journal", "export", "--point", "cold1-set", "--out", str(out)]) == 0
    assert {each[2] for each in rows(out.read_bytes(), "hours.csv")[1:]} == {"cold1-set"}
    with zipfile.ZipFile(out) as some, zipfile.ZipFile(io.BytesIO(whole)) as every:
        assert {n for n in some.namelist() if n.startswith("segments")} == {n for n in every.namelist() if n.startswith("segments")}


def test_a_violation_brings_its_own_time(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "violation.zip"
    base = ["--state", str(state), "--config", str(tmp_path / "none.toml"), "journal", "export", "--out", str(out), "--violation"]
    assert cli([*base, "tlf-007-1"]) == 0
    with zipfile.ZipFile(out) as zipped:
        manifest = orjson.loads(zipped.read("manifest.json"))
    begin, end = (BEGAN_US + minute * MINUTE * 1_000_000 for minute in (30, 100))
    assert manifest["claim"] == {"from_us": begin, "to_us": end, "points": ["cold1-air"], "violation": "tlf-007-1"}
    assert cli([*base, "tlf-007-2"]) == 1
    assert "no violation tlf-007-2" in capsys.readouterr().err
    assert cli([*base, "tlf-007-1"]) == 2
    assert "never overwritten" in capsys.readouterr().err


def test_the_table_speaks_the_readers_language_and_fits_a_phone(state: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(pack(state)[0])) as zipped:
        zh, en = (zipped.read(f"table.{language}.html").decode() for language in ("zh-CN", "en"))
    assert "<td>g1</td><td>开始</td><td>线路或服务器不可达</td><td>cold1-th.1</td>" in zh
    assert "<td>g1</td><td>open</td><td>unreachable</td><td>cold1-th.1</td>" in en
    assert zh.count('<div class="wide"><table>') == zh.count("<table") == en.count("<table") > 0
    assert ".wide{overflow-x:auto}" in zh
    step = {"step": "overdue", "condition": "active", "handling": "new"}
    assert page._said(step, page._Words("zh")) == ["超期", "未恢复", "未知悉"]


def test_without_a_witness_pack_and_table_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = record()[:40]
    state = write(tmp_path / "state", [Epoch("00000000000000e1", told, [(len(told), None)])])
    out = tmp_path / "alone.zip"
    assert cli(["--state", str(state), "--config", str(tmp_path / "none.toml"), "journal", "export", "--out", str(out)]) == 3
    assert "UNWITNESSED" in capsys.readouterr().err
    with zipfile.ZipFile(out) as zipped:
        assert orjson.loads(zipped.read("manifest.json"))["witnessed"] is None
        assert "UNWITNESSED" in zipped.read("table.en.html").decode()
        assert "未见证" in zipped.read("table.zh-CN.html").decode()


def test_what_tables_leave_out_is_said_in_both_languages_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    told = record()[:40]
    gap = {"gap": "g1", "state": "open", "groups": ["cold1-th.1"], "reason": "busy", "since_slot_us": 0}
    for seq, number in ((3, 1), (4, 2), (5, 3)):
        told[seq] = at(seq, seq * MINUTE, "record", {"record": f"tlf-007-R{number}", "type": "intake", "lot": f"A-{number}", "by": "zhang"})
    told[6], told[7] = at(6, 6 * MINUTE, "gap", gap), at(7, 7 * MINUTE, "gap", gap | {"state": "closed", "slots": 3})
    state = write(tmp_path / "state", [Epoch("00000000000000e1", told, [(len(told), None)])])

    def made(rows: int, shown: int) -> tuple[dict[str, str], str]:
        for module, name, value in ((tables, "MAX_READINGS", rows), (page, "MAX_READINGS", rows), (page, "MAX_ROWS", shown)):
            monkeypatch.setattr(module, name, value)
        out = tmp_path / f"{rows}-{shown}.zip"
        assert cli(["--state", str(state), "--config", str(tmp_path / "none.toml"), "journal", "export", "--out", str(out)]) == 3
        with zipfile.ZipFile(out) as zipped:
            return {name: zipped.read(name).decode() for name in zipped.namelist() if name.endswith((".html", ".csv", "manifest.json"))}, capsys.readouterr().err

    whole, said = made(3, 2)
    assert "The first 2 of 3 rows; all of them: records.csv." in whole["table.en.html"]
    assert "此处仅列前 2 行，共 3 行；全部见 records.csv。" in whole["table.zh-CN.html"]
    assert "gaps.csv." not in whole["table.en.html"]
    assert (len(whole["records.csv"].splitlines()), len(whole["gaps.csv"].splitlines())) == (4, 3)
    assert "left_out" not in whole["manifest.json"] + said
    cut, said = made(1, 10)
    assert orjson.loads(cut["manifest.json"])["left_out"] == {"records": 2, "gaps": 1}
    assert "records.csv ends after 1 rows: 2 more are only in the entries" in cut["table.en.html"]
    assert "gaps.csv 仅列 1 行：另有 1 行只在证据包的台账记录中" in cut["table.zh-CN.html"]
    assert "2 records are in the entries, and not in the tables" in said or "2 行（records）仅在台账记录中" in said
