"""Hub commands through real processes: typed at the hub, executed once at the gateway, answered in the record, over both carriers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.regulator_hub.commanded import commanded
from tests.vectors.make_hub_commands import OTHER


@pytest.mark.parametrize("via", ["http", "mqtt"])
def test_a_command_is_executed_once_and_its_answer_comes_back(tmp_path: Path, via: str) -> None:
    with commanded(tmp_path, via=via) as site:
        name = site.violation()
        said = site.asked("refer", name, "--to", "ecology")
        assert said["answer"]["outcome"] == "executed"
        site.gateway.kill()
        site.gateway.start()
        site.hub.kill()
        site.hub.start()
        until = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() + 5 * 86_400))
        assert site.asked("extend", name, "--deadline", "correct", "--until", until)["answer"]["outcome"] == "executed"
        site.gateway.wait(lambda: len(site.shown(name)["answers"]) == 2 and not site.shown(name)["waiting"], "both answers in order")
        commands, steps = site.entries("command"), [e["step"] for e in site.entries("violation")]
        assert [(e["verb"], e["outcome"], e["by"]) for e in commands] == [("refer", "executed", "Li Hua"), ("extend", "executed", "Li Hua")]
        assert (steps.count("referred"), steps.count("extended")) == (1, 1)
        shown = site.shown(name)
        assert (shown["referred"], [each["step"] for each in shown["steps"]][-2:]) == ("ecology", ["referred", "extended"])
        noted = json.loads(site.type("steps", "--json"))["steps"][-2:]
        assert [(s["what"], s["about"], s["new"]["by"], s["why"]) for s in noted] == [
            (f"violation-{verb}", f"tlf-007/{name}", "Li Hua", "seen at the desk") for verb in ("refer", "extend")
        ]
        assert not list((site.hub.state_dir / "commands").rglob("*.note"))
        told = site.type("violations", "show", name)
        assert "referred" in told
        assert "指令 refer Li Hua: executed" in told


def test_what_was_ordered_while_nobody_was_there_is_refused_where_the_state_is_another_by_then(tmp_path: Path) -> None:
    with commanded(tmp_path) as site:
        name = site.violation()
        site.gateway.stop()
        site.hub.stop()
        assert site.asked("refer", name, "--to", "health", wait="0")["answer"] is None
        assert [each["verb"] for each in site.shown(name)["waiting"]] == ["refer"]
        refused = site.type("violations", "verify", name, "--by", "Li Hua", "--reason", "x", want=1)
        assert refused == ""  # nothing was submitted: not even sent
        state = ("--state-dir", str(site.hub.state_dir))
        words = [sys.executable, "-m", "regulator_hub.cli", "violations", "return", name, "--by", "Li Hua", "--reason", "x", *state]
        told = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, "REGULATOR_HUB_LANG": "zh"})
        assert (told.returncode, "尚未提交" in told.stderr, "须由现场先提交" in told.stderr) == (1, True, True), told.stderr
        site.gateway.start()
        assert site.gateway.verb("violations", "ack", name, "--reason", "seen").returncode == 0
        site.hub.start()
        site.gateway.wait(lambda: bool(site.shown(name)["answers"]), "the answer")
        (answer,) = site.shown(name)["answers"]
        assert (answer["outcome"], answer["why"], answer["old"]) == ("refused", "stale", "recovered acknowledged 1 0")
        assert not [e for e in site.entries("violation") if e["step"] == "referred"]


def test_a_key_that_no_person_brought_commands_nothing(tmp_path: Path) -> None:
    with commanded(tmp_path, vkey=OTHER.vkey) as site:
        name = site.violation()
        said = site.asked("refer", name, "--to", "ecology", want=1)
        assert (said["answer"]["outcome"], said["answer"]["why"]) == ("refused", "foreign-key")
        assert not [e for e in site.entries("violation") if e["step"] == "referred"]
