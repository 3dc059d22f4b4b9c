"""Packs as files: the search path, and every mistake with file, line, key and a hint."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from edge_gateway.errors import ConfigError
from edge_gateway.rules import load
from edge_gateway.rules.load import available, load_pack, read_pack

PACK = """\
id = "mine"
version = "1.0.0"
edition = "2026-11"
name_zh = "我的"
name_en = "Mine"

[[rule]]
id = "r1"
kind = "limit"
select = { zone_kind = "frozen-store", quantity = "temperature" }
unit = "Cel"
high = "-18"
violation_after_s = 900
severity = "major"
department = "market-regulation"
title_zh = "题"
title_en = "Title"
do_zh = ["做"]
do_en = ["Do"]
[rule.basis]
standard = "GB 1"
clause = "unknown"
edition = "2019"
effective_from = 2019-01-01
verified = "no"
source = "from memory"
"""


def write(folder: Path, text: str = PACK, name: str = "mine") -> Path:
    file = folder / f"{name}.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_pack_is_read_with_its_text_and_hash(tmp_path: Path) -> None:
    file = write(tmp_path)
    loaded = load_pack("mine", [tmp_path])
    assert (loaded.pack.id, loaded.file, loaded.text) == ("mine", file, PACK)
    assert loaded.sha256 == hashlib.sha256(PACK.encode()).hexdigest()
    assert loaded.pack.rule[0].basis.effective_from == "2019-01-01"


def test_the_first_folder_wins_and_the_repository_is_last(tmp_path: Path) -> None:
    own = write(tmp_path, PACK.replace('id = "mine"', 'id = "cold-chain"'), "cold-chain")
    assert load_pack("cold-chain", [tmp_path]).file == own
    assert available([tmp_path])["cold-chain"] == own
    assert load_pack("cold-chain").file.parent.name == "rules"
    assert load.SEARCH_PATH[0] == Path("/etc/edge-gateway/rules")


def test_no_such_pack_tells_what_is_near() -> None:
    with pytest.raises(ConfigError, match=r"no rule pack 'cold-chian': did you mean 'cold-chain'\?") as caught:
        load_pack("cold-chian")
    assert caught.value.code == "no-pack"


@pytest.mark.parametrize(
    ("high", "text"), [("-18", "-18"), ("-18.0", "-18"), ('"-18.50"', "-18.5"), ("0.1", "0.1"), ("1e2", "100")]
)
def test_numbers_are_decimal_text_quoted_or_not(tmp_path: Path, high: str, text: str) -> None:
    write(tmp_path, PACK.replace('high = "-18"', f"high = {high}"))
    assert getattr(load_pack("mine", [tmp_path]).pack.rule[0], "high") == text  # noqa: B009 -- one of three kinds


MISTAKES: list[tuple[str, str, str, int, str]] = [
    ('unit = "Cel"', 'unit = "degC"', "unknown unit 'degC'", 11, "rule[0].unit"),
    ('high = "-18"', 'hihg = "-18"', "unknown key 'hihg': did you mean 'high'?", 12, "rule[0].hihg"),
    ('high = "-18"\n', "", "a limit needs low, high, or a permit", 7, "rule[0]"),
    ('high = "-18"', 'high = "minus 18"', "'minus 18' is no number", 12, "rule[0].high"),
    ('high = "-18"', 'high = "nan"', "'nan' is no number", 12, "rule[0].high"),
    ('high = "-18"', 'high = "-18"\nlow = "-10"', "low -10 is not below high -18", 13, "rule[0].low"),
    ('high = "-18"', 'high = "-18"\nclear_at = "-17"', "clear_at -17 is outside the limit -18", 13, "rule[0].clear_at"),
    ('high = "-18"', 'high = "-18"\nclear_at = ["-30", "-19"]', "one number for one limit", 13, "rule[0].clear_at"),
    ("violation_after_s = 900\n", "", "violation_after_s, or notices_only = true", 7, "rule[0]"),
    ("violation_after_s = 900", "violation_after_s = 900\nnotices_only = true", "one of the two", 13, "rule[0].violation_after_s"),
    (
        "violation_after_s = 900",
        "violation_after_s = 9\nnotice_after_s = 10",
        "is before notice_after_s 10",
        13,
        "rule[0].violation_after_s",
    ),
    ("violation_after_s = 900", "violation_after_s = -1", "must be at least 0", 13, "rule[0].violation_after_s"),
    ('kind = "limit"', 'kind = "limits"', "did you mean 'limit'?", 9, "rule[0].kind"),
    ('kind = "limit"\n', "", "key 'kind' is missing", 7, "rule[0]"),
    ('severity = "major"', 'severity = "huge"', "must be one of minor, major", 14, "rule[0].severity"),
    ('quantity = "temperature"', 'quantity = "temprature"', "unknown quantity 'temprature'", 10, "rule[0].select.quantity"),
    (
        'zone_kind = "frozen-store"',
        'zone_kind = "frozen-stor"',
        "did you mean 'frozen-store'?",
        10,
        "rule[0].select.zone_kind[0]",
    ),
    ('{ zone_kind = "frozen-store", quantity = "temperature" }', "{}", "would watch every point", 10, "rule[0].select"),
    ('verified = "no"', 'verified = "yes"', "must be one of primary, secondary, no", 25, "rule[0].basis.verified"),
    (
        "effective_from = 2019-01-01",
        'effective_from = "soon"',
        '"soon" is not permitted',
        24,
        "rule[0].basis.effective_from",
    ),
    ('source = "from memory"\n', "", "key 'source' is missing", 20, "rule[0].basis.source"),
    ('version = "1.0.0"', 'version = "1"', '"1" is not permitted', 2, "version"),
    ('do_en = ["Do"]', 'do_en = ["Do", "more"]', "must be the same steps", 18, "rule[0].do_zh"),
    ('id = "r1"', 'id = "R 1"', '"R 1" is not permitted', 8, "rule[0].id"),
    ('id = "mine"', 'id = "other"', "its name says 'mine'", 1, "id"),
    ('id = "r1"', 'id = "r1', "not TOML", 8, ""),
]


@pytest.mark.parametrize(("old", "new", "why", "line", "key"), MISTAKES, ids=[m[1][:40] or m[0][:40] for m in MISTAKES])
def test_a_mistake_is_told_with_file_line_key_and_what_to_do(
    tmp_path: Path, old: str, new: str, why: str, line: int, key: str
) -> None:
    assert old in PACK
    file = write(tmp_path, PACK.replace(old, new, 1))
    loaded, faults = read_pack(file)
    assert loaded is None
    assert why in str(faults[0])
    assert (faults[0].file, faults[0].line, faults[0].key) == (str(file), line, key)


def test_rate_and_silence_are_checked_too(tmp_path: Path) -> None:
    rate = PACK.replace('kind = "limit"', 'kind = "rate"').replace('high = "-18"', 'per_s = "0"')
    assert "per_s must be more than 0" in str(read_pack(write(tmp_path, rate))[1][0])
    silence = PACK.replace('kind = "limit"', 'kind = "stale"').replace('unit = "Cel"\nhigh = "-18"\n', "")
    assert "silence needs after_s, or factor" in str(read_pack(write(tmp_path, silence))[1][0])


def test_two_rules_with_one_id_are_refused(tmp_path: Path) -> None:
    text = PACK + PACK[PACK.index("[[rule]]") :]
    assert "two rules have the id 'r1'" in str(read_pack(write(tmp_path, text))[1][0])


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    assert "cannot be read" in str(read_pack(tmp_path / "none.toml")[1][0])
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe")
    assert "cannot be read" in str(read_pack(tmp_path / "mine.toml")[1][0])
