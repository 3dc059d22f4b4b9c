"""backup, restore, replace with a real gateway, signer and hub: the record goes on in a new epoch, and nothing is doubled or written twice."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import pytest

from edge_gateway.journal import backup
from edge_gateway.journal.reading import Reading
from edge_gateway.record.checkpoint import Checkpoint
from edge_gateway.record.note import Note
from tests.cli import site
from tests.cli.site import THAWED, Gateway, Plant, config_text
from tests.regulator_hub.harness import HubProcess
from tests.servers.process import wait_until
from tests.signer.process import SignerProcess

GATEWAY = "tlf-007"
#: Checkpoints are waited for here, again and again: one each 3 s instead of each 30 s; and one that was refused is offered again as soon.
SOON = "from edge_gateway.signer import checkpoints\nfrom edge_gateway.sinks import hub_witness\ncheckpoints.EVERY_S = hub_witness.REFUSED_S = 3.0"


class Place:
    """One hub for a test, and machines that are the gateway one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plant = Plant()
        self.hub = HubProcess(folder / "hub")
        self.token = self.folder / "token"

    def __enter__(self) -> Self:
        self.plant.__enter__()
        self.token.write_text(self.hub_verb("gateways", "add", GATEWAY).strip())
        self.token.chmod(0o600)
        self.hub.start()
        (self.folder / "hub.vkey").write_text(self.hub_verb("key"))
        return self

    def __exit__(self, *_: object) -> None:
        self.hub.stop()
        self.plant.__exit__()

    def hub_verb(self, *words: str, code: int = 0) -> str:
        command = [sys.executable, "-m", "regulator_hub.cli", *words, "--state-dir", str(self.hub.state_dir)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout

    def machine(self, name: str, signer: SignerProcess) -> Gateway:
        """A machine with the site's configuration, and no record."""
        folder = self.folder / name
        folder.mkdir()
        more = f'''
[signer]
socket = "{signer.socket}"
[sinks.hub]
kind = "hub"
url = "{self.hub.url}"
token_file = "{self.token}"
vkey = "{self.folder / "hub.vkey"}"
timeout_s = 3.0
'''
        return Gateway(folder, config_text(self.plant.port, more=more))

    def register(self, gateway: Gateway, *options: str) -> None:
        key = gateway.verb("signer", "key").stdout.strip()
        self.hub_verb("gateways", "key", GATEWAY, key, *options)

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.hub.url}/api/v1{path}", timeout=20) as answer:
            return json.loads(answer.read())

    def epochs(self) -> list[dict[str, Any]]:
        (found,) = self.get("/gateways")["gateways"]
        return list(found["epochs"])

    def witnessed(self, epoch: str, least: int = 1) -> None:
        def there() -> bool:
            return any(e["epoch"] == epoch and (e["witnessed"] or 0) >= least for e in self.epochs())

        wait_until(there, f"{least} entries of {epoch} cosigned; {self.epochs()}", 60.0)

    def entries(self, epoch: str) -> list[bytes]:
        address = f"{self.hub.url}/api/v1/gateways/{GATEWAY}/entries?epoch={epoch}&first=0&count=5000"
        try:
            with urllib.request.urlopen(address) as answer:
                return list(answer.read().splitlines())
        except urllib.error.HTTPError:  # it has not heard of that epoch yet
            return []

    def alarms(self) -> set[str]:
        return {alarm["kind"] for alarm in self.get("/alarms")["alarms"]}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(site, "PROGRAM", site.program(tmp_path, SOON))
    with Place(tmp_path) as running:
        yield running


@pytest.fixture
def signer(tmp_path: Path) -> Iterator[SignerProcess]:
    (tmp_path / "old").mkdir()
    running = SignerProcess(tmp_path / "old")
    yield running
    running.kill()


def epoch_of(gateway: Gateway) -> tuple[str, int]:
    with closing(Reading(gateway.state)) as reading:
        newest = reading.known_epochs()[-1]
        return newest.epoch, newest.size


def first_entries(place: Place, epoch: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The new epoch's snapshot and its event of what was laid down."""
    wait_until(lambda: any(b'"restored"' in entry for entry in place.entries(epoch)), "the restored event at the hub", 40.0)
    entries = [json.loads(entry) for entry in place.entries(epoch)]
    return entries[0], next(e for e in entries if e.get("event") == "restored")


def test_a_restored_gateway_goes_on_in_a_new_epoch_that_a_person_accepts(place: Place, signer: SignerProcess) -> None:
    gateway = place.machine("site", signer)
    file = place.folder / "tlf-007.backup"
    with gateway:
        place.register(gateway)
        epoch, _ = epoch_of(gateway)
        place.witnessed(epoch)
        before = epoch_of(gateway)[1]
        taken = gateway.verb("backup", str(file), "--json")
        assert taken.returncode == 0, taken.stderr
        told = json.loads(taken.stdout)
        assert (told["epoch"], told["size"] >= before) == (epoch, True)
        assert gateway.verb("backup", str(file)).returncode == 1, "never over another file"
        place.witnessed(epoch, told["size"] + 10)
        assert gateway.verb("restore", str(file), "--reason", "x", "--keep-config").returncode == 7, "a gateway runs there"
    held = place.entries(epoch)
    assert len(held) > told["size"]
    assert gateway.verb("restore", str(file), "--reason", "x", "--keep-config").returncode == 1, "nothing is laid over a record"
    shutil.rmtree(gateway.state)  # the card died
    assert gateway.verb("restore", str(file), "--reason", "x").returncode == 1, "nor over a configuration"
    assert not gateway.state.exists() or not (gateway.state / "journal.sqlite").exists()
    shutil.rmtree(gateway.state, ignore_errors=True)
    configuration = gateway.config.read_text()
    gateway.config.unlink()
    shutil.rmtree(gateway.folder / "rules")
    done = gateway.verb("restore", str(file), "--reason", "the card died")
    assert done.returncode == 0, done.stderr
    assert f"gateways accept {GATEWAY}" in done.stderr
    assert gateway.config.read_text() == configuration
    new, size = epoch_of(gateway)
    assert (new != epoch, size) == (True, 0)
    with gateway:
        snapshot, event = first_entries(place, new)
        assert (snapshot["previous"]["epoch"], snapshot["previous"]["size"], snapshot["previous"]["reason"]) == (epoch, told["size"], "restore")
        assert (event["why"], event["reason"], event["new"], bool(event["by"])) == ("the card died", "restore", new, True)
        assert event["old"] == {"epoch": epoch, "size": told["size"]}
        pending = json.loads(place.hub_verb("gateways", "list", "--json"))["gateways"][0]["pending"]
        assert pending == [new]
        place.hub_verb("gateways", "accept", GATEWAY, new, "--reason", "a new card, told by Li")
        place.witnessed(new, 5)
    verified = gateway.verb("journal", "verify", "--json")
    assert (verified.returncode, json.loads(verified.stdout)["outcome"]) in {(0, "verified"), (3, "cannot-decide")}, verified
    assert {e["epoch"] for e in json.loads(verified.stdout)["epochs"]} == {epoch, new}
    assert place.entries(epoch) == held, "what the hub held of the old epoch is as it was"
    assert {e["epoch"] for e in place.epochs()} == {epoch, new}
    assert all(e["closed_at"] is None for e in place.epochs())
    assert place.alarms() <= {"roll-back", "dark"}
    assert not (gateway.state / "restored.json").exists()
    with gateway:  # once more: the event is told once
        pass
    assert sum(b'"event":"restored"' in entry for entry in place.entries(new)) == 1


def test_new_hardware_goes_on_from_the_hubs_checkpoint_with_a_key_that_a_person_registers(place: Place, signer: SignerProcess) -> None:
    old = place.machine("old-board", signer)
    with old:
        place.register(old)
        epoch, _ = epoch_of(old)
        place.witnessed(epoch)
        place.plant.set(1, THAWED)
        old.wait(lambda: any(v["level"] == "violation" for v in old.status()["violations"]), "what is open when the board burns")
    held = place.entries(epoch)
    note = place.folder / "hub.note"
    with urllib.request.urlopen(f"{place.hub.url}/api/v1/gateways/{GATEWAY}/checkpoint") as answer:
        note.write_bytes(answer.read())
    (place.folder / "new").mkdir()
    other = SignerProcess(place.folder / "new")
    try:
        new_board = place.machine("new-board", other)
        forged = place.folder / "forged.note"
        forged.write_bytes(note.read_bytes().replace(b" regulator-hub ", b" somebody-else "))
        assert forged.read_bytes() != note.read_bytes()
        assert new_board.verb("replace", "--checkpoint", str(forged), "--reason", "x").returncode == 1
        assert new_board.verb("replace", "--reason", "x").returncode == 1
        done = new_board.verb("replace", "--checkpoint", str(note), "--reason", "the board burnt", "--json")
        assert done.returncode == 0, done.stderr
        told, size = json.loads(done.stdout), Checkpoint.parse(Note.parse(note.read_bytes()).text).size
        assert told["old"] == {"epoch": epoch, "size": size}
        with new_board:
            snapshot, event = first_entries(place, told["new"])
            assert snapshot["previous"]["reason"] == "replacement"
            assert (snapshot["previous"]["epoch"], snapshot["previous"]["size"]) == (epoch, size)
            assert (event["why"], event["reason"]) == ("the board burnt", "replacement")
            (recalled,) = [e for e in map(json.loads, place.entries(told["new"])) if e.get("event") == "state-recalled"]
            assert (recalled["epoch"], recalled["size"]) == (epoch, len(held)), "what is open goes on, beyond the checkpoint too"
            assert snapshot["state"]["numbers"] == {"violation": 1}
            assert [each["violation"] for each in snapshot["state"]["violations"]] == [f"{GATEWAY}-1"]
            wait_until(lambda: "foreign-key" in place.alarms(), "the new key is foreign until a person registers it", 40.0)
            place.register(new_board, "--replace", "--reason", "a new board, key read at the site")
            place.hub_verb("gateways", "accept", GATEWAY, told["new"], "--reason", "a new board")
            place.witnessed(told["new"], 5)
    finally:
        other.kill()
    verified = new_board.verb("journal", "verify", "--json")
    assert json.loads(verified.stdout)["outcome"] != "broken", verified
    assert place.entries(epoch) == held
    assert all(e["closed_at"] is None for e in place.epochs())


def test_a_backup_that_is_not_whole_or_was_altered_is_refused_before_anything_is_touched(tmp_path: Path) -> None:
    with Plant() as plant:
        (tmp_path / "a").mkdir()
        gateway = Gateway(tmp_path / "a", config_text(plant.port))
        with gateway:
            gateway.wait(lambda: gateway.status().get("points", {}).get("normal") == 3, "all points are read")
            file = tmp_path / "whole.backup"
            assert gateway.verb("backup", str(file)).returncode == 0
    with tarfile.open(file) as archive:
        names = archive.getnames()
    assert names[-1] == "backup.json"
    assert {"state/journal.sqlite", "config/gateway.toml", "config/rules/house.toml"} <= set(names)
    assert not [name for name in names if "lock" in name or "ballast" in name or "token" in name or "sock" in name]
    assert file.stat().st_mode & 0o777 == 0o600
    whole = file.read_bytes()
    (tmp_path / "b").mkdir()
    empty = Gateway(tmp_path / "b", config_text(1))
    at = whole.index(b"SQLite format 3") + 5000
    bad = {
        "cut": whole[: len(whole) // 2], "cut at the end": whole[: whole.rindex(b"backup.json")], "nothing": b"", "a bit": whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :],
    }  # fmt: skip
    for what, data in bad.items():
        spoiled = tmp_path / "spoiled.backup"
        spoiled.write_bytes(data)
        refused = empty.verb("restore", str(spoiled), "--reason", "x", "--keep-config")
        assert (refused.returncode, "Traceback" in refused.stderr) == (1, False), (what, refused)
        assert not empty.state.exists() or not list(empty.state.glob("journal*")), what
    assert empty.verb("restore", str(file), "--reason", "x", "--keep-config").returncode == 0


def test_members_outside_their_place_are_refused(tmp_path: Path) -> None:
    for name in ("state/../../etc/passwd", "/etc/passwd", "state", "config/.hidden", "other/x"):
        file = tmp_path / "bad.backup"
        with tarfile.open(file, "w") as archive:
            archive.addfile(tarfile.TarInfo(name))
        with pytest.raises(backup.GatewayError, match="no member of a backup"):
            backup.manifest_of(file)


def test_a_segment_that_is_freed_meanwhile_is_no_hole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Retention removes a file between the view of the database and its copy: a newer view is taken."""
    with Plant() as plant:
        gateway = Gateway(tmp_path, config_text(plant.port))
        with gateway:
            gateway.wait(lambda: gateway.status().get("points", {}).get("normal") == 3, "all points are read")
    views = []
    real = backup._view

    def view(state_dir: Path, database: Path) -> dict[str, Any]:
        found = real(state_dir, database)
        views.append(found)
        if len(views) == 1:
            found["files"] = {"state/segments/0123456789abcdef/000000000000.ndjson.gz": state_dir / "segments" / "gone"}
        return found

    monkeypatch.setattr(backup, "_view", view)
    manifest = backup.take(gateway.state, gateway.config, tmp_path / "x.backup", {"made_us": 1, "gateway": "g"})
    assert len(views) == 2
    assert not [name for name in manifest["members"] if name.startswith("state/segments/")]
    assert (tmp_path / "x.backup").exists()
