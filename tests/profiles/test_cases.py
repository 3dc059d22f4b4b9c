"""Every shipped profile against its cases; a profile without cases, or a planted wrong one, must be caught."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from edge_gateway import toml_errors
from edge_gateway.profiles.cases import Case, Cases, faults
from edge_gateway.profiles.load import available, load, read
from edge_gateway.profiles.model import ModbusProfile

DRIVERS = Path(__file__).resolve().parents[2] / "drivers"
PROFILES = sorted(
    f.relative_to(DRIVERS).with_suffix("").as_posix() for f in DRIVERS.glob("*/*.toml") if ".cases" not in f.name
)


def cases_of(profile: str) -> tuple[Case, ...]:
    file = DRIVERS / f"{profile}.cases.toml"
    return Cases.model_validate(toml_errors.parse(file.read_text(), str(file))).cases


def test_the_promised_devices_are_here() -> None:
    assert set(PROFILES) >= {
        "generic/xy-md02", "wellpro/wp8028adam", "zw/rcl101", "yosemitech/y532", "tuf/2000m",
        "zigbee2mqtt/wsdcgq11lm", "tasmota/ds18b20",
    }  # fmt: skip
    assert set(available()) == set(PROFILES)


@pytest.mark.parametrize("profile", PROFILES)
def test_all_cases(profile: str) -> None:
    loaded = load(profile, [DRIVERS])
    wrong = [fault for case in cases_of(profile) for fault in faults(loaded.profile, case)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_channel_has_a_case_and_is_told_in_both_languages(profile: str) -> None:
    loaded = load(profile, [DRIVERS]).profile
    assert {c for case in cases_of(profile) for c in case.expect} == set(loaded.channels)
    for name, channel in loaded.channels.items():
        assert channel.name_zh, name
        assert channel.name_en, name
        assert bool(channel.note_zh) == bool(channel.note_en), name
    assert loaded.name_zh
    assert loaded.name_en


@pytest.mark.parametrize("profile", PROFILES)
def test_what_is_unverified_says_so(profile: str) -> None:
    loaded = load(profile, [DRIVERS]).profile
    if any(citation.verified == "no" for citation in loaded.sources):
        assert re.search("unverified|assumption|assumed|analogy", loaded.model_dump_json())


@pytest.mark.parametrize(
    ("channel", "changed"),
    [
        ("flow", {"order": "BADC"}),
        ("flow", {"register": 1}),
        ("velocity", {"scale": "0.1"}),
        ("total", {"type": "uint16"}),
    ],
)
def test_a_planted_fault_in_a_profile_is_caught(channel: str, changed: dict[str, Any]) -> None:
    profile = load("tuf/2000m", [DRIVERS]).profile
    raw = profile.model_dump(by_alias=True, mode="json")
    raw["channels"][channel] |= changed
    broken = ModbusProfile.model_validate(raw)

    def caught(case: Case) -> bool:
        try:
            return bool(faults(broken, case))
        except ValueError:
            return True  # it asks for registers that the device does not tell

    assert any(caught(case) for case in cases_of("tuf/2000m"))


def test_constructed_bytes_are_checked_against_struct() -> None:
    block = {"function": 3, "start": 0, "data": "0001", "pack": ">H", "numbers": [2]}
    with pytest.raises(ValueError, match=r"not struct\.pack"):
        Case.model_validate(
            {"name": "x", "kind": "constructed", "source": "a register table", "blocks": [block], "expect": {"a": 1}}
        )


def test_the_folder_is_the_id(tmp_path: Path) -> None:
    for profile in PROFILES:
        loaded, found = read(DRIVERS / f"{profile}.toml")
        assert not found
        assert loaded is not None
        assert loaded.profile.id == profile
