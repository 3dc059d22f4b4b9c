"""Every shipped sheet agrees with its profile, and every kind of disagreement is found, with file and line, by `check`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge_gateway.config.load import load as load_config
from edge_gateway.profiles.load import load as load_profile
from edge_gateway.provision import load
from edge_gateway.provision.agree import faults
from tests.cli.site import PACK, config_text
from tests.servers.process import REPOSITORY

FOLDER = REPOSITORY / "firmware_configs" / "modbus"
SHEETS = sorted(FOLDER.glob("*.toml"))
XY = (FOLDER / "generic-xy-md02.toml").read_text("utf-8")


@pytest.mark.parametrize("file", SHEETS, ids=lambda file: file.stem)
def test_a_shipped_sheet_agrees_with_its_profile(file: Path) -> None:
    loaded, broken = load.read(file)
    assert not broken, [str(fault) for fault in broken]
    assert loaded is not None
    sheet = loaded.sheet
    assert file.stem == sheet.profile.replace("/", "-")
    assert f"# feeds: {sheet.profile}" in loaded.text.splitlines()[:4]
    assert list(faults(sheet, load_profile(sheet.profile).profile)) == []
    for parameter in sheet.parameter:
        assert parameter.name_zh, parameter.id
        assert parameter.type or parameter.note, f"{parameter.id}: say how it is set by hand"


#: What is changed in the sheet of the XY-MD02, and what `check` then says.
WRONG = {
    "unknown profile": ('profile = "generic/xy-md02"', 'profile = "generic/none"', "no device profile 'generic/none'|feeds"),
    "another rate": ("baud = 9600", "baud = 4800", "4800 as delivered, generic/xy-md02 says 9600"),
    "another format": ('format = "8N1"', 'format = "8E1"', "8E1 as delivered, generic/xy-md02 says 8N1"),
    "another unit": ("unit = 1\n", "unit = 2\n", "unit 2 as delivered, generic/xy-md02 says 1"),
    "one register twice": ("address = 0x0104", "address = 0x0103", "'temperature-correction' has address 259 too"),
    "beyond its bounds": ("set_to = 0", "set_to = 11", "cannot be 11: within -10 to 10 Cel"),
    "finer than it can be": ("set_to = 0", "set_to = 0.05", "steps of 0.1"),
    "an id twice": ('id = "humidity-correction"', 'id = "temperature-correction"', "stands twice"),
    "an unknown key": ("scale = 0.1", "skale = 0.1", "unknown key 'skale'"),
    "a write that reads": ('type = "int16"', 'type = "int16"\nwrite = 3', "write"),
    "no source": ('source = "ya-modbus', 'sauce = "ya-modbus', "unknown key 'sauce'"),
}


def sheet_warnings(folder: Path, text: str) -> list[str]:
    (folder / "gateway.toml").write_text(config_text(9), encoding="utf-8")
    (folder / "rules").mkdir(exist_ok=True)
    (folder / "rules" / "house.toml").write_text(PACK, encoding="utf-8")
    place = folder / "firmware_configs" / "modbus"
    place.mkdir(parents=True, exist_ok=True)
    (place / "generic-xy-md02.toml").write_text(text, encoding="utf-8")
    loaded = load_config(folder / "gateway.toml", folder / "state", running=False)
    return [str(warning) for warning in loaded.warnings if warning.code == "sheet"]


def test_a_sound_sheet_beside_the_configuration_warns_of_nothing(tmp_path: Path) -> None:
    assert sheet_warnings(tmp_path, XY) == []


@pytest.mark.parametrize("name", WRONG)
def test_check_finds_a_planted_disagreement_and_says_where(name: str, tmp_path: Path) -> None:
    old, new, expected = WRONG[name]
    assert old in XY
    found = sheet_warnings(tmp_path, XY.replace(old, new, 1))
    assert any(re.search(expected, warning) for warning in found), found
    assert any(re.search(r"generic-xy-md02\.toml:\d+", warning) for warning in found), found


def test_a_parameter_in_a_measured_register_is_found(tmp_path: Path) -> None:
    profile = load_profile("tuf/2000m").profile
    text = (FOLDER / "tuf-2000m.toml").read_text("utf-8")
    planted = text.replace("address = 1436", 'address = 5\ntype = "uint16"')
    loaded, broken = load.parse(planted, "planted")
    assert loaded is not None, broken
    why = "address 5 is channel 'velocity' of tuf/2000m, read as float32"
    assert why in [said for _, said in faults(loaded.sheet, profile)]


def test_a_bus_that_the_device_cannot_follow_is_found(tmp_path: Path) -> None:
    text = config_text(9).replace('kind = "tcp"\nhost = "127.0.0.1"\nport = 9\n', 'kind = "rtu"\nport = "/dev/none"\nbaud = 57600\n')
    followed = XY.replace(
        'address = 0x0102\ntype = "uint16"', 'address = 0x0102\ntype = "uint16"\nfollows = "baud"\nvalues = { "9600" = 0 }'
    )
    sheet_warnings(tmp_path, followed)
    (tmp_path / "gateway.toml").write_text(text, encoding="utf-8")
    loaded = load_config(tmp_path / "gateway.toml", tmp_path / "state", running=False)
    found = [str(warning) for warning in loaded.warnings if warning.code == "sheet"]
    assert len(found) == 3
    assert "baud-rate cannot be '57600': one of: 9600" in found[0]
