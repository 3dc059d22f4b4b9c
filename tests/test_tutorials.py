"""Does what the tutorials say, block by block, in an empty folder: files as printed, commands as printed, a simulated sensor."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from edge_gateway import toml_errors
from edge_gateway.demo.fieldbus import Answering, Heartbeat, SerialLine
from edge_gateway.profiles.cases import Cases, faults
from edge_gateway.profiles.load import load
from edge_gateway.rules.cases import load_cases, run_case
from edge_gateway.rules.load import load_pack
from tests.servers.process import free_port, wait_until

ROOT = Path(__file__).resolve().parents[1]
TUTORIALS = ROOT / "docs/tutorials"
FIRST_SENSOR = ("first-sensor.md", "first-sensor.zh-CN.md")
PROGRAM = Path(sys.executable).with_name("edge-gateway")
_BLOCK = re.compile(r"^```(\w*)[ ]*([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[tuple[str, str, str]]:
    """Every block of a tutorial: language, name, body."""
    return [match.groups() for match in _BLOCK.finditer((TUTORIALS / page).read_text("utf-8"))]  # type: ignore[misc]


def files(page: str) -> dict[str, str]:
    """The files that a tutorial has its reader write."""
    return {name: body for _, name, body in blocks(page) if name}


def commands(page: str) -> list[str]:
    """The commands that a tutorial has its reader run in the site's folder."""
    return [line for language, _, body in blocks(page) if language == "sh" for line in body.splitlines()]


def write(folder: Path, page: str) -> None:
    """All files of a tutorial."""
    for name, body in files(page).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(body, encoding="utf-8")


def run(line: str, folder: Path, expect: int = 0) -> str:
    """A command as printed; what it said on both streams."""
    environment = {**os.environ, "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        line, shell=True, cwd=folder, env=environment, check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


class Sensor:
    """An XY-MD02 at address 1 of a pseudo terminal, in a thread of its own: 21.3 °C, 45.6 %."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @staticmethod
    def _answer(unit: int, pdu: bytes) -> tuple[bytes, object] | None:
        function, start, count = struct.unpack(">BHH", pdu)
        if unit != 1 or function != 4:
            return None
        registers = [0, 213, 456, 0, 0, 0][start : start + count]
        return struct.pack(f">BB{count}H", 4, 2 * count, *registers), lambda _asleep_s: None

    async def _start(self) -> str:
        heartbeat = Heartbeat()
        answer: Answering = self._answer  # type: ignore[assignment]
        line = SerialLine(answer, heartbeat)
        self._tasks = [asyncio.create_task(heartbeat.run()), asyncio.create_task(line.run())]
        return line.path

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """A folder with the first sensor's gateway.toml, whose serial port is a simulated line."""
    with Sensor() as sensor:
        text = files("first-sensor.md")["gateway.toml"].replace("/dev/ttyUSB0", sensor.port)
        page = f'\n[page]\nlisten = "127.0.0.1:{free_port()}"\n[clock]\ntrust = "declared"\n'
        (tmp_path / "gateway.toml").write_text(text + page, encoding="utf-8")
        yield tmp_path


def test_the_first_sensor_reads_runs_and_exports(site: Path) -> None:
    check, read, raw, start, status, violations, export = commands("first-sensor.md")
    assert "0 errors" in run(check, site)
    said = run(read, site)
    assert "cold1-air  Cold store 1 air  21.3 °C  limit ≤ -18 °C (secondary source)  39.3 °C above  age 0." in said
    assert "frames: 1 sent, 1 received, 0 errors" in said
    assert "i16 213" in run(raw, site)
    gateway = subprocess.Popen([PROGRAM, *start.split()[1:]], cwd=site, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        wait_until(
            lambda: gateway.poll() is not None or "21.3 °C" in run(f"{status} || true", site), "a reading", 40
        )  # within two intervals
        assert "within limits" not in run(f"{status} || true", site).split("\n")[2]
        assert run(violations, site)
        run(export, site)
    finally:
        gateway.send_signal(signal.SIGTERM)
        out, err = gateway.communicate(timeout=30)
    assert gateway.returncode == 0, out + err
    exported = (site / "readings.csv").read_bytes()
    assert exported.startswith(b"\xef\xbb\xbftime_local,")
    assert b"cold1-air,21.3,Cel,good" in exported


def test_both_languages_of_the_first_sensor_say_the_same() -> None:
    english, chinese = (commands(page) for page in FIRST_SENSOR)
    assert english == chinese
    parsed = [{name: toml_errors.parse(body, name) for name, body in files(page).items()} for page in FIRST_SENSOR]
    assert parsed[0] == parsed[1]


def test_the_stand_in_for_a_sensor_is_sound(tmp_path: Path) -> None:
    given = files("first-sensor.md")
    bus = re.search(r"^\[buses\.line1\]\n.*?\n\n", given["gateway.toml"], re.MULTILINE | re.DOTALL)
    assert bus
    (tmp_path / "gateway.toml").write_text(given["gateway.toml"].replace(bus.group(), given["bus-tcp.toml"] + "\n"))
    assert "0 errors" in run("edge-gateway check --config gateway.toml", tmp_path)


def test_the_profile_is_found_and_does_what_its_cases_say(site: Path) -> None:
    write(site, "write-a-profile.md")
    draft, test, check, read = commands("write-a-profile.md")
    run(draft, site)
    assert 'type = "float32", order = "CDAB" = -21.2' in (site / "drivers/acme/draft.toml").read_text("utf-8")
    assert (site / "drivers/profile.schema.json").is_file()
    assert run(test, site).splitlines()[-1] in (TUTORIALS / "write-a-profile.md").read_text("utf-8")
    said = run(check, site)
    assert "drivers/acme/th200  drivers/acme/th200.toml" in said
    assert "cold1-dew-point" in said
    run(read, site, expect=4)  # no such unit on this line
    profile = load("acme/th200", [site / "drivers"]).profile
    file = site / "drivers/acme/th200.cases.toml"
    cases = Cases.model_validate(toml_errors.parse(file.read_text("utf-8"), str(file))).cases
    assert [fault for case in cases for fault in faults(profile, case)] == []
    assert {channel for case in cases for channel in case.expect} == {"temperature", "dew-point"}


def test_the_profiles_cases_find_a_wrong_word_order(site: Path) -> None:
    write(site, "write-a-profile.md")
    wrong = site / "drivers/acme/th200.toml"
    wrong.write_text(wrong.read_text("utf-8").replace('"CDAB"', '"ABCD"'), encoding="utf-8")
    profile = load("acme/th200", [site / "drivers"]).profile
    file = site / "drivers/acme/th200.cases.toml"
    cases = Cases.model_validate(toml_errors.parse(file.read_text("utf-8"), str(file))).cases
    assert any(faults(profile, case) for case in cases)


def test_the_rule_is_bound_and_does_what_its_cases_say(site: Path) -> None:
    write(site, "write-a-rule.md")
    (check,) = commands("write-a-rule.md")
    bound = next(body.strip() for language, name, body in blocks("write-a-rule.md") if not language and not name)
    assert bound in run(check, site)
    pack = load_pack("house", [site / "rules"])
    for case in load_cases(site / "rules/house.cases.toml"):
        outcome = run_case(pack, case)
        assert outcome.passed, (case.name, json.dumps(outcome.steps))


@pytest.mark.parametrize("page", ["first-sensor.md", "write-a-profile.md", "write-a-rule.md"])
def test_every_verb_in_a_tutorial_exists(page: str) -> None:
    for line in commands(page):
        run(f"{' '.join(line.split()[:2])} --help", ROOT)
