"""A violation from alarm to closing by commands only, against a running gateway: photo, return, second person, finding, withdrawal."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_gateway.journal.reading import Reading
from tests.cli.site import FROZEN, THAWED, Gateway, Plant, peopled

SECRETS = {"wang": "the store is cold again", "李敏": "seven quiet geese fly"}
PICTURE = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 40


@pytest.fixture(scope="module")
def plant() -> Iterator[Plant]:
    with Plant() as found:
        yield found


@pytest.fixture
def gateway(plant: Plant, tmp_path: Path) -> Iterator[Gateway]:
    with peopled(tmp_path, plant, SECRETS) as found:
        yield found


Done = subprocess.CompletedProcess[str]


def step(gateway: Gateway, verb: str, *more: str, as_: str = "", secret: str = "") -> Done:
    """A verb with a reason; ``as_`` proves who takes it, by the file that has their secret."""
    proof = ("--as", as_, "--secret-file", str(gateway.folder / (secret or as_))) if as_ else ()
    return gateway.verb("violations", verb, *more, "--reason", f"because of {verb}", *proof)


def open_(gateway: Gateway) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(gateway.verb("violations", "list", "--json").stdout)["violations"]
    return found


def broken(gateway: Gateway, plant: Plant, *, still: bool = False) -> str:
    plant.set(2, THAWED)
    gateway.wait(lambda: gateway.status()["points"]["violation"] == 1, "a violation")
    if not still:
        plant.set(2, FROZEN)
        gateway.wait(lambda: gateway.status()["points"]["normal"] == 3, "recovery")
    return str(open_(gateway)[0]["violation"])


def refused(done: Done, why: str) -> None:
    assert (done.returncode, why in done.stderr) == (1, True), (done.returncode, done.stdout, done.stderr)


def entries(gateway: Gateway) -> list[dict[str, Any]]:
    with contextlib.closing(Reading(gateway.state)) as journal:
        return [entry for _, entry in journal.entries() if entry["kind"] in ("violation", "event")]


def test_from_alarm_to_closed_by_a_second_person(gateway: Gateway, plant: Plant) -> None:
    id_ = broken(gateway, plant)
    (gateway.folder / "seal.jpg").write_bytes(PICTURE)
    assert "(claimed)" in step(gateway, "ack", id_, "--by", "wang").stdout
    refused(step(gateway, "submit", id_), "not assessed")
    photo = ("--photo", str(gateway.folder / "seal.jpg"))
    done = step(gateway, "correct", id_, "--cause", "door", "--no-lots", "--product", "isolated:120.5", *photo)
    assert done.returncode == 0, done.stderr
    assert "correcting" in done.stdout
    assert step(gateway, "submit", id_, as_="wang").returncode == 0
    assert "(proven)" in step(gateway, "return", id_, as_="李敏").stdout
    gateway.stop()
    gateway.start()
    gateway.wait(lambda: gateway.status().get("points", {}).get("normal") == 3, "all points within limits")
    assert [each["handling"] for each in open_(gateway)] == ["correcting"], "a restart changes nothing"
    assert step(gateway, "submit", id_, as_="wang").returncode == 0
    refused(step(gateway, "close", id_), "a name alone")
    refused(step(gateway, "close", id_, "--by", "李敏"), "a name alone")
    refused(step(gateway, "close", id_, as_="wang"), "wang submitted it")
    refused(step(gateway, "close", id_, as_="李敏", secret="wang"), "do not belong together")
    shown = gateway.verb("violations", "show", id_).stdout
    assert "isolated 120.5 kg" in shown, shown
    assert "verify by" in shown
    assert "returned" in shown
    assert "photos 1" in shown
    assert "整改" in gateway.verb("violations", "show", id_, "--lang", "zh").stdout
    assert step(gateway, "close", id_, as_="李敏").returncode == 0
    assert open_(gateway) == []
    refused(step(gateway, "ack", id_), "is closed")
    gateway.stop()
    taken = [entry for entry in entries(gateway) if entry["kind"] == "violation" and "proof" in entry]
    assert [(each["step"], each["by"], each["proof"]) for each in taken][1:] == [
        ("correcting", taken[1]["by"], "claimed"), ("submitted", "wang", "secret"), ("returned", "李敏", "secret"),
        ("submitted", "wang", "secret"), ("closed", "李敏", "secret"),
    ]  # fmt: skip
    assert [len(each.get("photos", ())) for each in taken] == [0, 1, 0, 0, 0, 0]
    assert len({(each["opened"]["epoch"], each["opened"]["seq"]) for each in taken}) == 1
    told = [entry for entry in entries(gateway) if entry.get("event") == "proof-failed"]
    assert [(each["name"], each["what"]) for each in told] == [("李敏", f"close {id_}")]
    everything = b"".join(path.read_bytes() for path in gateway.folder.rglob("*") if path.is_file() and path.name not in SECRETS)
    assert not any(secret.encode() in everything for secret in SECRETS.values()), "no secret in a log, an entry or a file"


def test_a_finding_of_a_person(gateway: Gateway) -> None:
    done = step(gateway, "open", "--title", "cracked tile", "--severity", "minor", "--zone", "cold1")
    assert done.returncode == 0, done.stderr
    id_ = done.stdout.split()[0]
    refused(step(gateway, "open", "--title", "x", "--severity", "minor", "--zone", "attic"), "no zone")
    assert step(gateway, "ack", id_).returncode == 0
    assert step(gateway, "correct", id_, "--cause", "other", "--no-lots", "--product", "none").returncode == 0
    assert step(gateway, "submit", id_, "--by", "wang").returncode == 0
    refused(step(gateway, "close", id_), "a name alone")
    assert step(gateway, "close", id_, as_="李敏").returncode == 0
    assert open_(gateway) == []
    gateway.stop()
    steps = [(each["step"], each["condition"]) for each in entries(gateway) if each.get("violation") == id_]
    assert steps[-2:] == [("recovered", "recovered"), ("closed", "recovered")]
    assert steps[0] == ("violated", "active")


def test_a_withdrawal_needs_two_and_what_still_holds_opens_anew(gateway: Gateway, plant: Plant) -> None:
    id_ = broken(gateway, plant, still=True)
    assert step(gateway, "withdraw", id_, as_="wang").returncode == 0
    refused(step(gateway, "withdraw", id_, "--confirm", as_="wang"), "wang asked")
    assert step(gateway, "withdraw", id_, "--confirm", as_="李敏").returncode == 0
    gateway.wait(lambda: any(each["violation"] != id_ and each["level"] == "violation" for each in open_(gateway)), "a new one")
    (new,) = open_(gateway)
    assert (new["follows"]["violation"], new["follows"]["how"]) == (id_, "withdrawn")
    gateway.kill()
    gateway.start()
    gateway.wait(lambda: gateway.status().get("points", {}).get("violation") == 1, "it goes on")
    (same,) = open_(gateway)
    assert (same["violation"], same["first"], same["opened"], same["follows"]) == (new["violation"], new["first"], new["opened"], new["follows"])


def test_people_are_few_known_and_on_record(gateway: Gateway) -> None:
    listed = json.loads(gateway.verb("people", "list", "--json").stdout)["people"]
    assert listed == [{"name": "wang", "role": "quality"}, {"name": "李敏", "role": "quality"}]
    refused(gateway.verb("people", "remove", "nobody", "--reason", "x"), "nobody is called")
    assert gateway.verb("people", "remove", "wang", "--reason", "left").returncode == 0
    nobody = step(gateway, "ack", "tlf-007-9", as_="wang")
    refused(nobody, "do not belong together")
    people = gateway.state / "people.toml"
    text = people.read_text(encoding="utf-8")
    assert "scrypt$" in text
    people.chmod(0o644)
    refused(step(gateway, "ack", "tlf-007-9", as_="李敏"), "chmod 600")
    people.chmod(0o600)
    people.write_text("", encoding="utf-8")
    refused(step(gateway, "ack", "tlf-007-9", as_="李敏"), "do not belong together")
    gateway.stop()
    changed = [(each["by"], sorted(each["old"]), sorted(each["new"])) for each in entries(gateway) if each.get("event") == "people-changed"]
    assert changed[-1] == ("people.toml", ["李敏"], []), "what was changed by hand is on record"
    assert [new for _, _, new in changed] == [["wang"], ["wang", "李敏"], ["李敏"], []]


def test_without_a_terminal_the_secret_comes_from_a_file_only(gateway: Gateway) -> None:
    asked = gateway.verb("violations", "ack", "tlf-007-1", "--reason", "x", "--as", "wang")
    assert (asked.returncode, "--secret-file" in asked.stderr) == (2, True)
    both = gateway.verb("violations", "ack", "tlf-007-1", "--reason", "x", "--as", "wang", "--by", "li")
    assert both.returncode == 2


def test_one_that_is_over_is_shown_with_every_step_out_of_the_record_also_without_a_gateway(gateway: Gateway, plant: Plant) -> None:
    id_ = broken(gateway, plant)
    assert step(gateway, "ack", id_, as_="wang").returncode == 0
    done = gateway.verb("violations", "show", id_, "--steps", "--json")
    assert done.returncode == 0, done.stderr
    running = json.loads(done.stdout)
    assert running["violation"]["handling"] == "acknowledged"
    assert "steps" not in json.loads(gateway.verb("violations", "show", id_, "--json").stdout)
    assert step(gateway, "correct", id_, "--cause", "door", "--no-lots", "--product", "none").returncode == 0
    assert step(gateway, "submit", id_, as_="wang").returncode == 0
    assert step(gateway, "close", id_, as_="李敏").returncode == 0
    for stopped in (False, True):
        if stopped:
            gateway.stop()
        done = gateway.verb("violations", "show", id_, "--json")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        record = found["violation"]
        assert (record["handling"], record["condition"], record["violation"]) == ("closed", "recovered", id_)
        assert record["assessment"]["cause"] == "door"
        assert (found["whole"], found["unread"]) == (True, [])
        recorded = [(entry["seq"], entry["step"]) for entry in entries(gateway) if entry["kind"] == "violation" and entry["violation"] == id_] if stopped else []
        assert not stopped or [(each["seq"], each["step"]) for each in found["steps"]] == recorded
        assert [each["step"] for each in found["steps"]][-4:] == ["acknowledged", "correcting", "submitted", "closed"]
        assert found["steps"][: len(running["steps"])] == running["steps"]
        text = gateway.verb("violations", "show", id_, "--lang", "en").stdout
        assert "recovered / closed" in text, text
        assert "because of close" in text
        assert "verify by" not in text, "nothing is due any more"
        assert "全部步骤" in gateway.verb("violations", "show", id_, "--lang", "zh").stdout
        refused(gateway.verb("violations", "show", f"{id_}9"), "is in the record that is kept here")
