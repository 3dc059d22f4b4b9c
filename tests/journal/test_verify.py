"""A record at rest against itself and against a signed checkpoint: whole ones pass, every planted tampering is found where it is.

The forger has the state folder and all our code: files, footers, checksums and the database are made anew around the forgery.
"""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import apsw
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_gateway.cli.main import run as cli
from edge_gateway.errors import JournalError
from edge_gateway.journal.core import Core
from edge_gateway.journal.files import DiskFiles
from edge_gateway.journal.retention import JournalSettings
from edge_gateway.journal.segments import segment_path, write_segment
from edge_gateway.journal.tail import Tail
from edge_gateway.journal.verify import check
from edge_gateway.journal.work import Append
from edge_gateway.record.checkpoint import Checkpoint, cosignature, cosigned_message
from edge_gateway.record.merkle import leaf_hash, tree_root
from edge_gateway.record.note import COSIGNATURE, ED25519, Key, Signature, note_bytes
from tests.journal.entries import batch, run

SEGMENT = 8
SETTINGS = JournalSettings(max_bytes=1 << 30, segment_entries=SEGMENT, hub_name="hub", sinks=("hub",))
FIRST, SECOND = "00000000000000e1", "00000000000000e2"
#: Two sealed segments and a short last one (closed); then three sealed segments and five open entries.
CLOSED, OPEN = run(0, 21, SEGMENT), run(0, 29, SEGMENT)
FIXTURE = Path(__file__).resolve().parents[1] / "fixtures" / "journal-v1" / "state"
LOG = "example.org/xj/tlf-007"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("original") / "state"
    ids = iter((FIRST, SECOND))
    core = Core(DiskFiles(), folder, SETTINGS, wall_us=lambda: 1_780_000_000_000_000, new_id=lambda: next(ids))
    core.open()
    assert core.commit([Append(first=0, entries=CLOSED)]) == [None]
    while core.seal():
        pass
    core.new_epoch("restore")
    assert core.commit([Append(first=0, entries=OPEN)]) == [None]
    while core.seal():
        pass
    core.close()
    return folder


@pytest.fixture
def copy(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "state"))


def root_of(entries: list[bytes]) -> str:
    return tree_root(map(leaf_hash, entries)).hex()


def forge(folder: Path, epoch: str, first: int, entries: list[bytes], *, database: bool = True) -> None:
    """A sealed segment written anew around other entries, the database made to agree."""
    segment = write_segment(DiskFiles(), folder, epoch, first, entries, 4)
    if not database:
        return
    tail = Tail(folder / "journal.sqlite")
    with tail.transaction():
        tail.put_segment(segment)
    tail.close()


def test_a_whole_record_has_the_roots_of_its_entries(copy: Path) -> None:
    found = check(copy)
    assert found.broken is None
    assert [(e.epoch, e.size, e.root, e.checked, e.kept) for e in found.epochs] == [
        (FIRST, 21, root_of(CLOSED), 21, 0),
        (SECOND, 29, root_of(OPEN), 29, 0),
    ]


def roots_at(folder: Path, size: int) -> dict[int, str]:
    return {at: root.hex() for at, root in check(folder, {SECOND: [size]}).epochs[1].roots.items()}


def test_the_root_at_any_earlier_size(copy: Path) -> None:
    for size in range(len(OPEN) + 1):
        assert roots_at(copy, size) == {size: root_of(OPEN[:size])}
    assert roots_at(copy, len(OPEN) + 1) == {}


def test_the_first_releases_record_is_whole(tmp_path: Path) -> None:
    found = check(Path(shutil.copytree(FIXTURE, tmp_path / "state")))  # a reader leaves SQLite's own files behind
    assert found.broken is None
    assert sum(each.checked for each in found.epochs) > 8192


def free(copy: Path, epoch: str, first: int) -> None:
    """As retention frees a segment."""
    tail = Tail(copy / "journal.sqlite")
    kept = next(tail.segments("WHERE s.epoch = ? AND s.first = ?", (epoch, first)))
    with tail.transaction():
        tail.put_segment(type(kept)(**{name: getattr(kept, name) for name in kept.__slots__} | {"freed": True}))
    tail.close()
    segment_path(copy, epoch, first).unlink()


def test_what_was_freed_is_known_by_its_root(copy: Path) -> None:
    free(copy, SECOND, 0)
    found = check(copy, {SECOND: [3]})
    assert found.broken is None
    assert [(e.size, e.root, e.checked, e.kept) for e in found.epochs][1] == (29, root_of(OPEN), 21, 8)
    assert found.epochs[1].roots == {}  # within a segment that is gone: not decidable


def test_a_closed_epochs_short_segment_that_was_freed_is_its_trees_right_edge(copy: Path) -> None:
    for first in (0, 8, 16):
        free(copy, FIRST, first)
    found = check(copy, {FIRST: [16, 21]})
    assert found.broken is None
    assert next((e.size, e.root, e.checked, e.kept) for e in found.epochs) == (21, root_of(CLOSED), 0, 21)
    assert found.epochs[0].roots == {16: bytes.fromhex(root_of(CLOSED[:16])), 21: bytes.fromhex(root_of(CLOSED))}


@pytest.mark.parametrize("seed", range(40))
def test_a_flipped_bit_in_a_segment_is_found_in_its_segment(copy: Path, seed: int) -> None:
    random_ = random.Random(seed)
    epoch, first = random_.choice([(FIRST, 0), (FIRST, 8), (FIRST, 16), (SECOND, 0), (SECOND, 8), (SECOND, 16)])
    path = segment_path(copy, epoch, first)
    data = bytearray(path.read_bytes())
    data[random_.randrange(len(data))] ^= 1 << random_.randrange(8)
    path.write_bytes(data)
    found = check(copy)
    if found.broken is None:  # a bit that means nothing: gzip's own header (time, system)
        assert [each.root for each in found.epochs] == [root_of(CLOSED), root_of(OPEN)]
    else:
        assert found.broken.epoch == epoch
        assert first <= found.broken.first <= found.broken.last <= first + 7


def test_a_forged_segment_with_right_checksums_is_found_by_its_root(copy: Path) -> None:
    forge(copy, SECOND, 8, [*OPEN[8:11], batch(11, salt="forged"), *OPEN[12:16]], database=False)
    broken = check(copy).broken
    assert broken is not None
    assert (broken.epoch, broken.first, broken.last) == (SECOND, 8, 15)
    assert "root" in broken.why


def test_entries_that_moved_are_found_where_they_are(copy: Path) -> None:
    forge(copy, SECOND, 8, [*OPEN[8:11], OPEN[12], OPEN[11], *OPEN[13:16]])
    broken = check(copy).broken
    assert broken is not None
    assert (broken.epoch, broken.first) == (SECOND, 11)
    assert "entry 12 stands in its place" in broken.why


def test_a_forged_closed_epoch_does_not_give_the_root_it_was_closed_with(copy: Path) -> None:
    forge(copy, FIRST, 8, [*CLOSED[8:11], batch(11, salt="forged"), *CLOSED[12:16]])
    broken = check(copy).broken
    assert broken is not None
    assert (broken.epoch, broken.first, broken.last) == (FIRST, 0, 20)


def test_a_missing_file_is_found(copy: Path) -> None:
    segment_path(copy, SECOND, 8).unlink()
    broken = check(copy).broken
    assert broken is not None
    assert (broken.first, broken.last) == (8, 15)


def test_an_altered_open_entry_is_found(copy: Path) -> None:
    database = apsw.Connection(str(copy / "journal.sqlite"))
    database.execute("UPDATE tail SET entry = ? WHERE seq = 26", (batch(26, salt="forged"),)).fetchall()
    database.close()
    broken = check(copy).broken
    assert broken is not None
    assert (broken.epoch, broken.first) == (SECOND, 24)  # the open entries are read together: the first of them


# --- by a checkpoint from elsewhere -------------------------------------------------------------------------------


def pair(name: str, kind: int, seed: int) -> tuple[Ed25519PrivateKey, Key]:
    private = Ed25519PrivateKey.from_private_bytes(bytes((seed,)) * 32)
    raw = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return private, Key(name, kind, raw)


GATEWAY, GATEWAY_KEY = pair(LOG, ED25519, 1)
HUB, HUB_KEY = pair("hub.example.org", COSIGNATURE, 2)


def checkpoint(folder: Path, size: int, entries: list[bytes], epoch: str = SECOND, *, cosigned: bool = True) -> Path:
    """A file with what the gateway signed of these entries, and the hub witnessed."""
    head = Checkpoint(f"{LOG}/{epoch}", size, tree_root(map(leaf_hash, entries[:size])))
    log = Key(head.origin, ED25519, GATEWAY_KEY.public)
    lines = [Signature(log.name, log.id, GATEWAY.sign(head.body().encode()))]
    if cosigned:
        lines.append(cosignature(HUB_KEY, 1_780_000_100, HUB.sign(cosigned_message(head.body(), 1_780_000_100))))
    path = folder / "newest.checkpoint"
    path.write_bytes(note_bytes(head.body(), lines))
    return path


def verdict(capsys: pytest.CaptureFixture[str], folder: Path, *options: str) -> tuple[int, dict[str, object]]:
    code = cli(["journal", "verify", str(folder), "--json", *options])
    said = capsys.readouterr().out
    return code, json.loads(said) if said else {}


def test_three_outcomes(copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = verdict(capsys, copy)
    assert (code, said["outcome"]) == (3, "cannot-decide")
    keys = ["--key", str(GATEWAY_KEY), "--witness", str(HUB_KEY)]
    for size in (1, 8, 17, 29):
        code, said = verdict(capsys, copy, "--against", str(checkpoint(tmp_path, size, OPEN)), *keys)
        assert (code, said["outcome"]) == (0, "verified"), said
        assert said["checkpoint"] == {"epoch": SECOND, "size": size, "witnessed_s": 1_780_000_100}
    segment_path(copy, SECOND, 8).unlink()
    code, said = verdict(capsys, copy, "--against", str(checkpoint(tmp_path, 29, OPEN)), *keys)
    assert (code, said["outcome"], said["at"]) == (1, "broken", {"epoch": SECOND, "first": 8, "last": 15})


def test_only_a_checkpoint_finds_a_forgery_that_agrees_with_itself(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forge(copy, SECOND, 8, [*OPEN[8:11], batch(11, salt="forged"), *OPEN[12:16]])
    assert check(copy).broken is None  # whole, and not what was signed
    keys = ["--key", str(GATEWAY_KEY), "--witness", str(HUB_KEY)]
    code, said = verdict(capsys, copy, "--against", str(checkpoint(tmp_path, 29, OPEN)), *keys)
    assert (code, said["outcome"], said["code"]) == (1, "broken", "against")
    assert "not those that were signed" in str(said["why"])
    code, said = verdict(capsys, copy, "--against", str(checkpoint(tmp_path, 8, OPEN)), *keys)
    assert code == 0  # and an older checkpoint, from before the forged entry, cannot know


def test_a_record_that_was_cut_back_is_found(copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = apsw.Connection(str(copy / "journal.sqlite"))
    database.execute("DELETE FROM tail WHERE seq >= 26").fetchall()
    database.close()
    assert check(copy).broken is None
    code, said = verdict(capsys, copy, "--against", str(checkpoint(tmp_path, 29, OPEN)), "--key", str(GATEWAY_KEY))
    assert (code, said["at"]) == (1, {"epoch": SECOND, "first": 26, "last": 28})
    code, said = verdict(capsys, copy, "--against", str(checkpoint(tmp_path, 3, OPEN, "00000000000000ff")), "--key", str(GATEWAY_KEY))
    assert (code, said["outcome"]) == (1, "broken")
    assert "no epoch" in str(said["why"])


def test_a_checkpoint_counts_by_keys_from_elsewhere_only(copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = checkpoint(tmp_path, 29, OPEN)
    _, stranger = pair(LOG, ED25519, 3)
    _, other_hub = pair("hub.example.org", COSIGNATURE, 4)
    _, elsewhere = pair("example.org/xj/other", ED25519, 1)
    (tmp_path / "key").write_text(f"{GATEWAY_KEY}\n")
    assert verdict(capsys, copy, "--against", str(file), "--key", str(tmp_path / "key"), "--witness", str(HUB_KEY))[0] == 0
    for options, wanted in (
        (["--key", str(stranger)], "against-unknown"),
        (["--key", str(elsewhere)], "against-unknown"),
        (["--key", str(GATEWAY_KEY), "--witness", str(other_hub)], "against-unknown"),
        (["--key", str(GATEWAY_KEY)], "unknown-witness"),
    ):
        code, said = verdict(capsys, copy, "--against", str(file), *options)
        assert (code, said["outcome"], said["code"]) == (3, "cannot-decide", wanted), options
    assert "hub.example.org+" in str(said["why"])
    for options in (["--key", "nonsense"], ["--key", str(GATEWAY_KEY), "--witness", str(GATEWAY_KEY)], ["--key", str(HUB_KEY)]):
        assert cli(["journal", "verify", str(copy), "--against", str(file), *options]) == 2, options
        assert "error" in capsys.readouterr().err
    file.write_bytes(file.read_bytes().replace(b"\n29\n", b"\n28\n"))
    assert verdict(capsys, copy, "--against", str(file), "--key", str(GATEWAY_KEY))[1]["code"] == "against-unknown"
    assert cli(["journal", "verify", str(copy), "--against", str(file)]) == 2


@pytest.mark.parametrize("verb", ["verify", "recompute", "gaps", "availability"])
def test_what_cannot_be_judged_never_ends_like_a_broken_record(verb: str, copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped folder, a record of a newer release; a database that does not open is damage, which only ``verify`` calls broken."""
    assert cli(["journal", verb, str(tmp_path / "nothing")]) == 2
    database = apsw.Connection(str(copy / "journal.sqlite"))
    database.execute("PRAGMA user_version = 99").fetchall()
    database.close()
    assert cli(["journal", verb, str(copy)]) == 3
    (copy / "journal.sqlite").write_bytes(b"no database at all" * 100)
    assert cli(["journal", verb, str(copy)]) == (1 if verb == "verify" else 3)
    assert capsys.readouterr().out == "", "no outcome is claimed"


def test_a_checkpoint_that_nobody_cosigned_counts_as_signed_only(copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = checkpoint(tmp_path, 29, OPEN, cosigned=False)
    assert cli(["journal", "verify", str(copy), "--against", str(file), "--key", str(GATEWAY_KEY)]) == 0
    assert f"complete through entry {SECOND}/28, not witnessed" in capsys.readouterr().out


def test_what_people_read(copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--against", str(checkpoint(tmp_path, 29, OPEN)), "--key", str(GATEWAY_KEY), "--witness", str(HUB_KEY)]
    assert cli(["journal", "verify", str(copy), *options]) == 0
    said = capsys.readouterr().out
    assert f"complete through entry {SECOND}/28, witnessed at 2026-05-28 20:28:20 +00:00" in said
    assert "\nVERIFIED\n" in said
    assert "does not prove" in said
    assert "no entry is vouched for" not in said
    assert cli(["journal", "verify", str(copy), "--lang", "zh"]) == 3
    said = capsys.readouterr().out
    assert "没有任何记录条目得到给出的公钥的担保" in said
    assert "无法判定" in said
    segment_path(copy, SECOND, 8).unlink()
    assert cli(["journal", "verify", str(copy), *options]) == 1
    said = capsys.readouterr().out
    assert "no entry is vouched for" in said, "how far it is complete is always said"
    assert f"BROKEN at {SECOND}/8–15" in said


def test_a_journal_whose_first_start_was_cut_off_is_none_yet(tmp_path: Path) -> None:
    Tail(tmp_path / "journal.sqlite").prepare()
    with pytest.raises(JournalError, match=r"no journal in .* yet"):
        check(tmp_path)
