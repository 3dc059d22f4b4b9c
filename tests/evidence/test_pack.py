"""A pack made out of a record is verified for the period that it claims, by keys from outside only; what was done to it is found."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import orjson
import pytest

from edge_gateway.cli.main import run as cli
from edge_gateway.evidence.check import check
from edge_gateway.evidence.judge import Asked, Verdict
from edge_gateway.evidence.zipped import Writer
from edge_gateway.journal.retention import JournalSettings
from edge_gateway.journal.store import open_journal
from edge_gateway.testing import FakeClock
from tests.evidence.record import GATEWAY, HUB, Epoch, entries, pack, write
from tests.journal.entries import BEGAN_US

BEGAN_S = BEGAN_US // 1_000_000
FIRST = Epoch("00000000000000e1", entries(21), [(5, BEGAN_S + 6), (21, BEGAN_S + 22)])
PREVIOUS = {"epoch": FIRST.name, "size": 21, "root": FIRST.root(21), "reason": "restore"}
SECOND = Epoch(
    "00000000000000e2",
    entries(29, previous=PREVIOUS, began=100),
    [(9, BEGAN_S + 110), (16, None), (27, BEGAN_S + 128), (29, None)],
)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("record") / "state", [FIRST, SECOND])


def judged(data: bytes, key: object = GATEWAY.key, witness: object = HUB.key, against: bytes | None = None) -> Verdict:
    return check(io.BytesIO(data), Asked(key and str(key), witness and str(witness), against))


def s(seconds: int) -> int:
    return BEGAN_US + seconds * 1_000_000


@pytest.mark.parametrize(
    ("asked", "claimed", "segments"),
    [
        ((-(2**61), 2**61), (s(0), s(126)), 7),
        ((s(3), s(12)), (s(3), s(12)), 2),
        ((s(105), s(110)), (s(105), s(110)), 2),
        ((s(15), s(110)), (s(15), s(110)), 4),
        ((s(120), s(200)), (s(120), s(126)), 2),
    ],
)
def test_a_period_is_carried_claimed_and_verified(state: Path, asked: tuple[int, int], claimed: tuple[int, int], segments: int) -> None:
    data, made = pack(state, *asked)
    claim = made.manifest.claim
    assert claim is not None
    assert (claim.from_us, claim.to_us) == claimed
    with zipfile.ZipFile(io.BytesIO(data)) as zipped:  # any zip program reads it
        assert zipped.testzip() is None
        names = zipped.namelist()
        assert sum(name.startswith("segments/") for name in names) == segments
        for name in names:
            if name.startswith("segments/") and (state / name).exists():
                assert zipped.read(name) == (state / name).read_bytes()
    verdict = judged(data)
    assert (verdict.outcome, verdict.code) == ("verified", "")
    assert verdict.throughs[-1].time_s in (BEGAN_S + 22, BEGAN_S + 128)


def test_keys_come_from_outside(state: Path) -> None:
    data, _ = pack(state)
    assert (judged(data, None, None).outcome, judged(data, None, None).code) == ("cannot-decide", "unknown-key")
    assert judged(data, GATEWAY.key, None).code == "unknown-witness"


def test_what_a_file_says_of_itself_steers_no_terminal(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, _ = pack(state)
    file = tmp_path / "pack.zip"
    file.write_bytes(data.replace(b"hub.example.org ", b"hub\xc2\x9bexampl\xc2\x9boo "))  # a control sequence introducer
    assert cli(["journal", "verify", str(file), "--key", str(GATEWAY.key)]) == 3
    said = capsys.readouterr().out
    assert "unknown key hub?exampl?oo" in said
    assert "\x9b" not in said


def test_keys_that_served_are_named_by_the_lines_that_they_signed(state: Path) -> None:
    data, _ = pack(state)
    with zipfile.ZipFile(io.BytesIO(data)) as zipped:
        told = orjson.loads(zipped.read("keys.json"))
    assert [each["vkey"] for each in told["keys"]] == [str(GATEWAY.key), str(HUB.key)]
    served = [(each["name"], each["epoch"], each["first_size"], each["last_size"]) for each in told["history"]]
    assert ("hub.example.org", SECOND.name, 9, 27) in served
    assert (f"{GATEWAY.key.name}/{FIRST.name}", FIRST.name, 5, 21) in served


def test_while_the_signer_is_away_the_hubs_key_is_named_all_the_same(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "token").write_text("t" * 40)
    (tmp_path / "token").chmod(0o600)
    config = tmp_path / "gateway.toml"
    config.write_text(
        '[site]\nid = "tlf-007"\norigin = "example.org/xj"\nname_zh = "示例"\nname_en = "Sample"\n'
        f'[signer]\nsocket = "{tmp_path / "nobody.sock"}"\n'
        f'[sinks.hub]\nkind = "hub"\nurl = "http://127.0.0.1:9"\ntoken_file = "token"\nvkey = "{HUB.key}"\n'
    )
    file = tmp_path / "pack.zip"
    cli(["--state", str(state), "--config", str(config), "--lang", "en", "journal", "export", "--out", str(file)])
    assert "the pack names no keys, or not all" in capsys.readouterr().err
    with zipfile.ZipFile(file) as zipped:
        (named,) = orjson.loads(zipped.read("keys.json"))["keys"]
    assert named == {"role": "witness", "vkey": str(HUB.key), "fingerprint": HUB.key.fingerprint}


@pytest.mark.parametrize("given_up", [True, False], ids=["gone for good", "waits for the hub"])
async def test_a_record_with_a_damaged_segment_is_exported_and_the_hole_is_told(given_up: bool, tmp_path: Path) -> None:
    """Planted: a segment moved aside, whose entries the hub has not given back (yet)."""
    write(tmp_path, [Epoch("00000000000000e1", entries(44), [(40, BEGAN_S + 41)])])
    settings = JournalSettings(max_bytes=1 << 30, segment_entries=8, hub_name="hub", sinks=("hub",))
    store = await open_journal(tmp_path, settings=settings, clock=FakeClock())
    await store.set_aside("00000000000000e1", 24)
    if given_up:
        await store.give_up("00000000000000e1", 24)
    await store.close()
    data, made = pack(tmp_path)
    assert len(made.damaged) == 1
    assert "24" in made.damaged[0]
    assert (judged(data).outcome, judged(data).code) == ("cannot-decide", "hole")
    data, made = pack(tmp_path, s(33), s(38))  # behind it all is as it was
    assert (made.damaged, judged(data).outcome) == ([], "verified")


def test_a_record_that_begins_anew_speaks_for_nothing_before(tmp_path: Path) -> None:
    """Planted: a manifest that claims a month for a record whose earlier part was lost, or removed."""
    write(tmp_path, [FIRST])
    data, _ = pack(tmp_path)
    with zipfile.ZipFile(io.BytesIO(data)) as zipped:
        members = {name: zipped.read(name) for name in zipped.namelist()}
    told = orjson.loads(members["manifest.json"])
    assert (judged(data).outcome, told["claim"]["from_us"]) == ("verified", s(0))
    told["claim"]["from_us"] = s(-30 * 86_400)
    forged = io.BytesIO()
    writer = Writer(forged, 0)
    for name, member in (members | {"manifest.json": orjson.dumps(told)}).items():
        writer.add(name, member)
    writer.close()
    assert judged(forged.getvalue()).code == "begins-later"
