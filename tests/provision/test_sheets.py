"""Every shipped sheet agrees with its profile, and every kind of disagreement is found, with file and line, by `check`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge_gateway.config.load import load as load_config
from edge_gateway.links.modbus import TcpSettings
from edge_gateway.profiles.load import load as load_profile
from edge_gateway.provision import bench, load, steps
from edge_gateway.provision.agree import faults
from edge_gateway.provision.model import Sheet
from edge_gateway.provision.steps import Place
from edge_gateway.provision.values import canonical, decode, encode
from tests.cli.site import PACK, config_text
from tests.provision.unit import SimulatedUnit, TcpUnits
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
    sheet_warnings(tmp_path, XY)
    (tmp_path / "gateway.toml").write_text(text, encoding="utf-8")
    loaded = load_config(tmp_path / "gateway.toml", tmp_path / "state", running=False)
    found = [str(warning) for warning in loaded.warnings if warning.code == "sheet"]
    assert len(found) == 3
    assert "baud-rate cannot be '57600': one of: 9600, 14400, 19200" in found[0]


def _delivered(sheet: Sheet) -> SimulatedUnit:
    """A device as the factory leaves it; what the sheet does not say of that is 1 in every register."""
    unit = SimulatedUnit(unit=sheet.line.unit, baud=sheet.line.baud)
    said = {"unit": str(sheet.line.unit), "baud": str(sheet.line.baud), "parity": sheet.line.parity}
    said["stopbits"] = str(sheet.line.stopbits)
    for parameter in sheet.parameter:
        if parameter.type is None:
            continue
        words = encode(parameter, said[parameter.follows]) if parameter.follows else [1] * parameter.width
        unit.holding |= {parameter.address + at: word for at, word in enumerate(words)}
        unit.__post_init__()
    return unit


@pytest.mark.parametrize("file", SHEETS, ids=lambda file: file.stem)
async def test_every_parameter_of_a_shipped_sheet_can_be_set_and_read_back(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a simulated unit that stores what it is sent: to the other end of its values or bounds, and to what it ought to be."""
    monkeypatch.setattr(bench, "STORE_S", 0.0)
    monkeypatch.setattr(bench, "SILENCE_S", 0.0)
    loaded, _ = load.read(file)
    assert loaded is not None
    unit = _delivered(loaded.sheet)

    async def nothing() -> None:
        return None

    with TcpUnits(unit) as line:
        at = Place(settings=TcpSettings(host="127.0.0.1", port=line.port, timeout_s=0.2), unit=loaded.sheet.line.unit)
        for parameter in loaded.sheet.parameter:
            if parameter.type is None:
                continue
            aims = [list(parameter.values)[-1]] if parameter.values else ["9"]
            aims += [parameter.set_to] if parameter.set_to is not None else []
            for aim in aims:
                unit.address_at = parameter.address if parameter.follows == "unit" and parameter.width == 1 else None
                old = decode(parameter, await bench.read(at.settings, at.unit, parameter))
                done = await steps.apply(parameter, at, expected=old, new=aim, about_to=nothing)
                assert done.result in ("applied", "already", "waits"), (parameter.id, done)
                assert done.read_back == canonical(parameter, aim)
                at = done.place
