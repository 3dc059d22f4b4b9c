"""`edge-gateway demo` as people start it: nothing lost, the same seed tells the same, nothing stays behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.demo.truthlog import read_truth

PROGRAM = [str(Path(sys.executable).with_name("edge-gateway"))]
QUARTER = ["--for", "15s", "--speed", "60", "--seed", "1", "--json"]


def start(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """A demonstration whose temporary folders are made in ``folder``."""
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [*PROGRAM, "--lang", "en", "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder), **environment},
    )


def left_behind(folder: Path) -> list[str]:
    """Processes that were started for this folder and still run; they name it on their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if entry.name.isdigit() and int(entry.name) != os.getpid() and str(folder) in command:
            found.append(command)
    return found


def result_of(process: subprocess.Popen[str], within_s: float) -> tuple[dict[str, Any], str]:
    out, err = process.communicate(timeout=within_s)
    assert process.returncode == 0, err
    lines = out.splitlines()
    assert len(lines) == 1, out
    return json.loads(lines[0]), err


def verified(kept: Path, witness: Path | None = None) -> str:
    """What the verifier says of a kept record, with the keys that lie beside it (or another hub's)."""
    keys = ["--key", str(kept / "gateway.vkey"), "--witness", str((witness or kept) / "hub.vkey")]
    done = subprocess.run([*PROGRAM, "journal", "verify", str(kept / "state"), *keys], check=False, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


@pytest.mark.timing
def test_nothing_is_lost_the_same_seed_tells_the_same_and_nothing_stays(tmp_path: Path) -> None:
    began = time.monotonic()
    kept = [tmp_path / "kept0", tmp_path / "kept1"]
    runs = [start(tmp_path / f"tmp{n}", *QUARTER, "--keep", str(kept[n])) for n in range(2)]
    (first, talk), (second, _) = [result_of(run, 60) for run in runs]
    assert time.monotonic() - began < 60  # 15 s and at most 15 s to drain, twice side by side on a busy machine
    for result in (first, second):
        assert result["lost"] == result["extra"] == 0
        assert result["readings"] == result["hub_readings"] == result["influx_readings"] > 300
        assert result["first_reading_s"] < 20  # two demonstrations start at once here
        assert result["violations"] == 1
    assert first["steps"] == second["steps"]
    assert ["washing-water-chlorine", "hall-chlorine", "violated"] in first["steps"]
    assert ["frozen-store-air", "cold1-air", "notice"] in first["steps"]
    assert not any(rule.endswith("-silence") for rule, _, _ in first["steps"])
    events = [[(e["story_s"], e["what"]) for e in read_truth(k / "truth.jsonl") if e["kind"] == "event"] for k in kept]
    assert events[0] == events[1]
    assert {what for _, what in events[0]} >= {
        "door-opened",
        "door-closed",
        "compressor-stopped",
        "hub-cut",
        "hub-back",
    }
    for said in ("gateway page", "regulator hub", "VIOLATION", "the door of cold store 1 is left open", "hub shows"):
        assert said in talk
    assert "VERIFIED" in verified(kept[0])
    assert "CANNOT DECIDE" in verified(kept[0], witness=kept[1])
    for n in range(2):
        assert list((tmp_path / f"tmp{n}").iterdir()) == []
    assert left_behind(tmp_path) == []


#: Loaded by every Python of a demonstration: the receiver then alters what it keeps, and acknowledges all the same.
_FAULTS = {
    "loses": 'text = b"\\n".join(l for l in text.split(b"\\n") if b"point=cold1-air" not in l)',
    "alters": 'text = text.replace(b" value=-1", b" value=-9")',
}
_PLANT = """
import sys
if "edge_gateway.demo.receiver" in sys.orig_argv:
    import pathlib
    whole = pathlib.Path.open
    class File:
        def __init__(self, file): self.file = file
        def write(self, text):
            {fault}
            return self.file.write(text)
    pathlib.Path.open = lambda path, mode="r", *rest, **more: (
        File(whole(path, mode, *rest, **more)) if mode == "ab" else whole(path, mode, *rest, **more))
"""


@pytest.mark.parametrize("fault", list(_FAULTS))
def test_a_planted_loss_is_found_and_ends_it_with_1(tmp_path: Path, fault: str) -> None:
    (tmp_path / "planted").mkdir()
    (tmp_path / "planted" / "sitecustomize.py").write_text(_PLANT.format(fault=_FAULTS[fault]))
    path = os.pathsep.join([str(tmp_path / "planted"), os.environ.get("PYTHONPATH", "")])
    began = time.monotonic()
    process = start(tmp_path / "tmp", "--for", "3s", "--speed", "60", "--seed", "1", "--json", PYTHONPATH=path)
    out, err = process.communicate(timeout=60)
    result = json.loads(out)
    # 3 s from the first reading on, and at most 15 s to drain and exit
    assert time.monotonic() - began < result["first_reading_s"] + 3 + 15
    assert process.returncode == 1, err
    assert result["hub_readings"] == result["readings"] > 0
    assert result["influx"]["missing"] + result["influx"]["altered"] == result["lost"] > 0, result
    assert "influx: " in err  # and it says which


@pytest.mark.parametrize("when", ["starting", "running"])
def test_an_interrupt_ends_it_in_order(tmp_path: Path, when: str) -> None:
    process = start(tmp_path / "tmp", "--speed", "60", "--json")
    assert process.stderr is not None
    if when == "running":
        while "first reading" not in process.stderr.readline().lower():
            assert process.poll() is None
    else:
        while not list((tmp_path / "tmp").glob("*/logs")):
            assert process.poll() is None
            time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    if when == "running":
        assert process.returncode == 0, err
        assert json.loads(out)["lost"] == 0
    else:
        assert process.returncode in (0, 130), err
    assert list((tmp_path / "tmp").iterdir()) == []
    assert left_behind(tmp_path) == []


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose sockets need no other one: nobody would remove that after a kill."""
    with tempfile.TemporaryDirectory(prefix="demo-", dir="/tmp") as folder:
        yield Path(folder)


def test_a_killed_demonstration_takes_its_processes_along(short_folder: Path) -> None:
    process = start(short_folder, "--speed", "60", "--json")
    assert process.stderr is not None
    while "first reading" not in process.stderr.readline().lower():
        assert process.poll() is None
    assert left_behind(short_folder)
    process.kill()
    process.communicate(timeout=5)
    ends = time.monotonic() + 5
    while left_behind(short_folder):
        assert time.monotonic() < ends, left_behind(short_folder)
        time.sleep(0.05)


def test_a_folder_with_something_in_it_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    process = start(tmp_path / "tmp", *QUARTER, "--keep", str(tmp_path))
    _, err = process.communicate(timeout=20)
    assert process.returncode != 0
    assert "not empty" in err
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize("duration", ["soon", "0s", "-5s", "5 days"])
def test_a_duration_that_is_none_is_a_usage_error(tmp_path: Path, duration: str) -> None:
    process = start(tmp_path / "tmp", "--for", duration)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "duration" in err


def test_a_gateway_that_dies_is_told_and_ends_it(tmp_path: Path) -> None:
    process = start(tmp_path / "tmp", "--speed", "60", "--json")
    assert process.stderr is not None
    while "first reading" not in process.stderr.readline().lower():
        assert process.poll() is None
    gateways = [entry for entry in Path("/proc").iterdir() if _is_gateway(entry, tmp_path)]
    assert len(gateways) == 1
    os.kill(int(gateways[0].name), signal.SIGKILL)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "gateway ended (exit code -9)" in err
    assert out == ""
    assert list((tmp_path / "tmp").iterdir()) == []
    assert left_behind(tmp_path) == []


def _is_gateway(entry: Path, folder: Path) -> bool:
    try:
        command = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return False
    return "run" in command and any(part.startswith(f"{folder}/") and part.endswith("gateway.toml") for part in command)
