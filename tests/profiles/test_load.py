"""Where profiles are found, and what is said of one that cannot be used."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from edge_gateway.errors import ConfigError
from edge_gateway.profiles.load import SEARCH_PATH, available, load, read

GOOD = """\
id = "acme/t1"
vendor = "Acme"
model = "T1"
name_zh = ""
name_en = ""
verified = "no"

[[sources]]
cite = "made for a test"
verified = "no"

[modbus]
baud = 9600

[channels.temperature]
function = 4
register = 1
type = "int16"
scale = "0.1"
quantity = "temperature"
unit = "Cel"
"""


def put(folder: Path, text: str, name: str = "acme/t1.toml") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_the_first_folder_wins(tmp_path: Path) -> None:
    put(tmp_path / "b", GOOD)
    mine = put(tmp_path / "a", GOOD.replace("T1", "mine"))
    loaded = load("acme/t1", [tmp_path / "a", tmp_path / "b"])
    assert (loaded.profile.model, loaded.file) == ("mine", mine)
    assert loaded.sha256 == hashlib.sha256(mine.read_bytes()).hexdigest()
    assert loaded.text == mine.read_text()
    assert available([tmp_path / "a", tmp_path / "b"])["acme/t1"] == mine


def test_the_repository_is_the_last_resort() -> None:
    assert SEARCH_PATH[0] == Path("/etc/edge-gateway/drivers")
    assert SEARCH_PATH[-1].name == "drivers"
    assert load("generic/xy-md02").profile.model == "XY-MD02"


def test_an_unknown_profile_is_met_with_what_is_near() -> None:
    with pytest.raises(ConfigError, match="did you mean 'generic/xy-md02'"):
        load("generic/xymd02")


def test_a_file_in_the_wrong_place(tmp_path: Path) -> None:
    put(tmp_path, GOOD, "acme/t2.toml")
    with pytest.raises(ConfigError, match=r"t2\.toml:1:id: this file's id is 'acme/t1', its place says 'acme/t2'"):
        load("acme/t2", [tmp_path])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("register = 1", "regsiter = 1", "unknown key 'regsiter': did you mean 'register'?"),
        ("function = 4", "function = 6", "must be one of 1, 2, 3, 4, not 6"),
        ('type = "int16"', 'type = "int61"', 'must be one of bool, int16, uint16, int32, uint32, int64, uint64, bcd16, bcd32, float16, float32, float64, not "int61": did you mean \'int64\'?'),
        ('scale = "0.1"', 'scale = "a tenth"', 'must be a number, not "a tenth"'),
        ('scale = "0.1"', "scale = 0", "scale 0 would make every value the same"),
        ('scale = "0.1"', 'scale = "1e99"', "scale and offset lie between"),
        ('unit = "Cel"', 'unit = "C"', "unknown unit 'C'"),
        ('unit = "Cel"', 'unit = "mg/L"', "temperature is measured in Cel, not in 'mg/L'"),
        ('quantity = "temperature"', 'quantity = "heat"', "unknown quantity 'heat'"),
        ("register = 1", "register = 65536", "must be at most 65535, not 65536"),
        ("register = 1", "register = 65535\norder = 'ABCD'\nbit = 3", "only a bool has one"),
        ("function = 4", "function = 2", "function 2 reads single bits"),
        ("register = 1", "register = 1\nbit = 9\nbits = 8", "bits 9 to 16 are not all in int16"),
        ("register = 1", "register = 1\nbits = 8", "'bits' needs 'bit'"),
        ('type = "int16"', 'type = "bool"\nbit = 3\nbits = 2', "'bits' takes an integer type"),
        ('type = "int16"', 'type = "bcd16"\nbit = 0\nbits = 4', "an integer type"),
        ('type = "int16"', 'type = "float16"\nbit = 0\nbits = 4', "an integer type"),
        ('type = "int16"', 'type = "bool"\nbit = 16', "one of the bits 0 to 15"),
        ('type = "int16"', 'type = "bool"', "needs 'bit'"),
        ('type = "int16"', 'type = "uint16"\nbit = 0\nbits = 4\nsentinels = [16]', "no raw uint16"),
        ('type = "int16"', 'type = "string"', "a text, and a reading is a number"),
        ("baud = 9600", 'baud = 9600\nneeds = "write"', "needs_zh and needs_en"),
        ("baud = 9600", 'baud = 9600\nneeds_zh = "写"\nneeds_en = "w"', "needs_zh and needs_en"),
        ("[modbus]", '[identify]\nserial = {function = 3, register = 1, type = "string"}\n[modbus]', "needs 'length'"),
        ("[modbus]", '[identify]\nserial = {function = 3, register = 1, type = "string", length = 2, order = "CDAB"}\n[modbus]', "ABCD or BADC"),
        ("[modbus]", '[identify]\nsignature = [{function = 3, register = 1, type = "uint16"}]\n[modbus]', "either 'equals' or 'between'"),
        ("[modbus]", '[identify]\nsignature = [{function = 3, register = 1, type = "uint16", equals = "x"}]\n[modbus]', "of a number a number"),
        ("[modbus]", '[identify]\nserial = {function = 6, register = 1, type = "uint16"}\n[modbus]', "must be one of 3, 4, not 6"),
        ("[modbus]", "[identify]\ndevice_id = {}\n[modbus]", "give 'vendor', 'product' or both"),
        ("baud = 9600", "baud = 9600\nholes = [[0, 3]]", "lies in a hole"),
        ("baud = 9600", "baud = 9600\nholes = [[3, 0]]", "in order"),
        ('type = "int16"', 'type = "int16"\nsentinels = [70000]', "sentinel 70000 is no raw int16"),
        ('type = "int16"', 'type = "int16"\nrange_low = 5\nrange_high = 5', "range_low 5.0 is not below range_high 5.0"),
        ('verified = "no"\n\n[[', 'verified = "maybe"\n\n[[', 'must be one of primary, secondary, no, not "maybe"'),
        ('id = "acme/t1"', 'id = "Acme/T1"', '"Acme/T1" is not permitted'),
        ("[modbus]\nbaud = 9600", "", "table [modbus] is missing"),
        ('[[sources]]\ncite = "made for a test"\nverified = "no"', "sources = []", "must not be empty"),
        ("[channels.temperature]", "[channels.Temp_1]", '"Temp_1" is not permitted'),
        ('model = "T1"', "model = T1", "not TOML"),
    ],
)  # fmt: skip
def test_each_mistake_has_a_line_and_a_reason(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = GOOD.replace(old, new, 1)
    assert text != GOOD
    file = put(tmp_path, text)
    loaded, found = read(file)
    assert loaded is None
    assert any(said in str(fault) for fault in found), [str(f) for f in found]
    assert all(fault.line for fault in found)
    assert all(str(fault).startswith(f"{file}:") for fault in found)
    with pytest.raises(ConfigError):
        load("acme/t1", [tmp_path])


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    file = put(tmp_path, "")
    file.write_bytes(b"\xff\xfe")
    _, (fault,) = read(file)
    assert fault.code == "unreadable"
