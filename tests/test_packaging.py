"""What a stranger installs: the wheel carries the data, both programs and the licence; a check-out uses its own files."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import edge_gateway

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built without network by the locked hatchling."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


@pytest.mark.parametrize("data", ["drivers", "rules", "firmware_configs/modbus"])
def test_the_wheel_carries_every_data_file(wheel: zipfile.ZipFile, data: str) -> None:
    packed = {name for name in wheel.namelist() if name.startswith(f"edge_gateway/_data/{data}/")}
    here = {f"edge_gateway/_data/{path.relative_to(ROOT)}" for path in (ROOT / data).rglob("*.toml")}
    assert here <= packed


def test_the_wheel_carries_every_file_of_the_packages(wheel: zipfile.ZipFile) -> None:
    source = ROOT / "src"
    here = {
        str(path.relative_to(source))
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert here <= set(wheel.namelist())


def test_the_wheel_carries_both_programs_the_licence_and_the_version(wheel: zipfile.ZipFile) -> None:
    about = f"edge_gateway-{edge_gateway.__version__}.dist-info"
    programs = wheel.read(f"{about}/entry_points.txt").decode()
    assert "edge-gateway = edge_gateway.cli:main" in programs
    assert "regulator-hub = regulator_hub.cli:main" in programs
    assert f"{about}/licenses/LICENSE" in wheel.namelist()
    assert "License-Expression: Apache-2.0" in wheel.read(f"{about}/METADATA").decode()


def test_a_check_out_runs_its_own_files() -> None:
    assert list(edge_gateway.__path__) == [str(ROOT / "src" / "edge_gateway")]
    assert not (ROOT / "src" / "edge_gateway" / "_data").exists()
