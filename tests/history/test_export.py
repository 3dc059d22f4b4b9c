"""Exports: golden bytes, hostile cells, moments as people write them; and the verb over a real journal."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_gateway.cli.main import run
from edge_gateway.history.export import COLUMNS, Count, Format, cell, day_us, export, moment_us, times
from edge_gateway.history.record import Row
from edge_gateway.journal.retention import JournalSettings
from edge_gateway.journal.store import open_journal
from edge_gateway.record import entry
from tests.sinks.influx_record import EPOCH, START_US, Record, StillClock, resolved

SHANGHAI = ZoneInfo("Asia/Shanghai")


def row(value: object = -15.2, unit: str = "Cel", quality: str = "good", clock: str = "trusted") -> Row:
    return Row(START_US + 123, "cold1-air", value, unit, quality, EPOCH, 7, clock)


def made(rows: Iterable[Row], how: Format = "csv", empty: str = "", bom: bool = True) -> tuple[bytes, Count]:
    count = Count()
    return b"".join(export(rows, SHANGHAI, how, count, empty=empty, bom=bom)), count


def test_csv_golden() -> None:
    data, count = made([row(), row(None, quality="bad:no-answer"), row(3, clock="untrusted")])
    assert data.decode() == (
        "\ufefftime_local,utc_offset,time_utc,point,value,unit,quality,epoch,seq,clock,correction\r\n"
        f"2026-03-05 14:03:27.000123,+08:00,2026-03-05T06:03:27.000123Z,cold1-air,-15.2,Cel,good,{EPOCH},7,trusted,\r\n"
        f"2026-03-05 14:03:27.000123,+08:00,2026-03-05T06:03:27.000123Z,cold1-air,,Cel,bad:no-answer,{EPOCH},7,trusted,\r\n"
        f"2026-03-05 14:03:27.000123,+08:00,2026-03-05T06:03:27.000123Z,cold1-air,3,Cel,good,{EPOCH},7,untrusted,\r\n"
    )
    assert (count.rows, count.untrusted) == (3, 1)


def test_json_lines_golden() -> None:
    data, _ = made([row()], "jsonl")
    assert orjson.loads(data) == {
        "time_us": START_US + 123, "time_local": "2026-03-05 14:03:27.000123", "utc_offset": "+08:00",
        "time_utc": "2026-03-05T06:03:27.000123Z", "point": "cold1-air", "value": -15.2, "unit": "Cel", "quality": "good",
        "epoch": EPOCH, "seq": 7, "clock": "trusted",
    }  # fmt: skip
    assert data.endswith(b"}\n")


def test_a_correction_stands_beside_the_value_and_changes_it_not() -> None:
    data, count = made([replace(row(), correction=-0.6), row()])
    assert [line.split(",")[4:5] + line.split(",")[-1:] for line in data.decode().splitlines()[1:]] == [["-15.2", "-0.6"], ["-15.2", ""]]
    assert count.corrected == 1
    assert orjson.loads(made([replace(row(), correction=-0.6)], "jsonl")[0])["correction"] == -0.6


def test_an_empty_period_is_a_file_with_a_sentence() -> None:
    assert made([], empty="此时段没有读数")[0].decode().splitlines()[1] == "此时段没有读数"
    assert made([], "jsonl", empty="nothing")[0] == b""
    assert not made([], bom=False)[0].startswith(b"\xef\xbb\xbf")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-x", "@SUM(A1)", "\t=1", "\r=1", '=cmd|"/c calc"!A1', "＝1"])
def test_no_cell_is_a_formula(text: str) -> None:
    (parsed,) = next(csv.reader([cell(text)]))
    assert parsed == "'" + text
    assert made([row(unit=text)])[0]


def test_integers_beyond_a_double_stay_numbers() -> None:
    assert cell("-9223372036854775808") == "-9223372036854775808"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30))
def test_any_cell_is_read_back_by_a_csv_reader(text: str) -> None:
    data, _ = made([row(unit=text, quality=text)])
    head, line = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""))
    assert tuple(head) == COLUMNS
    assert line[5].removeprefix("'") == text.removeprefix("'")
    assert len(line) == len(COLUMNS)


def test_long_exports_come_in_pieces() -> None:
    pieces = list(export((row() for _ in range(5000)), SHANGHAI, "csv", Count()))
    assert len(pieces) > 5
    assert max(map(len, pieces)) < 80_000


def test_times_before_1970_and_with_summer_time() -> None:
    assert times(-1, ZoneInfo("UTC")) == ("1969-12-31 23:59:59.999999", "+00:00", "1969-12-31T23:59:59.999999Z")
    assert times(1_782_000_000_000_000, ZoneInfo("Europe/Berlin"))[1] == "+02:00"


@pytest.mark.parametrize(
    ("text", "wanted_us"),
    [
        ("2026-03-05", 1_772_640_000_000_000),
        ("2026-03-05T14:00", 1_772_690_400_000_000),
        ("2026-03-05T06:00Z", 1_772_690_400_000_000),
        ("2026-03-05T06:00+00:00", 1_772_690_400_000_000),
        ("24h", START_US - 86_400_000_000),
        ("7d", START_US - 7 * 86_400_000_000),
        ("30min", START_US - 1_800_000_000),
    ],
)
def test_moments(text: str, wanted_us: int) -> None:
    assert moment_us(text, SHANGHAI, START_US) == wanted_us


def test_days_and_mistakes() -> None:
    assert day_us("2026-03-05", SHANGHAI) == (1_772_640_000_000_000, 1_772_726_400_000_000)
    for wrong in ("yesterday", "5", "2026-13-01", ""):
        with pytest.raises(ValueError, match=r"is no (moment|date)"):
            moment_us(wrong, SHANGHAI, 0)
        with pytest.raises(ValueError, match="is no date"):
            day_us(wrong, SHANGHAI)


@pytest.fixture
async def state(tmp_path: Path) -> Path:
    """A state folder with ten readings of two points on 2026-03-05, 14:03 local time."""
    text = entry.canonical(resolved(["a", "b"]))
    record = Record()
    record.add("snapshot", config=None, state={})
    record.config_seq = record.add(
        "config", text=entry.text_hash(text), texts={}, software="0", by="", reason="", changes=[]
    )
    record.group = type(record.group)(id="dev.1", device="dev", points=("a", "b"))
    for number in range(10):
        record.tick(1_000_000)
        record.batch([float(number), -number])
    folder = tmp_path / "state"
    journal = await open_journal(folder, settings=JournalSettings(max_bytes=1 << 30), clock=StillClock())
    await journal.append(record.entries, [text])
    await journal.close()
    return folder


def test_the_verb(state: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.csv"
    arguments = ["--state", str(state), "--lang", "en", "export"]
    assert run([*arguments, "--day", "2026-03-05", "--point", "a", "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\xef\xbb\xbftime_local")
    assert [line.split(",")[4] for line in out.read_text("utf-8-sig").splitlines()[1:]] == [f"{n}.0" for n in range(10)]
    assert "10 readings" in capfd.readouterr().err
    assert run([*arguments, "--out", str(out)]) == 2  # never overwritten
    assert run([*arguments, "--format", "jsonl", "--from", "2026-03-05T14:03:30", "--to", "2026-03-05T06:03:32Z"]) == 0
    told = capfd.readouterr()
    assert [orjson.loads(line)["value"] for line in told.out.splitlines()] == [2.0, -2, 3.0, -3]
    assert run([*arguments, "--point", "c"]) == 1
    assert "no such point in the record: c; there are: a, b" in capfd.readouterr().err
    assert run([*arguments, "--day", "2020-01-01"]) == 0
    assert "no readings in this period" in capfd.readouterr().out
    assert run([*arguments, "--from", "soon"]) == 2
    assert run(["--state", str(tmp_path / "none"), "export"]) == 1
