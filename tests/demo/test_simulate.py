"""`edge-gateway simulate`: the table of scenarios, and real runs of it with a planted fault."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.demo.follow import TEXTS
from edge_gateway.demo.scenarios import SCENARIOS
from edge_gateway.demo.story import JITTER_S, Telling

PROGRAM = str(Path(sys.executable).with_name("edge-gateway"))
PACKS = Path(__file__).resolve().parents[2] / "rules"
NAMED = (
    "normal door-open defrost compressor-stop power-cut probe-unplugged probe-swapped stuck-value drift noisy-bus clock-jump hub-down "
    "ice-bath-calibration"
)


def simulate(folder: Path, *arguments: str, within_s: float = 90) -> tuple[int, str, str]:
    """One call whose temporary folders are in ``folder``, beside a site's own places that nothing may touch."""
    (folder / "tmp").mkdir(exist_ok=True)
    own = {"EDGE_GATEWAY_CONFIG": str(folder / "own.toml"), "EDGE_GATEWAY_STATE_DIR": str(folder / "own"), "EDGE_GATEWAY_SOCKET": str(folder / "own.sock")}
    done = subprocess.run(
        [PROGRAM, "--lang", "en", "simulate", *arguments], check=False, capture_output=True, text=True, timeout=within_s,
        env={**os.environ, "TMPDIR": str(folder / "tmp"), **own},
    )  # fmt: skip
    assert list((folder / "tmp").iterdir()) == []
    assert not any((folder / name).exists() for name in ("own.toml", "own", "own.sock"))
    return done.returncode, done.stdout, done.stderr


def test_every_scenario_is_there_and_told_in_both_languages() -> None:
    assert list(SCENARIOS) == NAMED.split()
    for scenario in SCENARIOS.values():
        times = [happening.at_s for happening in scenario.happenings(seed=1)]
        assert times == sorted(times)
        assert times[-1] <= scenario.lasts_s + JITTER_S
        for happening in scenario.happenings(seed=1):
            assert all(TEXTS[happening.what])


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_same_seed_is_the_same_course_and_it_ends(name: str) -> None:
    courses = []
    for _ in range(2):
        telling = Telling(5, 60, SCENARIOS[name].happenings(5))
        happened = [each for at_s in range(0, SCENARIOS[name].lasts_s + JITTER_S + 1, 60) for each in telling.advance(at_s)]
        happened += telling.advance(SCENARIOS[name].lasts_s + JITTER_S)
        courses.append((happened, telling.probes.value("cold1-air"), telling.probes.value("chill1-entry-air")))
    assert courses[0] == courses[1]
    assert courses[0][0][-1].what == "ended"


def shown(name: str, point: str, every_s: int = 60) -> list[float]:
    telling = Telling(1, 60, SCENARIOS[name].happenings(1))
    values = []
    for at_s in range(0, SCENARIOS[name].lasts_s, every_s):
        telling.advance(at_s)
        values.append(telling.probes.value(point))
    return values


def test_what_is_wrong_with_a_probe_shows() -> None:
    assert len(set(shown("stuck-value", "cold2-air")[5:])) == 1
    assert len(set(shown("normal", "cold2-air")[5:])) > 5
    assert shown("drift", "chill1-entry-air")[-1] > 10 > shown("normal", "chill1-entry-air")[-1]
    assert max(shown("probe-swapped", "cold1-air")) > 0 > max(shown("normal", "cold1-air"))
    assert min(shown("probe-swapped", "chill1-air")) < -18
    assert shown("ice-bath-calibration", "cold1-air").count(0.3) == 24
    assert max(shown("defrost", "cold1-air")) > -12
    assert max(shown("power-cut", "precool-air")) > max(shown("normal", "precool-air")) + 0.5


def test_what_is_not_as_it_should_be_is_named() -> None:
    wanted = ("frozen-store-air", "cold2-air", "violated")
    other = ("frozen-store-air", "cold1-air", "violated")
    notice = ("frozen-store-air", "cold1-air", "notice")
    stop = SCENARIOS["compressor-stop"]
    assert stop.faults([wanted, notice]) == []
    assert stop.faults([notice]) == [(wanted, True)]
    assert stop.faults([wanted, other]) == [(other, False)]
    assert SCENARIOS["normal"].faults([notice]) == [(notice, False)]
    assert SCENARIOS["normal"].faults([]) == []


def test_the_list_and_what_is_no_scenario(tmp_path: Path) -> None:
    code, out, _ = simulate(tmp_path, "--list", "--json")
    assert code == 0
    assert [each["id"] for each in json.loads(out)["scenarios"]] == NAMED.split()
    for words in ([], ["door-opened"]):
        code, out, err = simulate(tmp_path, *words)
        assert (code, out) == (2, "")
        assert "compressor-stop" in err


@pytest.mark.parametrize("text", ["id = ", "name = 1\n", 'id = "../x"\n'])
def test_a_file_that_is_no_pack_is_refused_in_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.toml").write_text(text, encoding="utf-8")
    code, out, err = simulate(tmp_path, "normal", "--pack", str(tmp_path / "bad.toml"))
    assert (code, out) == (1, "")
    assert "bad.toml: " in err
    assert "Traceback" not in err


def result(out: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(out)
    assert found["schema"] == "edge-gateway/simulate/1"
    return found


def test_a_door_gives_a_notice_and_a_pack_that_does_not_see_it_is_told(tmp_path: Path) -> None:
    code, out, err = simulate(tmp_path, "door-open", "--speed", "120", "--json")
    assert code == 0, err
    came = result(out)
    assert (came["outcome"], came["missing"], came["unwanted"], came["lost"]) == ("as-it-should", [], [], 0)
    assert came["readings"] > 100
    lax = (PACKS / "cold-chain.toml").read_text(encoding="utf-8")
    lax = lax.replace('high = "-18"\nclear_at = "-18.3"\n', 'high = "-2"\nclear_at = "-2.3"\n')
    (tmp_path / "lax.toml").write_text("".join(line for line in lax.splitlines(keepends=True) if not line.startswith(("excuse", "bounds"))), encoding="utf-8")
    code, out, err = simulate(tmp_path, "door-open", "--speed", "120", "--json", "--pack", str(tmp_path / "lax.toml"))
    assert code == 1, err
    assert result(out)["missing"] == [["frozen-store-air", "cold1-air", "notice"]]


def test_one_that_is_stopped_before_its_end_is_not_decided(tmp_path: Path) -> None:
    code, out, err = simulate(tmp_path, "compressor-stop", "--for", "1s", "--json")
    assert code == 3, err
    assert result(out)["outcome"] == "stopped"


def test_a_delay_goes_on_over_a_clock_that_jumps_and_the_record_replays_alike(tmp_path: Path) -> None:
    """The violation is 15 minutes of rule time after its first reading, though the wall clock jumped by an hour between them."""
    kept = tmp_path / "kept"
    code, _, err = simulate(tmp_path, "clock-jump", "--speed", "120", "--record", str(kept))
    assert code == 0, err
    said = [subprocess.run([PROGRAM, "replay", str(kept / "state"), "--json"], check=False, capture_output=True, text=True, timeout=60) for _ in range(2)]
    assert said[0].returncode == 0, said[0].stderr
    assert said[0].stdout == said[1].stdout
    (violation,) = json.loads(said[0].stdout)["violations"]
    assert 900 <= (violation["violated_us"] - violation["from_us"]) / 1e6 < 900 + 120
    assert "clock stepped" in (kept / "logs" / "gateway.log").read_text(encoding="utf-8")


def test_a_gateway_that_is_killed_by_a_power_cut_goes_on(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    code, out, err = simulate(tmp_path, "power-cut", "--speed", "100", "--record", str(kept), "--json")
    assert code == 0, err
    assert result(out)["readings"] > 100
    lines = [json.loads(line) for line in (kept / "truth.jsonl").read_text(encoding="utf-8").splitlines()]
    back_us = next(line["t_us"] for line in lines if line.get("what") == "power-back")
    assert any(line["kind"] == "message" and line["t_us"] > back_us for line in lines)  # and they are compared: it listens again
