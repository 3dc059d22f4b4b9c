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
disturbed.waited_s, disturbed.LEAST_S = lambda: next(lost), float(os.environ["LEAST"])
def pytest_configure(config):
    config.addinivalue_line("markers", "timing: of real deadlines")
    config.addinivalue_line("markers", "alone: with no other test beside it")
    disturbed.register(config)
"""
TESTS = """
import pathlib, pytest, subprocess, sys
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
def process(): subprocess.run([sys.executable, "-S", "-c", "sum(range(300_000))"])
def test_processes(taken): process(); assert taken == 2
def test_processes_never(taken): process(); assert not taken
"""
#: Two workers: what is alone, or taken again, meets nobody; others wait for one another to begin.
BESIDE = """
import pathlib, pytest, subprocess, sys, time
running = pathlib.Path("running")
running.mkdir(exist_ok=True)
def meets(mine, other):
    pathlib.Path(mine).touch()
    ends = time.monotonic() + 40
    while not pathlib.Path(other).exists(): assert time.monotonic() < ends; time.sleep(0.02)
def met(s):
    mine = running / str(time.monotonic_ns())
    mine.touch()
    time.sleep(s)
    found = len(list(running.iterdir())) - 1
    mine.unlink()
    return found
"""
FIRST = BESIDE + """
def test_beside(): meets("one", "two")
def test_again():
    file = pathlib.Path("before")
    before, _ = file.exists(), file.touch()
    subprocess.run([sys.executable, "-S", "-c", "sum(range(300_000))"])
    assert met(0.5) == 0 and before
"""
SECOND = BESIDE + """
def test_beside(): meets("two", "one")
@pytest.mark.parametrize("n", range(6))
def test_some(n): met(0.2)
@pytest.mark.alone
def test_alone(): assert met(0.5) == 0
"""


def run(folder: Path, lost_s: int, *options: str, least_s: float = 0.0, **files: str) -> str:
    """What pytest said, where each test lost so many seconds to others; ``least_s``: in place of ``LEAST_S``."""
    (folder / "conftest.py").write_text(CONFTEST)
    for name, text in files.items():
        (folder / f"test_{name}.py").write_text(text)
    environment = {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'src'}", "LOST": str(lost_s), "LEAST": str(least_s), "PATH": ""}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rA", *options]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize("lost_s", [100, 0])
def test_only_what_broke_while_others_had_the_machine_is_taken_again(lost_s: int, tmp_path: Path) -> None:
    said = run(tmp_path, lost_s, it=TESTS)
    times = {path.name: len(path.read_text()) for path in tmp_path.glob("test_*") if path.is_file() and path.suffix == ""}
    three, two = (3, 2) if lost_s else (1, 1)
    assert times == {"test_third": three, "test_never": three, "test_good": 1, "test_plain": 1, "test_processes": two, "test_processes_never": two}, said
    assert ("PASSED test_it.py::test_third" in said) is ("PASSED test_it.py::test_processes\n" in said) is bool(lost_s)
    for failed in ("never", "plain", "processes_never"):
        assert f"FAILED test_it.py::test_{failed}" in said, "what computes in one process is taken once"
    assert ("4 taken again" in said) is bool(lost_s)
    if lost_s:
        assert "test_it.py::test_processes, passed then; before: the machine was busy for 100.0 of" in said
        assert "test_it.py::test_processes_never, failed then; before:" in said


@pytest.mark.parametrize("lost_s", [100, 0])
def test_what_is_taken_again_and_what_is_marked_so_is_alone(lost_s: int, tmp_path: Path) -> None:
    """Two workers; with nothing lost, the test that would pass the second time fails."""
    said = run(tmp_path, lost_s, "-n", "2", "--dist", "loadfile", first=FIRST, second=SECOND)
    assert ("10 passed" if lost_s else "1 failed, 9 passed") in said, said
    assert ("test_first.py::test_again, passed then" in said) is bool(lost_s)


def test_a_worker_repeats_only_a_few(tmp_path: Path) -> None:
    process = 'subprocess.run([sys.executable, "-S", "-c", "sum(range(300_000))"])'
    many = f"import pytest, subprocess, sys\n@pytest.mark.parametrize('n', range({disturbed.MOST + 2}))\ndef test_it(n): {process}; assert False\n"
    assert f"{disturbed.MOST} taken again" in run(tmp_path, 100, many=many)
    assert "taken again" not in run(tmp_path, 100, many=many, least_s=5.0), "what failed at once waited for nothing"


def test_the_kernels_count_only_grows() -> None:
    before = disturbed.waited_s()
    assert 0.0 <= before <= disturbed.waited_s()
