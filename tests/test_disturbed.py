"""What is taken again on a busy machine, and what is not: a real pytest over planted tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import disturbed
from tests.servers.process import REPOSITORY

CONFTEST = """
import itertools, os
from tests import disturbed
lost = itertools.count(step=int(os.environ["LOST"]))
disturbed.waited_s = lambda: next(lost)
def pytest_configure(config):
    config.addinivalue_line("markers", "timing: of real deadlines")
    config.pluginmanager.register(disturbed)
"""
TESTS = """
import pathlib, pytest
@pytest.fixture
def taken(request):
    file = pathlib.Path(request.node.name)
    file.write_text(file.read_text() + "x" if file.exists() else "x")
    return len(file.read_text())
@pytest.mark.timing
def test_third(taken): assert taken == 3
@pytest.mark.timing
def test_never(taken): assert not taken
@pytest.mark.timing
def test_good(taken): pass
def test_plain(taken): assert taken == 2
"""


def taken(folder: Path, lost_s: int) -> tuple[dict[str, int], str]:
    """How often each was taken, and what pytest said, where each lost so many seconds to others."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_it.py").write_text(TESTS)
    environment = {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'src'}", "LOST": str(lost_s), "PATH": ""}
    done = subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rA"], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return {path.name: len(path.read_text()) for path in folder.glob("test_*") if path.is_file() and path.suffix == ""}, done.stdout


@pytest.mark.parametrize("lost_s", [100, 0])
def test_only_a_deadline_that_broke_while_others_had_the_machine_is_taken_again(lost_s: int, tmp_path: Path) -> None:
    times, said = taken(tmp_path, lost_s)
    assert times == {"test_third": 3 if lost_s else 1, "test_never": 3 if lost_s else 1, "test_good": 1, "test_plain": 1}, said
    assert ("PASSED test_it.py::test_third" in said) is bool(lost_s)
    assert "FAILED test_it.py::test_never" in said
    assert "FAILED test_it.py::test_plain" in said, "only deadlines of real time are taken again"
    assert ("taken again" in said) is bool(lost_s)


def test_the_kernels_count_only_grows() -> None:
    before = disturbed.waited_s()
    assert 0.0 <= before <= disturbed.waited_s()
