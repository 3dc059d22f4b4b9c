"""As a user would: init, check, run, look, acknowledge, close, export, stop; programs and sockets are real."""

from __future__ import annotations

import contextlib
import getpass
import json
import signal
import socket
from pathlib import Path

import pytest

from edge_gateway.journal.reading import Reading
from tests.cli.site import FROZEN, THAWED, Gateway, Plant, config_text
from tests.servers.process import free_port


@pytest.fixture(scope="module")
def plant() -> object:
    with Plant() as running:
        yield running


def test_a_day_in_short(plant: Plant, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, config_text(plant.port))
    again = gateway.verb("init")
    assert (again.returncode, "left as it is" in again.stderr) == (1, True)
    assert gateway.verb("check").returncode == 0
    assert gateway.verb("check", "--strict").returncode == 3  # no sink
    nobody = gateway.verb("status")
    assert (nobody.returncode, "no gateway answers" in nobody.stderr) == (1, True)
    with gateway:
        gateway.wait(lambda: gateway.status().get("points", {}).get("normal") == 3, "all points within limits")
        shown = gateway.verb("status", "--points")
        assert "cold1-air" in shown.stdout
        assert "-19.0 °C" in shown.stdout
        assert "≤ -18 °C (operator's value, unverified)" in shown.stdout

        plant.set(2, THAWED)
        gateway.wait(lambda: gateway.status()["points"]["violation"] == 1, "a violation")
        listed = json.loads(gateway.verb("violations", "list", "--json").stdout)["violations"]
        (id_,) = [violation["violation"] for violation in listed]
        assert "(operator's value, unverified)" in gateway.verb("violations", "list").stdout
        assert gateway.verb("status").returncode == 1
        too_early = gateway.verb("violations", "close", id_, "--reason", "hope")
        assert (too_early.returncode, too_early.stderr.startswith("error  ")) == (1, True)
        acked = gateway.verb("violations", "ack", id_, "--reason", "door open, closing it")
        assert (acked.returncode, "acknowledged" in acked.stdout) == (0, True)

        plant.set(2, FROZEN)
        gateway.wait(lambda: gateway.status()["points"]["normal"] == 3, "recovery")
        early = gateway.verb("violations", "submit", id_, "--reason", "door shut")
        assert (early.returncode, "not assessed" in early.stderr) == (1, True), "the whole life is in test_handling"

        one = gateway.verb("read", "cold1-air")
        assert (one.returncode, "-19.0 °C  limit ≤ -18 °C" in one.stdout and "quality good" in one.stdout) == (0, True)
        raw = gateway.verb("read", "--bus", "plc", "--unit", "1", "--fc", "4", "--reg", "1", "--count", "2")
        assert "0xFF42  u16 65346 i16 -190  ×0.1 = -19.0 ← plausible" in raw.stdout
        watched = gateway.verb("watch", "cold1-*", "--for", "0")
        assert "cold1-air" in watched.stdout
        assert "cold2-air" not in watched.stdout
        assert gateway.verb("watch", "cellar*").returncode == 1
        assert "CDAB" in raw.stdout

        exported = gateway.verb("export", "--from", "1h", "--point", "cold2-air")  # beside the running gateway
        assert exported.returncode == 0
        assert exported.stdout.startswith("\ufefftime_local,utc_offset,time_utc,point,value")
        assert ",-5.0," in exported.stdout

        second = gateway.verb("run")
        assert second.returncode == 7, second.stderr
        assert "in use" in second.stderr
        assert gateway.stop() == 0
    assert "Traceback" not in gateway.log()
    after = gateway.verb("export", "--from", "1h", "--format", "jsonl")
    assert after.returncode == 0
    assert len(after.stdout.splitlines()) >= len(exported.stdout.splitlines())


def test_who_acknowledged_is_in_the_record(plant: Plant, tmp_path: Path) -> None:
    with Gateway(tmp_path, config_text(plant.port)) as gateway:
        plant.set(3, THAWED)
        gateway.wait(lambda: bool(gateway.status().get("violations")), "something open")
        gateway.wait(lambda: gateway.status()["points"]["violation"] == 1, "a violation")
        id_ = gateway.status()["violations"][0]["violation"]
        answer = gateway.verb("violations", "ack", id_, "--reason", "seen")
        plant.set(3, FROZEN)
        gateway.stop()
    assert f"by {getpass.getuser()}" in answer.stdout
    with contextlib.closing(Reading(gateway.state)) as journal:
        steps = [entry for _, entry in journal.entries() if entry["kind"] == "violation" and "reason" in entry]
    (acked,) = steps
    assert (acked["violation"], acked["by"], acked["reason"]) == (id_, getpass.getuser(), "seen")


def test_a_refused_configuration_ends_run_with_78_and_nothing_else_does(plant: Plant, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, config_text(plant.port).replace("port =", "prot ="))
    refused = gateway.verb("run")
    assert refused.returncode == 78
    assert "unknown key 'prot'" in refused.stderr
    assert "did you mean 'port'?" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert gateway.verb("check").returncode == 1
    gateway.write(
        config_text(plant.port, more='\n[sinks.hub]\nkind = "hub"\nurl = "https://127.0.0.1:1"\ntoken_file = "gone"\n')
    )
    assert gateway.verb("check").returncode == 0  # a warning: the service may have a credential
    secretless = gateway.verb("run")
    assert (secretless.returncode, "there is no file" in secretless.stderr) == (78, True)


def test_a_taken_page_address_is_no_fault_of_the_file(plant: Plant, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        gateway = Gateway(tmp_path, config_text(plant.port, page=f"127.0.0.1:{taken.getsockname()[1]}"))
        refused = gateway.verb("run")
    assert (refused.returncode, "cannot listen on" in refused.stderr) == (1, True), refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_newer_journal_is_refused_with_a_sentence(plant: Plant, tmp_path: Path) -> None:
    import apsw

    gateway = Gateway(tmp_path, config_text(plant.port))
    with gateway:
        gateway.wait(lambda: gateway.status().get("points", {}).get("normal") == 3, "readings")
        gateway.stop()
    database = apsw.Connection(str(gateway.state / "journal.sqlite"))
    database.execute("PRAGMA user_version = 99")
    database.close()
    for arguments in (["run"], ["export"]):
        refused = gateway.verb(*arguments)
        assert refused.returncode == 1, refused.stderr
        assert "newer release" in refused.stderr
        assert "Traceback" not in refused.stderr


def test_a_damaged_journal_is_alarmed_and_the_gateway_goes_on(plant: Plant, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, config_text(plant.port))
    with gateway:
        gateway.wait(lambda: gateway.status().get("points", {}).get("normal") == 3, "readings")
        epoch = gateway.status()["journal"]["epoch"]
        gateway.stop()
    (gateway.state / "journal.sqlite").write_bytes(b"no database at all" * 1000)
    with gateway:
        gateway.wait(lambda: gateway.status().get("points", {}).get("normal") == 3, "readings again")
        status = gateway.status()
        assert status["journal"]["epoch"] != epoch
        assert any(problem.startswith("journal: ") for problem in status["problems"])
        shown = gateway.verb("status")
        assert (shown.returncode, "ALARM    the journal was damaged: " in shown.stdout) == (1, True), shown.stdout
        assert "报警    台账曾损坏: " in gateway.verb("status", "--lang", "zh").stdout


def test_read_without_a_gateway_opens_the_port_itself(plant: Plant, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, config_text(plant.port))
    alone = gateway.verb("read", "cold1-air", "--json")
    assert alone.returncode == 0, alone.stderr
    answer = json.loads(alone.stdout)
    assert (answer["schema"], answer["value"], answer["quality"]) == ("edge-gateway/read/1", -19.0, "good")
    unknown = gateway.verb("read", "cold1-iar")
    assert (unknown.returncode, "did you mean 'cold1-air'?" in unknown.stderr) == (1, True)
    gateway.write(config_text(free_port()))
    silent = gateway.verb("read", "cold1-air")
    assert silent.returncode == 4, silent.stderr
    assert gateway.verb("read").returncode == 2
    assert gateway.verb("nonsense").returncode == 2


def test_ctrl_c_stops_run_in_order(plant: Plant, tmp_path: Path) -> None:
    with Gateway(tmp_path, config_text(plant.port)) as gateway:
        gateway.signal(signal.SIGINT)
        gateway.wait(gateway._ended, "it ends")
        assert gateway._process is not None
        assert gateway._process.returncode == 0


def test_a_state_folder_that_cannot_be(plant: Plant, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, config_text(plant.port))
    gateway.state = Path("/sys/edge-gateway")  # even root may not
    refused = gateway.verb("run")
    assert (refused.returncode, "cannot be used" in refused.stderr) == (6, True), refused.stderr
    gateway.state = tmp_path / ("x" * 120)
    refused = gateway.verb("run")
    assert (refused.returncode, "path is too long" in refused.stderr) == (1, True), refused.stderr
