"""The ESPHome nodes: `esphome config` accepts them, they name topics and a profile that fit together, and none can write to a bus."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.profiles.load import load
from edge_gateway.profiles.model import ModbusProfile
from tests.servers.process import REPOSITORY, TOOLS, require_file

FOLDER = REPOSITORY / "firmware_configs" / "esphome"
NODES = sorted(FOLDER.glob("*.yaml"))
SECRETS = "wifi_ssid: site\nwifi_password: longenough\nota_password: ota\nmqtt_password: mqtt\n"
#: Parts of ESPHome that can write to a device or switch something.
WRITERS = ("switch", "number", "select", "output", "button", "text", "climate", "fan", "light", "cover", "valve", "lock")
#: What a unit of a sensor means for the gateway's channel.
UNITS = {"°C": "Cel", "%": "%"}


def esphome(folder: Path, node: str) -> subprocess.CompletedProcess[str]:
    """`esphome config`, from its own environment, in a folder that has the passwords."""
    program = require_file(TOOLS / "esphome" / "bin" / "esphome")
    (folder / "secrets.yaml").write_text(SECRETS)
    command = [str(program), "config", node]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)


def gateway_tables(text: str) -> dict[str, Any]:
    """The commented lines of gateway.toml at a node's end."""
    lines = text.partition("# gateway.toml")[2].splitlines()[1:]
    return tomllib.loads("\n".join(line.removeprefix("#").strip() for line in lines))


def sensors(text: str) -> dict[str, str]:
    """Each sensor's object in topics, with the unit that it says."""
    found = re.findall(r"^    name: ([^\n]+)$.*?unit_of_measurement: \"([^\n]+?)\"", text, re.MULTILINE | re.DOTALL)
    return {name.replace(" ", "_"): unit for name, unit in found}


def test_there_are_both_nodes() -> None:
    assert [node.stem for node in NODES] == ["ds18b20", "modbus-bridge"]


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.stem)
def test_esphome_accepts_it_and_a_planted_fault_is_caught(node: Path, tmp_path: Path) -> None:
    shutil.copy(node, tmp_path)
    judged = esphome(tmp_path, node.name)
    assert judged.returncode == 0, judged.stdout + judged.stderr
    assert "Configuration is valid" in judged.stdout + judged.stderr
    for old, new in (("update_interval", "update_intervall"), ("accuracy_decimals: ", "accuracy_decimals: many ")):
        text = node.read_text()
        assert old in text
        (tmp_path / node.name).write_text(text.replace(old, new, 1))
        planted = esphome(tmp_path, node.name)
        assert planted.returncode != 0
        assert "Failed config" in planted.stdout + planted.stderr


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.stem)
def test_its_topics_are_those_that_the_gateway_is_told(node: Path) -> None:
    text = node.read_text()
    (profile_id,) = re.findall(r"^# feeds: (\S+)$", text, re.MULTILINE)
    name = re.findall(r"^  name: (\S+)$", text, re.MULTILINE)[0]
    profile = load(profile_id).profile
    said = sensors(text)
    assert said
    for device in gateway_tables(text)["devices"].values():
        assert device["profile"] == profile_id
        prefix, kind, entity, state = device["topic"].split("/")
        assert (prefix, kind, state, entity in said) == (name, "sensor", "state", True), device
    channels = {channel.unit for channel in profile.channels.values()}
    assert {UNITS[unit] for unit in said.values()} <= channels
    assert text.count("\n    retain: false") == len(said), "what a broker repeats is no measurement"


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.stem)
def test_it_can_write_nothing_and_holds_no_password(node: Path) -> None:
    text = node.read_text()
    keys = re.findall(r"^(\w+):", text, re.MULTILINE)
    assert not set(keys) & set(WRITERS)
    for line in text.splitlines():
        assert "password:" not in line or "!secret" in line, line


def test_the_bridge_reads_what_the_profile_reads() -> None:
    text = (FOLDER / "modbus-bridge.yaml").read_text()
    profile = load("generic/xy-md02").profile
    assert isinstance(profile, ModbusProfile)
    read = re.findall(r"register_type: (\w+)[^\n]*\n    address: (\w+)\n    value_type: (\w+)", text)
    kinds = {"int16": "S_WORD", "uint16": "U_WORD"}
    expected = [("read", c.register_, kinds[c.type]) for c in profile.channels.values() if c.function == 4]
    assert [(kind, int(address, 16), type_) for kind, address, type_ in read] == expected
    assert f"baud_rate: {profile.modbus.baud} " in text
