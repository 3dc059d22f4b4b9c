"""Records of lots at a running gateway, only by the commands: intake to dispatch, what is refused, photos, a kill, the trace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.cli.site import FROZEN, THAWED, Gateway, Plant, config_text
from tests.regulator_hub.harness import HubProcess, registered

PICTURE = b"\xff\xd8\xff\xe1\x00\x18Exif\x00\x00" + bytes(range(256)) * 900
WASH = '\n[zones.wash]\nstage = "washing"\nkind = "cleaning-line"\nname_zh = "清洗间"\nname_en = "Washing hall"\n'


@pytest.fixture(scope="module")
def plant() -> Iterator[Plant]:
    with Plant() as running:
        yield running


@pytest.fixture
def gateway(tmp_path: Path, plant: Plant) -> Iterator[Gateway]:
    plant.set(1, FROZEN)
    with Gateway(tmp_path, config_text(plant.port, more=WASH)) as running:
        running.wait(lambda: any(row.get("value") is not None for row in running.status()["rows"]), "a reading")
        yield running


def ok(gateway: Gateway, *arguments: str) -> dict[str, Any]:
    done = gateway.verb("record", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def no(gateway: Gateway, *arguments: str) -> str:
    done = gateway.verb("record", *arguments)
    assert done.returncode == 1, (done.stdout, done.stderr)
    return done.stderr


def intake(gateway: Gateway, lot: str, *more: str) -> dict[str, Any]:
    return ok(gateway, "intake", lot, "--product", "tripe", "--supplier", "Slaughterhouse 3", "--kg", "120", "--zone", "cold1", *more)


def test_from_intake_to_dispatch_with_what_it_met(gateway: Gateway, plant: Plant) -> None:
    photo = gateway.folder / "certificate.jpg"
    photo.write_bytes(PICTURE)
    came = intake(gateway, "A-1", "--certificate", "6501-42", "--slip", "S-118", "--temperature", "cold1-air", "--photo", str(photo))
    told = came["temperature"]
    assert (told["point"], told["value"], told["unit"], told["quality"]) == ("cold1-air", -19.0, "Cel", "good")
    assert 0 <= told["age_us"] < 10_000_000
    entry = reading_at(gateway, told["entry"])
    assert entry["kind"] == "batch"
    assert -19.0 in entry["values"]
    assert (gateway.state / "photos" / came["photos"][0]["sha256"]).read_bytes() == PICTURE

    plant.set(1, THAWED)
    gateway.wait(lambda: any(v["level"] == "violation" for v in gateway.status()["violations"]), "a violation")
    plant.set(1, FROZEN)
    gateway.wait(lambda: all(v["condition"] == "recovered" for v in gateway.status()["violations"]), "it recovers")
    (violation,) = (v["violation"] for v in gateway.status()["violations"])
    shown = json.loads(gateway.verb("violations", "show", violation, "--json").stdout)
    assert shown["lots"] == ["A-1"]
    assert "lots       A-1" in gateway.verb("violations", "show", violation).stdout
    intake(gateway, "A-2", "--certificate", "6501-43")  # after it
    assert json.loads(gateway.verb("violations", "show", violation, "--json").stdout)["lots"] == ["A-1"]

    made = ok(gateway, "lot", "W-1", "--from", "A-1=100.5", "--kg", "98", "--zone", "wash")
    assert made["from"] == {"A-1": 100_500}
    assert "missing slip" in no(gateway, "dispatch", "W-1", "--receiver", "Restaurant 7")
    assert "98 kg are left" in no(gateway, "dispatch", "W-1", "--receiver", "Restaurant 7", "--slip", "O-7", "--kg", "98.001")
    gateway.signal(9)  # a kill: the next run goes on from the record
    gateway.kill()
    gateway.start()
    gone = ok(gateway, "dispatch", "W-1", "--receiver", "Restaurant 7", "--slip", "O-7")
    assert gone["record"] == came["record"].replace("-R1", "-R4")
    assert "nothing is left of lot W-1" in no(gateway, "dispatch", "W-1", "--receiver", "x", "--slip", "y")

    trace = ok(gateway, "trace", "W-1")
    assert [lot["id"] for lot in trace["from"]] == ["A-1"]
    assert trace["from"][0]["supplier"] == "Slaughterhouse 3"
    assert [each["id"] for each in trace["from"][0]["met"]] == [violation]
    assert trace["lot"]["met"] == [], "it was made after it, and in another zone"
    assert [(each["receiver"], each["grams"]) for each in trace["dispatches"]] == [("Restaurant 7", 98_000)]
    gateway.stop()
    said = gateway.verb("record", "trace", "W-1").stdout  # offline too
    assert "Slaughterhouse 3" in said
    assert violation in said
    assert "Restaurant 7" in said


def reading_at(gateway: Gateway, where: list[Any]) -> dict[str, Any]:
    done = gateway.verb("journal", "prove", str(where[0]), str(where[1]), "--out", str(gateway.folder / "proof"))
    found: dict[str, Any] = json.loads((gateway.folder / "proof.json").read_text()) if done.returncode == 0 else {}
    if not found:  # unsigned: out of the journal itself
        from contextlib import closing

        from edge_gateway.journal.base import Position
        from edge_gateway.journal.reading import Reading

        with closing(Reading(gateway.state)) as reading:
            (data,) = reading.read(Position(where[0], where[1]), max_entries=1, max_bytes=1 << 20)
            found = json.loads(data)
    return found


def test_work_begins_without_a_certificate_only_with_a_reason_and_nothing_leaves_without_one(gateway: Gateway) -> None:
    intake(gateway, "B-1")
    assert "missing certificate" in no(gateway, "lot", "B-1", "--zone", "wash")
    done = ok(gateway, "lot", "B-1", "--zone", "wash", "--reason", "the certificate comes with the next lorry")
    assert done["lacking"] == ["certificate"]
    assert "missing certificate" in no(gateway, "dispatch", "B-1", "--receiver", "x", "--slip", "O-8", "--reason", "hurry")
    assert "needs a reason" in no(gateway, "dispatch", "B-1", "--receiver", "x", "--kg", "20", "--disposal")
    ok(gateway, "dispatch", "B-1", "--receiver", "Rendering plant", "--kg", "20", "--disposal", "--reason", "it fell on the floor")
    right = ok(
        gateway, "intake", "B-1", "--product", "tripe", "--supplier", "Slaughterhouse 3", "--kg", "120", "--zone", "cold1",
        "--certificate", "6501-43", "--corrects", done["record"].replace("-R2", "-R1"), "--reason", "it came with the lorry",
    )  # fmt: skip
    assert right["corrects"].endswith("-R1")
    ok(gateway, "dispatch", "B-1", "--receiver", "Restaurant 7", "--slip", "O-8")
    shown = gateway.verb("record", "show", right["record"]).stdout
    assert shown.count("intake") == 2, "the old one and the new one"


def test_what_expires_is_shown_and_a_restart_changes_nothing(gateway: Gateway) -> None:
    intake(gateway, "C-1", "--expires", "2020-01-31", "--certificate", "1")
    ok(gateway, "document", "health certificate", "H-9", "--holder", "Zhang", "--expires", "2020-02-01")
    listed = ok(gateway, "list")
    assert [item["expires"] for item in listed["expiring"]] == ["2020-01-31", "2020-02-01"]
    assert "EXPIRED" in gateway.verb("record", "list").stdout
    assert [item["days_left"] < 0 for item in gateway.status()["expiring"]] == [True, True]
    assert "expired: lot C-1" in gateway.status()["problems"]
    assert "health certificate H-9" in gateway.verb("status").stdout
    assert "unexpired" in no(gateway, "dispatch", "C-1", "--receiver", "x", "--slip", "s")
    gateway.stop()
    gateway.start()
    again = ok(gateway, "list")
    assert {**again, "today": ""} == {**listed, "today": ""}
    ok(gateway, "void", listed["records"][0]["record"], "--reason", "recorded twice")
    assert ok(gateway, "list")["lots"] == []
    gateway.kill()
    gateway.start()
    assert ok(gateway, "list")["lots"] == []


def test_the_hub_has_the_photo_and_gives_its_receipt(tmp_path: Path, plant: Plant) -> None:
    hub = HubProcess(tmp_path / "hub")
    (tmp_path / "token").write_text(registered(hub.state_dir))
    (tmp_path / "token").chmod(0o600)
    more = f'{WASH}\n[sinks.hub]\nkind = "hub"\nurl = "{hub.url}"\ntoken_file = "token"\n'
    with Gateway(tmp_path, config_text(plant.port, more=more)) as gateway:
        (tmp_path / "c.jpg").write_bytes(PICTURE)
        came = intake(gateway, "A-1", "--photo", str(tmp_path / "c.jpg"))  # the hub is away
        name = came["photos"][0]["sha256"]
        with hub:
            gateway.wait(lambda: gateway.status()["sinks"]["hub"]["photo_receipts"]["held"] == 1, "the hub's receipt", 40)
            with urlopen(f"{hub.url}/api/v1/photos/{name}", timeout=10) as answer:
                assert answer.read() == PICTURE
        assert name in gateway.status()["sinks"]["hub"]["photo_receipts"]["newest"]


def test_a_pack_s_requirement_holds_where_the_site_asks_for_nothing(tmp_path: Path, plant: Plant) -> None:
    plant.set(1, FROZEN)
    text = config_text(plant.port, more="[records]\nstart_requires = []\ndispatch_requires = []\n").replace('packs = ["house"]', 'packs = ["house", "offal-cooling"]')
    with Gateway(tmp_path, text) as gateway:
        gateway.wait(lambda: gateway.status().get("points", {}).get("normal") == 3, "readings")
        intake(gateway, "L1")
        assert "lot L1 cannot be dispatched: missing certificate, slip" in no(gateway, "dispatch", "L1", "--receiver", "R")
        asked = json.loads(gateway.verb("record", "list", "--json").stdout)["requires"]
        assert (asked["start"], asked["dispatch"], {each["pack"] for each in asked["packs"]}) == (["certificate"], ["certificate", "slip"], {"offal-cooling"})
        gateway.verb("phase", "next")
        shown = gateway.verb("phase", "show").stdout
        assert "[!] material-certificate" in shown
        assert "[!] lot L1: missing certificate" in shown
        assert "[!] 批次 L1: 缺少 检疫证明" in gateway.verb("--lang", "zh", "phase", "show").stdout
