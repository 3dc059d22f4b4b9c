"""Does what the tutorial of the unknown bus says, command by command, in an empty folder, on a line that nobody documented.

The line is tests.servers.unknown_bus: a pseudo terminal in real time, three units at addresses that the commands must find.
The commands are the page's; what is typed for the reader is what the page says to type (Ctrl-C, and nothing else).
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.process import free_port, wait_until
from tests.servers.read_only import assert_read_only
from tests.servers.sim_bus import SimUnit
from tests.servers.unknown_bus import UnknownBus
from tests.test_tutorials import PROGRAM, blocks, commands, run

PAGES = ("unknown-bus.md", "unknown-bus.zh-CN.md")


def units() -> list[SimUnit]:
    """An XY-MD02, a RS-WS-N01 and a ZW-RCl101 at addresses of their own, all at 9600-8N1."""
    chlorine = {(3, 0x40): 0x3ED7, (3, 0x41): 0x0A3D}  # 0.42 as a float32 ABCD
    return [
        SimUnit(11, {(4, 1): 0xFF4E, (4, 2): 610}),
        SimUnit(5, {(3, 0): 853, (3, 1): 34}, turnaround_s=0.03),
        SimUnit(23, chlorine, turnaround_s=0.045),
    ]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGE_GATEWAY_CONFIG", str(tmp_path / "gateway.toml"))
    monkeypatch.setenv("EDGE_GATEWAY_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("EDGE_GATEWAY__PAGE__LISTEN", f"127.0.0.1:{free_port()}")
    return tmp_path


@pytest.fixture
def bus() -> Iterator[UnknownBus]:
    with UnknownBus(units()) as running:
        yield running
        assert_read_only(running.functions.elements())


def scanning(line: str, folder: Path) -> str:
    """Ctrl-C as soon as three units were found; what it said."""
    program = subprocess.Popen(
        [PROGRAM, *line.split()[1:]], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    said, ends_s = "", time.monotonic() + 60
    while said.count("NEW #") < 3 and time.monotonic() < ends_s and program.poll() is None:
        said += program.stdout.readline()
    said += program.stdout.readline()  # the likeliest type of the last one
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=30)
    assert program.returncode == 130, said + out + err
    return said + out + err


def test_from_nothing_to_named_points(folder: Path, bus: UnknownBus) -> None:
    said: dict[str, str] = {}
    gateway: subprocess.Popen[bytes] | None = None
    try:
        for line in commands(PAGES[0]):
            here = line.replace("/dev/ttyUSB0", bus.path)
            if line == "edge-gateway run":
                gateway = subprocess.Popen([PROGRAM, "run"], cwd=folder, stderr=subprocess.DEVNULL)
                wait_until((folder / "state/control.sock").exists, "the gateway", 30)
            elif line.startswith("edge-gateway scan /dev"):
                said[line] = scanning(here, folder)
            elif "status" in line:
                wait_until(lambda line=here: "0.42 mg/L" in run(f"{line} || true", folder), "all readings", 40)
                said[line] = run(f"{here} || true", folder)
            else:
                said[line] = run(here, folder, expect=1 if line in REFUSED else 0)
    finally:
        if gateway is not None:
            gateway.send_signal(signal.SIGTERM)
            assert gateway.wait(30) == 0
    if os.environ.get("TRANSCRIPT"):
        Path(os.environ["TRANSCRIPT"]).write_text("".join(f"$ {k}\n{v}\n" for k, v in said.items()))
    points = said[next(line for line in said if "status" in line)]
    for shown in ("-17.8 °C", "61.0 %", "3.4 °C", "85.3 %", "0.42 mg/L"):
        assert shown in points, shown
    assert "cold1-temperature" in points
    assert "hall-cl-free-chlorine" in points
    printed = "".join(said.values()).replace(bus.path, "/dev/ttyUSB0")
    for language, _, body in blocks(PAGES[0]):
        for shown in body.splitlines() if not language else ():  # the transcript was really said, but for times
            if any(sign in shown for sign in ("%", "plausible", "error")):
                assert shown.strip() in printed, shown


#: The page shows what a refusal looks like.
REFUSED = ("edge-gateway inbox add 3 --as hall-cl --zone hall --kind cleaning-line",)


def test_both_languages_show_the_same_commands() -> None:
    english, chinese = (commands(page) for page in PAGES)
    assert english == chinese
    assert set(REFUSED) <= set(english)
