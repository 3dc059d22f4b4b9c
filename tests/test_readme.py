"""The README's table of devices is drawn from drivers/ (REGENERATE=1 writes it); its commands for a site run as printed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_gateway import toml_errors
from edge_gateway.profiles.cases import Cases
from edge_gateway.profiles.load import Loaded, read
from edge_gateway.profiles.model import ModbusProfile
from edge_gateway.units import QUANTITIES, symbol
from tests.servers.process import free_port, wait_until
from tests.test_documents import command_lines
from tests.test_tutorials import PROGRAM, Sensor, files, run

ROOT = Path(__file__).resolve().parents[1]
#: Files at the top of a package that the architecture names without a folder.
TOP = ("violations.py", "reading.py", "http.py", "mqtt.py", "desk.py", "interpret.py")
BEGIN, END = "<!-- devices: written by tests/test_readme.py -->\n", "<!-- end of devices -->"
HEADS = {
    "README.md": "| device | by | measures | registers or fields known from | tried with a real device |\n|---|---|---|---|---|\n",
    "README.zh-CN.md": "| 设备 | 方式 | 测量 | 寄存器或字段依据 | 是否用真实设备试过 |\n|---|---|---|---|---|\n",
}
#: What a device wants that is never sent, in the column of the ways: (English, Chinese).
NEEDS = {
    "nothing": ("", ""),
    "write": (", **refused**: it must be written to", "，**不支持**：须先写入"),
    "zero-quantity": (", **refused**: it must be asked for 0 registers", "，**不支持**：须读 0 个寄存器"),
}
#: (English, Chinese)
KNOWN = {
    "primary": ("the maker's or a maintained project's text", "厂家或有人维护的项目原文"),
    "secondary": ("other people's texts, unverified", "他人资料，未核实"),
    "no": ("nobody confirms them", "无人证实"),
}


def profiles() -> Iterator[tuple[Loaded, Cases]]:
    """Every shipped profile with its cases, by id."""
    for file in sorted((ROOT / "drivers").glob("*/*.toml")):
        if not file.name.endswith(".cases.toml"):
            loaded, found = read(file)
            assert loaded is not None, found
            cases = file.with_suffix("").with_suffix(".cases.toml")
            yield loaded, Cases.model_validate(toml_errors.parse(cases.read_text("utf-8"), str(cases)))


def row(loaded: Loaded, cases: Cases, chinese: bool) -> str:
    """One device's line."""
    profile = loaded.profile
    quantities = [QUANTITIES[id_] for id_ in dict.fromkeys(channel.quantity for channel in profile.channels.values())]
    measures = "、".join(q.name_zh for q in quantities) if chinese else ", ".join(q.name_en for q in quantities)
    captured = sum(case.kind == "captured" for case in cases.cases)
    told = (
        f"；实录 {captured} 例，构造 {len(cases.cases) - captured} 例"
        if chinese
        else (f"; {captured} captured and {len(cases.cases) - captured} constructed cases")
    )
    tried = profile.tried or ("否" if chinese else "no")
    name = profile.name_zh if chinese else profile.name_en
    path = loaded.file.relative_to(ROOT).as_posix()
    way = "Modbus" + NEEDS[profile.modbus.needs][chinese] if isinstance(profile, ModbusProfile) else "MQTT"
    return f"| [{name}]({path}) | {way} | {measures} | {KNOWN[profile.verified][chinese]} | {tried}{told} |\n"


@pytest.mark.parametrize("readme", HEADS)
def test_the_table_of_devices_is_what_drivers_say(readme: str) -> None:
    page = ROOT / readme
    before, begin, rest = page.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin
    assert end
    table = HEADS[readme] + "".join(row(*each, readme.endswith("zh-CN.md")) for each in profiles())
    if os.environ.get("REGENERATE"):
        page.write_text(before + BEGIN + table + END + after, encoding="utf-8")
    assert table in page.read_text("utf-8"), "drivers/ changed: REGENERATE=1 pytest tests/test_readme.py"


REFERENCE = "docs/reference/device-profiles.md"
REFERENCE_HEAD = "| profile | by | channels | cases | known from |\n|---|---|---|---|---|\n"


def reference_row(loaded: Loaded, cases: Cases) -> str:
    """One profile's line in the reference: its channels with their units, and whether it is refused."""
    profile = loaded.profile
    channels = ", ".join(f"`{name}` {symbol(channel.unit)}".rstrip() for name, channel in profile.channels.items())
    captured = sum(case.kind == "captured" for case in cases.cases)
    needs = profile.modbus.needs if isinstance(profile, ModbusProfile) else "nothing"
    refused = "" if needs == "nothing" else f"**refused** (needs a {needs.replace('-', ' ')}): "
    path = "../../" + loaded.file.relative_to(ROOT).as_posix()
    way = "Modbus" if isinstance(profile, ModbusProfile) else "MQTT"
    known = KNOWN[profile.verified][0]
    return f"| [`{profile.id}`]({path}) | {way} | {refused}{channels} | {captured} captured, {len(cases.cases) - captured} constructed | {known} |\n"


def test_the_references_table_is_what_drivers_say() -> None:
    page = ROOT / REFERENCE
    before, begin, rest = page.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin
    assert end
    table = REFERENCE_HEAD + "".join(reference_row(*each) for each in profiles())
    if os.environ.get("REGENERATE"):
        page.write_text(before + BEGIN + table + END + after, encoding="utf-8")
    assert table in page.read_text("utf-8"), "drivers/ changed: REGENERATE=1 pytest tests/test_readme.py"


def test_the_commands_for_a_site_run_in_this_order(tmp_path: Path) -> None:
    lines = [line for line in command_lines((ROOT / "README.md").read_text("utf-8")) if line.startswith("edge-gateway")]
    init, check, reading, start, status, export = lines
    run(init, tmp_path)
    assert "0 errors" in run(check, tmp_path)
    with Sensor() as sensor:  # "describe your site in it": the first sensor's, on a simulated line
        site = files("first-sensor.md")["gateway.toml"].replace("/dev/ttyUSB0", sensor.port)
        site += f'\n[page]\nlisten = "127.0.0.1:{free_port()}"\n[clock]\ntrust = "declared"\n'
        (tmp_path / "gateway.toml").write_text(site, encoding="utf-8")
        assert "21.3 °C" in run(reading, tmp_path)
        gateway = subprocess.Popen([PROGRAM, *start.split()[1:]], cwd=tmp_path, stderr=subprocess.PIPE)
        try:
            wait_until(lambda: gateway.poll() is not None or "21.3 °C" in run(f"{status} || true", tmp_path), "it", 40)
        finally:
            gateway.send_signal(signal.SIGTERM)
            said = gateway.communicate(timeout=30)[1]
        assert gateway.returncode == 0, said
    assert "cold1-air,21.3,Cel,good" in run(export, tmp_path)


def test_make_demo_is_the_demonstration() -> None:
    """What `make demo` starts; tests/demo/test_demo.py tries that program as people start, interrupt and kill it."""
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # not make's own child
    asked = subprocess.run(["make", "--dry-run", "demo"], cwd=ROOT, check=True, capture_output=True, text=True, env=alone)
    assert asked.stdout.splitlines()[-1].strip() == ".venv/bin/edge-gateway demo"


def test_every_file_that_the_architecture_names_exists() -> None:
    text = (ROOT / "docs/explanation/architecture.md").read_text("utf-8")
    named = {name for name in re.findall(r"`([a-z0-9_/.-]+\.(?:py|toml|md))`", text) if "/" in name or name in TOP}
    assert len(named) > 25
    roots = (ROOT, ROOT / "src/edge_gateway", ROOT / "src/regulator_hub")
    assert [name for name in sorted(named) if not any((root / name).is_file() for root in roots)] == []
